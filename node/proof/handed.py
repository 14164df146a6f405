"""The full result of a confidential job, as its owner was given it, and what it opens of the job's receipt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from node.bounded_json import JsonRefused, read_json
from node.errors import ProofError
from node.job.travel import OURS
from node.proof.checks import Ledger
from node.proof.commitments import HIDDEN, Reveal, opens, read_reveal
from node.proof.receipt_model import Receipt

HANDED_LIMIT = 256 << 20
"""Bytes of a full result. Nobody but its owner reads one."""


@dataclass(frozen=True, slots=True)
class Handed:
    """A full result."""

    result: Mapping[str, Any]
    """In the network's form."""
    reveal: Reveal


def read_handed(body: bytes) -> Handed:
    """The full result in a file. Raises ProofError for what is none, or has no openings beside it."""
    try:
        document = read_json(body, limit=HANDED_LIMIT)
    except JsonRefused as error:
        raise ProofError(f"the full result is not JSON: {error}") from None
    states = document.get("opStates") if isinstance(document, dict) else None
    if not isinstance(states, list) or not all(isinstance(state, dict) for state in states):
        raise ProofError("that is no result: it has no operations")
    ours = document.get(OURS)
    if not isinstance(ours, dict) or "openings" not in ours:
        raise ProofError(
            "the result opens no commitments",
            hint=f"It must be as the node handed it over, with {OURS}.openings; other nodes give none.",
        )
    return Handed(document, read_reveal(ours["openings"]))


def with_openings(receipt: Receipt, reveal: Reveal) -> Receipt:
    """The receipt with what was opened in its place: what it would have said of a job that is not confidential.
    Openings that do not open, or of values that no receipt can have, change nothing."""
    fields = receipt.model_dump(by_alias=True)
    operations = {str(operation["index"]): operation for operation in fields["operations"]}
    for opening in reveal.openings:
        kind, _, rest = opening.name.partition(".")
        index, _, key = rest.partition(".")
        operation = operations.get(index) if kind == "operations" and key in HIDDEN else None
        committed = receipt.commitments.get(opening.name, "")
        if operation is not None and opens(committed, opening.name, bytes.fromhex(opening.salt), opening.value):
            operation[key] = opening.value
    try:
        return Receipt.model_validate(fields)
    except ValidationError:
        return receipt


def check_handed(ledger: Ledger, handed: Mapping[str, Any], pinned: Mapping[str, Any] | None) -> None:
    """Whether a full result is of the run whose end was pinned."""
    if pinned is None:
        ledger.skipped("full_result", "there is no pinned result to compare with")
        return
    times = [(key, handed.get(key), pinned.get(key)) for key in ("startTime", "endTime")]
    wrong = [f"{key} is {given}, pinned {told}" for key, given, told in times if given != told]
    ledger.consistent("full_result", not wrong, "; ".join(wrong) or "it begins and ends when the pinned result does")
