"""The real node as a process: started on free ports, waited for, and gone when its block ends, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from node.loopback import DIRECT
from tests.realchain.binary import MISSING, find_validator
from tests.realchain.ports import PortBlock, free_block

_STARTING = 120.0
"""Seconds within which a node must answer; a few on an idle machine."""
_ATTEMPTS = 3
"""A port of the block may be taken between looking and binding."""
_LEDGER, _OUTPUT = "ledger", "output.txt"
_GUARD = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Runs a program that dies with the process that started it (PR_SET_PDEATHSIG of Linux): even kill -9 of a test
run leaves no node behind."""


class ValidatorFailed(Exception):
    """The node ended, or never answered; the text holds the end of its log."""


@dataclass(frozen=True, slots=True)
class RunningValidator:
    """A node that answers."""

    rpc_url: str
    ws_url: str
    pid: int
    ledger: Path


@asynccontextmanager
async def running_validator(
    arguments: Sequence[str], *, environment: Mapping[str, str] | None = None
) -> AsyncIterator[RunningValidator]:
    """Run the node with these arguments, which name neither ports nor the ledger, for as long as the block lasts.

    Its ledger lies in a folder of its own under the temporary one and goes with it. Raises ValidatorFailed.
    """
    binary = find_validator()
    if binary is None:
        raise ValidatorFailed(MISSING)
    folder = Path(tempfile.mkdtemp(prefix="gpunode-validator-"))
    command = [str(binary), *arguments, "--ledger", str(folder / _LEDGER), "--quiet"]
    try:
        process, ports = await _started(command, folder, {**os.environ, "RUST_LOG": "warn", **(environment or {})})
        try:
            url = f"127.0.0.1:{ports.rpc}", f"127.0.0.1:{ports.websocket}"
            yield RunningValidator(f"http://{url[0]}", f"ws://{url[1]}", process.pid, folder / _LEDGER)
        finally:
            await _end(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _started(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], PortBlock]:
    for attempt in range(_ATTEMPTS):
        ports = free_block()
        process = _spawn([*command, *ports.arguments()], folder, environment)
        try:
            await _ready(process, ports, folder)
        except BaseException as error:
            await _end(process)
            lost = isinstance(error, ValidatorFailed) and re.search(r"in use|unable to bind", str(error), re.IGNORECASE)
            if not lost or attempt == _ATTEMPTS - 1:
                raise
            shutil.rmtree(folder / _LEDGER, ignore_errors=True)
        else:
            return process, ports
    raise AssertionError("unreachable")


def _spawn(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with (folder / _OUTPUT).open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-c", _GUARD, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
        )


async def _ready(process: subprocess.Popen[bytes], ports: PortBlock, folder: Path) -> None:
    url = f"http://127.0.0.1:{ports.rpc}"
    asks = [
        {"jsonrpc": "2.0", "id": 1, "method": "getSlot", "params": [{"commitment": "confirmed"}]},
        {"jsonrpc": "2.0", "id": 2, "method": "getHealth"},
    ]
    async with httpx.AsyncClient(mounts=DIRECT, timeout=5) as client:
        try:
            async with asyncio.timeout(_STARTING):
                while not await _answers(client, url, asks):
                    if process.poll() is not None:
                        raise ValidatorFailed(f"the node ended with {process.returncode}: {_last_words(folder)}")
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise ValidatorFailed(f"no answer from the node in {_STARTING:.0f} s: {_last_words(folder)}") from None


async def _answers(client: httpx.AsyncClient, url: str, asks: list[dict[str, object]]) -> bool:
    """Whether the node is healthy and has confirmed a slot of its own, which has a blockhash to build on."""
    try:
        slot, health = (row.get("result") for row in (await client.post(url, json=asks)).json())
    except (httpx.HTTPError, ValueError, TypeError, AttributeError):
        return False
    return health == "ok" and bool(slot)


def _last_words(folder: Path) -> str:
    texts = [
        path.read_text(errors="replace")
        for path in (folder / _OUTPUT, folder / _LEDGER / "validator.log")
        if path.exists()
    ]
    return "\n".join(texts).strip()[-2000:] or "it said nothing"


async def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of this ledger is needed again, so the node is not asked to stop: that would take seconds."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await asyncio.shield(asyncio.to_thread(process.wait))
