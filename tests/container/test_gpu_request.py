"""GPU requests through a real engine: a recording hook in NVIDIA's place says which devices it was to open."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node.agent.escapes.catalog import Component
from node.agent.escapes.software import Machine, survey
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

GREEDY = (
    "ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=all NVIDIA_REQUIRE_CUDA=cuda>=1.0",
    "ENV NVIDIA_MIG_CONFIG_DEVICES=all NVIDIA_MIG_MONITOR_DEVICES=all NVIDIA_IMEX_CHANNELS=all",
    "ENV NVIDIA_GDS=enabled NVIDIA_GDRCOPY=enabled NVIDIA_MOFED=enabled NVIDIA_NVSWITCH=enabled",
    "ENV DOCKER_RESOURCE_GPU=all CUDA_VERSION=11.0.0 CUDA_VISIBLE_DEVICES=0,1,2,3 nvidia_visible_devices=all",
    # How devices are asked for where the runtime's settings take a list of mounts for a list of devices.
    "VOLUME /var/run/nvidia-container-devices/all /var/run/nvidia-container-devices/cdi/nvidia.com/gpu/all",
    "LABEL cdi.k8s.io/x=nvidia.com/gpu=all",
)
"""An image that asks for everything in every way the NVIDIA runtime has listened to."""

WRAPPED = "wrapped"

HOOK = """#!{python}
import json, os, pathlib, sys
state = json.load(sys.stdin)
config = json.loads((pathlib.Path(state["bundle"]) / "config.json").read_text())
record = {{"arguments": sys.argv[1:], "env": config["process"]["env"], "devices": config["linux"].get("devices") or [],
          "mounts": config.get("mounts") or [], "annotations": config.get("annotations") or {{}}}}
(pathlib.Path({folder!r}) / (state["id"] + ".json")).write_text(json.dumps(record))
"""


@dataclass
class GpuEngine:
    socket: Path
    records: Path
    image: str
    greedy_image: str

    def recorded(self, state: OperationState) -> dict[str, Any] | None:
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
        # NVIDIA's instructions make its runtime the engine's default; it wraps runc and reads every environment.
        wrapper = tools / "nvidia-container-runtime"
        wrapper.write_text(f'#!/bin/sh\necho "$*" >> {records / WRAPPED}\nexec runc "$@"\n')
        wrapper.chmod(0o755)
        options = (f"--add-runtime=nvidia={wrapper}", "--default-runtime=nvidia")
        try:
            with second_engine(folder, path_folder=tools, options=options) as engine:
                client = images.connect(f"unix://{engine.socket}")
                greedy = images.busybox_image(client, changes=GREEDY)
                yield GpuEngine(engine.socket, records, images.busybox_image(client), greedy)
                client.close()
        except images.NoEngine as error:
            pytest.skip(str(error))


WISHES = (
    ("NVIDIA_VISIBLE_DEVICES", "all"),
    ("Nvidia_Visible_Devices", "all"),
    ("NVIDIA_DRIVER_CAPABILITIES", "all"),
    ("NVIDIA_MIG_CONFIG_DEVICES", "all"),
    ("DOCKER_RESOURCE_NVIDIA-GPU", "all"),
)
"""The same as a definition."""


async def run(
    engine: GpuEngine,
    data: Path,
    image: str,
    gpu_uuids: tuple[str, ...],
    env: tuple[tuple[str, str], ...] = (),
) -> tuple[OperationState, str]:
    docker = DockerEngine(engine.socket)
    try:
        op = operation(image, "gpu-test", "echo $NVIDIA_VISIBLE_DEVICES", gpu_uuids=gpu_uuids, env=env)

        async def on_change(state: OperationState) -> None:
            pass

        state = await OperationRunner(docker, data).run_operation(op, None, on_change=on_change, stop=StopSignal())
    finally:
        await docker.aclose()
    log = data / state.log.path if state.log else None
    return state, "".join(entry.log for entry in read_entries(log)) if log else ""


def heard(record: dict[str, Any]) -> dict[str, str]:
    """What the hook makes of the environment: where a name stands twice, the last one counts."""
    pairs = (entry.partition("=") for entry in record["env"])
    return {name: value for name, _, value in pairs if name.startswith(("NVIDIA_", "DOCKER_RESOURCE_"))}


def asked(uuids: tuple[str, ...]) -> dict[str, str]:
    return {
        "NVIDIA_VISIBLE_DEVICES": ",".join(uuids),
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility,video",
        "NVIDIA_DISABLE_REQUIRE": "true",
    }


@pytest.mark.parametrize("uuids", [(A,), (A, B)])
async def test_exactly_the_lane_s_devices_are_asked_for(
    gpu_engine: GpuEngine, tmp_path: Path, uuids: tuple[str, ...]
) -> None:
    state, out = await run(gpu_engine, tmp_path, gpu_engine.image, uuids)
    assert state.status is OperationStatus.SUCCESS, state.errors
    record = gpu_engine.recorded(state)
    assert record is not None
    assert heard(record) == asked(uuids)
    assert record["arguments"] == ["prestart"]
    assert out == ",".join(uuids) + "\n"


@pytest.mark.parametrize("env", [(), WISHES])
async def test_neither_image_nor_definition_can_ask_for_more(
    gpu_engine: GpuEngine, tmp_path: Path, env: tuple[tuple[str, str], ...]
) -> None:
    state, out = await run(gpu_engine, tmp_path, gpu_engine.greedy_image, (A,), env)
    assert state.status is OperationStatus.SUCCESS, state.errors
    record = gpu_engine.recorded(state)
    assert record is not None
    # The image's own conditions stay and are not looked at (NVIDIA_DISABLE_REQUIRE).
    assert heard(record) == asked((A,)) | {"NVIDIA_REQUIRE_CUDA": "cuda>=1.0"}
    assert [entry for entry in record["env"] if entry.startswith("NVIDIA_VISIBLE_DEVICES=") and A not in entry] == []
    # A list of mounts counts as a list of devices only where /dev/null is mounted; an image's volume is a folder.
    assert not [mount for mount in record["mounts"] if mount.get("source") == "/dev/null"]
    assert not [name for name in record["annotations"] if name.startswith("cdi.")]
    assert out == f"{A}\n"


@pytest.mark.parametrize("uuids", [(), ("GPU-simulated-1",)])
@pytest.mark.parametrize("env", [(), WISHES])
async def test_without_a_gpu_the_hook_is_not_even_called(
    gpu_engine: GpuEngine, tmp_path: Path, uuids: tuple[str, ...], env: tuple[tuple[str, str], ...]
) -> None:
    state, out = await run(gpu_engine, tmp_path, gpu_engine.greedy_image, uuids, env)
    assert state.status is OperationStatus.SUCCESS
    assert gpu_engine.recorded(state) is None
    assert out == "void\n"


async def test_the_engine_s_default_runtime_is_never_used(gpu_engine: GpuEngine, tmp_path: Path) -> None:
    client = images.connect(f"unix://{gpu_engine.socket}")
    try:
        assert client.info()["DefaultRuntime"] == "nvidia"
    finally:
        client.close()
    for uuids in ((), (A,)):
        state, _ = await run(gpu_engine, tmp_path / str(len(uuids)), gpu_engine.greedy_image, uuids)
        assert state.status is OperationStatus.SUCCESS
    # The engine itself asks it for its version.
    assert {line for line in (gpu_engine.records / WRAPPED).read_text().splitlines() if line != "--version"} == set()


async def test_an_engine_whose_default_is_nvidia_s_names_no_runc(gpu_engine: GpuEngine) -> None:
    """So that the check for known escapes has to ask runc itself."""
    docker = DockerEngine(gpu_engine.socket)
    try:
        info = await docker.info()
    finally:
        await docker.aclose()
    assert "runc" in info.runtimes
    assert "runc" not in {part.name for part in info.parts}
    found = {each.component: each for each in await survey(info, (), ["runc"], Machine())}
    assert found[Component.RUNC].version is not None
    assert found[Component.RUNC].told_by == "runc --version"
