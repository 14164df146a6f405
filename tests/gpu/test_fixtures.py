"""GPUs of several kinds, played by a double of NVML inside the real helper process: see fixtures/ and record.py."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any

import pynvml
import pytest

from node.agent.gpu_live import gpus_now, nobody_s
from node.agent.health.gpu_rules import RECOVERY
from node.content.merkle import MerkleHasher
from node.gpu import nvml
from node.gpu.monitor import GpuMonitor, local_day
from node.gpu.nvidia import NvidiaProvider
from node.gpu.nvml import load_library
from node.gpu.throttle import REASONS
from node.records import Gpu
from tests.gpu.record import SUCCESSIVE, Recorder
from tests.gpu.test_nvidia import DOUBLE, ManualClock

FOLDER = Path(__file__).with_name("fixtures")
SOUND = ("a100", "a100_mig", "gtx1080", "h100", "rtx4090", "wsl")

Play = Callable[..., NvidiaProvider]


@pytest.fixture
async def play(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Play]:
    async with AsyncExitStack() as stack:

        def start(name: str, clock: ManualClock | None = None, **options: Any) -> NvidiaProvider:
            monkeypatch.setenv("NVML_DOUBLE", str(FOLDER / f"{name}.json"))
            provider = NvidiaProvider(library=DOUBLE, new_hasher=MerkleHasher, clock=clock or ManualClock(), **options)
            stack.push_async_callback(provider.aclose)
            return provider

        yield start


def missing(gpu: Gpu) -> set[str]:
    return {field.name for field in fields(gpu) if getattr(gpu, field.name) is None} - {"parent", "slices"}


NOTHING_ELSE: set[str] = set()


@pytest.mark.parametrize(("name", "count", "not_told"), [
    ("h100", 2, NOTHING_ELSE),
    ("a100", 1, NOTHING_ELSE),
    ("rtx4090", 1, {"mig"}),
    ("gtx1080", 1, {"mig", "ecc"}),
    ("wsl", 1, {"mig", "ecc", "power_limit_watts", "power_default_watts", "power_most_watts", "slowdown_temperature",
                "shutdown_temperature"}),
])  # fmt: skip
async def test_what_each_tells_of_itself(play: Play, name: str, count: int, not_told: set[str]) -> None:
    gpus = await play(name).inventory()
    assert len(gpus) == count
    for gpu in gpus:
        assert missing(gpu) == not_told
        assert (gpu.parent, gpu.slices) == (None, None)


async def test_a_divided_gpu_is_its_parts(play: Play) -> None:
    provider = play("a100_mig")
    gpus = await provider.inventory()
    assert [(gpu.slices, gpu.name.split()[-1]) for gpu in gpus] == [(3, "3g.20gb"), (2, "2g.10gb"), (1, "1g.5gb")]
    assert {gpu.parent for gpu in gpus} == {"GPU-5e3c1a7e-0000-4000-8000-000000000300"}
    assert all(gpu.uuid.startswith("MIG-") and gpu.mig and gpu.pcie_width_most == 16 for gpu in gpus)
    assert gpus[0].vram_bytes == 20 * 1024**3 - 10 * 1024**2


async def test_a_part_s_telemetry_is_its_own_or_none(play: Play) -> None:
    clock = ManualClock()
    provider = play("a100_mig", clock)
    first = (await provider.inventory())[0].uuid
    async with provider.meter((first,)) as meter:
        clock.jump(1)
        reading = await meter.reading()
    (told,) = reading.gpus
    assert (reading.joules, reading.source, told.utilisation_mean, told.power_most) == (None, "none", None, None)
    assert (told.memory_most, told.temperature_most) == (2160066560, 28)
    (state,) = await provider.states((first,))
    assert [(each.pid, each.names[-1]) for each in state.processes or ()] == [(90210, "python")]


@pytest.mark.parametrize(("name", "source", "joules"), [
    ("h100", "counter", 1447.7), ("a100", "counter", 105.972), ("rtx4090", "counter", 548.0),
    ("gtx1080", "power", 80.1625), ("wsl", "power", 43.71),
])  # fmt: skip
async def test_a_job_s_telemetry_on_each(play: Play, name: str, source: str, joules: float) -> None:
    clock = ManualClock()
    provider = play(name, clock)
    uuids = tuple(gpu.uuid for gpu in await provider.inventory())
    async with provider.meter(uuids) as meter:
        for _ in range(2):
            clock.jump(1)
            reading = await meter.reading()
    assert (reading.source, reading.samples) == (source, 3 * len(uuids))
    assert reading.joules == pytest.approx(joules)
    for gpu in reading.gpus:
        assert gpu.errors == ()
        assert gpu.temperature_most is not None
        assert gpu.power_most is not None
        assert gpu.memory_most


async def test_a_screen_of_each(play: Play) -> None:
    for name in SOUND:
        clock = ManualClock()
        monitor = GpuMonitor(play(name, clock), clock, local_day)
        await monitor.once()
        for now in await gpus_now(monitor, nobody_s):
            assert now.time_ms is not None
            assert now.temperature is not None
            assert (now.processes is None) is (name == "wsl")
            assert now.slowed_by == {"wsl": None}.get(name, ("power_cap",) if "101" in now.uuid else ())


async def test_programs_by_name(play: Play) -> None:
    (state,) = await play("rtx4090").states(("GPU-5e3c1a7e-0000-4000-8000-000000000400",))
    assert {each.names[-1] for each in state.processes or () if each.pid == 55120} <= {"blender"}
    assert [each.used_bytes for each in state.processes or ()] == [268435456, 1073741824]


async def test_a_broken_host_is_told_of_gpu_by_gpu(play: Play) -> None:
    """One answers every second question, one blocks for ever, one falls off the bus, one is well."""
    clock = ManualClock()
    provider = play("broken", clock, deadline=1.0, start_deadline=20.0)
    uuids = tuple(gpu.uuid for gpu in await provider.inventory())
    assert len(uuids) == 4
    flaky, blocking, lost, sound = (f"GPU-5e3c1a7e-0000-4000-8000-00000000070{index}" for index in range(4))
    assert {*uuids} == {flaky, lost, blocking, sound}
    (faulty,) = await provider.states((flaky,))
    assert (faulty.faults["remap_pending"], dict(faulty.xids)) == (1, {"48": 1, "63": 1})
    async with provider.meter(uuids) as meter:
        for _ in range(4):
            clock.jump(1)
            reading = await meter.reading()
    told = {gpu.uuid: gpu for gpu in reading.gpus}
    assert reading.joules is None
    assert (told[sound].source, told[sound].temperature_most) == ("counter", 31)
    assert told[sound].samples >= 3
    assert "GPU is lost" in told[lost].errors
    assert told[flaky].source == "none"
    assert told[flaky].samples >= 3
    assert told[blocking].samples == 0


@pytest.mark.parametrize("name", SOUND)
def test_the_recorder_writes_what_the_double_plays(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """So that a fixture recorded on hardware is played as it was recorded."""
    file = FOLDER / f"{name}.json"
    monkeypatch.setenv("NVML_DOUBLE", str(file))
    script, recorded = json.loads(file.read_text()), Recorder(load_library(DOUBLE)).record(1)
    assert (recorded["driver"], recorded["cuda"]) == (script["driver"], script["cuda"])
    for was, told in zip(script["devices"], recorded["devices"], strict=True):
        for key in {*was} - {"uuid", "mig_devices", "xids"}:
            expected = was[key] if key not in SUCCESSIVE else was[key][:1] if isinstance(was[key], list) else [was[key]]
            assert told[key] == expected, key
        assert [{**part, "uuid": ""} for part in told["mig_devices"]] == [
            {**part, "uuid": ""} for part in was.get("mig_devices", [])
        ]


CALL = re.compile(r"\bnvml\.(nvml\w+|NVML_\w+)")


def test_the_binding_and_its_double_have_every_call_that_the_helper_makes() -> None:
    """A misspelt call would be "not available" for ever, and nobody would notice."""
    sources = sorted(Path(nvml.__file__).parent.glob("nvml*.py"))
    calls = {name for source in sources for name in CALL.findall(source.read_text())}
    assert len(calls) > 35
    double = load_library(DOUBLE)
    renamed = {"nvmlDeviceGetCurrentClocksEventReasons"}
    assert [name for name in sorted(calls) if not hasattr(pynvml, name)] == []
    assert [name for name in sorted(calls - renamed) if not hasattr(double, name)] == []
    for name in sorted(calls - renamed):
        ours, theirs = getattr(double, name), getattr(pynvml, name)
        if callable(ours) and name != "nvmlInit":
            inspect.signature(theirs).bind(*inspect.signature(ours).parameters)


def test_throttle_reasons_are_nvml_s() -> None:
    known = {
        value
        for name, value in vars(pynvml).items()
        if name.startswith(("nvmlClocksEventReason", "nvmlClocksThrottleReason")) and isinstance(value, int)
    }
    assert {*REASONS} == {value for value in known if value > 1 and value & (value - 1) == 0}
    assert {*RECOVERY} == {
        value for name, value in vars(pynvml).items() if name.startswith("NVML_GPU_RECOVERY_ACTION_") and value
    }
