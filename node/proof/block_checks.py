"""The blocks that a receipt names against those of the chain."""

from __future__ import annotations

from node.proof.checks import Ledger
from node.proof.evidence import ChainFacts
from node.proof.receipt_model import Moment, Receipt


def check_slots(ledger: Ledger, receipt: Receipt, settled_slot: int | None) -> None:
    """Whether the receipt's slots follow one another, and none is younger than the settlement."""
    end = receipt.end.slot if receipt.end is not None else None
    slots = [slot for slot in (receipt.start.slot, end, settled_slot) if slot is not None]
    told = f"work began at slot {receipt.start.slot}"
    told += "" if end is None else f", ended at {end}"
    told += "" if settled_slot is None else f", settled at {settled_slot}"
    ledger.consistent("slots", slots == sorted(slots) and slots[0] >= 0, told)


def check_blocks(ledger: Ledger, receipt: Receipt, facts: ChainFacts | None) -> None:
    """Whether the blockhashes are the chain's: then the receipt was not written before those blocks."""
    _block(ledger, "start_block", receipt.start, facts)
    if receipt.end is None:
        ledger.skipped("end_block", "the receipt names no block at its end")
    else:
        _block(ledger, "end_block", receipt.end, facts)


def _block(ledger: Ledger, name: str, moment: Moment, facts: ChainFacts | None) -> None:
    if facts is None:
        ledger.skipped(name, "the chain was not asked")
        return
    block = facts.blocks.get(moment.slot)
    if block is None:
        ledger.skipped(name, f"the endpoint holds no block of slot {moment.slot}; one that keeps older blocks does")
        return
    same = block.blockhash == moment.blockhash
    detail = f"slot {moment.slot} has blockhash {block.blockhash}"
    detail += ": the receipt was not written before it" if same else f", the receipt says {moment.blockhash}"
    ledger.proven(name, same, detail)
