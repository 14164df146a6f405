"""Whether this host can serve: its GPUs, its engine, its disk, the right chain."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from node.agent.isolation import GpuRuntimes, hindrance
from node.chain.clusters import DEVNET, MAINNET
from node.chain.rpc import Rpc
from node.container.egress.guard import Guard
from node.container.engine import Engine
from node.errors import GpuError, LaneDegraded, WrongCluster
from node.journal.journal import Journal
from node.records import Gpu
from node.settings import Settings

GIB = 1024**3


class Inventory(Protocol):
    """Knows the host's GPUs."""

    async def inventory(self) -> tuple[Gpu, ...]:
        """The GPUs that are there now; raises GpuError."""
        ...


@dataclass(frozen=True, slots=True)
class LaneGpus:
    """The GPUs a lane offers."""

    inventory: Inventory
    wanted: Literal["all"] | tuple[str, ...]

    async def current(self) -> tuple[Gpu, ...]:
        """The lane's GPUs as they are now. Raises GpuError when one is missing or there are none."""
        found = await self.inventory.inventory()
        if self.wanted == "all":
            if not found:
                raise GpuError("this host has no GPU", hint="see gpunode gpus")
            return found
        known = {gpu.uuid: gpu for gpu in found}
        missing = [uuid for uuid in self.wanted if uuid not in known]
        if missing:
            raise GpuError(
                f"GPU {missing[0]} of this lane is not there", hint="see gpunode gpus, and the lane's `gpus`"
            )
        return tuple(known[uuid] for uuid in self.wanted)


@dataclass(frozen=True, slots=True)
class HostCheck:
    """What must hold before a lane joins."""

    settings: Settings
    engine: Engine
    rpc: Rpc
    journal: Journal
    expected_genesis: str | None
    guard: Guard = field(default_factory=lambda: Guard(None))

    async def run(self) -> None:
        """Raises WrongCluster, EngineUnavailable, RpcUnavailable, FilterError or LaneDegraded with what is wrong."""
        await self.check_cluster()
        await self.guard.ensure()
        info = await self.engine.info()
        trouble = hindrance(self.settings, info)
        if trouble is not None:
            raise trouble
        folders = {self.settings.locations.data, Path(info.root_dir)}
        for folder in sorted(folders):
            await self._check_disk(folder)

    async def check_cluster(self) -> None:
        """See that the endpoint serves the chain of the settings, and that of the journal."""
        genesis = await self.rpc.get_genesis_hash()
        if self.expected_genesis is not None and genesis != self.expected_genesis:
            raise WrongCluster(
                f"the RPC endpoint serves the chain {genesis}, not {self.settings.cluster} ({self.expected_genesis})",
                hint="check `cluster` and `rpc.urls`",
            )
        for known in (MAINNET, DEVNET):
            # Simulated GPUs are for a localnet; under its name a public chain would be served with them.
            if self.expected_genesis is None and genesis == known.genesis_hash:
                raise WrongCluster(
                    f"the settings say localnet, and the RPC endpoint serves {known.name}",
                    hint=f"set `cluster: {known.name}`, or the endpoint of your localnet in `rpc.urls`",
                )
        await self.journal.check_cluster(genesis)
        self.rpc.trust_only(genesis)

    async def _check_disk(self, folder: Path) -> None:
        try:
            free = (await asyncio.to_thread(shutil.disk_usage, folder)).free
        except OSError:
            # The engine's folder need not be visible to this user; its own errors tell then.
            return
        wanted = self.settings.limits.disk_free_bytes
        if free < wanted:
            raise LaneDegraded(
                f"{folder} has {free / GIB:.1f} GiB free; limits.disk_free asks for {wanted / GIB:.1f} GiB",
                hint="free some space, or lower limits.disk_free",
            )


@dataclass(frozen=True, slots=True)
class LaneCheck:
    """What must hold before one lane joins."""

    host: Callable[[], Awaitable[None]]
    """What concerns every lane (HostCheck.run and more)."""
    runtime: str
    gpus: LaneGpus
    runtimes: GpuRuntimes

    async def run(self) -> None:
        """Raises as the host's checks do, GpuError, or LaneDegraded when the lane's runtime cannot give its GPUs."""
        await self.host()
        trouble = await self.runtimes.trouble(self.runtime, await self.gpus.current())
        if trouble:
            raise LaneDegraded(
                f"jobs on {self.runtime} cannot be given this lane's GPUs: {trouble}",
                hint="install a runsc whose `runsc nvproxy list-supported-drivers` names the driver and have the "
                "engine start it with --nvproxy=true, or set engine.runtime: runc",
            )
