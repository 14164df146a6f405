"""Where a lane does its jobs: the one at hand in front, those whose pay is on its way behind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from node.agent.board import Board
from node.agent.pipeline import Callbacks, JobServices
from node.agent.trail import JobTask, Trail
from node.errors import GpunodeError, JournalError, LaneDegraded
from node.records import Address, Assignment, LanePhase, Plan, SettleKind, Settlement, Stage

log = logging.getLogger(__name__)


class Bench:
    """One per lane."""

    def __init__(
        self,
        services: JobServices,
        board: Board,
        is_last: Callable[[], Awaitable[bool]],
        lost: Callable[[], Awaitable[LaneDegraded]],
    ) -> None:
        """`is_last`: whether the lane takes no job after the one at hand; `lost`: returns when the lane's GPUs are
        known to be gone."""
        self._services = services
        self._board = board
        self._is_last = is_last
        self._lost = lost
        self._task: JobTask | None = None
        self._running: set[asyncio.Task[None]] = set()
        self.trail = Trail(board.set_trailing)

    def quit(self, reason: str) -> None:
        """Give the job at hand back."""
        if self._task is not None:
            self._task.pipeline.quit(reason)

    def detach(self) -> None:
        """Leave what goes on behind the lane to the next start."""
        for running in self._running:
            running.cancel()

    async def work(self, assignment: Assignment, group: asyncio.TaskGroup, quit_reason: str = "") -> Settlement | None:
        """Do a job, and say how it was settled. None: its work is over and it is in trouble since, so that it is left
        to go on by itself, in `group`. With a reason the job is given back at once."""
        task = self._task = JobTask(assignment, self._services, self._callbacks(assignment.job.address))
        if quit_reason:
            task.pipeline.quit(quit_reason)
        running = group.create_task(self._see_through(task))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        try:
            async with asyncio.TaskGroup() as showing:
                beside = [
                    showing.create_task(self._board.tell()),
                    showing.create_task(self._give_back_when_lost(task)),
                ]
                over = await task.until_over(self.trail.patience)
                for each in beside:
                    each.cancel()
            if not over:
                self.trail.take(task)
        finally:
            self._task = None
            self._board.leave_job()
            if assignment.run.address not in self.trail:
                if not task.is_over:
                    # The waiting was cut short. Nobody else would take the job up as long as it goes on here.
                    running.cancel()
                await asyncio.wait((running,))
        if task.error is not None:
            raise task.error
        if not over:
            job = assignment.job.address
            await self._board.note(f"job {job} goes on behind the lane: its pay is not there yet", job=job)
        return task.settlement

    async def show_again(self) -> None:
        """Show the job at hand anew: whether it is the last one has changed."""
        status = self._board.status
        if status.job is not None and status.stage is not None:
            await self._show_working(status.job, status.stage)

    async def _give_back_when_lost(self, task: JobTask) -> None:
        """A job whose GPU is gone cannot be done here; what would come of it is not to be billed."""
        loss = await self._lost()
        try:
            plan = await self._services.journal.stage_record(task.assignment.run.address, Stage.ADMIT)
            if isinstance(plan, Plan) and not plan.gpus:
                return  # it uses none
            job = task.assignment.job.address
            await self._board.note(f"giving job {job} back: {loss.message}", job=job, level="error")
        except JournalError as error:
            log.error("%s; the journal cannot keep that: %s", loss.message, error.line)
        task.pipeline.quit(loss.message)

    async def _see_through(self, task: JobTask) -> None:
        try:
            await task.run()
        finally:
            # Also where it is cut short: a lane that is started again takes it up anew.
            self.trail.drop(task)
        if task.settlement is None:
            return
        try:
            await self._tell_settled(task.settlement)
        except JournalError as error:
            log.error("job %s is settled; the journal cannot keep that line: %s", task.settlement.job, error.line)

    def _callbacks(self, job: Address) -> Callbacks:
        return Callbacks(
            on_stage=lambda _, stage: self._board.later(lambda: self._show_working(job, stage)),
            on_progress=self._board.progress,
            on_trouble=lambda _, stage, error: self._board.later(lambda: self._show_trouble(job, stage, error)),
        )

    async def _show_working(self, job: Address, stage: Stage) -> None:
        phase = LanePhase.DRAINING if await self._is_last() else LanePhase.WORKING
        await self._board.show(phase, f"{stage.value}: job {job}", job=job, stage=stage)

    async def _show_trouble(self, job: Address, stage: Stage, error: GpunodeError) -> None:
        """Trouble in a job that is not given up: a line, or a state of its own when a person has to act."""
        if isinstance(error, LaneDegraded):
            await self._board.show(
                LanePhase.DEGRADED, f"{stage.value}: {error.line}", job=job, stage=stage, level="error"
            )
        else:
            log.warning("%s: trying again: %s", stage.value, error.line)
        self._board.progress(f"trying again: {error.line}")

    async def _tell_settled(self, settlement: Settlement) -> None:
        pay = f", paid {settlement.pay / 1e6:.6f} NOS" if settlement.pay else ""
        reason = f": {settlement.reason}" if settlement.reason else ""
        lost = settlement.kind is SettleKind.LOST
        await self._board.note(
            f"job {settlement.job} settled ({settlement.kind.value}{pay}){reason}",
            job=settlement.job,
            level="warning" if lost else "info",
        )
