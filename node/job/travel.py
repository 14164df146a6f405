"""Confidential jobs: how a pinned definition says that the real one comes and the result goes, and what is pinned then.

A definition may ask for one of the two only; the network's older validator allows that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from node.errors import JobError
from node.job.text import parse_json
from node.records import Address, Leg, LegKind

WAITS_FOR_DEFINITION = "waiting-for-job-definition"
WAITS_FOR_COLLECTION = "waiting-for-result"
FAILED = "logistics-error"
OURS = "gpunode"
"""Key of a full result that is not the network's."""

BLANK_DEFINITION: Mapping[str, Any] = {
    "version": "0.1",
    "type": "container",
    "meta": {"trigger": "cli"},
    "logistics": {
        "send": {"type": "api-listen", "args": {}},
        "receive": {"type": "api-listen", "args": {}},
    },
    "ops": [],
}
"""What is pinned for a job whose poster sends the definition to the node (Nosana's client)."""


def legs_of(body: bytes) -> tuple[Leg | None, Leg | None]:
    """How the definition comes and how the result goes, by a pinned definition; None: as usual.

    Of a text that is no definition nothing travels: it is judged as what it is.
    """
    try:
        document = parse_json(body)
    except JobError:
        return None, None
    logistics = document.get("logistics") if isinstance(document, dict) else None
    if not isinstance(logistics, dict):
        return None, None
    return _leg(logistics.get("send")), _leg(logistics.get("receive"))


def _leg(half: Any) -> Leg | None:
    if not isinstance(half, dict) or half.get("type") not in list(LegKind):
        return None
    args = half.get("args")
    endpoint = args.get("endpoint") if isinstance(args, dict) else None
    return Leg(LegKind(half["type"]), endpoint if isinstance(endpoint, str) else "")


def address_of(leg: Leg, job: Address) -> str:
    """The poster's address for one job: the first marker stands for it (Nosana node)."""
    return leg.endpoint.replace("%%global.job%%", job, 1)


def awaiting_collection(result: bytes) -> bytes:
    """The full result as it is kept for its owner."""
    return _json({**json.loads(result), "status": WAITS_FOR_COLLECTION})


def with_openings(result: bytes, openings: Mapping[str, Any]) -> bytes:
    """The full result with what the receipt's commitments were made of, under a key that the network's clients pass
    over."""
    return _json({**json.loads(result), OURS: {"openings": openings}})


def without_content(result: bytes, trouble: str = "") -> bytes:
    """What is pinned in a confidential result's place: how it ended, and nothing of what was run.

    `trouble`: why the full result did not reach its owner. Values that broke a rule are left out: they are parts of
    the definition.
    """
    full = json.loads(result)
    errors = [_without_values(error) for error in full.get("errors", ())]
    return _json(
        {
            "status": full["status"],
            "startTime": full["startTime"],
            "endTime": full["endTime"],
            "opStates": [],
            "errors": [*errors, trouble] if trouble else errors,
        }
    )


def _without_values(error: Any) -> Any:
    if isinstance(error, list):
        return [_without_values(each) for each in error]
    if isinstance(error, dict):
        return {key: each for key, each in error.items() if key != "value"}
    return error


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
