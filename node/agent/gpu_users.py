"""Whose a process on a GPU is: a job's, this agent's, or somebody else's."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from node.gpu.hygiene import Owner
from node.gpu.state import GpuProcess, GpuState
from node.journal.reader import JournalReader
from node.records import Address

_MOST_ANCESTORS = 64
_MOST_KNOWN = 10_000
_CONTAINER = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class GpuUser:
    """A process on a GPU, and whose it is."""

    process: GpuProcess
    owner: Owner
    """`gone`: not to be seen from here, so that nobody can tell."""
    job: Address | None = None
    """Which job's."""

    @property
    def name(self) -> str:
        """For people."""
        return self.process.names[0] if self.process.names else f"process {self.process.pid}"

    @property
    def is_stranger(self) -> bool:
        """Whether it is known to be neither a job's nor this agent's."""
        return self.owner is Owner.OTHER


class GpuUsers:
    """Tells them apart, by the containers of the jobs at hand."""

    def __init__(self, journal: JournalReader, proc: Path = Path("/proc")) -> None:
        """`journal`: which jobs there are, of all lanes that ever were; `proc`: where processes are looked up."""
        self._journal = journal
        self._proc = proc
        self._self = os.getpid()
        self._jobs: Mapping[str, Address] = {}
        """By the id of the container, as last read."""
        self._known: dict[str, GpuUser] = {}
        """Judged for good, by what a process is and will be: its number and when it began."""

    async def of(self, state: GpuState) -> tuple[GpuUser, ...]:
        """Who uses a GPU; raises JournalError."""
        processes = state.processes or ()
        marks = [self._mark(each.pid) for each in processes]
        if any(mark is not None and mark not in self._known for mark in marks):
            # Read anew for each newcomer, so that no job's program is ever taken for a stranger's.
            self._jobs = await self._containers()
        return tuple(self._user(each, mark) for each, mark in zip(processes, marks, strict=True))

    async def _containers(self) -> Mapping[str, Address]:
        found = {}
        for lane in await self._journal.lanes():
            for job in await self._journal.open_jobs(lane.status.lane):
                for operation in await self._journal.operations(job.run):
                    if operation.container_id:
                        found[operation.container_id] = job.job
        return found

    def _user(self, process: GpuProcess, mark: str | None) -> GpuUser:
        if mark is None:
            return GpuUser(process, Owner.GONE)
        known = self._known.get(mark)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            groups = self._groups(process.pid)
            known = GpuUser(process, Owner.GONE) if groups is None else self._judged(process, groups)
            if known.owner is not Owner.OTHER or not _CONTAINER.search(groups or ""):
                # A stranger's container may turn out to be a job's that the journal has not told of yet.
                self._known[mark] = known
        return replace(known, process=process)

    def _groups(self, pid: int) -> str | None:
        try:
            return (self._proc / str(pid) / "cgroup").read_text("utf-8", "replace")
        except OSError:
            return None

    def _judged(self, process: GpuProcess, groups: str) -> GpuUser:
        job = next((job for container, job in self._jobs.items() if container in groups), None)
        if job is not None:
            return GpuUser(process, Owner.JOB, job)
        return GpuUser(process, Owner.AGENT if self._is_ours(process.pid) else Owner.OTHER)

    def _mark(self, pid: int) -> str | None:
        """Tells a process from a later one of its number; None: it is not to be seen."""
        fields = self._stat(pid)
        return None if fields is None or len(fields) < 20 else f"{pid} {fields[19]}"

    def _stat(self, pid: int) -> list[str] | None:
        """The kernel's words on a process, from its state on (proc(5), `stat`)."""
        try:
            return (self._proc / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            return None

    def _is_ours(self, pid: int) -> bool:
        """Whether it is this agent, or was started by it."""
        for _ in range(_MOST_ANCESTORS):
            if pid == self._self:
                return True
            fields = self._stat(pid)
            if fields is None or len(fields) < 2 or not fields[1].isdecimal() or int(fields[1]) <= 1:
                return False
            pid = int(fields[1])
        return False
