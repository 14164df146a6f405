"""The other side of the localnet in a load test: lean clients, so that one core can drive another one hard.

They speak plain HTTP/1.1 and RFC 6455 over one connection each, and look only at what is measured.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_MASK = bytes(4)
"""Clients must mask what they send; a mask of zeros leaves it readable."""


class HttpPeer:
    """One connection that is kept open, with one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader, self._writer = reader, writer
        self._head = f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: "

    @classmethod
    async def open(cls, port: int) -> HttpPeer:
        """Connect to this machine."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        return cls(reader, writer, f"127.0.0.1:{port}")

    async def post(self, body: bytes) -> bytes:
        """Send a body and return the answer's. Raises RuntimeError for a status other than 200."""
        self._writer.write(f"{self._head}{len(body)}\r\n\r\n".encode() + body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the server answered {head[:60]!r}")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        return await self._reader.readexactly(int(length))

    async def call(self, method: str, *params: Any) -> Any:
        """The result of a JSON-RPC call. Raises RuntimeError for an error."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = json.loads(await self.post(json.dumps(request).encode()))
        if "result" not in answer:
            raise RuntimeError(f"{method}: {answer}")
        return answer["result"]

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


@dataclass(slots=True)
class Heard:
    """What a subscriber was told."""

    messages: Counter[str] = field(default_factory=Counter)
    """By notification method."""
    slots: list[tuple[int, float]] = field(default_factory=list)
    """Slots and when they were told of (monotonic seconds)."""
    closed: bool = False
    """Whether the server hung up."""


class SocketPeer:
    """One WebSocket with one subscription; `run` reads until it is cancelled."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.heard = Heard()

    @classmethod
    async def open(cls, port: int) -> SocketPeer:
        """Connect to this machine and shake hands."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise RuntimeError(f"the server answered {head[:60]!r}")
        return cls(reader, writer)

    def subscribe(self, kind: str, *params: Any) -> None:
        """Ask for notifications; the answer is read by `run`."""
        request = {"jsonrpc": "2.0", "id": 1, "method": f"{kind}Subscribe", "params": list(params)}
        self._send(_TEXT, json.dumps(request).encode())

    async def run(self, again: Any = None) -> None:
        """Count what comes; `again` is called after each signature notification, to subscribe to the next one."""
        while True:
            code, payload = await self._frame()
            if code == _PING:
                self._send(_PONG, payload)
            elif code == _CLOSE:
                self.heard.closed = True
                return
            else:
                self._note(payload)
                if again is not None and b'"signatureNotification"' in payload:
                    again(self)

    def _note(self, payload: bytes) -> None:
        # Only slots are looked into: reading every notification would make this side the slower one.
        if b'"slotNotification"' in payload:
            told = json.loads(payload)["params"]["result"]["slot"]
            self.heard.slots.append((told, time.monotonic()))
        method = payload.partition(b'"method":"')[2].partition(b'"')[0]
        self.heard.messages[method.decode() or "answer"] += 1

    async def _frame(self) -> tuple[int, bytes]:
        first, second = await self._reader.readexactly(2)
        length = second & 0x7F
        if length == 126:
            length = int.from_bytes(await self._reader.readexactly(2), "big")
        elif length == 127:
            length = int.from_bytes(await self._reader.readexactly(8), "big")
        return first & 0x0F, await self._reader.readexactly(length)

    def _send(self, code: int, payload: bytes) -> None:
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        self._writer.write(bytes([0x80 | code]) + length + _MASK + payload)

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
