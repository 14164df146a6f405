"""What the receipt and the result say of each other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from node.bounded_json import JsonRefused, read_json
from node.content.merkle import CHUNK_BYTES, MerkleHasher
from node.job.result import is_newest_part
from node.proof.checks import Ledger
from node.proof.receipt import OperationClaim, Receipt

RESULT_LIMIT = 64 << 20
"""Bytes of a result document."""
_DONE = {"success", "failed", "stopped", "validation-error", "logistics-error", "waiting-for-result", "init error", ""}


def read_result(ledger: Ledger, body: bytes) -> Mapping[str, Any] | None:
    """The result document, None where it has not the shape of one."""
    try:
        document = read_json(body, limit=RESULT_LIMIT)
    except JsonRefused:
        document = None
    shaped = (
        isinstance(document, dict)
        and isinstance(document.get("status"), str)
        and document["status"] in _DONE
        and isinstance(document.get("opStates"), list)
        and all(isinstance(state, dict) for state in document["opStates"])
    )
    detail = (
        f"status {document['status']!r}, {len(document['opStates'])} operations" if shaped else "no result document"
    )
    ledger.consistent("result_shape", shaped, detail)
    return document if shaped else None


def check_logs(ledger: Ledger, receipt: Receipt, result: Mapping[str, Any] | None) -> None:
    if result is None:
        ledger.skipped("log_root", "there is no result to compare with")
        return
    states = result["opStates"]
    if not states:
        ledger.skipped("log_root", "the result tells of no operations")
        return
    claims = [(place, claim) for place, claim in enumerate(receipt.operations) if claim.log is not None]
    # One outcome a claim: two operations of one name must not stand for each other.
    outcomes = [(claim.id, _log_agrees(claim, _state_of(claim, place, states))) for place, claim in claims]
    wrong = [name for name, outcome in outcomes if outcome is False]
    if wrong:
        ledger.consistent(
            "log_root", False, f"the result's log of {', '.join(wrong)} is not the one that the receipt hashed"
        )
    elif not outcomes or any(outcome is None for _, outcome in outcomes):
        ledger.skipped("log_root", "the result holds no log, or only the newest part of one")
    else:
        ledger.consistent("log_root", True, f"the logs of {len(outcomes)} operations hash to the receipt's roots")


def _state_of(claim: OperationClaim, place: int, states: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The operation in the same place of the result, if it has the same name; both are in the definition's order."""
    state = states[place] if place < len(states) else {}
    return state if state.get("operationId") == claim.id else None


def check_operations(ledger: Ledger, receipt: Receipt, result: Mapping[str, Any] | None) -> None:
    """Whether receipt and result tell the same of each operation."""
    if result is None or not (receipt.operations and result["opStates"]):
        ledger.skipped("operations", "there is nothing to compare")
        return
    said = [(claim.id, claim.status, claim.exit_code) for claim in receipt.operations]
    held = [(state.get("operationId"), state.get("status"), state.get("exitCode")) for state in result["opStates"]]
    detail = "receipt and result give the same ends" if said == held else f"receipt: {said}; result: {held}"
    ledger.consistent("operations", said == held, detail[:500])


def _log_agrees(claim: OperationClaim, state: Mapping[str, Any] | None) -> bool | None:
    """Whether a result's log hashes to the claimed root; None if the result does not hold all of it, and says so."""
    if claim.log is None:
        return None
    if claim.log.chunk != CHUNK_BYTES:
        # One size, so that there is one root for one log, and nobody chooses how long hashing takes.
        return False
    held = state.get("logs") if state is not None else None
    entries = held if isinstance(held, list) else []
    hasher = MerkleHasher(claim.log.chunk)
    for line in log_lines(entries):
        hasher.update(line)
    if hasher.length == claim.log.length:
        return hasher.root() == claim.log.root
    # Lines that are missing without a word were removed; and what is longer than all can be no part of it.
    return None if hasher.length < claim.log.length and is_newest_part(entries) else False


def log_lines(entries: Sequence[Any]) -> list[bytes]:
    """Log entries as the lines that were hashed while they streamed: canonical JSON, one object a line."""
    return [
        json.dumps(
            {key: entry.get(key, "") for key in ("log", "timestamp", "type")},
            ensure_ascii=False,
            separators=(",", ":"),
            sort_keys=True,
        ).encode("utf-8", "surrogatepass")
        + b"\n"
        for entry in entries
        if isinstance(entry, dict)
    ]
