"""Reads of accounts that can wait for a moment, put together into few requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from node.chain.accounts import RawAccount
from node.chain.replies import Seen
from node.errors import RpcBehind
from node.records import Address
from node.retry import Clock

MOST = 100
"""Accounts in one request: Solana's RPC nodes take no more."""

Accounts = Seen[tuple[RawAccount | None, ...]]
Read = Callable[[Sequence[Address], int | None], Awaitable[Accounts]]


@dataclass(eq=False, slots=True)
class _Batch:
    addresses: dict[Address, None]
    least: int | None
    answer: asyncio.Task[Accounts] | None = None


class Gathering:
    """Looks of many lanes at the same moment, as one. All of a batch are in one view."""

    def __init__(self, read: Read, clock: Clock, span: float) -> None:
        """`span`: seconds that a look waits for others; 0: each is made at once, by itself."""
        self._read = read
        self._clock = clock
        self._span = span
        self._batch: _Batch | None = None

    async def accounts(self, addresses: Sequence[Address], least: int | None) -> Accounts:
        """The accounts, in a view that is no older than slot `least`. Raises what `read` raises."""
        if self._span <= 0:
            return await self._read(addresses, least)
        batch = self._joined(addresses, least)
        await self._clock.sleep(self._span)
        # Whoever is first through the wait asks for all. One that is cancelled meanwhile takes nothing with it.
        if batch.answer is None:
            if self._batch is batch:
                self._batch = None
            batch.answer = asyncio.ensure_future(self._read(tuple(batch.addresses), batch.least))
        try:
            seen = await asyncio.shield(batch.answer)
        except RpcBehind:
            # Somebody else's view may be what the endpoints do not have yet.
            return await self._read(addresses, least)
        found = dict(zip(batch.addresses, seen.value, strict=True))
        return Seen(tuple(found[each] for each in addresses), seen.slot)

    def _joined(self, addresses: Sequence[Address], least: int | None) -> _Batch:
        batch = self._batch
        if batch is None or len(batch.addresses.keys() | set(addresses)) > MOST:
            batch = self._batch = _Batch({}, None)
        batch.addresses.update(dict.fromkeys(addresses))
        batch.least = least if batch.least is None else max(batch.least, least or 0)
        return batch
