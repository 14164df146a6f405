"""What a second of work costs here in power, beside what a market pays for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from node.agent.earnings.prices import Price
from node.agent.earnings.report import ran
from node.agent.earnings.tariff import Tariff, zone_of
from node.journal.money import JobMoney
from node.settings_earnings import EarningsSettings

HISTORY = 30 * 86_400.0
"""Seconds of jobs that are looked at."""
MICRO_NOS = 1_000_000
HOUR = 3600


@dataclass(frozen=True, slots=True)
class BreakEven:
    """The price at which a second of work pays for its power and no more. An estimate, from this host's own history.

    Fees, rent, wear and idle hours are not in it.
    """

    price: int | None
    """Micro-NOS per second, rounded up; None: not known, and `reason` says why."""
    milliwatts: int | None
    """Mean power of the lane's GPUs while working."""
    jobs: int
    """Metered jobs that this is from."""
    reason: str
    """The sums, or what is not known."""


def break_even(
    jobs: Iterable[JobMoney], gpus: frozenset[str], tariff: Tariff, nos: Price, currency: str, now: float
) -> BreakEven:
    """By the metered jobs that ran on exactly these GPUs, the mean tariff of the week to come, and the price of NOS."""
    alike = [job for job in jobs if frozenset(job.gpus) == gpus and _is_metered(job)]
    span = sum(_seconds_ms(job) for job in alike)
    if not alike or not span:
        return BreakEven(None, None, 0, "no metered job of these GPUs is in the last 30 days")
    power = Fraction(sum(job.millijoules or 0 for job in alike) * 1000, span)
    milliwatts, count = round(power), len(alike)
    kwh = tariff.mean(now)
    if kwh is None:
        return BreakEven(None, milliwatts, count, "the price of energy is not known: set earnings.tariff")
    if nos.micro is None:
        return BreakEven(None, milliwatts, count, nos.origin)
    # mW × µ-currency/kWh: a kWh is 1e6 mW for an hour.
    second = power * kwh / (1_000_000 * HOUR)
    price = -(-(second * MICRO_NOS / nos.micro) // 1)
    sums = (
        f"{milliwatts / 1000:.1f} W over {count} jobs at {float(kwh) / 1e6:.4f} {currency} per kWh cost "
        f"{float(second) * HOUR / 1e6:.4f} {currency} an hour; a NOS is worth {nos.micro / 1e6:.4f} {currency}"
    )
    return BreakEven(int(price), milliwatts, count, sums)


def of_lane(jobs: Iterable[JobMoney], lane: str, settings: EarningsSettings, nos: Price, now: float) -> BreakEven:
    """That of the GPUs that a lane's newest metered job ran on."""
    known = [job for job in jobs if job.lane == lane and job.gpus and _is_metered(job)]
    gpus = frozenset(known[-1].gpus) if known else frozenset()
    return break_even(known, gpus, Tariff(settings.tariff, zone_of(settings)), nos, settings.currency, now)


def _is_metered(job: JobMoney) -> bool:
    return ran(job) and job.millijoules is not None and job.energy_source not in (None, "none")


def _seconds_ms(job: JobMoney) -> int:
    """For how long it was metered; where that is not told, from its first start to its last end."""
    if job.metered_ms:
        return job.metered_ms
    return (job.ended_ms or 0) - (job.started_ms or 0)
