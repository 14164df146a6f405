"""A real container, looked at from the host: what the kernel holds it to, whatever it says of itself."""

from __future__ import annotations

import asyncio
import os
import re
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from node.container.cgroup import group_folder, processes
from node.container.docker import DockerEngine
from node.container.profile import MASKED_PATHS, STANDARD_CAPABILITIES, create_request
from node.container.runner import OperationRunner
from node.container.stop import StopSignal
from node.container.traits import EngineTraits, has_quota, is_confined, security_option
from node.records import IsolationProfile, OperationState, OperationStatus
from tests.container.operations import LIMITS, operation
from tests.e2e import images

MIB = 1024**2
NUMBERS = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6, "SETUID": 7,
           "NET_BIND_SERVICE": 10}  # fmt: skip
"""Of capabilities (Linux, capability.h)."""
STANDARD_MASK = sum(1 << NUMBERS[name] for name in STANDARD_CAPABILITIES)

pytestmark = pytest.mark.docker
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="a container's processes are shown to root alone")


class Seen:
    """A running container, seen from outside."""

    def __init__(self, client: docker.APIClient, container: str) -> None:
        self.raw = client.inspect_container(container)
        self.pid = int(self.raw["State"]["Pid"])
        self.members = processes(self.pid)

    def status(self, pid: int) -> dict[str, str]:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def link(self, name: str, pid: int | str | None = None) -> str:
        return str(Path(f"/proc/{pid or self.pid}/{name}").readlink())

    @property
    def mounts(self) -> dict[str, tuple[str, str, str]]:
        """Mount point -> options, type of file system, root within it."""
        found = {}
        for line in Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines():
            head, _, tail = line.partition(" - ")
            fields = head.split()
            found[fields[4]] = (fields[5], tail.split()[0], fields[3])
        return found

    def limit(self, name: str) -> str:
        text = Path(f"/proc/{self.pid}/limits").read_text()
        match = re.search(rf"^{name}\s+(\S+)\s+(\S+)", text, re.MULTILINE)
        assert match is not None
        assert match[1] == match[2]
        return match[2]


async def start(engine: DockerEngine, client: docker.APIClient, image: str, node: str, **spec: Any) -> Seen:
    limits = replace(LIMITS, disk_bytes=64 * MIB)
    op = operation(image, node, spec.pop("command", "sleep 60 & sleep 60"), limits=limits, **spec)
    await engine.ensure_network(op.container.network, {"gpunode.node": node})
    container = await engine.create(op.container)
    await engine.start(container)
    await asyncio.sleep(0.3)
    return Seen(client, container)


@is_root
@pytest.mark.parametrize("profile", list(IsolationProfile))
async def test_what_the_kernel_holds_every_process_to(
    docker_engine: DockerEngine,
    docker_client: docker.APIClient,
    busybox_image: str,
    node_address: str,
    profile: IsolationProfile,
) -> None:
    seen = await start(docker_engine, docker_client, busybox_image, node_address, profile=profile)
    expected = STANDARD_MASK if profile is IsolationProfile.STANDARD else 0
    assert len(seen.members) >= 3  # init, the shell, its children
    for pid in seen.members:
        status = seen.status(pid)
        for name in ("CapEff", "CapPrm", "CapBnd"):
            assert int(status[name], 16) == expected, (name, status["Name"])
        assert int(status["CapInh"], 16) == 0
        assert int(status["CapAmb"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"  # filtered


@is_root
async def test_no_namespace_is_the_host_s(
    docker_engine: DockerEngine, docker_client: docker.APIClient, busybox_image: str, node_address: str
) -> None:
    seen = await start(docker_engine, docker_client, busybox_image, node_address)
    for kind in ("pid", "net", "ipc", "uts", "mnt", "cgroup"):
        assert seen.link(f"ns/{kind}") != seen.link(f"ns/{kind}", "self"), kind


@is_root
async def test_nothing_of_the_host_is_mounted(
    docker_engine: DockerEngine, docker_client: docker.APIClient, busybox_image: str, node_address: str
) -> None:
    seen = await start(docker_engine, docker_client, busybox_image, node_address)
    own = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/sbin/docker-init"}
    for point, (_, kind, root) in seen.mounts.items():
        if kind not in ("overlay", "proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2"):
            assert point in own, (point, kind, root)
    assert "docker.sock" not in str(seen.mounts)
    assert "ro" in seen.mounts["/sbin/docker-init"][0].split(",")
    assert "ro" in seen.mounts["/sys"][0].split(",")
    for point, (options, kind, _) in seen.mounts.items():
        if kind.startswith("cgroup"):
            assert "ro" in options.split(","), point
    for point in ("/proc/sys", "/proc/sysrq-trigger", "/proc/bus", "/proc/fs", "/proc/irq"):
        if Path(point).exists():
            assert "ro" in seen.mounts[point][0].split(","), point


@is_root
async def test_hidden_paths_are_empty_and_nothing_can_be_written_to_the_kernel(
    docker_engine: DockerEngine, docker_client: docker.APIClient, busybox_image: str, node_address: str
) -> None:
    seen = await start(docker_engine, docker_client, busybox_image, node_address)
    root = Path(f"/proc/{seen.pid}/root")
    for hidden in MASKED_PATHS:
        if not Path(hidden).exists():
            continue
        path = root / hidden.lstrip("/")
        assert (list(path.iterdir()) if path.is_dir() else path.read_bytes()) in ([], b""), hidden
    # As root in the container, by its own shell.
    targets = "/proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/uevent_helper /proc/sys/vm/drop_caches"
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    tried = docker_client.exec_create(
        seen.raw["Id"], ["/bin/sh", "-c", f"for f in {targets}; do echo x > $f && echo WROTE $f; done"]
    )
    assert b"WROTE" not in docker_client.exec_start(tried["Id"])
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


@is_root
async def test_limits_as_the_kernel_has_them(
    docker_engine: DockerEngine, docker_client: docker.APIClient, busybox_image: str, node_address: str
) -> None:
    seen = await start(docker_engine, docker_client, busybox_image, node_address)
    assert seen.limit("Max core file size") == "0"
    assert seen.limit("Max open files") == str(LIMITS.open_files)
    assert seen.limit("Max file size") == str(64 * MIB)
    assert int(seen.limit("Max locked memory")) <= 8 * MIB
    assert int(seen.limit("Max msgqueue size")) <= 819_200
    folder = group_folder(seen.pid)
    assert folder is not None
    assert (folder / "pids.max").read_text().strip() == str(LIMITS.pids)
    if (folder / "memory.max").exists():
        assert (folder / "memory.max").read_text().strip() == str(LIMITS.memory_bytes)
        assert (folder / "memory.swap.max").read_text().strip() == "0"
        quota, period = (folder / "cpu.max").read_text().split()
    else:
        cgroups = Path("/sys/fs/cgroup")
        memory = cgroups / "memory" / folder.relative_to(cgroups / "pids")
        cpu = cgroups / "cpu" / folder.relative_to(cgroups / "pids")
        assert (memory / "memory.limit_in_bytes").read_text().strip() == str(LIMITS.memory_bytes)
        both = memory / "memory.memsw.limit_in_bytes"
        assert not both.exists() or both.read_text().strip() == str(LIMITS.memory_bytes)
        quota, period = ((cpu / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
    assert int(quota) / int(period) == LIMITS.cpus
    shm = os.statvfs(f"/proc/{seen.pid}/root/dev/shm")
    assert shm.f_blocks * shm.f_frsize == LIMITS.shm_bytes


@is_root
async def test_only_harmless_devices(
    docker_engine: DockerEngine, docker_client: docker.APIClient, busybox_image: str, node_address: str
) -> None:
    seen = await start(docker_engine, docker_client, busybox_image, node_address)
    folder = Path(f"/proc/{seen.pid}/root/dev")
    nodes = {
        path.name for path in folder.rglob("*") if stat.S_IFMT(path.lstat().st_mode) in (stat.S_IFCHR, stat.S_IFBLK)
    }
    assert nodes <= {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"}
    assert not seen.raw["HostConfig"]["Devices"]
    assert not seen.raw["HostConfig"]["DeviceCgroupRules"]


# --- what an image brings along ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loaded_image(docker_client: docker.APIClient) -> str:
    """An image with all that Docker lets an image ask for."""
    return images.busybox_image(
        docker_client,
        changes=[
            'LABEL gpunode.node="Another" gpunode.job="Another" gpunode.operation="7" gpunode.lane="other"',
            'LABEL odd="ünïcode"',
            "VOLUME /data",
            "EXPOSE 22",
            "ENV NVIDIA_VISIBLE_DEVICES=all",
            "HEALTHCHECK CMD touch /tmp/checked",
            "ONBUILD RUN touch /tmp/built",
            "USER 1234:1234",
            "WORKDIR /somewhere",
        ],
    )


async def test_an_image_cannot_pass_for_another_job(
    docker_engine: DockerEngine, docker_client: docker.APIClient, loaded_image: str, node_address: str
) -> None:
    seen = await start(docker_engine, docker_client, loaded_image, node_address)
    labels = seen.raw["Config"]["Labels"]
    assert labels["gpunode.node"] == node_address
    assert labels["gpunode.job"] != "Another"
    assert labels["gpunode.operation"] == "0"
    assert labels["gpunode.lane"] == "main"
    assert await docker_engine.find({"gpunode.node": "Another"}) == ()
    assert seen.raw["Config"]["Healthcheck"]["Test"] == ["NONE"]
    assert not seen.raw["HostConfig"]["PortBindings"]
    assert not seen.raw["HostConfig"]["Binds"]
    assert "NVIDIA_VISIBLE_DEVICES=void" in seen.raw["Config"]["Env"]
    assert seen.raw["Config"]["User"] == "1234:1234"
    if os.geteuid() == 0:
        status = seen.status(seen.members[-1])
        assert status["Uid"].split() == ["1234"] * 4
        assert int(status["CapEff"], 16) == 0


async def run(engine: DockerEngine, data: Path, image: str, node: str, command: Any, **spec: Any) -> OperationState:
    op = operation(image, node, command, **spec)

    async def on_change(state: OperationState) -> None:
        pass

    return await OperationRunner(engine, data, stop_grace=1.0).run_operation(
        op, None, on_change=on_change, stop=StopSignal()
    )


@pytest.mark.parametrize(
    "spec",
    [
        {"command": ["/bin/echo", "x" * 3 * MIB]},
        {"command": ["/bin/echo", *["x" * 1000] * 5000]},
        {"command": ["/bin/echo"], "env": tuple((f"V{number}", "x" * 1000) for number in range(5000))},
        {"command": ["/bin/echo"], "env": (("V", "x" * 300_000),)},
        {"command": ["/bin/\u202e\u0000name"]},
        {"command": ["/" + "ü" * 3000]},
        {"command": ["x"], "work_dir": "/../../\u0301\n\r"},
        {"command": ["x"], "entrypoint": ("/nowhere",)},
    ],
    ids=["one giant word", "many words", "much env", "giant env", "nul", "long name", "odd folder", "no entrypoint"],
)
async def test_what_cannot_be_started_is_the_job_s_own_failure(
    docker_engine: DockerEngine, busybox_image: str, node_address: str, tmp_path: Path, spec: dict[str, Any]
) -> None:
    state = await run(docker_engine, tmp_path, busybox_image, node_address, **spec)
    assert state.status is OperationStatus.FAILED
    assert state.ended_ms is not None
    assert state.exit_code != 0
    # Said by the engine, or by the init process in the job's own log.
    said = [error.message for error in state.errors]
    if state.log is not None:
        said.append((tmp_path / state.log.path).read_text())
    assert any(said)
    assert await docker_engine.find({"gpunode.node": node_address}) == ()


async def test_environment_passes_unharmed(
    docker_engine: DockerEngine, busybox_image: str, node_address: str, tmp_path: Path
) -> None:
    odd = "\u202eevil\u0301\U0001f4a3\n$(reboot)`id`"
    state = await run(docker_engine, tmp_path, busybox_image, node_address, 'echo "$ODD"', env=(("ODD", odd),))
    assert state.status is OperationStatus.SUCCESS
    assert state.log is not None
    assert "$(reboot)`id`" in (tmp_path / state.log.path).read_text()


# --- the request, and what an engine says of itself -------------------------------------------------------------


def request(traits: EngineTraits = EngineTraits(), **limits: Any) -> dict[str, Any]:  # noqa: B008
    spec = operation("image", "node", "x", limits=replace(LIMITS, **limits)).container
    config = create_request(spec, traits)["HostConfig"]
    assert isinstance(config, dict)
    return config


def test_apparmor_is_named_where_it_is() -> None:
    assert request()["SecurityOpt"] == ["no-new-privileges"]
    assert request(EngineTraits(apparmor=True))["SecurityOpt"] == ["no-new-privileges", "apparmor=docker-default"]


def test_quota_where_the_driver_can() -> None:
    assert "StorageOpt" not in request(disk_bytes=MIB)
    assert "StorageOpt" not in request(EngineTraits(quota=True))
    assert request(EngineTraits(quota=True), disk_bytes=MIB)["StorageOpt"] == {"size": str(MIB)}


def test_no_more_is_asked_for_than_the_engine_can_give() -> None:
    ulimits = {entry["Name"]: entry["Hard"] for entry in request(EngineTraits(ceilings={"memlock": 65536}))["Ulimits"]}
    assert ulimits == {"nofile": LIMITS.open_files, "core": 0, "memlock": 65536, "msgqueue": 819_200}


async def test_what_the_engine_says(docker_engine: DockerEngine, tmp_path: Path) -> None:
    info = await docker_engine.info()
    assert is_confined(info)
    assert info.backing
    assert dict(info.runtime_commands)["runc"]
    apparmor = replace(info, security_options=("name=apparmor", "name=seccomp,profile=default", "name=userns"))
    assert security_option(apparmor, "apparmor") == {"name": "apparmor"}
    assert security_option(apparmor, "seccomp") == {"name": "seccomp", "profile": "default"}
    assert security_option(apparmor, "rootless") is None
    mounts = tmp_path / "mountinfo"
    lines = "22 1 8:1 / / rw - ext4 /dev/a rw\n23 22 8:2 / /var/lib/docker rw - xfs /dev/b rw,attr2,{}\n"
    for option, expected in (("prjquota", True), ("noquota", False)):
        mounts.write_text(lines.format(option))
        xfs = replace(info, backing="xfs", storage_driver="overlay2", root_dir="/var/lib/docker")
        assert has_quota(xfs, mounts) is expected
        assert not has_quota(replace(xfs, root_dir="/var/lib/dockerx"), mounts)
        assert not has_quota(replace(xfs, backing="extfs"), mounts)
