"""Jobs and bookings for tests."""

from __future__ import annotations

from dataclasses import replace

from node.journal.money import JobMoney, Money, Spent
from node.records import Address, EndCause, PaySource, SettleKind

MIDNIGHT = 1_774_738_800
"""2026-03-29 00:00 in Amsterdam: the night in which clocks go from 02:00 to 03:00."""
HOUR = 3600


def job(number: int = 1, **more: object) -> JobMoney:
    """An hour's job that paid 3.6 NOS and used 0.5 kWh, settled in the second in which it ended."""
    start = MIDNIGHT + 12 * HOUR
    made = JobMoney(
        run=Address(f"run{number}"),
        job=Address(f"job{number}"),
        lane="main",
        market=Address("market"),
        price=1_000,
        run_time=start,
        settled=float(start + HOUR),
        kind=SettleKind.FINISH,
        cause=EndCause.COMPLETED,
        pay=3_600_000,
        pay_source=PaySource.BALANCES,
        returned=0,
        queued_since=start - 600.0,
        gpus=("GPU-1",),
        started_ms=start * 1000,
        ended_ms=(start + HOUR) * 1000,
        metered_ms=None,
        millijoules=1_800_000_000,
        energy_source="counter",
    )
    return replace(made, **more)  # type: ignore[arg-type]


def spent(lamports: int = 5_000, run: str = "run1", **more: object) -> Spent:
    """A transaction's fee."""
    made = Spent(float(MIDNIGHT + 13 * HOUR), "main", run, "finish", lamports, 5_000, 0, 1, 1)
    return replace(made, **more)  # type: ignore[arg-type]


def money(*records: JobMoney | Spent, began: float = 0.0) -> Money:
    """A journal with these."""
    return Money(
        tuple(each for each in records if isinstance(each, JobMoney)),
        tuple(each for each in records if isinstance(each, Spent)),
        began,
    )
