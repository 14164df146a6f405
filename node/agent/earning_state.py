"""Whether a lane earns, in one sentence: from what the chain shows, never from a process being alive."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from node.chain.instructions import staking
from node.errors import ChainError, MarketError
from node.journal.reader import JournalReader
from node.market.funds import FundsReport
from node.market.join import CLOSED
from node.market.lane_view import LaneView
from node.records import Address, EarningState, QueueType

MICRO_NOS = 1_000_000
LAMPORTS = 1_000_000_000
PATIENCE = 5.0
"""Seconds for which the chain is waited for."""


@dataclass(frozen=True, slots=True)
class LaneHistory:
    """What the journal adds. Times in unix seconds."""

    last_job: float | None = None
    """When the last job was settled with pay."""
    median_wait: float | None = None
    """Seconds from the queue to a job, of the last ones."""
    wish: str = ""
    """What the operator asked of the lane: nothing, `drain` or `pause`."""
    reason: str = ""
    """Why the lane of a running agent is in no queue, in its own words; empty: no agent runs."""


def earning_state(view: LaneView, history: LaneHistory, market: Address, now: float) -> EarningState:
    """The sentence. `market`: the one of the settings."""
    if view.market is None:
        return _no("no-market", f"there is no market {market}: gpunode market list", now)
    if view.runs:
        return _working(view, now)
    if view.position is not None:
        spot = f"queued {view.position} of {len(view.market.queue)} in market {short(market)}"
        return EarningState(True, "queued", f"{spot}, {_past(history, now)}", now)
    return _nowhere(view, history, market, now)


def _working(view: LaneView, now: float) -> EarningState:
    run, job = view.runs[0], view.job
    spent = max(int(now) - run.time, 0)
    what = f"job {short(run.job)} for {span(spent)}"
    if job is None:
        return EarningState(True, "working", f"earning: {what}", now)
    if not job.price:
        return EarningState(False, "working", f"not earning: {what}, of a market that pays nothing", now)
    over = spent >= job.timeout
    so_far = f"{nos(job.price * min(spent, job.timeout))} so far"
    return EarningState(
        True, "working", f"earning: {what}, {so_far}" + ("; its time is over, it is to be settled" if over else ""), now
    )


def _nowhere(view: LaneView, history: LaneHistory, market: Address, now: float) -> EarningState:
    assert view.market is not None
    report = view.funds
    if view.market.job_type == CLOSED and view.market.queue_type is not QueueType.JOBS:
        return _no("closed", f"market {short(market)} lets no node wait: name another in the lane's settings", now)
    if view.access:
        return _no("access-key", f"{view.access}: get one from the market's owner", now)
    if report is not None and (trouble := _stake_trouble(report)):
        return _no("stake", trouble, now)
    if report is not None and report.missing:
        missing = f"{report.missing / LAMPORTS:.9f}".rstrip("0")
        return _no("sol", f"wallet {report.node} lacks {missing} SOL to join with: send it SOL", now)
    if history.wish:
        said = {"drain": "drained", "pause": "paused"}.get(history.wish, history.wish)
        return _no("operator", f"{said} as the operator asked: gpunode resume", now)
    why = history.reason or "no agent runs for it: gpunode run"
    return _no("not-queued", f"the queue of market {short(market)} does not know this key: {why}", now)


def _stake_trouble(report: FundsReport) -> str:
    stake = report.stake
    if stake is None and not report.xnos_minimum:
        # The agent makes an empty one by itself when it joins.
        return ""
    if stake is None:
        return f"the market asks for a stake of {nos(report.xnos_minimum)} of weight: gpunode stake create"
    if stake.time_unstake:
        return "the stake is being taken out: withdraw it and make a new one (gpunode stake withdraw)"
    if not report.missing_xnos:
        return ""
    more = staking.amount_for(report.xnos_minimum, stake.duration) - stake.amount
    plain = nos(more).removesuffix(" NOS")
    return f"stake {plain} NOS below the market's minimum: gpunode stake topup {plain.replace(',', '')}"


def _past(history: LaneHistory, now: float) -> str:
    last = "no paid job yet" if history.last_job is None else f"last job {span(now - history.last_job)} ago"
    wait = "" if history.median_wait is None else f", median wait {span(history.median_wait)}"
    return last + wait


def _no(code: str, why: str, now: float) -> EarningState:
    return EarningState(False, code, f"not earning: {why}", now)


def unknown(why: str, now: float) -> EarningState:
    """Where the chain cannot be asked."""
    return EarningState(None, "unknown", f"not known whether it earns: {why}", now)


async def read_history(journal: JournalReader, lane: str, reason: str = "") -> LaneHistory:
    """What the journal knows of a lane. `reason`: of a running agent, why it is in no queue."""
    row = await journal.lane(lane)
    waits = await journal.waits(lane)
    return LaneHistory(
        await journal.last_paid(lane),
        statistics.median(waits) if waits else None,
        "" if row is None else row.wish,
        reason,
    )


async def ask(
    look: Callable[[], Awaitable[LaneView]],
    journal: JournalReader | None,
    lane: str,
    market: Address,
    reason: str,
    now: Callable[[], float],
) -> EarningState:
    """One lane's state now; a chain that cannot be read in time is said, not guessed at."""
    try:
        async with asyncio.timeout(PATIENCE):
            view = await look()
    except TimeoutError:
        return unknown(f"the chain did not answer within {PATIENCE:.0f} s", now())
    except (ChainError, MarketError) as error:
        return unknown(error.message, now())
    history = LaneHistory(reason=reason) if journal is None else await read_history(journal, lane, reason)
    return earning_state(view, history, market, now())


def short(address: str) -> str:
    """An address as people tell it from others."""
    return address if len(address) < 12 else f"{address[:4]}…{address[-4:]}"


def nos(micro: int) -> str:
    """`0.034 NOS`."""
    whole, part = divmod(micro, MICRO_NOS)
    digits = f"{part:06d}".rstrip("0")
    return f"{whole:,}{'.' if digits else ''}{digits} NOS"


def span(seconds: float) -> str:
    """`50 min`, `3 h`, `2 d`: the largest unit that says enough."""
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit or (unit != 86_400 and seconds >= unit):
            return f"{int(seconds // unit)} {name}"
    return f"{max(int(seconds), 0)} s"
