"""An engine that is stopped and started under a running job, for real."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.container.docker import DockerEngine
from node.container.log import read_entries
from node.container.runner import OperationRunner
from node.container.stop import StopSignal
from node.records import OperationState, OperationStatus
from tests.container.operations import operation
from tests.e2e import images
from tests.e2e.second_engine import SecondEngine, second_engine

pytestmark = pytest.mark.docker


@pytest.fixture
def own_engine(request: pytest.FixtureRequest) -> Iterator[SecondEngine]:
    options = ("--live-restore",) if request.param == "containers live on" else ()
    with tempfile.TemporaryDirectory(prefix="gpn", ignore_cleanup_errors=True) as name:
        try:
            with second_engine(Path(name), options=options) as engine:
                yield engine
        except images.NoEngine as error:
            pytest.skip(str(error))


@pytest.mark.parametrize(
    ("own_engine", "exit_codes"),
    [("containers live on", {9}), ("containers are stopped with it", {137, 143, 255})],
    indirect=["own_engine"],
)
async def test_exit_code_and_log_survive(own_engine: SecondEngine, exit_codes: set[int], tmp_path: Path) -> None:
    client = images.connect(f"unix://{own_engine.socket}")
    image = images.busybox_image(client)
    client.close()
    op = operation(image, "restart", "i=0; while [ $i -lt 50 ]; do echo line $i; i=$((i+1)); sleep 0.1; done; exit 9")
    noticed = asyncio.Event()  # that the engine is away, or that the container has ended with it

    engines_own: list[str] = []

    async def on_change(state: OperationState) -> None:
        if state.ended_ms is not None:
            noticed.set()
            engines_own[:] = own_engine.kept_logs()

    def on_progress(line: str) -> None:
        if "waiting for the container engine" in line:
            noticed.set()

    engine = DockerEngine(own_engine.socket)
    runner = OperationRunner(engine, tmp_path)
    path = tmp_path / runner.log_name(op)
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(
                runner.run_operation(op, None, on_change=on_change, stop=StopSignal(), on_progress=on_progress)
            )
            while not path.exists() or path.stat().st_size < 500:
                await asyncio.sleep(0.02)
            await asyncio.to_thread(own_engine.stop)
            await noticed.wait()
            await asyncio.to_thread(own_engine.start)
        state = running.result()
    finally:
        await engine.aclose()
    assert state.exit_code in exit_codes
    assert state.starts == 1
    assert state.status is OperationStatus.FAILED
    if state.exit_code != 9:
        # Ended with its engine: not run twice, and the result says what is known.
        assert [error.event for error in state.errors] == ["container-runtime-error"]
        assert "engine was away" in state.errors[0].message
    lines = [entry.log for entry in read_entries(path)]
    # Nothing twice, nothing out of order, and all that the engine itself has: a line that it had taken but not written
    # down when it was stopped is lost in the engine (seen once in some hundred stops), and nobody can read it.
    assert lines == engines_own
    numbers = [int(line.removeprefix("line ")) for line in lines]
    assert numbers == sorted(set(numbers))
    assert len(lines) >= (49 if state.exit_code == 9 else 5)
