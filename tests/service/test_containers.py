"""Services in real containers, with the job's own profile and network: proxy, health checks and what ends with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import docker
import pytest

from node.container.profile import create_request, network_request
from node.container.traits import EngineTraits
from node.plan_records import HealthCheck, HealthCheckKind, Service
from node.records import Egress, PlannedOperation
from node.service import health
from node.service.desk import OpenServices, ServiceDesk
from node.service.table import ServiceStatus
from node.settings_service import ServiceSettings
from tests.container.operations import operation
from tests.service.scene import JOB, NAME

pytestmark = [pytest.mark.docker]

EVENTS = r"""#!/bin/sh
printf 'Content-Type: text/event-stream\r\n\r\n'
for i in 1 2 3 4 5 6 7 8 9; do echo "data: $i"; echo; sleep 0.3; done
"""
PREPARE = f"""
mkdir -p /tmp/www/cgi-bin; cd /tmp/www; echo hello > index.html; echo fine > health
head -c 50000000 /dev/zero > large
cat > cgi-bin/events <<'END'
{EVENTS}END
chmod +x cgi-bin/events
"""
SERVER = PREPARE + "exec httpd -f -p 8080 -h /tmp/www"


@dataclass
class Scene:
    client: docker.APIClient
    planned: PlannedOperation
    desk: ServiceDesk
    held: OpenServices
    container: str = ""

    def start(self) -> str:
        """Make and start the container anew; its address."""
        spec = self.planned.container
        assert spec is not None
        if self.container:
            self.client.remove_container(self.container, force=True)
        made = self.client.create_container_from_config(create_request(spec, EngineTraits()), spec.name)
        self.container = made["Id"]
        self.client.start(self.container)
        networks = self.client.inspect_container(self.container)["NetworkSettings"]["Networks"]
        address = str(networks[spec.network]["IPAddress"])
        self.held.started(address)
        return address

    def run(self, script: str) -> None:
        """A command inside the container."""
        made = self.client.exec_create(self.container, ["/bin/sh", "-c", script])
        self.client.exec_start(made["Id"])

    @property
    def status(self) -> ServiceStatus:
        return self.held.states()[NAME].status

    async def until(self, status: ServiceStatus, seconds: float = 15.0) -> None:
        async with asyncio.timeout(seconds):
            while self.status is not status:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def scene(
    client: docker.APIClient, image: str, node: str, tmp_path: Path, *checks: HealthCheck, egress: Egress = Egress.OPEN
) -> AsyncIterator[Scene]:
    planned = operation(image, node, SERVER, egress=egress)
    planned = replace(planned, services=(Service(NAME, "8080-8090", health_checks=checks),))
    spec = planned.container
    assert spec is not None
    client.create_network(**network_request(spec.network, dict(spec.labels), egress))
    desk = ServiceDesk(ServiceSettings(tunnel="direct", port=0), "localnet", data=tmp_path)
    await desk.open_listener()
    try:
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(desk.run())
            async with desk.open(JOB, planned) as held:
                yield Scene(client, planned, desk, held)
            serving.cancel()
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None


def get(session: aiohttp.ClientSession, scene: Scene, path: str = "/", **more: Any) -> Any:
    host, _, port = scene.desk.service_url(NAME).partition("://")[2].partition(":")
    return session.get(f"http://127.0.0.1:{port}{path}", headers={"Host": host}, **more)


def check(path: str, **more: Any) -> HealthCheck:
    return HealthCheck(HealthCheckKind.HTTP, continuous=True, path=path, **more)


async def test_a_container_answers_under_its_services_name(
    docker_client: docker.APIClient, busybox_image: str, node_address: str, tmp_path: Path
) -> None:
    async with (
        scene(docker_client, busybox_image, node_address, tmp_path, check("/health")) as place,
        aiohttp.ClientSession() as session,
    ):
        async with get(session, place) as answer:
            assert answer.status == 503
        place.start()
        async with asyncio.timeout(15):
            await place.held.ready()
        assert place.status is ServiceStatus.ONLINE
        async with get(session, place) as answer:
            assert (answer.status, await answer.text()) == (200, "hello\n")
        async with get(session, place, "/large") as answer:
            assert len(await answer.read()) == 50_000_000
        loop = asyncio.get_running_loop()
        async with get(session, place, "/cgi-bin/events") as answer:
            began = loop.time()
            assert await answer.content.readuntil(b"\n\n") == b"data: 1\n\n"
            assert loop.time() - began < 0.25, "an event comes when it is made"
            assert await answer.content.readuntil(b"\n\n") == b"data: 2\n\n"
            place.held.stopped()
            with pytest.raises(aiohttp.ClientError):
                await answer.read()


async def test_health_follows_the_container(
    docker_client: docker.APIClient,
    busybox_image: str,
    node_address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "STARTUP_SECONDS", 0.2)
    monkeypatch.setattr(health, "CONTINUOUS_SECONDS", 0.3)
    checks = (check("/health"), check("/index.html", restart_on_failure=True))
    async with (
        scene(docker_client, busybox_image, node_address, tmp_path, *checks) as place,
        asyncio.TaskGroup() as group,
    ):
        told = group.create_task(place.held.unhealthy())
        first = place.start()
        await place.until(ServiceStatus.ONLINE)
        place.run("mv /tmp/www/health /tmp/www/gone")
        await place.until(ServiceStatus.OFFLINE)
        place.run("mv /tmp/www/gone /tmp/www/health")
        await place.until(ServiceStatus.ONLINE)
        assert not told.done()
        place.run("rm /tmp/www/index.html")
        assert "404" in await asyncio.wait_for(told, 5)
        place.held.stopped()
        assert place.status is ServiceStatus.OFFLINE
        assert place.start()
        await place.until(ServiceStatus.ONLINE)
        assert first


async def test_a_job_without_network_still_serves(
    docker_client: docker.APIClient, busybox_image: str, node_address: str, tmp_path: Path
) -> None:
    none = Egress.NONE
    async with scene(docker_client, busybox_image, node_address, tmp_path, check("/health"), egress=none) as place:
        place.start()
        await place.until(ServiceStatus.ONLINE)
        async with aiohttp.ClientSession() as session, get(session, place) as answer:
            assert answer.status == 200


async def test_a_paused_container_holds_nobody_for_ever(
    docker_client: docker.APIClient, busybox_image: str, node_address: str, tmp_path: Path
) -> None:
    async with scene(docker_client, busybox_image, node_address, tmp_path) as place:
        place.start()
        await place.held.ready()
        async with aiohttp.ClientSession() as session:
            async with asyncio.timeout(10):
                while True:
                    async with get(session, place) as answer:
                        if answer.status == 200:
                            break
                    await asyncio.sleep(0.05)
            assert place.status is ServiceStatus.ONLINE, "seen by the proxy where there are no checks"
            docker_client.pause(place.container)
            waiting = asyncio.ensure_future(get(session, place, "/"))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            docker_client.unpause(place.container)
            docker_client.kill(place.container)
            place.held.stopped()
            async with asyncio.timeout(3), await waiting as answer:
                assert answer.status == 502
