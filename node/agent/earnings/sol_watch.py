"""Warns in time that a wallet's SOL runs out: without it a lane joins no market and settles no job."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn

from node.agent.earnings.forecast import SPAN, Forecast, forecast
from node.errors import ChainError, JournalError
from node.journal.journal import Journal
from node.records import Address
from node.retry import Clock

log = logging.getLogger(__name__)

EVERY = 3_600.0
FIRST = 180.0
"""Seconds after the start: what is at hand comes first."""
LAMPORTS = 1_000_000_000


class SolWatch:
    """The background task that warns: once, and again only after there was enough in between."""

    def __init__(
        self,
        wallets: Mapping[str, Address],
        balance: Callable[[Address], Awaitable[int]],
        journal: Journal,
        clock: Clock,
        least: float,
    ) -> None:
        """`wallets`: by lane. `least`: days."""
        self._wallets = wallets
        self._balance = balance
        self._journal = journal
        self._clock = clock
        self._least = least
        self._warned: set[str] = set()

    async def run(self) -> NoReturn:
        """Go on for as long as the agent runs."""
        await self._clock.sleep(FIRST)
        while True:
            if self._least:
                for lane, wallet in self._wallets.items():
                    await self._look(lane, wallet)
            await self._clock.sleep(EVERY)

    async def _look(self, lane: str, wallet: Address) -> None:
        try:
            now = self._clock.time()
            held = await self._balance(wallet)
            told = forecast(await self._journal.money(now - SPAN, now + 1), lane, held, now)
            if told.days is None or told.daily is None or told.days >= self._least:
                self._warned.discard(lane)
            elif lane not in self._warned:
                text = _warning(wallet, held, told)
                log.warning("lane %s: %s", lane, text)
                await self._journal.add_event(text, lane=lane, level="warning")
                self._warned.add(lane)
        except (ChainError, JournalError) as error:
            log.debug("how long the SOL of lane %s lasts cannot be told: %s", lane, error.message)


def _warning(wallet: Address, held: int, told: Forecast) -> str:
    assert told.days is not None and told.daily is not None, "it was looked at"  # noqa: PT018
    return (
        f"the SOL of wallet {wallet} lasts for about {told.days:.0f} days: it holds {held / LAMPORTS:.6f} SOL, and "
        f"{told.daily / LAMPORTS:.6f} SOL a day were spent in the last {told.history:.1f} days; send it SOL"
    )
