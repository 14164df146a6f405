"""Whose a process on a GPU is: a job's, this agent's, or somebody else's."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.gpu.hygiene import Owner
from node.gpu.state import GpuProcess, GpuState
from node.journal.reader import JournalReader
from node.records import Address

_MOST_ANCESTORS = 64


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

    def __init__(self, journal: JournalReader, lanes: Sequence[str], proc: Path = Path("/proc")) -> None:
        """`lanes`: the names of all lanes of this agent; `proc`: where processes are looked up."""
        self._journal = journal
        self._lanes = tuple(lanes)
        self._proc = proc
        self._self = os.getpid()

    async def of(self, state: GpuState) -> tuple[GpuUser, ...]:
        """Who uses a GPU; raises JournalError."""
        if not state.processes:
            return ()
        jobs = await self._containers()
        return tuple(self._user(process, jobs) for process in state.processes)

    async def _containers(self) -> Mapping[str, Address]:
        found = {}
        for lane in self._lanes:
            for job in await self._journal.open_jobs(lane):
                for operation in await self._journal.operations(job.run):
                    if operation.container_id:
                        found[operation.container_id] = job.job
        return found

    def _user(self, process: GpuProcess, jobs: Mapping[str, Address]) -> GpuUser:
        try:
            groups = (self._proc / str(process.pid) / "cgroup").read_text("utf-8", "replace")
        except OSError:
            return GpuUser(process, Owner.GONE)
        job = next((job for container, job in jobs.items() if container in groups), None)
        if job is not None:
            return GpuUser(process, Owner.JOB, job)
        return GpuUser(process, Owner.AGENT if self._is_ours(process.pid) else Owner.OTHER)

    def _is_ours(self, pid: int) -> bool:
        """Whether it is this agent, or was started by it."""
        for _ in range(_MOST_ANCESTORS):
            if pid == self._self:
                return True
            try:
                stat = (self._proc / str(pid) / "stat").read_text("utf-8", "replace")
                pid = int(stat.rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                return False
            if pid <= 1:
                return False
        return False
