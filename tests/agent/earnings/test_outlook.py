"""What follows from the past: days of SOL left, the price at which work pays, and jobs that do not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from node.agent.earnings.break_even import break_even, of_lane
from node.agent.earnings.floor import BreakEvenFloor
from node.agent.earnings.forecast import DAY, forecast
from node.agent.earnings.prices import Price, PriceBook
from node.agent.earnings.sol_watch import EVERY, SolWatch
from node.agent.earnings.tariff import Tariff
from node.journal.journal import Journal
from node.records import Address, EndCause, EnergyReading, Gpu, Outcome, Plan, SettleKind, Settlement, Signature, Stage
from node.settings_earnings import EarningsSettings
from tests.agent.clock import FakeClock
from tests.agent.earnings.samples import MIDNIGHT, job, money, spent
from tests.journal.samples import assignment, booking

NOS = Price(500_000, "test")
SETTINGS = EarningsSettings.model_validate({"tariff": {"price": 0.36}, "nos_price": 0.5, "zone": "UTC"})
TARIFF = Tariff(SETTINGS.tariff, ZoneInfo("UTC"))
GPUS = frozenset({"GPU-1"})


# --- days of SOL ---


def test_days_left_by_what_is_spent_again_and_again() -> None:
    now = float(MIDNIGHT)
    of = money(
        spent(70_000_000, kind="finish"),
        spent(3_000_000_000, kind="stake"),
        spent(9, kind="finish", lane="other"),
        job(returned=7_000_000),
        began=now - 30 * DAY,
    )
    told = forecast(of, "main", 90_000_000, now)
    assert (told.daily, told.days) == (9_000_000, 10.0)
    young = forecast(replace(of, began=now - 3.5 * DAY), "main", 90_000_000, now)
    assert (young.daily, young.days) == (18_000_000, 5.0)


@pytest.mark.parametrize("age", [0.0, 0.99])
def test_too_little_history_foretells_nothing(age: float) -> None:
    told = forecast(money(spent(), began=MIDNIGHT - age * DAY), "main", 10**9, float(MIDNIGHT))
    assert (told.days, told.daily) == (None, None)


def test_what_is_not_spent_does_not_run_out() -> None:
    told = forecast(money(spent(-5)), "main", 10**9, float(MIDNIGHT))
    assert told.days is None
    assert "nothing" in told.reason


# --- break-even ---


def test_break_even_to_the_last_micro() -> None:
    # 500 W at 0.36 are 0.18 an hour, 50 millionths a second; half of that price makes a NOS.
    assert break_even([job()], GPUS, TARIFF, NOS, "EUR", MIDNIGHT).price == 100
    assert break_even([job(), job(2, millijoules=1_800_000_001)], GPUS, TARIFF, NOS, "EUR", MIDNIGHT).price == 101
    idle = job(2, metered_ms=7_200_000)
    assert break_even([idle], GPUS, TARIFF, NOS, "EUR", MIDNIGHT).milliwatts == 250_000


def test_by_the_mean_tariff_of_the_week() -> None:
    hours = {"days": "weekend", "start": "00:00", "end": "24:00", "price": 0.01}
    settings = EarningsSettings.model_validate({"tariff": {"price": 0.36, "hours": [hours]}})
    tariff = Tariff(settings.tariff, ZoneInfo("UTC"))
    found = break_even([job()], GPUS, tariff, NOS, "EUR", MIDNIGHT).price
    mean = Fraction(5 * 360_000 + 2 * 10_000, 7)
    assert found == -(-(mean * 100 / 360_000) // 1)


@pytest.mark.parametrize(
    ("history", "tariff", "nos", "why"),
    [
        ([], TARIFF, NOS, "no metered job"),
        ([job(gpus=("GPU-2",))], TARIFF, NOS, "no metered job"),
        ([job(millijoules=None, energy_source="none")], TARIFF, NOS, "no metered job"),
        ([job(started_ms=None, ended_ms=None)], TARIFF, NOS, "no metered job"),
        ([job()], Tariff(EarningsSettings().tariff, ZoneInfo("UTC")), NOS, "price of energy"),
        ([job()], TARIFF, Price(None, "no NOS price"), "no NOS price"),
    ],
)
def test_what_cannot_be_told(history: list, tariff: Tariff, nos: Price, why: str) -> None:  # type: ignore[type-arg]
    found = break_even(history, GPUS, tariff, nos, "EUR", MIDNIGHT)
    assert found.price is None
    assert why in found.reason


def test_of_a_lane_by_the_gpus_it_has_now() -> None:
    older = job(1, gpus=("GPU-0",), millijoules=9 * 10**9)
    assert of_lane([older, job(2), job(3, lane="other")], "main", SETTINGS, NOS, MIDNIGHT).price == 100
    assert of_lane([], "main", SETTINGS, NOS, MIDNIGHT).price is None


# --- in the agent ---


@pytest_asyncio.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    clock = FakeClock()
    async with await Journal.open(tmp_path / "journal.sqlite", clock.time) as opened:
        yield opened


async def test_jobs_below_break_even_are_refused_with_the_sums(journal: Journal, tmp_path: Path) -> None:
    clock = FakeClock()
    book = PriceBook(SETTINGS, tmp_path, clock.time)
    floor = BreakEvenFloor("main", SETTINGS, book, journal, clock)
    offered = replace(assignment(9).job, price=99)
    for _ in range(2):
        assert await floor.worth(offered, ["GPU-1"]) == "", "nothing is known yet"
    assert [event.text for event in await journal.events()] == [
        "policy.price_floor: break-even refuses nobody while it cannot be told: "
        "no metered job of these GPUs is in the last 30 days"
    ]
    given = assignment(1)
    run, start = given.run.address, round(clock.now * 1000) - 3_600_000
    await journal.begin_job(given)
    gpu = Gpu("simulated", 0, "GPU-1", "a GPU", None, None, None, None)
    await journal.finish_stage(run, Stage.ADMIT, Plan(given.job.address, "net", (), gpus=(gpu,)), Stage.RUN)
    ended = Outcome(
        given.job.address,
        EndCause.COMPLETED,
        start,
        start + 3_600_000,
        (),
        energy=EnergyReading(1_800_000.0, "counter"),
    )
    await journal.finish_stage(run, Stage.RUN, ended, Stage.REPORT)
    await journal.settle(run, Settlement(given.job.address, SettleKind.FINISH, Signature("s"), 1, 5, None, "", 5000))
    clock.now += 601
    refused = await floor.worth(offered, ["GPU-1"])
    assert refused.startswith("the job pays 99 micro-NOS per second; this host asks for 100")
    assert "500.0 W over 1 jobs" in refused
    assert await floor.worth(replace(offered, price=100), ["GPU-1"]) == ""
    assert await floor.worth(offered, []) == "", "without a GPU nothing is metered"


async def test_low_sol_is_warned_of_once_until_there_was_enough(journal: Journal) -> None:
    clock = FakeClock()
    held = 50_000_000
    await journal.outbox.book(booking("finish:x", 70_000_000))

    async def balance(_wallet: Address) -> int:
        return held

    async def warnings() -> int:
        return len([event for event in await journal.events() if event.level == "warning"])

    watch = SolWatch({"main": Address("wallet")}, balance, journal, clock, 7.0)
    clock.now += 7 * DAY - EVERY
    for expected, now_held in ((1, 50_000_000), (1, 40_000_000), (1, 900_000_000), (2, 50_000_000)):
        held = now_held
        await watch._look("main", Address("wallet"))
        assert await warnings() == expected
    assert "lasts for about 5 days" in (await journal.events())[0].text
