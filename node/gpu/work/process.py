"""The agent's side of the work helper: starts it, asks it, and kills it the moment a job comes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import node
from node.errors import GpuError
from node.gpu.work.challenge import OPENINGS, WorkChallenge

START_DEADLINE = 120.0
"""Seconds for the engine: a driver without its persistence daemon, and a compiler, take their time."""
SLACK = 60.0
"""Seconds beyond the work itself."""
OPEN_DEADLINE = 180.0
_MAX_ANSWER_BYTES = 64 * 1024
_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
"""What the helper has of the agent's environment: nothing that holds a secret."""


@dataclass(frozen=True, slots=True)
class WorkDone:
    """Rounds that are made and wait for their anchor."""

    root: str
    """Hex; for the memo (node.proof.memo.work_memo)."""
    size: int
    rounds: int
    engine: str
    device: str
    milliseconds: int
    millijoules: int | None


@dataclass(frozen=True, slots=True)
class WorkOpened:
    """The document, written."""

    path: Path
    sha256: str
    """Hex; what a receipt names as its `work`."""
    size: int
    """Bytes."""


class WorkProcess:
    """One helper process with one engine."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._last_id = 0

    async def start(self, engine: str, gpu: str | None) -> str:
        """Open the engine (`cuda` on a GPU's UUID, or `cpu`); what it runs on, in words. Raises GpuError."""
        answer = await self._ask(START_DEADLINE, call="start", engine=engine, gpu=gpu)
        return str(answer["device"])

    async def prove(
        self, challenge: WorkChallenge, *, seconds: float, size: int | None = None, openings: int = OPENINGS
    ) -> WorkDone:
        """Make rounds for so long. Raises GpuError."""
        answer = await self._ask(
            2 * seconds + SLACK,
            call="prove",
            challenge=challenge.document(),
            size=size,
            seconds=seconds,
            openings=openings,
        )
        stated = answer["stated"]
        return WorkDone(
            root=str(answer["root"]),
            size=int(answer["size"]),
            rounds=int(answer["rounds"]),
            engine=str(stated["engine"]),
            device=str(stated["device"]),
            milliseconds=int(stated["milliseconds"]),
            millijoules=stated["millijoules"],
        )

    async def open(self, slot: int, blockhash: str, path: Path) -> WorkOpened:
        """Open the proof for the first block after the anchor's, and write the document. Raises GpuError."""
        answer = await self._ask(OPEN_DEADLINE, call="open", slot=slot, blockhash=blockhash, file=str(path))
        return WorkOpened(path, str(answer["sha256"]), int(answer["bytes"]))

    def kill(self) -> None:
        """End it now, whatever it does; its GPU memory is free when the process is gone. Safe to call at any time, and
        a call that is under way raises GpuError."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def gone(self) -> None:
        """Until the process has ended."""
        await self._process.wait()

    async def _ask(self, deadline: float, **request: Any) -> Any:
        self._last_id += 1
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(deadline):
                self._process.stdin.write(json.dumps({"id": self._last_id, **request}).encode() + b"\n")
                await self._process.stdin.drain()
                line = await self._process.stdout.readline()
            if not line:
                raise GpuError("the work helper was ended")
            answer = json.loads(line)
            if answer["id"] != self._last_id:
                raise GpuError("the work helper answered another request")
            if "error" in answer:
                raise GpuError(str(answer["error"]["message"])[:500], hint=str(answer["error"]["hint"])[:500])
            return answer["result"]
        except TimeoutError:
            self.kill()
            raise GpuError(
                f"the work helper did not answer within {deadline:g} s", hint="see gpunode gpus and the kernel's log"
            ) from None
        except OSError:
            raise GpuError("the work helper was ended") from None
        except (ValueError, LookupError, TypeError) as error:
            self.kill()
            raise GpuError(f"the work helper makes no sense: {error}") from None
        except asyncio.CancelledError:
            # Its answer would be taken for the next request's.
            self.kill()
            raise


def work_command() -> Sequence[str]:
    """The helper as a command. -P: the working folder must not become a source of modules."""
    return (sys.executable, "-P", "-m", "node.gpu.work.helper", str(os.getpid()))


@asynccontextmanager
async def working(command: Sequence[str] | None = None) -> AsyncIterator[WorkProcess]:
    """A helper that is gone when the block ends, however it ends. Raises GpuError where it cannot be started."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment["PYTHONPATH"] = str(Path(node.__file__).parents[1])
    # NumPy's threads: an idle host is to stay idle but for one processor.
    environment["OPENBLAS_NUM_THREADS"] = environment["OMP_NUM_THREADS"] = "1"
    try:
        process = await asyncio.create_subprocess_exec(
            *(command or work_command()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
            limit=_MAX_ANSWER_BYTES,
            start_new_session=True,
        )
    except OSError as error:
        raise GpuError(f"the work helper cannot be started: {error.strerror or error}") from None
    helper = WorkProcess(process)
    try:
        yield helper
    finally:
        helper.kill()
        await helper.gone()
