"""One client's connection: requests one after the other, each to the service that its Host names.

Bodies pass as they come, in both directions at once, and no faster than the slower side takes them. A connection to a
service never serves two clients. Nothing is passed on that was not read whole and written anew (`head.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from node.service.channel import Channel, ChannelLost, ChannelSlow, HeadTooLong, connect
from node.service.forward import Sender, body_for_client, request_bytes, response_bytes
from node.service.framing import Reader, body_reader, body_writer
from node.service.head import BadHead, RequestHead, ResponseHead, read_request, read_response
from node.service.passage import framed, pass_body, splice_both
from node.service.table import Entry, ServiceTable

_MOST_INTERIM = 16
"""Interim answers to one request."""
_RESPONSE_HEAD = 64 * 1024
_KEPT_SECONDS = 2.0
"""That a connection to a service is kept for the client's next request: small servers serve one at a time."""


@dataclass(frozen=True, slots=True)
class ProxyTerms:
    """Bounds of one connection. Times in seconds."""

    domain: str
    """Below which services have their names."""
    own: frozenset[str] = frozenset()
    """Labels below it, in small letters, that are the agent's own."""
    head: int = 32 * 1024
    per_service: int = 256
    patience: float = 60.0
    """Without progress, for a client that sends or reads."""
    head_time: float = 10.0
    """From the first byte of a request's head to its last."""
    idle: float = 75.0
    """Between two requests."""
    connect: float = 5.0
    linger: float = 2.0
    """That a client may go on sending what nobody reads, so that it sees the answer."""


class _Refused(Exception):
    """A request that no service gets."""

    def __init__(self, status: int, text: str, *, retry: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.retry = retry


class _Broken(Exception):
    """The exchange cannot be brought to an end that the client would understand: it is cut off."""


class _Gone(Exception):
    """The service closed the connection before it had said anything."""


MakeInner = Callable[[], asyncio.Protocol]


class ClientConnection:
    """Serves one client until it leaves."""

    def __init__(self, client: Channel, table: ServiceTable, terms: ProxyTerms, sender: Sender, api: MakeInner | None):
        self._client = client
        self._table = table
        self._terms = terms
        self._sender = sender
        self._api = api
        self._service: Channel | None = None
        """The connection to the service that the last request went to."""
        self._entry: Entry | None = None
        self._served = False
        self._begun = False
        """The client has the head of the answer: no other can be given."""
        self._handed = False
        self._leaving: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Serve; never raises but for cancellation."""
        try:
            while await self._request():
                self._served = True
                self._leaving = asyncio.get_running_loop().call_later(_KEPT_SECONDS, self._drop)
            if not self._handed:
                self._client.close()
        except (ChannelLost, ChannelSlow, _Broken, OSError):
            self._client.abort()
        except BaseException:
            self._client.abort()
            raise
        finally:
            self._drop()

    def _drop(self) -> None:
        """Leave the service."""
        if self._leaving is not None:
            self._leaving.cancel()
        if self._service is not None:
            self._service.abort()
            if self._entry is not None:
                self._entry.cuts.discard(self._service)
        self._service = self._entry = None

    async def _request(self) -> bool:
        """Serve one request; False: there is no other on this connection."""
        request: RequestHead | None = None
        self._begun = False
        try:
            raw = await self._head()
            if self._leaving is not None:
                self._leaving.cancel()
            if raw is None:
                return False
            request = read_request(raw)
            entry = self._route(request)
            if entry is None:
                self._to_api(raw)
                return False
            return await self._exchange(request, entry)
        except BadHead as bad:
            await self._refuse(bad.status, bad.reason, request)
        except HeadTooLong:
            await self._refuse(431, "the request's head is too long", request)
        except _Refused as refused:
            return await self._refuse(refused.status, refused.text, request, retry=refused.retry)
        return False

    async def _head(self) -> bytes | None:
        terms = self._terms
        if self._client.buffer[:2] == b"\r\n":
            del self._client.buffer[:2]  # some clients end a body with one too many
        try:
            raw = await self._client.head(
                terms.head, strict=True, seconds=terms.idle if self._served else terms.head_time, total=terms.head_time
            )
        except ChannelSlow:
            if self._client.buffer:
                raise BadHead(408, "the request took too long") from None
            return None
        if raw is not None and raw.startswith(b"\r\n"):
            raw = raw[2:]
        return raw

    def _route(self, request: RequestHead) -> Entry | None:
        """The service; None: the request is for the agent itself."""
        label, dot, domain = request.host.partition(".")
        ours = bool(dot) and domain == self._terms.domain
        entry = self._table.find(label) if ours else None
        if entry is None and (self._api is None or (ours and label not in self._terms.own)):
            raise _Refused(404, "There is no service of this name here.")
        return entry

    def _to_api(self, raw: bytes) -> None:
        assert self._api is not None
        self._handed = True
        self._client.hand_over(self._api(), raw + b"\r\n\r\n")

    async def _refuse(self, status: int, text: str, request: RequestHead | None, *, retry: int | None = None) -> bool:
        """Answer in the service's stead; whether the connection goes on."""
        goes_on = request is not None and request.keep_alive and request.body.none and status in (404, 502, 503)
        body = text.encode() + b"\n"
        lines = [b"HTTP/1.1 %d %b" % (status, _REASONS.get(status, b"Refused"))]
        lines += [b"Content-Type: text/plain; charset=utf-8", b"Content-Length: %d" % len(body)]
        lines += [b"Cache-Control: no-store", b"X-Content-Type-Options: nosniff"]
        if retry is not None:
            lines.append(b"Retry-After: %d" % retry)
        if not goes_on:
            lines.append(b"Connection: close")
        head_only = request is not None and request.method == b"HEAD"
        self._client.write(b"\r\n".join(lines) + b"\r\n\r\n" + (b"" if head_only else body))
        await self._client.flushed(self._terms.patience)
        if not goes_on:
            await self._client.linger(self._terms.linger)
        return goes_on

    # --- one exchange ---

    async def _exchange(self, request: RequestHead, entry: Entry) -> bool:
        try:
            return await self._once(request, entry, anew=not request.repeatable)
        except _Gone:
            # Only a connection that an earlier request was served on can be found closed so.
            return await self._once(request, entry, anew=True)

    async def _once(self, request: RequestHead, entry: Entry, *, anew: bool) -> bool:
        service, used = await self._reach(entry, anew=anew)
        self._client.on_end = service.abort  # who has left is worked for no more
        try:
            if self._client.ended:
                raise ChannelLost
            service.write(request_bytes(request, self._sender))
            if request.body.none:
                return await self._answer(request, service)
            return await self._both_ways(request, service)
        except ChannelLost:
            if self._client.ended or self._begun:
                raise
            raise self._no_answer(entry, used=used) from None
        finally:
            self._client.on_end = None
            entry.active -= 1

    def _no_answer(self, entry: Entry, *, used: bool) -> Exception:
        self._drop()
        if used:
            return _Gone()
        self._table.seen(entry, answers=False)
        return _Refused(502, "The service closed the connection without an answer.")

    async def _reach(self, entry: Entry, *, anew: bool) -> tuple[Channel, bool]:
        """A connection to the service, and whether it was used before."""
        kept = self._service
        if entry.active >= self._terms.per_service:
            raise _Refused(503, "The service has as many connections as it may have.", retry=2)
        entry.active += 1
        if kept is not None and not anew and self._entry is entry and kept.fresh:
            return kept, True
        try:
            return await self._connect(entry), False
        except BaseException:
            entry.active -= 1
            raise

    async def _connect(self, entry: Entry) -> Channel:
        self._drop()
        address = entry.address
        if not address:
            raise _Refused(503, "The service is not running now.", retry=5)
        try:
            service = await connect(address, entry.port, self._terms.connect)
        except (OSError, TimeoutError):
            self._table.seen(entry, answers=False)
            raise _Refused(502, "The service does not answer.", retry=5) from None
        if entry.address != address:
            service.abort()
            raise _Refused(503, "The service is being restarted.", retry=5)
        self._table.seen(entry, answers=True)
        entry.cuts.add(service)
        self._service, self._entry = service, entry
        return service

    async def _both_ways(self, request: RequestHead, service: Channel) -> bool:
        """Pass the body on while the answer comes back, which it may before the body is through."""
        reader = body_reader(request.body)
        try:
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(self._send_body(request, reader, service))
                again = await self._answer(request, service)
                sending.cancel()
        except BaseExceptionGroup as several:
            raise self._what_broke(several) from None
        if not reader.done:
            await self._client.linger(self._terms.linger)
            return False
        return again

    def _what_broke(self, several: BaseExceptionGroup[BaseException]) -> BaseException:
        error: BaseException = several
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if self._begun and isinstance(error, BadHead | _Refused):
            return _Broken()
        return error

    async def _send_body(self, request: RequestHead, reader: Reader, service: Channel) -> None:
        """From the client to the service. A service that takes no more is no error: its answer says why."""
        writer = body_writer(request.body)
        try:
            await pass_body(self._client, service, reader, writer, patience=self._terms.patience, waits=None)
        except ChannelLost:
            if self._client.ended and not reader.done:
                raise

    async def _answer(self, request: RequestHead, service: Channel) -> bool:
        """From the service to the client; whether the connection goes on."""
        head = await self._final_head(request, service)
        if head.status == 101:
            await self._tunnel(head, request, service)
            return False
        body = body_for_client(head, request)
        goes_on = request.keep_alive and not body.until_close
        self._begun = True
        reader, writer = body_reader(head.body), body_writer(body)
        try:
            # What is there of the body goes out with the head, in one packet.
            first = b"" if reader.done else framed(reader, writer, service)
            self._client.write(response_bytes(head, body, request, keep_alive=goes_on) + first)
            if not reader.done:
                await pass_body(service, self._client, reader, writer, patience=None, waits=self._terms.patience)
            await self._client.flushed(self._terms.patience)
        except (BadHead, ChannelLost):
            raise _Broken from None
        if not head.keep_alive or service.buffer:
            self._drop()
        return goes_on

    async def _final_head(self, request: RequestHead, service: Channel) -> ResponseHead:
        for _ in range(_MOST_INTERIM):
            try:
                raw = await service.head(_RESPONSE_HEAD, strict=False, seconds=None, total=self._terms.patience)
            except HeadTooLong:
                raise _Refused(502, "The service's answer has too long a head.") from None
            except ChannelSlow:
                raise _Refused(502, "The service does not finish its answer's head.") from None
            if raw is None:
                raise ChannelLost
            try:
                head = read_response(raw, request.method)
            except BadHead as bad:
                raise _Refused(502, f"No answer can be passed on: {bad.reason}.") from None
            if head.status == 101 and not request.upgrade:
                raise _Refused(502, "The service switches protocols unasked.")
            if not head.interim:
                return head
            if request.minor == 1:
                self._client.write(response_bytes(head, head.body, request, keep_alive=True))
        raise _Refused(502, "The service does not come to an answer.")

    async def _tunnel(self, head: ResponseHead, request: RequestHead, service: Channel) -> None:
        """A WebSocket: bytes pass as they are, until both sides have closed."""
        client = self._client
        client.on_end = None
        self._begun = True
        client.write(response_bytes(head, head.body, request, keep_alive=True))
        if not await splice_both(client, service, self._terms.patience):
            raise _Broken


_REASONS = {
    400: b"Bad Request",
    404: b"Not Found",
    408: b"Request Timeout",
    417: b"Expectation Failed",
    431: b"Request Header Fields Too Large",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    505: b"HTTP Version Not Supported",
}
