"""A subscriber that keeps what it hears, sorted by subscription."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect


class Ear:
    """One socket. What comes is read only while something is waited for."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.heard: dict[int, list[Any]] = defaultdict(list)
        """Results of notifications by subscription, oldest first."""

    async def ask(self, method: str, *params: Any) -> Any:
        """The answer to a call that must succeed."""
        await self.say(method, *params)
        while "id" not in (message := await self._next()):
            pass
        assert "result" in message, message
        return message["result"]

    async def say(self, method: str, *params: Any) -> None:
        """Send a call and wait for nothing."""
        await self.socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}))

    async def slot(self, slot: int, subscription: int) -> None:
        """Listen until that slot subscription has told of the slot."""
        while not any(each["slot"] == slot for each in self.heard[subscription]):
            await self._next()

    async def everything(self, seconds: float = 0.2) -> list[Any]:
        """All that comes within so many seconds."""
        found = []
        try:
            async with asyncio.timeout(seconds):
                while True:
                    found.append(await self._next())
        except TimeoutError:
            return found

    async def _next(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            message: dict[str, Any] = json.loads(await self.socket.recv())
        if "method" in message:
            self.heard[message["params"]["subscription"]].append(message["params"]["result"])
        return message


@asynccontextmanager
async def listening(url: str, **options: Any) -> AsyncIterator[Ear]:
    """An open socket; `options` are those of the websockets client."""
    async with connect(url, **options) as socket:
        yield Ear(socket)
