"""What all lanes of an agent share, made once out of settings: every room's real service."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from node import __version__
from node.agent.escapes.gate import EscapeGate, Sources, open_gate
from node.agent.gpu_users import GpuUsers
from node.agent.health.ballast import Ballast, RelievedDrawer
from node.agent.health.fitting import Health, open_health
from node.agent.health.gpu_fitness import open_fitness
from node.agent.heartbeat import MovingClock
from node.agent.host import HostFacts, measure_host
from node.agent.housekeeping import OpenWork, image_cache, space_ledger
from node.agent.hygiene import LaneHygiene, open_hygiene
from node.agent.owner_port import NodeFacts
from node.agent.readiness import HostCheck
from node.agent.workshop import Grounds
from node.chain.bucket import Rate
from node.chain.clusters import Cluster, cluster_named
from node.chain.gathering import Accounts, Gathering
from node.chain.rpc import Rpc
from node.chain.standing import Limits
from node.chain.subscription import Subscriptions, websocket_url
from node.container.cache import ImageCache
from node.container.disk import EngineDisk
from node.container.disk_watch import DiskTerms
from node.container.docker import DockerEngine
from node.container.egress.fitting import network_guard
from node.container.egress.guard import Guard
from node.container.egress.networks import JobNetworks
from node.container.engine import Engine
from node.container.manifest import Manifests
from node.container.origin import Origins, exempt_registries, local_registries
from node.container.runner import OperationRunner
from node.container.space import SpaceLedger
from node.content.library import Library, open_library
from node.content.merkle import MerkleHasher
from node.content.store import LocalStore
from node.errors import RpcUnavailable
from node.gpu.monitor import GpuMonitor, local_day
from node.gpu.provider import GpuProvider, choose_provider
from node.gpu.scenario import LOST_NAME
from node.journal.journal import Journal
from node.public_network import either, nothing_exempt
from node.records import Address, SubjectHealth
from node.retry import Clock, SystemClock
from node.settings import RpcSettings, Settings
from node.turns import Turns

log = logging.getLogger(__name__)

BURST_SECONDS = 8.0
"""Of an endpoint's rate that may be used at once."""


GATHER = 0.5
"""Seconds for which a look at the chain that nothing has asked for waits for those of other lanes."""


@dataclass(frozen=True, slots=True)
class Host:
    """What all lanes share."""

    settings: Settings
    cluster: Cluster
    clock: MovingClock
    journal: Journal
    rpc: Rpc
    subscriptions: Subscriptions
    gathering: Gathering
    library: Library
    drawer: RelievedDrawer
    engine: Engine
    gpus: GpuProvider
    monitor: GpuMonitor
    users: GpuUsers
    runner: OperationRunner
    cache: ImageCache
    space: SpaceLedger
    origins: Origins
    facts: HostFacts
    check: HostCheck
    guard: Guard
    health: Health
    hygiene: Mapping[str, LaneHygiene]
    """By the lane's name."""
    escapes: EscapeGate
    grounds: Grounds

    async def fitness(self) -> None:
        """Whether lanes may take jobs on this host; raises what HostCheck and EscapeGate raise."""
        await self.check.run()
        await self.escapes.require()

    def subjects(self) -> tuple[SubjectHealth, ...]:
        """How everything that the agent depends on stands."""
        return (*self.health.watch.subjects, *(each for lane in self.hygiene.values() for each in lane.subjects))


async def open_host(settings: Settings, stack: AsyncExitStack) -> Host:
    """Open what all lanes share; the stack closes it in reverse order."""
    clock = MovingClock(SystemClock())
    paths = settings.locations
    cluster = cluster_named(settings.cluster, settings.ids)
    ballast = Ballast(paths.data / "ballast", settings.health.ballast_bytes)
    journal = await stack.enter_async_context(await Journal.open(paths.journal, relieve=ballast.relieve))
    rpc = await stack.enter_async_context(_rpc(settings.rpc, clock))
    sockets = (
        [settings.rpc.websocket]
        if settings.rpc.websocket
        else [websocket_url(url, cluster) for url in settings.rpc.urls]
    )
    subscriptions = Subscriptions(sockets, http_slot=rpc.get_slot, clock=clock)
    engine = DockerEngine(settings.engine.socket)
    stack.push_async_callback(engine.aclose)
    guard = network_guard(settings.network, clock)
    check = HostCheck(settings, engine, rpc, journal, cluster.genesis_hash, guard)
    await _check_cluster_once(check)
    library = open_library(settings.content, paths.content, clock=clock)
    stack.push_async_callback(library.aclose)
    gpus = await choose_provider(
        settings.gpu.provider,
        settings.cluster,
        new_hasher=MerkleHasher,
        lost=paths.data / LOST_NAME,
        simulated=settings.gpu.simulated,
    )
    stack.push_async_callback(gpus.aclose)
    monitor = GpuMonitor(gpus, clock, local_day, settings.gpu.throttle_minutes * 60)
    users = GpuUsers(journal)
    fitness = open_fitness(settings, monitor, users.of, clock)
    facts = await measure_host(paths.data)
    work = OpenWork(journal, [lane.name for lane in settings.lanes])
    disk = EngineDisk(engine, paths.data)
    exempt = exempt_registries(settings.policy.private_registries)
    if cluster.name == "localnet":
        exempt = either(exempt, local_registries)
    manifests = Manifests(exempt=exempt)
    stack.push_async_callback(manifests.aclose)
    turns = Turns(settings.transfers.parallel, clock)
    cache = image_cache(engine, disk, journal, work, settings.limits, clock, manifests, turns)
    space = space_ledger(engine, disk, cache, work, manifests, settings.limits)
    runner = OperationRunner(
        engine,
        paths.data,
        stop_grace=settings.engine.stop_grace,
        clock=clock,
        images=cache,
        networks=JobNetworks(engine, guard),
        disk=DiskTerms(settings.limits.disk_job_bytes, settings.limits.disk_free_bytes),
        origins=Origins(exempt).trouble,
    )
    escapes = open_gate(settings, Sources(engine.info, gpus.inventory), clock)
    return Host(
        settings=settings,
        cluster=cluster,
        clock=clock,
        journal=journal,
        rpc=rpc,
        subscriptions=subscriptions,
        gathering=Gathering(partial(_together, rpc), clock, GATHER if len(settings.lanes) > 1 else 0.0),
        library=library,
        drawer=RelievedDrawer(LocalStore(paths.content), paths.data, ballast),
        engine=engine,
        gpus=gpus,
        runner=runner,
        cache=cache,
        space=space,
        origins=Origins(exempt),
        facts=facts,
        check=check,
        monitor=monitor,
        users=users,
        health=await open_health(
            settings, engine, rpc, monitor.inventory, journal, ballast, clock, escapes, guard, fitness.watched
        ),
        escapes=escapes,
        hygiene=open_hygiene(settings, gpus.states, journal, clock, fitness.accept),
        guard=guard,
        grounds=Grounds(
            settings=settings,
            engine=engine,
            runner=runner,
            journal=journal,
            clock=clock,
            facts=NodeFacts(__version__, clock.time(), settings.host.country, facts),
            exempt=local_registries if cluster.name == "localnet" else nothing_exempt,
            work=work,
            space=space,
            disk=disk,
            origins=Origins(exempt),
            relieve=ballast.relieve,
            turns=turns,
        ),
    )


async def _together(rpc: Rpc, addresses: Sequence[Address], least: int | None) -> Accounts:
    return await rpc.read_accounts(addresses, None, least)


def _rpc(settings: RpcSettings, clock: Clock) -> Rpc:
    limits = Limits(
        total=Rate(settings.rate, round(settings.rate * BURST_SECONDS)),
        method=Rate(settings.method_rate, round(settings.method_rate * BURST_SECONDS)),
    )
    return Rpc(settings.urls, timeout=settings.timeout, clock=clock, limits=limits)


async def _check_cluster_once(check: HostCheck) -> None:
    """Refuse to start on the wrong chain; an endpoint that is away is the lanes' to wait for."""
    try:
        await check.check_cluster()
    except RpcUnavailable as error:
        log.warning("%s (%s)", error.message, error.hint or "the lanes wait for it")
