"""A block of neighbouring free ports for one real node."""

from __future__ import annotations

import contextlib
import random
import socket
from dataclasses import dataclass

_RANGE = 40
"""Ports the node's own sockets are taken from; it asks for 25 at least."""
_BLOCK = _RANGE + 5
_FIRST, _LAST = 10_000, 30_000
"""Below the ports that systems give to outgoing connections."""


@dataclass(frozen=True, slots=True)
class PortBlock:
    """Ports that were free a moment ago: RPC, its socket one higher, faucet, gossip, and a range for the rest."""

    base: int

    @property
    def rpc(self) -> int:
        return self.base

    @property
    def websocket(self) -> int:
        return self.base + 1

    def arguments(self) -> list[str]:
        """As the node's command line takes them."""
        first = self.base + 5
        return [
            *("--rpc-port", str(self.rpc)),
            *("--faucet-port", str(self.base + 2)),
            *("--gossip-port", str(self.base + 3)),
            *("--dynamic-port-range", f"{first}-{first + _RANGE - 1}"),
        ]


def free_block() -> PortBlock:
    """A block of which every port can be bound now, for TCP and UDP. Raises OSError where none is found."""
    for _ in range(200):
        base = random.randrange(_FIRST, _LAST - _BLOCK)
        if _all_free(range(base, base + _BLOCK)):
            return PortBlock(base)
    raise OSError(f"no {_BLOCK} neighbouring free ports between {_FIRST} and {_LAST}")


def _all_free(ports: range) -> bool:
    with contextlib.ExitStack() as stack:
        for port in ports:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                bound = stack.enter_context(socket.socket(socket.AF_INET, kind))
                try:
                    bound.bind(("0.0.0.0", port))
                except OSError:
                    return False
    return True
