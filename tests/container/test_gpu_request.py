"""GPU requests through a real engine: a recording hook in NVIDIA's place says which devices it was to open."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.container.docker import DockerEngine
from node.container.log import read_entries
from node.container.runner import OperationRunner
from node.container.stop import StopSignal
from node.records import OperationState, OperationStatus
from tests.container.operations import operation
from tests.e2e import images
from tests.e2e.second_engine import second_engine

pytestmark = pytest.mark.docker

A, B = "GPU-11111111-2222-3333-4444-555555555555", "GPU-66666666-7777-8888-9999-000000000000"

HOOK = """#!{python}
import json, os, pathlib, sys
state = json.load(sys.stdin)
config = json.loads((pathlib.Path(state["bundle"]) / "config.json").read_text())
record = {{"arguments": sys.argv[1:], "env": config["process"]["env"], "devices": config["linux"].get("devices") or []}}
(pathlib.Path({folder!r}) / (state["id"] + ".json")).write_text(json.dumps(record))
"""


@dataclass
class GpuEngine:
    socket: Path
    records: Path
    image: str
    greedy_image: str

    def recorded(self, state: OperationState) -> dict[str, list[str]] | None:
        path = self.records / f"{state.container_id}.json"
        return json.loads(path.read_text()) if path.exists() else None


@pytest.fixture(scope="module")
def gpu_engine() -> Iterator[GpuEngine]:
    with tempfile.TemporaryDirectory(prefix="gpn", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        tools, records = folder / "bin", folder / "records"
        tools.mkdir()
        records.mkdir()
        hook = tools / "nvidia-container-runtime-hook"
        hook.write_text(HOOK.format(python=sys.executable, folder=str(records)))
        hook.chmod(0o755)
        try:
            with second_engine(folder, path_folder=tools) as engine:
                client = images.connect(f"unix://{engine.socket}")
                greedy = images.busybox_image(client, changes=["ENV NVIDIA_VISIBLE_DEVICES=all"])
                yield GpuEngine(engine.socket, records, images.busybox_image(client), greedy)
                client.close()
        except images.NoEngine as error:
            pytest.skip(str(error))


async def run(engine: GpuEngine, data: Path, image: str, gpu_uuids: tuple[str, ...]) -> tuple[OperationState, str]:
    docker = DockerEngine(engine.socket)
    try:
        op = operation(image, "gpu-test", "echo $NVIDIA_VISIBLE_DEVICES", gpu_uuids=gpu_uuids)

        async def on_change(state: OperationState) -> None:
            pass

        state = await OperationRunner(docker, data).run_operation(op, None, on_change=on_change, stop=StopSignal())
    finally:
        await docker.aclose()
    log = data / state.log.path if state.log else None
    return state, "".join(entry.log for entry in read_entries(log)) if log else ""


def visible(record: dict[str, list[str]]) -> set[str]:
    return {value.partition("=")[2] for value in record["env"] if value.startswith("NVIDIA_VISIBLE_DEVICES=")}


@pytest.mark.parametrize("uuids", [(A,), (A, B)])
async def test_exactly_the_lane_s_devices_are_asked_for(
    gpu_engine: GpuEngine, tmp_path: Path, uuids: tuple[str, ...]
) -> None:
    state, out = await run(gpu_engine, tmp_path, gpu_engine.image, uuids)
    assert state.status is OperationStatus.SUCCESS, state.errors
    record = gpu_engine.recorded(state)
    assert record is not None
    assert visible(record) == {",".join(uuids)}
    assert record["arguments"] == ["prestart"]
    assert out == ",".join(uuids) + "\n"


async def test_an_image_cannot_ask_for_more(gpu_engine: GpuEngine, tmp_path: Path) -> None:
    state, out = await run(gpu_engine, tmp_path, gpu_engine.greedy_image, (A,))
    record = gpu_engine.recorded(state)
    assert record is not None
    assert visible(record) == {A}
    assert out == f"{A}\n"


@pytest.mark.parametrize("uuids", [(), ("GPU-simulated-1",)])
async def test_without_a_gpu_the_hook_is_not_even_called(
    gpu_engine: GpuEngine, tmp_path: Path, uuids: tuple[str, ...]
) -> None:
    state, out = await run(gpu_engine, tmp_path, gpu_engine.greedy_image, uuids)
    assert state.status is OperationStatus.SUCCESS
    assert gpu_engine.recorded(state) is None
    assert out == "void\n"
