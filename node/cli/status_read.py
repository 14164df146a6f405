"""What `gpunode status` shows, read: the agent's document, what was earned, and what the legs of jobs' ways took."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from node.errors import GpunodeError

if TYPE_CHECKING:
    from node.settings import Settings

Known = dict[str, Any]

SPAN_DAYS = 7
"""Days, today among them, of earnings and of latencies."""
SLOWLY = 30.0
"""Seconds for which a screen that is watched goes on showing sums that change slowly."""
RESTING = ("draining", "paused", "stopped")


class StatusReader:
    """Reads it, again and again where it is watched."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._now = now
        self._sums: Known = {}
        self._taken = float("-inf")

    async def read(self) -> Known:
        """Everything, with `state` and `attention`. Raises ControlError where there is neither agent nor journal."""
        from node.cli import agent_state, earning

        known = await earning.complete(self._settings, agent_state.read_status(self._settings))
        if not 0 <= self._now() - self._taken < SLOWLY:
            self._sums = await self._slow()
            self._taken = self._now()
        return judged({**known, **self._sums})

    async def _slow(self) -> Known:
        from node.agent.earnings.tariff import zone_of
        from node.cli import agent_state
        from node.cli.earnings import span

        try:
            since, until = span(None, None, SPAN_DAYS, zone_of(self._settings.earnings), self._now())
            money = await agent_state.read_money(self._settings, since, until)
            latency = await agent_state.read_latency(self._settings, since)
        except GpunodeError:
            # An agent of another version: the rest of the screen is worth having all the same.
            return {"earned": None, "latency": None}
        return {"earned": self._earned(money), "latency": latency}

    def _earned(self, money: Any) -> Known:
        from node.agent.earnings.prices import Price, Prices
        from node.agent.earnings.report import By, Line, report
        from node.agent.earnings.tariff import day_of, zone_of

        unknown = Price(None, "")
        zone = zone_of(self._settings.earnings)
        made = report(money, By.DAY, self._settings.earnings, Prices(unknown, unknown), zone)
        today = next((line for line in made.lines if line.key == day_of(self._now(), zone)), Line(""))
        return {"days": SPAN_DAYS, "today": _sum(today), "span": _sum(made.total)}


def _sum(line: Any) -> Known:
    return {
        "jobs": line.jobs,
        "paid": line.paid,
        "pay": line.pay,
        "pay_unknown": line.pay_unknown,
        "lamports": line.lamports,
        "millijoules": line.millijoules if line.metered else None,
    }


def judged(known: Known) -> Known:
    """With `state` (`serving`, `resting`: all lanes drained or paused; `attention`, `stopped`: no agent runs) and
    `attention`: what a person should see to, each with `lane` (empty: the host), `what` and `fix`."""
    attention = [*_host(known), *(each for lane in known["lanes"] for each in _lane(lane, known["running"]))]
    state = "stopped"
    if known["running"]:
        resting = all(lane["phase"] in RESTING for lane in known["lanes"])
        state = "attention" if needs_attention(known) else "resting" if resting else "serving"
    return {**known, "state": state, "attention": attention}


def needs_attention(known: Known) -> bool:
    """Whether a person should act: no agent runs, or a lane cannot serve."""
    return not known["running"] or any(lane["phase"] == "degraded" for lane in known["lanes"])


def _host(known: Known) -> list[Known]:
    found = []
    if not known["running"]:
        found.append(_row("", "no agent is running; this is what its journal holds", "gpunode run"))
    for each in known.get("health", []):
        if each["state"] != "ok":
            effect = "; no job is taken until that is over" if each["hinders"] else ""
            what = f"{each['subject']} {each['state']}: {each['reason']}"
            found.append({**_row(each["lane"], f"{what}{effect}", each["hint"]), "since": each["since"]})
    return found


def _lane(lane: Known, running: bool) -> list[Known]:
    earning = lane.get("earning")
    if running and lane["phase"] == "degraded":
        return [{**_row(lane["lane"], lane["reason"], ""), "since": lane["since"]}]
    if earning is not None and earning["earning"] is False and earning["code"] not in ("operator", "not-queued"):
        return [_row(lane["lane"], earning["sentence"], "")]
    return []


def _row(lane: str, what: str, fix: str) -> Known:
    return {"lane": lane, "what": what, "fix": fix, "since": None}
