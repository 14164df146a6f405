"""`gpunode gpus`: the GPUs of this host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from node.cli import amounts, output, proofs
from node.cli.options import JsonOption, SettingsOption

if TYPE_CHECKING:
    from node.settings import Settings


def gpus(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Show the GPUs of this host, the newest work proof of each lane, and what `gpunode bench gpu` measured.

    The running agent is asked, else the driver and the journal.

    JSON: `running`, `provider` (`nvidia`, `simulated`, or null where there is none), `gpus`, and of proofs: `work` (by
    lane: `engine`, `why`, `running`, `next_at`, `newest` with `made_ms`, `rate`, `engine`, `gpu`, `size`, `rounds`,
    `joules`, `metered`, `sha256`, `cid`, `root`, `signature`), `ladders` (`gpu`, `measured_ms`, `digest`, `document`),
    `joules_today`, `daily_joules`.
    """
    from node.cli import place

    known = place.run(_read(place.load_if_any(settings)))
    output.emit(known, as_json, lambda: _show(known))


async def _read(settings: Settings | None) -> dict[str, Any]:
    from node.api.client import ControlClient, NoAgent

    if settings is not None:
        try:
            async with ControlClient(settings.locations.control_socket) as client:
                status = await client.status()
                known = {"running": True, "provider": status["gpu_provider"], **await client.gpus()}
                return {**known, **await client.proofs()}
        except NoAgent:
            pass
    return await _ask_driver(settings)


async def _ask_driver(settings: Settings | None) -> dict[str, Any]:
    from node.api.documents import gpu_document
    from node.cli.proofs import NOTHING, read_journal
    from node.gpu.provider import choose_provider

    setting = settings.gpu.provider if settings is not None else "auto"
    # Without settings nothing says which chain this is for; only a localnet may be shown simulated GPUs.
    provider = await choose_provider(setting, settings.cluster if settings is not None else "mainnet")
    try:
        found = await provider.inventory()
    finally:
        await provider.aclose()
    known = NOTHING if settings is None else await read_journal(settings, provider.name)
    return {"running": False, "provider": provider.name, "gpus": [gpu_document(gpu) for gpu in found], **known}


def _show(known: dict[str, Any]) -> None:
    if known["provider"] == "simulated":
        output.line("provider simulated: there is no NVIDIA GPU here, and only a localnet accepts this one")
    columns = ["gpu", "name", "memory", "driver", "CUDA", "compute", "power limit", "UUID"]
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
        gpu["uuid"],
    ]
