"""The older validator's rules against the verdicts of `@nosana/sdk` 0.4.69.

`verdicts_compat.jsonl` holds what that validator said of the definitions in `verdicts.jsonl`.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from node.errors import DefinitionInvalid
from node.job.definition import parse_compat, parse_definition, parse_posted

FOLDER = Path(__file__).parent
DOCUMENTS = {
    case["name"]: case["document"] for case in map(json.loads, (FOLDER / "verdicts.jsonl").read_text().splitlines())
}
CASES = [json.loads(line) for line in (FOLDER / "verdicts_compat.jsonl").read_text().splitlines()]
CORPUS = os.environ.get("GPUNODE_CORPUS", "")


def errors_of(document: Any) -> list[list[str]] | None:
    try:
        parse_compat(document if isinstance(document, bytes) else json.dumps(document).encode())
    except DefinitionInvalid as error:
        return [[violation.path, violation.expected] for violation in error.violations]
    return None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_verdict_equals_the_older_validator_s(case: dict[str, Any]) -> None:
    errors = errors_of(DOCUMENTS[case["name"]])
    assert (errors is None) == case["valid"]
    if "errors" in case:
        assert errors == case["errors"]


@pytest.mark.skipif(not CORPUS, reason="GPUNODE_CORPUS names no folder with definitions and verdicts.json")
def test_verdicts_on_real_definitions() -> None:
    folder = Path(CORPUS)
    files = json.loads((folder / "verdicts.json").read_text())["files"]
    assert files
    for name, verdicts in files.items():
        said = verdicts["sdk-0.4.69"]
        expected = None if said["valid"] else [[e["path"], e["expected"]] for e in said.get("errors", [])]
        assert errors_of((folder / name).read_bytes()) == expected, name


def definition(**args: Any) -> dict[str, Any]:
    return {
        "version": "0.1",
        "type": "container",
        "ops": [{"type": "container/run", "id": "a", "args": {"image": "x", **args}}],
    }


@pytest.mark.parametrize(
    ("document", "newer", "older"),
    [
        (definition(), True, True),
        (definition(restart_policy="always"), True, False),
        (definition(expose="8000-8005"), False, True),
        ({**definition(), "version": "7"}, False, True),
        ({**definition(), "logistics": {"send": {"type": "api", "args": {}}}}, False, True),
        (definition(required_vram=8, output="/out"), False, True),
        (definition(expose="8000-8005", restart_policy="always"), False, False),
    ],
)
def test_a_posted_definition_keeps_the_rules_of_either(document: Any, newer: bool, older: bool) -> None:
    body = json.dumps(document).encode()
    for parse, valid in ((parse_definition, newer), (parse_compat, older), (parse_posted, newer or older)):
        if not valid:
            with pytest.raises(DefinitionInvalid):
                parse(body)
            continue
        found = parse(body)
        assert found.source == document
        assert [operation.id for operation in found.ops] == ["a"]


def test_what_is_wrong_by_both_is_told_by_the_newer_rules() -> None:
    document = definition(expose="8000-8005", restart_policy="always")
    with pytest.raises(DefinitionInvalid) as posted:
        parse_posted(json.dumps(document).encode())
    with pytest.raises(DefinitionInvalid) as newer:
        parse_definition(json.dumps(document).encode())
    assert posted.value.violations == newer.value.violations


def test_one_half_of_logistics_is_kept() -> None:
    half = {"receive": {"type": "api", "args": {"endpoint": "https://x"}}}
    found = parse_posted(json.dumps({**definition(), "logistics": half}).encode())
    assert found.logistics is not None
    assert found.logistics.send is None
    assert found.logistics.receive is not None
    assert found.logistics.receive.args.endpoint == "https://x"
