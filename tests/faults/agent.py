"""`python -m tests.faults.agent SETTINGS`: the real agent, which writes down every mark it passes, and dies or waits
at the one it is told (see order.py). Clean-up that would come in minutes comes in seconds.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
import threading
import time
from pathlib import Path

from node import marks
from node.agent import courier, housekeeping, lane, trail
from node.agent.logs import PlainFormatter, set_up_logging
from node.agent.stages import report
from node.agent.wiring import run_agent
from node.chain import outbox
from node.chain.delivery import Pace
from node.container.sweeper import Sweeper
from node.marks import Mark, When
from node.settings_source import load_settings
from tests.faults.order import Order, Post, appending

LONGEST_HOLD = 60.0
"""Seconds, should whoever holds the agent be gone."""


class Witness:
    """Listens to the marks of this process."""

    def __init__(self, post: Post, trace: int) -> None:
        self._post = post
        self._trace = trace
        self._lock = threading.Lock()
        self._number = 0
        self._passed = 0
        """How often the mark of that order was passed."""

    def __call__(self, mark: Mark, when: When) -> None:
        with self._lock:
            os.write(self._trace, f"{when} {mark}\n".encode())
            order = self._due(mark, when)
            if order is None:
                return
            self._post.take_back()
            if order.deed == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
        self._hold()

    def _due(self, mark: Mark, when: When) -> Order | None:
        order = self._post.order
        if order is None:
            return None
        if (order.position.mark, order.position.when) != (mark, when):
            return None
        if order.number == self._number:
            self._passed += 1
        else:
            # The first that this life hears of it: earlier lives have passed the mark as well.
            self._number, self._passed = order.number, self._post.times(order)
        return order if self._passed == order.position.occurrence else None

    def _hold(self) -> None:
        self._post.hold()
        until = time.monotonic() + LONGEST_HOLD
        while self._post.is_held and time.monotonic() < until:
            time.sleep(0.005)


def hasten() -> None:
    """Make what a running agent does after minutes happen after seconds; what it does stays the same."""
    changes: dict[object, dict[str, object]] = {
        housekeeping: {"Sweeper": functools.partial(Sweeper, grace=2.0), "SWEEP_EVERY": 1.0, "TIDY_EVERY": 1.0},
        lane: {"CHECK_AGAIN": 1.0},
        trail: {"TRY_AGAIN": 1.0},
        report: {"HEAD_START": 5.0},
        courier: {"IDLE": 0.5, "PAUSE": 0.1},
        outbox: {"Pace": functools.partial(Pace, tend=1.0)},
    }
    for module, values in changes.items():
        for name, value in values.items():
            assert hasattr(module, name), f"{module} has no {name} any more"
            setattr(module, name, value)


def main() -> None:
    """Be the agent until it is stopped, or killed."""
    settings = Path(sys.argv[1])
    set_up_logging(PlainFormatter())
    hasten()
    with appending(Post(settings.parent).trace) as trace:
        marks.listen(Witness(Post(settings.parent), trace))
        asyncio.run(run_agent(load_settings(settings, environment={})))


if __name__ == "__main__":
    main()
