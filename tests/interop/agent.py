"""An ordinary `gpunode run` on a localnet, as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import docker

from node.localnet.app import Localnet
from node.records import Address

PROGRAM = (sys.executable, "-m", "node.cli")
STOP_SECONDS = 30.0


class Agent:
    """A running agent; `address` is its node key."""

    def __init__(self, address: Address, process: asyncio.subprocess.Process, log: Path) -> None:
        self.address = address
        self._process = process
        self._log = log

    def check(self) -> None:
        """Raise AssertionError with the end of its log when the process has ended."""
        assert self._process.returncode is None, f"the agent ended\n{self.log_end()}"

    def log_end(self) -> str:
        """The last lines it logged."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-25:])


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GPUNODE_")}
    # The machine's own packet filter is not a test's to change.
    return kept | {"GPUNODE_NETWORK__FILTER": "off", "GPUNODE_WORK_PROOF__ENGINE": "off"}


async def gpunode(*arguments: str) -> dict[str, Any]:
    """Run a command with `--json` and return its document."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *arguments,
        "--json",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(),
    )
    out, err = await process.communicate()
    assert process.returncode == 0, f"gpunode {' '.join(arguments)}: {out.decode()}{err.decode()}"
    document: dict[str, Any] = json.loads(out)
    return document


@contextlib.asynccontextmanager
async def running_agent(
    net: Localnet, folder: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Agent]:
    """Make a host with `gpunode init`, give it SOL, and run it until the block ends. `environment`: more settings."""
    settings, log = folder / "node.yaml", folder / "agent.log"
    made = await gpunode(
        *("init", "--settings", str(settings), "--cluster", "localnet", "--ids", net.cluster.ids, "--country", "NL"),
        *("--market", str(net.market), "--rpc", net.rpc_url, "--content", net.content_url),
        *("--wallet", str(folder / "host.json"), "--data", str(folder / "data")),
    )
    address = Address(made["address"])
    net.endow(address, sol=1)
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *PROGRAM,
            "run",
            "--settings",
            str(settings),
            stdout=stderr,
            stderr=stderr,
            env={**_environment(), **(environment or {})},
        )
    try:
        yield Agent(address, process, log)
    finally:
        await _stop(process)
        await asyncio.to_thread(_clean, address)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _clean(address: Address) -> None:
    """Remove what a test that failed half-way left in the engine."""
    client = docker.from_env()
    try:
        ours = {"label": f"gpunode.node={address}"}
        for container in client.containers.list(all=True, filters=ours):
            container.remove(force=True, v=True)
        for network in client.networks.list(filters=ours):
            network.remove()
    finally:
        client.close()
