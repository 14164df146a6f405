"""How long something takes: as many times as fit, after one that does not count."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

LEAST = 3
Clock = Callable[[], float]


def best_seconds(work: Callable[[], object], budget: float, clock: Clock = time.perf_counter) -> float:
    """Seconds of one `work()`, the shortest time: what the device can do when nothing else disturbs it."""
    return min(_taken(work, budget, clock))


def median_seconds(work: Callable[[], object], budget: float, clock: Clock = time.perf_counter) -> float:
    """Seconds of one `work()`, the median: what a user waits for."""
    return statistics.median(_taken(work, budget, clock))


def _taken(work: Callable[[], object], budget: float, clock: Clock) -> list[float]:
    """Of at least three, and of as many as end within `budget` seconds."""
    work()
    taken: list[float] = []
    began = clock()
    while len(taken) < LEAST or clock() - began < budget:
        start = clock()
        work()
        taken.append(clock() - start)
    return taken
