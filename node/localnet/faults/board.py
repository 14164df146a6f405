"""Which faults are set, since when, and how often each has happened."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from node.errors import LocalnetError
from node.localnet.faults.kinds import Fault
from node.localnet.faults.reading import fault_json

F = TypeVar("F", bound=Fault)
_REMEMBERED = 100
"""Faults that are over and still listed."""


class Applied(Generic[F]):
    """A fault that was set: `number` names it, `hits` counts how often it has happened."""

    def __init__(self, number: int, fault: F, begins: float) -> None:
        self.number = number
        self.fault = fault
        self.begins = begins
        self.hits = 0
        self.begun = False
        self.over = False
        """Cleared, used up, or its time has passed."""
        self.cleared = asyncio.Event()
        """Set when it is cleared before it is used up: whatever waits because of it goes on."""
        self._random = random.Random(fault.seed)  # noqa: S311 (which requests fail is no secret)

    @property
    def ends(self) -> float:
        """Monotonic seconds."""
        return float("inf") if self.fault.lasts is None else self.begins + self.fault.lasts

    @property
    def left(self) -> int | None:
        """How often it may still happen; None: no limit."""
        return None if self.fault.count is None else self.fault.count - self.hits

    def drawn(self) -> bool:
        """Whether this occasion is among the share that is hit."""
        return self.fault.share >= 1 or self._random.random() < self.fault.share


class Board:
    """The faults by number. `monotonic` gives the chain's seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._numbers = itertools.count(1)
        self._set: dict[int, Applied[Any]] = {}
        self._ended: deque[Applied[Any]] = deque(maxlen=_REMEMBERED)
        self.on_end: list[Callable[[Applied[Any]], None]] = []
        """Called with each fault that is over, once."""

    @property
    def empty(self) -> bool:
        """Whether nothing is set, also nothing that has yet to begin."""
        return not self._set

    def add(self, fault: F) -> Applied[F]:
        """Set a fault; it begins after its time."""
        applied = Applied(next(self._numbers), fault, self._monotonic() + fault.after)
        self._set[applied.number] = applied
        return applied

    def remove(self, number: int) -> Applied[Any]:
        """Clear a fault. Raises LocalnetError where none has the number."""
        applied = self._set.pop(number, None)
        if applied is None:
            raise LocalnetError(f"no fault has the number {number}", hint="`gpunode localnet faults list` shows them.")
        applied.over = True
        if applied.left != 0:
            applied.cleared.set()
        self._ended.append(applied)
        for tell in self.on_end:
            tell(applied)
        return applied

    def numbers(self) -> list[int]:
        """Of all that are set, oldest first."""
        return list(self._set)

    def begin(self) -> list[Applied[Any]]:
        """Faults whose time has come since the last look."""
        now = self._monotonic()
        found = [applied for applied in self._set.values() if not applied.begun and applied.begins <= now]
        for applied in found:
            applied.begun = True
        return found

    def expire(self) -> None:
        """End what has had its time."""
        now = self._monotonic()
        for applied in [each for each in self._set.values() if now >= each.ends]:
            self.remove(applied.number)

    def live(self, kind: type[F], endpoint: int | None = None) -> Iterator[Applied[F]]:
        """Faults of a kind that hold now at the endpoint (None: whatever endpoint they name), oldest first."""
        now = self._monotonic()
        for applied in list(self._set.values()):
            if (
                isinstance(applied.fault, kind)
                and applied.begins <= now < applied.ends
                and applied.left != 0
                and (endpoint is None or applied.fault.endpoint in (None, endpoint))
            ):
                yield applied

    def use(self, applied: Applied[Any]) -> None:
        """It has happened once more; a fault that is used up is over."""
        applied.hits += 1
        if applied.left == 0 and not applied.fault.kept:
            self.remove(applied.number)

    def take(self, applied: Applied[Any]) -> bool:
        """Whether it happens on this occasion; if so it is counted."""
        if not applied.drawn():
            return False
        self.use(applied)
        return True

    def json(self) -> dict[str, Any]:
        """`faults`: those that are set; `ended`: the newest of those that are over."""
        return {
            "faults": [self._entry(applied) for applied in self._set.values()],
            "ended": [self._entry(applied) for applied in self._ended],
        }

    def _entry(self, applied: Applied[Any]) -> dict[str, Any]:
        now = self._monotonic()
        body = {"id": applied.number, **fault_json(applied.fault), "hits": applied.hits}
        if applied.over:
            return body
        if applied.left is not None:
            body["left"] = applied.left
        if now < applied.begins:
            body["begins_in"] = round(applied.begins - now, 3)
        if applied.fault.lasts is not None:
            body["ends_in"] = round(applied.ends - now, 3)
        return body
