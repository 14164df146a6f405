"""What the running of jobs needs of services: open an operation's, say when its container runs, ask how they are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from aiohttp import web

from node.errors import ServiceError
from node.plan_records import Service
from node.records import Address, PlannedOperation
from node.retry import Clock, SystemClock
from node.service.checks import ask
from node.service.frpc_config import FrpServer, read_token
from node.service.frpc_container import FrpcImage, container_name, remove_leftover
from node.service.frpc_process import FrpcBinary, FrpcStarter
from node.service.health import Ask, HealthWatch, Watched
from node.service.listener import ServiceListener, terms_of
from node.service.ports import served_port
from node.service.table import Entry, ServiceState, ServiceTable
from node.service.tunnel import Tunnel, TunnelPlan
from node.settings_service import ServiceSettings

log = logging.getLogger(__name__)


_NOWHERE = ("", "0.0.0.0")  # never connected to  # noqa: S104  # nosec B104


class OpenServices:
    """The services of one operation, from its turn to its end. Methods are for the task that runs the operation."""

    def __init__(
        self, table: ServiceTable, watched: tuple[Watched, ...], url: Callable[[str], str], clock: Clock, asking: Ask
    ) -> None:
        self._table = table
        self._watched = watched
        self._url = url
        self._clock = clock
        self._ask = asking
        self._life: HealthWatch | None = None
        self._turn = asyncio.Event()
        """Set and replaced whenever the container has started or ended."""
        self._ready = asyncio.Event()

    def started(self, address: str) -> None:
        """The container runs now, at this IP address. Again after each restart.

        `0.0.0.0` or empty: it has none (any more), so that its checks fail. Raises ServiceError for another that no
        container has.
        """
        for each in self._watched:
            each.passed = False
            if address in _NOWHERE:
                self._table.stop(each.entry)
            else:
                self._table.start(each.entry, address)
        self._life = HealthWatch(self._table, self._watched, self._clock, self._ask)
        self._turned()

    def stopped(self) -> None:
        """The container runs no more; it may be started again."""
        self._life = None
        for each in self._watched:
            self._table.stop(each.entry)
        self._turned()

    async def ready(self) -> None:
        """Return when the container has started and every check has passed once; at once where that was before."""
        await self._ready.wait()

    async def unhealthy(self) -> str:
        """Return when a check that asks for a restart fails in the container that runs then; says which and why."""
        while True:
            life, turn = self._life, self._turn
            async with asyncio.TaskGroup() as group:
                waits = {group.create_task(turn.wait())}
                if life is not None:
                    waits.add(group.create_task(life.unhealthy.wait()))
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for wait in waits:
                    wait.cancel()
            if life is not None and life is self._life and life.unhealthy.is_set():
                # Told once: who has restarted the container hears of the next one's failures.
                life.unhealthy.clear()
                return life.reason

    def states(self) -> dict[str, ServiceState]:
        """How each stands, by its id."""
        return {each.entry.id: state_of(each.entry, self._url) for each in self._watched}

    async def watch(self) -> None:
        """Ask the services how they are, one life of the container after the other, until cancelled."""
        while True:
            life, turn = self._life, self._turn
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(_life(life, self._ready))
                await turn.wait()
                asking.cancel()

    def _turned(self) -> None:
        turn, self._turn = self._turn, asyncio.Event()
        turn.set()


async def _life(life: HealthWatch | None, ready: asyncio.Event) -> None:
    if life is None:
        return
    async with asyncio.TaskGroup() as group:
        group.create_task(life.run())
        await life.ready.wait()
        ready.set()


def state_of(entry: Entry, url: Callable[[str], str]) -> ServiceState:
    """A service as others are told of it."""
    return ServiceState(entry.op_id, entry.text, url(entry.id), entry.status, entry.private)


class ServiceDesk:
    """All services of this host. `open_listener` comes first, `run` serves."""

    def __init__(
        self,
        settings: ServiceSettings,
        cluster: str,
        *,
        data: Path,
        nodes: tuple[Address, ...] = (),
        api: web.Application | None = None,
        engine_socket: str = "",
        clock: Clock | None = None,
        asking: Ask = ask,
    ) -> None:
        """`data`: folder for the tunnel's configuration. `nodes`: the host's keys; their names lead to `api`.
        `engine_socket`: of the engine that runs the tunnel's image. Raises ServiceError where the token cannot be read.
        """
        self._settings = settings
        self._cluster = cluster
        self._clock = clock or SystemClock()
        self._ask = asking
        self._api = api
        self._data = data
        self._engine_socket = engine_socket
        self.table = ServiceTable()
        scheme = settings.public_url(cluster).partition(":")[0]
        self._listener = (
            None
            if settings.tunnel == "off"
            else ServiceListener(settings, self.table, terms_of(settings, cluster, frozenset(nodes)), scheme=scheme)
        )
        self.tunnel = None if settings.tunnel != "frp" else self._make_tunnel(data, nodes, engine_socket)

    def _make_tunnel(self, data: Path, nodes: tuple[Address, ...], engine_socket: str) -> Tunnel:
        frp, domain = self._settings.frp, self._settings.domain(self._cluster)
        folder = data / "service"
        plan = TunnelPlan(
            server=FrpServer(frp.server or domain, frp.port, read_token(frp.token_file)),
            domain=domain,
            nodes=nodes,
            folder=folder,
            local=lambda: (self._settings.host, 0 if self._listener is None else self._listener.port),
        )
        starter: FrpcStarter = FrpcBinary(frp.binary)
        if frp.image:
            starter = FrpcImage(frp.image, engine_socket, name=container_name(data))
        return Tunnel(plan, self.table, starter, self._clock)

    async def open_listener(self) -> None:
        """Take the port. Raises ServiceError."""
        if self._listener is not None:
            await self._listener.open(self._api)

    async def aclose(self) -> None:
        """Give the port back, where `run` was never begun."""
        if self._listener is not None:
            await self._listener.aclose()

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            if self._engine_socket and not self._settings.frp.image:
                group.create_task(self._remove_leftover())
            if self.tunnel is not None:
                group.create_task(self.tunnel.run())
            if self._listener is None:
                await asyncio.get_running_loop().create_future()
            else:
                await self._listener.run()

    async def _remove_leftover(self) -> None:
        # Settings may have been others when the agent was killed.
        with suppress(ServiceError):
            await remove_leftover(container_name(self._data), self._engine_socket)

    @property
    def port(self) -> int | None:
        """The port listened on; None with `tunnel: off`."""
        return None if self._listener is None else self._listener.port

    @property
    def base(self) -> str:
        """What URLs of services are made of: `scheme://domain[:port]`."""
        return self._settings.public_url(self._cluster, self.port)

    @property
    def domain(self) -> str:
        """What host names of services end in: `<id>.<domain>`, with a port where clients need one."""
        return self.base.partition("://")[2]

    def service_url(self, service: str) -> str:
        """Where a service, or a node's API, is found."""
        scheme, _, domain = self.base.partition("://")
        return f"{scheme}://{service}.{domain}"

    def states(self) -> tuple[ServiceState, ...]:
        """All services that are open now."""
        return tuple(state_of(entry, self.service_url) for entry in self.table)

    @asynccontextmanager
    async def open(self, job: Address, operation: PlannedOperation) -> AsyncIterator[OpenServices]:
        """The operation's services, reachable until the block ends. Raises ServiceError."""
        watched = tuple(
            each for service in operation.services if (each := _watched(job, operation, service)) is not None
        )
        opened = OpenServices(self.table, watched, self.service_url, self._clock, self._ask)
        entered: list[Entry] = []
        try:
            for each in watched:
                self.table.add(each.entry)
                entered.append(each.entry)
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(opened.watch())
                yield opened
                watching.cancel()
        except BaseExceptionGroup as several:
            # What the block raised is its own business, not this group's.
            raise several.exceptions[0] from None
        finally:
            for entry in entered:
                self.table.remove(entry)


def _watched(job: Address, operation: PlannedOperation, service: Service) -> Watched | None:
    port = served_port(service.port)
    if port is None:
        log.warning("the service at port %.40r of %s cannot be served", service.port, operation.id)
        return None
    entry = Entry(
        id=service.id,
        job=job,
        op_id=operation.id,
        port=port,
        text=service.port,
        private=service.private,
        deployment=service.deployment,
        group_key=service.group_key,
        checked=bool(service.health_checks),
    )
    return Watched(entry, service.health_checks)
