"""The product's own command as a child process: how the demo, like a user, drives every part of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.errors import LocalnetError

STOP_SECONDS = 15.0
"""How long a child may take to end after SIGTERM."""


@dataclass(frozen=True, slots=True)
class Command:
    """`gpunode` with an environment of its own; whatever the user's settings are, the children do not see them."""

    environment: Mapping[str, str]

    @classmethod
    def isolated(cls) -> Command:
        """A command that ignores the settings in this process's environment, and its proxies on this host."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GPUNODE_")}
        # What the children speak with is on this host; a proxy of the environment does not lead there.
        direct = ",".join(filter(None, (kept.get("no_proxy") or kept.get("NO_PROXY"), "127.0.0.1,localhost")))
        return cls({**kept, "no_proxy": direct, "NO_PROXY": direct})

    def given(self, name: str, value: str) -> Command:
        """The same with one more variable in its environment."""
        return Command({**self.environment, name: value})

    async def document(self, *arguments: str, timeout: float = 120.0) -> dict[str, Any]:
        """Run one command with `--json` to its end and return its document.

        Raises LocalnetError with the command's own message when it fails or takes longer than `timeout` seconds.
        """
        process = await asyncio.create_subprocess_exec(
            *_program(arguments),
            "--json",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(self.environment),
        )
        try:
            async with asyncio.timeout(timeout):
                out, err = await process.communicate()
        except TimeoutError:
            raise LocalnetError(
                f"gpunode {' '.join(arguments)}: no answer in {timeout:.0f} s", hint="the machine may be overloaded"
            ) from None
        finally:
            # Too late, or this process was told to end: nobody would read the answer.
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        return _document(arguments, out, err)

    @contextlib.asynccontextmanager
    async def service(self, *arguments: str, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
        """A command that runs until the block ends, then is told to stop (SIGTERM) and waited for.

        Its stderr goes to the file `log`; its stdout is a pipe.
        """
        with log.open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                *_program(arguments),
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env=dict(self.environment),
                # A session of its own: Ctrl-C reaches this process only, which then stops its children in order.
                start_new_session=True,
            )
        try:
            yield process
        finally:
            await _stop(process)


async def first_line(process: asyncio.subprocess.Process, *, name: str, log: Path, timeout: float) -> dict[str, Any]:
    """The one-line JSON document a service prints when it is ready. Raises LocalnetError if it ends before."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(timeout):
            line = await process.stdout.readline()
    except TimeoutError:
        raise LocalnetError(f"{name} was not ready in {timeout:.0f} s", hint=f"see {log}") from None
    if not line:
        raise LocalnetError(f"{name} ended before it was ready: {last_line(log)}", hint=f"see {log}")
    document: dict[str, Any] = json.loads(line)
    return document


def last_line(log: Path) -> str:
    """What a log ends with, for an error message: its last error, else its last line."""
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it said nothing"])[-1]


def _program(arguments: Sequence[str]) -> tuple[str, ...]:
    return (sys.executable, "-m", "node.cli", *arguments)


def _document(arguments: Sequence[str], out: bytes, err: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(out)
    except ValueError:
        said = err.decode(errors="replace").strip().splitlines()
        raise LocalnetError(
            f"gpunode {' '.join(arguments)}: {said[-1] if said else 'said nothing'}",
            hint="run the command by hand to see more",
        ) from None
    if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
        error = answer["error"]
        raise LocalnetError(f"gpunode {arguments[0]}: {error.get('message')}", hint=str(error.get("hint") or ""))
    return answer if isinstance(answer, dict) else {"value": answer}


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
