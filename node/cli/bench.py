"""`gpunode bench`: what this host's devices make of numbers of many kinds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli import output
from node.cli.options import JsonOption, SettingsOption
from node.cli.proofs import rate_text

if TYPE_CHECKING:
    from node.records import Gpu

group = typer.Typer(help="What this host's devices can do, measured.", no_args_is_help=True)


@group.command()
def gpu(
    cpu: Annotated[bool, typer.Option("--cpu", help="Measure the processors, even where there is a GPU.")] = False,
    seconds: Annotated[float, typer.Option("--seconds", min=0.05, help="For each figure, about.")] = 1.0,
    save: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Keep the first device's document.", show_default=False),
    ] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the precision ladder of each GPU, or of the processors where there is none.

    Products of matrices in fp32, tf32, fp16, bf16, fp8 and int8, the memory's bandwidth, and a small model in fp32 and
    in dynamic int8. No job may run meanwhile: with a running agent its lanes are to be paused or drained first. What
    was measured is kept in the journal, shown by `gpunode gpus`, and named by the receipts to come.

    JSON: `gpu` (null, or why no GPU was measured), `ladders` (`digest`: SHA-256 of the canonical document, `ladder`:
    the document with `device`, `products`, `bandwidth`, `model`, `agent`, `measuredMs`), `kept` (whether the journal
    has them), `not_kept` (null, or why not).
    """
    from node.cli import place, proofs

    async def measured() -> tuple[str | None, list[bytes], str | None]:
        loaded = place.load_if_any(settings)
        await proofs.require_rest(loaded)
        why, bodies = await _measure(settings, cpu, seconds)
        return why, bodies, await proofs.keep_ladders(loaded, bodies)

    why, bodies, not_kept = place.run(measured())
    if save is not None and bodies:
        save.write_bytes(bodies[0])
    known = {
        "gpu": why,
        "ladders": [_entry(body) for body in bodies],
        "kept": not_kept is None,
        "not_kept": not_kept,
    }
    output.emit(known, as_json, lambda: _show(known))


async def _measure(settings: Path | None, cpu: bool, seconds: float) -> tuple[str | None, list[bytes]]:
    from node.errors import GpuError
    from node.gpu.ladder.process import measure

    reason = "not measured: --cpu was asked for" if cpu else None
    bodies = []
    for each in () if cpu else await _gpus(settings):
        try:
            bodies.append(await measure("cuda", each.uuid, seconds))
        except GpuError as error:
            reason = f"not measured: {error.line}"
    if not bodies:
        reason = reason or "not measured: no GPU here"
        bodies.append(await measure("cpu", None, seconds))
    return reason, bodies


async def _gpus(settings: Path | None) -> tuple[Gpu, ...]:
    from node.cli import place
    from node.errors import GpuError
    from node.gpu.nvidia import NvidiaProvider

    loaded = place.load_if_any(settings)
    if loaded is not None and loaded.gpu.provider == "simulated":
        return ()
    provider = NvidiaProvider()
    try:
        return await provider.inventory()
    except GpuError:
        return ()
    finally:
        await provider.aclose()


def _entry(body: bytes) -> dict[str, Any]:
    from hashlib import sha256

    return {"digest": sha256(body).hexdigest(), "ladder": json.loads(body)}


def _show(known: dict[str, Any]) -> None:
    if known["gpu"] is not None:
        output.line(f"GPU: {known['gpu']}")
    for entry in known["ladders"]:
        _show_one(entry["ladder"], entry["digest"])
    output.line("kept in the journal" if known["kept"] else f"not kept: {known['not_kept']}")


def _show_one(ladder: dict[str, Any], digest: str) -> None:
    device, model = ladder["device"], ladder["model"]
    output.line()
    output.heading(f"{device['name']} ({device['detail']})")
    rows = [
        [
            each["precision"],
            each["why"] if each["operationsPerSecond"] is None else rate_text(each["operationsPerSecond"]),
            each["by"] or None,
        ]
        for each in ladder["products"]
    ]
    output.table(["precision", "products of matrices", "by"], rows)
    bandwidth = ladder["bandwidth"]
    moved = bandwidth["bytesPerSecond"]
    output.line(f"memory: {'not measured' if moved is None else f'{moved / 1e9:,.1f} GB/s'} ({bandwidth['how']})")
    if "why" in model:
        output.line(f"model: {model['why']}")
    else:
        _show_model(model)
    output.line(f"digest: {digest}")


def _show_model(model: dict[str, Any]) -> None:
    fp32, int8 = model["variants"]
    output.line(f"model: {model['name']}, {model['parameters'] / 1e6:.1f} million weights, by {model['by']}")
    for each in (fp32, int8):
        milliseconds = each["latencyMicroseconds"] / 1000
        output.line(
            f"  {each['precision']}: {each['bytes'] / 1e6:.1f} MB, {milliseconds:.2f} ms for {model['batch']} rows"
        )
    faster = fp32["latencyMicroseconds"] / max(int8["latencyMicroseconds"], 1)
    same = model["agreement"]["top1Permille"] / 10
    output.line(
        f"  dynamic int8 is {faster:.1f} times as fast in {int8['bytes'] / fp32['bytes']:.0%} of the memory;"
        f" {same:.1f} % of the answers are the same"
    )
