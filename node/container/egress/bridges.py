"""The names of jobs' bridges, by which the packet filter knows what a job may reach, and what crossed them."""

from __future__ import annotations

import socket
from pathlib import Path

from node.records import STRICTNESS, Egress, NetworkUse

JOB_PREFIX = "gpn"
SEALED_PREFIX = "gpnx"
"""Bridges of jobs that reach nothing. After the prefix other jobs have a hexadecimal digit: no name is both."""
LISTED_PREFIX = "gpnl"
"""Bridges of jobs that reach what is listed."""

COUNTERS = Path("/proc/self/net/dev")
_LONGEST = 15  # Linux IFNAMSIZ less the closing zero
_PREFIXES = {Egress.OPEN: JOB_PREFIX, Egress.NONE: SEALED_PREFIX, Egress.LIST: LISTED_PREFIX}
_SENT_FIELD = 8


def bridge_name(network: str, egress: Egress) -> str:
    """The interface of a job's network (`gpn` and hexadecimal digits)."""
    return (_PREFIXES[egress] + network.removeprefix(JOB_PREFIX))[:_LONGEST]


def names_of(network: str) -> tuple[str, ...]:
    """All interfaces that this network may have, of which it has one."""
    return tuple(bridge_name(network, egress) for egress in Egress)


def is_kept_by(bridge: str, network: str, egress: Egress) -> bool:
    """Whether a network with this interface lets out no more than `egress`."""
    strict = STRICTNESS[STRICTNESS.index(egress) :]
    return bridge in {bridge_name(network, each) for each in strict}


def has_interface(name: str) -> bool:
    """Whether this process sees that interface: it is then in the same network as our packet filter."""
    return any(found == name for _, found in socket.if_nameindex())


def job_bridges() -> tuple[str, ...]:
    """The bridges of all jobs that are there now."""
    return tuple(sorted(name for _, name in socket.if_nameindex() if name.startswith(JOB_PREFIX)))


def network_use(network: str, counters: Path = COUNTERS) -> NetworkUse | None:
    """What has crossed the bridge of a network to and from its job since it was made; None where it cannot be seen.

    The kernel counts for the bridge itself, and asking costs one small read: no rule has to be there, no right to have.
    """
    try:
        lines = counters.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    bridges = names_of(network)
    for line in lines:
        name, colon, numbers = line.partition(":")
        if colon and name.strip() in bridges:
            fields = numbers.split()
            # What the bridge sends is what the job receives.
            return NetworkUse(received=int(fields[_SENT_FIELD]), sent=int(fields[0]))
    return None
