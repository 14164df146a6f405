"""One lane: a key, a market, a set of GPUs and at most one job at a time.

    checking -> joining -> queued(position) -> working(job, stage) -> joining ...
    paused(until), draining, degraded(reason), stopped

The lane is a loop of turns. A turn looks at the journal and at the chain, does the one thing that is next, and ends;
nothing of it is remembered but what the journal keeps. So a restart, a failed turn and an operator's word are all the
same: another turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

from node.agent.board import Board
from node.agent.edges import Standing
from node.agent.pipeline import Callbacks, JobPipeline, JobServices
from node.agent.waiting import plain_errors
from node.errors import EngineUnavailable, GpunodeError, JournalError, LaneDegraded, RpcUnavailable
from node.journal.rows import LaneRow
from node.market.watch import Assigned, LaneEvent, NotQueued, Queued
from node.records import Address, Assignment, Gpu, LanePhase, LaneStatus, SettleKind, Settlement, Stage
from node.retry import Retry, sleep_or

log = logging.getLogger(__name__)

OUTAGE_RETRY = Retry(attempts=1, total=0.0, first=0.5, longest=15.0)  # only its waits: a lane never gives up
CHECK_AGAIN = 30.0
"""Seconds after which a degraded lane looks again by itself."""
OUTAGES = (RpcUnavailable, EngineUnavailable)
"""Unknown, not failed: the lane keeps its state and says what it waits for."""
LONGEST_SLEEP = 3600.0


@dataclass(frozen=True, slots=True)
class LaneServices:
    """What a lane needs besides what its jobs need."""

    jobs: JobServices
    check: Callable[[], Awaitable[None]]
    """Whether the host can serve: cluster, engine, disk. Raises a GpunodeError that says what is wrong."""
    gpus: Callable[[], Awaitable[tuple[Gpu, ...]]]
    """The lane's GPUs; raises GpuError or LaneDegraded."""


class Lane:
    """The state machine of one lane."""

    def __init__(self, name: str, market_address: Address, services: LaneServices) -> None:
        self.name = name
        self._services = services
        self._market = services.jobs.market
        self._journal = services.jobs.journal
        self._clock = services.jobs.clock
        self._wake = asyncio.Event()
        self._resumed = asyncio.Event()
        self._ending = False
        self._adopting = False
        self._checked = False
        self._pipeline: JobPipeline | None = None
        self._failures = 0
        self._board = Board(
            LaneStatus(
                lane=name,
                node=self._market.node,
                market=market_address,
                phase=LanePhase.CHECKING,
                reason="starting",
                since=self._clock.time(),
            ),
            self._journal,
            self._clock,
        )

    @property
    def status(self) -> LaneStatus:
        """What the lane is doing, and why."""
        return self._board.status

    # --- what an operator may ask -----------------------------------------------------------------------------

    async def drain(self) -> None:
        """Finish the job at hand, leave the queue, take no more."""
        await self._wish("drain", None)

    async def pause(self, seconds: float | None) -> None:
        """As drain, and join again after `seconds` (None: after `resume`)."""
        await self._wish("pause", None if seconds is None else self._clock.time() + seconds)

    async def resume(self) -> None:
        """Undo drain and pause; a degraded lane looks again at once."""
        await self._wish("", None)

    async def adopt(self) -> None:
        """As resume, and take over a queue place or run that the journal did not ask for."""
        self._adopting = True
        await self._wish("", None)

    def quit(self) -> None:
        """Give the job at hand back, leave the queue, and end the lane; `run` returns when that is done."""
        self._ending = True
        if self._pipeline is not None:
            self._pipeline.quit("the operator stopped the agent and gave its jobs back")
        self._wake.set()

    async def _wish(self, wish: str, paused_until: float | None) -> None:
        await self._journal.set_wish(self.name, wish, paused_until)
        await self._board.note(
            {"": "resumed", "drain": "draining", "pause": "pausing"}[wish] + " as the operator asked"
        )
        self._checked = False
        if self.status.job is not None and self.status.stage is not None:
            await self._show_working(self.status.job, self.status.stage)
        self._wake.set()

    # --- the loop ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Make the lane known to the journal; before `run` and before any wish."""
        with contextlib.suppress(GpunodeError):
            # The check says what is wrong with them; a job that is taken up again must not wait for it.
            self._board.set_gpus(await self._services.gpus())
        await self._journal.save_lane(self.status)

    async def run(self) -> None:
        """Take turns until the lane was told to quit. Cancelling detaches: containers and queue place stay."""
        with plain_errors():
            async with asyncio.TaskGroup() as group:
                tending = group.create_task(self._tend())
                while not await self._is_over():
                    await self._guarded_turn()
                tending.cancel()
        await self._show(LanePhase.STOPPED, "the operator stopped the agent", level="info")

    async def leave(self) -> None:
        """Leave the queue for a stop that keeps no place; errors are only logged, the agent is ending."""
        try:
            if await self._market.leave() is not None:
                await self._journal.set_queued(self.name, None)
        except GpunodeError as error:
            log.warning("cannot leave the queue: %s", error.message)

    async def _tend(self) -> None:
        """See transactions of an earlier life through, then look after ours; whatever happens, go on with it."""
        failures = 0
        while True:
            try:
                if not self._resumed.is_set():
                    await self._market.resume()
                    self._resumed.set()
                await self._market.tend()
            except GpunodeError as error:
                log.warning("looking after transactions: %s", error.message)
            except Exception:
                # Jobs must not end with it: they look at the chain themselves.
                log.exception("looking after transactions failed unexpectedly")
            await self._clock.sleep(OUTAGE_RETRY.wait(min(failures, 8)))
            failures += 1

    async def _is_over(self) -> bool:
        if not self._ending:
            return False
        try:
            return await self._is_clear()
        except JournalError as error:
            log.warning("cannot tell whether anything is left to give back: %s", _line(error))
            return False

    async def _is_clear(self) -> bool:
        """Whether the lane holds nothing that must be given back before it ends."""
        if await self._journal.open_jobs(self.name):
            return False
        row = await self._row()
        return row.queued_since is None

    async def _guarded_turn(self) -> None:
        self._wake.clear()
        try:
            with plain_errors():
                await self._turn()
            self._failures = 0
        except OUTAGES as error:
            await self._show(self.status.phase, f"waiting: {_line(error)}", level="info")
            await sleep_or(self._clock, OUTAGE_RETRY.wait(min(self._failures, 8)), self._wake)
            self._failures += 1
        except GpunodeError as error:
            self._checked = False
            await self._show(LanePhase.DEGRADED, _line(error), level="error")
            await sleep_or(self._clock, CHECK_AGAIN, self._wake)
        except Exception:
            # A bug must not take other lanes' jobs down with this one; the log has the traceback.
            log.exception("the lane failed unexpectedly")
            self._checked = False
            await self._show(LanePhase.DEGRADED, "internal error; see the agent's log", level="error")
            await sleep_or(self._clock, CHECK_AGAIN, self._wake)

    async def _show(self, phase: LanePhase, reason: str, *, level: str) -> None:
        """Show why a turn failed, also where that is the journal itself: the other lanes' jobs must not end with it."""
        try:
            await self._board.show(phase, reason, level=level)
        except JournalError as error:
            log.error("%s; the journal cannot keep that: %s", reason, _line(error))

    async def _turn(self) -> None:
        """Do the one thing that is next."""
        unfinished = await self._journal.open_jobs(self.name)
        if unfinished:
            # Before any check: a job that is under way must not wait for funds or for the chain.
            await self._work(await self._journal.assignment(unfinished[0].run))
            return
        row = await self._row()
        if not (self._checked or self._ending or row.wish):
            await self._check()
        await self._resumed.wait()
        standing = await self._current(await self._market.standing())
        await self._check_owned(standing, row)
        if standing.runs:
            await self._serve()
        elif self._ending or row.wish:
            await self._rest(standing, row)
        else:
            if standing.position is None:
                await self._join()
            await self._serve()

    async def _current(self, standing: Standing) -> Standing:
        """The standing less runs that the journal knows to be settled: an endpoint that lags still shows them."""
        runs = [run for run in standing.runs if not await self._is_settled(run.address)]
        return replace(standing, runs=tuple(runs))

    async def _is_settled(self, run: Address) -> bool:
        return any(job.stage is Stage.DONE for job in await self._journal.job(run))

    async def _check(self) -> None:
        # Looked at again and again, a trouble that lasts stays what is shown: it is written down once, not each time.
        if self._failures == 0 and self.status.phase is not LanePhase.DEGRADED:
            await self._board.show(LanePhase.CHECKING, "checking host, wallet and market")
        await self._services.check()
        gpus = await self._services.gpus()
        self._board.set_gpus(gpus)
        await self._market.prepare()
        await self._market.register(gpus)
        self._checked = True

    async def _check_owned(self, standing: Standing, row: LaneRow) -> None:
        """Refuse to go on with a run or queue place that somebody else asked for with our key."""
        what = "has a job" if standing.runs else "waits in the queue" if standing.position is not None else ""
        adopting, self._adopting = self._adopting, False
        if row.queued_since is not None or not what:
            return
        if adopting:
            await self._journal.set_queued(self.name, self._clock.time())
            await self._board.note(f"the key {what}: taken over as the operator asked", level="warning")
        else:
            raise LaneDegraded(
                f"key {self.status.node} {what} that this journal did not ask for",
                hint="the key is used elsewhere or the journal was lost; gpunode resume --adopt takes it over",
            )

    async def _join(self) -> None:
        await self._board.show(LanePhase.JOINING, "joining the market")
        # Durable before `work` is sent: what the chain does with it is then known to be ours.
        await self._journal.set_queued(self.name, self._clock.time())
        await self._market.join()

    async def _rest(self, standing: Standing, row: LaneRow) -> None:
        """Stay out of the queue as long as the operator wishes."""
        if standing.position is not None:
            await self._board.show(LanePhase.DRAINING, "leaving the queue")
            if await self._market.leave() is None:
                return
        # Only where the chain shows neither run nor place, so that nothing of ours is forgotten.
        await self._journal.set_queued(self.name, None)
        if self._ending:
            return
        if row.wish == "drain":
            await self._board.show(LanePhase.DRAINING, "drained; gpunode resume joins again")
            await self._wake.wait()
        elif row.paused_until is None:
            await self._board.show(LanePhase.PAUSED, "paused; gpunode resume joins again")
            await self._wake.wait()
        else:
            await self._pause(row.paused_until)

    async def _pause(self, until: float) -> None:
        left = until - self._clock.time()
        if left <= 0:
            await self._journal.set_wish(self.name, "", None)
            return
        await self._board.show(
            LanePhase.PAUSED, f"paused for {left / 60:.0f} more minutes; gpunode resume joins at once"
        )
        await sleep_or(self._clock, min(left, LONGEST_SLEEP), self._wake)

    # --- waiting for a job, and working -----------------------------------------------------------------------

    async def _serve(self) -> None:
        """Wait for a job, or for a word of the operator, and do it."""
        async with self._market.watch() as events, asyncio.TaskGroup() as group:
            following = group.create_task(self._follow(events))
            waking = group.create_task(self._wake.wait())
            await asyncio.wait((following, waking), return_when=asyncio.FIRST_COMPLETED)
            following.cancel()
            waking.cancel()
        assignment = None if following.cancelled() else following.result()
        if assignment is not None:
            await self._work(assignment)

    async def _follow(self, events: AsyncIterator[LaneEvent]) -> Assignment | None:
        async for event in events:
            match event:
                case Assigned(assignment):
                    if not await self._is_settled(assignment.run.address):
                        return assignment
                case Queued(position, length):
                    await self._board.show(
                        LanePhase.QUEUED, f"place {position} of {length} in the queue", position=position, length=length
                    )
                case NotQueued():
                    # The mark that we asked stays: a run that shows up late is ours, and joining again sets it anew.
                    return None
        return None

    async def _work(self, assignment: Assignment) -> None:
        job = assignment.job.address
        callbacks = Callbacks(
            on_stage=lambda _, stage: self._board.later(lambda: self._show_working(job, stage)),
            on_progress=self._board.progress,
            on_trouble=lambda _, stage, error: self._board.later(lambda: self._show_trouble(job, stage, error)),
        )
        self._pipeline = JobPipeline(assignment, self._services.jobs, callbacks)
        if self._ending:
            self.quit()
        try:
            async with asyncio.TaskGroup() as group:
                telling = group.create_task(self._board.tell())
                settlement = await self._pipeline.complete()
                telling.cancel()
        finally:
            self._pipeline = None
            self._board.leave_job()
        # What this host could not do once it is to be looked at before the next job comes.
        self._checked = self._checked and settlement.kind is not SettleKind.QUIT
        await self._tell_settled(settlement)

    async def _show_working(self, job: Address, stage: Stage) -> None:
        last = self._ending or (await self._row()).wish
        phase = LanePhase.DRAINING if last else LanePhase.WORKING
        await self._board.show(phase, f"{stage.value}: job {job}", job=job, stage=stage)

    async def _show_trouble(self, job: Address, stage: Stage, error: GpunodeError) -> None:
        """Trouble in a job that is not given up: a line, or a state of its own when a person has to act."""
        line = _line(error)
        if isinstance(error, LaneDegraded):
            await self._board.show(LanePhase.DEGRADED, f"{stage.value}: {line}", job=job, stage=stage, level="error")
        else:
            log.warning("%s: trying again: %s", stage.value, line)
        self._board.progress(f"trying again: {line}")

    async def _tell_settled(self, settlement: Settlement) -> None:
        pay = f", paid {settlement.pay / 1e6:.6f} NOS" if settlement.pay else ""
        reason = f": {settlement.reason}" if settlement.reason else ""
        lost = settlement.kind is SettleKind.LOST
        await self._board.note(
            f"job {settlement.job} settled ({settlement.kind.value}{pay}){reason}",
            job=settlement.job,
            level="warning" if lost else "info",
        )

    async def _row(self) -> LaneRow:
        row = await self._journal.lane(self.name)
        assert row is not None, "start() made the row"
        return row


def _line(error: GpunodeError) -> str:
    """What is wrong and what to do about it."""
    return f"{error.message} ({error.hint})" if error.hint else error.message
