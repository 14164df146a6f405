"""The doctor's rows on the chain's endpoints: which chain they serve, how fast and how far behind, and the time."""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from node.agent.finding import Finding
from node.agent.health.chain_clock import ChainClock
from node.agent.health.fitting import read_chain_clock
from node.agent.looks import Look, Once, aside
from node.chain import replies
from node.chain.clusters import DEVNET, MAINNET, Cluster
from node.chain.rpc import Rpc
from node.chain.standing import LAG_LIMIT, SLOT_SECONDS
from node.chain.subscription import websocket_url
from node.chain.transport import Endpoint, shown
from node.errors import GpunodeError, RpcUnavailable
from node.loopback import DIRECT
from node.retry import SystemClock
from node.settings import Settings

SLOW_RPC = 1.0
"""Seconds for one small request above which an endpoint is called slow."""
ASKED = 3
"""Requests whose median is the latency told."""
SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Measured:
    """One endpoint at one moment."""

    url: str
    genesis: str
    slot: int
    at: float
    """Monotonic seconds of the slot's answer."""
    latency: float


@dataclass(frozen=True, slots=True)
class ChainRows:
    """Looks at the endpoints of the settings; changes nothing."""

    settings: Settings
    cluster: Cluster
    rpc: Rpc

    def looks(self, genesis: Once[str]) -> tuple[Look, ...]:
        """One row on all together, one per endpoint where there are several, and what hangs on them."""

        async def endpoint() -> Finding:
            return await self._together(genesis)

        async def clock() -> Finding:
            return await self._clock(await genesis.or_none() is not None)

        several = (Look("Solana endpoints", self._each),) if len(self.settings.rpc.urls) > 1 else ()
        return (
            Look("DNS", self._names),
            Look("Solana endpoint", endpoint),
            *several,
            Look("Solana socket", self._socket),
            Look("clock", clock),
        )

    async def genesis(self) -> str:
        """The hash of the chain that is served, where it is the one of the settings. Raises a GpunodeError."""
        found = await self.rpc.get_genesis_hash()
        if (served := _served(found)) != self.settings.cluster:
            raise GpunodeError(
                f"serves {served} (genesis {found}), not {self.settings.cluster}", hint="correct `cluster` or rpc.urls"
            )
        return found

    async def _together(self, genesis: Once[str]) -> Finding:
        name = "Solana endpoint"
        try:
            await genesis()
        except RpcUnavailable as error:
            fix = "gpunode localnet start (where it should run on this host), or correct rpc.urls"
            return Finding(name, False, error.message, fix if self.settings.cluster == "localnet" else error.hint)
        took = []
        for _ in range(ASKED):
            began = time.monotonic()
            slot = await self.rpc.get_slot()
            took.append(time.monotonic() - began)
        latency = statistics.median(took)
        slow = latency > SLOW_RPC
        seen = f"{self.settings.cluster}, slot {slot}, {latency * 1000:.0f} ms{' (slow)' if slow else ''}"
        return Finding(name, True, seen, "add a nearer endpoint to rpc.urls" if slow else "")

    # --- each endpoint by itself ---

    async def _each(self) -> Sequence[Finding]:
        async with httpx.AsyncClient(follow_redirects=False, mounts=DIRECT) as client, asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._measure(url, client)) for url in self.settings.rpc.urls]
        seen = [task.result() for task in tasks]
        now = time.monotonic()
        newest = max((_now(each, now) for each in seen if isinstance(each, _Measured)), default=0.0)
        return [self._row(each, newest - _now(each, now)) if isinstance(each, _Measured) else each for each in seen]

    async def _measure(self, url: str, client: httpx.AsyncClient) -> _Measured | Finding:
        endpoint = Endpoint(url, client, SECONDS / 2)
        took = []
        try:
            async with asyncio.timeout(SECONDS):
                genesis = await endpoint.call("getGenesisHash", [], str)
                for _ in range(ASKED):
                    began = time.monotonic()
                    slot = await endpoint.call("getSlot", [{"commitment": "confirmed"}], replies.integer)
                    took.append(time.monotonic() - began)
        except GpunodeError as error:
            return Finding(f"endpoint {shown(url)}", False, error.message, "take it out of rpc.urls, or correct it")
        except TimeoutError:
            seen = f"no answer within {SECONDS:g} s"
            return Finding(f"endpoint {shown(url)}", False, seen, "take it out of rpc.urls, or correct it")
        return _Measured(url, genesis, slot, time.monotonic(), statistics.median(took))

    def _row(self, each: _Measured, lag: float) -> Finding:
        name = f"endpoint {shown(each.url)}"
        if (served := _served(each.genesis)) != self.settings.cluster:
            return Finding(name, False, f"serves {served}, not {self.settings.cluster}", "take it out of rpc.urls")
        behind = f"{lag:.0f} slots ({lag * SLOT_SECONDS:.0f} s) behind the newest" if lag >= 1 else "the newest view"
        seen = f"{each.latency * 1000:.0f} ms, {behind}"
        if lag > LAG_LIMIT:
            return Finding(name, None, f"{seen}: it is asked after the others", "take it out of rpc.urls if that lasts")
        if each.latency > SLOW_RPC:
            return Finding(name, None, f"{seen} (slow)", "put a nearer endpoint before it in rpc.urls")
        return Finding(name, True, seen)

    # --- what else the network must give ---

    async def _socket(self) -> Finding:
        name = "Solana socket"
        url = self.settings.rpc.websocket or websocket_url(self.settings.rpc.urls[0], self.cluster)
        fix = "set rpc.websocket; until then the chain is read every second instead"
        began = time.monotonic()
        try:
            async with connect(url, open_timeout=SECONDS, close_timeout=1.0, proxy=None):
                return Finding(name, True, f"{shown(url)} opens in {(time.monotonic() - began) * 1000:.0f} ms")
        except (OSError, TimeoutError, WebSocketException, ValueError) as error:
            why = str(error) or type(error).__name__
            return Finding(name, None, f"{shown(url)} does not open: {why[:150]}", fix)

    async def _names(self) -> Finding:
        content = self.settings.content
        urls = (*self.settings.rpc.urls, *(store.url for store in content.stores), *content.gateways)
        names = dict.fromkeys(host for url in urls if (host := _host(url)))
        if not names:
            return Finding("DNS", True, "no names to look up: every address of the settings is a number")

        async def has_address(name: str) -> bool:
            def ask() -> bool:
                try:
                    return bool(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM))
                except OSError:
                    return False

            try:
                async with asyncio.timeout(SECONDS):
                    return await aside(ask)
            except TimeoutError:
                return False

        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(has_address(name)) for name in names}
        missing = [name for name, task in tasks.items() if not task.result()]
        if missing:
            fix = f"getent hosts {missing[0]}; correct /etc/resolv.conf, or the name in the settings"
            return Finding("DNS", False, f"no address for {', '.join(missing)}", fix)
        return Finding("DNS", True, f"{', '.join(names)} found in {(time.monotonic() - began) * 1000:.0f} ms")

    async def _clock(self, is_served: bool) -> Finding:
        if is_served:
            chain = ChainClock(lambda: read_chain_clock(self.rpc), SystemClock())
            await chain.sync()
            return self._skew(chain.skew or 0.0, "the chain's")
        skew = await self._skew_of_dates()
        if skew is None:
            return Finding("clock", None, "nothing to compare it with: neither the chain nor a server answers")
        return self._skew(skew, "a server's, by the date of its answers")

    def _skew(self, skew: float, whose: str) -> Finding:
        seen = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} {whose}"
        if abs(skew) <= self.settings.health.clock_skew:
            return Finding("clock", True, seen)
        fix = "sudo timedatectl set-ntp true; jobs are timed by the chain's clock meanwhile"
        return Finding("clock", False, seen, fix)

    async def _skew_of_dates(self) -> float | None:
        """Seconds ahead of the first server that dates its answers, whatever the answer is."""
        async with httpx.AsyncClient(timeout=SECONDS / 2, mounts=DIRECT) as client:
            for url in (*self.settings.rpc.urls, *self.settings.content.gateways):
                try:
                    async with client.stream("GET", url) as answer:
                        told = parsedate_to_datetime(answer.headers["date"]).timestamp()
                except (httpx.HTTPError, httpx.InvalidURL, OSError, LookupError, ValueError, TypeError):
                    continue
                return time.time() - told
        return None


def _served(genesis: str) -> str:
    return next((known.name for known in (MAINNET, DEVNET) if known.genesis_hash == genesis), "localnet")


def _now(seen: _Measured, now: float) -> float:
    """The slot that a view has reached by now: it went on since it was asked."""
    return seen.slot + (now - seen.at) / SLOT_SECONDS


def _host(url: str) -> str:
    """The name in a URL; empty for numbers, which need no looking up."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    is_number = host.replace(".", "").isdecimal() or ":" in host
    return "" if is_number or host == "localhost" else host
