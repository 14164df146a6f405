"""Sums of money: whole numbers, the same total however they are grouped, and nothing unknown counted as nothing."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.agent.earnings.prices import Price, Prices
from node.agent.earnings.report import By, Line, Report, report
from node.journal.money import Money
from node.records import PaySource
from node.settings_earnings import EarningsSettings
from tests.agent.earnings.samples import HOUR, MIDNIGHT, job, money, spent

KNOWN = Prices(Price(500_000, "test"), Price(150_000_000, "test"))
UNKNOWN = Prices(Price(None, "none"), Price(None, "none"))
SETTINGS = EarningsSettings.model_validate({"tariff": {"price": 0.30}, "carbon": 400, "zone": "Europe/Amsterdam"})
AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def made(of: Money, by: By = By.DAY, prices: Prices = KNOWN, settings: EarningsSettings = SETTINGS) -> Report:
    return report(of, by, settings, prices, AMSTERDAM)


def test_a_job_to_the_last_micro() -> None:
    line = made(money(job(), spent(5_432, fee=5_432, priority=432), spent(-2_000_000, fee=5_000))).total
    assert (line.jobs, line.paid, line.pay) == (1, 1, 3_600_000)
    assert (line.lamports, line.fee, line.priority, line.rent) == (-1_994_568, 10_432, 432, -2_005_000)
    # 0.5 kWh at 0.30; 3.6 NOS at 0.50; 400 g for a kWh.
    assert (line.energy_cost, line.pay_value, line.carbon) == (150_000, 1_800_000, 200_000)
    assert line.spent_value == round(-1_994_568 * 150_000_000 / 10**9)
    assert line.net == 1_800_000 - line.spent_value - 150_000
    assert line.lacks == ()


@pytest.mark.parametrize(
    ("what", "prices", "lacks"),
    [
        (job(millijoules=None, energy_source="none"), KNOWN, "the energy of 1 of 1 jobs"),
        (job(millijoules=None, energy_source=None), KNOWN, "the energy of 1 of 1 jobs"),
        (job(), Prices(UNKNOWN.nos, KNOWN.sol), "the price of NOS"),
        (job(), Prices(KNOWN.nos, UNKNOWN.sol), "the price of SOL"),
        (job(pay=0, pay_source=PaySource.UNKNOWN), KNOWN, "the pay of 1 of 1 jobs"),
    ],
)
def test_what_is_not_known_is_never_zero(what: object, prices: Prices, lacks: str) -> None:
    total = made(money(what, spent()), prices=prices).total  # type: ignore[arg-type]
    assert total.net is None
    assert total.lacks == (lacks,)


def test_without_a_tariff_or_carbon_those_are_not_known() -> None:
    total = made(money(job()), settings=EarningsSettings()).total
    assert (total.energy_cost, total.carbon, total.net) == (None, None, None)
    assert total.lacks == ("the price of energy",)


def test_a_job_that_never_ran_used_nothing() -> None:
    refused = job(pay=0, millijoules=None, energy_source=None, started_ms=None, ended_ms=None)
    total = made(money(refused)).total
    assert (total.unmetered, total.energy_cost, total.net) == (0, 0, 0)


def test_bookings_of_an_older_journal_are_a_sum_that_is_not_told_apart() -> None:
    total = made(money(job(), spent(9_000, fee=None, priority=None), spent())).total
    assert (total.lamports, total.fee, total.rent) == (14_000, None, None)
    assert total.net is not None


def test_estimates_are_counted() -> None:
    total = made(money(job(pay_source=PaySource.ACCOUNT), job(2), spent(certain=0), spent(count=3, certain=3))).total
    assert (total.pay_estimated, total.spent_estimated, total.transactions) == (1, 1, 4)


def test_days_are_those_of_the_zone() -> None:
    late = job(2, settled=float(MIDNIGHT - 1))
    lines = made(money(late, job(), spent(time=float(MIDNIGHT + 22 * HOUR)), spent(time=float(MIDNIGHT + 23 * HOUR))))
    # The day has 23 hours.
    assert [(line.key, line.jobs, line.transactions) for line in lines.lines] == [
        ("2026-03-28", 1, 0),
        ("2026-03-29", 1, 1),
        ("2026-03-30", 0, 1),
    ]
    utc = report(money(late, job()), By.DAY, SETTINGS, KNOWN, UTC)
    assert [line.key for line in utc.lines] == ["2026-03-28", "2026-03-29"]


def test_what_is_of_no_job_has_a_line_of_its_own_at_the_end() -> None:
    of = money(job(), spent(), spent(7_000, run="elsewhere"))
    assert [(line.key, line.lamports) for line in made(of, By.JOB).lines] == [("job1", 5_000), ("", 7_000)]
    assert [(line.key, line.lamports) for line in made(of, By.MARKET).lines] == [("market", 5_000), ("", 7_000)]
    assert [(line.key, line.lamports) for line in made(of, By.LANE).lines] == [("main", 12_000)]


jobs = st.builds(
    job,
    st.integers(1, 5),
    pay=st.integers(0, 10**9),
    settled=st.floats(MIDNIGHT - 10**6, MIDNIGHT + 10**6),
    millijoules=st.none() | st.integers(0, 10**10),
    returned=st.integers(0, 10**7),
    lane=st.sampled_from(["main", "other"]),
)
bookings = st.builds(spent, st.integers(-(10**7), 10**7), run=st.sampled_from(["run1", "run2", "none"]))


@given(st.lists(jobs, max_size=6, unique_by=lambda each: each.run), st.lists(bookings, max_size=6), st.sampled_from(By))
def test_lines_add_up_to_the_total(some: list, others: list, by: By) -> None:  # type: ignore[type-arg]
    found = made(money(*some, *others), by)
    for name in (
        "jobs",
        "paid",
        "pay",
        "transactions",
        "lamports",
        "fee",
        "rent",
        "worked_ms",
        "millijoules",
        "unmetered",
    ):
        assert sum(getattr(line, name) for line in found.lines) == getattr(found.total, name), name
    reference = made(money(*some, *others), By.DAY).total
    assert found.total == reference
    assert all((line.net is None) == bool(line.lacks) for line in (*found.lines, found.total))
    assert isinstance(found.total, Line)
