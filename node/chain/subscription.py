"""Account changes pushed over a WebSocket, with the slots on the same socket as its sign of life.

A notification only says "look": on every (re)subscription the stream first yields `Subscribed`, and whoever reads the
account then cannot miss a change between reading and listening.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, NoReturn
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from node.bounded_json import read_json
from node.chain import replies
from node.chain.accounts import RawAccount
from node.chain.clusters import Cluster
from node.chain.filters import Filter
from node.chain.replies import Commitment
from node.chain.transport import shown
from node.errors import ChainError, RpcRejected, UsageError
from node.loopback import is_loopback
from node.records import Address
from node.retry import Clock, Retry, SystemClock

_log = logging.getLogger(__name__)

SUSPECT_AFTER = 5.0
"""Seconds without a slot after which the socket is not trusted (slots come every 0.4 s)."""
GIVEN_UP_AFTER = 20.0
"""Seconds without a slot after which the socket is replaced even where no other view of the chain can be had."""
RECONNECT = Retry(attempts=1, total=0.0, first=0.5, longest=15.0)
"""Only its waits are used: the socket is opened again for as long as the agent runs."""
_LOOK_EVERY = 1.0
LAG_EVERY = 10.0
"""Seconds between looks at whether the socket's endpoint keeps up with the chain."""
LAG_LIMIT = 50
"""Slots (20 s) behind another view from which a socket is replaced: what it pushes comes too late."""
_MESSAGE_LIMIT = 16 * 1024 * 1024
_BACKLOG = 1_000


@dataclass(frozen=True, slots=True)
class Subscribed:
    """From here on changes are pushed; what was before must be read."""


@dataclass(frozen=True, slots=True)
class Changed:
    """An account as it is now. A closed account has no lamports and another owner, or is not pushed at all."""

    account: RawAccount


Notice = Subscribed | Changed


class _Topic:
    """One subscription, over however many sockets it lives."""

    def __init__(self, kind: str, params: list[Any], address: Address | None) -> None:
        self.kind = kind
        self.params = params
        self.address = address
        self.number: int | None = None
        self._notices: deque[Notice] = deque()
        self._failure: RpcRejected | None = None
        self._wake = asyncio.Event()

    def put(self, notice: Notice) -> None:
        if len(self._notices) >= _BACKLOG:
            # The reader is far behind: one hint to look for itself says as much as all that were lost.
            self._notices.clear()
            notice = Subscribed()
        self._notices.append(notice)
        self._wake.set()

    def fail(self, error: RpcRejected) -> None:
        self._failure = error
        self._wake.set()

    def parse(self, result: Any) -> Changed:
        slot, value = replies.context_slot(result), result["value"]
        if self.address is None:
            return Changed(replies.account(replies.text(value["pubkey"]), value["account"], slot))
        return Changed(replies.account(self.address, value, slot))

    async def __aiter__(self) -> AsyncIterator[Notice]:
        while True:
            while self._notices:
                yield self._notices.popleft()
            if self._failure is not None:
                raise self._failure
            self._wake.clear()
            await self._wake.wait()


class Subscriptions:
    """Program and account subscriptions over one socket at a time, which `run` keeps open.

    Of several endpoints the next one gets its turn whenever a socket fails. `http_slot` is another view of the chain:
    it tells a dead socket from a chain that stands still.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        http_slot: Callable[[], Awaitable[int]],
        commitment: Commitment = "confirmed",
        clock: Clock | None = None,
    ) -> None:
        self._urls = tuple(urls)
        self._turn = 0
        self._http_slot = http_slot
        self._commitment = commitment
        self._clock = clock or SystemClock()
        self._topics: list[_Topic] = []
        self._socket: ClientConnection | None = None
        self._asked: dict[int, _Topic | None] = {}
        self._next_id = 0
        self._seen_at = float("-inf")
        self._failures = 0
        self.slot = 0
        """The newest slot the socket has told of."""

    @property
    def suspect(self) -> bool:
        """Whether the socket cannot be relied on: closed, or no slot for 5 seconds. Poll faster then."""
        return self._socket is None or self._clock.monotonic() - self._seen_at > SUSPECT_AFTER

    @property
    def _url(self) -> str:
        return self._urls[self._turn % len(self._urls)]

    @asynccontextmanager
    async def program(self, program: Address, filters: Sequence[Filter] = ()) -> AsyncIterator[AsyncIterator[Notice]]:
        """Changes of a program's accounts that pass all filters."""
        config = {
            "encoding": "base64",
            "commitment": self._commitment,
            "filters": [each.json() for each in filters],
        }
        async with self._topic(_Topic("program", [program, config], None)) as stream:
            yield stream

    @asynccontextmanager
    async def account(self, address: Address) -> AsyncIterator[AsyncIterator[Notice]]:
        """Changes of one account."""
        config = {"encoding": "base64", "commitment": self._commitment}
        async with self._topic(_Topic("account", [address, config], address)) as stream:
            yield stream

    async def run(self) -> NoReturn:
        """Keep the socket open, for as long as the agent runs."""
        while True:
            try:
                await self._session()
            except* (OSError, WebSocketException, TimeoutError, _Stale) as group:
                _log.warning("%s: %s", shown(self._url), _reason(group))
            finally:
                self._socket = None
                self._asked.clear()
                self._turn += 1
            await self._clock.sleep(RECONNECT.wait(min(self._failures, 10)))
            self._failures += 1

    @asynccontextmanager
    async def _topic(self, topic: _Topic) -> AsyncIterator[AsyncIterator[Notice]]:
        self._topics.append(topic)
        await self._subscribe(topic)
        try:
            yield aiter(topic)
        finally:
            self._topics.remove(topic)
            if topic.number is not None:
                await self._send(f"{topic.kind}Unsubscribe", [topic.number], None)

    async def _session(self) -> None:
        """One socket from its opening to its end."""
        proxy: Literal[True] | None = None if is_loopback(self._url) else True
        async with connect(self._url, max_size=_MESSAGE_LIMIT, open_timeout=10, close_timeout=2, proxy=proxy) as socket:
            self._seen_at = self._clock.monotonic()
            self._socket = socket
            for topic in self._topics:
                topic.number = None
            await self._send("slotSubscribe", [], None)
            for topic in list(self._topics):
                await self._subscribe(topic)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch())
                group.create_task(self._receive(socket))

    async def _receive(self, socket: ClientConnection) -> NoReturn:
        while True:
            try:
                self._handle(read_json(await socket.recv(), limit=_MESSAGE_LIMIT))
            except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
                _log.warning("%s pushed something that cannot be understood: %s", shown(self._url), error)

    async def _watch(self) -> NoReturn:
        """Replace a socket that has gone quiet while the chain moves on, or that tells of what is long past."""
        compared_at = self._clock.monotonic()
        while True:
            await self._clock.sleep(_LOOK_EVERY)
            if self._clock.monotonic() - compared_at >= LAG_EVERY:
                compared_at = self._clock.monotonic()
                if await self._moved_on(LAG_LIMIT):
                    raise _Stale(f"more than {LAG_LIMIT} slots behind the chain")
            silent = self._clock.monotonic() - self._seen_at
            if silent > GIVEN_UP_AFTER:
                raise _Stale(f"no slot for {silent:.0f} s")
            if silent > SUSPECT_AFTER and await self._moved_on():
                raise _Stale(f"no slot for {silent:.0f} s while the chain moves on")

    async def _moved_on(self, by: int = 0) -> bool:
        try:
            return await self._http_slot() > self.slot + by
        except ChainError:
            return False

    def _handle(self, message: Any) -> None:
        if "id" in message:
            self._handle_reply(message)
            return
        method, params = message["method"], message["params"]
        if method == "slotNotification":
            self.slot = max(self.slot, replies.integer(params["result"]["slot"]))
            self._seen_at = self._clock.monotonic()
            self._failures = 0
            return
        for topic in self._topics:
            if topic.number == params["subscription"] and method == f"{topic.kind}Notification":
                topic.put(topic.parse(params["result"]))

    def _handle_reply(self, message: Any) -> None:
        topic = self._asked.pop(message["id"], None)
        if topic is None:
            return
        error = message.get("error")
        if error is None:
            topic.number = replies.integer(message["result"])
            topic.put(Subscribed())
            return
        topic.fail(
            RpcRejected(
                f"{shown(self._url)} refused a subscription: {str(error.get('message'))[:200]}",
                code=replies.integer(error["code"]),
                data=error.get("data"),
                hint="Use another endpoint (`rpc.websocket`).",
            )
        )

    async def _subscribe(self, topic: _Topic) -> None:
        await self._send(f"{topic.kind}Subscribe", topic.params, topic)

    async def _send(self, method: str, params: list[Any], topic: _Topic | None) -> None:
        socket = self._socket
        if socket is None:
            return
        self._next_id += 1
        self._asked[self._next_id] = topic
        request = {"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": params}
        try:
            await socket.send(json.dumps(request))
        except WebSocketException:
            # The receiving side sees the end as well and opens another socket, which subscribes anew.
            _log.debug("%s closed while we sent", shown(self._url))


class _Stale(Exception):
    """The socket is open but dead."""


def _reason(group: BaseExceptionGroup[BaseException]) -> str:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return str(first) or type(first).__name__


def websocket_url(http_url: str, cluster: Cluster) -> str:
    """The subscription endpoint beside a JSON-RPC one: same host, and on a localnet the next port.

    Raises UsageError for a URL that is not http or https.
    """
    parts = urlsplit(http_url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise UsageError(f"{shown(http_url)} is not an http or https address", hint="Set `rpc.websocket`.")
    netloc = parts.netloc
    if cluster.name == "localnet" and parts.port is not None:
        netloc = f"{netloc.rpartition(':')[0]}:{parts.port + 1}"
    return urlunsplit((scheme, netloc, parts.path, parts.query, ""))
