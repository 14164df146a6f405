"""Builds a running agent out of settings."""

from __future__ import annotations

import logging
import time
from contextlib import AsyncExitStack

from node import __version__
from node.agent.courier import Courier
from node.agent.gpu_live import gpus_now
from node.agent.health.tunnel import watched_tunnel
from node.agent.heartbeat import Heartbeat
from node.agent.housekeeping import sweeping, tidying
from node.agent.isolation import relaxations
from node.agent.lane_fitting import (
    earning_board,
    lane_bundles,
    lane_context,
    lane_registrar,
    lane_signer,
    make_lane,
    open_wallet,
    open_wallets,
    sol_watch,
)
from node.agent.lane_groups import require_separate_gpus, unopened, with_group_lanes, with_only
from node.agent.metrics import Metrics
from node.agent.notify import ServiceManager
from node.agent.port import RunningAgent
from node.agent.premises import Host, open_host
from node.agent.pruning import Pruning
from node.agent.readiness import LaneGpus
from node.agent.sealing import require_own
from node.agent.supervisor import Supervisor
from node.agent.work_fitting import open_work_room
from node.agent.workshop import open_workshop
from node.api.control import ControlServer
from node.api.metrics import metrics_listener
from node.journal.lock import claim
from node.journal.pruning import Keep
from node.market import funds
from node.market.register import RegisterResult
from node.records import Address
from node.settings import LaneSettings, Settings
from node.settings_metrics import address_of

log = logging.getLogger(__name__)


async def run_agent(settings: Settings) -> None:
    """Be the agent until told to stop by a signal or over the control socket.

    Raises a GpunodeError for what a person has to set right before the agent can start: settings, wallet, journal,
    wrong cluster, no GPU. What may pass (an endpoint or the engine being away) is waited for instead.
    """
    manager = ServiceManager.from_environment()
    async with AsyncExitStack() as stack:
        settings = await with_group_lanes(settings)
        # Before anything is written: a wrong wallet leaves no trace.
        wallets, troubles = open_wallets(settings)
        require_own(settings.locations.data)
        stack.enter_context(claim(settings.locations.journal))
        host = await open_host(with_only(settings, wallets), stack)
        await require_separate_gpus(host)
        workshop = await open_workshop(host.grounds, tuple(wallet.address for wallet in wallets.values()))
        if workshop.services.tunnel is not None:
            host.health.watch.add(watched_tunnel(workshop.services))
        work = await open_work_room(host)
        lanes = [make_lane(host, lane, wallets[lane.name], workshop, work) for lane in host.settings.lanes]
        sweeps = [sweeping(host.engine, host.journal, lane.name, lane.status.node, host.clock) for lane in lanes]
        earning = earning_board(host, wallets)
        supervisor = Supervisor(
            [*lanes, *unopened(settings, troubles, host.clock)],
            [
                earning.run,
                sol_watch(host, wallets).run,
                host.subscriptions.run,
                host.rpc.run,
                host.monitor.run,
                host.health.watch.run,
                Courier(host.library, host.drawer, host.journal, host.clock).run,
                Pruning(
                    host.journal, Keep(**settings.journal.model_dump()), host.clock, settings.locations.data / "samples"
                ).run,
                *sweeps,
                tidying(host.cache),
                workshop.serve,
                workshop.tidy,
                Heartbeat(manager, {lane.name: lane for lane in lanes}, host.clock).run,
                work.tidy,
            ],
            leave_on_stop=not settings.shutdown.keep_queue_place,
            on_end=manager.stopping,
        )
        workshop.lanes.update({lane.name: lane for lane in lanes})
        port = RunningAgent(
            version=__version__,
            cluster=settings.cluster,
            started_at=time.time(),
            gpu_provider=host.gpus.name,
            lanes=supervisor.lanes,
            journal=host.journal,
            inventory=host.monitor,
            data=settings.locations.data,
            log_name=host.runner.log_name,
            stopping=supervisor.stop,
            health=host.subjects,
            relaxations=relaxations(settings),
            services=workshop.live.services,
            earning=earning.of,
            work=work,
            bundles=lane_bundles(host, wallets),
            now=lambda: gpus_now(host.monitor, host.users.of),
        )
        await stack.enter_async_context(
            ControlServer(port, settings.locations.control_socket, group=settings.paths.control_group)
        )
        if settings.metrics.listen is not None:
            metrics = Metrics(port, host.journal.totals, settings.locations.data)
            await stack.enter_async_context(metrics_listener(metrics.text, *address_of(settings.metrics.listen)))
        stack.enter_context(supervisor.signals())
        _greet(host)
        await supervisor.run()
        log.info("stopped")


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
        signer = lane_signer(host, lane, wallet)
        context = lane_context(host, lane, signer)
        await context.outbox.resume(lane.name)
        funds.require_lamports(await funds.check(context, await context.ledger.market(Address(lane.market))))
        return await lane_registrar(host, signer).ensure(context, await LaneGpus(host.monitor, lane.gpus).current())


def _greet(host: Host) -> None:
    simulated = " (SIMULATED: no real GPU is used)" if host.gpus.name == "simulated" else ""
    log.info("gpunode %s on %s, GPU provider %s%s", __version__, host.cluster.name, host.gpus.name, simulated)
