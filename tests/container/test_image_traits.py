"""What an image may bring along, and what of it counts: user and volumes do, health commands and labels do not."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import docker
import pytest

from node.container.docker import DockerEngine
from node.container.log import read_entries
from node.container.runner import OperationRunner
from node.container.stop import StopSignal
from node.records import IsolationProfile, OperationState
from tests.container.operations import LIMITS, operation
from tests.e2e import images

pytestmark = pytest.mark.docker

CHANGES = [
    "USER nobody",
    "VOLUME /kept /also",
    "HEALTHCHECK --interval=1s CMD touch /tmp/health",
    "ENV NVIDIA_VISIBLE_DEVICES=all",
    'LABEL gpunode.job="forged" gpunode.node="forged" gpunode.lane="forged" gpunode.operation="9"',
    f'LABEL big="{"x" * 60_000}"',
]


@pytest.mark.parametrize("profile", list(IsolationProfile))
async def test_a_container_of_a_forward_image(
    docker_engine: DockerEngine,
    docker_client: docker.APIClient,
    node_address: str,
    tmp_path: Path,
    profile: IsolationProfile,
) -> None:
    image = images.image_of({}, client=docker_client, changes=CHANGES, name="forward")
    script = "id -un; sleep 1.5; ls /tmp; grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/self/status; echo done"
    op = operation(image, node_address, script, profile=profile, env=(("MARK", secrets.token_hex(4)),))
    seen: list[OperationState] = []

    async def on_change(state: OperationState) -> None:
        seen.append(state)

    runner = OperationRunner(docker_engine, tmp_path, stop_grace=1.0)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        running = group.create_task(runner.run_operation(op, None, on_change=on_change, stop=StopSignal()))
        while not (row := _running(docker_client, op.container.name)):
            await asyncio.sleep(0.05)
    volumes = {mount["Name"] for mount in row["Mounts"]}
    assert {mount["Type"] for mount in row["Mounts"]} == {"volume"}
    assert len(volumes) == 2
    config, host = row["Config"], row["HostConfig"]
    assert {key: config["Labels"][key] for key in dict(op.container.labels)} == dict(op.container.labels)
    assert config["Healthcheck"]["Test"] == ["NONE"]
    assert "NVIDIA_VISIBLE_DEVICES=void" in config["Env"]
    _assert_limits(host, op.container.network)

    assert running.result().log is not None
    said = [entry.log.strip() for entry in read_entries(tmp_path / running.result().log.path)]  # type: ignore[union-attr]
    bound = "00000000000004fb" if profile is IsolationProfile.STANDARD else "0" * 16
    assert said == ["nobody", f"CapBnd:\t{bound}", "NoNewPrivs:\t1", "Seccomp:\t2", "done"]
    left = {volume["Name"] for volume in docker_client.volumes()["Volumes"] or ()}
    assert not volumes & left


def _assert_limits(host: dict[str, object], network: str) -> None:
    expected = {
        "Memory": LIMITS.memory_bytes,
        "MemorySwap": LIMITS.memory_bytes,
        "PidsLimit": LIMITS.pids,
        "NanoCpus": round(LIMITS.cpus * 1e9),
        "ShmSize": LIMITS.shm_bytes,
        "OomScoreAdj": 500,
        "NetworkMode": network,
        "IpcMode": "private",
        "PidMode": "",
        "UTSMode": "",
        "UsernsMode": "",
        "Privileged": False,
        "Init": True,
        "Binds": None,
        "Devices": None,
        "DeviceRequests": None,
        "SecurityOpt": ["no-new-privileges"],
        "CapDrop": ["ALL"],
        "ExtraHosts": ["host.docker.internal:8.8.8.8", "host.containers.internal:8.8.8.8"],
    }
    assert {key: host[key] or (host[key] if expected[key] is not None else None) for key in expected} == expected
    assert "/proc/kcore" in host["MaskedPaths"]  # type: ignore[operator]
    assert "/proc/sys" in host["ReadonlyPaths"]  # type: ignore[operator]
    assert network.startswith("gpn")


def _running(client: docker.APIClient, name: str) -> dict[str, dict]:  # type: ignore[type-arg]
    try:
        row: dict[str, dict] = client.inspect_container(name)  # type: ignore[type-arg]
    except docker.errors.NotFound:
        return {}
    return row if row["State"]["Running"] else {}
