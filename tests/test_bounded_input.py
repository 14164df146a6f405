"""What is read from outside: JSON, bodies, YAML. Small bytes cannot cost much, and nothing half-read comes out."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import zlib
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from node.bounded_body import ACCEPTED, BodyRefused, read_body
from node.bounded_json import JsonRefused, read_json
from node.errors import SettingsError
from node.settings_source import load_settings
from node.settings_yaml import read_yaml

MANY = 1 << 20

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(values, st.booleans())
def test_what_json_says_is_read(value: Any, plain: bool) -> None:
    text = json.dumps(value, ensure_ascii=plain)
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        return
    try:
        assert read_json(raw, limit=MANY) == value
    except JsonRefused:
        assert plain
        with pytest.raises(UnicodeEncodeError):
            json.dumps(value, ensure_ascii=False).encode()


HOSTILE = {
    "deep lists": b"[" * 100_000,
    "deep and closed": b"[" * 65 + b"]" * 65,
    "deep objects": b'{"a":' * 100_000,
    "long number": b"1" * 1_000_000,
    "long negative": b"-" + b"9" * 41,
    "long float": b"1e999999999",
    "huge float": b"1e309",
    "not a number": b"NaN",
    "infinity": b"[-Infinity]",
    "doubled key": b'{"a":1,"a":2}',
    "doubled inside": b'[{"a":{"b":1,"b":1}}]',
    "half a pair": b'"\\ud800"',
    "other half": b'{"\\udfff":1}',
    "no UTF-8": b'"\xff"',
    "surrogate in UTF-8": b'"\xed\xa0\x80"',
    "two documents": b"{}{}",
    "tail": b"[]x",
    "control": b'"\x00"',
    "comment": b"/* */ 1",
    "single quotes": b"{'a':1}",
    "empty": b"",
    "blank": b"   ",
    "BOM": b"\xef\xbb\xbf{}",
    "comma": b"[1,]",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_json(name: str) -> None:
    began = time.monotonic()
    with pytest.raises(JsonRefused) as caught:
        read_json(HOSTILE[name], limit=4 * MANY)
    assert time.monotonic() - began < 2
    # An error neither quotes the document nor carries it along.
    assert len(str(caught.value)) < 100
    assert caught.value.__cause__ is None
    assert not hasattr(caught.value, "doc")


def test_limits_are_exact() -> None:
    assert read_json(b"[" * 64 + b"]" * 64, limit=128)
    assert read_json(b'"[[[[[[["', limit=20, depth=1) == "[[[[[[["
    assert read_json(b'["\\"[[[", {"]": "}"}]', limit=50, depth=2)
    with pytest.raises(JsonRefused, match="more than 127 bytes"):
        read_json(b"[" * 64 + b"]" * 64, limit=127)
    with pytest.raises(JsonRefused, match="deeper than 3"):
        read_json(b"[[[[]]]]", limit=10, depth=3)
    assert read_json(str(2**128 - 1), limit=100) == 2**128 - 1
    assert read_json(b'"\\ud83d\\ude00"', limit=100) == "\U0001f600"


@settings(max_examples=500)
@given(st.binary(max_size=200) | st.text('[]{}",:\\u0dD81eE+-.', max_size=200).map(str.encode))
def test_any_bytes_are_json_or_refused(raw: bytes) -> None:
    try:
        found = read_json(raw, limit=MANY)
    except JsonRefused:
        return
    assert json.loads(raw) == found
    json.dumps(found, ensure_ascii=False, allow_nan=False).encode()


# --- bodies -------------------------------------------------------------------------------------------------


class Feed(httpx.AsyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self.given = 0

    async def __aiter__(self) -> Any:
        for piece in self.pieces:
            self.given += 1
            yield piece


def answer(pieces: list[bytes], encoding: str = "") -> tuple[httpx.Response, Feed]:
    feed = Feed(pieces)
    headers = {"content-encoding": encoding} if encoding else {}
    return httpx.Response(200, headers=headers, stream=feed), feed


def bomb(size: int) -> bytes:
    """A few kilobytes that unfold to `size` zeros."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(MANY)
    return b"".join([deflate.compress(block) for _ in range(size // MANY)]) + deflate.flush()


@pytest.mark.long
async def test_a_bomb_is_cut_where_the_limit_is() -> None:
    packed = bomb(512 * MANY)
    assert len(packed) < MANY
    pieces = [packed[at : at + 1024] for at in range(0, len(packed), 1024)]
    response, feed = answer(pieces, "gzip")
    began = time.monotonic()
    with pytest.raises(BodyRefused, match="more than"):
        await read_body(response, MANY)
    assert time.monotonic() - began < 2
    assert feed.given < 10, "nothing more is read once the limit is passed"


@pytest.mark.long
async def test_one_piece_that_holds_all_of_it_is_not_unfolded() -> None:
    import tracemalloc

    response, _ = answer([bomb(256 * MANY)], "gzip")
    tracemalloc.start()
    with pytest.raises(BodyRefused):
        await read_body(response, MANY)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MANY


@given(st.binary(max_size=5000), st.lists(st.integers(1, 500), max_size=20))
def test_honest_bodies_come_through(body: bytes, cuts: list[int]) -> None:
    for encoding, raw in (
        ("", body),
        ("identity", body),
        ("gzip", gzip.compress(body)),
        ("x-gzip", gzip.compress(body)),
    ):
        pieces, rest = [], raw
        for cut in cuts:
            pieces.append(rest[:cut])
            rest = rest[cut:]
        response, _ = answer([*pieces, rest], encoding)
        assert asyncio.run(read_body(response, 5000)) == body


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "compress", "\x00", "gzip;q=1"])
async def test_other_encodings_are_refused(encoding: str) -> None:
    assert ACCEPTED == "gzip"
    with pytest.raises(BodyRefused):
        await read_body(answer([gzip.compress(b"x")], encoding)[0], 100)


async def test_broken_compression() -> None:
    good = gzip.compress(b"x" * 1000)
    for pieces in ([good[:-9]], [b"no gzip at all"], [good, b"more"], [], [good[:5]]):
        with pytest.raises(BodyRefused):
            await read_body(answer(pieces, "gzip")[0], 10_000)


# --- settings -----------------------------------------------------------------------------------------------


def laughs(levels: int) -> str:
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        laughs(10),
        laughs(7),
        "a: &a [*a]",
        "a: &a {b: *a}",
        "[" * 5000,
        "{a: " * 100,
        "- " * 40 + "x",
        "a: 1\na: 2",
        "rpc: {urls: [], urls: []}",
        "x: " + "1" * 5000,
        "a: !!python/object/apply:os.system ['true']",
        "!!python/name:os.system",
        "a: " + "x" * (1 << 20),
        "a: 2001-99-99",
        "a: \x00",
    ],
)
def test_hostile_yaml(tmp_path: Path, text: str) -> None:
    began = time.monotonic()
    with pytest.raises(yaml.YAMLError):
        read_yaml(text)
    file = tmp_path / "node.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(file, environment={})
    assert caught.value.hint
    assert time.monotonic() - began < 3


def test_honest_yaml_with_a_few_aliases() -> None:
    text = "base: &base {a: 1, b: [x, y]}\none: *base\ntwo: {<<: *base, b: 2}\n"
    assert read_yaml(text) == yaml.safe_load(text)
    assert read_yaml("") is None
    example = (Path(__file__).resolve().parents[1] / "node.example.yaml").read_text()
    assert read_yaml(example) == yaml.safe_load(example)


def test_settings_that_everybody_may_write_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text("cluster: localnet\n")
    file.chmod(0o666)
    with pytest.raises(SettingsError, match="everybody may write"):
        load_settings(file, environment={})


def test_a_value_of_the_environment_is_bounded_too(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text("cluster: localnet\n")
    for text in ("[" * 5000, laughs(10)):
        with pytest.raises(SettingsError):
            load_settings(file, environment={"GPUNODE_HOST__COUNTRY": text})
