"""A helper process that answers one JSON request a line, each within a deadline or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Any

from node.errors import GpuError

MOST_STUCK = 4
"""Helper processes that may be stuck in the driver at once; none is begun beyond them."""
_MAX_ANSWER_BYTES = 1024 * 1024
STALE_CODES = frozenset((1, 9, 12, 15, 16, 18))
"""NVML errors (uninitialised, driver not loaded, library not found, GPU lost, reset required, library and driver of
two versions) that a process never recovers from, though the host may: the next call begins with a new one."""


class DriverRefused(GpuError):
    """The driver answered with an error; `code` is its number where it has one."""

    def __init__(self, message: str, *, code: int | None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class DriverSilent(GpuError):
    """The driver did not answer in time."""


class Helper:
    """One helper process, started when first needed and again after it died or missed a deadline."""

    def __init__(self, command: Sequence[str], *, deadline: float = 5.0, start_deadline: float = 30.0) -> None:
        """`deadline`: seconds for one answer; `start_deadline`: for a new process's first (a driver without its
        persistence daemon takes many seconds to wake up)."""
        self._command = tuple(command)
        self._deadline = deadline
        self._start_deadline = start_deadline
        self._warm = False
        self._process: asyncio.subprocess.Process | None = None
        self._abandoned: list[asyncio.subprocess.Process] = []
        self._lock = asyncio.Lock()
        self._last_id = 0

    async def call(self, name: str, **parameters: Any) -> Any:
        """The answer to one request; raises DriverRefused, DriverSilent when there is none in time, or GpuError."""
        async with self._lock:
            deadline = self._deadline if self._is_warm() else self._start_deadline
            try:
                async with asyncio.timeout(deadline):
                    result = await self._exchange(name, parameters)
                self._warm = True
                return result
            except TimeoutError as error:
                self._abandon()
                raise DriverSilent(
                    f"the GPU driver did not answer within {deadline:g} s",
                    hint="a GPU may have fallen off the bus: see `dmesg | grep -i nvrm`; a reboot usually helps",
                ) from error
            except DriverRefused as error:
                if error.code in STALE_CODES:
                    self._abandon()
                raise
            except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
                self._abandon()
                raise GpuError(
                    f"the GPU helper process failed: {error or type(error).__name__}",
                    hint="see that `nvidia-smi` works for the same user",
                ) from error
            except BaseException as error:
                # A cancelled exchange leaves an answer behind that the next request must not read.
                if not isinstance(error, GpuError):
                    self._abandon()
                raise

    async def renew(self) -> None:
        """Have the next call begin with a new process."""
        async with self._lock:
            self._abandon()

    async def aclose(self) -> None:
        """End the process."""
        async with self._lock:
            process = self._process
            self._process = None
            if process is not None:
                assert process.stdin is not None
                process.stdin.close()
                if not await _ended(process, 2.0):
                    _kill(process)
                    self._abandoned.append(process)
            for leftover in self._abandoned:
                await _ended(leftover, 1.0)
            self._abandoned.clear()

    async def _exchange(self, name: str, parameters: dict[str, Any]) -> Any:
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        self._last_id += 1
        process.stdin.write(json.dumps({"id": self._last_id, "call": name, **parameters}).encode() + b"\n")
        await process.stdin.drain()
        line = await process.stdout.readline()
        if not line:
            raise OSError("it ended")
        answer = json.loads(line)
        if answer["id"] != self._last_id:
            raise ValueError("it answered another request")
        if "error" in answer:
            error = answer["error"]
            raise DriverRefused(
                f"the GPU driver refused: {error['message']}",
                code=error.get("code"),
                hint="see that the NVIDIA driver is installed and `nvidia-smi` works",
            )
        return answer["result"]

    def _is_warm(self) -> bool:
        return self._warm and self._process is not None and self._process.returncode is None

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._warm = False
            self._abandoned = [each for each in self._abandoned if each.returncode is None]
            if len(self._abandoned) >= MOST_STUCK:
                raise DriverSilent(
                    f"the GPU driver holds {MOST_STUCK} processes that asked it something and cannot be ended",
                    hint="see `dmesg | grep -i nvrm`; a reboot usually helps",
                )
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                limit=_MAX_ANSWER_BYTES,
            )
        return self._process

    def _abandon(self) -> None:
        # Not waited for: a process inside a dead driver cannot even be killed.
        if self._process is not None:
            _kill(self._process)
            self._abandoned = [p for p in self._abandoned if p.returncode is None] + [self._process]
            self._process = None
            self._warm = False


async def _ended(process: asyncio.subprocess.Process, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        return False
    return True


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
