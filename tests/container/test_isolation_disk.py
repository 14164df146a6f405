"""What a job writes to the host's disk, in any place and by any trick, is counted, and too much of it stops the job."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from node.container.cgroup import processes
from node.container.disk_guard import DiskGuard
from node.container.disk_watch import DiskTerms
from node.container.docker import DockerEngine
from node.container.runner import OperationRunner
from node.container.stop import StopSignal
from node.container.written import DEEPEST, NotVisible, written
from node.records import OperationState, OperationStatus
from node.retry import SystemClock
from tests.container.operations import LIMITS, operation
from tests.e2e import images

MIB = 1024**2


# --- counting ---------------------------------------------------------------------------------------------------


def count(*places: Path, most_inodes: int | None = None, seconds: float = 10.0) -> tuple[int, int]:
    found = written([str(place) for place in places], (), most_inodes=most_inodes, seconds=seconds)
    assert found.whole
    return found.bytes, found.inodes


def test_what_the_disk_holds_is_counted(tmp_path: Path) -> None:
    folder = tmp_path / "layer"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "data").write_bytes(b"x" * 3 * MIB)
    (folder / "other").symlink_to("/usr")
    os.link(folder / "a" / "b" / "data", folder / "second-name")
    with (folder / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 40)
    size, inodes = count(folder)
    assert 3 * MIB <= size < 4 * MIB
    assert inodes == 6  # three folders, data, link, sparse
    extra = tmp_path / "hosts"
    extra.write_bytes(b"y" * MIB)
    assert count(folder, extra, tmp_path / "missing") == (size + extra.stat().st_blocks * 512, inodes + 1)


def test_a_walk_ends(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / str(number)).touch()
    early = written([str(tmp_path)], (), most_inodes=100, seconds=10)
    assert not early.whole
    assert 100 < early.inodes < 200
    late = written([str(tmp_path)], (), most_inodes=None, seconds=0)
    assert not late.whole


def test_folders_that_hide_by_depth(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):  # far beyond any path that could be named
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    found = written([str(tmp_path)], (), most_inodes=None, seconds=10)
    assert found.too_deep
    assert found.inodes <= DEEPEST + 1
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root sees everything")
def test_what_cannot_be_seen_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0)
    with pytest.raises(NotVisible):
        written([str(tmp_path)], (), most_inodes=None, seconds=1)


# --- the engine -------------------------------------------------------------------------------------------------

FILL = "i=0; while true; do dd if=/dev/zero of={}$i bs=1M count=8 2>/dev/null; i=$((i+1)); done; sleep 60"
TRICKS = {
    "many files": FILL.format("/file"),
    "files without a name": (
        "for i in 0 1 2 3 4 5 6 7 8 9; do"
        " (exec 3>/f$i; rm /f$i; dd if=/dev/zero bs=1M count=8 >&3 2>/dev/null; sleep 60) & done; sleep 60"
    ),
    "the engine's own name files": (
        "while cat /etc/hosts /etc/hostname /etc/resolv.conf > /tmp/x; do"
        " for f in hosts hostname resolv.conf; do cat /bin/busybox >> /etc/$f || sleep 1; done; done; sleep 60"
    ),
    "a volume of the image": FILL.format("/volume/file"),
    "many small files": "mkdir /d; i=0; while true; do : > /d/$i; i=$((i+1)); done; sleep 60",
    "nesting": "while true; do mkdir d && cd d || break; done; sleep 60",
}


@pytest.fixture(scope="module")
def volume_image(docker_client: docker.APIClient) -> str:
    return images.busybox_image(docker_client, changes=["VOLUME /volume"])


@pytest.mark.docker
@pytest.mark.skipif(os.geteuid() != 0, reason="the engine's folders are visible to root alone")
@pytest.mark.parametrize("trick", TRICKS)
async def test_who_fills_the_disk_is_stopped(
    docker_engine: DockerEngine,
    docker_client: docker.APIClient,
    volume_image: str,
    node_address: str,
    tmp_path: Path,
    trick: str,
) -> None:
    limits = replace(LIMITS, disk_bytes=48 * MIB, inodes=3000)
    op = operation(volume_image, node_address, TRICKS[trick], limits=limits)
    states: list[OperationState] = []
    volumes: set[str] = set()

    async def on_change(state: OperationState) -> None:
        if state.container_id and not volumes:
            mounts = docker_client.inspect_container(state.container_id)["Mounts"]
            volumes.update(mount["Name"] for mount in mounts if mount["Type"] == "volume")
        states.append(state)

    began = time.monotonic()
    runner = OperationRunner(docker_engine, tmp_path)
    state = await runner.run_operation(op, None, on_change=on_change, stop=StopSignal())
    assert time.monotonic() - began < 45
    assert state.status is OperationStatus.FAILED
    assert state.exit_code in (137, 143)
    assert [error.event for error in state.errors] == ["container-runtime-error"]
    assert "disk limit" in state.errors[0].message
    # The reason was durable before the container was stopped.
    assert any(each.errors and each.ended_ms is None for each in states)
    left = {volume["Name"] for volume in docker_client.volumes()["Volumes"] or []}
    assert volumes
    assert not volumes & left
    assert docker_client.containers(all=True, filters={"label": f"gpunode.node={node_address}"}) == []


@pytest.mark.docker
async def test_one_file_cannot_be_larger_than_the_limit(
    docker_engine: DockerEngine, busybox_image: str, node_address: str, tmp_path: Path
) -> None:
    """Also between two looks: the file system's own bound holds for each file."""
    limits = replace(LIMITS, disk_bytes=16 * MIB)
    command = "dd if=/dev/zero of=/big bs=1M count=64; ls -l /big | awk '{print $5}'"
    op = operation(busybox_image, node_address, command, limits=limits)

    async def on_change(state: OperationState) -> None:
        pass

    runner = OperationRunner(docker_engine, tmp_path)
    state = await runner.run_operation(op, None, on_change=on_change, stop=StopSignal())
    assert state.log is not None
    assert str(16 * MIB) in (tmp_path / state.log.path).read_text()


@pytest.mark.docker
async def test_the_engine_measures_where_we_cannot(
    docker_engine: DockerEngine, docker_client: docker.APIClient, volume_image: str, node_address: str
) -> None:
    op = operation(volume_image, node_address, "dd if=/dev/zero of=/a bs=1M count=5; dd if=/dev/zero of=/volume/b bs=1M"
                   " count=7; sleep 60")  # fmt: skip
    await docker_engine.ensure_network(op.container.network, {"gpunode.node": node_address})
    container = await docker_engine.create(op.container)
    await docker_engine.start(container)
    until = time.monotonic() + 20
    while (size := await docker_engine.written([container])) < 12 * MIB and time.monotonic() < until:
        pass
    assert 12 * MIB <= size < 13 * MIB


@pytest.mark.docker
async def test_above_the_promise_only_while_the_disk_has_room(
    docker_engine: DockerEngine, busybox_image: str, node_address: str
) -> None:
    op = operation(busybox_image, node_address, "dd if=/dev/zero of=/a bs=1M count=20; sleep 60")
    await docker_engine.ensure_network(op.container.network, {"gpunode.node": node_address})
    container = await docker_engine.create(op.container)
    await docker_engine.start(container)
    guard = DiskGuard(docker_engine, SystemClock(), DiskTerms(promised=8 * MIB, floor=1 << 60))
    entry = await guard(container, op.spec)  # no limit of its own
    assert "nearly full" in entry.message
    assert "8 MiB" in entry.message


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group of the test's own."""
    root = Path("/sys/fs/cgroup")
    folder = (root / "pids" if (root / "pids").is_dir() else root) / f"gpunode-test-{secrets.token_hex(4)}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    yield folder
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            return folder.rmdir()
        except OSError:
            time.sleep(0.05)


HOLDER = """
import mmap, os, sys
path, group = sys.argv[1:]
with open(group + "/cgroup.procs", "w") as procs:
    procs.write(str(os.getpid()))
held = os.open(path + "/held", os.O_RDWR | os.O_CREAT)
os.write(held, b"x" * (3 << 20))
mapped = os.open(path + "/mapped", os.O_RDWR | os.O_CREAT)
os.ftruncate(mapped, 5 << 20)
memory = mmap.mmap(mapped, 5 << 20)
memory.write(b"x" * (5 << 20))
memory.flush()
os.close(mapped)
os.unlink(path + "/held")
os.unlink(path + "/mapped")
shared = os.memfd_create("not on the disk")
os.write(shared, b"x" * (7 << 20))
os.fsync(held)
print("ready", flush=True)
sys.stdin.read()
"""


def test_files_without_a_name_are_counted_once(tmp_path: Path, group: Path) -> None:
    """Held open by two processes, or kept by a mapping alone; what is in memory is not the disk's."""
    folder = tmp_path / "layer"
    folder.mkdir()
    holder = subprocess.Popen(
        (sys.executable, "-c", HOLDER, str(folder), str(group)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # else a file of the test runner's, which has no name either
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        found = written([str(folder)], (holder.pid,), most_inodes=None, seconds=10)
    finally:
        assert holder.stdin is not None
        holder.communicate(timeout=10)
    assert found.whole
    assert 8 * MIB <= found.bytes < 9 * MIB
    assert found.inodes == 3
    assert processes(holder.pid) == ()
