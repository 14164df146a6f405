"""`gpunode localnet` as its users run it: a chain in a process of its own, and commands on it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

COMMAND = (sys.executable, "-m", "node.cli", "localnet")


async def run(*arguments: object) -> tuple[int, dict[str, Any]]:
    """One command with --json to its end: exit status and document."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *map(str, arguments), "--json", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    assert out, err.decode()
    return process.returncode, json.loads(out)


async def done(*arguments: object) -> dict[str, Any]:
    """The document of a command that must succeed."""
    status, document = await run(*arguments)
    assert (status, document.get("ok")) == (0, True), document
    return document


async def refused(*arguments: object) -> dict[str, Any]:
    """The error of a command that must fail: `status`, `message`, `hint`."""
    status, document = await run(*arguments)
    assert status != 0, document
    return {"status": status, **document["error"]}


@asynccontextmanager
async def chain(*arguments: object) -> AsyncIterator[dict[str, Any]]:
    """A chain on free ports: what it says when it is ready."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("start", "--rpc-port", "0", "--content-port", "0", "--json", *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield json.loads(await process.stdout.readline())
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = await process.communicate()
    assert (process.returncode, said) == (0, b"")
