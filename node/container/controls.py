"""What may be done to one operation while it runs, beside ending its whole job."""

from __future__ import annotations

import asyncio

from node.container.stop import StopSignal
from node.records import EndCause


class OperationControls:
    """The controls of one call of `run_operation`. What is asked of them counts at once or as soon as it can; none
    of it waits, and none of it is refused: what makes sense when is known by who asks."""

    def __init__(self) -> None:
        self.signal = StopSignal()
        """The operation's own word to end."""
        self.reason = ""
        """Why it was stopped, for people."""
        self.timed_out = False
        """Whether its timeout has passed, and was the first reason to end it."""
        self._restart = asyncio.Event()

    def stop(self, reason: str = "") -> None:
        """End this operation alone; its status is then `stopped`. The first word stands."""
        if self.signal.cause is None:
            self.reason = reason
            self.signal.request(EndCause.STOPPED)

    def expire(self) -> None:
        """End this operation because its own timeout has passed: like one whose job has."""
        if self.signal.cause is None:
            self.timed_out = True
            self.signal.request(EndCause.EXPIRED)

    def restart(self) -> None:
        """End the container and run the operation anew in another one; what it has logged stays."""
        self._restart.set()

    @property
    def restarts(self) -> bool:
        """Whether it is to run anew and has not begun to."""
        return self._restart.is_set()

    @property
    def restart_asked(self) -> asyncio.Event:
        """Set while it is to run anew."""
        return self._restart

    def restarted(self) -> None:
        """It runs anew."""
        self._restart.clear()
