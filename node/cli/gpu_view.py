"""`gpunode gpus --watch`: the GPUs as they are, once a second, drawn over itself without flicker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from node.cli import amounts, output, screen

if TYPE_CHECKING:
    from node.settings import Settings

SECONDS = 1.0
BAR = 16
NARROW = 60
"""Columns below which a line has no bar."""
WH = 3600.0

Known = dict[str, Any]
"""`gpus`: inventory; `now`: by UUID; `lanes`: of a running agent."""


async def watch(settings: Settings | None, as_json: bool) -> None:
    """Show it until interrupted: a terminal is drawn anew, a pipe gets a block or a JSON line each second."""
    async with _source(settings) as read:
        with screen.screen(draws=screen.is_screen() and not as_json) as draw:
            while True:
                known = await read()
                if as_json:
                    output.json_line(known)
                else:
                    draw(lines(known, *screen.size(draws=screen.is_screen())))
                await asyncio.sleep(SECONDS)


def lines(known: Known, width: int, height: int) -> list[str]:
    """The screen: a block for each GPU; where there is no room for those, a line for each."""
    now = {each["uuid"]: each for each in known["now"]}
    blocks = [_block(gpu, now.get(gpu["uuid"], {}), known["lanes"], width) for gpu in known["gpus"]]
    found = [line for block in blocks for line in (*block, "")][:-1]
    if len(found) > height:
        found = [_brief(gpu, now.get(gpu["uuid"], {}), known["lanes"])[:width] for gpu in known["gpus"]]
    if len(found) > height:
        found = [*found[: height - 1], f"… and {len(found) - height + 1} more"]
    return found or ["no GPU"]


def _block(gpu: Known, now: Known, lanes: Sequence[Known], width: int) -> list[str]:
    head = [f"GPU {gpu['index']}", gpu["name"], *(_lane(lane) for lane in _lanes_of(gpu, lanes))]
    if now.get("time_ms") is None:
        return [*_fitted(head, width, ""), *_fitted(["it tells nothing at the moment"], width, "  ")]
    parts = [each for each in (_use(now, width), *_measures(gpu, now)) if each]
    return [
        *_fitted(head, width, ""),
        *_fitted(parts, width, "  "),
        *(line for each in now.get("processes") or () for line in _fitted(_program(each), width, "  ")),
    ]


def _measures(gpu: Known, now: Known) -> list[str]:
    memory, whole = now.get("memory_bytes"), gpu["vram_bytes"]
    power, limit = now.get("power_watts"), gpu["power_limit_watts"]
    energy, since = now.get("energy_today_joules"), now.get("energy_today_since_ms")
    return [
        "" if memory is None else f"memory {amounts.size(memory)}" + (f" of {amounts.size(whole)}" if whole else ""),
        "" if now.get("temperature") is None else f"{now['temperature']} °C",
        "" if power is None else f"{power:.0f}" + (f" of {limit:.0f} W" if limit else " W"),
        "" if now.get("clock_mhz") is None else f"{now['clock_mhz']} MHz",
        f"slowed by {', '.join(now['slowed_by']).replace('_', ' ')}" if now.get("slowed_by") else "",
        _link(now),
        f"{now['ecc_uncorrected']} uncorrected memory errors" if now.get("ecc_uncorrected") else "",
        "" if energy is None or since is None else f"{energy / WH:.1f} Wh since {_clock(since)}",
    ]


def _use(now: Known, width: int) -> str:
    percent = now.get("utilisation")
    if percent is None:
        return ""
    if width < NARROW:
        return f"use {percent} %"
    full = round(BAR * min(100, max(0, percent)) / 100)
    return f"use {'█' * full}{'░' * (BAR - full)} {percent:3d} %"


def _link(now: Known) -> str:
    width, generation = now.get("pcie_width"), now.get("pcie_generation")
    return "" if width is None else f"PCIe {'' if generation is None else f'{generation}.0 '}x{width}"


def _program(program: Known) -> list[str]:
    whose = {"job": f"job {program['job']}", "agent": "gpunode itself", "other": "not a job", "gone": "somebody"}
    memory = "" if program["memory_bytes"] is None else f" {amounts.size(program['memory_bytes'])}"
    return [f"{whose.get(program['owner'], program['owner'])}:", f"{program['name']}{memory}", f"({program['pid']})"]


def _brief(gpu: Known, now: Known, lanes: Sequence[Known]) -> str:
    def value(name: str, unit: str) -> str:
        return f"{'–' if now.get(name) is None else round(now[name])}{unit}".rjust(6)

    jobs = " ".join(_lane(lane) for lane in _lanes_of(gpu, lanes))
    slowed = "!" if now.get("slowed_by") else " "
    memory = amounts.size(now.get("memory_bytes")) or "–"
    measured = f"{value('utilisation', '%')}{value('temperature', '°')}{value('power_watts', 'W')}"
    return f"{gpu['index']:>3}{slowed}{measured} {memory:>9}  {jobs or gpu['name']}"


def _lanes_of(gpu: Known, lanes: Sequence[Known]) -> list[Known]:
    return [lane for lane in lanes if gpu["uuid"] in lane["gpus"]]


def _lane(lane: Known) -> str:
    return f"{lane['lane']}: job {lane['job']}" if lane["job"] else f"{lane['lane']}: {lane['phase']}"


def _fitted(parts: Sequence[str], width: int, indent: str) -> list[str]:
    """Parts side by side, on as many lines as they need."""
    found: list[str] = []
    for part in map(output.printable, parts):
        if found and len(found[-1]) + 2 + len(part) <= width:
            found[-1] += f"  {part}"
        else:
            found.append(f"{indent}{part}"[:width])
    return found


def _clock(time_ms: int) -> str:
    return time.strftime("%H:%M", time.localtime(time_ms / 1000))


@asynccontextmanager
async def _source(settings: Settings | None) -> AsyncIterator[Any]:
    """What reads it: the running agent, so that there is one sampler, else the driver."""
    from node.api.client import ControlClient, NoAgent

    if settings is not None:
        async with ControlClient(settings.locations.control_socket) as client:
            try:
                await client.gpus_now()
            except NoAgent:
                pass
            else:

                async def ask() -> Known:
                    status = await client.status()
                    gpus, now = await client.gpus(), await client.gpus_now()
                    return {"running": True, "gpus": gpus["gpus"], "now": now["gpus"], "lanes": status["lanes"]}

                yield ask
                return
    async with own_reading(settings) as read:
        yield read


@asynccontextmanager
async def own_reading(settings: Settings | None) -> AsyncIterator[Any]:
    """What reads it where no agent runs."""
    from node.agent.gpu_live import gpus_now, nobody_s
    from node.api.documents import gpu_document, plain
    from node.gpu.monitor import GpuMonitor, local_day
    from node.gpu.provider import choose_provider
    from node.gpu.scenario import LOST_NAME
    from node.retry import SystemClock

    if settings is None:
        # Without settings nothing says which chain this is for; only a localnet may be shown simulated GPUs.
        provider = await choose_provider("auto", "mainnet")
    else:
        lost = settings.locations.data / LOST_NAME
        chosen = settings.gpu
        provider = await choose_provider(chosen.provider, settings.cluster, lost=lost, simulated=chosen.simulated)
    monitor = GpuMonitor(provider, SystemClock(), local_day)

    async def read() -> Known:
        await monitor.once()
        gpus = [gpu_document(gpu) for gpu in monitor.gpus]
        now = [plain(each) for each in await gpus_now(monitor, nobody_s)]
        return {"running": False, "provider": provider.name, "gpus": gpus, "now": now, "lanes": []}

    try:
        yield read
    finally:
        await provider.aclose()
