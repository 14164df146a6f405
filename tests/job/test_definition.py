"""The validator against the verdicts of the network's own (`@nosana/types` 2.1.6).

`verdicts.jsonl` holds hand-made definitions and random changes of them, with what that validator said: valid or not,
and each error's path and expected type. Real definitions with their `verdicts.json` are read from the folder that
GPUNODE_CORPUS names.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.errors import DefinitionInvalid, GpunodeError, JobError
from node.job.definition import Definition, parse_definition, violation_json
from node.job.text import MAX_BYTES, parse_json

CASES = [json.loads(line) for line in Path(__file__).with_name("verdicts.jsonl").read_text().splitlines()]
CORPUS = os.environ.get("GPUNODE_CORPUS", "")
MINIMAL: dict[str, Any] = {
    "version": "0.1",
    "type": "container",
    "ops": [{"type": "container/run", "id": "a", "args": {"image": "x"}}],
}


def errors_of(body: bytes) -> list[list[str]] | None:
    try:
        parse_definition(body)
    except DefinitionInvalid as error:
        return [[violation.path, violation.expected] for violation in error.violations]
    return None


NEWER = {"probe-1-070", "probe-1-167"}
"""Cases that are wrong by a field only that newer versions know: `execution.timeout`, `restart_on_failure`."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_verdict_equals_the_network_s(case: dict[str, Any]) -> None:
    errors = errors_of(json.dumps(case["document"]).encode())
    if case["name"] in NEWER:
        assert errors is None
        return
    assert (errors is None) == case["valid"]
    if "errors" in case:
        assert errors == case["errors"]


@pytest.mark.skipif(not CORPUS, reason="GPUNODE_CORPUS names no folder with definitions and verdicts.json")
def test_verdicts_on_real_definitions() -> None:
    folder = Path(CORPUS)
    files = json.loads((folder / "verdicts.json").read_text())["files"]
    assert files
    for name, verdicts in files.items():
        said = verdicts["types-2.1.6"]
        expected = None if said["valid"] else [[e["path"], e["expected"]] for e in said.get("errors", [])]
        assert errors_of((folder / name).read_bytes()) == expected, name


def test_values_are_as_posted() -> None:
    definition = parse_definition(
        b"""{"type":"container","version":"0.1","meta":{"trigger":"cli","x":{"y":[1,"a"]}},
        "global":{"env":{"A":"1"},"gpu":true},
        "ops":[{"type":"container/run","id":"a","results":{"r":{"regex":"x","logType":["stdout"]}},
                "execution":{"group":"g","depends_on":["b"],"stop_if_dependent_stops":true},
                "args":{"image":"i","cmd":["a","b"],"entrypoint":"sh","expose":[80,{"port":81}],"private":true,
                        "resources":[{"type":"HF","repo":"r","target":"/t"},"__remove-if-empty__"]}},
               {"type":"container/create-volume","id":"b","args":{"name":"v"}}]}"""
    )
    assert isinstance(definition, Definition)
    first, second = definition.ops
    assert definition.global_ is not None
    assert definition.global_.gpu is True
    assert first.args.cmd == ("a", "b")
    assert first.args.entrypoint == "sh"
    assert first.args.expose[0] == 80
    assert first.args.expose[1].port == 81
    assert first.execution.depends_on == ("b",)
    assert first.results["r"].logType == ("stdout",)
    assert second.args.name == "v"


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE6nXbHTT6mNSZfDq0vNqKp8o1UYvvYJJh0HnxTSbmPn me@home"


@pytest.mark.parametrize(
    "ssh", [{}, {"public_keys": []}, {"public_keys": [KEY, KEY.rpartition(" ")[0], "ssh-rsa AAAAB3Nza..."]}]
)
def test_keys_for_a_shell_are_taken(ssh: Any) -> None:
    assert parse_definition(json.dumps({**MINIMAL, "ssh": ssh}).encode()).source["ssh"] == ssh


@pytest.mark.parametrize(
    "ssh",
    [None, [], "x", {"keys": []}, {"public_keys": None}, {"public_keys": [1]}]
    + [{"public_keys": [key]} for key in ("", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa " + KEY.split()[1], "a é")],
)
def test_what_is_no_key_for_a_shell_is_judged_as_before(ssh: Any) -> None:
    assert errors_of(json.dumps({**MINIMAL, "ssh": ssh}).encode()) == [["$input.ssh", "undefined"]]


@pytest.mark.parametrize(
    "execution", [{"timeout": 5}, {"timeout": 1.5, "group": "g"}, {"timeout": 9, "depends_on": ["a"]}]
)
def test_a_timeout_of_an_operation(execution: Any) -> None:
    document = {**MINIMAL, "ops": [{**MINIMAL["ops"][0], "execution": execution}]}
    found = parse_definition(json.dumps(document).encode())
    assert found.source["ops"][0]["execution"]["timeout"] == execution["timeout"]
    for bad in ("5", None, True, []):
        execution["timeout"] = bad
        assert errors_of(json.dumps(document).encode()) == [["$input.ops[0].execution.timeout", "undefined"]]


def test_a_missing_value_differs_from_null() -> None:
    with pytest.raises(DefinitionInvalid) as caught:
        parse_definition(b'{"type":null,"ops":[]}')
    assert [violation_json(violation) for violation in caught.value.violations] == [
        {"path": "$input.type", "expected": '"container"', "value": None},
        {"path": "$input.version", "expected": '"0.1"'},
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"a":NaN}',
        b"[Infinity]",
        b"[-Infinity]",
        b'{"a":1}x',
        b"\xff\xfe{\x00}\x00",
        b'{"a":"\xc3"}',
        b"[" * 65 + b"]" * 65,
        b"[" * 400_000,
        b'{"a":' * 100_000,
        b" " * (MAX_BYTES + 1),
        b'{"a":"\n"}',
        b'{"' + b"k" * 1025 + b'":1}',
    ],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_no_document(body: bytes) -> None:
    with pytest.raises(JobError) as caught:
        parse_definition(body)
    assert not isinstance(caught.value, DefinitionInvalid)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "args",
    [
        '"cmd":[' + ",".join(["1"] * 500_000) + "]",
        '"volumes":[' + ",".join(["1"] * 500_000) + "]",
        '"env":{' + ",".join(f'"{n}":1' for n in range(80_000)) + "}",
        ",".join(f'"{n}":1' for n in range(80_000)),
    ],
    ids=["cmd", "volumes", "env", "unknown"],
)
def test_a_document_full_of_errors_costs_little(args: str) -> None:
    body = ('{"version":"0.1","type":"container","ops":[{"type":"container/run","id":"a","args":{"image":"x",'
            + args + "}}]}").encode()  # fmt: skip
    started = time.monotonic()
    assert errors_of(body) == [["$input", "fewer than 10000 errors"]]
    assert time.monotonic() - started < 5


def test_documents_are_read_as_javascript_does() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a":1,"a":2}') == {"a": 2}
    assert list(parse_json(b'{"b":1,"10":1,"9":1,"a":1,"01":1}')) == ["9", "10", "b", "a", "01"]
    assert parse_json(b'["\\ud800x","\\ud83d\\ude00"]') == ["\ufffdx", "\U0001f600"]
    assert parse_json(b"[9007199254740993, 1e2, " + b"9" * 5000 + b"]") == [9007199254740992, 100.0, sys.float_info.max]
    assert parse_json(b'{"a":"[[[[\\"[[[["}' + b" " * 10) == {"a": '[[[["[[[['}
    assert parse_json(b"[" * 64 + b"]" * 64)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["version", "type", "ops", "id", "args", "image", "expose", "port", "results", "x"]), inner
        )
    ),
    max_leaves=12,
)


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_noise_raises_errors_of_ours_only(body: bytes) -> None:
    with pytest.raises(GpunodeError):
        parse_definition(body)


@given(JSON, st.sampled_from(["ops", "meta", "global", "logistics", "args", "op"]))
@settings(max_examples=300)
def test_any_document_is_valid_or_says_why(value: Any, where: str) -> None:
    document: dict[str, Any] = json.loads(json.dumps(MINIMAL))
    if where == "args":
        document["ops"][0]["args"] = value
    elif where == "op":
        document["ops"][0] = value
    else:
        document[where] = value
    try:
        parse_definition(json.dumps(document).encode("utf-8", "surrogatepass"))
    except DefinitionInvalid as error:
        assert all(violation.path.startswith("$input") for violation in error.violations)  # noqa: PT017
