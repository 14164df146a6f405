"""One TCP connection with back-pressure both ways and time limits; what the proxy reads from and writes to."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable

HIGH_WATER = 256 * 1024
"""Bytes unread from which no more is read from the socket."""
_LOW_WATER = 64 * 1024
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))
_HEAD_END = re.compile(rb"\r?\n\r?\n")


class ChannelLost(Exception):
    """The connection is gone."""


class ChannelSlow(Exception):
    """The other end took too long: to send what was waited for, or to take what was sent."""


class HeadTooLong(Exception):
    """A head did not end within its limit."""


class Channel(asyncio.Protocol):
    """A connection, ours or the other end's. Whoever reads is one task, whoever writes is one task."""

    def __init__(self, on_lost: Callable[[Channel], None] | None = None) -> None:
        self.buffer = bytearray()
        """Received and not taken yet."""
        self.ended = False
        """The other end sends no more."""
        self.lost = False
        self.on_end: Callable[[], None] | None = None
        """Called when the other end has closed, or the connection is lost."""
        self._on_lost = on_lost
        self._inner: asyncio.Protocol | None = None
        self._arrived: asyncio.Future[None] | None = None
        self._flushed: asyncio.Future[None] | None = None
        self._blocked = False
        self._reading = True
        self._failed = False
        self._transport: asyncio.Transport | None = None
        self._last_call: asyncio.TimerHandle | None = None

    # --- the event loop's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        plug = transport.get_extra_info("socket")
        if plug is not None and plug.family in (socket.AF_INET, socket.AF_INET6):
            # The loop sets it only on sockets that name their protocol, as accepted ones do not: without it the second
            # of two small writes waits 40 ms for the other end's delayed word on the first.
            plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE:
                plug.setsockopt(socket.IPPROTO_TCP, option, value)

    def data_received(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.data_received(data)
            return
        self.buffer += data
        if len(self.buffer) >= HIGH_WATER and self._reading and self._transport is not None:
            self._transport.pause_reading()
            self._reading = False
        _wake(self._arrived)

    def eof_received(self) -> bool | None:
        self.ended = True
        if self._inner is not None:
            return self._inner.eof_received()
        _wake(self._arrived)
        self._tell()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = self.ended = True
        self._failed = self._failed or error is not None
        if self._inner is not None:
            self._inner.connection_lost(error)
        _wake(self._arrived)
        _wake(self._flushed)
        if self._last_call is not None:
            self._last_call.cancel()
        self._tell()
        if self._on_lost is not None:
            self._on_lost(self)

    def pause_writing(self) -> None:
        self._blocked = True
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._blocked = False
        _wake(self._flushed)
        if self._inner is not None:
            self._inner.resume_writing()

    # --- reading ---

    @property
    def broken(self) -> bool:
        """It was reset by the other end, or aborted by us, rather than closed."""
        return self._failed

    @property
    def fresh(self) -> bool:
        """Nothing has come since all was taken, and the other end is there."""
        return not self.ended and not self.buffer

    async def more(self, seconds: float | None = None) -> bool:
        """Wait until there is something in the buffer; False: the other end sends no more. Raises ChannelSlow."""
        if not self._reading and len(self.buffer) <= _LOW_WATER and self._transport is not None:
            self._reading = True
            if not self.lost:
                self._transport.resume_reading()
        if self.buffer:
            return True
        if self.ended:
            return False
        self._arrived = asyncio.get_running_loop().create_future()
        await _within(self._arrived, seconds)
        return bool(self.buffer)

    async def wait_beyond(self, size: int, seconds: float | None) -> bool:
        """Wait until the buffer holds more than `size` bytes; False: the other end sends no more."""
        while len(self.buffer) <= size:
            if self.ended:
                return False
            self._arrived = asyncio.get_running_loop().create_future()
            await _within(self._arrived, seconds)
        return True

    async def head(self, limit: int, *, strict: bool, seconds: float | None, total: float | None) -> bytes | None:
        """The bytes up to an empty line, without it; None: the other end closed without a word.

        `strict`: lines end in CR LF. `seconds`: until its first byte, `total`: from there on. Raises ChannelSlow,
        ChannelLost (closed in the middle) and HeadTooLong.
        """
        if not await self.more(seconds):
            return None
        loop = asyncio.get_running_loop()
        ends = None if total is None else loop.time() + total
        looked = 0
        while True:
            if strict:
                at = self.buffer.find(b"\r\n\r\n", max(0, looked - 3))
                found = None if at < 0 else (at, at + 4)
            else:
                match = _HEAD_END.search(self.buffer, max(0, looked - 3))
                found = None if match is None else match.span()
            if found is not None and found[0] <= limit:
                data = bytes(self.buffer[: found[0]])
                del self.buffer[: found[1]]
                return data
            looked = len(self.buffer)
            if looked > limit:
                raise HeadTooLong
            if not await self.wait_beyond(looked, None if ends is None else max(0.0, ends - loop.time())):
                raise ChannelLost

    # --- writing ---

    def write(self, data: bytes) -> None:
        """Send; raises ChannelLost."""
        if self.lost or self._transport is None or self._transport.is_closing():
            raise ChannelLost
        self._transport.write(data)

    async def flushed(self, seconds: float | None) -> None:
        """Wait until the other end has taken enough to send on. Raises ChannelSlow and ChannelLost."""
        while self._blocked and not self.lost:
            self._flushed = asyncio.get_running_loop().create_future()
            await _within(self._flushed, seconds)
        if self.lost:
            raise ChannelLost

    def end(self) -> None:
        """Say that nothing more is sent."""
        if self._transport is not None and not self._transport.is_closing() and self._transport.can_write_eof():
            self._transport.write_eof()

    def close(self, seconds: float = 10.0) -> None:
        """Close once all is sent, within this time."""
        if self._transport is not None and not self.lost:
            self._transport.close()
            self._last_call = asyncio.get_running_loop().call_later(seconds, self.abort)

    async def linger(self, seconds: float) -> None:
        """Say that nothing more is sent and let what is on its way come in: a connection closed over unread bytes is
        reset, and the other end may never see the answer."""
        try:
            async with asyncio.timeout(seconds):
                self.end()
                while await self.more():
                    self.buffer.clear()
        except TimeoutError:
            return

    def abort(self) -> None:
        """Close now; the other end sees that it was cut."""
        self._failed = True
        if self._transport is not None:
            self._transport.abort()

    # --- who is there ---

    @property
    def peer(self) -> str:
        """The other end's IP address; empty where it has none."""
        name = None if self._transport is None else self._transport.get_extra_info("peername")
        address = str(name[0]) if isinstance(name, tuple) and name else ""
        # As a socket for both families shows IPv4.
        return address.removeprefix("::ffff:") if "." in address else address

    def hand_over(self, inner: asyncio.Protocol, first: bytes) -> None:
        """Leave the connection to another protocol, which is given `first` and what is in the buffer."""
        assert self._transport is not None
        self._inner = inner
        self.on_end = None
        rest = first + bytes(self.buffer)
        self.buffer.clear()
        inner.connection_made(self._transport)
        if rest:
            inner.data_received(rest)
        if self.lost:
            inner.connection_lost(None)
        elif self.ended:
            if not inner.eof_received():
                self._transport.close()
        elif not self._reading:
            self._transport.resume_reading()
        if self._blocked:
            inner.pause_writing()

    def _tell(self) -> None:
        if self.on_end is not None:
            told, self.on_end = self.on_end, None
            told()


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


async def _within(future: asyncio.Future[None], seconds: float | None) -> None:
    """Wait for a future; cheaper than a timeout's own machinery where there is no limit."""
    if seconds is None:
        await future
        return
    try:
        async with asyncio.timeout(seconds):
            await future
    except TimeoutError:
        raise ChannelSlow from None


async def connect(address: str, port: int, seconds: float) -> Channel:
    """A connection to exactly this IP address and port. Raises OSError and TimeoutError."""
    channel = Channel()
    async with asyncio.timeout(seconds):
        await asyncio.get_running_loop().create_connection(lambda: channel, address, port)
    return channel
