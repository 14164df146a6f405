"""Looks at everything the agent needs before it can earn, one row each; changes nothing.

All looks are taken side by side, each in its own time. What cannot be looked at because something else failed says so,
and is neither right nor wrong.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from node.agent.doctor_chain import ChainRows
from node.agent.doctor_content import content_looks
from node.agent.doctor_gpu import DriverFiles, card_findings, driver_finding, runtime_finding, toolkit_finding
from node.agent.doctor_host import HostRows
from node.agent.doctor_isolation import isolation_findings
from node.agent.doctor_lanes import LaneRows
from node.agent.doctor_network import network_finding
from node.agent.doctor_resources import resource_finding
from node.agent.doctor_services import service_findings
from node.agent.doctor_work import work_finding
from node.agent.escapes.report import examine_escapes
from node.agent.escapes.software import default_machine
from node.agent.finding import Finding
from node.agent.looks import Look, Once, aside, look_at_all
from node.api.client import ControlClient, NoAgent
from node.chain.clusters import Cluster, cluster_named
from node.chain.rpc import Rpc
from node.container.docker import DockerEngine
from node.container.engine import EngineInfo
from node.errors import ControlError
from node.gpu.provider import choose_provider
from node.journal.reader import JournalReader
from node.records import Gpu
from node.settings import Settings

GIB = 1024**3


async def examine(settings: Settings) -> tuple[Finding, ...]:
    """All findings for these settings, in the order in which they are worth mending."""
    async with AsyncExitStack() as stack:
        rpc = await stack.enter_async_context(Rpc(settings.rpc.urls, timeout=settings.rpc.timeout))
        return await look_at_all(_Doctor(settings, cluster_named(settings.cluster, settings.ids), rpc).looks())


class _Doctor:
    def __init__(self, settings: Settings, cluster: Cluster, rpc: Rpc) -> None:
        self._settings = settings
        self._cluster = cluster
        self._rpc = rpc
        self._chain = ChainRows(settings, cluster, rpc)
        self._genesis = Once(self._chain.genesis)
        self._gpus = Once(self._inventory)
        self._info = Once(self._ask_engine)

    def looks(self) -> tuple[Look, ...]:
        """Every look there is."""
        settings = self._settings
        lanes = [
            LaneRows(settings, self._cluster, self._rpc, lane, self._genesis, self._gpus) for lane in settings.lanes
        ]
        return (
            *HostRows().looks(),
            Look("container engine", self._engine),
            Look("isolation", lambda: isolation_findings(settings)),
            Look("packet filter", lambda: network_finding(settings)),
            Look("GPU driver", self._driver),
            # A driver without its persistence daemon takes many seconds to wake up.
            Look("GPU", self._gpu, within=60.0),
            Look("GPU runtime", self._runtime, within=60.0),
            Look("GPU toolkit", self._toolkit, within=60.0),
            Look("escapes", self._escapes, within=60.0),
            Look("services", lambda: service_findings(settings)),
            Look("disk", lambda: aside(self._disk)),
            Look("remote data", lambda: resource_finding(settings)),
            Look("work proofs", self._work, within=60.0),
            *self._chain.looks(self._genesis),
            Look("journal", self._journal),
            *content_looks(settings),
            *(look for lane in lanes for look in lane.looks()),
            Look("agent", self._agent),
        )

    # --- the host ---

    async def _ask_engine(self) -> EngineInfo:
        engine = DockerEngine(self._settings.engine.socket)
        try:
            return await engine.info()
        finally:
            await engine.aclose()

    async def _engine(self) -> Finding:
        info = await self._info()
        runtime = self._settings.engine.runtime
        known = ", ".join(info.runtimes)
        if runtime not in info.runtimes:
            return Finding("container engine", False, f"no runtime {runtime} (it has: {known})", "set engine.runtime")
        return Finding("container engine", True, f"version {info.version}, runtime {runtime}")

    async def _inventory(self) -> tuple[Gpu, ...]:
        provider = await choose_provider(
            self._settings.gpu.provider, self._settings.cluster, simulated=self._settings.gpu.simulated
        )
        try:
            return await provider.inventory()
        finally:
            await provider.aclose()

    async def _driver(self) -> Finding:
        return await aside(lambda: driver_finding(DriverFiles(), self._settings.cluster == "localnet"))

    async def _gpu(self) -> Sequence[Finding]:
        found = await self._gpus()
        names = ", ".join(gpu.name for gpu in found)
        if all(gpu.provider == "simulated" for gpu in found):
            seen = f"{names} (simulated: no NVIDIA GPU here, and only a localnet accepts it)"
            return (Finding("GPU", True, seen),)
        cuda = f", CUDA {found[0].cuda}" if found[0].cuda else ""
        return (Finding("GPU", True, f"{names}, driver {found[0].driver}{cuda}"), *card_findings(found))

    async def _runtime(self) -> Sequence[Finding]:
        info = await self._info.or_none()
        return () if info is None else (runtime_finding(info, await self._gpus.or_none() or ()),)

    async def _toolkit(self) -> Finding:
        return await toolkit_finding(default_machine(), await self._gpus.or_none() or ())

    async def _escapes(self) -> Sequence[Finding]:
        return await examine_escapes(self._settings, await self._gpus.or_none() or ())

    async def _work(self) -> Finding:
        gpus = await self._gpus.or_none()
        return work_finding(self._settings, gpus[0].provider if gpus else None)

    def _disk(self) -> Finding:
        folder = _existing(self._settings.locations.data)
        if not os.access(folder, os.W_OK | os.X_OK):
            return Finding("disk", False, f"{folder} cannot be written by this user", "chown it, or set paths.data")
        free = shutil.disk_usage(folder).free
        wanted = self._settings.limits.disk_free_bytes
        seen = f"{free / GIB:.1f} GiB free at {folder}, {wanted / GIB:.1f} GiB asked"
        return Finding("disk", free >= wanted, seen, "" if free >= wanted else "free some, or lower limits.disk_free")

    # --- what the agent keeps ---

    async def _journal(self) -> Finding:
        path = self._settings.locations.journal
        if not path.exists():
            return Finding("journal", True, "none yet")
        async with await JournalReader.open_readonly(path) as journal:
            kept = await journal.meta("genesis_hash")
        genesis = await self._genesis.or_none()
        if kept is not None and genesis is not None and kept != genesis:
            return Finding(
                "journal",
                False,
                f"{path} belongs to another chain ({kept})",
                "use another data folder for this chain (paths.data)" + _kept_chain(self._settings.cluster),
            )
        return Finding("journal", True, str(path))

    async def _agent(self) -> Sequence[Finding]:
        try:
            async with ControlClient(self._settings.locations.control_socket) as client:
                status = await client.status()
        except NoAgent:
            return (Finding("agent", None, "not running", "gpunode run"),)
        except ControlError as error:
            return (Finding("agent", False, error.message, error.hint),)
        lanes = ", ".join(f"{lane['lane']} {lane['phase']}" for lane in status["lanes"])
        rows = []
        for seen in status.get("health", []):
            if seen["state"] != "ok":
                whose = f" of {seen['lane']}" if seen["lane"] else ""
                ok = None if seen["state"] == "unknown" and not seen["hinders"] else False
                fix = seen["hint"] or "gpunode status"
                rows.append(Finding(f"the agent's {seen['subject']}{whose}", ok, seen["reason"], fix))
        return (*rows, Finding("agent", True, f"running (process {status['pid']}): {lanes}"))


def _kept_chain(cluster: str) -> str:
    """A localnet is another chain at each start, unless it is told to keep itself."""
    return ", or keep one chain: gpunode localnet start --state FILE" if cluster == "localnet" else ""


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder
