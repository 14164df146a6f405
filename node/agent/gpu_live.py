"""GPUs as they are at this moment, for screens."""

from __future__ import annotations

from node.agent.gpu_users import GpuUser
from node.agent.health.gpu_rules import UsersOf
from node.errors import JournalError
from node.gpu.hygiene import Owner
from node.gpu.monitor import GpuMonitor
from node.gpu.samples import UNREAD, Sample, number
from node.gpu.state import GpuState
from node.gpu.throttle import reasons
from node.records_gpus import GpuNow, GpuProgram


async def gpus_now(monitor: GpuMonitor, users: UsersOf) -> tuple[GpuNow, ...]:
    """Of all GPUs that are there, as the monitor has last seen them: nothing is asked of the driver."""
    return tuple([await _now(monitor, users, gpu.uuid) for gpu in monitor.gpus])


async def nobody_s(state: GpuState) -> tuple[GpuUser, ...]:
    """Users of which nothing is known but that they are there."""
    return tuple(GpuUser(each, Owner.GONE) for each in state.processes or ())


async def _now(monitor: GpuMonitor, users: UsersOf, uuid: str) -> GpuNow:
    seen = monitor.sample(uuid)
    sample = seen or Sample(uuid, 0.0, 0)
    state = monitor.state(uuid) or GpuState(uuid)
    power, mask = number(sample.power_mw), number(sample.throttle)
    energy = monitor.energy_today(uuid)
    return GpuNow(
        uuid=uuid,
        time_ms=None if seen is None else sample.time_ms,
        utilisation=number(sample.utilisation),
        memory_bytes=state.vram_used_bytes if sample.memory_bytes is UNREAD else number(sample.memory_bytes),
        temperature=number(sample.temperature),
        power_watts=None if power is None else power / 1000,
        clock_mhz=number(sample.clock_mhz),
        slowed_by=None if mask is None else reasons(mask),
        pcie_width=state.link.get("width"),
        pcie_generation=state.link.get("generation"),
        ecc_corrected=number(sample.ecc_corrected),
        ecc_uncorrected=number(sample.ecc_uncorrected),
        processes=None if state.processes is None else await _programs(state, users),
        energy_today_joules=None if energy is None else energy[0],
        energy_today_since_ms=None if energy is None else energy[1],
    )


async def _programs(state: GpuState, users: UsersOf) -> tuple[GpuProgram, ...]:
    try:
        found = await users(state)
    except JournalError:
        found = await nobody_s(state)
    return tuple(
        GpuProgram(each.process.pid, each.name, each.process.used_bytes, each.owner.value, each.job) for each in found
    )
