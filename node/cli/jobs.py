"""`gpunode jobs`: the jobs this host has run."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli import amounts, output
from node.cli.options import JsonOption, SettingsOption

if TYPE_CHECKING:
    from node.journal.job_filter import JobFilter

group = typer.Typer(help="Show the jobs this host has run.", invoke_without_command=True)
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many, newest first.")]
SkipOption = Annotated[int, typer.Option("--skip", min=0, help="So many of the newest are left out: the next page.")]
LaneOption = Annotated[str | None, typer.Option("--lane", help="Only of this lane.", show_default=False)]
StateOption = Annotated[
    str | None,
    typer.Option("--state", metavar="working|settling|done|quit|lost", help="Only in this state.", show_default=False),
]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only from then on: 2h, 7d or 2026-03-01.", show_default=False),
]


@group.callback()
def jobs(
    context: typer.Context,
    settings: SettingsOption = None,
    limit: LimitOption = 20,
    skip: SkipOption = 0,
    lane: LaneOption = None,
    state: StateOption = None,
    since: SinceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the jobs this host has run.

    JSON: `running`, `jobs` (runs: `run`, `job`, `lane`, `stage`, `stages`, `cause`, `refusal`, `settlement` ...).
    """
    if context.invoked_subcommand is None:
        _list(settings, limit, _wanted(lane, state, since, skip), as_json)


@group.command("list")
def list_(
    settings: SettingsOption = None,
    limit: LimitOption = 20,
    skip: SkipOption = 0,
    lane: LaneOption = None,
    state: StateOption = None,
    since: SinceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the latest jobs.

    JSON: `running`, `jobs` (runs: `run`, `job`, `lane`, `stage`, `stages`, `cause`, `refusal`, `settlement` ...).
    """
    _list(settings, limit, _wanted(lane, state, since, skip), as_json)


@group.command()
def show(
    job: Annotated[str, typer.Argument(help="Address of a job or of its run.", metavar="JOB")],
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one job: its way, operations, result, receipt, pay and energy.

    JSON: `running`, `job`, `runs` (as `jobs list` has them, with `operations`: `id`, `status`, `exit_code`, `errors`,
    `log`, `network` (bytes `received` and `sent` over the job's network) ...), and `moments` (name to unix ms:
    `queued`, `assigned` by the chain's clock, `picked_up`, `pulled`, `prepared`, `started`, `first_health`,
    `first_output`, `exited`, `uploaded`, `settled`; those not seen are not there), `legs` (ms between them),
    `energy` (`millijoules`, `source`; null: not known).
    """
    from node.cli import agent_state, place

    known = place.run(agent_state.read_job(place.load(settings), job))
    output.emit(known, as_json, lambda: _show(known))


def _wanted(lane: str | None, state: str | None, since: str | None, skip: int) -> JobFilter:
    from node.errors import UsageError
    from node.journal.job_filter import JobFilter, JobState

    if state is not None and state not in set(JobState):
        raise UsageError(f"no job is ever {state!r}", hint=f"use {', '.join(JobState)}")
    return JobFilter(lane, None if state is None else JobState(state), moment_of(since, time.time()), skip)


def moment_of(text: str | None, now: float) -> float | None:
    """Unix seconds of `2h` (ago), a day or a time of ISO 8601; None of None. Raises UsageError."""
    from node.errors import UsageError

    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        pass
    try:
        return now - amounts.parse_duration(text)
    except UsageError:
        raise UsageError(f"{text!r} is not a time", hint="write 90s, 2h, 7d, or 2026-03-01 12:30") from None


def _list(settings: Path | None, limit: int, wanted: JobFilter, as_json: bool) -> None:
    from node.cli import agent_state, place
    from node.cli.status import show_runs

    known = place.run(agent_state.read_jobs(place.load(settings), limit, wanted))
    output.emit(known, as_json, lambda: show_runs(known["jobs"]))
    if not as_json and len(known["jobs"]) == limit:
        output.note(f"older ones: --skip {wanted.skip + limit}")


def _show(known: dict[str, Any]) -> None:
    for number, run in enumerate(known["runs"]):
        if number:
            output.line()
        _show_run(run)


def _show_run(run: dict[str, Any]) -> None:
    from node.cli.status import run_end

    settled = run["settlement"] or {}
    stages = ", ".join(f"{name} {amounts.duration(spent) or '…'}" for name, spent in run["stages"].items())
    output.fields(
        [
            ("job", run["job"]),
            ("run", run["run"]),
            ("state", run_end(run)),
            ("lane", run["lane"]),
            ("market", run["market"]),
            ("poster", run["poster"]),
            ("began", amounts.moment(run["run_time"])),
            ("timeout", amounts.duration(run["timeout"])),
            ("price", f"{amounts.nos(run['price'])} a second"),
            ("stages", stages),
            ("definition", run["definition_cid"]),
            ("result", run["result_cid"]),
            ("receipt", run["receipt_cid"]),
            ("settled", settled.get("kind")),
            ("signature", settled.get("signature")),
            ("pay", amounts.nos(settled["pay"]) if settled else None),
            ("fee", amounts.sol(settled["fee"]) if settled else None),
            ("energy", _energy(run.get("energy"))),
            ("reason", None if settled.get("kind") in ("quit", "lost") else settled.get("reason") or None),
        ]
    )
    show_way(run.get("moments") or {})
    operations = run.get("operations") or []
    if operations:
        output.line()
        output.table(
            ["operation", "status", "exit", "took", "log", "received", "sent"],
            [_operation(item) for item in operations],
        )
    for item in operations:
        for error in item["errors"]:
            code = "" if error["code"] is None else f" {error['code']}"
            output.line(f"  {item['id']}: {error['message']} ({error['event']}{code})")


_SOURCES = {"counter": "metered", "power": "from power samples", "simulated": "simulated: no real energy"}


def _energy(energy: dict[str, Any] | None) -> str | None:
    if energy is None:
        return None
    return f"{energy['millijoules'] / 3.6e6:.3g} Wh ({_SOURCES.get(energy['source'], energy['source'])})"


def show_way(moments: dict[str, int]) -> None:
    """When the job came to each point of its way, and how long after the one before."""
    from node.cli.status_screen import milliseconds

    before: int | None = None
    for number, (name, at) in enumerate(moments.items()):
        if not number:
            output.line()
        # The chain tells whole seconds.
        clock = datetime.fromtimestamp(at / 1000).astimezone().strftime("%H:%M:%S.%f")[:-3]
        gap = "" if before is None else f"+ {milliseconds(max(0, at - before))}"
        output.line(f"{name.replace('_', ' '):<13} {clock}  {gap}".rstrip())
        before = at


def _operation(item: dict[str, Any]) -> list[object]:
    log = item["log"]
    cut = " (cut: over the limit)" if log is not None and log["truncated"] else ""
    kept = None if log is None else f"{amounts.size(log['length'])}{cut}"
    began, ended = item["started_ms"], item["ended_ms"]
    took = None if began is None or ended is None else amounts.duration((ended - began) / 1000)
    return [item["id"], item["status"], item["exit_code"], took, kept, *_traffic(item)]


def _traffic(item: dict[str, Any]) -> list[str | None]:
    network = item.get("network") or {}
    return [amounts.size(network[way]) if way in network else None for way in ("received", "sent")]
