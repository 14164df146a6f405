"""How much strangers and owners get of the API: requests a second per client, places at once, streams per job.

A client is an address (of IPv6, the network of 64 bits that one household has). What is remembered of clients is
bounded: who has not asked for a while has its whole allowance again anyway.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from node.public_network import is_public
from node.records import Address
from node.settings_api import ApiSettings

BURST = 3.0
"""Seconds' worth of requests that a client may send at once."""
ALL_CLIENTS = 10.0
"""Times one client's rate that all may ask together."""
REMEMBERED = 4096
"""Clients."""
STRANGERS = 4
"""The part of all places that who has not shown an owner's word may have together: a quarter."""

_NOTED = 512
"""Characters of the proxies' notes that are looked at, the last."""

ClientOf = Callable[[web.Request], str]
"""Who sent a request, as a text that clients cannot choose."""


class Full(Exception):
    """There is no place left."""


def sender(request: web.Request) -> str:
    """Who sent a request: the other end of the connection. Where that is this machine, a tunnel's client, it is the
    last public address among those that proxies noted: what comes before that one, the client may have made up."""
    other = request.remote or ""
    if not _is_loopback(other):
        return other
    noted = ",".join(request.headers.getall("x-forwarded-for", ()))
    for address in reversed(noted[-_NOTED:].split(",")):
        if is_public(address.strip()):
            return address.strip()
    return other


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def household(address: str) -> str:
    """An address, or the network of 64 bits that an IPv6 address is in."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


class Allowance:
    """Counts requests, places and streams. `monotonic` is a clock in seconds."""

    def __init__(self, settings: ApiSettings, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._free_at: OrderedDict[str, float] = OrderedDict()
        self._all_free_at = 0.0
        self._places = 0
        self._strangers = 0
        self._streams: Counter[str] = Counter()
        self._lasting: set[asyncio.Task[Any]] = set()

    def admits(self, client: str) -> bool:
        """Take one request of a client's rate; False: it asks too often."""
        now = self._monotonic()
        step = 1 / self._settings.requests
        mine = max(self._free_at.get(client, 0.0), now - BURST)
        all_step = step / ALL_CLIENTS
        everyone = max(self._all_free_at, now - BURST)
        if mine > now or everyone > now:
            return False
        self._all_free_at = everyone + all_step
        self._free_at[client] = mine + step
        self._free_at.move_to_end(client)
        if len(self._free_at) > REMEMBERED:
            self._free_at.popitem(last=False)
        return True

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of the places for requests under way. Raises Full."""
        if self._places >= self._settings.clients:
            raise Full
        self._places += 1
        try:
            yield
        finally:
            self._places -= 1

    @contextmanager
    def stranger(self) -> Iterator[None]:
        """A place of a socket that has not said yet whose it is. Raises Full."""
        if self._strangers >= max(1, self._settings.clients // STRANGERS):
            raise Full
        self._strangers += 1
        try:
            yield
        finally:
            self._strangers -= 1

    @contextmanager
    def lasting(self) -> Iterator[None]:
        """The calling task answers for as long as the client likes: `end_lasting` ends it."""
        task = asyncio.current_task()
        assert task is not None
        self._lasting.add(task)
        try:
            yield
        finally:
            self._lasting.discard(task)

    def end_lasting(self) -> None:
        """End all streams and sockets: the agent stops."""
        for task in self._lasting:
            task.cancel()

    @contextmanager
    def stream(self, job: Address) -> Iterator[None]:
        """One of a job's streams. Raises Full."""
        if self._streams[job] >= self._settings.streams:
            raise Full
        self._streams[job] += 1
        try:
            yield
        finally:
            self._streams[job] -= 1
            if not self._streams[job]:
                del self._streams[job]
