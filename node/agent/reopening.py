"""Opening settled jobs again when a fork takes back what settled them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from node.journal.journal import Journal
from node.market.settle import settled_run
from node.records import OutboxRow

Undone = Callable[[OutboxRow], Awaitable[None]]
"""Told of a transaction that a fork took back after it was said to have landed."""


def reopening(journal: Journal, reopened: asyncio.Event) -> Undone:
    """Opens a settled job again when a fork took back the transaction that settled it."""

    async def undone(row: OutboxRow) -> None:
        run = settled_run(row)
        if run is not None and await journal.reopen(run, f"a fork undid the {row.kind} {row.signature}: settled again"):
            reopened.set()

    return undone
