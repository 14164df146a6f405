"""What the service manager is told: the protocol of systemd's sd_notify(3), without its library.

One datagram of `KEY=VALUE` lines to the socket named by NOTIFY_SOCKET. Telling is never waited for and never fails:
a manager that does not listen must not stop the agent.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass

log = logging.getLogger(__name__)

_MOST_STATUS = 500
"""Characters of a status line; the manager shows the beginning."""


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """Who started the agent, if it wants to hear of it."""

    address: str | bytes | None = None
    """Where it listens: a path, or bytes with a leading zero for an abstract socket; None: it does not."""
    patience: float | None = None
    """Seconds without a sign of life after which it ends the agent; None: it does not look."""

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> ServiceManager:
        """As the environment names it; the variables are taken out, for no child of the agent's is the service."""
        where = environment.pop("NOTIFY_SOCKET", "")
        microseconds = environment.pop("WATCHDOG_USEC", "")
        process = environment.pop("WATCHDOG_PID", "")
        watched = microseconds.isdecimal() and int(microseconds) > 0 and process in ("", str(os.getpid()))
        return cls(_address(where), int(microseconds) / 1e6 if watched else None)

    def ready(self, status: str) -> None:
        """The agent serves."""
        self._tell("READY=1", _status(status))

    def alive(self, status: str) -> None:
        """A sign of life, with what the agent is doing."""
        self._tell("WATCHDOG=1", _status(status))

    def status(self, status: str) -> None:
        """What the agent is doing; no sign of life."""
        self._tell(_status(status))

    def stopping(self) -> None:
        """The agent is about to end."""
        self._tell("STOPPING=1", _status("detaching: containers run on"))

    def _tell(self, *lines: str) -> None:
        if self.address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as own:
                own.sendto("\n".join(lines).encode("utf-8", "replace"), self.address)
        except OSError as error:
            log.debug("the service manager does not listen: %s", error)


def _address(where: str) -> str | bytes | None:
    if where.startswith("@"):
        # An abstract socket, whose name begins with a zero byte.
        return b"\0" + os.fsencode(where[1:])
    return where if where.startswith("/") else None


def _status(text: str) -> str:
    """One line, whatever the text holds: a line more would be another word to the manager."""
    return "STATUS=" + " ".join(text.split())[:_MOST_STATUS]
