"""Builds the looks that a host's settings ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from node.agent.health.ballast import Ballast
from node.agent.health.board import GPU, HealthBoard
from node.agent.health.chain_clock import CLOCK_SYSVAR, ChainClock, ChainMoment, decode_clock
from node.agent.health.probes import (
    ClockProbe,
    DiskProbe,
    EngineProbe,
    FilterProbe,
    GpuProbe,
    Pinged,
    Probe,
    RpcProbe,
)
from node.agent.health.verdict import Patience
from node.agent.health.watch import HealthWatch, Watched
from node.agent.isolation import IsolationProbe
from node.chain.rpc import Rpc
from node.container.egress.guard import Guard
from node.container.engine import EngineInfo
from node.errors import AccountMissing
from node.journal.journal import Journal
from node.records import Gpu
from node.retry import Clock
from node.settings import Settings

FOREVER = float("inf")
ESCAPES = "escapes"
AT_ONCE = Patience(failures=1, failures_over=0.0, successes=1, successes_over=0.0, unknown_limit=FOREVER)
"""For what does not flutter: versions of software."""


class ProbedEngine(Pinged, Protocol):
    """What is asked of the engine here."""

    async def info(self) -> EngineInfo:
        """Raises EngineUnavailable or EngineRejected."""
        ...


@dataclass(frozen=True, slots=True)
class Health:
    """The host's health: who looks, what the lanes read, and the chain's time."""

    board: HealthBoard
    watch: HealthWatch
    chain: ChainClock


async def open_health(
    settings: Settings,
    engine: ProbedEngine,
    rpc: Rpc,
    inventory: Callable[[], Awaitable[tuple[Gpu, ...]]],
    journal: Journal,
    ballast: Ballast,
    clock: Clock,
    escapes: Probe,
    guard: Guard,
    fitness: Sequence[Watched] = (),
) -> Health:
    """Everything in place, the ballast too; looked at once `watch.run` runs. `fitness`: more that is looked at."""
    await asyncio.to_thread(ballast.restore)
    chain = ChainClock(lambda: read_chain_clock(rpc), clock, journal)
    await chain.restore()

    async def engine_root() -> str:
        return (await engine.info()).root_dir

    async def tell(text: str, lane: str, level: str) -> None:
        await journal.add_event(text, lane=lane, level=level)

    limit = settings.health.unknown_limit
    work = Patience(unknown_limit=limit)
    disk = DiskProbe(settings.locations.data, settings.limits.disk_free_bytes, ballast, engine_root)
    watched = [
        Watched("engine", EngineProbe(engine), work),
        # No endpoint, no leaving: the place in the queue and the work stay.
        Watched("rpc", RpcProbe(rpc, clock), Patience(unknown_limit=FOREVER), every=10.0, within=60.0),
        Watched("disk", disk, work),
        Watched("isolation", IsolationProbe(settings, engine), work, every=20.0),
        Watched(
            "clock",
            ClockProbe(chain, clock, settings.health.clock_skew),
            Patience(failures_over=30.0, successes_over=30.0, unknown_limit=FOREVER, is_warning=True),
            every=20.0,
            within=60.0,
        ),
    ]
    watched.append(Watched(ESCAPES, escapes, AT_ONCE, every=120.0, within=60.0))
    if guard.firewall is not None:
        # No flutter to wait out: what is not there lets through, and what is back is back.
        at_once = Patience(failures=1, failures_over=0.0, successes=1, successes_over=0.0, unknown_limit=limit)
        watched.append(Watched("packet filter", FilterProbe(guard), at_once, every=10.0, within=30.0))
    # A driver without its persistence daemon takes many seconds to wake up.
    watched += [
        Watched(GPU, GpuProbe(inventory, lane.gpus), work, lane=lane.name, within=45.0, ends_work=True)
        for lane in settings.lanes
    ]
    watched += fitness
    board = HealthBoard()
    return Health(board, HealthWatch(board, watched, clock, tell), chain)


async def read_chain_clock(rpc: Rpc) -> ChainMoment:
    """The newest view of the chain's clock. Raises ChainError."""
    raw = await rpc.get_account(CLOCK_SYSVAR)
    if raw is None:
        raise AccountMissing("the chain shows no clock", hint="the endpoint serves no Solana chain")
    return ChainMoment(raw.slot, decode_clock(raw.data))
