"""What a node tells of the life of a slot: made, complete, frozen, confirmed, rooted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from node.localnet.slots import Block, Commitment
from node.localnet.validator import Validator


def slots_updates(
    validator: Validator, block: Block, advanced: Mapping[Commitment, Sequence[Block]]
) -> Iterator[dict[str, Any]]:
    """The updates when a block is begun, which completes the one before it; times in milliseconds."""
    now = block.time * 1_000

    def update(kind: str, slot: int, **more: Any) -> dict[str, Any]:
        return {"slot": slot, **more, "timestamp": now, "type": kind}

    yield update("completed", block.parent)
    yield update("frozen", block.parent, stats=_stats(validator, block.parent))
    yield update("createdBank", block.slot, parent=block.parent)
    for one in advanced.get(Commitment.CONFIRMED, ()):
        yield update("optimisticConfirmation", one.slot)
    for one in advanced.get(Commitment.FINALIZED, ()):
        yield update("root", one.slot)


def _stats(validator: Validator, slot: int) -> dict[str, int]:
    records = list(validator.ledger.in_slot(slot))
    failed = sum(1 for record in records if record.error is not None)
    return {
        "numTransactionEntries": len(records),
        "numSuccessfulTransactions": len(records) - failed,
        "numFailedTransactions": failed,
        "maxTransactionsPerEntry": min(len(records), 1),
    }
