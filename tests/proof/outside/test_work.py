"""Work proofs before both verifiers: they must find the same parts wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.gpu.work.document import Stated
from node.gpu.work.prover import open_rows, prove
from node.proof.work import WorkAnchors, verify_work
from node.records import Address
from tests.gpu.work.examples import AFTER, CHALLENGE, key, proof
from tests.proof.outside.work import Chain, failed_parts
from tests.proof.work_cheats import Lazy, cheated

GOOD = proof(rounds=3, openings=2)
BODY = GOOD.body()


def both(body: bytes, **more: Any) -> tuple[str, ...]:
    """What is wrong, which both must say alike."""
    ours = verify_work(body, least_openings=2, **more).failed
    assert sorted(failed_parts(body, least=2, **more)) == sorted(set(ours))
    return ours


@pytest.mark.parametrize(
    ("rounds", "openings", "size"), [(1, 1, 256), (3, 2, 256), (2, 70, 512), (70, 64, 256), (1, 40, 1024)]
)
def test_good_proofs_pass(rounds: int, openings: int, size: int) -> None:
    body = proof(rounds, openings, size).body()
    assert failed_parts(body, least=1) == []
    assert verify_work(body, least_openings=1).ok


def test_a_device_of_any_name_passes() -> None:
    """The document is ASCII, whatever the device is called."""
    stated = Stated("cpu", "Прüfer \U0001f642 \x00\x7f", 1, None)
    from node.gpu.work import hashes
    from node.gpu.work.cpu import CpuEngine

    engine = CpuEngine()
    done = prove(engine, CHALLENGE, size=256, rounds=1, openings=2)
    root = hashes.final_root(done.states[-1], 1, 256, 2, stated.document())
    assert both(open_rows(engine, replace(done, stated=stated, root=root), *AFTER).body()) == ()


@given(where=st.integers(0, 8 * len(BODY) - 1))
@settings(max_examples=100, deadline=None)
def test_any_flipped_bit_is_found_alike(where: int) -> None:
    body = bytearray(BODY)
    body[where // 8] ^= 1 << where % 8
    assert both(bytes(body))


@given(where=st.integers(0, 8 * len(GOOD.opened) - 1))
@settings(max_examples=50, deadline=None)
@example(where=7)
@example(where=8 * 1024)
def test_any_flipped_bit_of_an_opening_is_found_alike(where: int) -> None:
    opened = bytearray(GOOD.opened)
    opened[where // 8] ^= 1 << where % 8
    assert both(replace(GOOD, opened=bytes(opened)).body())[0] == "work_rows"


FIELDS: list[dict[str, Any]] = [
    {"challenge": replace(CHALLENGE, slot=1001)},
    {"challenge": replace(CHALLENGE, purpose="demo")},
    {"seed": bytes(32)},
    {"state": bytes(32)},
    {"root": bytes(32)},
    {"roots": GOOD.roots[::-1]},
    {"roots": GOOD.roots[:2]},
    {"roots": (*GOOD.roots, GOOD.roots[0])},
    {"after_slot": 1043},
    {"after_blockhash": key(8)},
    {"after_blockhash": ""},
    {"after_blockhash": "0OIl"},
    {"after_blockhash": "1" * 200},
    {"stated": Stated("cuda", "", 0, 0)},
    {"opened": GOOD.opened[::-1]},
    {"openings": 1, "opened": GOOD.opened[: len(GOOD.opened) // 2]},
]


@pytest.mark.parametrize("changes", FIELDS, ids=lambda each: "+".join(each))
def test_changed_fields_are_found_alike(changes: dict[str, Any]) -> None:
    assert both(replace(GOOD, **changes).body())


ANY = st.none() | st.booleans() | st.integers(-2, 2**70) | st.text(max_size=4) | st.just([]) | st.just({}) | st.floats()


@given(name=st.sampled_from(sorted(json.loads(BODY))), inner=st.text("abcdeghkmnoprsu", max_size=9), value=ANY)
@settings(max_examples=80, deadline=None)
def test_nonsense_in_a_field_is_found_alike(name: str, inner: str, value: Any) -> None:
    document = json.loads(BODY)
    held = document[name]
    if isinstance(held, dict):
        document[name] = held | {inner if inner in held else sorted(held)[len(inner) % len(held)]: value}
    else:
        document[name] = value
    assert both(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()) or document == json.loads(BODY)


RESPELLED: dict[str, Any] = {
    "a newline behind": lambda body: body + b"\n",
    "a blank before": lambda body: b" " + body,
    "a byte order mark": lambda body: b"\xef\xbb\xbf" + body,
    "blanks between": lambda body: json.dumps(json.loads(body), sort_keys=True).encode(),
    "another order": lambda body: json.dumps(dict(reversed(json.loads(body).items())), separators=(",", ":")).encode(),
    "a key twice": lambda body: body.replace(b'"size":256', b'"size":256,"size":256'),
    "a number as a fraction": lambda body: body.replace(b'"size":256', b'"size":256.0'),
    "a number with an exponent": lambda body: body.replace(b'"size":256', b'"size":256e0'),
    "a number with a sign": lambda body: body.replace(b'"openings":2', b'"openings":+2'),
    "a minus before nothing": lambda body: body.replace(b'"millijoules":null', b'"millijoules":-0'),
    "a key escaped": lambda body: body.replace(b'"size"', b'"\\u0073ize"'),
    "a slash escaped": lambda body: body.replace(b"/", b"\\/", 1),
    "capital hex": lambda body: body.replace(GOOD.seed.hex().encode(), GOOD.seed.hex().upper().encode()),
    "blanks in base64": lambda body: body.replace(b'"roots":"', b'"roots":" '),
    "spare bits": lambda body: body.replace(b'","openings"', b'","openings"').replace(*_spare(body)),
    "no padding": lambda body: body.replace(b'=","seed"', b'","seed"').replace(b'="', b'"', 1),
    "another field": lambda body: body.replace(b'"_type"', b'"_":0,"_type"'),
    "half a character": lambda body: body.replace(b'"engine":"', b'"engine":"\\ud800'),
    "a number of many digits": lambda body: body.replace(b'"slot":1000', b'"slot":' + b"9" * 5000),
    "deep nesting": lambda body: body.replace(b'"_type"', b'"_":' + b"[" * 9000 + b"]" * 9000 + b',"_type"'),
    "not a number": lambda body: body.replace(b'"millijoules":null', b'"millijoules":NaN'),
}


def _spare(body: bytes) -> tuple[bytes, bytes]:
    """The last letter of padded base64 with a bit more that decodes to nothing."""
    at = body.index(b'="')
    at -= body[at - 1 : at] == b"="
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = body[at - 1]
    return body[at - 9 : at + 1], body[at - 9 : at - 1] + bytes([letters[letters.index(last) ^ 1]]) + body[at : at + 1]


@pytest.mark.parametrize("how", RESPELLED)
def test_there_is_one_text_for_one_proof(how: str) -> None:
    body = RESPELLED[how](BODY)
    assert body != BODY
    assert both(body) == ("work_document",)


CHAIN = WorkAnchors(
    node=Address(CHALLENGE.node),
    root=GOOD.root.hex(),
    seed_blockhash=CHALLENGE.blockhash,
    seed_time=100,
    anchor_slot=1041,
    anchor_time=120,
    after_slot=AFTER[0],
    after_blockhash=AFTER[1],
)


@pytest.mark.parametrize(
    "changes",
    [{}, {"seed_blockhash": key(7)}, {"anchor_slot": 1000}, {"anchor_slot": 1042}, {"root": bytes(32).hex()},
     {"node": key(7)}, {"after_blockhash": key(7)}, {"after_slot": 1043}],
    ids=lambda each: "+".join(each) or "nothing",
)  # fmt: skip
def test_what_the_chain_says_is_compared_alike(changes: dict[str, Any]) -> None:
    anchors = replace(CHAIN, **changes)
    chain = Chain(
        anchors.seed_blockhash, anchors.node, anchors.root, anchors.anchor_slot, anchors.after_slot,
        anchors.after_blockhash,
    )  # fmt: skip
    found = failed_parts(BODY, chain, node=CHALLENGE.node, gpu=CHALLENGE.gpu, least=2)
    verdict = verify_work(BODY, node=Address(CHALLENGE.node), gpu=CHALLENGE.gpu, anchors=anchors, least_openings=2)
    assert sorted(found) == sorted(verdict.failed)
    assert bool(found) == bool(changes)
    assert failed_parts(BODY, node=key(9), gpu="GPU-other", least=3) == ["work_node", "work_gpu", "work_openings"]


@pytest.mark.parametrize("share", [0.02, 0.2, 1.0])
def test_cheats_are_found_alike(share: float) -> None:
    """Some pass, some do not; about which ones there are no two opinions."""
    for number in range(12):
        made = cheated(Lazy(share, seed=number), rounds=2, openings=6, after=(2000 + number, key(number + 1)))
        both(made.body())
