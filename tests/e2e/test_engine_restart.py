"""The container engine is restarted under a running job, with the whole agent and a chain around it."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e import images
from tests.e2e.market_place import MarketPlace, market_place, queued, settled, single, until, working
from tests.e2e.second_engine import SecondEngine, second_engine

pytestmark = pytest.mark.docker


@pytest.fixture
def own_engine(request: pytest.FixtureRequest) -> Iterator[SecondEngine]:
    with tempfile.TemporaryDirectory(prefix="gpn", ignore_cleanup_errors=True) as name:
        try:
            with second_engine(Path(name), options=request.param) as engine:
                yield engine
        except images.NoEngine as error:
            pytest.skip(str(error))


@pytest_asyncio.fixture
async def place(tmp_path: Path, own_engine: SecondEngine) -> AsyncIterator[MarketPlace]:
    async with market_place(tmp_path) as made:
        engine = made.settings.engine.model_copy(update={"socket": own_engine.socket})
        made.settings = made.settings.model_copy(update={"engine": engine})
        yield made


@pytest.mark.parametrize(
    ("own_engine", "exit_codes"),
    [(("--live-restore",), {7}), ((), {137, 143, 255})],
    indirect=["own_engine"],
    ids=["containers live on", "containers end with it"],
)
@pytest.mark.long
async def test_one_start_one_settlement_and_the_queue_again(
    own_engine: SecondEngine, exit_codes: set[int], place: MarketPlace
) -> None:
    client = images.connect(f"unix://{own_engine.socket}")
    image = images.busybox_image(client)
    client.close()
    async with place.agent() as agent:
        await until(lambda: queued(agent))
        posted = await place.post(single(image, "echo begun; sleep 18; echo over; exit 7"))
        await working(agent, posted.job)
        log = place.settings.locations.data / "logs" / f"{posted.job}-0.jsonl"

        async def begun() -> bool:
            # The start is counted before it is made: only what the container says shows that it runs.
            return log.exists() and log.stat().st_size > 0

        await until(begun)
        await asyncio.to_thread(own_engine.stop)

        async def unknown() -> bool:
            health = (await agent.status())["health"]
            return any(each["subject"] == "engine" and each["state"] != "ok" for each in health)

        await until(unknown)
        await asyncio.to_thread(own_engine.start)
        back = time.time()
        run = await settled(agent, posted.job)
        await until(lambda: queued(agent))
    assert run["settlement"]["kind"] == "finish"
    job = await place.job(posted.job)
    assert run["settlement"]["pay"] == job.price * (job.time_end - job.time_start)
    (operation,) = (await place.result(job))["opStates"]
    logs = [entry["log"] for entry in operation["logs"]]
    assert operation["exitCode"] in exit_codes, operation
    if operation["exitCode"] == 7:
        # What a container says that ends before its engine is back, the engine itself has lost.
        late = operation["endTime"] / 1000 > back
        assert logs == ["begun\n", "over\n"] if late else logs[0] == "begun\n"
    else:
        assert logs[0] == "begun\n"
        assert "over\n" not in logs
