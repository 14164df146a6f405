"""The NVIDIA provider against a scripted NVML inside its real helper process."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from node.content.merkle import MerkleHasher
from node.errors import GpuError
from node.gpu.helper import DriverRefused
from node.gpu.nvidia import NvidiaProvider
from node.records import Gpu

DOUBLE = str(Path(__file__).with_name("nvml_double.py"))
A, B = "GPU-5e3c1a7e-0000-4000-8000-00000000000a", "GPU-5e3c1a7e-0000-4000-8000-00000000000b"
UNSUPPORTED = {"error": 3}


def device(uuid: str = A, **changes: Any) -> dict[str, Any]:
    usual = {
        "uuid": uuid,
        "name": "NVIDIA H100 80GB HBM3",
        "vram": 85_520_809_984,
        "cc": [9, 0],
        "limit": 700_000,
        "energy": [1_000_000],
        "power": [70_000],
        "utilisation": [0],
    }
    return usual | changes


class ManualClock:
    """Time that moves when told to; sleepers wait for it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._moved = asyncio.Condition()

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000 + self.now

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        async with self._moved:
            await self._moved.wait_for(lambda: self.now >= until)

    def jump(self, seconds: float) -> None:
        self.now += seconds


Make = Callable[..., NvidiaProvider]


@pytest.fixture
async def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        def start(
            *devices: dict[str, Any], cuda: Any = 13000, init: int | None = None, **options: Any
        ) -> NvidiaProvider:
            script = tmp_path / "nvml.json"
            script.write_text(json.dumps({"driver": "580.65.06", "cuda": cuda, "devices": devices, "init": init}))
            monkeypatch.setenv("NVML_DOUBLE", str(script))
            provider = NvidiaProvider(library=DOUBLE, new_hasher=MerkleHasher, **options)
            stack.push_async_callback(provider.aclose)
            return provider

        yield start


async def test_inventory(make: Make) -> None:
    assert await make(device(), device(B, name="other")).inventory() == (
        Gpu("nvidia", 0, A, "NVIDIA H100 80GB HBM3", 85_520_809_984, "580.65.06", "13.0", "9.0", 700.0),
        Gpu("nvidia", 1, B, "other", 85_520_809_984, "580.65.06", "13.0", "9.0", 700.0),
    )


async def test_what_a_gpu_does_not_offer_is_none_and_no_zero(make: Make) -> None:
    (gpu,) = await make(device(vram=UNSUPPORTED, limit=UNSUPPORTED), cuda=UNSUPPORTED).inventory()
    assert (gpu.vram_bytes, gpu.power_limit_watts, gpu.cuda, gpu.driver) == (None, None, None, "580.65.06")


async def test_no_driver_is_an_answer_with_a_hint(make: Make) -> None:
    with pytest.raises(DriverRefused, match="Driver Not Loaded") as raised:
        await make(init=9).inventory()
    assert raised.value.code == 9
    assert "nvidia-smi" in raised.value.hint


async def test_a_lost_gpu_is_an_error_and_not_a_missing_value(make: Make) -> None:
    with pytest.raises(DriverRefused, match="GPU is lost") as raised:
        await make(device(vram={"error": 15})).inventory()
    assert raised.value.code == 15


async def test_a_lost_gpu_hides_none_of_the_others_and_is_seen_again_when_it_is_back(
    make: Make, tmp_path: Path
) -> None:
    provider = make(device(vram={"error": 15}), device(B), device(uuid=A[:-1] + "c", limit={"error": 16}))
    assert [gpu.uuid for gpu in await provider.inventory()] == [B]
    script = Path(os.environ["NVML_DOUBLE"])
    script.write_text(json.dumps(json.loads(script.read_text()) | {"devices": [device(), device(B)]}))
    assert [gpu.uuid for gpu in await provider.inventory()] == [A, B]


async def test_a_read_that_blocks_costs_its_deadline_and_the_next_call_works(make: Make) -> None:
    provider = make(device(energy=[1000, {"hang": True}]), deadline=0.3, start_deadline=20.0)
    await provider.inventory()
    async with provider.meter((A,)) as meter:
        began = time.monotonic()
        reading = await meter.reading()
        assert time.monotonic() - began < 5
    assert (reading.joules, reading.source) == (None, "none")
    (gpu,) = await provider.inventory()
    assert gpu.uuid == A


async def test_a_hung_inventory_is_named(make: Make) -> None:
    provider = make(device(vram={"hang": True}), deadline=0.3, start_deadline=3.0)
    with pytest.raises(GpuError, match="did not answer within 3 s"):
        await provider.inventory()


async def test_energy_by_counter(make: Make, tmp_path: Path) -> None:
    clock = ManualClock()
    provider = make(
        device(energy=[5_000, 9_500], utilisation=[50, 100]),
        device(B, energy=[100, 350], utilisation=[0, 50]),
        clock=clock,
    )
    lines = tmp_path / "samples" / "energy.jsonl"
    async with provider.meter((A, B), lines) as meter:
        clock.jump(10)
        reading = await meter.reading()
    assert (reading.joules, reading.source) == (4.75, "counter")
    assert (reading.utilisation_mean, reading.samples) == (0.5, 4)
    hasher = MerkleHasher()
    hasher.update(lines.read_bytes())
    assert reading.samples_root == hasher.root()
    assert lines.read_text().splitlines()[0] == (
        '{"clock_mhz":null,"ecc_corrected":null,"ecc_uncorrected":null,"energy_mj":5000,"memory_bytes":0,'
        '"power_mw":70000,"temperature":null,"throttle":null,"time_ms":1700001000000,"utilisation":50,'
        f'"uuid":"{A}","xids":[]}}'
    )


async def test_energy_by_power_where_there_is_no_counter(make: Make) -> None:
    clock = ManualClock()
    provider = make(device(energy=UNSUPPORTED, power=[100_000, 300_000, 300_000]), clock=clock)
    async with provider.meter((A,)) as meter:
        clock.jump(2)
        first = await meter.reading()
        clock.jump(1)
        second = await meter.reading()
    assert (first.joules, first.source) == (400.0, "power")
    assert (second.joules, second.source) == (700.0, "power")


async def test_no_energy_is_made_up(make: Make) -> None:
    clock = ManualClock()
    neither = make(device(energy=UNSUPPORTED, power=UNSUPPORTED, utilisation=[80, 40]), clock=clock)
    async with neither.meter((A,)) as meter:
        clock.jump(1)
        reading = await meter.reading()
    assert (reading.joules, reading.source, reading.utilisation_mean) == (None, "none", 0.6)

    gap = make(device(energy=UNSUPPORTED, power=[100_000]), clock=clock)
    async with gap.meter((A,)) as meter:
        clock.jump(60)
        assert (await meter.reading()).source == "none"

    reset = make(device(energy=[900_000, 10], power=UNSUPPORTED), clock=clock)
    async with reset.meter((A,)) as meter:
        clock.jump(1)
        assert (await meter.reading()).joules is None

    half = make(device(), device(B, energy=UNSUPPORTED, power=UNSUPPORTED), clock=clock)
    async with half.meter((A, B)) as meter:
        clock.jump(1)
        assert (await meter.reading()).joules is None


async def test_an_unknown_uuid_leaves_the_meter_without_a_reading(make: Make) -> None:
    async with make(device()).meter(("GPU-nobody",)) as meter:
        reading = await meter.reading()
    assert (reading.joules, reading.source, reading.samples, reading.samples_root) == (None, "none", 0, None)


async def test_samples_are_taken_by_themselves(make: Make) -> None:
    provider = make(device(energy=list(range(0, 100_000, 1000))))
    async with provider.meter((A,)) as meter:
        await asyncio.sleep(1.5)
        reading = await meter.reading()
    assert reading.samples >= 3
    assert reading.joules == reading.samples - 1


async def test_the_helper_ends_with_the_provider(make: Make) -> None:
    provider = make(device())
    await provider.inventory()
    process = provider._helper._process
    assert process is not None
    await provider.aclose()
    assert process.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
