"""After kill -9: the container goes on, is rejoined, and its log is what an uninterrupted life would have kept."""

from __future__ import annotations

import asyncio
import pickle
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import docker
import pytest

from node.container.docker import DockerEngine
from node.container.follower import collect
from node.container.log import WHOLE_BYTES, LogKeeper
from node.content.merkle import MerkleHasher
from node.journal.codec import decode
from node.records import EndCause, OperationState, OperationStatus, PlannedOperation
from tests.container.operations import operation

pytestmark = pytest.mark.docker

BY_TIME = 0
"""Logs of any size are gone on with by their timestamps."""


class Lives:
    """Lives of one operation, each in a process."""

    def __init__(self, folder: Path, op: PlannedOperation, whole: int) -> None:
        self.folder = folder
        self.op = op
        self._whole = whole
        (folder / "operation").write_bytes(pickle.dumps(op))
        self.path = folder / "logs" / f"{op.container.name}.jsonl"

    async def begin(self) -> asyncio.subprocess.Process:
        words = ("-m", "tests.container.life", str(self.folder), str(self._whole))
        return await asyncio.create_subprocess_exec(sys.executable, *words)

    async def until_kept(self, process: asyncio.subprocess.Process, size: int) -> None:
        async with asyncio.timeout(60):
            while not self.path.exists() or self.path.stat().st_size < size:
                assert process.returncode is None
                await asyncio.sleep(0.01)

    async def kill_after(self, sizes: Sequence[int]) -> None:
        for size in sizes:
            process = await self.begin()
            await self.until_kept(process, size)
            process.kill()
            await process.wait()

    async def end(self) -> OperationState:
        process = await self.begin()
        async with asyncio.timeout(120):
            assert await process.wait() == 0
        return self.state()

    def state(self) -> OperationState:
        return decode((self.folder / "state").read_text(), OperationState)


@pytest.mark.long
@pytest.mark.parametrize("whole", [WHOLE_BYTES, BY_TIME], ids=["read whole", "by time"])
async def test_several_kills_and_the_log_is_that_of_one_life(
    busybox_image: str, node_address: str, docker_client: docker.APIClient, tmp_path: Path, whole: int
) -> None:
    script = (
        "i=0; while [ $i -lt 60 ]; do for j in 1 2 3 4 5 6 7 8 9 10; do echo out $i $j; echo err $i $j >&2; done; "
        "i=$((i+1)); sleep 0.1; done; printf tail; exit 4"
    )
    lives = Lives(tmp_path, operation(busybox_image, node_address, script), whole)
    await lives.kill_after((500, 8_000, 20_000))
    before = lives.state()
    assert docker_client.inspect_container(before.container_id)["State"]["Running"]
    state = await lives.end()
    assert (state.container_id, state.starts, state.exit_code) == (before.container_id, 1, 4)
    body = lives.path.read_bytes()
    assert body == (tmp_path / "reference").read_bytes()
    assert body.count(b"\n") == 60 * 20 + 1
    hasher = MerkleHasher()
    hasher.update(body)
    assert state.log is not None
    assert (state.log.root, state.log.length) == (hasher.root(), len(body))
    assert docker_client.containers(all=True, filters={"label": f"gpunode.node={node_address}"}) == []


async def test_a_deadline_that_passed_meanwhile_ends_the_container_at_once(
    busybox_image: str, node_address: str, tmp_path: Path
) -> None:
    lives = Lives(tmp_path, operation(busybox_image, node_address, "echo up; sleep 600"), WHOLE_BYTES)
    await lives.kill_after((1,))
    (tmp_path / "stop").touch()
    began = time.monotonic()
    state = await lives.end()
    assert time.monotonic() - began < 30
    assert (state.status, state.starts) == (OperationStatus.SUCCESS, 1), EndCause.EXPIRED
    assert state.exit_code in (137, 143)


@pytest.mark.parametrize("whole", [True, False], ids=["read whole", "by time"])
async def test_many_lines_of_one_moment(
    docker_engine: DockerEngine,
    docker_client: docker.APIClient,
    busybox_image: str,
    node_address: str,
    tmp_path: Path,
    whole: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The engine's own record, with all its times made one, taken up after each of many cuts."""
    if not whole:
        monkeypatch.setattr("node.container.log.WHOLE_BYTES", BY_TIME)
    script = "i=0; while [ $i -lt 400 ]; do echo same; echo same >&2; i=$((i+1)); done"
    op = operation(busybox_image, node_address, script)
    await docker_engine.ensure_network(op.container.network, dict(op.container.labels))
    container = await docker_engine.create(op.container)
    await docker_engine.start(container)
    await docker_engine.wait(container)
    record = Path(docker_client.inspect_container(container)["LogPath"])
    try:
        lines = record.read_text().splitlines()
    except OSError:
        pytest.skip("the engine's own files cannot be read here")
    moment = lines[0].rpartition('"time":')[2]
    record.write_text(
        "".join(f'{line.rpartition(chr(34) + "time" + chr(34) + ":")[0]}"time":{moment}\n' for line in lines)
    )
    reference = LogKeeper(tmp_path / "reference", 1 << 20)
    await collect(docker_engine, container, reference)
    wanted = (tmp_path / "reference").read_bytes()
    assert wanted.count(b"\n") == 800
    parts = wanted.splitlines(keepends=True)
    for cut in (1, 17, 400, 799, 800):
        path = tmp_path / f"cut-{cut}"
        path.write_bytes(b"".join(parts[:cut]))
        for _ in range(2):
            keeper = LogKeeper(path, 1 << 20)
            keeper.is_of_one_container = whole
            await collect(docker_engine, container, keeper)
            assert keeper.digest("x").root == reference.digest("x").root
            keeper.close()
        assert path.read_bytes() == wanted, cut
    reference.close()
