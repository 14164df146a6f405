"""The screen of `gpunode status`: lines of text for a width, from what was read. Nothing here reads a clock."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from node.cli import amounts, output

Known = dict[str, Any]

MANY = 12
"""Lanes above which they are counted, and only those listed that need somebody."""
LISTED = 10
"""Of those, how many are listed."""
LEAST = 28
"""Columns below which a lane's text does not stand beside its name."""
_HEADS = {
    "serving": ("serving", "32"),
    "resting": ("resting as you asked", "33"),
    "attention": ("needs attention", "31"),
    "stopped": ("stopped", "31"),
}
_COLOURS = {"working": "32", "queued": "36", "degraded": "31", "paused": "33", "draining": "33"}
_LEGS = {
    "queue": "wait in the queue",
    "pick_up": "pick up",
    "pull": "check, pull",
    "prepare": "prepare",
    "start": "start",
    "first_output": "to first output",
    "first_health": "to first health",
    "run": "run",
    "upload": "upload",
    "settle": "settle",
}


@dataclass(frozen=True, slots=True)
class Look:
    """How it is shown."""

    width: int
    now: float
    """Unix seconds."""
    colours: bool = False
    everything: bool = False
    """Every lane, however many."""
    legs: bool = False
    """With what the legs of jobs' ways took."""


def lines(known: Known, look: Look) -> list[str]:
    """The whole screen. No line is wider than the width, but for a word that is."""
    blocks = [
        _head(known, look),
        _attention(known, look),
        _lanes(known, look),
        _services(known, look),
        latency_lines(known.get("latency"), look.width) if look.legs else [],
        _recent(known, look),
    ]
    found: list[str] = []
    for block in blocks:
        if block:
            found += ["", *block] if found else block
    return found


def fitted(shown: Sequence[str], height: int) -> list[str]:
    """As much as a screen of this height holds."""
    if len(shown) <= height:
        return list(shown)
    return [*shown[: height - 1], f"… and {len(shown) - height + 1} more lines"]


# --- the parts ------------------------------------------------------------------------------------------------


def _head(known: Known, look: Look) -> list[str]:
    word, colour = _HEADS[known["state"]]
    if known["running"]:
        spent = lasted(look.now - known["started_at"])
        rest = f"gpunode {known['version']} on {known['cluster']}, up {spent} (process {known['pid']})"
    else:
        rest = f"gpunode on {known['cluster']}"
    found = _wrapped(_tinted(word, colour, look), len(word), f": {rest}", look)
    found += _wrapped("", 0, gpu_line(known), look) if known["running"] else []
    if known["running"] and known.get("health"):
        found += _wrapped("", 0, _health(known["health"]), look)
    if known.get("earned"):
        found += _wrapped("", 0, earned_line(known["earned"]), look)
    return found


def gpu_line(known: Known) -> str:
    """One line on the GPUs, which never hides that they are simulated."""
    names = [gpu["name"] for gpu in known["gpus"]]
    listed = ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names)) or "none"
    simulated = "  [simulated: no real GPU is used]" if known["gpu_provider"] == "simulated" else ""
    return f"GPUs: {listed}{simulated}"


def earned_line(earned: Known) -> str:
    """What jobs brought today and in the days before."""
    return f"Earned: today {_earned(earned['today'])}; last {earned['days']} days {_earned(earned['span'])}"


def _earned(line: Known) -> str:
    unknown = f" (and what {line['pay_unknown']} more brought)" if line["pay_unknown"] else ""
    return f"{amounts.nos(line['pay'])}{unknown} of {line['jobs']} job{'' if line['jobs'] == 1 else 's'}"


def _health(health: Sequence[Known]) -> str:
    states: dict[str, set[str]] = {}
    for each in health:
        states.setdefault(each["subject"], set()).add(each["state"])
    if all(found == {"ok"} for found in states.values()):
        return f"Health: ok ({len(states)} looked at)"
    order = ("failing", "unknown", "ok")
    listed = [f"{name} {next(state for state in order if state in found)}" for name, found in states.items()]
    return f"Health: {', '.join(listed)}"


def _attention(known: Known, look: Look) -> list[str]:
    found: list[str] = []
    for each in known["attention"]:
        whose = f"{each['lane']}: " if each["lane"] else ""
        spent = "" if each["since"] is None else f", for {lasted(look.now - each['since'])}"
        fix = f" ({each['fix']})" if each["fix"] else ""
        found += _wrapped(_tinted("!", "31", look), 1, f" {whose}{each['what']}{fix}{spent}", look, below=2)
    if not look.everything and len(found) > 3 * LISTED:
        return [*found[: 3 * LISTED], "… and more: gpunode status --all"]
    return found


def _lanes(known: Known, look: Look) -> list[str]:
    lanes = known["lanes"]
    if not lanes:
        return ["no lanes"]
    if len(lanes) <= MANY or look.everything:
        shown, found = lanes, []
    else:
        phases = [lane["phase"] for lane in lanes]
        counts = [f"{phases.count(phase)} {phase}" for phase in dict.fromkeys(sorted(phases, key=_order))]
        found = _wrapped("", 0, f"{len(lanes)} lanes: {', '.join(counts)} (--all lists them)", look)
        shown = [lane for lane in lanes if lane["phase"] == "degraded"][:LISTED]
    widest = max((len(lane["lane"]) for lane in shown), default=0)
    state = max((len(_state(lane, known["running"])) for lane in shown), default=0)
    for lane in shown:
        found += _lane(lane, known, look, (widest, state))
        for job in lane.get("trailing", ()):
            found += _wrapped("", 0, f"{lane['lane']}: the pay of job {job} is still on its way", look)
    return found


def _order(phase: str) -> int:
    order = ("working", "queued", "joining", "checking", "draining", "paused", "stopped", "degraded")
    return order.index(phase) if phase in order else len(order)


def _state(lane: Known, running: bool) -> str:
    text = str(lane["phase"]) if lane["stage"] is None else f"{lane['phase']} ({lane['stage']})"
    # The journal holds what was last shown; nobody is in that state now.
    return text if running else f"was {text}"


def _lane(lane: Known, known: Known, look: Look, widths: tuple[int, int]) -> list[str]:
    state = _state(lane, known["running"])
    spent = lasted(look.now - lane["since"])
    name = output.printable(lane["lane"]).ljust(widths[0])
    margin = widths[0] + widths[1] + 4
    start = f"{name}  {_tinted(state, _COLOURS.get(lane['phase'], '0'), look)}{' ' * (widths[1] - len(state))}"
    if look.width - margin < LEAST:
        return [start.rstrip(), *_wrapped("   ", 3, f" {_lane_text(lane, known, look, spent)}", look, below=4)]
    return _wrapped(start, margin - 2, f"  {_lane_text(lane, known, look, spent)}", look, below=margin)


def _lane_text(lane: Known, known: Known, look: Look, spent: str) -> str:
    earning = lane.get("earning")
    sentence = "" if earning is None else str(earning["sentence"])
    told = _told(earning) if earning is not None else ""
    parts = [f"for {spent}"]
    if lane["job"]:
        parts.append(_job_text(lane, known, look))
    elif lane["position"] is not None and not sentence.startswith("queued"):
        parts.append(f"place {lane['position']} of {lane['queue_length'] or '?'}")
    elif lane["phase"] != "degraded" and lane["reason"] not in sentence and not lane["reason"].startswith("place "):
        parts.append(str(lane["reason"]))
    if lane["progress"]:
        parts.append(str(lane["progress"]))
    # What needs somebody stands above.
    shown = {each["what"] for each in known["attention"] if each["lane"] == lane["lane"]}
    if sentence and sentence not in shown:
        parts.append(told)
    return "; ".join(parts)


def _told(earning: Known) -> str:
    """The sentence, less what stands beside it: the phase, and the job with its time."""
    sentence = str(earning["sentence"])
    if earning["code"] == "working" and earning["earning"]:
        return sentence.partition(", ")[2] or sentence
    return sentence.removeprefix("queued ")


def _job_text(lane: Known, known: Known, look: Look) -> str:
    run = next((run for run in known["recent"] if run["job"] == lane["job"] and run["settlement"] is None), None)
    reason = str(lane["reason"])
    if run is None or reason != f"{lane['stage']}: job {lane['job']}":
        return f"job {lane['job']}: {reason}" if lane["job"] not in reason else reason
    left = int(run["run_time"] + run["timeout"] - look.now)
    whole = amounts.duration(run["timeout"])
    rest = f"{lasted(left)} of {whole} left" if left > 0 else "its time is over"
    return f"job {lane['job']}, {rest}"


def _services(known: Known, look: Look) -> list[str]:
    found: list[str] = []
    for service in known.get("services", ()):
        url = service["url"] or "private: its owner knows where"
        what = f"service of {service['job']}, {service['operation']} {service['port']}: {url} ({service['status']})"
        found += _wrapped("", 0, what, look, below=2)
    return found


def latency_lines(latency: Known | None, width: int) -> list[str]:
    """What the legs of jobs' ways took."""
    if latency is None:
        return ["what jobs' ways took is not known: the agent is of another version"]
    if not latency["runs"]:
        return ["no job in this time"]
    rows = [("", "half took up to", "95 of 100", "jobs")]
    for leg in latency["legs"]:
        if leg["count"]:
            cells = (milliseconds(leg["p50"]), milliseconds(leg["p95"]), str(leg["count"]))
            rows.append((_LEGS.get(leg["leg"], leg["leg"]), *cells))
    wide = [max(len(row[i]) for row in rows) for i in range(4)]
    found = [f"Last {latency['runs']} jobs"]
    found += ["  " + "  ".join(cell.ljust(wide[i]) for i, cell in enumerate(row)).rstrip() for row in rows]
    return [line[:width] for line in found]


def lasted(seconds: float) -> str:
    """`3 h 12 min`: the two largest units of a length of time."""
    return " ".join((amounts.duration(max(0, int(seconds))) or "0 s").split()[:4])


def milliseconds(count: int | None) -> str:
    """`340 ms`, `12.3 s`, `4 min 10 s`; a dash for None."""
    if count is None:
        return "–"
    return f"{count} ms" if count < 1000 else str(amounts.duration(count / 1000))


def _recent(known: Known, look: Look) -> list[str]:
    from node.cli.status import run_end

    done = [run for run in known["recent"] if run["settlement"] is not None][:3]
    found = ["Last jobs"] if done else []
    for run in done:
        pay = amounts.nos(run["settlement"]["pay"])
        found += _wrapped("  ", 2, f"{run['job']}  {pay}  {run_end(run)}", look, below=4)
    return found


def _tinted(text: str, colour: str, look: Look) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if look.colours else text


def _wrapped(start: str, margin: int, text: str, look: Look, below: int = 0) -> list[str]:
    """`start` (which takes `margin` columns) and the text behind it, going on below at column `below`."""
    room, whole = max(8, look.width - below), output.printable(text)
    first = whole[: look.width - margin]
    if len(whole) > len(first):
        cut = whole.rfind(" ", 0, len(first) + 1)
        first = whole[:cut] if cut > 0 else first
    rest = whole[len(first) :].strip()
    more = textwrap.wrap(rest, room, break_long_words=False, break_on_hyphens=False) if rest else []
    return [f"{start}{first}".rstrip(), *(f"{' ' * below}{line}" for line in more)]
