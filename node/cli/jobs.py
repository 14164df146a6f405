"""`gpunode jobs`: the jobs this host has run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from node.cli import amounts, output
from node.cli.options import JsonOption, SettingsOption

group = typer.Typer(help="Show the jobs this host has run.", invoke_without_command=True)
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many, newest first.")]


@group.callback()
def jobs(
    context: typer.Context, settings: SettingsOption = None, limit: LimitOption = 20, as_json: JsonOption = False
) -> None:
    """Show the jobs this host has run.

    JSON: `running`, `jobs` (runs: `run`, `job`, `lane`, `stage`, `stages`, `cause`, `refusal`, `settlement` ...).
    """
    if context.invoked_subcommand is None:
        _list(settings, limit, as_json)


@group.command("list")
def list_(settings: SettingsOption = None, limit: LimitOption = 20, as_json: JsonOption = False) -> None:
    """List the latest jobs.

    JSON: `running`, `jobs` (runs: `run`, `job`, `lane`, `stage`, `stages`, `cause`, `refusal`, `settlement` ...).
    """
    _list(settings, limit, as_json)


@group.command()
def show(
    job: Annotated[str, typer.Argument(help="Address of a job or of its run.", metavar="JOB")],
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one job: stages, operations, result, receipt and pay.

    JSON: `running`, `job`, `runs` (as `jobs list` has them, with `operations`: `id`, `status`, `exit_code`, `errors`,
    `log`, `network` (bytes `received` and `sent` over the job's network) ...).
    """
    from node.cli import agent_state, place

    known = place.run(agent_state.read_job(place.load(settings), job))
    output.emit(known, as_json, lambda: _show(known))


def _list(settings: Path | None, limit: int, as_json: bool) -> None:
    from node.cli import agent_state, place
    from node.cli.status import show_runs

    known = place.run(agent_state.read_jobs(place.load(settings), limit))
    output.emit(known, as_json, lambda: show_runs(known["jobs"]))


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
            ("reason", None if settled.get("kind") in ("quit", "lost") else settled.get("reason") or None),
        ]
    )
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
