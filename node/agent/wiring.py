"""Builds a running agent out of settings: every room's real service, made once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from node import __version__
from node.agent.counter import MarketCounter
from node.agent.courier import Courier
from node.agent.escapes.gate import EscapeGate, Sources, open_gate
from node.agent.health.ballast import Ballast, RelievedDrawer
from node.agent.health.board import LaneHealth
from node.agent.health.fitting import Health, open_health
from node.agent.health.tunnel import watched_tunnel
from node.agent.host import HostFacts, measure_host
from node.agent.housekeeping import OpenWork, image_cache, space_ledger, sweeping, tidying
from node.agent.hygiene import LaneHygiene, open_hygiene
from node.agent.isolation import GpuRuntimes, relaxations
from node.agent.lane import Lane, LaneServices
from node.agent.logistics import Logistics, endpoints_here
from node.agent.owner_port import NodeFacts
from node.agent.papers import Papers, host_card
from node.agent.pipeline import JobServices
from node.agent.port import RunningAgent
from node.agent.pruning import Pruning
from node.agent.readiness import HostCheck, LaneCheck, LaneGpus
from node.agent.registrar import Registrar
from node.agent.reopening import Undone, reopening
from node.agent.sealing import require_own
from node.agent.stages.admit import Readiness
from node.agent.supervisor import Supervisor
from node.agent.workshop import Grounds, Workshop, open_workshop
from node.api.control import ControlServer
from node.chain.bucket import Rate
from node.chain.clusters import Cluster, cluster_named
from node.chain.fees import FeePolicy
from node.chain.outbox import Outbox
from node.chain.passphrase import PassphraseSource
from node.chain.policy import NODE_KINDS, SpendingPolicy
from node.chain.rpc import Rpc
from node.chain.standing import Limits
from node.chain.subscription import Subscriptions, websocket_url
from node.chain.upkeep import nobody_told
from node.chain.wallet import Signer, Wallet
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
from node.gpu.provider import GpuProvider, choose_provider
from node.gpu.simulated import LOST_NAME
from node.journal.journal import Journal
from node.journal.lock import claim
from node.journal.pruning import Keep
from node.market import funds
from node.market.context import MarketContext
from node.market.effects import effect_of_row
from node.market.register import RegisterResult
from node.public_network import either, nothing_exempt
from node.records import Address, SubjectHealth
from node.retry import Clock, SystemClock
from node.settings import LaneSettings, RpcSettings, Settings

log = logging.getLogger(__name__)

BURST_SECONDS = 8.0
"""Of an endpoint's rate that may be used at once."""
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Host:
    """What all lanes share."""

    settings: Settings
    cluster: Cluster
    clock: Clock
    journal: Journal
    rpc: Rpc
    subscriptions: Subscriptions
    library: Library
    drawer: RelievedDrawer
    engine: Engine
    gpus: GpuProvider
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


async def run_agent(settings: Settings) -> None:
    """Be the agent until told to stop by a signal or over the control socket.

    Raises a GpunodeError for what a person has to set right before the agent can start: settings, wallet, journal,
    wrong cluster, no GPU. What may pass (an endpoint or the engine being away) is waited for instead.
    """
    async with AsyncExitStack() as stack:
        wallets = {lane.name: open_wallet(lane) for lane in settings.lanes}
        require_own(settings.locations.data)
        stack.enter_context(claim(settings.locations.journal))
        host = await open_host(settings, stack)
        workshop = await open_workshop(host.grounds, tuple(wallet.address for wallet in wallets.values()))
        if workshop.services.tunnel is not None:
            host.health.watch.add(watched_tunnel(workshop.services))
        lanes = [make_lane(host, lane, wallets[lane.name], workshop) for lane in settings.lanes]
        sweeps = [sweeping(host.engine, host.journal, lane.name, lane.status.node, host.clock) for lane in lanes]
        supervisor = Supervisor(
            lanes,
            [
                host.subscriptions.run,
                host.rpc.run,
                host.health.watch.run,
                Courier(host.library, host.drawer, host.journal, host.clock).run,
                Pruning(host.journal, Keep(**settings.journal.model_dump()), host.clock).run,
                *sweeps,
                tidying(host.cache),
                workshop.serve,
                workshop.tidy,
            ],
            leave_on_stop=not settings.shutdown.keep_queue_place,
        )
        workshop.lanes.update(supervisor.lanes)
        port = RunningAgent(
            version=__version__,
            cluster=settings.cluster,
            started_at=time.time(),
            gpu_provider=host.gpus.name,
            lanes=supervisor.lanes,
            journal=host.journal,
            inventory=host.gpus,
            data=settings.locations.data,
            log_name=host.runner.log_name,
            stopping=supervisor.stop,
            health=host.subjects,
            relaxations=relaxations(settings),
            services=workshop.live.services,
        )
        await stack.enter_async_context(
            ControlServer(port, settings.locations.control_socket, group=settings.paths.control_group)
        )
        stack.enter_context(supervisor.signals())
        _greet(host)
        await supervisor.run()
        log.info("stopped")


async def open_host(settings: Settings, stack: AsyncExitStack) -> Host:
    """Open what all lanes share; the stack closes it in reverse order."""
    clock = SystemClock()
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
        settings.gpu.provider, settings.cluster, new_hasher=MerkleHasher, lost=paths.data / LOST_NAME
    )
    stack.push_async_callback(gpus.aclose)
    facts = await measure_host(paths.data)
    work = OpenWork(journal, [lane.name for lane in settings.lanes])
    disk = EngineDisk(engine, paths.data)
    exempt = exempt_registries(settings.policy.private_registries)
    if cluster.name == "localnet":
        exempt = either(exempt, local_registries)
    manifests = Manifests(exempt=exempt)
    stack.push_async_callback(manifests.aclose)
    cache = image_cache(engine, disk, journal, work, settings.limits, clock, manifests)
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
        health=await open_health(settings, engine, rpc, gpus.inventory, journal, ballast, clock, escapes, guard),
        escapes=escapes,
        hygiene=open_hygiene(settings, gpus.states, journal, clock),
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
        ),
    )


def open_wallet(lane: LaneSettings) -> Wallet:
    """The lane's key, opened. Raises WalletError."""
    return Wallet.load(lane.wallet.expanduser(), PassphraseSource(lane.name, lane.passphrase_file))


def make_lane(host: Host, lane: LaneSettings, wallet: Wallet, workshop: Workshop) -> Lane:
    """A lane with its own key, spending policy, outbox and desk."""
    settings = host.settings
    market = Address(lane.market)
    signer = _signer(host, lane, wallet)
    reopened = asyncio.Event()
    context = _context(host, lane, signer, reopening(host.journal, reopened))
    registrar = _registrar(host, signer)
    gpus = LaneGpus(host.gpus, lane.gpus)
    hygiene = host.hygiene[lane.name]
    runtimes = GpuRuntimes(host.engine)
    jobs = JobServices(
        market=MarketCounter(context, market, host.subscriptions, registrar, reopened),
        journal=host.journal,
        fetcher=host.library,
        publisher=host.library,
        drawer=host.drawer,
        desk=Papers(settings, lane.name, host.cluster, signer, workshop.domain),
        definitions=workshop.definitions,
        tools=workshop.tools,
        meters=host.gpus,
        readiness=Readiness(
            settings.locations.data,
            settings.limits.disk_free_bytes,
            host.space.reserve,
            gpus.current,
            runtimes.refusal,
            host.origins.trouble,
        ),
        samples=settings.locations.data / "samples",
        clock=host.clock,
        chain=host.health.chain,
        hygiene=hygiene,
        live=workshop.live,
        logistics=Logistics(
            signer.sign_document, host.clock, endpoints_here(host.cluster.name), settings.service.tunnel != "off"
        ),
    )
    check = LaneCheck(host.fitness, settings.engine.runtime, gpus, runtimes)
    health = LaneHealth(host.health.board, lane.name)
    return Lane(
        lane.name,
        market,
        LaneServices(jobs=jobs, check=check.run, gpus=gpus.current, health=health, fence=host.guard.ensure),
    )


async def register_lane(settings: Settings, lane: LaneSettings) -> RegisterResult:
    """Register one lane's key as this host, or bring its account and host card up to date, without serving jobs.

    Raises JournalError while an agent runs on the same data folder (it does this by itself), and what registering
    raises: FundsMissing, ContentError, TransactionFailed, GpuError.
    """
    async with AsyncExitStack() as stack:
        wallet = open_wallet(lane)
        stack.enter_context(claim(settings.locations.journal))
        host = await open_host(settings, stack)
        await host.check.check_cluster()
        signer = _signer(host, lane, wallet)
        context = _context(host, lane, signer)
        await context.outbox.resume(lane.name)
        funds.require_lamports(await funds.check(context, await context.ledger.market(Address(lane.market))))
        return await _registrar(host, signer).ensure(context, await LaneGpus(host.gpus, lane.gpus).current())


def _rpc(settings: RpcSettings, clock: Clock) -> Rpc:
    limits = Limits(
        total=Rate(settings.rate, round(settings.rate * BURST_SECONDS)),
        method=Rate(settings.method_rate, round(settings.method_rate * BURST_SECONDS)),
    )
    return Rpc(settings.urls, timeout=settings.timeout, clock=clock, limits=limits)


def _context(host: Host, lane: LaneSettings, signer: Signer, undone: Undone = nobody_told) -> MarketContext:
    return MarketContext(
        cluster=host.cluster,
        rpc=host.rpc,
        outbox=_outbox(host, signer, undone),
        lane=lane.name,
        node=signer.address,
        payout=None if lane.payout is None else Address(lane.payout),
        stake=host.settings.stake,
        clock=host.clock,
        reopen_above=round(host.settings.fees.reopen_above * 1_000_000),
    )


def _registrar(host: Host, signer: Signer) -> Registrar:
    return Registrar(
        facts=host.facts,
        host=host.settings.host,
        version=__version__,
        publisher=host.library,
        journal=host.journal,
        make_card=lambda facts, gpus: host_card(signer, facts, gpus),
    )


def _signer(host: Host, lane: LaneSettings, wallet: Wallet) -> Signer:
    async def spent() -> int:
        return await host.journal.outbox.spent_since(lane.name, host.clock.time() - DAY)

    daily = round(host.settings.fees.daily_sol * 1_000_000_000)
    payout = None if lane.payout is None else Address(lane.payout)
    return wallet.signer(SpendingPolicy(host.cluster, NODE_KINDS, daily, spent, payout))


def _outbox(host: Host, signer: Signer, undone: Undone) -> Outbox:
    fees = host.settings.fees
    return Outbox(
        host.rpc,
        signer,
        host.journal.outbox,
        FeePolicy(floor=fees.floor, cap=fees.cap, percentile=fees.percentile),
        host.clock,
        effects=effect_of_row(host.cluster),
        book=host.journal.outbox.record_spending,
        undone=undone,
    )


async def _check_cluster_once(check: HostCheck) -> None:
    """Refuse to start on the wrong chain; an endpoint that is away is the lanes' to wait for."""
    try:
        await check.check_cluster()
    except RpcUnavailable as error:
        log.warning("%s (%s)", error.message, error.hint or "the lanes wait for it")


def _greet(host: Host) -> None:
    simulated = " (SIMULATED: no real GPU is used)" if host.gpus.name == "simulated" else ""
    log.info("gpunode %s on %s, GPU provider %s%s", __version__, host.cluster.name, host.gpus.name, simulated)
