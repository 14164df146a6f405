"""Whole lives of operations on engines set up otherwise: with gVisor, and with users mapped away from the host's."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from node.agent.isolation import hindrance
from node.container.cgroup import processes
from node.container.docker import DockerEngine
from node.container.gvisor import gpu_refusal, supported_drivers
from node.container.log import WHOLE_BYTES, read_entries
from node.container.runner import OperationRunner
from node.container.stop import StopSignal
from node.container.traits import security_option
from node.records import EndCause, OperationState, OperationStatus, PlannedOperation
from tests.agent.test_isolation import settings
from tests.container.operations import LIMITS, operation
from tests.container.test_adoption import Lives
from tests.e2e import images
from tests.e2e.second_engine import SecondEngine, second_engine

MIB = 1024**2
MAPPED = 231_072
"""The host's number for a mapped container's root."""

pytestmark = [pytest.mark.docker, pytest.mark.long]


@dataclass
class Set:
    """An engine set up in one way, with images."""

    engine: SecondEngine
    runtime: str
    image: str
    volume_image: str

    def operation(self, command: str, **spec: Any) -> PlannedOperation:
        return operation(spec.pop("image", self.image), "engines", command, runtime=self.runtime, **spec)


@contextmanager
def set_up(runtime: str, **options: Any) -> Iterator[Set]:
    with tempfile.TemporaryDirectory(prefix="gpn", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)  # a mapped root must be able to pass through
        config = folder / "daemon.json"
        config.write_text(json.dumps(options.pop("config", {})))
        try:
            with second_engine(folder, options=(f"--config-file={config}",), **options) as engine:
                client = images.connect(f"unix://{engine.socket}")
                image = images.busybox_image(client)
                volume_image = images.busybox_image(client, changes=["VOLUME /volume"])
                client.close()
                yield Set(engine, runtime, image, volume_image)
        except images.NoEngine as error:
            pytest.skip(str(error))


@pytest.fixture(scope="module")
def gvisor() -> Iterator[Set]:
    program = shutil.which("runsc")
    if program is None:
        pytest.skip("there is no runsc on this machine")
    # Without a network: with its own, this build refuses to start below newer kernels.
    runtimes = {"runsc": {"path": program, "runtimeArgs": ["--network=none"]}}
    with set_up("runsc", config={"runtimes": runtimes}) as made:
        yield made


@pytest.fixture(scope="module")
def remapped() -> Iterator[Set]:
    known = ("/etc/subuid", "/etc/subgid")
    if os.geteuid() != 0 or not all(Path(path).exists() for path in known):
        pytest.skip("the files that say which users may be mapped cannot be replaced here")
    with tempfile.NamedTemporaryFile("w") as owners:
        owners.write(f"daemon:{MAPPED}:65536\n")
        owners.flush()
        # For this engine alone the machine's own files have another content.
        binds = " && ".join(f"mount --bind {owners.name} {path}" for path in known)
        wrapper = ("unshare", "--mount", "sh", "-c", f'{binds} && exec "$@"', "sh")
        with set_up("runc", config={"userns-remap": "daemon"}, wrapper=wrapper) as made:
            yield made


@pytest.fixture(params=["gvisor", "remapped"])
def either(request: pytest.FixtureRequest) -> Set:
    made = request.getfixturevalue(request.param)
    assert isinstance(made, Set)
    return made


async def run(made: Set, data: Path, op: PlannedOperation, stop: StopSignal | None = None) -> OperationState:
    engine = DockerEngine(made.engine.socket)

    async def on_change(state: OperationState) -> None:
        if stop is not None and state.container_id is not None and state.ended_ms is None:
            stop.request(EndCause.EXPIRED)

    try:
        return await OperationRunner(engine, data, stop_grace=2.0).run_operation(
            op, None, on_change=on_change, stop=stop or StopSignal()
        )
    finally:
        assert await engine.find({"gpunode.job": dict(op.container.labels)["gpunode.job"]}) == ()
        await engine.aclose()


def lines(data: Path, state: OperationState) -> list[str]:
    assert state.log is not None
    return [f"{entry.type} {entry.log.rstrip()}" for entry in read_entries(data / state.log.path)]


async def test_log_and_exit_code(either: Set, tmp_path: Path) -> None:
    state = await run(either, tmp_path, either.operation("echo out; echo err >&2; id -u; exit 7"))
    assert (state.status, state.exit_code, state.errors) == (OperationStatus.FAILED, 7, ())
    assert sorted(lines(tmp_path, state)) == ["stderr err", "stdout 0", "stdout out"]


async def test_it_ends_when_told_even_against_its_will(either: Set, tmp_path: Path) -> None:
    began = time.monotonic()
    op = either.operation("trap '' TERM; echo up; while true; do sleep 1; done")
    state = await run(either, tmp_path, op, StopSignal())
    assert time.monotonic() - began < 40
    assert state.status is OperationStatus.SUCCESS  # its time was over
    assert state.exit_code in (137, 143)


async def test_adoption(either: Set, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{either.engine.socket}")
    script = "i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i+1)); sleep 0.1; done; exit 4"
    lives = Lives(tmp_path, either.operation(script), WHOLE_BYTES)
    await lives.kill_after((200, 1_000))
    state = await lives.end()
    assert (state.starts, state.exit_code) == (1, 4)
    assert lines(tmp_path, state) == [f"stdout line {number}" for number in range(40)]


@pytest.mark.parametrize("place", ["/", "/volume/"])
async def test_who_fills_the_disk_is_stopped(either: Set, tmp_path: Path, place: str) -> None:
    limits = replace(LIMITS, disk_bytes=32 * MIB)
    script = f"i=0; while true; do dd if=/dev/zero of={place}f$i bs=1M count=4 2>/dev/null; i=$((i+1)); done"
    op = either.operation(script, limits=limits, image=either.volume_image)
    state = await run(either, tmp_path, op)
    assert state.status is OperationStatus.FAILED
    assert ["disk limit" in error.message for error in state.errors] == [True]


async def test_memory_is_limited(either: Set, tmp_path: Path) -> None:
    op = either.operation("dd if=/dev/zero of=/dev/shm/x bs=1M count=400 && echo survived", limits=replace(
        LIMITS, shm_bytes=1024 * MIB, memory_bytes=96 * MIB))  # fmt: skip
    state = await run(either, tmp_path, op)
    assert state.status is OperationStatus.FAILED
    assert "stdout survived" not in lines(tmp_path, state)


async def watch(made: Set, op: PlannedOperation) -> tuple[DockerEngine, Any, str]:
    engine = DockerEngine(made.engine.socket)
    await engine.ensure_network(op.container.network, {"gpunode.node": "engines"})
    container = await engine.create(op.container)
    await engine.start(container)
    client = images.connect(f"unix://{made.engine.socket}")
    return engine, client, container


# --- gVisor -----------------------------------------------------------------------------------------------------


async def test_a_kernel_of_its_own(gvisor: Set, tmp_path: Path) -> None:
    state = await run(gvisor, tmp_path, gvisor.operation("uname -r; dmesg | head -1"))
    found = lines(tmp_path, state)
    assert os.uname().release not in " ".join(found)
    assert any("gVisor" in line for line in found)


async def test_the_sandbox_itself_is_confined(gvisor: Set) -> None:
    engine, client, container = await watch(gvisor, gvisor.operation("sleep 60"))
    try:
        pid = int(client.inspect_container(container)["State"]["Pid"])
        assert pid in processes(pid)
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        assert "0" not in status["Uid"].split()
    finally:
        client.remove_container(container, force=True, v=True)
        client.close()
        await engine.aclose()


async def test_an_image_with_device_nodes_is_not_started(gvisor: Set, tmp_path: Path) -> None:
    """Some releases open them as the host's devices, which no control group of gVisor's forbids."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        node = tarfile.TarInfo("somewhere/deep/harmless-name")
        node.type, node.devmajor, node.devminor, node.mode = tarfile.CHRTYPE, 1, 11, 0o666
        tar.addfile(node)
    client = images.connect(f"unix://{gvisor.engine.socket}")
    client.import_image_from_data(archive.getvalue(), repository="with-node", tag="1")
    client.close()
    op = operation("with-node:1", "engines", ["/x"], runtime="runsc")
    state = await run(gvisor, tmp_path, op)
    assert (state.status, state.exit_code) == (OperationStatus.FAILED, 2)
    assert ["device node '/somewhere/deep/harmless-name'" in error.message for error in state.errors] == [True]
    assert state.engine_state is not None
    assert state.engine_state["Status"] == "created"  # never ran
    kept = await run(
        gvisor, tmp_path, replace(op, container=replace(op.container, runtime="runc", name=f"{op.container.name}x"))
    )
    assert not any("device node" in error.message for error in kept.errors)


async def test_a_gpu_is_refused_by_a_build_that_does_not_know_nvproxy(gvisor: Set) -> None:
    engine = DockerEngine(gvisor.engine.socket)
    try:
        info = await engine.info()
        assert hindrance(settings(engine={"runtime": "runsc"}), info) is None
        assert "without --nvproxy" in await gpu_refusal(info, ["550.54.15"])
        program = dict(info.runtime_commands)["runsc"][0]
        forced = replace(info, runtime_commands=(("runsc", (program, "--nvproxy=true")),))
        expected = "does not support" if await supported_drivers(program) else "does not say which"
        assert expected in await gpu_refusal(forced, ["1.2.3"])
    finally:
        await engine.aclose()


# --- mapped users -----------------------------------------------------------------------------------------------


async def test_root_inside_is_nobody_outside(remapped: Set) -> None:
    op = remapped.operation("echo x > /volume/file; echo y > /file; sleep 60", image=remapped.volume_image)
    engine, client, container = await watch(remapped, op)
    try:
        assert security_option(await engine.info(), "userns") is not None
        raw = client.inspect_container(container)
        assert raw["HostConfig"]["UsernsMode"] == ""
        pid = int(raw["State"]["Pid"])
        members = processes(pid)
        assert pid in members
        for member in members:
            text = Path(f"/proc/{member}/status").read_text()
            status = dict(line.split(":\t", 1) for line in text.splitlines())
            assert set(status["Uid"].split()) == {str(MAPPED)}
            assert set(status["Gid"].split()) == {str(MAPPED)}
        assert Path(f"/proc/{pid}/uid_map").read_text().split() == ["0", str(MAPPED), "65536"]
        own = await engine.inspect(container)
        assert own is not None
        layer, *others = (Path(path) for path in own.writable)
        until = time.monotonic() + 10
        while not (layer / "file").exists() and time.monotonic() < until:
            await asyncio.sleep(0.05)
        assert (layer / "file").stat().st_uid == MAPPED
        (volume,) = [path for path in others if path.is_dir()]
        assert {path.stat().st_uid for path in (volume, volume / "file")} == {MAPPED}
    finally:
        client.remove_container(container, force=True, v=True)
        client.close()
        await engine.aclose()
