"""One operation, run for real by the engine on this machine."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import docker
import pytest

from node.container.docker import DockerEngine
from node.container.log import read_entries
from node.container.runner import OperationRunner
from node.container.stop import StopSignal
from node.content.merkle import MerkleHasher
from node.records import (
    Address,
    EndCause,
    IsolationProfile,
    OperationState,
    OperationStatus,
    PlannedOperation,
)
from node.retry import Retry
from tests.container.operations import LIMITS, operation
from tests.e2e import images

pytestmark = pytest.mark.docker


@dataclass
class Bench:
    """Runs operations and remembers every state that was made durable."""

    runner: OperationRunner
    engine: DockerEngine
    client: docker.APIClient
    image: str
    node: str
    data: Path
    states: list[OperationState] = field(default_factory=list)
    stop: StopSignal = field(default_factory=StopSignal)
    hooks: list[Callable[[OperationState], None]] = field(default_factory=list)

    def op(self, command: str | list[str] | None, **spec: Any) -> PlannedOperation:
        return operation(spec.pop("image", self.image), self.node, command, **spec)

    async def on_change(self, state: OperationState) -> None:
        self.states.append(state)
        for hook in self.hooks:
            hook(state)

    async def run(self, op: PlannedOperation, previous: OperationState | None = None) -> OperationState:
        """The operation as the whole of its job."""
        state = await self.runner.run_operation(op, previous, on_change=self.on_change, stop=self.stop)
        await self.runner.clean_job(Address(dict(op.spec.labels)["gpunode.job"]), op.spec.network)
        return state

    def log(self, state: OperationState, stream: str = "stdout") -> str:
        assert state.log is not None
        return "".join(entry.log for entry in read_entries(self.data / state.log.path) if entry.type == stream)

    async def output(self, command: str | list[str] | None, **spec: Any) -> str:
        state = await self.run(self.op(command, **spec))
        assert state.exit_code == 0, self.log(state, "stderr")
        return self.log(state)


@pytest.fixture
def bench(
    docker_engine: DockerEngine,
    docker_client: docker.APIClient,
    busybox_image: str,
    node_address: str,
    tmp_path: Path,
) -> Bench:
    runner = OperationRunner(
        docker_engine, tmp_path, stop_grace=1.0, pull_retry=Retry(attempts=2, total=5.0, first=0.1)
    )
    return Bench(runner, docker_engine, docker_client, busybox_image, node_address, tmp_path)


def leftovers(bench: Bench) -> list[str]:
    filters = {"label": f"gpunode.node={bench.node}"}
    containers = [row["Id"] for row in bench.client.containers(all=True, filters=filters)]
    return containers + [network["Id"] for network in bench.client.networks(filters=filters)]


async def test_success_is_recorded_step_by_step_and_removed(bench: Bench) -> None:
    op = bench.op("echo out; echo err >&2")
    state = await bench.run(op)

    assert (state.status, state.exit_code, state.starts) == (OperationStatus.SUCCESS, 0, 1)
    assert bench.log(state) == "out\n"
    assert bench.log(state, "stderr") == "err\n"
    assert state.engine_state is not None
    assert state.engine_state["RestartCount"] == 0
    assert state.engine_state["ExitCode"] == 0
    assert state.started_ms is not None
    assert state.ended_ms is not None
    assert state.started_ms <= state.ended_ms
    assert state.errors == ()
    image = bench.client.inspect_image(bench.image)
    assert state.image_digest == image["Id"]
    canonical = json.dumps(
        {"command": ["/bin/sh", "-c", "echo out; echo err >&2"], "entrypoint": None},
        separators=(",", ":"),
        sort_keys=True,
    )
    assert state.command_hash == hashlib.sha256(canonical.encode()).hexdigest()

    first, starting, final = bench.states
    assert (first.status, first.starts, first.container_id) == (OperationStatus.RUNNING, 0, None)
    assert (starting.starts, starting.container_id) == (1, state.container_id)
    assert final == state
    assert leftovers(bench) == []


async def test_the_start_is_durable_before_it_happens(bench: Bench) -> None:
    seen: list[str] = []

    def look(state: OperationState) -> None:
        if state.starts == 1 and state.ended_ms is None:
            seen.append(bench.client.inspect_container(state.container_id)["State"]["Status"])
        if state.ended_ms is not None:
            seen.append(bench.client.inspect_container(state.container_id)["State"]["Status"])

    bench.hooks.append(look)
    await bench.run(bench.op("true"))
    assert seen == ["created", "exited"]


async def test_exit_code_and_digest(bench: Bench) -> None:
    state = await bench.run(bench.op("echo some output; exit 7"))
    assert (state.status, state.exit_code) == (OperationStatus.FAILED, 7)
    assert state.errors == ()
    assert state.log is not None
    body = (bench.data / state.log.path).read_bytes()
    hasher = MerkleHasher()
    hasher.update(body)
    assert (state.log.root, state.log.length, state.log.truncated) == (hasher.root(), len(body), False)


async def test_command_list_entrypoint_env_and_work_dir(bench: Bench) -> None:
    out = await bench.output(
        ["-c", 'echo "$0 $1 $A|$NOSANA_ID|$NVIDIA_VISIBLE_DEVICES"; pwd', "zero", "one two"],
        entrypoint=("/bin/sh",),
        env=(("A", "b c"), ("NOSANA_ID", "job"), ("NVIDIA_VISIBLE_DEVICES", "all")),
        work_dir="/work",
    )
    assert out == "zero one two b c|job|void\n/work\n"


async def test_simulated_gpus_are_told_to_the_job_and_not_asked_of_the_engine(bench: Bench) -> None:
    out = await bench.output("echo $NVIDIA_VISIBLE_DEVICES $GPUNODE_GPU", gpu_uuids=("GPU-simulated-1",))
    assert out == "void simulated\n"


async def test_nothing_of_a_long_log_is_lost(bench: Bench) -> None:
    script = "i=0; while [ $i -lt 5000 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done; printf tail"
    state = await bench.run(bench.op(script))
    assert bench.log(state) == "".join(f"out {i}\n" for i in range(5000)) + "tail"
    assert bench.log(state, "stderr") == "".join(f"err {i}\n" for i in range(5000))


async def test_long_lines_come_in_pieces_and_whole(bench: Bench) -> None:
    state = await bench.run(bench.op("head -c 100000 /dev/zero | tr '\\0' x; echo"))
    assert bench.log(state) == "x" * 100000 + "\n"
    assert state.log is not None
    assert len(list(read_entries(bench.data / state.log.path))) > 1


async def test_log_over_its_limit_is_cut_and_the_job_goes_on(bench: Bench) -> None:
    limits = replace(LIMITS, log_bytes=20_000)
    state = await bench.run(bench.op("yes flood | head -n 200000; exit 3", limits=limits))
    assert state.exit_code == 3
    assert state.log is not None
    assert state.log.truncated
    assert (bench.data / state.log.path).stat().st_size <= 20_000
    last = list(read_entries(bench.data / state.log.path))[-1]
    assert last.type == "nodeerr"
    assert "cut" in last.log


async def test_stop_kills_what_ignores_sigterm(bench: Bench) -> None:
    op = bench.op("trap '' TERM; echo up; while :; do sleep 0.1; done")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(op))
        await until(lambda: bool(bench.states) and bench.states[-1].starts == 1)
        await until_logged(bench, op)
        bench.stop.request(EndCause.EXPIRED)
    state = running.result()
    assert (state.status, state.exit_code) == (OperationStatus.SUCCESS, 137)  # the network's word for expired
    assert state.errors == ()
    assert bench.log(state) == "up\n"
    assert leftovers(bench) == []


async def test_stop_before_anything_began(bench: Bench) -> None:
    bench.stop.request(EndCause.STOPPED)
    state = await bench.run(bench.op("echo never"))
    assert (state.status, state.exit_code, state.log) == (OperationStatus.STOPPED, 0, None)
    assert state.started_ms == state.ended_ms


async def test_memory_limit_kills_and_is_recorded(bench: Bench) -> None:
    limits = replace(LIMITS, memory_bytes=16 * 1024**2)
    state = await bench.run(bench.op(["tail", "/dev/zero"], limits=limits))
    assert (state.status, state.exit_code) == (OperationStatus.FAILED, 137)
    assert state.engine_state is not None
    if not state.engine_state["OOMKilled"]:
        # Seen where another process mounts cgroup hierarchies that the engine's own view lacks.
        assert state.errors == ()
        pytest.skip("the kernel killed the job, but this engine did not hear of it")
    assert [(error.event, error.code) for error in state.errors] == [("container-runtime-error", None)]


async def test_open_files_go_as_far_as_the_engine_can(bench: Bench) -> None:
    limits = replace(LIMITS, open_files=1_048_576)
    assert int(await bench.output("ulimit -n", limits=limits)) >= 1024


async def test_process_limit_holds(bench: Bench) -> None:
    limits = replace(LIMITS, pids=16)
    state = await bench.run(bench.op("i=0; while [ $i -lt 40 ]; do sleep 2 & i=$((i+1)); done", limits=limits))
    assert "can't fork" in bench.log(state, "stderr")


@pytest.mark.parametrize(
    ("profile", "mask"),
    [
        # CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4, KILL 5, SETGID 6, SETUID 7, NET_BIND_SERVICE 10
        (IsolationProfile.STANDARD, sum(1 << bit for bit in (0, 1, 3, 4, 5, 6, 7, 10))),
        (IsolationProfile.SEALED, 0),
    ],
)
async def test_capabilities_and_privileges_are_dropped(bench: Bench, profile: IsolationProfile, mask: int) -> None:
    out = await bench.output(
        "grep -E '^(Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status; ulimit -n; ulimit -c; "
        "cat /proc/self/oom_score_adj",
        profile=profile,
    )
    lines = out.splitlines()
    status = dict(line.split(":\t") for line in lines[:-3])
    assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {mask}
    assert (int(status["CapAmb"], 16), status["NoNewPrivs"], status["Seccomp"]) == (0, "1", "2")
    assert lines[-3:] == ["1024", "0", "500"]


async def test_own_network_and_nothing_of_the_host(bench: Bench) -> None:
    op = bench.op("cat /etc/hosts; sleep 30", aliases=("api",))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(op))
        await until_logged(bench, op)
        container = bench.states[-1].container_id
        raw = bench.client.inspect_container(container)
        assert list(raw["NetworkSettings"]["Networks"]) == [op.container.network]
        assert "api" in raw["NetworkSettings"]["Networks"][op.container.network]["Aliases"]
        assert Path(f"/sys/class/net/{op.container.network}").exists()
        host = raw["HostConfig"]
        assert (host["Memory"], host["MemorySwap"]) == (LIMITS.memory_bytes, LIMITS.memory_bytes)
        assert (host["Binds"], host["Privileged"], host["PidMode"], host["IpcMode"]) == (None, False, "", "private")
        assert host["ShmSize"] == LIMITS.shm_bytes
        assert host["LogConfig"]["Type"] == "json-file"
        bench.stop.request(EndCause.STOPPED)
    hosts = bench.log(running.result())
    assert "8.8.8.8\thost.docker.internal" in hosts
    assert "8.8.8.8\thost.containers.internal" in hosts
    assert not Path(f"/sys/class/net/{op.container.network}").exists()


async def test_a_running_container_is_adopted_with_its_whole_log(bench: Bench) -> None:
    op = bench.op("i=0; while [ $i -lt 20 ]; do echo line $i; i=$((i+1)); sleep 0.1; done; exit 5")
    async with asyncio.TaskGroup() as group:
        first = group.create_task(bench.run(op))
        await until_logged(bench, op)
        first.cancel()
    interrupted = bench.states[-1]
    assert bench.client.inspect_container(interrupted.container_id)["State"]["Running"]

    await asyncio.sleep(0.3)  # lines that only the engine has seen
    state = await bench.run(op, interrupted)
    assert (state.container_id, state.starts, state.exit_code) == (interrupted.container_id, 1, 5)
    assert bench.log(state) == "".join(f"line {i}\n" for i in range(20))
    assert leftovers(bench) == []


async def test_a_container_that_ended_unwatched_keeps_its_exit_code(bench: Bench) -> None:
    op = bench.op("echo up; sleep 0.5; echo done; exit 9")
    async with asyncio.TaskGroup() as group:
        first = group.create_task(bench.run(op))
        await until_logged(bench, op)
        first.cancel()
    await until(lambda: not bench.client.inspect_container(bench.states[-1].container_id)["State"]["Running"])
    state = await bench.run(op, bench.states[-1])
    assert (state.status, state.exit_code, bench.log(state)) == (OperationStatus.FAILED, 9, "up\ndone\n")


async def test_a_lost_container_is_made_again_and_then_given_up(bench: Bench) -> None:
    op = bench.op("echo up; sleep 30")

    def lose(state: OperationState) -> None:
        if state.container_id is not None and state.starts < 3 and state.ended_ms is None:
            doomed.append(state.container_id)

    doomed: list[str] = []
    bench.hooks.append(lose)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(op))
        for number in (1, 2):
            await until(lambda number=number: len(doomed) == number)  # type: ignore[misc]
            await until(lambda: bool(bench.client.inspect_container(doomed[-1])["State"]["Running"]))
            bench.client.remove_container(doomed[-1], force=True)
        await until(lambda: bench.states[-1].starts == 3)
        third = bench.states[-1].container_id
        await until(lambda: bool(bench.client.inspect_container(third)["State"]["Running"]))
        bench.client.remove_container(third, force=True)
    state = running.result()
    assert (state.status, state.exit_code, state.starts) == (OperationStatus.FAILED, 2, 3)
    assert [error.event for error in state.errors] == ["operation-error"]


async def test_an_older_run_s_container_is_not_adopted(bench: Bench) -> None:
    op = bench.op("echo mine")
    await bench.engine.ensure_network(op.container.network, dict(op.container.labels))
    stale = await bench.engine.create(replace(op.container, command=("/bin/sh", "-c", "echo stale; sleep 60")))
    await bench.engine.start(stale)
    state = await bench.run(op)
    assert state.container_id != stale
    assert bench.log(state) == "mine\n"
    assert await bench.engine.inspect(stale) is None


async def test_an_image_that_cannot_be_had(bench: Bench) -> None:
    state = await bench.run(bench.op("true", image="localhost:1/nobody/nothing:none"))
    assert (state.status, state.exit_code, state.starts) == (OperationStatus.FAILED, 2, 0)
    (error,) = state.errors
    assert error.event == "image-pull-error"
    assert error.message.startswith("image localhost:1/nobody/nothing:none cannot be pulled: ")
    assert error.code == 500
    assert state.log is None
    assert leftovers(bench) == []


async def test_a_command_that_does_not_exist(bench: Bench) -> None:
    # Under the init process the container starts and its init reports the missing program.
    state = await bench.run(bench.op(["/no/such/program"]))
    assert (state.status, state.exit_code) == (OperationStatus.FAILED, 127)


async def test_a_container_that_cannot_start(bench: Bench) -> None:
    image = images.busybox_image(bench.client, changes=["USER nosuch"])
    state = await bench.run(bench.op("true", image=image))
    assert state.status is OperationStatus.FAILED
    assert state.starts == 1
    assert state.exit_code not in (0, None)  # the engine's own, since a container existed
    assert state.started_ms is not None
    assert state.ended_ms is not None
    assert state.started_ms <= state.ended_ms < state.started_ms + 60_000
    (error,) = state.errors
    assert error.event == "container-runtime-error"
    assert error.code is not None
    assert error.code >= 400
    assert leftovers(bench) == []


async def test_a_container_that_cannot_be_made(bench: Bench) -> None:
    state = await bench.run(bench.op("true", runtime="nosuch"))
    assert (state.status, state.exit_code) == (OperationStatus.FAILED, 2)
    (error,) = state.errors
    assert (error.event, error.code) == ("container-runtime-error", 400)
    assert "nosuch" in error.message
    assert leftovers(bench) == []


async def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def until_logged(bench: Bench, op: PlannedOperation) -> None:
    path = bench.data / bench.runner.log_name(op)
    await until(lambda: path.exists() and path.stat().st_size > 0)
