"""What a GPU is left with, through the real helper process and a scripted NVML."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from node.errors import GpuError
from node.gpu.helper import DriverRefused
from node.gpu.state import GpuProcess, GpuState, parse_row, parse_text
from tests.gpu.test_nvidia import A, B, Make, device, make

__all__ = ["make"]

FULL = {
    "vram_used": 512 * 1024**2,
    "compute": [[4711, 1024], [4712, None]],
    "graphics": [[900, 2048]],
    "graphics_clock": 1980,
    "memory_clock": 2619,
    "power_limit": 700_000,
    "compute_mode": 0,
    "persistence": 1,
    "ecc_mode": 1,
    "mig_mode": 0,
    "ecc_volatile": 0,
    "ecc_aggregate": 2,
    "retirement_pending": 0,
    "remap_pending": 0,
    "remap_failure": 0,
    "recovery_action": 0,
    "xids": [],
}


def happen(index: int = 0, **changes: Any) -> None:
    """Let something happen to a GPU of the running helper."""
    path = Path(os.environ["NVML_DOUBLE"])
    script = json.loads(path.read_text())
    script["devices"][index] |= changes
    before = path.stat().st_mtime_ns
    path.write_text(json.dumps(script))
    os.utime(path, ns=(before + 1_000_000, before + 1_000_000))


async def test_everything_that_a_data_centre_gpu_tells(make: Make) -> None:
    (state,) = await make(device(**FULL)).states((A,))
    assert state.processes == (GpuProcess(900, 2048), GpuProcess(4711, 1024), GpuProcess(4712, None))
    assert state.vram_used_bytes == 512 * 1024**2
    assert state.settings == {
        "graphics_clock": 1980,
        "memory_clock": 2619,
        "power_limit": 700_000,
        "compute_mode": 0,
        "persistence": 1,
        "ecc_mode": 1,
        "mig_mode": 0,
        "mig_layout": 0,
    }
    assert state.counters == {"ecc_volatile": 0, "ecc_aggregate": 2}
    assert state.faults == {"retirement_pending": 0, "remap_pending": 0, "remap_failure": 0, "recovery_action": 0}
    assert parse_text(state.text()) == state


async def test_what_a_gaming_gpu_does_not_offer_is_absent(make: Make) -> None:
    (state,) = await make(device(vram_used={"error": 3}, compute={"error": 3}, vram=1)).states((A,))
    assert state.is_blank
    assert (state.processes, state.vram_used_bytes) == (None, None)
    assert not {*state.settings, *state.counters, *state.faults}
    assert parse_text(state.text()) == state


async def test_another_division_is_another_number(make: Make) -> None:
    provider = make(device(**FULL | {"mig_mode": 1, "mig_devices": ["MIG-1", "MIG-2"]}))
    (first,) = await provider.states((A,))
    assert first.settings["mig_mode"] == 1
    assert first.settings["mig_layout"] > 0
    happen(mig_devices=["MIG-2", "MIG-1"])
    (same,) = await provider.states((A,))
    happen(mig_devices=["MIG-1", "MIG-3"])
    (other,) = await provider.states((A,))
    assert first.settings == same.settings
    assert first.settings["mig_layout"] != other.settings["mig_layout"]


async def test_reported_errors_are_counted_by_gpu_and_life(make: Make) -> None:
    provider = make(device(**FULL), device(B, **FULL))
    first, other = await provider.states((A, B))
    assert first.xids == {}
    happen(0, xids=[31, 31, 79])
    happen(1, xids=[13])
    first, other = await provider.states((A, B))
    assert (first.xids, other.xids) == ({"31": 2, "79": 1}, {"13": 1})
    (again,) = await provider.states((A,))
    assert again == first
    await provider._helper.renew()
    (anew,) = await provider.states((A,))
    assert anew.epoch != first.epoch


async def test_a_gpu_that_is_lost_or_unknown_is_an_error_and_no_state(make: Make) -> None:
    provider = make(device(vram={"error": 15}))
    with pytest.raises(DriverRefused, match="lost"):
        await provider.states((A,))
    with pytest.raises(DriverRefused, match="Not Found"):
        await provider.states((B,))


async def test_a_driver_that_hangs_costs_the_deadline(make: Make) -> None:
    provider = make(device(vram={"hang": True}), deadline=0.2, start_deadline=2.0)
    with pytest.raises(GpuError, match="did not answer"):
        await provider.states((A,))


@pytest.mark.parametrize("text", ["", "1", "[]", "{}", '{"uuid": 1}', "[" * 20_000, '{"uuid":"a","processes":[1]}'])
def test_a_kept_state_that_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        parse_text(text)


@pytest.mark.parametrize("row", [{}, {"uuid": "a", "processes": [1], "vram_used": 1}])
def test_an_answer_that_is_no_state(row: dict[str, Any]) -> None:
    with pytest.raises(GpuError, match="makes no sense"):
        parse_row(row)


def test_a_blank_state() -> None:
    assert GpuState("x").is_blank
    assert not GpuState("x", processes=()).is_blank
