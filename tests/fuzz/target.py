"""What is fuzzed, and what counts as a finding."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from node.errors import GpunodeError

CASE_SECONDS = 5
"""Processor seconds that one case may take, on a slow machine as well."""


class TooSlow(BaseException):
    """A case took longer than CASE_SECONDS. Not an Exception, so that no handler of what is tested swallows it."""


@dataclass(frozen=True)
class Target:
    """Code that takes what strangers send.

    `run` feeds it one case: it returns (the case is valid), or raises one of `refusals`. Whatever else comes out of it,
    an assertion about the outcome included, is a finding.
    """

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], tuple[bytes, ...]]
    """Valid cases, from which others are made."""
    refusals: tuple[type[Exception], ...] = (GpunodeError,)

    def refuses(self, case: bytes) -> bool:
        """Feed it one case; whether it was refused. Raises what is a finding."""
        with _limited():
            try:
                self.run(case)
            except self.refusals as error:
                _assert_presentable(error)
                return True
        return False


def _assert_presentable(error: Exception) -> None:
    """Our errors are for people: one line, of a bounded length, that any terminal and log can take."""
    if isinstance(error, GpunodeError):
        assert len(error.message) < 20_000, f"a message of {len(error.message)} characters"
        (error.message + error.hint).encode()


@contextmanager
def _limited() -> Iterator[None]:
    def late(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"more than {CASE_SECONDS} s")

    before = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, CASE_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
