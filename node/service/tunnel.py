"""The tunnel: one frpc for the whole host, kept alive, and told of services as they come and go."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx

from node.bounded_json import JsonRefused, read_json
from node.errors import ServiceError
from node.records import Address
from node.retry import Clock, Retry, sleep_or
from node.service.frpc_config import (
    ADMIN_USER,
    Admin,
    FrpProxy,
    FrpServer,
    config_text,
    wanted_proxies,
    write_config,
)
from node.service.frpc_process import FrpcStarter, RunningFrpc
from node.service.table import ServiceTable

log = logging.getLogger(__name__)

RESTARTS = Retry(attempts=1 << 30, total=float("inf"), first=1.0, factor=2.0, longest=60.0)
_LIVED = 60.0
"""Seconds after which a life counts as one that worked."""
_GATHER = 0.05
"""Seconds in which changes are gathered before frpc is told."""
_LOOK_SOON = 0.5
_LOOK = 15.0
"""Seconds between two looks, while names are missing and when all are there."""
_START_SECONDS = 20.0
_LAST_WORD = 1.0
_ANSWER_BYTES = 4 * 1024 * 1024


class TunnelPhase(StrEnum):
    """How the tunnel stands."""

    STARTING = "starting"
    ONLINE = "online"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class TunnelState:
    """The tunnel as others are told of it."""

    phase: TunnelPhase
    reason: str = ""
    hint: str = ""
    names: int = 0
    """That the server serves for us."""
    wanted: int = 0
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class TunnelPlan:
    """What the tunnel is about."""

    server: FrpServer
    domain: str
    nodes: tuple[Address, ...]
    folder: Path
    """For the configuration."""
    local: Callable[[], tuple[str, int]] = field(repr=False)
    """Address and port of our listener."""


class Tunnel:
    """Keeps frpc running and up to date."""

    def __init__(self, plan: TunnelPlan, table: ServiceTable, starter: FrpcStarter, clock: Clock) -> None:
        self._plan = plan
        self._table = table
        self._starter = starter
        self._clock = clock
        self._changed = asyncio.Event()
        self._written: tuple[FrpProxy, ...] = ()
        self.state = TunnelState(TunnelPhase.STARTING)
        self.turned: Callable[[], None] = lambda: None
        """Called whenever the state is another."""
        table.on_change(self._changed.set)

    async def run(self) -> None:
        """Keep it up until cancelled."""
        failures = 0
        while True:
            began = self._clock.monotonic()
            try:
                reason, hint = await self._life(), ""
            except ServiceError as error:
                reason, hint = error.message, error.hint
            except OSError as error:
                reason, hint = f"frpc cannot be run: {error.strerror or error}", ""
            if self._clock.monotonic() - began > _LIVED:
                failures = 0
            pause = RESTARTS.wait(failures)
            failures += 1
            log.warning("the tunnel is down, and started again in %.0f s: %s", pause, reason)
            self._now(TunnelPhase.FAILING, reason=reason, hint=hint, names=0, restarts=self.state.restarts + 1)
            await self._clock.sleep(pause)

    async def _life(self) -> str:
        """One life of frpc; why it ended."""
        admin = Admin(_free_port(), secrets.token_urlsafe(24))
        config = self._plan.folder / "frpc.toml"
        self._write(config, admin)
        frpc = await self._starter.start(config)
        try:
            async with asyncio.TaskGroup() as group:
                ending = group.create_task(frpc.wait())
                tending = group.create_task(self._until_lost(frpc, admin, config))
                await asyncio.wait((ending, tending), return_when=asyncio.FIRST_COMPLETED)
                # What does not answer may be about to end, which says more.
                await asyncio.wait((ending,), timeout=_LAST_WORD)
                tending.cancel()
                ending.cancel()
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        finally:
            await frpc.stop()
        if ending.cancelled():
            return tending.result()
        said = _last_complaint(frpc.lines) or next(iter(frpc.lines[-1:]), "")
        return f"{ending.result()}: {said}" if said else ending.result()

    async def _until_lost(self, frpc: RunningFrpc, admin: Admin, config: Path) -> str:
        try:
            await self._tend(frpc, admin, config)
        except ServiceError as error:
            return error.message
        return ""

    async def _tend(self, frpc: RunningFrpc, admin: Admin, config: Path) -> None:
        """Tell frpc of changes, and look how it does."""
        transport = httpx.AsyncHTTPTransport(trust_env=False)
        async with httpx.AsyncClient(
            transport=transport,
            base_url=f"http://127.0.0.1:{admin.port}",
            auth=(ADMIN_USER, admin.password),
            timeout=5.0,
            trust_env=False,
        ) as client:
            await self._up(client)
            missing_since: float | None = None
            while True:
                served = await self._look(client)
                missing = [proxy for proxy in self._written if served.get(proxy.name, ("", ""))[0] != "running"]
                now = self._clock.monotonic()
                missing_since = None if not missing else missing_since or now
                self._judge(frpc, served, missing, 0.0 if missing_since is None else now - missing_since)
                if await sleep_or(self._clock, _LOOK_SOON if missing else _LOOK, self._changed):
                    await self._clock.sleep(_GATHER)
                    if self._write(config, admin):
                        await self._reload(client)
                        missing_since = None

    async def _up(self, client: httpx.AsyncClient) -> None:
        """Wait for frpc's own door."""
        ends = self._clock.monotonic() + _START_SECONDS
        while True:
            try:
                if (await client.get("/healthz")).is_success:
                    return
            except httpx.HTTPError:
                pass
            if self._clock.monotonic() > ends:
                raise ServiceError(f"frpc does not answer within {_START_SECONDS:g} s of its start")
            await self._clock.sleep(0.05)

    async def _look(self, client: httpx.AsyncClient) -> dict[str, tuple[str, str]]:
        """Status and error of each name, by proxy."""
        try:
            async with client.stream("GET", "/api/status") as answer:
                body = bytearray()
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > _ANSWER_BYTES:
                        raise ServiceError("frpc's status is too long to be read")
            rows = read_json(bytes(body), limit=_ANSWER_BYTES, depth=8) if body else {}
            found = rows.get("http") or [] if isinstance(rows, dict) else []
            return {str(row["name"]): (str(row["status"]), str(row.get("err", ""))) for row in found}
        except (httpx.HTTPError, JsonRefused, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise ServiceError(f"frpc does not tell its status: {str(error) or type(error).__name__}"[:200]) from None

    def _judge(
        self, frpc: RunningFrpc, served: dict[str, tuple[str, str]], missing: Sequence[FrpProxy], seconds: float
    ) -> None:
        wanted = len(self._written)
        names = wanted - len(missing)
        if not missing:
            self._now(TunnelPhase.ONLINE, names=names, wanted=wanted)
            return
        refused = next(
            ((each.name, served[each.name][1]) for each in missing if served.get(each.name, ("", ""))[1]), None
        )
        if refused is not None:
            hint = "another node serves this name: does a second agent run with the same key?"
            self._now(
                TunnelPhase.FAILING,
                reason=f"the server refuses {refused[0]}: {refused[1]}"[:300],
                hint=hint if "conflict" in refused[1] or "already" in refused[1] else "",
                names=names,
                wanted=wanted,
            )
        elif seconds > 5.0:
            server = f"{self._plan.server.host}:{self._plan.server.port}"
            said = _last_complaint(frpc.lines)
            reason = f"{server} does not serve {len(missing)} of {wanted} names" + (f": {said}" if said else "")
            self._now(TunnelPhase.FAILING, reason=reason[:300], hint="gpunode doctor", names=names, wanted=wanted)
        elif self.state.phase is not TunnelPhase.ONLINE:
            self._now(TunnelPhase.STARTING, names=names, wanted=wanted)

    async def _reload(self, client: httpx.AsyncClient) -> None:
        try:
            answer = await client.get("/api/reload")
        except httpx.HTTPError as error:
            raise ServiceError(f"frpc cannot be told of changes: {str(error) or type(error).__name__}") from None
        if not answer.is_success:
            raise ServiceError(f"frpc does not take its configuration: {answer.text[:200]}", hint="this is a bug")

    def _write(self, config: Path, admin: Admin) -> bool:
        """Write down what is wanted now; whether that is something else than before."""
        self._changed.clear()
        wanted = wanted_proxies(self._table, self._plan.nodes, self._plan.domain)
        known = wanted == self._written and config.exists()
        text = config_text(self._plan.server, admin, self._plan.local(), wanted)
        write_config(config, text)
        self._written = wanted
        return not known

    def _now(self, phase: TunnelPhase, **facts: Any) -> None:
        before = self.state
        blank = replace(before, phase=phase, reason="", hint="")
        self.state = replace(blank, **facts)
        if self.state != before:
            if phase is not before.phase:
                log.info("the tunnel is %s%s", phase, f": {self.state.reason}" if self.state.reason else "")
            self.turned()


def _last_complaint(lines: Sequence[str]) -> str:
    """What frpc last complained of."""
    bad = [line for line in lines if "[W]" in line or "[E]" in line or "error" in line.lower()]
    return bad[-1] if bad else ""


def _free_port() -> int:
    # Somebody may take it before frpc does; then frpc ends, and the next life has another.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
