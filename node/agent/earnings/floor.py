"""A job that pays less than the power for it costs is not taken, where the operator wants that and it can be told."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace

from node.agent.earnings.break_even import HISTORY, BreakEven, break_even
from node.agent.earnings.prices import PriceBook
from node.agent.earnings.tariff import Tariff, zone_of
from node.errors import JobRefused
from node.job.policy import check_price
from node.journal.journal import Journal
from node.journal.money import JobMoney
from node.records import Job
from node.retry import Clock
from node.settings_earnings import EarningsSettings

log = logging.getLogger(__name__)

FRESH = 600.0
"""Seconds for which the journal's jobs are not read anew: thirty days of them change slowly."""

Worth = Callable[[Job, Collection[str]], Awaitable[str]]
"""Whether a job on these GPUs (UUIDs) is worth its power: empty, or why not."""


async def always_worth(_job: Job, _gpus: Collection[str]) -> str:
    """For hosts that set their least price themselves."""
    return ""


class BreakEvenFloor:
    """The rule `policy.price_floor: break-even` of one lane."""

    def __init__(
        self, lane: str, settings: EarningsSettings, prices: PriceBook, journal: Journal, clock: Clock
    ) -> None:
        self._lane = lane
        self._settings = settings
        self._prices = prices
        self._journal = journal
        self._clock = clock
        self._said: set[str] = set()
        self._jobs: tuple[JobMoney, ...] = ()
        self._read_at = float("-inf")

    async def worth(self, job: Job, gpus: Collection[str]) -> str:
        """Empty, or the sums that speak against the job. What cannot be told refuses nobody, and is said once."""
        if not gpus:
            # Its power is not metered at all.
            return ""
        least = await self._least(frozenset(gpus))
        if least.price is None:
            await self._say(least.reason)
            return ""
        try:
            check_price(job.price, least.price, f"break-even by an estimate: {least.reason}")
        except JobRefused as refused:
            return refused.message
        return ""

    async def _least(self, gpus: frozenset[str]) -> BreakEven:
        now = self._clock.time()
        if not 0 <= now - self._read_at < FRESH:
            self._jobs = (await self._journal.money(now - HISTORY, now + 1)).jobs
            self._read_at = now
        tariff = Tariff(self._settings.tariff, zone_of(self._settings))
        nos = (await self._prices.current()).nos
        if nos.stale:
            # What it was worth lately is no ground to turn a job away.
            nos = replace(nos, micro=None)
        return break_even(self._jobs, gpus, tariff, nos, self._settings.currency, now)

    async def _say(self, reason: str) -> None:
        if reason not in self._said:
            self._said.add(reason)
            text = f"policy.price_floor: break-even refuses nobody while it cannot be told: {reason}"
            log.warning("lane %s: %s", self._lane, text)
            await self._journal.add_event(text, lane=self._lane, level="warning")
