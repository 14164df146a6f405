"""The limits are far away, also where much else is at work: CPU time counts, of the quickest try."""

from __future__ import annotations

from tests.bench.proof_limits import Figure, least
from tests.proof.test_receipt import NODE, RECEIPT


def test_a_receipt_is_checked_within_its_limit() -> None:
    from node.proof.receipt import verify_receipt

    seconds = least(20, lambda: verify_receipt(RECEIPT, NODE).node == NODE)
    assert Figure("receipt", seconds, 0.05, len(RECEIPT)).kept


def test_what_is_over_a_limit_is_said() -> None:
    assert not Figure("x", 0.06, 0.05, 1).kept
    assert Figure("x", 9.0, None, 1).kept
