"""What energy costs by the hour: exact, across midnights, weekends and the nights in which clocks change."""

from __future__ import annotations

from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from node.agent.earnings.tariff import Cost, Tariff, carbon_mg, day_of, zone_name, zone_of
from node.settings_earnings import EarningsSettings, TariffSettings
from tests.agent.earnings.samples import HOUR, MIDNIGHT

KWH = 3_600_000_000
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
FRIDAY = MIDNIGHT - 48 * HOUR


def tariff(price: float | None = None, *hours: dict[str, object]) -> Tariff:
    return Tariff(TariffSettings.model_validate({"price": price, "hours": hours}), AMSTERDAM)


DAY = {"days": "weekdays", "start": "07:00", "end": "23:00", "price": 0.40}
NIGHT = {"start": "23:00", "end": "07:00", "price": 0.20}


def test_a_flat_price_is_exact() -> None:
    assert tariff(0.30).cost(KWH, 0, 1) == Cost(300_000, False)
    assert tariff(0.1).cost(1, 0, 10**9) == Cost(0, False)
    assert tariff().cost(KWH, 0, 1) is None


def test_a_job_across_hours_is_cut_at_them() -> None:
    two = tariff(0.30, DAY, NIGHT)
    # 22:00 to 01:00 on a Friday: an hour by day, two by night.
    assert two.cost(3 * KWH, (FRIDAY + 22 * HOUR) * 1000, (FRIDAY + 25 * HOUR) * 1000) == Cost(800_000, True)
    # Saturday noon is neither a weekday's day nor night.
    assert two.price_at(FRIDAY + 36 * HOUR) == 300_000
    assert two.cost(KWH, (FRIDAY + 36 * HOUR) * 1000, (FRIDAY + 37 * HOUR) * 1000) == Cost(300_000, False)
    assert two.cost(KWH, FRIDAY * 1000, FRIDAY * 1000) == Cost(200_000, False), "one that took no time"


def test_the_night_in_which_clocks_change() -> None:
    early = tariff(0.50, {"start": "02:00", "end": "03:00", "price": 0.10})
    # Between 00:00 and 06:00 five hours pass, and 02:00 to 03:00 is none of them.
    assert early.cost(5 * KWH, MIDNIGHT * 1000, (MIDNIGHT + 5 * HOUR) * 1000) == Cost(2_500_000, False)
    autumn = 1_792_879_200  # 2026-10-25 00:00; 02:00 to 03:00 comes twice
    assert early.cost(7 * KWH, autumn * 1000, (autumn + 7 * HOUR) * 1000) == Cost(2_700_000, True)


def test_a_gap_in_the_tariff_is_not_known() -> None:
    assert tariff(None, NIGHT).cost(KWH, (FRIDAY + 22 * HOUR) * 1000, (FRIDAY + 25 * HOUR) * 1000) is None
    assert tariff(None, NIGHT).mean(FRIDAY) is None


def test_the_mean_of_a_week() -> None:
    assert tariff(0.25).mean(FRIDAY) == 250_000
    # From a Monday without a change of clocks: 5 × 16 h at 0.40, 7 × 8 h at 0.20, 2 × 16 h at 0.30.
    monday = FRIDAY + 4 * 24 * HOUR
    expected = Fraction(80 * 400_000 + 56 * 200_000 + 32 * 300_000, 168)
    assert tariff(0.30, DAY, NIGHT).mean(monday) == expected


@given(st.integers(0, 10**12), st.integers(0, 10**6), st.integers(0, 400_000))
def test_a_cost_is_between_the_lowest_and_the_highest_price(millijoules: int, offset: int, seconds: int) -> None:
    start = (FRIDAY + offset) * 1000
    cost = tariff(0.30, DAY, NIGHT).cost(millijoules, start, start + seconds * 1000)
    assert cost is not None
    assert millijoules * 200_000 / KWH - 1 <= cost.micro <= millijoules * 400_000 / KWH + 1


@pytest.mark.parametrize("hours", [{**DAY, "start": "7"}, {**DAY, "end": "24:15"}, {**DAY, "start": "07:10"}])
def test_hours_that_are_none_are_refused(hours: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        tariff(None, hours)


def test_a_zone_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError):
        EarningsSettings(zone="Mars/Olympus")


def test_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    assert day_of(MIDNIGHT, zone_of(EarningsSettings(zone="Asia/Kathmandu"))) == "2026-03-29"
    assert zone_name(EarningsSettings(zone="UTC")) == "UTC"
    import time

    try:
        monkeypatch.setenv("TZ", "America/New_York")
        time.tzset()
        own = zone_of(EarningsSettings())
        assert [day_of(MIDNIGHT + more, own) for more in (0, 5 * HOUR)] == ["2026-03-28", "2026-03-29"]
        assert "this machine's" in zone_name(EarningsSettings())
    finally:
        monkeypatch.undo()
        time.tzset()


def test_carbon() -> None:
    assert carbon_mg(KWH, EarningsSettings(carbon=350.5)) == 350_500
    assert carbon_mg(KWH, EarningsSettings()) is None
