"""The network that the operations of a job share: names, who reaches whom, what may leave it, and what is counted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from node.container.egress.bridges import bridge_name, is_kept_by
from node.container.egress.networks import JobNetworks
from node.container.engine import ContainerView
from node.errors import EngineRejected
from node.records import Egress, EndCause, NetworkUse, OperationState, OperationStatus
from tests.container.engine_double import FakeEngine
from tests.container.job_bench import JobBench, until
from tests.container.operations import operation
from tests.container.test_runner import Bench, frame

SERVER = "while :; do echo served | nc -l -p 8080; done"


def ask(*names: str) -> str:
    """A script that prints what the server there says; its own lookups are the image's, which asks for IPv4 alone."""
    find = "$(nslookup -type=a {} | awk '/^Address/ {{a=$2}} END {{print a}}')"
    tries = [
        f"at={name}; case {name} in *[a-zA-Z]*) at={find.format(name)};; esac; "
        f"for try in 1 2 3; do said=$(nc -w 2 $at 8080 </dev/null 2>/dev/null) && break; sleep 0.3; done; "
        f'echo "${{said:-no {name}}}"; said='
        for name in names
    ]
    return "; ".join(tries)


@pytest.mark.docker
@pytest.mark.parametrize("egress", list(Egress))
@pytest.mark.parametrize("resolvers", [(), pytest.param(("192.0.2.53",), marks=pytest.mark.long)])
async def test_operations_find_each_other_by_name(
    job_bench: JobBench, egress: Egress, resolvers: tuple[str, ...]
) -> None:
    """By the network's own names and by the definition's, whatever is said of the way out and of name servers."""
    name = f"{job_bench.job}-0"
    server = job_bench.op(0, SERVER, aliases=(name, "api", "model.internal"), egress=egress, resolvers=resolvers)
    client = job_bench.op(1, ask(name, "api", "model.internal", "API"), egress=egress, resolvers=resolvers)
    async with job_bench.running(server):
        state = await job_bench.run(client)
    assert job_bench.log(state) == "served\n" * 4
    await job_bench.clean()


@pytest.mark.long
@pytest.mark.docker
async def test_jobs_do_not_reach_each_other(job_bench: JobBench, busybox_image: str) -> None:
    other = JobBench(job_bench.engine, job_bench.client, busybox_image, job_bench.node, job_bench.data)
    addresses: list[str] = []

    async def on_started(view: ContainerView) -> None:
        addresses.extend(view.addresses)

    async with asyncio.TaskGroup() as group:
        group.create_task(other.run(other.op(0, SERVER, aliases=(f"{other.job}-0", "api")), on_started=on_started))
        await until(lambda: bool(addresses))
        (address,) = addresses
        state = await job_bench.run(job_bench.op(0, ask(f"{other.job}-0", "api", address)))
        own = await other.run(other.op(1, f"sleep 1; {ask(address)}"))
        other.stop.request(EndCause.STOPPED)
    assert job_bench.log(state).splitlines() == [f"no {other.job}-0", "no api", f"no {address}"]
    assert other.log(own) == "served\n"
    await job_bench.clean()
    await other.clean()


@pytest.mark.docker
async def test_one_network_for_all_that_lasts_as_long_as_the_job(job_bench: JobBench) -> None:
    states = await asyncio.gather(*(job_bench.run(job_bench.op(index, "ip -4 addr")) for index in range(3)))
    assert [state.status for state in states] == [OperationStatus.SUCCESS] * 3
    assert len(job_bench.left()) == 1
    await job_bench.clean()
    assert job_bench.left() == []


@pytest.mark.docker
async def test_a_running_container_s_addresses_and_the_word_that_it_started(job_bench: JobBench) -> None:
    views: list[ContainerView] = []

    async def on_started(view: ContainerView) -> None:
        views.append(view)

    op = job_bench.op(0, "ip -4 addr show eth0 | awk '/inet/ {print $2}'; sleep 2")
    async with asyncio.TaskGroup() as group:
        first = group.create_task(job_bench.run(op, on_started=on_started))
        await until(lambda: bool(views))
        first.cancel()
    state = await job_bench.run(op, job_bench.states[0], on_started=on_started)
    assert len(views) == 2  # once more for the one that was adopted
    assert views[0].addresses == views[1].addresses
    assert job_bench.log(state).partition("/")[0] == views[0].addresses[0]
    assert views[0].running
    ended = await job_bench.engine.inspect(views[0].id)
    assert ended is None
    await job_bench.clean()


@pytest.mark.docker
async def test_the_strictest_egress_counts(job_bench: JobBench) -> None:
    strict = job_bench.op(0, "true", egress=Egress.NONE)
    assert (await job_bench.run(strict)).status is OperationStatus.SUCCESS
    # One that might more runs in the network that is there.
    assert (await job_bench.run(job_bench.op(1, "true", egress=Egress.OPEN))).status is OperationStatus.SUCCESS
    (network,) = job_bench.client.networks(filters={"label": f"gpunode.job={job_bench.job}"})
    assert network["Internal"]
    await job_bench.clean()
    async with job_bench.running(job_bench.op(2, "sleep 30", egress=Egress.OPEN)):
        # In a network that lets out more than this one may it does not run.
        state = await job_bench.run(job_bench.op(3, "true", egress=Egress.LIST))
    assert (state.status, state.starts) == (OperationStatus.FAILED, 0)
    assert [error.event for error in state.errors] == ["resource-error"]
    await job_bench.clean()


@pytest.mark.docker
async def test_an_older_run_s_network_that_lets_out_more_is_made_anew(job_bench: JobBench) -> None:
    await job_bench.output(job_bench.op(0, "true", egress=Egress.OPEN))
    await job_bench.output(job_bench.op(1, "true", egress=Egress.NONE))
    (network,) = job_bench.client.networks(filters={"label": f"gpunode.job={job_bench.job}"})
    assert network["Internal"]
    await job_bench.clean()


async def test_somebody_else_s_network_is_not_taken() -> None:
    engine = FakeEngine()
    spec = operation("image", "node", "true").spec
    await engine.ensure_network(spec.network, {"com.example": "x"})
    with pytest.raises(EngineRejected, match="not this job's"):
        await JobNetworks(engine).make(spec, dict(spec.labels))
    assert spec.network in engine.network_labels


def test_which_bridge_keeps_what() -> None:
    network = "gpn0123456789ab"
    open_, listed, sealed = (bridge_name(network, egress) for egress in (Egress.OPEN, Egress.LIST, Egress.NONE))
    assert [is_kept_by(open_, network, egress) for egress in Egress] == [True, False, False]
    assert is_kept_by(listed, network, Egress.OPEN)
    assert is_kept_by(listed, network, Egress.LIST)
    assert not is_kept_by(listed, network, Egress.NONE)
    assert all(is_kept_by(sealed, network, egress) for egress in Egress)
    assert not is_kept_by("docker0", network, Egress.OPEN)
    assert not is_kept_by(sealed, "gpnfedcba987654", Egress.OPEN)


# --- bytes ------------------------------------------------------------------------------------------------


@pytest.mark.docker
async def test_bytes_are_counted_once_for_the_job(job_bench: JobBench) -> None:
    """Between operations nothing leaves the network; what one sends to the gateway counts for it, not again later."""
    send = "for i in 1 2 3 4 5 6 7 8 9 10; do nslookup -type=a $(head -c 60 /dev/zero | tr '\\0' x).example "
    send += "$(ip route | awk '/default/ {print $3}') >/dev/null 2>&1 & done; wait"
    first = await job_bench.run(job_bench.op(0, send))
    second = await job_bench.run(job_bench.op(1, "true"))
    assert first.network is not None
    assert second.network is not None
    assert first.network.sent > 10 * 100
    assert second.network.sent < 500
    # Another life of the agent is told what was counted.
    life = JobBench(job_bench.engine, job_bench.client, job_bench.image, job_bench.node, job_bench.data, job_bench.job)
    op = life.op(2, "true")
    life.runner.recall(op.spec.network, [first, second])
    third = await life.run(op)
    assert third.network is not None
    assert third.network.sent < 500
    await job_bench.clean()


async def test_deltas(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = [NetworkUse(100, 10), NetworkUse(150, 10), NetworkUse(5, 1), NetworkUse(9, 4)]
    monkeypatch.setattr("node.container.egress.networks.network_use", lambda _network: counted.pop(0))
    networks = JobNetworks(FakeEngine())
    spec = operation("image", "node", "true").spec
    networks.recall(spec.network, [NetworkUse(40, 4), NetworkUse(20, 2)])
    assert await networks.use(spec) == NetworkUse(40, 4)
    assert await networks.use(spec) == NetworkUse(50, 0)
    assert await networks.use(spec) == NetworkUse(5, 1)  # the host was restarted: its counters began anew
    networks.recall(spec.network, [NetworkUse(1000, 1000)])  # it knows better
    assert await networks.use(spec) == NetworkUse(4, 3)


# --- figures, and the life of an operation ------------------------------------------------------------------


@pytest.mark.docker
async def test_stats(job_bench: JobBench) -> None:
    async with job_bench.running(job_bench.op(0, "while :; do :; done")):
        container = str(job_bench.states[0].container_id)
        found = await job_bench.engine.stats(container)
        assert found is not None
        assert 10 < found.cpu_percent < 150  # it may use one processor
        assert 0 < found.memory_usage <= found.memory_limit == 128 * 1024**2
        assert min(found.disk_read, found.disk_written, found.network_received, found.network_sent) >= 0
    assert await job_bench.engine.stats(container) is None
    assert await job_bench.engine.stats("nosuch") is None
    await job_bench.clean()


@pytest.mark.docker
async def test_several_operations_have_the_lane_s_gpu_at_once(job_bench: JobBench) -> None:
    uuid = "GPU-simulated-1"
    first = job_bench.op(0, "sleep 30", gpu_uuids=(uuid,))
    async with job_bench.running(first):
        told = await job_bench.output(job_bench.op(1, "echo $GPUNODE_GPU", gpu_uuids=(uuid,)))
    assert told == "simulated\n"
    await job_bench.clean()


async def test_an_operation_that_is_over_at_once_has_started(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    started: list[str] = []

    async def on_started(view: ContainerView) -> None:
        started.append(view.status)

    op = operation("image", "node", "true")
    start = bench.engine.start

    async def start_and_exit(container: str) -> None:
        await start(container)
        await bench.engine.exit(container, 0)

    bench.engine.start = start_and_exit  # type: ignore[method-assign]
    state = await bench.run(op, on_started=on_started)
    assert (state.status, started) == (OperationStatus.SUCCESS, ["exited"])


async def test_the_engine_s_absence_is_no_start(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    started: list[OperationState] = []

    async def on_started(_view: ContainerView) -> None:
        started.append(bench.states[-1])

    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(operation("image", "node", "true"), on_started=on_started))
        await bench.until_started()
        await bench.until(lambda: len(started) == 1)
        bench.engine.crash()
        await bench.until(lambda: len(bench.lines) > 2)
        bench.engine.down = False
        await bench.until(lambda: len(started) == 2)  # found running again: told once more
        await bench.engine.print(bench.engine.only().id, frame(1, "x\n"))
        await bench.engine.exit(bench.engine.only().id, 0)
    assert running.result().starts == 1
