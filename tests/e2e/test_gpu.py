"""Jobs with a GPU: a whole agent, a real engine with a recording hook in NVIDIA's place, a scripted NVML."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from node.api.client import ControlClient
from node.settings import Settings
from tests.container.test_gpu_request import GpuEngine, gpu_engine
from tests.e2e.market_place import MarketPlace, market_place, queued, settings_tree, settled, single, until, working
from tests.gpu.test_nvidia import DOUBLE, A, device
from tests.gpu.test_state import FULL, happen

__all__ = ["gpu_engine"]

pytestmark = pytest.mark.docker


@pytest_asyncio.fixture
async def place(tmp_path: Path, gpu_engine: GpuEngine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MarketPlace]:
    library = tmp_path / "library"
    library.mkdir()
    (library / "pynvml.py").write_text(Path(DOUBLE).read_text())
    monkeypatch.setenv("PYTHONPATH", str(library))  # only the helper process is started with it
    monkeypatch.setenv("NVML_DOUBLE", str(tmp_path / "nvml.json"))
    async with market_place(tmp_path) as made:
        made.settings = with_gpu(made, gpu_engine)
        yield made


def with_gpu(place: MarketPlace, engine: GpuEngine, **changes: Any) -> Settings:
    tree = settings_tree(place.net, place.folder)
    tree["engine"] |= {"socket": str(engine.socket)}
    tree |= {"gpu": {"provider": "nvidia", "settle": 1.0}} | changes
    return Settings.model_validate(tree)


def driver(place: MarketPlace, version: str) -> None:
    script = {"driver": version, "cuda": 13000, "devices": [device(A, **FULL)], "init": None}
    (place.folder / "nvml.json").write_text(json.dumps(script))


async def lane(agent: ControlClient) -> dict[str, Any]:
    return dict((await agent.status())["lanes"][0])


@pytest.mark.long
async def test_a_job_gets_its_gpu_and_must_leave_it_as_it_was(place: MarketPlace, gpu_engine: GpuEngine) -> None:
    driver(place, "580.159.03")
    greedy = {"env": {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "all"}}
    async with place.agent() as agent:
        await until(lambda: queued(agent))
        posted = await place.post(
            single(
                gpu_engine.greedy_image, "echo $NVIDIA_VISIBLE_DEVICES $NVIDIA_DRIVER_CAPABILITIES", gpu=True, **greedy
            )
        )
        run = await settled(agent, posted.job)
        assert run["settlement"]["kind"] == "finish"
        (operation,) = (await place.result(await place.job(posted.job)))["opStates"]
        assert [line["log"] for line in operation["logs"]] == [f"{A} compute,utility,video\n"]
        await until(lambda: queued(agent))  # it left the GPU clean

        posted = await place.post(single(gpu_engine.image, "sleep 3", gpu=True))
        await working(agent, posted.job)
        happen(vram_used=9 * 1024**3, power_limit=300_000)
        assert (await settled(agent, posted.job))["settlement"]["kind"] == "finish"

        async def degraded() -> bool:
            return (await lane(agent))["phase"] == "degraded"

        await until(degraded)
        reason = (await lane(agent))["reason"]
        assert f"8.50 GiB of the memory of {A} are still in use" in reason
        assert "the power limit" in reason
        assert place.net.market is not None
        assert place.node not in (await place.ledger_context.ledger.market(place.net.market)).queue
        await agent.resume()
        await until(lambda: queued(agent))


@pytest.mark.long
async def test_a_driver_with_a_known_escape_keeps_the_lane_out(place: MarketPlace, gpu_engine: GpuEngine) -> None:
    driver(place, "580.126.09")
    async with place.agent() as agent:

        async def said() -> bool:
            found = await lane(agent)
            return found["phase"] == "degraded" and "580.126.09 is open to NVIDIA-5821" in found["reason"]

        await until(said)
        assert "update NVIDIA driver to 580.159.03" in (await lane(agent))["reason"]

        async def on_the_board() -> bool:
            seen = {each["subject"]: each for each in (await agent.status())["health"]}
            return seen["escapes"]["state"] == "failing" and seen["escapes"]["hinders"]

        await until(on_the_board)
    place.settings = with_gpu(place, gpu_engine, security={"accept": ["NVIDIA-5821"]})
    async with place.agent() as agent:
        await until(lambda: queued(agent))
        assert "security.accept" in {each["setting"] for each in (await agent.status())["relaxations"]}
