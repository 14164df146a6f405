"""The desk: services open and close with their operation, and their health is watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from node.errors import ContainerError, ServiceError
from node.plan_records import HealthCheck, HealthCheckKind, Service
from node.records import PlannedOperation
from node.service.desk import OpenServices, ServiceDesk
from node.service.table import ServiceStatus
from node.settings_service import ServiceSettings
from tests.agent.clock import FakeClock
from tests.container.operations import operation
from tests.service.scene import JOB, NAME

ADDRESS = "172.30.0.2"
STARTUP = HealthCheck(HealthCheckKind.HTTP, continuous=False)
CONTINUOUS = HealthCheck(HealthCheckKind.HTTP, continuous=True, path="/live")
RESTART = HealthCheck(HealthCheckKind.HTTP, continuous=True, restart_on_failure=True, path="/vital")


class Doctor:
    """Answers checks as it is told, and counts them."""

    def __init__(self) -> None:
        self.wrong: dict[tuple[str, int], str] = {}
        self.asked: list[tuple[str, int, str]] = []
        self.at_once = 0
        self.most_at_once: dict[int, int] = {}
        self.hold: asyncio.Event | None = None

    async def __call__(self, check: HealthCheck, address: str, port: int) -> str:
        self.asked.append((check.path, port, address))
        if self.hold is not None:
            await self.hold.wait()
        return self.wrong.get((check.path, port), "")


@dataclass
class Scene:
    desk: ServiceDesk
    clock: FakeClock
    doctor: Doctor

    def status(self, name: str = NAME) -> str:
        return next(entry for entry in self.desk.table if entry.id == name).status


def services(*checks: HealthCheck, port: str = "8080", **more: object) -> PlannedOperation:
    planned = operation("image", "node", "true")
    return replace(planned, services=(Service(NAME, port, health_checks=checks, **more),))  # type: ignore[arg-type]


@asynccontextmanager
async def opened(planned: PlannedOperation, tmp_path: Path) -> AsyncIterator[tuple[Scene, OpenServices]]:
    clock, doctor = FakeClock(), Doctor()
    desk = ServiceDesk(ServiceSettings(), "localnet", data=tmp_path, clock=clock, asking=doctor)
    async with desk.open(JOB, planned) as held:
        yield Scene(desk, clock, doctor), held


async def done(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not condition():
            await asyncio.sleep(0)


async def is_ready(held: OpenServices) -> bool:
    try:
        async with asyncio.timeout(0.02):
            await held.ready()
    except TimeoutError:
        return False
    return True


async def test_a_service_becomes_online_offline_and_online_again(tmp_path: Path) -> None:
    async with opened(services(STARTUP, CONTINUOUS), tmp_path) as (scene, held):
        scene.doctor.wrong = {("/", 8080): "status 503, not 200"}
        held.started(ADDRESS)
        assert held.states()[NAME].status is ServiceStatus.UNKNOWN
        await scene.clock.advance(1.0)
        assert [each[0] for each in scene.doctor.asked] == ["/", "/live"]
        assert scene.doctor.asked[0][2] == ADDRESS
        assert scene.status() == ServiceStatus.OFFLINE
        await scene.clock.advance(20.0)
        assert len(scene.doctor.asked) == 10, "every five seconds, without an end"
        assert not await is_ready(held)
        scene.doctor.wrong = {}
        await scene.clock.advance(5.0)
        assert await is_ready(held)
        assert scene.status() == ServiceStatus.ONLINE
        before = len(scene.doctor.asked)
        await scene.clock.advance(30.0)
        assert [each[0] for each in scene.doctor.asked[before:]] == ["/live"], "only what goes on is asked on"
        scene.doctor.wrong = {("/live", 8080): "no answer"}
        await scene.clock.advance(30.0)
        assert scene.status() == ServiceStatus.OFFLINE
        scene.doctor.wrong = {}
        await scene.clock.advance(30.0)
        assert scene.status() == ServiceStatus.ONLINE
        assert await is_ready(held), "for good"
        state = held.states()[NAME]
        assert (state.op_id, state.port, state.url) == ("op", "8080", f"http://{NAME}.localhost:5001")
    assert list(scene.desk.table) == []


async def test_a_failing_check_asks_for_a_restart_once_per_life(tmp_path: Path) -> None:
    async with opened(services(RESTART, CONTINUOUS), tmp_path) as (scene, held), asyncio.TaskGroup() as group:
        told = group.create_task(held.unhealthy())
        held.started(ADDRESS)
        await scene.clock.advance(1.0)
        scene.doctor.wrong = {("/live", 8080): "slow"}
        await scene.clock.advance(60.0)
        assert not told.done(), "that check asks for none"
        scene.doctor.wrong = {("/vital", 8080): "status 500, not 200"}
        await scene.clock.advance(30.0)
        assert told.result() == "port 8080: status 500, not 200"
        told = group.create_task(held.unhealthy())
        held.stopped()
        assert scene.status() == ServiceStatus.OFFLINE
        asked = len(scene.doctor.asked)
        await scene.clock.advance(100.0)
        assert len(scene.doctor.asked) == asked, "nobody is asked while no container runs"
        scene.doctor.wrong = {}
        held.started("172.30.0.9")
        await scene.clock.advance(1.0)
        assert scene.doctor.asked[-1][2] == "172.30.0.9"
        assert scene.status() == ServiceStatus.ONLINE
        assert not told.done()
        scene.doctor.wrong = {("/vital", 8080): "gone"}
        await scene.clock.advance(30.0)
        assert told.result() == "port 8080: gone"


async def test_every_port_must_have_passed(tmp_path: Path) -> None:
    planned = services(STARTUP)
    other = NAME[::-1]
    more = Service(other, "9000-9010", private=True, health_checks=(STARTUP,))
    plain = Service("plain", "7000")
    async with opened(replace(planned, services=(*planned.services, more, plain)), tmp_path) as (scene, held):
        scene.doctor.wrong = {("/", 9000): "refused"}
        assert not await is_ready(held)
        held.started(ADDRESS)
        await scene.clock.advance(1.0)
        assert (scene.status(), scene.status(other)) == (ServiceStatus.ONLINE, ServiceStatus.OFFLINE)
        assert held.states()["plain"].status is ServiceStatus.UNKNOWN
        assert held.states()[other].private
        assert not await is_ready(held)
        scene.doctor.wrong = {}
        await scene.clock.advance(5.0)
        assert await is_ready(held)


async def test_without_checks_a_service_is_ready_when_its_container_runs(tmp_path: Path) -> None:
    async with opened(services(), tmp_path) as (scene, held):
        assert not await is_ready(held)
        held.started(ADDRESS)
        assert await is_ready(held)
        await scene.clock.advance(100.0)
        assert scene.doctor.asked == []
    async with opened(replace(services(), services=()), tmp_path) as (_, held):
        held.started(ADDRESS)
        assert await is_ready(held)
        assert held.states() == {}


async def test_a_slow_check_does_not_overlap_itself(tmp_path: Path) -> None:
    async with opened(services(CONTINUOUS), tmp_path) as (scene, held):
        scene.doctor.hold = asyncio.Event()
        held.started(ADDRESS)
        await scene.clock.advance(100.0)
        assert len(scene.doctor.asked) == 1
        scene.doctor.hold.set()
        await scene.clock.advance(0.0)
        assert scene.status() == ServiceStatus.ONLINE


async def test_what_the_block_raises_comes_out_as_it_is(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(services(CONTINUOUS), tmp_path) as (scene, held):
            held.started(ADDRESS)
            await scene.clock.advance(10.0)
            raise ContainerError("mine")

    with pytest.raises(ContainerError, match="mine"):
        await run()


async def test_a_cancelled_operation_closes_its_services(tmp_path: Path) -> None:
    entered: list[Scene] = []

    async def run() -> None:
        async with opened(services(CONTINUOUS), tmp_path) as (scene, held):
            entered.append(scene)
            held.started(ADDRESS)
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(run())
        await done(lambda: bool(entered))
        task.cancel()
    assert list(entered[0].desk.table) == []


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::", "::1", "224.0.0.1", "169.254.169.254", "host", "0.0.0", "1.2.3"]
)
async def test_only_a_containers_address_is_served(address: str, tmp_path: Path) -> None:
    async with opened(services(), tmp_path) as (scene, held):
        with pytest.raises(ServiceError):
            held.started(address)
        assert [entry.address for entry in scene.desk.table] == [""]


@pytest.mark.parametrize("address", ["", "0.0.0.0"])
async def test_a_container_without_an_address_is_not_well(address: str, tmp_path: Path) -> None:
    async with opened(services(CONTINUOUS), tmp_path) as (scene, held):
        held.started(address)
        await scene.clock.advance(10.0)
        assert scene.doctor.asked == []
        assert scene.status() == ServiceStatus.OFFLINE
        assert [entry.address for entry in scene.desk.table] == [""]
        held.started(ADDRESS)
        await scene.clock.advance(1.0)
        assert scene.status() == ServiceStatus.ONLINE


async def test_a_port_that_cannot_be_is_left_out(tmp_path: Path) -> None:
    for port in ("0", "70000", "%%ops.a.results.p%%", "80.5", "-1"):
        async with opened(services(port=port), tmp_path) as (_, held):
            assert held.states() == {}


async def test_two_operations_of_one_deployment_share_a_name(tmp_path: Path) -> None:
    async with opened(services(CONTINUOUS, deployment="Shared", group_key="D"), tmp_path) as (scene, held):
        other = replace(services(deployment="Shared", group_key="D"), index=1, id="b")
        other = replace(other, services=(replace(other.services[0], id="Other"),))
        async with scene.desk.open(JOB, other) as second:
            held.started(ADDRESS)
            second.started("172.30.0.3")
            found = scene.desk.table.find("shared")
            assert found is not None
            assert found.id == NAME
            scene.doctor.wrong = {("/live", 8080): "no"}
            await scene.clock.advance(1.0)
            found = scene.desk.table.find("shared")
            assert found is not None
            assert found.id == "Other", "the one that is well"
            with pytest.raises(ServiceError, match="already"):
                async with scene.desk.open(JOB, other):
                    pass
        assert scene.desk.table.find("other") is None
        assert scene.desk.table.find("shared") is not None
