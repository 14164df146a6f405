"""The room for work proofs, out of settings and what all lanes share."""

from __future__ import annotations

from node.agent.premises import Host
from node.agent.work_room import SCRATCH, WorkRoom, WorkTerms
from node.content.folder import LocalStore
from node.errors import GpuError
from node.gpu.work.engine import pick_engine

HOUR = 3_600.0


async def open_work_room(host: Host) -> WorkRoom:
    """Open it: what an earlier life of the agent left is closed. Raises JournalError."""
    wanted = host.settings.work_proof
    engine, why = pick_engine(wanted.engine, provider=host.gpus.name, localnet=host.cluster.name == "localnet")
    terms = WorkTerms(
        engine=engine,
        why=why,
        interval=wanted.interval * HOUR,
        seconds=wanted.seconds,
        daily_joules=wanted.daily_energy * 1000,
        size=wanted.size,
    )
    room = WorkRoom(
        terms=terms,
        journal=host.journal,
        # Not the drawer of jobs' results: what is put by for a full disk is for those.
        drawer=LocalStore(host.settings.locations.content),
        stores=host.library.store_names,
        meters=host.gpus,
        scratch=host.settings.locations.data / SCRATCH,
        clock=host.clock,
    )
    await room.open(await _watts(host))
    return room


async def _watts(host: Host) -> float | None:
    """The highest power limit of this host's GPUs, None where none is known."""
    try:
        limits = [gpu.power_limit_watts for gpu in await host.gpus.inventory()]
    except GpuError:
        return None
    return max((limit for limit in limits if limit is not None), default=None)
