"""Waiting for an outage to end, and errors out of task groups."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from node.errors import GpunodeError
from node.retry import Clock, Retry

T = TypeVar("T")


async def patiently(
    function: Callable[[], Awaitable[T]],
    *,
    on: tuple[type[GpunodeError], ...],
    waits: Retry,
    clock: Clock,
    on_trouble: Callable[[GpunodeError], None],
) -> T:
    """Await `function()` until it succeeds, however long that takes; only the growing waits of `waits` are used.

    For what must not be given up: an upload or a settlement whose failure would lose a job's pay.
    """
    failures = 0
    while True:
        try:
            return await function()
        except on as error:
            on_trouble(error)
            # Bounded, because the wait grows with a power of the number of failures.
            pause = waits.wait(min(failures, 10))
            failures += 1
        await clock.sleep(pause)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Let the first error of a task group out as itself, so that callers can catch it by its class."""
    try:
        yield
    except BaseExceptionGroup as group:
        leaf: BaseException = group
        while isinstance(leaf, BaseExceptionGroup):
            leaf = leaf.exceptions[0]
        raise leaf from None
