"""Iterating and sending under the clock: silence is noticed, and who does not read is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from enum import Enum
from typing import TypeVar

T = TypeVar("T")

SEND_PATIENCE = 20.0
"""Seconds for a client to take what is sent to it."""


class Silence(Enum):
    """Nothing came for a while."""

    SILENCE = "silence"


SILENCE = Silence.SILENCE


class TooSlow(Exception):
    """A client does not read what is sent to it."""


async def with_silence(items: AsyncIterator[T], seconds: float) -> AsyncGenerator[T | Silence, None]:
    """The items, and SILENCE whenever none came for so long. The iterator is not disturbed by waiting."""
    waiting: asyncio.Future[T] | None = None
    try:
        while True:
            if waiting is None:
                waiting = asyncio.ensure_future(_next(items))
            done, _ = await asyncio.wait((waiting,), timeout=seconds)
            if not done:
                yield SILENCE
                continue
            try:
                item = waiting.result()
            except StopAsyncIteration:
                return
            finally:
                waiting = None
            yield item
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items)


async def sent(sending: Awaitable[None], patience: float = SEND_PATIENCE) -> None:
    """Wait until a client has taken what is sent. Raises TooSlow."""
    try:
        async with asyncio.timeout(patience):
            await sending
    except TimeoutError:
        raise TooSlow from None
