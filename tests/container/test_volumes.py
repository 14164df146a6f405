"""A job's volumes, the folders it is given, and that neither is a way to anything else of this host."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from node.container.docker import DockerEngine
from node.container.mounts import is_volume_name, mounts
from node.container.profile import create_request
from node.container.sweeper import Sweeper
from node.errors import EngineRejected
from node.plan_records import FolderMount, VolumeMount
from node.records import Address, EndCause, OperationState, OperationStatus, PlannedOperation
from tests.container.job_bench import JobBench
from tests.container.operations import LIMITS, operation
from tests.container.test_runner import Bench

MIB = 1024**2


def volume(bench: JobBench, target: str = "/data", name: str = "v") -> tuple[VolumeMount, ...]:
    return (VolumeMount(f"{bench.job}-{name}", target),)


# --- what is asked of the engine --------------------------------------------------------------------------


def test_the_request_names_volumes_and_folders_and_no_more() -> None:
    spec = operation("image", "node", "true").spec
    assert "Mounts" not in create_request(spec)["HostConfig"]
    assert "Binds" not in create_request(spec)["HostConfig"]
    spec = replace(
        spec,
        volumes=(VolumeMount("Job1-v", "/data"),),
        folders=(FolderMount("/var/cache/x", "/model"), FolderMount("/var/cache/y", "/copy", writable=True)),
    )
    bind = {"Propagation": "rprivate", "NonRecursive": True}
    assert create_request(spec)["HostConfig"]["Mounts"] == [
        {"Type": "volume", "Source": "Job1-v", "Target": "/data", "ReadOnly": False},
        {"Type": "bind", "Source": "/var/cache/x", "Target": "/model", "ReadOnly": True, "BindOptions": bind},
        {"Type": "bind", "Source": "/var/cache/y", "Target": "/copy", "ReadOnly": False, "BindOptions": bind},
    ]


@pytest.mark.parametrize(
    "name", ["", "/", "/etc", "../etc", "a/b", ".hidden", "-v", "a b", "a\n", "a\0b", "a:b", "ä", "x,source=/etc"]
)
def test_a_volume_s_name_is_never_a_place(name: str) -> None:
    assert not is_volume_name(name)
    spec = replace(operation("image", "node", "true").spec, volumes=(VolumeMount(name, "/data"),))
    with pytest.raises(EngineRejected):
        mounts(spec)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "/",
        "data",
        "../data",
        "/data/../..",
        "/proc",
        "/proc/1/root",
        "/sys/fs/cgroup",
        "/dev",
        "/dev/nvidia0",
        "//proc",
        "/./sys",
        "/var/run/nvidia-container-devices/all",
        "/run/nvidia-container-devices/GPU-1",
        "/data\0",
    ],
)
def test_nothing_is_mounted_where_it_would_be_more_than_data(target: str) -> None:
    spec = replace(operation("image", "node", "true").spec, volumes=(VolumeMount("Job1-v", target),))
    with pytest.raises(EngineRejected):
        mounts(spec)


@pytest.mark.parametrize("folder", ["", "data", "/", "/etc", "/var/cache/../../etc", "./x"])
def test_folders_are_whole_paths_of_the_cache(folder: str) -> None:
    spec = replace(operation("image", "node", "true").spec, folders=(FolderMount(folder, "/data"),))
    with pytest.raises(EngineRejected):
        mounts(spec)


# --- volumes of a job -------------------------------------------------------------------------------------


def volume_operation(job: str) -> PlannedOperation:
    return PlannedOperation(index=0, id="make", group="make", container=None, volume=f"{job}-v")


@pytest.mark.docker
async def test_an_operation_makes_a_volume(job_bench: JobBench) -> None:
    states: list[OperationState] = []

    async def on_change(state: OperationState) -> None:
        states.append(state)

    labels = operation("", job_bench.node, None, job=job_bench.job).spec.labels
    op = volume_operation(job_bench.job)
    state = await job_bench.runner.make_volume(op, None, labels, on_change=on_change, stop=job_bench.stop)
    assert (state.status, state.exit_code, state.errors) == (OperationStatus.SUCCESS, 0, ())
    assert state.started_ms is not None
    assert state.ended_ms is not None
    assert [each.status for each in states] == [OperationStatus.RUNNING, OperationStatus.SUCCESS]
    made = job_bench.client.inspect_volume(f"{job_bench.job}-v")
    assert made["Driver"] == "local"
    assert not made["Options"]
    assert made["Labels"] == {key: value for key, value in labels if key != "gpunode.operation"}
    # Another life finds it there; an ended operation is not written down again.
    again = await job_bench.runner.make_volume(op, states[0], labels, on_change=on_change, stop=job_bench.stop)
    assert again.status is OperationStatus.SUCCESS
    assert await job_bench.runner.make_volume(op, again, labels, on_change=on_change, stop=job_bench.stop) == again
    assert len(states) == 3
    await job_bench.clean()
    assert job_bench.left() == []


async def test_a_volume_that_cannot_be_made(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.engine.fail["ensure_volume"] = [EngineRejected("no", status=500)]
    op = volume_operation("Job1")
    state = await bench.runner.make_volume(op, None, (), on_change=bench.on_change, stop=bench.stop)
    assert (state.status, state.exit_code) == (OperationStatus.FAILED, 2)
    assert [(error.event, error.code) for error in state.errors] == [("resource-error", 500)]


async def test_a_volume_waits_for_the_engine_and_ends_with_the_job(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.engine.down = True
    async with asyncio.TaskGroup() as group:
        making = group.create_task(
            bench.runner.make_volume(
                volume_operation("Job1"), None, (), on_change=bench.on_change, stop=bench.stop,
                on_progress=bench.lines.append,
            )
        )  # fmt: skip
        await bench.until(lambda: len(bench.lines) > 3)
        bench.stop.request(EndCause.EXPIRED)
    assert (making.result().status, making.result().exit_code) == (OperationStatus.SUCCESS, 2)


@pytest.mark.docker
async def test_somebody_else_s_volume_is_not_taken(job_bench: JobBench) -> None:
    name = f"{job_bench.job}-v"
    job_bench.client.create_volume(name, labels={"gpunode.node": job_bench.node})
    with pytest.raises(EngineRejected, match="not this job's"):
        await job_bench.engine.ensure_volume(name, {"gpunode.job": job_bench.job, "gpunode.node": job_bench.node})
    state = await job_bench.run(job_bench.op(0, "true", volumes=volume(job_bench)))
    assert (state.status, state.exit_code, state.starts) == (OperationStatus.FAILED, 2, 0)
    assert [error.event for error in state.errors] == ["resource-error"]


@pytest.mark.docker
async def test_a_volume_over_a_folder_of_the_host_is_not_taken(job_bench: JobBench, tmp_path: Path) -> None:
    """Made by somebody with the very labels: still only a plain volume is one of ours."""
    spec = job_bench.op(0, "true", volumes=volume(job_bench)).spec
    labels = {key: value for key, value in spec.labels if key != "gpunode.operation"}
    options = {"type": "none", "device": str(tmp_path), "o": "bind"}
    job_bench.client.create_volume(f"{job_bench.job}-v", driver_opts=options, labels=labels)
    with pytest.raises(EngineRejected, match="not this job's"):
        await job_bench.engine.ensure_volume(f"{job_bench.job}-v", labels)


@pytest.mark.docker
async def test_operations_share_a_volume_that_goes_with_the_job(job_bench: JobBench) -> None:
    mounted = volume(job_bench)
    await job_bench.output(job_bench.op(0, "echo hello > /data/file", volumes=mounted))
    assert await job_bench.output(job_bench.op(1, "cat /elsewhere/file", volumes=volume(job_bench, "/elsewhere"))) == (
        "hello\n"
    )
    assert set(job_bench.left()) >= {f"{job_bench.job}-v"}
    await job_bench.clean()
    assert job_bench.left() == []


@pytest.mark.docker
async def test_cleaning_takes_what_runs_along_and_nobody_else_s(job_bench: JobBench, busybox_image: str) -> None:
    other = JobBench(job_bench.engine, job_bench.client, busybox_image, job_bench.node, job_bench.data)
    await other.output(other.op(0, "true", volumes=volume(other)))
    op = job_bench.op(0, "sleep 60", volumes=volume(job_bench))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(job_bench.run(op))
        while not (job_bench.states.get(0) and job_bench.states[0].starts):
            await asyncio.sleep(0.02)
        running.cancel()  # the agent goes, the container stays
    assert len(job_bench.left()) == 3
    await job_bench.clean()
    assert job_bench.left() == []
    assert len(other.left()) == 2
    await other.clean()


@pytest.mark.docker
async def test_what_has_the_labels_but_not_the_name_stays(job_bench: JobBench, docker_client: docker.APIClient) -> None:
    labels = {"gpunode.job": job_bench.job, "gpunode.node": job_bench.node}
    docker_client.create_volume(f"host-{job_bench.job}", labels=labels)
    await job_bench.clean()
    assert job_bench.left() == [f"host-{job_bench.job}"]


@pytest.mark.docker
async def test_the_sweeper_takes_what_a_crash_has_left(job_bench: JobBench) -> None:
    await job_bench.output(job_bench.op(0, "true", volumes=volume(job_bench)))
    assert len(job_bench.left()) == 2

    async def known() -> frozenset[Address]:
        return frozenset()

    sweeper = Sweeper(job_bench.engine, Address(job_bench.node), known, grace=0.0)
    swept = await sweeper.sweep()
    assert (len(swept.networks), swept.volumes) == (1, (f"{job_bench.job}-v",))
    assert job_bench.left() == []


@pytest.mark.docker
async def test_a_new_volume_has_what_the_image_has_there(job_bench: JobBench) -> None:
    assert "sh" in await job_bench.output(job_bench.op(0, "ls /bin", volumes=volume(job_bench, "/bin")))
    await job_bench.clean()


async def test_what_cannot_be_removed_yet_is_tried_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    labels = {"gpunode.job": "Job1", "gpunode.node": "node"}
    await bench.engine.ensure_volume("Job1-v", labels)
    bench.engine.fail["remove_volume"] = [EngineRejected("busy", status=500)] * 2
    await bench.runner.clean_job(Address("Job1"), "gpn1")
    assert bench.engine.volume_labels == {}
    await bench.engine.ensure_volume("Job1-v", labels)
    bench.engine.down = True
    await bench.runner.clean_job(Address("Job1"), "gpn1")  # raises nothing: the sweeper's


async def test_no_job_is_no_job_s(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.engine.ensure_volume("-v", {"gpunode.job": "", "gpunode.node": "node"})
    await bench.runner.clean_job(Address(""), "")
    assert set(bench.engine.volume_labels) == {"-v"}


# --- folders of the cache ---------------------------------------------------------------------------------


@pytest.mark.docker
async def test_a_folder_is_read_only_unless_said_otherwise(job_bench: JobBench, tmp_path: Path) -> None:
    given, copy = tmp_path / "given", tmp_path / "copy"
    for folder in (given, copy):
        folder.mkdir()
        (folder / "file").write_text("data\n")
        folder.chmod(0o777)
    folders = (FolderMount(str(given), "/given"), FolderMount(str(copy), "/copy", writable=True))
    command = (
        "cat /given/file; echo more >> /copy/file; for try in 'echo x > /given/new' 'rm /given/file' "
        "'mount -o remount,rw /given' 'chmod 777 /given/file'; do sh -c \"$try\" 2>/dev/null && echo did $try; done; "
        "grep ' /given ' /proc/self/mountinfo"
    )
    told = await job_bench.output(job_bench.op(0, command + "; true", folders=folders))
    first, mount = told.splitlines()
    assert first == "data"
    assert mount.split(" ")[5].startswith("ro")
    assert " - " in mount  # no field of propagation: neither shared nor a slave
    assert "shared:" not in mount
    assert "master:" not in mount
    assert (given / "file").read_text() == "data\n"
    assert (copy / "file").read_text() == "data\nmore\n"
    await job_bench.clean()
    assert (copy / "file").exists()  # the folders are their maker's


@pytest.mark.docker
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
async def test_what_is_mounted_below_a_folder_is_not_seen(job_bench: JobBench, tmp_path: Path) -> None:
    given = tmp_path / "given"
    (given / "below").mkdir(parents=True)
    mounted = await asyncio.create_subprocess_exec("mount", "-t", "tmpfs", "tmpfs", str(given / "below"))
    if await mounted.wait():
        pytest.skip("nothing can be mounted here")
    try:
        (given / "below" / "secret").write_text("secret")
        op = job_bench.op(0, "ls -A /given/below | wc -l", folders=(FolderMount(str(given), "/given"),))
        assert await job_bench.output(op) == "0\n"
    finally:
        await (await asyncio.create_subprocess_exec("umount", str(given / "below"))).wait()


@pytest.mark.docker
async def test_a_link_in_a_folder_leads_nowhere_else(job_bench: JobBench, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (tmp_path / "secret").write_text("secret")
    (given / "link").symlink_to(tmp_path / "secret")
    op = job_bench.op(0, "cat /given/link 2>/dev/null || echo nothing", folders=(FolderMount(str(given), "/given"),))
    assert await job_bench.output(op) == "nothing\n"


@pytest.mark.docker
async def test_a_folder_that_is_not_there_fails_the_operation(job_bench: JobBench, tmp_path: Path) -> None:
    op = job_bench.op(0, "true", folders=(FolderMount(str(tmp_path / "none" / "such"), "/given"),))
    state = await job_bench.run(op)
    assert (state.status, state.exit_code) == (OperationStatus.FAILED, 2)
    assert not (tmp_path / "none").exists()


@pytest.mark.docker
async def test_programs_in_volumes_gain_nothing(job_bench: JobBench) -> None:
    """No user becomes another by a file's mode, and no device is made or opened."""
    mounted = volume(job_bench)
    command = (
        "cp /bin/busybox /data/su; chmod 4755 /data/su; mknod /data/disk b 8 0 2>/dev/null && echo made; "
        "stat -c %a /data/su; grep NoNewPrivs /proc/self/status"
    )
    told = await job_bench.output(job_bench.op(0, command, volumes=mounted))
    assert told.split() == ["4755", "NoNewPrivs:", "1"]
    await job_bench.clean()


# --- one disk budget for all of it ------------------------------------------------------------------------


@pytest.mark.docker
@pytest.mark.skipif(os.geteuid() != 0, reason="the engine's folders are visible to root alone")
async def test_operations_of_one_job_have_one_budget(job_bench: JobBench) -> None:
    limits = replace(LIMITS, disk_bytes=48 * MIB)
    commands = [f"dd if=/dev/zero of=/{name} bs=1M count=30; sleep 60" for name in ("a", "b")]
    began = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as group:
        running = [
            group.create_task(job_bench.run(job_bench.op(index, command, limits=limits)))
            for index, command in enumerate(commands)
        ]
    assert asyncio.get_running_loop().time() - began < 50
    for task in running:
        assert task.result().status is OperationStatus.FAILED
        assert "disk limit" in task.result().errors[0].message
    await job_bench.clean()


@pytest.mark.long
@pytest.mark.docker
@pytest.mark.skipif(os.geteuid() != 0, reason="the engine's folders are visible to root alone")
async def test_a_shared_volume_counts_once(job_bench: JobBench) -> None:
    limits = replace(LIMITS, disk_bytes=48 * MIB)
    mounted = volume(job_bench)
    writing = job_bench.op(0, "dd if=/dev/zero of=/data/a bs=1M count=30; sleep 20", limits=limits, volumes=mounted)
    reading = job_bench.op(1, "sleep 20", limits=limits, volumes=mounted)
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(job_bench.run(op)) for op in (writing, reading)]
    assert [(task.result().status, task.result().errors) for task in running] == [(OperationStatus.SUCCESS, ())] * 2
    await job_bench.clean()


@pytest.mark.long
@pytest.mark.docker
@pytest.mark.skipif(os.geteuid() != 0, reason="the engine's folders are visible to root alone")
async def test_volumes_that_nobody_has_mounted_and_copies_count(job_bench: JobBench, tmp_path: Path) -> None:
    limits = replace(LIMITS, disk_bytes=48 * MIB)
    await job_bench.output(
        job_bench.op(0, "dd if=/dev/zero of=/data/a bs=1M count=30", limits=limits, volumes=volume(job_bench))
    )
    copy = tmp_path / "copy"
    copy.mkdir()
    op = job_bench.op(
        1,
        "dd if=/dev/zero of=/copy/a bs=1M count=30; sleep 60",
        limits=limits,
        folders=(FolderMount(str(copy), "/copy", writable=True),),
    )
    state = await job_bench.run(op)
    assert state.status is OperationStatus.FAILED
    assert "disk limit" in state.errors[0].message
    await job_bench.clean()


@pytest.mark.long
@pytest.mark.docker
@pytest.mark.skipif(os.geteuid() != 0, reason="the engine's folders are visible to root alone")
async def test_what_a_copy_brings_along_is_not_written_by_the_job(job_bench: JobBench, tmp_path: Path) -> None:
    limits = replace(LIMITS, disk_bytes=32 * MIB)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "model").write_bytes(b"m" * (40 * MIB))
    mount = FolderMount(str(copy), "/copy", writable=True, size=40 * MIB)
    quiet = job_bench.op(0, "dd if=/dev/zero of=/copy/a bs=1M count=10; sleep 20", limits=limits, folders=(mount,))
    assert (await job_bench.run(quiet)).errors == ()
    busy = job_bench.op(1, "dd if=/dev/zero of=/copy/b bs=1M count=30; sleep 60", limits=limits, folders=(mount,))
    state = await job_bench.run(busy)
    assert state.status is OperationStatus.FAILED
    assert "disk limit" in state.errors[0].message
    await job_bench.clean()


@pytest.mark.docker
async def test_where_we_see_nothing_the_engine_adds_up(job_bench: JobBench, docker_engine: DockerEngine) -> None:
    mounted = volume(job_bench)
    for index in (0, 1):
        command = f"dd if=/dev/zero of=/own bs=1M count=3; dd if=/dev/zero of=/data/{index} bs=1M count=4; sleep 60"
        op = job_bench.op(index, command, volumes=mounted)
        labels = {"gpunode.node": job_bench.node, "gpunode.job": job_bench.job}
        await docker_engine.ensure_network(op.spec.network, labels)
        await docker_engine.ensure_volume(mounted[0].volume, labels)
        await docker_engine.start(await docker_engine.create(op.spec))
    containers = [view.id for view in await docker_engine.find({"gpunode.job": job_bench.job})]
    async with asyncio.timeout(20):
        while await docker_engine.written(containers) < 14 * MIB:
            await asyncio.sleep(0.1)
    assert await docker_engine.written(containers, [mounted[0].volume]) < 15 * MIB
    assert await docker_engine.written([], [mounted[0].volume]) >= 8 * MIB


@pytest.mark.docker
async def test_the_log_s_budget_is_the_job_s(job_bench: JobBench) -> None:
    limits = replace(LIMITS, log_bytes=20_000)
    first = await job_bench.run(job_bench.op(0, "yes 0123456789 | head -n 100", limits=limits))
    second = await job_bench.run(job_bench.op(1, "yes 0123456789 | head -n 10000", limits=limits))
    assert first.log is not None
    assert second.log is not None
    assert (first.log.truncated, second.log.truncated) == (False, True)
    assert first.log.length + second.log.length <= 20_000
    await job_bench.clean()


async def test_a_fake_engine_is_asked_for_each_volume_before_the_container(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    spec = operation("image", "node", "true")
    op = replace(spec, container=replace(spec.spec, volumes=(VolumeMount("Job1-v", "/data"),)))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(op))
        await bench.until_started()
        assert bench.engine.calls.index("ensure_volume") < bench.engine.calls.index("create")
        await bench.engine.exit(bench.engine.only().id, 0)
    assert running.result().status is OperationStatus.SUCCESS


HOLD = "dd if=/dev/zero of=/dev/shm/held bs=1M count=60; sleep 30"
"""60 MiB of memory that the kernel cannot take back: a file that is nowhere else."""


@pytest.mark.docker
async def test_operations_of_one_job_have_one_memory(job_bench: JobBench) -> None:
    limits = replace(LIMITS, memory_bytes=96 * MIB, shm_bytes=64 * MIB)
    began = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(job_bench.run(job_bench.op(index, HOLD, limits=limits))) for index in (0, 1)]
    assert asyncio.get_running_loop().time() - began < 25
    for task in running:
        assert task.result().status is OperationStatus.FAILED
        assert "together used more memory" in task.result().errors[0].message
    await job_bench.clean()


@pytest.mark.long
@pytest.mark.docker
async def test_memory_that_the_kernel_can_take_back_is_nobody_s(job_bench: JobBench) -> None:
    """Pages of files that each container has read or written are no use of memory."""
    limits = replace(LIMITS, memory_bytes=96 * MIB)
    command = "dd if=/dev/zero of=/file bs=1M count=60; cat /file > /dev/null; sleep 4"
    states = await asyncio.gather(*(job_bench.run(job_bench.op(index, command, limits=limits)) for index in (0, 1)))
    assert [(state.status, state.errors) for state in states] == [(OperationStatus.SUCCESS, ())] * 2
    await job_bench.clean()
