"""What a test asks of an agent process, through files beside its settings: to write marks down, to die, to wait."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from node.marks import Mark, When

TRACE = "marks.trace"
ARMED = "armed.json"
HELD = "held"


@dataclass(frozen=True, slots=True)
class Position:
    """The `occurrence`-th time, from 1, that something is about to happen or has happened."""

    mark: Mark
    when: When
    occurrence: int = 1

    def __str__(self) -> str:
        return f"{self.when} {self.mark}#{self.occurrence}"


@dataclass(frozen=True, slots=True)
class Order:
    """What the agent does at a position, counted from when the order is given, in whichever life; orders are told
    apart by `number`."""

    number: int
    position: Position
    since: int
    """Bytes of the trace when it was given."""
    deed: Literal["kill", "hold"] = "kill"


class Post:
    """Both ends of the exchange, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.trace = folder / TRACE
        self._armed = folder / ARMED
        self._held = folder / HELD
        self._number = 0

    # --- the test's end

    def give(self, position: Position, deed: Literal["kill", "hold"] = "kill") -> None:
        """Arm the agent. An order stands until it was carried out or taken back, through restarts too."""
        self._number += 1
        written = self._armed.with_suffix(".new")
        written.write_text(json.dumps(asdict(Order(self._number, position, self.length, deed))))
        written.replace(self._armed)

    def take_back(self) -> bool:
        """Whether the order was still standing; it is not any more, and nobody is held."""
        with suppress(FileNotFoundError):
            self._held.unlink()
        try:
            self._armed.unlink()
        except FileNotFoundError:
            return False
        return True

    @property
    def is_held(self) -> bool:
        """Whether the agent waits at the position."""
        return self._held.exists()

    def release(self) -> None:
        """Let it go on."""
        self._held.unlink(missing_ok=True)

    @property
    def length(self) -> int:
        """Bytes of the trace so far."""
        return self.trace.stat().st_size if self.trace.exists() else 0

    def passed(self, since: int = 0) -> list[Position]:
        """What was passed from that byte of the trace on, counted from there."""
        if not self.trace.exists():
            return []
        return list(numbered(self.trace.read_bytes()[since:].decode().splitlines()))

    # --- the agent's end

    def times(self, order: Order) -> int:
        """How often its mark was passed since it was given, in all lives."""
        line = f"{order.position.when} {order.position.mark}"
        return self.trace.read_bytes()[order.since :].decode().splitlines().count(line)

    @property
    def order(self) -> Order | None:
        """What stands."""
        try:
            known = json.loads(self._armed.read_text())
        except FileNotFoundError:
            return None
        at = known["position"]
        position = Position(Mark(at["mark"]), at["when"], at["occurrence"])
        return Order(known["number"], position, known["since"], known["deed"])

    def hold(self) -> None:
        """Say that the position is reached; `is_held` until somebody releases it."""
        self._held.touch()


def numbered(lines: Iterable[str]) -> Iterator[Position]:
    """Positions of lines such as `before journal.stage`."""
    seen: dict[tuple[str, str], int] = {}
    for line in lines:
        when, _, mark = line.partition(" ")
        seen[when, mark] = seen.get((when, mark), 0) + 1
        yield Position(Mark(mark), "before" if when == "before" else "after", seen[when, mark])


@contextmanager
def appending(path: Path) -> Iterator[int]:
    """A descriptor whose writes survive the death of the process that made them."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
