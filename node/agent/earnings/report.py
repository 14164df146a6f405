"""Earnings as lines and a total: integers, and None wherever a part is not known. Nothing here reads a clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from enum import StrEnum
from fractions import Fraction

from node.agent.earnings.prices import Price, Prices
from node.agent.earnings.tariff import Tariff, carbon_mg, day_of
from node.journal.money import JobMoney, Money, Spent
from node.records import Address, PaySource
from node.settings_earnings import EarningsSettings

MICRO_NOS = 1_000_000
LAMPORTS = 1_000_000_000
OTHER = ""
"""The key of what belongs to no job, or to no market: joining a queue, registering."""


class By(StrEnum):
    """What a line stands for."""

    DAY = "day"
    MARKET = "market"
    LANE = "lane"
    JOB = "job"


@dataclass(slots=True)
class Line:
    """Sums of one day, market, lane or job. None: a part of it is not known, and so the sum is not."""

    key: str
    jobs: int = 0
    """Settled."""
    paid: int = 0
    """Of these, those that brought anything."""
    pay: int = 0
    """Micro-NOS, from the chain; see `pay_estimated`, `pay_unknown`."""
    pay_estimated: int = 0
    """Jobs whose pay is what their account says, because no endpoint had the record."""
    pay_unknown: int = 0
    """Jobs whose pay could not be read at all."""
    transactions: int = 0
    lamports: int = 0
    """Fees and rent together; negative when more rent came back."""
    fee: int | None = 0
    priority: int | None = 0
    """Of the fee, what was offered beyond the base fee."""
    rent: int | None = 0
    """Opened less returned."""
    spent_estimated: int = 0
    """Transactions of which no endpoint had the record: their fee is that of their bytes."""
    worked_ms: int = 0
    millijoules: int = 0
    """Of the jobs that were metered."""
    metered: dict[str, int] = field(default_factory=dict)
    """Jobs by where their energy is from: `counter`, `power`, `simulated`."""
    unmetered: int = 0
    """Jobs that ran and whose energy is not known; then `cost`, `carbon` and `net` are not either."""
    energy_cost: int | None = 0
    """Millionths of the currency."""
    cost_estimated: bool = False
    """Several prices held while a job ran; its use is taken to be even over its time."""
    carbon: int | None = 0
    """Milligrams of CO2 equivalent."""
    pay_value: int | None = None
    """Millionths of the currency, at the price given."""
    spent_value: int | None = None
    net: int | None = None
    lacks: tuple[str, ...] = ()
    """Why `net` is None."""


@dataclass(frozen=True, slots=True)
class Report:
    """Lines and their sum."""

    by: By
    lines: tuple[Line, ...]
    total: Line


def report(money: Money, by: By, settings: EarningsSettings, prices: Prices, zone: tzinfo) -> Report:
    """What was earned, in lines. What was spent for a job that was settled in another span of time has no line of its
    own: it is among what belongs to none."""
    tariff = Tariff(settings.tariff, zone)
    jobs = {job.run: job for job in money.jobs}
    lines: dict[str, Line] = {}
    total = Line("total")
    for job in money.jobs:
        for line in (lines.setdefault(key := _job_key(job, by, zone), Line(key)), total):
            _add_job(line, job, tariff, settings)
    for spent in money.spent:
        for line in (lines.setdefault(key := _spent_key(spent, jobs, by, zone), Line(key)), total):
            _add_spent(line, spent)
    for line in (*lines.values(), total):
        _value(line, prices)
    return Report(by, tuple(_ordered(lines.values(), by)), total)


def _ordered(lines: Iterable[Line], by: By) -> Sequence[Line]:
    if by is By.JOB:
        # As they were settled; what belongs to no job comes last.
        return sorted(lines, key=lambda line: line.key == OTHER)
    return sorted(lines, key=lambda line: (line.key == OTHER, line.key))


def _job_key(job: JobMoney, by: By, zone: tzinfo) -> str:
    if by is By.DAY:
        return day_of(job.settled, zone)
    return {By.MARKET: job.market, By.LANE: job.lane, By.JOB: job.job}[by]


def _spent_key(spent: Spent, jobs: dict[Address, JobMoney], by: By, zone: tzinfo) -> str:
    if by is By.DAY:
        return day_of(spent.time, zone)
    if by is By.LANE:
        return spent.lane
    job = jobs.get(Address(spent.run))
    return OTHER if job is None else _job_key(job, by, zone)


def ran(job: JobMoney) -> bool:
    """Whether a container of it ran for any time."""
    return job.started_ms is not None and job.ended_ms is not None and job.ended_ms > job.started_ms


def _add_job(line: Line, job: JobMoney, tariff: Tariff, settings: EarningsSettings) -> None:
    line.jobs += 1
    line.pay += job.pay
    line.paid += job.pay > 0
    line.pay_estimated += job.pay_source is PaySource.ACCOUNT
    line.pay_unknown += job.pay_source is PaySource.UNKNOWN
    line.lamports -= job.returned
    line.rent = None if line.rent is None else line.rent - job.returned
    if not ran(job):
        return
    started, ended = job.started_ms or 0, job.ended_ms or 0
    line.worked_ms += ended - started
    if job.millijoules is None or job.energy_source in (None, "none"):
        line.unmetered += 1
        line.energy_cost = line.carbon = None
        return
    source = str(job.energy_source)
    line.metered[source] = line.metered.get(source, 0) + 1
    line.millijoules += job.millijoules
    cost = tariff.cost(job.millijoules, started, ended)
    line.energy_cost = None if cost is None or line.energy_cost is None else line.energy_cost + cost.micro
    line.cost_estimated = line.cost_estimated or (cost is not None and cost.spread)
    weight = carbon_mg(job.millijoules, settings)
    line.carbon = None if weight is None or line.carbon is None else line.carbon + weight


def _add_spent(line: Line, spent: Spent) -> None:
    line.transactions += spent.count
    line.lamports += spent.lamports
    line.fee = _sum(line.fee, spent.fee)
    line.priority = _sum(line.priority, spent.priority)
    line.rent = _sum(line.rent, None if spent.fee is None else spent.lamports - spent.fee)
    line.spent_estimated += spent.count - spent.certain


def _sum(known: int | None, more: int | None) -> int | None:
    return None if known is None or more is None else known + more


def value_of(amount: int, unit: int, price: Price) -> int | None:
    """Millionths of the currency that an amount is worth; nothing is worth nothing, whatever the price."""
    if not amount:
        return 0
    return None if price.micro is None else round(Fraction(amount * price.micro, unit))


def _value(line: Line, prices: Prices) -> None:
    line.pay_value = None if line.pay_unknown else value_of(line.pay, MICRO_NOS, prices.nos)
    line.spent_value = value_of(line.lamports, LAMPORTS, prices.sol)
    lacks = []
    if line.pay_unknown:
        lacks.append(f"the pay of {line.pay_unknown} of {line.jobs} jobs")
    elif line.pay_value is None:
        lacks.append("the price of NOS")
    if line.spent_value is None:
        lacks.append("the price of SOL")
    if line.unmetered:
        lacks.append(f"the energy of {line.unmetered} of {line.jobs} jobs")
    elif line.energy_cost is None:
        lacks.append("the price of energy")
    line.lacks = tuple(lacks)
    if line.pay_value is not None and line.spent_value is not None and line.energy_cost is not None:
        line.net = line.pay_value - line.spent_value - line.energy_cost
