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

from node.agent.bench import Bench
from node.agent.board import Board
from node.agent.edges import HostHealth, Standing
from node.agent.pipeline import WORK, JobServices
from node.agent.waiting import plain_errors
from node.agent.work_shift import Shift, no_shift
from node.errors import EngineUnavailable, GpunodeError, JournalError, LaneDegraded, RpcUnavailable
from node.journal.rows import LaneRow
from node.market.watch import Assigned, LaneEvent, NotQueued, Queued
from node.records import Address, Assignment, Gpu, LanePhase, LaneStatus, SettleKind
from node.retry import Retry, sleep_or

log = logging.getLogger(__name__)

OUTAGE_RETRY = Retry(attempts=1, total=0.0, first=0.5, longest=15.0)  # only its waits: a lane never gives up
CHECK_AGAIN = 30.0
"""Seconds after which a degraded lane looks again by itself."""
OUTAGES = (RpcUnavailable, EngineUnavailable)
"""Unknown, not failed: the lane keeps its state and says what it waits for."""
LONGEST_SLEEP = 3600.0
DRAINED = "drained"  # how the reason of a lane begins that has left its queue as it was told
QUIT_PATIENCE = 60.0
"""Seconds for which a lane that is told to quit waits for pay that is on its way; the next start sees to the rest."""


@dataclass(frozen=True, slots=True)
class LaneServices:
    """What a lane needs besides what its jobs need."""

    jobs: JobServices
    check: Callable[[], Awaitable[None]]
    """Whether the host can serve: cluster, engine, disk. Raises a GpunodeError that says what is wrong."""
    gpus: Callable[[], Awaitable[tuple[Gpu, ...]]]
    """The lane's GPUs; raises GpuError or LaneDegraded."""
    health: HostHealth
    fence: Callable[[], Awaitable[None]]  # before each join: sees that jobs are kept off this host's network
    shift: Shift = no_shift
    """What the lane does while it is queued and idle; cancelled and awaited before anything of a job begins."""


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
        self._quit_reason = ""
        self._quit_at = float("inf")
        self._adopting = False
        self._checked = False
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
        self._bench = Bench(services.jobs, self._board, self._is_last, services.health.lost)

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
        await self._services.jobs.hygiene.accept()
        await self._wish("", None)

    async def adopt(self) -> None:
        """As resume, and take over a queue place or run that the journal did not ask for."""
        self._adopting = True
        await self.resume()

    def quit(self) -> None:
        """Give the job at hand back, leave the queue, and end the lane; `run` returns when that is done."""
        self._ending = True
        self._quit_at = min(self._quit_at, self._clock.monotonic())
        self._quit_reason = "the operator stopped the agent and gave its jobs back"
        self._bench.quit(self._quit_reason)
        self._wake.set()

    async def _wish(self, wish: str, paused_until: float | None) -> None:
        await self._journal.set_wish(self.name, wish, paused_until)
        await self._board.note(
            {"": "resumed", "drain": "draining", "pause": "pausing"}[wish] + " as the operator asked"
        )
        self._checked = False
        await self._bench.show_again()
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
                beside = [group.create_task(self._tend()), group.create_task(self._heed_reopened())]
                while not await self._is_over():
                    await self._guarded_turn(group)
                for task in beside:
                    task.cancel()
                self._bench.detach()
        await self._show(LanePhase.STOPPED, "the operator stopped the agent", level="info")

    async def leave(self) -> None:
        """Leave the queue for a stop that keeps no place; errors are only logged, the agent is ending."""
        try:
            if await self._market.leave() is None:
                return
            standing = await self._current(await self._market.standing())
            if not standing.runs and standing.position is None:
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

    async def _heed_reopened(self) -> None:
        """Take up a settled job again as soon as a fork has undone what settled it."""
        while True:
            await self._market.reopened()
            self._wake.set()

    async def _is_over(self) -> bool:
        if not self._ending:
            return False
        try:
            return await self._is_clear()
        except JournalError as error:
            log.warning("cannot tell whether anything is left to give back: %s", error.line)
            return False

    async def _is_clear(self) -> bool:
        """Whether the lane holds nothing that must be given back before it ends."""
        unfinished = await self._journal.open_jobs(self.name)
        if any(job.run not in self._bench.trail for job in unfinished):
            return False
        if unfinished and self._clock.monotonic() - self._quit_at < QUIT_PATIENCE:
            return False
        row = await self._row()
        return row.queued_since is None

    async def _guarded_turn(self, group: asyncio.TaskGroup) -> None:
        self._wake.clear()
        try:
            with plain_errors():
                await self._turn(group)
            self._failures = 0
        except OUTAGES as error:
            await self._show(self.status.phase, f"waiting: {error.line}", level="info")
            await sleep_or(self._clock, OUTAGE_RETRY.wait(min(self._failures, 8)), self._wake)
            self._failures += 1
        except GpunodeError as error:
            self._checked = False
            await self._show(LanePhase.DEGRADED, error.line, level="error")
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
            log.error("%s; the journal cannot keep that: %s", reason, error.line)

    async def _turn(self, group: asyncio.TaskGroup) -> None:
        """Do the one thing that is next; a job that is left behind goes on in `group`."""
        unfinished = [job for job in await self._journal.open_jobs(self.name) if job.run not in self._bench.trail]
        if unfinished:
            # Before any check: a job that is under way must not wait for funds or for the chain. One whose work is not
            # over comes first, because its time runs.
            first = min(unfinished, key=lambda job: job.stage not in WORK)
            await self._work(await self._journal.assignment(first.run), group)
            return
        row = await self._row()
        hindrance = None if self._ending or row.wish else self._services.health.hindrance()
        if not (self._checked or self._ending or row.wish or hindrance):
            await self._check()
        await self._resumed.wait()
        standing = await self._current(await self._market.standing())
        if self._wake.is_set() or await self._check_owned(standing, row):
            return
        assignment = None
        if standing.runs:
            assignment = await self._serve()
        elif hindrance is not None:
            await self._step_aside(standing, hindrance)
        elif self._ending or row.wish:
            await self._rest(standing, row)
        else:
            if standing.position is None:
                await self._services.jobs.hygiene.settle(self._board.progress)
                await self._join()
            assignment = await self._serve()
        if assignment is not None:
            await self._work(assignment, group)

    async def _current(self, standing: Standing) -> Standing:
        """The standing less runs that the journal knows: their pay is on its way, or an endpoint lags."""
        runs = [run for run in standing.runs if not await self._recognise(run.address)]
        return replace(standing, runs=tuple(runs))

    async def _recognise(self, run: Address) -> bool:
        """Whether the journal has the run. One given up as lost that a fork has brought back is for the next turn."""
        if await self._journal.reopen_lost(run, "the run that was given up as lost is there again: settled again"):
            self._wake.set()
        return bool(await self._journal.job(run))

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

    async def _check_owned(self, standing: Standing, row: LaneRow) -> bool:
        """Refuse to go on with a run or queue place that others asked for; True where it was taken over."""
        adopting, self._adopting = self._adopting, False
        what = standing.unasked(asked=row.queued_since is not None or standing.leaving)
        if not what:
            return False
        if not adopting:
            raise LaneDegraded(
                f"key {self.status.node} {what} that this journal did not ask for",
                hint="the key is used elsewhere or the journal was lost; gpunode resume --adopt takes it over",
            )
        await self._board.note(f"the key {what}: taken over as the operator asked", level="warning")
        for run in standing.runs:
            await self._journal.begin_job(await self._market.assignment(run))
        if standing.position is not None:
            await self._journal.set_queued(self.name, self._clock.time())
        return True

    async def _step_aside(self, standing: Standing, hindrance: LaneDegraded) -> None:
        """Be in no queue while this host cannot serve: a job that it gets and gives back costs its poster time."""
        if standing.position is not None:
            await self._board.note(f"leaving the queue: {hindrance.message}", level="warning")
            # Out of the queue is also who was given a job a moment before: the next turn sees which it is.
            await self._market.leave()
            return
        await self._journal.set_queued(self.name, None)
        raise hindrance

    async def _join(self) -> None:
        await self._services.fence()
        await self._board.show(LanePhase.JOINING, "joining the market")
        # Durable before `work` is sent: what the chain does with it is then known to be ours.
        await self._journal.set_queued(self.name, self._clock.time())
        await self._market.join()

    async def _rest(self, standing: Standing, row: LaneRow) -> None:
        """Stay out of the queue as long as the operator wishes."""
        if standing.position is not None:
            await self._board.show(LanePhase.DRAINING, "leaving the queue")
            # Out of the queue is also who was given a job a moment before: the next turn sees which it is.
            await self._market.leave()
            return
        # Only where the chain shows neither run nor place, so that nothing of ours is forgotten.
        await self._journal.set_queued(self.name, None)
        if self._ending:
            if self._bench.trail:
                await self._clock.sleep(1.0)
            return
        if row.wish == "drain":
            await self._board.show(LanePhase.DRAINING, f"{DRAINED}; gpunode resume joins again")
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

    async def _serve(self) -> Assignment | None:
        """Wait for a job; None where a word of the operator, or the host's health, comes first."""
        queued = asyncio.Event()
        async with self._market.watch() as events, asyncio.TaskGroup() as group:
            following = group.create_task(self._follow(events, queued))
            shift = group.create_task(self._services.shift(queued, lambda: self.status))
            others = [group.create_task(self._wake.wait()), group.create_task(self._services.health.hindered())]
            await asyncio.wait((following, *others), return_when=asyncio.FIRST_COMPLETED)
            for task in (following, shift, *others):
                task.cancel()
        return None if following.cancelled() else following.result()

    async def _follow(self, events: AsyncIterator[LaneEvent], queued: asyncio.Event) -> Assignment | None:
        async for event in events:
            match event:
                case Assigned(assignment):
                    if not await self._recognise(assignment.run.address):
                        return assignment
                case Queued(position, length):
                    await self._board.show(
                        LanePhase.QUEUED, f"place {position} of {length} in the queue", position=position, length=length
                    )
                    queued.set()
                case NotQueued():
                    # The mark that we asked stays: a run that shows up late is ours, and joining again sets it anew.
                    return None
        return None

    async def _work(self, assignment: Assignment, group: asyncio.TaskGroup) -> None:
        settlement = await self._bench.work(assignment, group, self._quit_reason)
        # What this host could not do once it is to be looked at before the next job comes.
        self._checked = self._checked and settlement is not None and settlement.kind is not SettleKind.QUIT

    async def _is_last(self) -> bool:
        """Whether no job is taken after the one at hand."""
        return self._ending or bool((await self._row()).wish)

    async def _row(self) -> LaneRow:
        row = await self._journal.lane(self.name)
        assert row is not None, "start() made the row"
        return row
