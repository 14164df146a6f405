"""`gpunode status`: the agent, its lanes and its latest jobs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli import amounts, output
from node.cli.failure import ATTENTION
from node.cli.options import JsonOption, SettingsOption

if TYPE_CHECKING:
    from node.cli.status_screen import Look

WATCH_SECONDS = 1.0


def status(
    settings: SettingsOption = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on showing it, once a second.")] = False,
    everything: Annotated[bool, typer.Option("--all", "-a", help="List every lane, however many.")] = False,
    latency: Annotated[bool, typer.Option("--latency", help="With what each leg of jobs' ways took.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what the agent and each lane are doing, and why.

    JSON: `state` (`serving`, `resting`, `attention`, `stopped`), `attention` [`lane`, `what`, `fix`, `since`], the
    agent (`running`, `version`, `cluster`, `pid`, `started_at`, `gpu_provider`, `gpus`, `lanes`, `health`, `services`
    that jobs expose), `recent` (runs), `earned` (`days`, `today` and `span`: `jobs`, `paid`, `pay` in micro-NOS,
    `pay_unknown`, `lamports` spent, `millijoules`), `latency` (`since`, `runs`, `legs`: `leg`, `count`, `p50`, `p95`
    in ms, each null where no run tells). A lane's `earning` (`earning`, `code`, `sentence`, `asked_at`) is what the
    chain shows of it, whether an agent runs or not. Exit status 3 when a person should act: no agent runs, or a lane
    is degraded.
    """
    from node.cli import place, screen
    from node.cli.status_read import StatusReader, needs_attention
    from node.cli.status_screen import Look, fitted, lines

    reader = StatusReader(place.load(settings))
    draws = screen.is_screen()

    def look() -> Look:
        # A pipe has no width: nothing is cut or wrapped for it but where COLUMNS says so.
        return Look(output.width(), time.time(), output.on_terminal(), everything, latency)

    if not watch:
        known = place.run(reader.read())
        output.emit(known, as_json, lambda: print("\n".join(lines(known, look()))))
        if needs_attention(known):
            raise typer.Exit(ATTENTION)
        return
    with screen.screen(draws=draws and not as_json) as draw:

        def show(known: dict[str, Any]) -> None:
            if as_json:
                output.json_line(known)
            else:
                draw(fitted(lines(known, look()), screen.size(draws=draws)[1]))

        place.run(watching(reader.read, show, asyncio.sleep))


async def watching(
    read: Callable[[], Awaitable[dict[str, Any]]],
    show: Callable[[dict[str, Any]], None],
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Read and show it once a second, until interrupted."""
    from node.api.client import AgentSilent

    while True:
        # One that ends while it is asked is gone a second later; what was shown stays until then.
        with suppress(AgentSilent):
            show(await read())
        await sleep(WATCH_SECONDS)


_FITTING: tuple[tuple[int, Sequence[int]], ...] = ((132, range(5)), (112, (0, 1, 2, 4)), (90, (0, 1, 4)))
"""Columns of the terminal from which on these of a table of runs fit."""


def show_runs(runs: list[dict[str, Any]]) -> None:
    """Runs as a table."""
    columns = ["job", "began", "took", "end", "pay"]
    keep: Sequence[int] = range(5)
    if output.on_terminal():
        # What a narrow terminal has no room for is left out; `jobs show` has it.
        keep = next((kept for least, kept in _FITTING if output.width() >= least), range(0, 5, 4))
    rows = [[_run(run)[i] for i in keep] for run in runs]
    output.table([columns[i] for i in keep], rows, "no jobs yet")


_ENDS = {
    "completed": "ran to its end",
    "expired": "its time was over",
    "stopped": "ended by its poster",
    "host": "given up by this host",
    "invalid": "invalid definition",
    "unplanned": "no order suits its operations",
}
LONGEST_END = 60
"""Characters of a reason in a table; `gpunode jobs show` has it whole."""


def run_end(run: dict[str, Any]) -> str:
    """How a run ended, or where it is."""
    settled = run["settlement"]
    if settled is None:
        return f"at {run['stage']}"
    if settled["kind"] in ("quit", "lost"):
        return f"{settled['kind']}: {run['refusal'] or settled['reason']}"
    return _ENDS.get(str(run["cause"]), str(run["cause"] or settled["kind"]))


def _run(run: dict[str, Any]) -> list[object]:
    settled, end = run["settlement"], run_end(run)
    return [
        run["job"],
        amounts.moment(run["run_time"]),
        amounts.duration(run_seconds(run)),
        end if len(end) <= LONGEST_END else end[: LONGEST_END - 1] + "…",
        None if settled is None else amounts.nos(settled["pay"]),
    ]


def run_seconds(run: dict[str, Any]) -> float | None:
    """How long the stages took together, or have taken so far."""
    spent = [seconds for seconds in run["stages"].values() if seconds is not None]
    if run["settlement"] is None and run["run_time"]:
        return max(0.0, float(int(time.time() - run["run_time"])))
    return sum(spent) if spent else None
