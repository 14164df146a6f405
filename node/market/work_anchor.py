"""What a GPU work proof needs of the chain: a block to begin with, a memo for its root, the first block after that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from node.chain.intents import Intent
from node.chain.memo import memo
from node.chain.replies import BlockSummary
from node.errors import ChainError
from node.gpu.work.session import Anchored, Block
from node.market.context import MarketContext

T = TypeVar("T")

POLL_SECONDS = 1.0
FINAL_DEADLINE = 120.0
"""Seconds for a landed memo, or the block after it, to be finalized; it takes some 13 s."""
_FURTHEST = 64
"""Slots in a row without a block that are looked through."""


def work_key(root: str) -> str:
    """The key of a root's memo in the outbox."""
    return f"memo:work:{root}"


class WorkAnchorage:
    """The chain as node.gpu.work.session asks it, for one lane."""

    def __init__(self, context: MarketContext, to_memo: Callable[[str], str]) -> None:
        """`to_memo`: the memo of a root (node.proof.memo.work_memo)."""
        self._context = context
        self._to_memo = to_memo

    async def newest_block(self) -> Block:
        """The newest confirmed block. Raises ChainError."""
        rpc = self._context.rpc
        newest = await rpc.get_slot(commitment="confirmed")
        for slot in range(newest, max(newest - _FURTHEST, -1), -1):
            if (block := await rpc.get_block(slot, commitment="confirmed")) is not None:
                return Block(block.slot, block.blockhash, block.time)
        raise ChainError("the endpoint serves no blocks", hint="a work proof needs one whose getBlock works")

    async def anchor(self, root: str) -> Anchored:
        """Have the root's memo finalized. Raises ChainError."""
        context = self._context
        landed = await context.outbox.send(
            Intent(
                key=work_key(root),
                lane=context.lane,
                kind="memo",
                instructions=(memo(context.node, self._to_memo(root)),),
                # The outbox then decides by the transaction's own status; landing twice harms nothing.
                effect=None,
            )
        )

        async def final() -> Anchored | None:
            found = await context.rpc.get_transaction(landed.signature, commitment="finalized")
            return None if found is None else Anchored(found.slot, found.signature, found.time)

        return await self._patiently(final, "the memo of a work proof is not finalized")

    async def block_after(self, slot: int) -> Block:
        """The first finalized block after a slot. Raises ChainError."""

        async def first() -> Block | None:
            rpc = self._context.rpc
            newest = await rpc.get_slot(commitment="finalized")
            found: BlockSummary | None = None
            for later in range(slot + 1, min(newest, slot + _FURTHEST) + 1):
                found = await rpc.get_block(later, commitment="finalized")
                if found is not None:
                    return Block(found.slot, found.blockhash, found.time)
            return None

        return await self._patiently(first, "no block after a work proof's anchor is finalized")

    async def _patiently(self, look: Callable[[], Awaitable[T | None]], what: str) -> T:
        clock = self._context.clock
        began = clock.monotonic()
        while (found := await look()) is None:
            if clock.monotonic() - began > FINAL_DEADLINE:
                raise ChainError(what, hint="the chain may stand still, or the endpoint be behind: see gpunode status")
            await clock.sleep(POLL_SECONDS)
        return found
