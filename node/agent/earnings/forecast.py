"""How long a wallet's SOL lasts, by what was spent lately."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from node.journal.money import Money, Spent

DAY = 86_400.0
SPAN = 7 * DAY
"""Seconds of history that are looked at."""
LEAST = DAY
"""Seconds of history without which nothing is foretold."""
ONCE = frozenset({"register", "stake", "topup", "token_account"})
"""Kinds of transaction that a lane makes once, or hardly ever: their rent says nothing about the days to come."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """For how long the SOL lasts. An estimate: the next days are taken to be like the last."""

    days: float | None
    """None: not known, or it does not run out; `reason` says which."""
    daily: int | None
    """Lamports spent a day."""
    history: float
    """Days looked at."""
    reason: str


def forecast(money: Money, lane: str, lamports: int, now: float) -> Forecast:
    """`money`: of the last SPAN seconds; `lamports`: what the wallet holds."""
    span = min(SPAN, now - money.began)
    if span < LEAST:
        return Forecast(None, None, max(span, 0.0) / DAY, "too little history: a day at least")
    spent = sum(each.lamports for each in _recurring(money.spent) if each.lane == lane)
    spent -= sum(job.returned for job in money.jobs if job.lane == lane)
    daily = round(spent * DAY / span)
    if daily <= 0:
        return Forecast(None, daily, span / DAY, "nothing was spent lately")
    return Forecast(round(max(lamports, 0) / daily, 1), daily, span / DAY, "as in the days before")


def _recurring(spent: Iterable[Spent]) -> Iterable[Spent]:
    return (each for each in spent if each.kind not in ONCE)
