"""Sees that a job leaves its GPUs as it found them, before its lane takes another.

What a lane's GPUs were like before a job is in the journal before anything of the job starts, and stays there until
they were looked at after it: a restart in between changes nothing.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from node.errors import GpuError, LaneDegraded
from node.gpu.hygiene import GIB, Comparison, Owner, OwnerOf, compare
from node.gpu.state import GpuProcess, GpuState, parse_text
from node.journal.gpu_states import KeptStates
from node.journal.journal import Journal
from node.records import Address, HealthState, SubjectHealth
from node.retry import Clock
from node.settings import Settings

log = logging.getLogger(__name__)

LOOK_AGAIN = 1.0
"""Seconds between looks while memory and processes may still go away by themselves."""
SHARING = "gpu sharing"
"""The subject under which status shows who else uses the GPUs."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What is no defect yet."""

    vram: int
    """Bytes in use beyond those before the job."""
    seconds: float
    """For which what may go away by itself is waited for."""


ReadStates = Callable[[tuple[str, ...]], Awaitable[tuple[GpuState, ...]]]
"""What GPUs are left with now, by their UUIDs; raises GpuError."""


class LaneHygiene:
    """The GPUs of one lane, before and after each of its jobs."""

    def __init__(
        self,
        lane: str,
        states: ReadStates,
        journal: Journal,
        clock: Clock,
        tolerance: Tolerance,
        *,
        proc: Path = Path("/proc"),
        accepted: Callable[[], None] = lambda: None,
    ) -> None:
        """`proc`: where processes are looked up; `accepted` is told when the operator takes GPUs as they are."""
        self._lane = lane
        self._states = states
        self._journal = journal
        self._clock = clock
        self._tolerance = tolerance
        self._proc = proc
        self._accepted = accepted
        self._told = False
        self._sharing: SubjectHealth | None = None

    @property
    def subjects(self) -> tuple[SubjectHealth, ...]:
        """Who else was seen on these GPUs, for status; empty: nobody."""
        return () if self._sharing is None else (self._sharing,)

    async def begin(self, run: Address, uuids: tuple[str, ...]) -> tuple[str, ...]:
        """Keep what the GPUs are like before a run; call before anything of it starts. Lines worth telling."""
        kept = await self._journal.gpu_states.of(self._lane)
        try:
            states = await self._states(uuids)
        except GpuError as error:
            log.warning("what the GPUs are like before the job is not known: %s", error.line)
            return ()
        holders = [self._holder(state.uuid, process) for state in states for process in state.processes or ()]
        self._show_sharing(holders)
        texts = {state.uuid: state.text() for state in states if not state.is_blank}
        if kept is not None and kept.run != run:
            # They were not looked at since an earlier job: what it left must not become the new normal.
            texts |= {uuid: text for uuid, text in kept.states.items() if uuid in texts}
        if texts:
            await self._journal.gpu_states.put(self._lane, run, texts)
        return tuple(f"before the job, {holder}" for holder in holders)

    async def users(self, uuid: str) -> tuple[str, ...]:
        """Who uses this GPU now, with more memory than is no defect (a screen has some); in words. Raises GpuError."""
        return tuple(
            self._holder(state.uuid, process)
            for state in await self._states((uuid,))
            for process in state.processes or ()
            if process.used_bytes is None or process.used_bytes > self._tolerance.vram
        )

    async def settle(self, on_progress: Callable[[str], None]) -> None:
        """Return when the GPUs are as they were before the last job; `on_progress` is told what is waited for. Raises
        LaneDegraded with what is not, and GpuError where they cannot be looked at."""
        kept = await self._journal.gpu_states.of(self._lane)
        if kept is None:
            return
        until = self._clock.monotonic() + (0.0 if self._told else self._tolerance.seconds)
        while True:
            comparisons = await self._look(kept)
            defects = [defect for each in comparisons for defect in each.defects]
            if not defects:
                break
            if all(defect.lasting for defect in defects) or self._clock.monotonic() >= until:
                self._told = True
                on_progress("")
                texts = "; ".join(dict.fromkeys(defect.text for defect in defects))
                raise LaneDegraded(f"after run {kept.run}: {texts}", hint=defects[0].hint)
            on_progress(f"waiting for the GPUs: {defects[0].text}")
            await self._clock.sleep(LOOK_AGAIN)
        on_progress("")
        if self._told:
            await self._journal.add_event("the GPUs are as before the job again", lane=self._lane)
        await self._forget()

    async def accept(self) -> None:
        """Take what was found for the new normal, as the operator asks; without effect where nothing was told yet."""
        self._accepted()
        if self._told:
            await self._journal.add_event(
                "the GPUs are taken as they are, as the operator asked", lane=self._lane, level="warning"
            )
            await self._forget()

    async def _forget(self) -> None:
        await self._journal.gpu_states.clear(self._lane)
        self._told = False

    async def _look(self, kept: KeptStates) -> list[Comparison]:
        owner = await self._owner_of(kept.run)
        try:
            after = {state.uuid: state for state in await self._states(tuple(kept.states))}
        except GpuError:
            self._told = True
            raise
        found, holders = [], []
        for uuid, text in kept.states.items():
            try:
                before = parse_text(text)
            except ValueError as error:
                log.warning("what %s was like before run %s cannot be read: %s", uuid, kept.run, error)
                continue
            comparison = compare(before, after.get(uuid, GpuState(uuid)), owner, self._tolerance.vram)
            found.append(comparison)
            holders += [self._holder(uuid, process) for process in comparison.strangers]
        self._show_sharing(holders)
        return found

    async def _owner_of(self, run: Address) -> OwnerOf:
        containers = {state.container_id for state in await self._journal.operations(run)} - {None}

        def owner(pid: int) -> Owner:
            try:
                groups = (self._proc / str(pid) / "cgroup").read_text("utf-8", "replace")
            except OSError:
                return Owner.GONE
            return Owner.JOB if any(container in groups for container in containers if container) else Owner.OTHER

        return owner

    def _holder(self, uuid: str, process: GpuProcess) -> str:
        try:
            name = (self._proc / str(process.pid) / "comm").read_text("utf-8", "replace").strip()
        except OSError:
            name = ""
        named = f" ({''.join(c if c.isprintable() else '?' for c in name)})" if name else ""
        memory = "" if process.used_bytes is None else f" with {process.used_bytes / GIB:.2f} GiB"
        return f"process {process.pid}{named} uses {uuid}{memory}"

    def _show_sharing(self, holders: list[str]) -> None:
        if not holders:
            self._sharing = None
            return
        known = self._sharing
        self._sharing = SubjectHealth(
            subject=SHARING,
            lane=self._lane,
            state=HealthState.FAILING,
            reason="; ".join(holders),
            hint="jobs have that much less of the GPU; close it while the lane serves",
            since=self._clock.time() if known is None else known.since,
            hinders=False,
        )


def open_hygiene(
    settings: Settings, states: ReadStates, journal: Journal, clock: Clock, accepted: Callable[[str], None]
) -> dict[str, LaneHygiene]:
    """One for each lane of the settings, by the lane's name; `accepted` is told the lane whose operator takes its GPUs
    as they are."""
    tolerance = Tolerance(settings.gpu.vram_slack_bytes, settings.gpu.settle)
    return {
        lane.name: LaneHygiene(
            lane.name, states, journal, clock, tolerance, accepted=functools.partial(accepted, lane.name)
        )
        for lane in settings.lanes
    }


class NoHygiene:
    """For GPUs of which nothing can be known."""

    async def begin(self, run: Address, uuids: tuple[str, ...]) -> tuple[str, ...]:  # noqa: ARG002
        """Nothing is kept."""
        return ()

    async def settle(self, on_progress: Callable[[str], None]) -> None:
        """Nothing is compared."""

    async def accept(self) -> None:
        """There is nothing to accept."""
