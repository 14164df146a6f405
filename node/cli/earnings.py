"""`gpunode earnings`: what jobs brought, what they cost, and how long the SOL lasts."""

from __future__ import annotations

import csv
import sys
import time
from dataclasses import fields
from datetime import date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli import amounts, output
from node.cli.options import JsonOption, SettingsOption

if TYPE_CHECKING:
    from node.agent.earnings.prices import Prices
    from node.agent.earnings.report import By, Report

DAYS = 30
"""Looked back where nothing is said, with today."""
NOTHING = "n/a"


def earnings(
    by: Annotated[str, typer.Option("--by", metavar="day|market|lane|job", help="What a line stands for.")] = "day",
    first: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="First day, such as 2026-03-01.", show_default=False)
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="DAY", help="Last day; default: today.", show_default=False)
    ] = None,
    days: Annotated[
        int | None,
        typer.Option("--days", min=1, max=36_500, help=f"How many days; default: {DAYS}.", show_default=False),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Lines as CSV, in the units of --json.")] = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what jobs brought and what they cost.

    Fees and rent, energy by tariff, carbon, and what is left of the pay.
    Pay and fees are those of the chain. What is not known is n/a, and never counted as nothing.

    JSON: `by`, `from` and `to` (unix seconds; `to` is excluded), `zone`, `currency`, `prices` (`nos`, `sol`: `micro`,
    `origin`, `taken`, `stale`), `lines` and `total`, `wallets` (`lane`, `address`, `lamports`, `days`, `daily`,
    `reason`). A line: `key`, `jobs`, `paid`, `pay` (micro-NOS), `pay_estimated`, `pay_unknown` (jobs), `transactions`,
    `lamports`, `fee`, `priority`, `rent` (lamports), `spent_estimated` (transactions), `worked_ms`, `millijoules`,
    `metered` (jobs by source), `unmetered` (jobs), `energy_cost`, `pay_value`, `spent_value`, `net` (millionths of the
    currency), `cost_estimated`, `carbon` (mg), `lacks`. null: not known.
    """
    from node.agent.earnings import report as reports
    from node.agent.earnings.prices import PriceBook
    from node.agent.earnings.tariff import zone_name, zone_of
    from node.api.documents import plain
    from node.cli import agent_state, place, sol_days
    from node.errors import UsageError

    if as_csv and as_json:
        raise UsageError("two kinds of output at once", hint="name one of --csv and --json")
    kind = _by(by)
    loaded = place.load(settings)
    zone = zone_of(loaded.earnings)
    since, until = span(first, last, days, zone, time.time())

    async def read() -> tuple[Report, Prices, list[dict[str, Any]]]:
        money = await agent_state.read_money(loaded, since, until)
        prices = await PriceBook(loaded.earnings, loaded.locations.data, time.time).current()
        made = reports.report(money, kind, loaded.earnings, prices, zone)
        return made, prices, [] if as_csv else await sol_days.wallets(loaded)

    made, prices, wallets = place.run(read())
    if as_csv:
        _csv(made)
        return
    known = {
        "by": kind.value,
        "from": since,
        "to": until,
        "zone": zone_name(loaded.earnings),
        "currency": loaded.earnings.currency,
        "prices": plain(prices),
        "lines": plain(made.lines),
        "total": plain(made.total),
        "wallets": wallets,
    }
    output.emit(known, as_json, lambda: show(known))


def _by(text: str) -> By:
    from node.agent.earnings.report import By
    from node.errors import UsageError

    try:
        return By(text)
    except ValueError:
        raise UsageError(f"earnings by {text!r} are not to be had", hint=f"use {', '.join(By)}") from None


def span(first: str | None, last: str | None, days: int | None, zone: tzinfo, now: float) -> tuple[int, int]:
    """From and to before which unix seconds. Raises UsageError."""
    from node.errors import UsageError

    if first is not None and days is not None:
        raise UsageError("--from and --days say the same thing", hint="name one of them")
    end = datetime.fromtimestamp(now, zone).date() if last is None else _day(last)
    begin = _day(first) if first is not None else end - timedelta(days=(days or DAYS) - 1)
    if begin > end:
        raise UsageError(f"{begin} is after {end}", hint="the first day comes first")
    return _midnight(begin, zone), _midnight(end + timedelta(days=1), zone)


def _day(text: str) -> date:
    from node.errors import UsageError

    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = date.max
    if not 1971 <= found.year <= 9000:
        raise UsageError(f"{text!r} is not a day", hint="write 2026-03-01")
    return found


def _midnight(day: date, zone: tzinfo) -> int:
    return max(0, int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()))


def _csv(made: Report) -> None:
    from node.agent.earnings.report import Line

    names = [each.name for each in fields(Line)]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([made.by.value, *names[1:]])
    for line in (*made.lines, made.total):
        writer.writerow([_csv_cell(getattr(line, name)) for name in names])


def _csv_cell(value: object) -> object:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, dict):
        return " ".join(f"{key}:{count}" for key, count in sorted(value.items()))
    if isinstance(value, tuple):
        return "; ".join(value)
    # No spreadsheet takes a key or a lane's name for a formula.
    return value if not isinstance(value, str) or value[:1].isalnum() or not value else f"'{value}"


def show(known: dict[str, Any]) -> None:
    """The screen for people."""
    from node.cli.sol_days import line_of

    currency = known["currency"]
    columns = [known["by"], "jobs", "pay", "fees", "rent", "energy", f"cost {currency}", "CO2", f"net {currency}"]
    rows = [_row(line) for line in (*known["lines"], known["total"])] if known["lines"] else []
    output.table(columns, rows, "nothing was settled or spent in this time")
    output.line()
    for note in notes(known):
        output.line(note)
    for wallet in known["wallets"]:
        output.line(line_of(wallet))


def _row(line: dict[str, Any]) -> list[object]:
    doubt = "~" if line["pay_estimated"] else ""
    pay = amounts.nos(line["pay"]) if not line["pay_unknown"] else NOTHING
    fee, rent = (NOTHING if line[name] is None else amounts.sol(line[name]) for name in ("fee", "rent"))
    return [
        line["key"] or "(no job's)",
        line["jobs"],
        doubt + pay,
        ("~" if line["spent_estimated"] else "") + fee,
        rent,
        _energy(line),
        ("~" if line["cost_estimated"] else "") + currency_text(line["energy_cost"]),
        NOTHING if line["carbon"] is None else f"{line['carbon'] / 1e6:.3f} kg",
        currency_text(line["net"]),
    ]


def _energy(line: dict[str, Any]) -> str:
    metered = sum(line["metered"].values())
    if not metered:
        return NOTHING if line["unmetered"] else f"{0:.3f} kWh"
    text = f"{line['millijoules'] / 3.6e9:.3f} kWh"
    return text if not line["unmetered"] else f"{text} of {metered} in {metered + line['unmetered']} jobs"


def currency_text(micro: int | None) -> str:
    """Money for people; n/a where it is not known."""
    return NOTHING if micro is None else f"{micro / 1e6:,.4f}"


def notes(known: dict[str, Any]) -> list[str]:
    """What a reader must know of the figures."""
    total, currency = known["total"], known["currency"]
    said = [f"days begin and end in {known['zone']}; pay and fees are those of the chain"]
    for token in ("nos", "sol"):
        price = known["prices"][token]
        if price["micro"] is None:
            said.append(f"{token.upper()}: {price['origin']}")
        else:
            at = "" if price["taken"] is None else f", {amounts.moment(price['taken'])}"
            worth = f"{price['micro'] / 1e6:,.4f} {currency}"
            said.append(f"{token.upper()} at {worth} ({price['origin']}{at}), whatever it was then")
    if total["metered"]:
        listed = ", ".join(f"{count} by {_SOURCES.get(name, name)}" for name, count in sorted(total["metered"].items()))
        said.append(f"energy of jobs, at their GPUs: {listed}; of idle hours nothing is metered, and none is counted")
    if total["unmetered"]:
        said.append(f"energy not known: {total['unmetered']} of {total['jobs']} jobs")
    if total["cost_estimated"]:
        said.append("~ cost: where the tariff changed during a job, its use is taken to be even over its time")
    if total["pay_estimated"]:
        said.append(f"~ pay: of {total['pay_estimated']} jobs by their accounts; no endpoint had the record")
    if total["pay_unknown"]:
        said.append(f"pay not known: {total['pay_unknown']} jobs; no endpoint had their records")
    if total["spent_estimated"]:
        said.append(f"~ fees: of {total['spent_estimated']} transactions by their bytes; no endpoint had the record")
    if total["fee"] is None:
        both = amounts.sol(total["lamports"])
        said.append(f"fees and rent were booked as one figure by an older gpunode: {both} together")
    if total["lacks"]:
        said.append(f"net is not known without {', '.join(total['lacks'])}")
    return said


_SOURCES = {"counter": "the GPUs' counters", "power": "power samples", "simulated": "simulation: no real energy"}
