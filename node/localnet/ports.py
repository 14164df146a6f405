"""Ports the chain listens on."""

from __future__ import annotations

import socket
from contextlib import suppress

from node.errors import LocalnetError

_ATTEMPTS = 20
_BACKLOG = 128


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens on the port, 0 for any free one. Raises LocalnetError where it cannot be had."""
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        # At once: until one of them listens, two processes can both bind a port whose address may be reused.
        found.listen(_BACKLOG)
    except OSError as error:
        found.close()
        raise LocalnetError(
            f"port {port} on {host} cannot be used: {error.strerror or error}",
            hint="Something else listens there, perhaps another localnet; stop it or choose another port.",
        ) from None
    return found


def bind_pair(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Sockets on the port and on the one after it; 0 looks for such a pair. Raises LocalnetError."""
    for _ in range(1 if port else _ATTEMPTS):
        first = bind(host, port)
        with suppress(LocalnetError, OverflowError):
            return first, bind(host, first.getsockname()[1] + 1)
        first.close()
    raise LocalnetError(
        f"the port after {port} on {host} cannot be used" if port else f"no two free ports in a row on {host}",
        hint="The socket for subscriptions needs the port after the RPC port; choose another RPC port.",
    )


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing listens on at the moment. Raises LocalnetError where there is none."""
    with bind(host, 0) as found:
        return int(found.getsockname()[1])
