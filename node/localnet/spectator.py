"""Watches an agent through its control socket, as an owner would."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node.api.client import ControlClient, NoAgent
from node.errors import LocalnetError
from node.localnet.command import last_line

QUEUED_SECONDS = 90.0
JOB_SECONDS = 240.0
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class StageEntered:
    """The job has come to a stage; `run` is the run's document at that moment."""

    stage: str
    run: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line the job wrote, without its newline."""

    text: str


@dataclass(slots=True)
class Spectator:
    """One agent process and what it says; `log` is where its own log goes."""

    client: ControlClient
    process: asyncio.subprocess.Process
    log: Path
    _read: dict[int, int] = field(default_factory=dict)
    """Bytes read of each operation's log file."""

    async def queued(self, waiting: Callable[[str], None]) -> dict[str, Any]:
        """The agent's document once its lane waits in the market's queue; `waiting` is told the reason until then.

        Raises LocalnetError when the agent ends, gives up, or takes longer than QUEUED_SECONDS.
        """
        reason = "no answer yet"
        deadline = time.monotonic() + QUEUED_SECONDS
        while time.monotonic() < deadline:
            self._check()
            with contextlib.suppress(NoAgent):
                status = await self.client.status()
                lane = status["lanes"][0]
                reason = lane["reason"]
                if lane["phase"] == "queued":
                    return status
                if lane["phase"] in ("degraded", "stopped"):
                    break
            waiting(reason)
            await asyncio.sleep(POLL_SECONDS)
        raise LocalnetError(f"the agent did not reach the queue: {reason}", hint=f"see {self.log}")

    async def follow(self, job: str) -> AsyncIterator[StageEntered | LogLine]:
        """Stages as they are entered and what the job writes, in order; ends after the stage `done`.

        Raises LocalnetError when the agent ends or the job takes longer than JOB_SECONDS.
        """
        seen: list[str] = []
        deadline = time.monotonic() + JOB_SECONDS
        while time.monotonic() < deadline:
            self._check()
            runs = [run for run in (await self.client.jobs())["jobs"] if run["job"] == job]
            if runs:
                for stage in [*runs[0]["stages"], runs[0]["stage"]]:
                    if stage in seen:
                        continue
                    async for line in self._written(job, seen):
                        yield line
                    seen.append(stage)
                    yield StageEntered(stage, runs[0])
                if runs[0]["stage"] == "done":
                    return
                async for line in self._written(job, seen):
                    yield line
            await asyncio.sleep(POLL_SECONDS)
        raise LocalnetError(f"job {job} was not settled in {JOB_SECONDS:.0f} s", hint=f"see {self.log}")

    async def _written(self, job: str, seen: list[str]) -> AsyncIterator[LogLine]:
        if not seen or seen[-1] != "run":
            return
        for file in (await self.client.log_files(job))["files"]:
            index = file["operation"]
            while piece := await self.client.log_bytes(job, index, self._read.get(index, 0)):
                whole = piece[: piece.rfind(b"\n") + 1]
                if not whole:
                    break
                self._read[index] = self._read.get(index, 0) + len(whole)
                for line in whole.splitlines():
                    yield LogLine(str(json.loads(line)["log"]).rstrip("\n"))

    def _check(self) -> None:
        if self.process.returncode is not None:
            raise LocalnetError(f"the agent ended: {last_line(self.log)}", hint=f"see {self.log}")
