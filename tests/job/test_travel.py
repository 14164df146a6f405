"""How definitions say that they and their results travel, and what of a confidential job is pinned."""

from __future__ import annotations

import json
from typing import Any

import pytest

from node.job.definition import validate
from node.job.travel import (
    BLANK_DEFINITION,
    address_of,
    awaiting_collection,
    legs_of,
    with_openings,
    without_content,
)
from node.records import Address, Leg, LegKind

JOB = Address("7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41")
LISTEN = {"type": "api-listen", "args": {}}


def legs(logistics: Any) -> tuple[Leg | None, Leg | None]:
    return legs_of(json.dumps({"logistics": logistics}).encode())


def test_both_halves_and_one_alone() -> None:
    api = {"type": "api", "args": {"endpoint": "https://example.org/%%global.job%%"}}
    wanted = Leg(LegKind.API, "https://example.org/%%global.job%%")
    assert legs({"send": api, "receive": LISTEN}) == (wanted, Leg(LegKind.LISTEN))
    assert legs({"send": LISTEN}) == (Leg(LegKind.LISTEN), None)
    assert legs({"receive": api}) == (None, wanted)


@pytest.mark.parametrize(
    "body",
    [b"no json", b"[]", b"null", b'{"logistics":null}', b'{"logistics":[]}', b'{"logistics":{"send":1}}', b"{}"]
    + [json.dumps({"logistics": {"send": {"type": kind}}}).encode() for kind in ("", "ftp", None, 7, ["api"])],
)
def test_whatever_else_travels_as_usual(body: bytes) -> None:
    assert legs_of(body) == (None, None)


def test_the_blank_definition_is_what_the_networks_client_pins() -> None:
    validate(dict(BLANK_DEFINITION))
    assert legs_of(json.dumps(BLANK_DEFINITION).encode()) == (Leg(LegKind.LISTEN), Leg(LegKind.LISTEN))


def test_only_the_first_marker_stands_for_the_job() -> None:
    leg = Leg(LegKind.API, "https://example.org/%%global.job%%?a=%%global.job%%")
    assert address_of(leg, JOB) == f"https://example.org/{JOB}?a=%%global.job%%"


FULL = {
    "status": "validation-error",
    "startTime": 1,
    "endTime": 2,
    "secrets": {},
    "opStates": [{"logs": [{"log": "secret"}]}],
    "errors": [[{"path": "$input.ops[0].args.image", "expected": "string", "value": {"secret": 1}}]],
}


def test_what_is_pinned_has_no_content() -> None:
    body = json.dumps(FULL).encode()
    pinned = without_content(body, "Results were not collected before the timeout.")
    assert b"secret" not in pinned
    assert json.loads(pinned) == {
        "status": "validation-error",
        "startTime": 1,
        "endTime": 2,
        "opStates": [],
        "errors": [
            [{"path": "$input.ops[0].args.image", "expected": "string"}],
            "Results were not collected before the timeout.",
        ],
    }
    assert json.loads(without_content(b'{"status":"","startTime":0,"endTime":null}'))["errors"] == []


def test_what_waits_for_its_owner_is_all_of_it() -> None:
    assert json.loads(awaiting_collection(json.dumps(FULL).encode())) == {**FULL, "status": "waiting-for-result"}


def test_openings_lie_beside_the_result() -> None:
    full = json.loads(with_openings(json.dumps(FULL).encode(), {"operations.0.id": {"salt": "00", "value": "é"}}))
    assert full == {**FULL, "gpunode": {"openings": {"operations.0.id": {"salt": "00", "value": "é"}}}}
