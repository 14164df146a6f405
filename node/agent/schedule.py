"""Which operation of a job runs when.

Groups run one after the other, in the order in which they first appear. The operations of a group run side by side,
each once everything it depends on is ready, and each once. An operation that fails ends its group, and later groups do
not run. An operation that was begun before the agent ended is gone on with, whatever it depends on: its container may
run.

Sources: Nosana node; where it starts dependents twice, or before all they depend on are ready, this does not.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import Enum, auto

from node.agent.step import Step
from node.api.owner.port import Progress
from node.container.ending import status_of
from node.container.stop import StopSignal
from node.errors import OwnerRefused
from node.records import OperationStatus, PlannedOperation
from node.retry import Clock

Perform = Callable[[Step], Awaitable[None]]
"""Brings one step to its end; makes it ready on the way."""


class _Turn(Enum):
    """What comes next for an operation that waits."""

    WAIT = auto()
    START = auto()
    NEVER = auto()
    PASSED = auto()


class Schedule:
    """The operations of one job, from first to last."""

    def __init__(self, steps: Sequence[Step], perform: Perform, stop: StopSignal, clock: Clock) -> None:
        """`stop` ends the whole job. Who makes the steps calls `wake` whenever one has changed."""
        self.steps = tuple(steps)
        self.current_group: str | None = None
        self._perform = perform
        self._stop = stop
        self._clock = clock
        self._by_id = {step.id: step for step in self.steps}
        self._order = [self._by_id[each.id] for each in in_order([step.operation for step in self.steps])]
        self._changed = asyncio.Event()
        self._target: str | None = None
        """The group to go on with; None: the next one."""
        self._again: list[Step] | None = None
        """Operations of the current group that are to run anew; None: no group runs."""

    async def complete(self) -> None:
        """Bring every operation to its end. Cancelling leaves containers running."""
        for step in self.steps:
            if not step.has_begun and not step.is_over:
                step.show(Progress.PENDING)
        for name, members in self._groups():
            if self._target not in (None, name):
                for step in members:
                    if not step.is_over and not step.has_begun:
                        await self._pass_over(step, has_start=True)
                continue
            self.current_group, self._target = name, None
            await self._run(members)
        self.current_group = None

    def wake(self) -> None:
        """Look again: something about a step has changed."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def restart(self, step: Step) -> None:
        """Run an operation of the current group anew, whether it is over or runs; one that waits goes on waiting.
        Raises OwnerRefused when the group's end came first."""
        if self._again is None:
            raise OwnerRefused("GROUP_NOT_ACTIVE")
        if step.is_over:
            self._again.append(step)
        elif step.has_begun:
            step.show(Progress.RESTARTING)
            step.controls.restart()
        self.wake()

    def move(self, group: str) -> None:
        """End the current group, and go on with a later one; what lies between is passed over. Raises OwnerRefused."""
        names = [name for name, _ in self._groups()]
        if group not in names:
            raise OwnerRefused("GROUP_NOT_FOUND")
        if self._again is None or self.current_group is None or names.index(group) <= names.index(self.current_group):
            raise OwnerRefused("GROUP_NOT_ACTIVE")
        self._target = group
        for step in self.steps:
            if step.operation.group == self.current_group:
                step.end_alone("Operation stopped by its owner")
        self.wake()

    # --- a group --------------------------------------------------------------------------------------------

    def _groups(self) -> list[tuple[str, list[Step]]]:
        names = dict.fromkeys(step.operation.group for step in self.steps)
        turns = turns_of([step.operation for step in self.steps])
        return [(name, [step for step in self._order if turns[step.id] == place]) for place, name in enumerate(names)]

    async def _run(self, members: Sequence[Step]) -> None:
        """One group; `members` are in the order of their dependencies."""
        is_late = not any(step.has_begun for step in members) and (self._is_stopped or _failed(self.steps) is not None)
        waiting = [step for step in members if not step.has_begun and not step.is_over]
        running: dict[asyncio.Task[None], Step] = {}
        async with asyncio.TaskGroup() as group:
            stopping = group.create_task(self._wake_when_stopped())

            def ended(task: asyncio.Task[None]) -> None:
                del running[task]
                self.wake()

            def start(step: Step) -> None:
                task = group.create_task(_coroutine(self._perform, step))
                running[task] = step
                task.add_done_callback(ended)

            for step in members:
                if step.has_begun and not step.is_over:
                    start(step)
            self._again = []
            while waiting or running or self._again:
                changed = self._changed
                await self._begin_again(running.values(), start)
                waiting = [step for step in waiting if not await self._settle(step, members, is_late, start)]
                self._pass_on(tuple(running.values()), members)
                if (waiting or running) and changed is self._changed:
                    await changed.wait()
            self._again = None
            stopping.cancel()

    async def _begin_again(self, running: Iterable[Step], start: Callable[[Step], None]) -> None:
        # One that is over may still be tidying up behind its old container.
        busy = set(running)
        for step in [each for each in self._again or () if each not in busy]:
            self._again = [each for each in self._again or () if each is not step]
            if step.is_over and not self._is_stopped:
                await step.begin_again()
                start(step)

    @property
    def _is_stopped(self) -> bool:
        return self._stop.cause is not None

    async def _wake_when_stopped(self) -> None:
        await self._stop.wait()
        self.wake()

    def _pass_on(self, running: Sequence[Step], members: Sequence[Step]) -> None:
        """Give the job's word to end, and the end of others, to what runs."""
        steps = [step for step in running if not step.is_over]
        if self._stop.cause is not None:
            for step in steps:
                step.show(Progress.STOPPING)
            return
        for step in steps:
            if reason := self._reason_to_end(step, members):
                step.end_alone(reason)

    def _reason_to_end(self, step: Step, members: Sequence[Step]) -> str:
        if (failed := _failed(members)) is not None:
            return f"Operation stopped because operation {failed.id} of its group failed"
        if step.operation.stop_with_dependencies:
            for name in step.operation.depends_on:
                if self._by_id[name].is_over:
                    return f"Operation stopped because operation {name} ended"
        return ""

    # --- one operation --------------------------------------------------------------------------------------

    async def _settle(self, step: Step, members: Sequence[Step], is_late: bool, start: Callable[[Step], None]) -> bool:
        """Act on what comes next for an operation that waits; whether it waits no more."""
        match _Turn.PASSED if is_late else self._turn(step, members):
            case _Turn.WAIT:
                step.show(Progress.WAITING)
                return False
            case _Turn.START:
                step.show(Progress.STARTING)
                start(step)
            case _Turn.NEVER:
                step.is_barred = True
            case _Turn.PASSED:
                await self._pass_over(step, has_start=is_late or not step.operation.depends_on)
        return True

    def _turn(self, step: Step, members: Sequence[Step]) -> _Turn:
        needed = [self._by_id[name] for name in step.operation.depends_on]
        if self._is_stopped:
            return _Turn.PASSED
        if any(other.is_barred or (other.is_over and not other.is_ready) for other in needed):
            return _Turn.NEVER
        if step.is_told_to_end or _failed(self.steps) is not None:
            return _Turn.PASSED
        if not all(other.is_ready for other in needed):
            return _Turn.WAIT
        if step.operation.stop_with_dependencies and any(other.is_over for other in needed if other in members):
            return _Turn.PASSED
        return _Turn.START

    async def _pass_over(self, step: Step, *, has_start: bool) -> None:
        """Record an operation that will not run; one that waited for others in the current group has no start."""
        now = round(self._clock.time() * 1000)
        cause = self._stop.cause
        await step.change(
            status=OperationStatus.STOPPED if cause is None else status_of(0, cause),
            started_ms=now if has_start else None,
            ended_ms=now,
            exit_code=0,
            cause=cause,
            stopped=step.is_told_to_end and cause is None,
        )


async def _coroutine(perform: Perform, step: Step) -> None:
    await perform(step)


def _failed(steps: Sequence[Step]) -> Step | None:
    return next((step for step in steps if step.has_failed), None)


def in_order(operations: Sequence[PlannedOperation]) -> list[PlannedOperation]:
    """Each after all it depends on, else in the order given. What depends on itself in a circle is at the end."""
    by_id = {each.id: each for each in operations}
    missing = {each.id: len(set(each.depends_on)) for each in operations}
    dependents: dict[str, list[str]] = {}
    for each in operations:
        for name in dict.fromkeys(each.depends_on):
            dependents.setdefault(name, []).append(each.id)
    free = deque(each.id for each in operations if not missing[each.id])
    order: list[PlannedOperation] = []
    while free:
        name = free.popleft()
        order.append(by_id[name])
        for other in dependents.get(name, ()):
            missing[other] -= 1
            if not missing[other]:
                free.append(other)
    return [*order, *(each for each in operations if missing[each.id])]


def turns_of(operations: Sequence[PlannedOperation]) -> dict[str, int]:
    """In which turn of the groups each operation runs: its own group's, or that of the last one it depends on."""
    places = {name: place for place, name in enumerate(dict.fromkeys(each.group for each in operations))}
    turns: dict[str, int] = {}
    for each in in_order(operations):
        turns[each.id] = max((places[each.group], *(turns.get(name, 0) for name in each.depends_on)))
    return turns
