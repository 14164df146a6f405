"""Whether gVisor can give a container the GPUs of this host: by asking the very `runsc` that the engine would start.

Its nvproxy knows the drivers it can stand before one by one. With any other, and in builds that cannot say, a GPU is
not given, rather than given past it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence

from node.container.engine import EngineInfo

RUNTIME = "runsc"
ASK_SECONDS = 10.0
_VERSION = re.compile(rb"\b\d{3}(?:\.\d+){1,2}\b")
_MOST_BYTES = 256 * 1024


async def gpu_refusal(info: EngineInfo, drivers: Iterable[str | None]) -> str:
    """Why containers of the engine's `runsc` cannot be given GPUs with these NVIDIA drivers; empty: they can."""
    command = dict(info.runtime_commands).get(RUNTIME, ())
    if not command:
        return f"the engine does not say which program its runtime {RUNTIME} is"
    if not _has_nvproxy(command[1:]):
        return f"the engine starts {RUNTIME} without --nvproxy=true"
    supported = await supported_drivers(command[0])
    if not supported:
        return f"{command[0]} does not say which NVIDIA drivers its nvproxy supports"
    missing = [str(driver) for driver in drivers if driver not in supported]
    return f"the nvproxy of {command[0]} does not support NVIDIA driver {missing[0]}" if missing else ""


async def supported_drivers(program: str) -> frozenset[str]:
    """The NVIDIA driver versions this `runsc` names; none where it cannot be asked or does not know the question."""
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            "nvproxy",
            "list-supported-drivers",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return frozenset()
    try:
        async with asyncio.timeout(ASK_SECONDS):
            assert process.stdout is not None
            answer = await process.stdout.read(_MOST_BYTES)
            status = await process.wait()
    except TimeoutError:
        return frozenset()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    # Older builds answer with their help, and fail.
    return frozenset(found.decode() for found in _VERSION.findall(answer)) if status == 0 else frozenset()


def _has_nvproxy(arguments: Sequence[str]) -> bool:
    values = [argument.lstrip("-").partition("=") for argument in arguments if argument.startswith("-")]
    last = [value if equals else "true" for name, equals, value in values if name == "nvproxy"][-1:]
    return last in (["true"], ["1"], ["t"])
