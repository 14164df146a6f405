"""The addresses that no job may send to.

Source: IANA's registry of special-purpose IPv4 addresses, and what clouds document of their metadata services. IPv6 is
not here: jobs have none. A device at home has a global IPv6 address, which no list of ranges tells from a stranger's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from pathlib import Path

from node.errors import FilterError

Network = ipaddress.IPv4Network

CLOSED: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier's network; overlay networks; a cloud's metadata (100.100.100.200)"),
    ("127.0.0.0/8", "loopback"),
    ("168.63.129.16/32", "a cloud's host service at a public address"),
    ("169.254.0.0/16", "link-local; metadata (169.254.169.254)"),
    ("172.16.0.0/12", "private; where engines make their networks"),
    ("192.0.0.0/24", "protocol assignments; a cloud's metadata (192.0.0.192)"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "6to4 relays"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "measurements"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved, and broadcast"),
)
"""Network, and what it is."""

ROUTES = Path("/proc/self/net/route")
_UP, _REJECT = 0x0001, 0x0200
_WIDEST_ROUTE = 8
"""Routes to more than a /8 lead to the internet: the default route, and the halves that some tunnels put over it."""


def closed_networks() -> tuple[Network, ...]:
    """What is closed on every host, merged."""
    return merged(Network(text) for text, _ in CLOSED)


def neighbours(job_prefix: str, routes: Path = ROUTES) -> tuple[Network, ...]:
    """The public networks that this host stands in or has a route of its own to: an office's or a data centre's
    neighbours, a tunnel's other side. Raises FilterError."""
    found = []
    try:
        lines = routes.read_text(encoding="ascii").splitlines()[1:]
        for line in lines:
            device, destination, _gateway, flags, _, _, _, mask, *_ = line.split()
            network = Network((_address(destination), str(_address(mask))))
            is_route = int(flags, 16) & _UP and not int(flags, 16) & _REJECT
            if is_route and network.prefixlen >= _WIDEST_ROUTE and not device.startswith(job_prefix):
                found.append(network)
    except (OSError, ValueError) as error:
        raise FilterError(
            f"the routes of this host cannot be read: {error}", hint="see whether /proc is mounted"
        ) from None
    return without(merged(found), closed_networks())


def merged(networks: Iterable[Network]) -> tuple[Network, ...]:
    """The same addresses in as few networks as possible, in order."""
    return tuple(ipaddress.collapse_addresses(networks))


def without(networks: Iterable[Network], covered: Sequence[Network]) -> tuple[Network, ...]:
    """Those that are not wholly in a covered network already."""
    return tuple(each for each in networks if not any(each.subnet_of(wider) for wider in covered))


def _address(text: str) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(bytes.fromhex(text)[::-1])
