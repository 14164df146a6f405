"""`gpunode gpus`: the GPUs of this host."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli import amounts, gpu_view, output, proofs
from node.cli.options import JsonOption, SettingsOption

if TYPE_CHECKING:
    from node.settings import Settings


def gpus(
    settings: SettingsOption = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show them live, once a second.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show this host's GPUs, their work proofs and measures.

    The running agent is asked, else the driver and the journal.

    JSON: `running`, `provider` (`nvidia`, `simulated`, or null where there is none), `gpus` (with `driver`, `cuda`,
    `power_limit_watts`, `pcie_width_most`, `slowdown_temperature`, `ecc`, `mig`, ...: null is "not available"), `now`
    (each at this moment: `utilisation`, `memory_bytes`, `temperature`, `power_watts`, `clock_mhz`, `slowed_by`,
    `processes`, `energy_today_joules`, ...), and of proofs: `work` (by
    lane: `engine`, `why`, `running`, `next_at`, `newest` with `made_ms`, `rate`, `engine`, `gpu`, `size`, `rounds`,
    `joules`, `metered`, `sha256`, `cid`, `root`, `signature`), `ladders` (`gpu`, `measured_ms`, `digest`, `document`),
    `joules_today`, `daily_joules`.
    """
    from node.cli import place

    loaded = place.load_if_any(settings)
    if watch:
        with contextlib.suppress(KeyboardInterrupt):
            place.run(gpu_view.watch(loaded, as_json))
        return
    known = place.run(_read(loaded))
    output.emit(known, as_json, lambda: _show(known))


async def _read(settings: Settings | None) -> dict[str, Any]:
    from node.api.client import ControlClient, NoAgent

    if settings is not None:
        try:
            async with ControlClient(settings.locations.control_socket) as client:
                status = await client.status()
                known = {"running": True, "provider": status["gpu_provider"], **await client.gpus()}
                now = (await client.gpus_now())["gpus"]
                return {**known, "now": now, **await client.proofs()}
        except NoAgent:
            pass
    return await _ask_driver(settings)


async def _ask_driver(settings: Settings | None) -> dict[str, Any]:
    from node.cli.proofs import NOTHING, read_journal

    async with gpu_view.own_reading(settings) as read:
        seen = await read()
    known = NOTHING if settings is None else await read_journal(settings, seen["provider"])
    return {**{name: seen[name] for name in ("running", "provider", "gpus", "now")}, **known}


def _show(known: dict[str, Any]) -> None:
    if known["provider"] == "simulated":
        output.line("provider simulated: there is no NVIDIA GPU here, and only a localnet accepts this one")
    columns = ["gpu", "name", "memory", "driver", "CUDA", "compute", "power limit", "PCIe", "UUID"]
    output.table(columns, [_row(gpu) for gpu in known["gpus"]], "no GPU")
    proofs.show(known)


def _row(gpu: dict[str, Any]) -> list[object]:
    memory, power = gpu["vram_bytes"], gpu["power_limit_watts"]
    return [
        gpu["index"],
        gpu["name"],
        amounts.size(memory),
        gpu["driver"],
        gpu["cuda"],
        gpu["compute_capability"],
        None if power is None else f"{power:.0f} W",
        _link(gpu),
        gpu["uuid"],
    ]


def _link(gpu: dict[str, Any]) -> str | None:
    """What card and slot can do together."""
    width, generation = gpu["pcie_width_most"], gpu["pcie_generation_most"]
    return None if width is None or generation is None else f"{generation}.0 x{width}"
