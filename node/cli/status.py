"""`gpunode status`: the agent, its lanes and its latest jobs."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from node.cli import amounts, output
from node.cli.failure import ATTENTION
from node.cli.options import JsonOption, SettingsOption

WATCH_SECONDS = 1.0


def status(
    settings: SettingsOption = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again whenever it changes.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what the agent and each lane are doing, and why.

    JSON: the agent (`running`, `version`, `cluster`, `pid`, `started_at`, `gpu_provider`, `gpus`, `lanes`, `health`,
    `services` that jobs expose) and `recent` (runs). A lane's `earning` (`earning`, `code`, `sentence`, `asked_at`) is
    what the chain shows of it, whether an agent runs or not. Exit status 3 when a person should act: no agent runs, or
    a lane is degraded.
    """
    from node.cli import agent_state, earning, place

    loaded = place.load(settings)
    if watch:
        _watch(settings, as_json)
        return
    known = place.run(earning.complete(loaded, agent_state.read_status(loaded)))
    output.emit(known, as_json, lambda: show(known))
    if needs_attention(known):
        raise typer.Exit(ATTENTION)


def needs_attention(known: dict[str, Any]) -> bool:
    """Whether a person should act: no agent runs, or a lane cannot serve."""
    return not known["running"] or any(lane["phase"] == "degraded" for lane in known["lanes"])


def show(known: dict[str, Any]) -> None:
    """The screen for people."""
    if known["running"]:
        since = amounts.duration(int(time.time() - known["started_at"]))
        output.line(f"gpunode {known['version']} on {known['cluster']}, running for {since} (process {known['pid']})")
        output.line(gpu_line(known))
        for line in health_lines(known):
            output.line(line)
    else:
        output.note("no agent is running; this is what its journal holds (start it: gpunode run)")
    output.line()
    rows = [_lane(lane, known["recent"], known["running"]) for lane in known["lanes"]]
    output.table(["lane", "state", "for", "place", "job", "what"], rows, "no lanes")
    for lane in known["lanes"]:
        if lane.get("earning") is not None:
            output.line(f"{lane['lane']}: {lane['earning']['sentence']}")
    for lane in known["lanes"]:
        for job in lane.get("trailing", ()):
            output.line(f"{lane['lane']}: the pay of job {job} is still on its way")
    for service in known.get("services", ()):
        url = service["url"] or "private: its owner knows where"
        output.line(
            f"service of {service['job']}, {service['operation']} {service['port']}: {url} ({service['status']})"
        )
    if known["recent"]:
        output.line()
        show_runs(known["recent"])


def gpu_line(known: dict[str, Any]) -> str:
    """One line on the GPUs, which never hides that they are simulated."""
    names = [gpu["name"] for gpu in known["gpus"]]
    listed = ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names)) or "none"
    simulated = "  [simulated: no real GPU is used]" if known["gpu_provider"] == "simulated" else ""
    return f"GPUs: {listed}{simulated}"


def health_lines(known: dict[str, Any]) -> list[str]:
    """How what the agent depends on stands: one line, and one more for each that is not well."""
    seen = known.get("health", [])
    if not seen:
        return []
    names = list(dict.fromkeys(each["subject"] for each in seen))
    worst = {name: {each["state"] for each in seen if each["subject"] == name} for name in names}
    order = ("failing", "unknown", "ok")
    line = ", ".join(f"{name} {next(state for state in order if state in worst[name])}" for name in names)
    return [f"Health: {line}", *(_trouble(each) for each in seen if each["state"] != "ok")]


def _trouble(seen: dict[str, Any]) -> str:
    whose = f" of {seen['lane']}" if seen["lane"] else ""
    hint = f" ({seen['hint']})" if seen["hint"] else ""
    effect = "; no job is taken until that is over" if seen["hinders"] else ""
    spent = amounts.duration(max(0, int(time.time() - seen["since"])))
    return f"  {seen['subject']}{whose} {seen['state']} for {spent}: {seen['reason']}{hint}{effect}"


def show_runs(runs: list[dict[str, Any]]) -> None:
    """Runs as a table."""
    output.table(["job", "began", "took", "end", "pay"], [_run(run) for run in runs], "no jobs yet")


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


def _lane(lane: dict[str, Any], runs: list[dict[str, Any]], running: bool) -> list[object]:
    state = lane["phase"] if lane["stage"] is None else f"{lane['phase']} ({lane['stage']})"
    if not running:
        # The journal holds what was last shown; nobody is in that state now.
        state = f"was {state}"
    spot = None if lane["position"] is None else f"{lane['position']} of {lane['queue_length'] or '?'}"
    spent = amounts.duration(max(0, int(time.time() - lane["since"])))
    return [lane["lane"], state, spent, spot, lane["job"], lane["progress"] or _reason(lane, runs)]


def _reason(lane: dict[str, Any], runs: list[dict[str, Any]]) -> str | None:
    """The lane's reason, less what the other columns say; of a job, how much of its time is left."""
    reason = str(lane["reason"])
    if lane["position"] is not None and reason.startswith("place "):
        return None
    run = next((run for run in runs if run["job"] == lane["job"] and run["settlement"] is None), None)
    if run is None or reason != f"{lane['stage']}: job {lane['job']}":
        return reason
    left = int(run["run_time"] + run["timeout"] - time.time())
    return f"{amounts.duration(left)} of {amounts.duration(run['timeout'])} left" if left > 0 else "its time is over"


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


def _watch(settings: Path | None, as_json: bool) -> None:
    """Until interrupted: a terminal is drawn anew, a pipe gets one block (or JSON line) per change."""
    from node.cli import agent_state, place

    loaded = place.load(settings)
    before: object = None
    while True:
        known = place.run(agent_state.read_status(loaded))
        if output.on_terminal() and not as_json:
            sys.stdout.write("\x1b[H\x1b[2J")
            show(known)
        elif known != before:
            output.emit(known, as_json, lambda known=known: show(known))  # type: ignore[misc]
        sys.stdout.flush()
        before = known
        time.sleep(WATCH_SECONDS)
