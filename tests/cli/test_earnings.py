"""`gpunode earnings` as a person or a program uses it."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from node.cli.earnings import span
from node.errors import UsageError
from node.journal.journal import Journal
from node.records import EndCause, EnergyReading, Outcome, SettleKind, Settlement, Signature, Stage
from tests.cli.conftest import Shell
from tests.journal.samples import assignment, booking

NOON = 1_774_782_000.0
"""2026-03-29 11:00 UTC."""
SPAN = ("--from", "2026-03-28", "--to", "2026-03-30")


@pytest.fixture
def settings(shell: Shell) -> Path:
    """A host that has done two jobs, of which one was metered; no agent runs and no chain answers."""
    file = shell.init()
    text = file.read_text().replace("http://127.0.0.1:8899", "http://127.0.0.1:1")
    file.write_text(
        text + "\nearnings: {zone: Europe/Amsterdam, tariff: {price: 0.3}, nos_price: 0.5, sol_price: 150}\n"
    )

    async def fill() -> None:
        (shell.home / "data").mkdir(exist_ok=True)
        async with await Journal.open(shell.home / "data" / "journal.sqlite", lambda: NOON) as journal:
            for number, energy in ((1, EnergyReading(900_000.0, "counter")), (2, None)):
                given = assignment(number)
                run, job = given.run.address, given.job.address
                await journal.begin_job(given)
                ended = Outcome(job, EndCause.COMPLETED, 1_000, 3_601_000, (), energy=energy)
                await journal.finish_stage(run, Stage.RUN, ended, Stage.REPORT)
                await journal.outbox.book(booking(f"finish:{run}", 6_500, fee=6_500))
                await journal.settle(
                    run, Settlement(job, SettleKind.FINISH, Signature(f"s{number}"), 9, 3_600_000, None, "", 6_500)
                )

    asyncio.run(fill())
    return file


def test_a_table_with_totals_where_nothing_unknown_is_zero(shell: Shell, settings: Path) -> None:
    answer = shell("earnings", "--settings", settings, *SPAN)
    assert answer.status == 0, answer.err
    day, total = (
        next(line for line in answer.out.splitlines() if line.startswith(key)) for key in ("2026-03", "total")
    )
    assert day.split()[:7] == ["2026-03-29", "2", "7.2", "NOS", "0.000013", "SOL", "0"]
    assert "0.250 kWh of 1 in 2 jobs" in total
    assert total.split()[-3:] == ["n/a", "n/a", "n/a"]
    for said in (
        "Europe/Amsterdam",
        "energy not known: 1 of 2 jobs",
        "net is not known without",
        "SOL of lane main: n/a",
    ):
        assert said in answer.out


def test_json_and_csv_hold_the_same_whole_numbers(shell: Shell, settings: Path) -> None:
    known = shell("earnings", "--settings", settings, *SPAN, "--by", "job", "--json").document
    rows = list(
        csv.DictReader(io.StringIO(shell("earnings", "--settings", settings, *SPAN, "--by", "job", "--csv").out))
    )
    assert [row["job"] for row in rows] == [*(line["key"] for line in known["lines"]), "total"]
    for row, line in zip(rows, [*known["lines"], known["total"]], strict=True):
        for name in ("pay", "lamports", "fee", "millijoules", "energy_cost", "net", "carbon"):
            assert row[name] == ("n/a" if line[name] is None else str(line[name]))
    first, second = known["lines"]
    assert (first["pay"], first["energy_cost"], first["net"]) == (3_600_000, 75_000, 1_800_000 - 975 - 75_000)
    assert (second["energy_cost"], second["net"], second["lacks"]) == (None, None, ["the energy of 1 of 1 jobs"])
    assert known["wallets"][0]["lamports"] is None


@pytest.mark.parametrize(
    "wrong", [("--by", "moon"), ("--from", "yesterday"), ("--csv", "--json"), ("--from", "2026-01-02", "--days", "3")]
)
def test_what_makes_no_sense_is_an_error_of_use(shell: Shell, settings: Path, wrong: tuple[str, ...]) -> None:
    answer = shell("earnings", "--settings", settings, *wrong)
    assert answer.status == 2
    assert "hint" in answer.err + answer.out


def test_without_agent_and_journal(shell: Shell) -> None:
    answer = shell("earnings", "--settings", shell.init())
    assert answer.status == 1
    assert "no journal" in answer.err


def test_spans_are_whole_days_of_the_zone() -> None:
    zone = ZoneInfo("Europe/Amsterdam")
    start, end = span("2026-03-29", "2026-03-29", None, zone, NOON)
    assert end - start == 23 * 3600, "the night in which clocks change"
    start, end = span(None, None, 2, zone, NOON)
    assert (date.fromtimestamp(start + 43_200), end - start) == (date(2026, 3, 28), 47 * 3600)
    with pytest.raises(UsageError):
        span("2026-03-30", "2026-03-29", None, zone, NOON)
