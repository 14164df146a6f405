"""Ctrl-C and its kin for work that has something to put away first."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible(on_signal: Callable[[], None]) -> Iterator[None]:
    """The first signal calls `on_signal` and cancels the task at hand; the block then ends with KeyboardInterrupt.

    Signals that follow change nothing: what puts things away is not to be cut short by an impatient second Ctrl-C.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    came = False

    def ask() -> None:
        nonlocal came
        if not came:
            came = True
            on_signal()
            task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, ask)
    try:
        yield
    except asyncio.CancelledError:
        if came:
            raise KeyboardInterrupt from None
        raise
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
