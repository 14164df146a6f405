"""Measuring in a helper process: a driver that hangs, or a library that crashes, takes nothing else along."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import node
from node.errors import GpuError

DEADLINE = 600.0
"""Seconds for all of it."""
_MAX_ANSWER_BYTES = 1 << 20


async def measure(kind: str, gpu: str | None, seconds: float, command: Sequence[str] | None = None) -> bytes:
    """The canonical document of a ladder: of the `cpu`, or by `cuda` of the GPU with this UUID. Raises GpuError."""
    arguments = (kind, repr(seconds), *((gpu,) if gpu is not None else ()))
    environment = dict(os.environ) | {"PYTHONPATH": str(Path(node.__file__).parents[1])}
    process = await asyncio.create_subprocess_exec(
        *(command or (sys.executable, "-P", "-m", "node.gpu.ladder.measure", *arguments)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
        limit=_MAX_ANSWER_BYTES,
    )
    try:
        async with asyncio.timeout(DEADLINE):
            assert process.stdout is not None
            line = await process.stdout.readline()
    except (TimeoutError, ValueError) as error:
        raise GpuError(f"measuring gave no answer: {error or 'it took too long'}") from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return _body(line)


def _body(line: bytes) -> bytes:
    try:
        answer = json.loads(line)
        if "error" in answer:
            raise GpuError(str(answer["error"]["message"])[:500], hint=str(answer["error"]["hint"])[:500])
        return str(answer["body"]).encode()
    except (ValueError, LookupError, TypeError) as error:
        raise GpuError(
            "measuring ended without an answer", hint="see the kernel's log: it may have run short of memory"
        ) from error
