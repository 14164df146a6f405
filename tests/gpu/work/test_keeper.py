"""When a work proof is made, with a clock of the test's own."""

from __future__ import annotations

import random

import pytest

from node.gpu.work import engine
from node.gpu.work.keeper import ASSUMED_WATTS, CUT_PAUSE, DAY, FIRST_PAUSE, WorkKeeper, WorkRun

HOUR = 3600.0
START = 1_700_000_000.0


def keeper(**more: object) -> WorkKeeper:
    settings = {"interval": 6 * HOUR, "seconds": 15.0, "daily_joules": 40_000.0, "power_limit_watts": 400.0}
    return WorkKeeper(**{**settings, **more})  # type: ignore[arg-type]


def test_only_queued_and_idle() -> None:
    one = keeper()
    assert one.verdict(START, queued=True, idle=True).go
    assert not one.verdict(START, queued=False, idle=True).go
    assert not one.verdict(START, queued=True, idle=False).go


def test_one_at_a_time_and_an_interval_between() -> None:
    one = keeper()
    one.begin(START)
    assert not one.verdict(START + 1, queued=True, idle=True).go
    assert one.end(START + 15, joules=4000.0) == WorkRun(START, 4000.0, True)
    early = one.verdict(START + HOUR, queued=True, idle=True)
    assert not early.go
    assert early.again_in == pytest.approx(5 * HOUR)
    assert one.verdict(START + 6 * HOUR, queued=True, idle=True).go


def test_energy_that_is_not_metered_counts_as_the_most_it_can_be() -> None:
    one = keeper(power_limit_watts=None)
    one.begin(START)
    assert one.end(START + 20).joules == ASSUMED_WATTS * 20


def test_a_budget_that_is_used_up_waits_until_enough_is_a_day_old() -> None:
    one = keeper(interval=HOUR, daily_joules=10_000.0)
    for number in range(2):
        one.begin(START + number * HOUR)
        one.end(START + number * HOUR + 15, joules=4000.0)
    full = one.verdict(START + 2 * HOUR, queued=True, idle=True)
    assert not full.go
    assert full.again_in == pytest.approx(DAY - 2 * HOUR)
    assert one.verdict(START + DAY, queued=True, idle=True).go


def test_no_budget_and_a_budget_for_less_than_one() -> None:
    assert not keeper(daily_joules=0.0).verdict(START, queued=True, idle=True).go
    small = keeper(daily_joules=5_999.0).verdict(START, queued=True, idle=True)
    assert not small.go
    assert "one takes 6.0 kJ" in small.reason


def test_what_a_job_cuts_off_has_cost_energy_and_is_tried_again_soon() -> None:
    one = keeper()
    one.begin(START)
    assert one.cut(START + 5) == WorkRun(START, 2000.0, False)
    assert not one.verdict(START + 6, queued=True, idle=True).go
    assert one.verdict(START + 5 + CUT_PAUSE, queued=True, idle=True).go


def test_jobs_that_come_one_after_the_other_do_not_use_up_the_day_s_energy() -> None:
    one, now, begun = keeper(), START, 0
    while now < START + DAY:
        if one.verdict(now, queued=True, idle=True).go:
            one.begin(now)
            begun += 1
            one.cut(now + 5)
        now += 30
    assert begun < 15
    one.begin(now)
    one.end(now + 15, joules=1.0)
    one.begin(now + 6 * HOUR)
    one.cut(now + 6 * HOUR)
    assert one.verdict(now + 6 * HOUR + CUT_PAUSE, queued=True, idle=True).go, "from the beginning again"


def test_failures_wait_longer_each_time_and_no_longer_than_the_interval() -> None:
    one, now, waits = keeper(), START, []
    for _ in range(9):
        one.begin(now)
        one.fail(now + 1)
        waits.append(one.verdict(now + 1, queued=True, idle=True).again_in)
        now += DAY
    assert waits[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert waits[-1] == 6 * HOUR


def test_it_goes_on_where_the_journal_says() -> None:
    one = keeper(history=[WorkRun(START, 4000.0, True)])
    assert not one.verdict(START + HOUR, queued=True, idle=True).go
    assert one.estimate() == 4000.0
    assert one.verdict(START + 6 * HOUR, queued=True, idle=True).go


def test_a_clock_that_was_set_back_stops_nothing() -> None:
    one = keeper(history=[WorkRun(START, 4000.0, True)])
    assert one.verdict(START - 365 * DAY, queued=True, idle=True).go


def test_a_month_of_random_events_never_exceeds_the_budget_of_any_day() -> None:
    chance = random.Random(8)
    one, now, runs = keeper(interval=HOUR / 2, daily_joules=30_000.0), START, []
    while now < START + 30 * DAY:
        verdict = one.verdict(now, queued=chance.random() < 0.9, idle=chance.random() < 0.7)
        if verdict.go:
            one.begin(now)
            now += 15
            end = chance.random()
            # Metered energy is at most what the GPU's limit allows.
            if end < 0.7:
                runs.append(one.end(now, joules=chance.uniform(1000, 6000)))
            else:
                runs.append(one.cut(now) if end < 0.9 else one.fail(now))
        now += chance.uniform(1, HOUR)
    assert len(runs) > 100
    for run in runs:
        assert sum(each.joules for each in runs if run.at - DAY < each.at <= run.at) <= 30_000.0 + 6000
    metered = [run for run in runs if run.done]
    assert metered


@pytest.mark.parametrize(
    ("setting", "provider", "localnet", "installed", "expected"),
    [
        ("off", "nvidia", False, True, None),
        ("cpu", "nvidia", False, True, "cpu"),
        ("cuda", "simulated", True, False, "cuda"),
        ("auto", "nvidia", False, True, "cuda"),
        ("auto", "nvidia", True, False, None),
        ("auto", "simulated", True, False, "cpu"),
        ("auto", "simulated", False, True, None),
    ],
)
def test_which_engine_a_setting_means(
    monkeypatch: pytest.MonkeyPatch, setting: str, provider: str, localnet: bool, installed: bool, expected: str | None
) -> None:
    monkeypatch.setattr(engine, "has_cuda", lambda: installed)
    picked, why = engine.pick_engine(setting, provider=provider, localnet=localnet)
    assert picked == expected
    assert why
