"""How the doctor looks: every look in its own time, beside the others, and none that can end or hold up another."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from node.agent.finding import Finding
from node.errors import GpunodeError

log = logging.getLogger(__name__)

T = TypeVar("T")

WITHIN = 30.0
"""Seconds that a look may take. What it asks has shorter deadlines of its own; this is for what hangs all the same."""


@dataclass(frozen=True, slots=True)
class Look:
    """A look at one thing, or at several that belong together."""

    name: str
    """Of the row that says that the look failed, where it did."""
    see: Callable[[], Awaitable[Finding | Sequence[Finding]]]
    within: float = WITHIN


async def look_at_all(looks: Sequence[Look]) -> tuple[Finding, ...]:
    """All findings, in the order of the looks, which are taken side by side."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_take(look)) for look in looks]
    return tuple(finding for task in tasks for finding in task.result())


async def _take(look: Look) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(look.within) as deadline:
            found = await look.see()
    except GpunodeError as error:
        return (Finding(look.name, False, error.message, error.hint or "see the manual: deploy/README.md"),)
    except TimeoutError as error:
        if not deadline.expired():
            return (_failed(look, error),)
        return (
            Finding(look.name, False, f"no answer within {look.within:g} s", "see whether this host is overloaded"),
        )
    except Exception as error:
        log.debug("the look at %s failed", look.name, exc_info=True)
        return (_failed(look, error),)
    return (found,) if isinstance(found, Finding) else found


def _failed(look: Look, error: Exception) -> Finding:
    what = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    return Finding(look.name, False, f"the look itself failed ({what})", "report it as a bug, with this line")


async def aside(work: Callable[[], T]) -> T:
    """Run what blocks in a thread of its own, which nobody waits for when it is cancelled: a file system or a resolver
    that hangs must not keep the command from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(value)  # type: ignore[arg-type]

    def act() -> None:
        value: T | None = None
        caught: BaseException | None = None
        try:
            value = work()
        except BaseException as error:
            caught = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, value, caught)

    threading.Thread(target=act, name="look", daemon=True).start()
    return await done


class Once(Generic[T]):
    """What several looks need, asked for once by whoever comes first; all get the answer, or the same error."""

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._lock = asyncio.Lock()
        self._answers: list[T] = []
        self._error: GpunodeError | None = None

    async def __call__(self) -> T:
        """The answer. Raises the GpunodeError that asking ended with."""
        async with self._lock:
            if not self._answers and self._error is None:
                try:
                    self._answers.append(await self._ask())
                except GpunodeError as error:
                    self._error = error
        if self._error is not None:
            raise self._error
        return self._answers[0]

    async def or_none(self) -> T | None:
        """The answer; None where there is none, which a row of its own tells."""
        try:
            return await self()
        except GpunodeError:
            return None
