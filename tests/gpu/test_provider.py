"""Which provider a host gets, and what the simulated one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.errors import GpuError
from node.gpu import provider
from node.gpu.nvidia import NvidiaProvider
from node.gpu.provider import ProviderSetting, choose_provider
from node.gpu.simulated import SIMULATED_UUID_PREFIX, SimulatedProvider
from node.records import Gpu

REAL = Gpu("nvidia", 0, "GPU-1", "card", 1, None, None, None)


def host_with(monkeypatch: pytest.MonkeyPatch, answer: tuple[Gpu, ...] | GpuError) -> None:
    class Host(NvidiaProvider):
        async def inventory(self) -> tuple[Gpu, ...]:
            if isinstance(answer, GpuError):
                raise answer
            return answer

    monkeypatch.setattr(provider, "NvidiaProvider", Host)


NO_DRIVER = GpuError("no driver here")


@pytest.mark.parametrize("cluster", ["localnet", "devnet", "mainnet"])
@pytest.mark.parametrize("setting", ["auto", "nvidia"])
async def test_a_real_gpu_is_taken(monkeypatch: pytest.MonkeyPatch, cluster: str, setting: ProviderSetting) -> None:
    host_with(monkeypatch, (REAL,))
    chosen = await choose_provider(setting, cluster)
    assert chosen.name == "nvidia"
    await chosen.aclose()


@pytest.mark.parametrize("answer", [NO_DRIVER, ()])
async def test_auto_without_a_gpu(monkeypatch: pytest.MonkeyPatch, answer: tuple[Gpu, ...] | GpuError) -> None:
    host_with(monkeypatch, answer)
    assert (await choose_provider("auto", "localnet")).name == "simulated"
    for cluster in ("devnet", "mainnet"):
        with pytest.raises(GpuError, match=f"no GPU to offer on {cluster}") as raised:
            await choose_provider("auto", cluster)
        assert "simulated" in raised.value.hint


@pytest.mark.parametrize("answer", [NO_DRIVER, ()])
async def test_nvidia_without_a_gpu_is_no_choice(
    monkeypatch: pytest.MonkeyPatch, answer: tuple[Gpu, ...] | GpuError
) -> None:
    host_with(monkeypatch, answer)
    with pytest.raises(GpuError, match=r"no driver here|knows no GPU"):
        await choose_provider("nvidia", "localnet")


async def test_simulated_is_refused_where_posters_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    host_with(monkeypatch, (REAL,))
    assert (await choose_provider("simulated", "localnet")).name == "simulated"
    for cluster in ("devnet", "mainnet"):
        with pytest.raises(GpuError):
            await choose_provider("simulated", cluster)


async def test_simulated_gpus_are_stable_and_say_what_they_are(tmp_path: Path) -> None:
    machine = tmp_path / "machine-id"
    machine.write_text("0123456789abcdef0123456789abcdef\n")
    first, second = await SimulatedProvider(2, machine).inventory()
    assert (first, second) == await SimulatedProvider(2, machine).inventory()
    assert first.uuid != second.uuid
    assert first.uuid.startswith(SIMULATED_UUID_PREFIX)
    assert "0123456789abcdef" not in first.uuid.replace("-", "")
    assert (first.provider, first.name) == ("simulated", "Simulated GPU")
    assert (first.vram_bytes, first.driver, first.compute_capability) == (None, None, None)

    machine.write_text("another machine\n")
    (other,) = await SimulatedProvider(1, machine).inventory()
    assert other.uuid != first.uuid


async def test_a_simulated_gpu_uses_no_energy_that_anyone_could_state() -> None:
    async with SimulatedProvider().meter(("GPU-simulated-x",)) as meter:
        reading = await meter.reading()
    assert (reading.joules, reading.source, reading.utilisation_mean, reading.samples) == (None, "none", None, 0)
