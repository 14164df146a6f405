"""What energy costs by the hour, and what it weighs in carbon. Exact fractions inside, one rounding at the end."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from fractions import Fraction
from zoneinfo import ZoneInfo

from node.journal.money import QUARTER
from node.settings_earnings import MICRO, EarningsSettings, TariffSettings, micro

MILLIJOULES = 3_600_000_000
"""In one kWh."""
WEEKEND = (5, 6)
WEEK = 7 * 86_400


def zone_of(settings: EarningsSettings) -> tzinfo:
    """The time zone of days and tariff hours."""
    if settings.zone is not None:
        return ZoneInfo(settings.zone)
    return _LocalZone()


class _LocalZone(tzinfo):
    """This machine's time zone, with its summer time, whatever it is called."""

    def fromutc(self, moment: datetime) -> datetime:
        local = datetime.fromtimestamp(moment.replace(tzinfo=UTC).timestamp()).astimezone()
        return local.replace(tzinfo=self)

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return None if moment is None else moment.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, _moment: datetime | None) -> timedelta | None:
        return None

    def tzname(self, moment: datetime | None) -> str:
        now = datetime.now() if moment is None else moment.replace(tzinfo=None)
        return now.astimezone().tzname() or "local time"


def zone_name(settings: EarningsSettings) -> str:
    """For people: `Europe/Amsterdam`, or `CET (this machine's)`."""
    return settings.zone or f"{_LocalZone().tzname(None)} (this machine's)"


def day_of(time: float, zone: tzinfo) -> str:
    """The day of unix seconds, `2026-03-29`."""
    return datetime.fromtimestamp(time, zone).strftime("%Y-%m-%d")


@dataclass(frozen=True, slots=True)
class Cost:
    """What energy cost. `spread`: several prices held while it was used; when how much was used is taken to be even."""

    micro: int
    """Millionths of the currency."""
    spread: bool


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices per kWh by the hour."""

    settings: TariffSettings
    zone: tzinfo

    def price_at(self, time: float) -> int | None:
        """Millionths of the currency per kWh at unix seconds; None: not known."""
        moment = datetime.fromtimestamp(time, self.zone)
        minute, weekend = moment.hour * 60 + moment.minute, moment.weekday() in WEEKEND
        for hours in self.settings.hours:
            if hours.covers(minute, weekend):
                return micro(hours.price)
        return None if self.settings.price is None else micro(self.settings.price)

    def cost(self, millijoules: int, start_ms: int, end_ms: int) -> Cost | None:
        """What energy cost that was used evenly over a span (unix milliseconds); None where a price is not known."""
        if not self.settings.hours:
            flat = self.price_at(start_ms / 1000)
            return None if flat is None else Cost(round(Fraction(millijoules * flat, MILLIJOULES)), False)
        shares: dict[int, int] = {}
        for begin, end in _quarters(start_ms, max(end_ms, start_ms + 1)):
            price = self.price_at(begin / 1000)
            if price is None:
                return None
            shares[price] = shares.get(price, 0) + end - begin
        total = sum(price * length for price, length in shares.items())
        return Cost(round(Fraction(millijoules * total, MILLIJOULES * sum(shares.values()))), len(shares) > 1)

    def mean(self, start: float) -> Fraction | None:
        """Millionths of the currency per kWh on average over the week from `start` on; None where one is not known."""
        if not self.settings.hours:
            price = self.price_at(start)
            return None if price is None else Fraction(price)
        prices = [self.price_at(start + offset) for offset in range(0, WEEK, QUARTER)]
        known = [price for price in prices if price is not None]
        return Fraction(sum(known), len(known)) if len(known) == len(prices) else None


def _quarters(start_ms: int, end_ms: int) -> list[tuple[int, int]]:
    """A span cut at the full quarters of an hour, at which alone prices change, in every time zone."""
    quarter = QUARTER * 1000
    cuts = [start_ms, *range((start_ms // quarter + 1) * quarter, end_ms, quarter), end_ms]
    return list(itertools.pairwise(cuts))


def carbon_mg(millijoules: int, settings: EarningsSettings) -> int | None:
    """Milligrams of CO2 equivalent; None where the grid's intensity is not known."""
    if settings.carbon is None:
        return None
    return round(Fraction(millijoules * micro(settings.carbon) * 1000, MILLIJOULES * MICRO))
