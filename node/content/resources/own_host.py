"""Public addresses that are closed all the same: this host's own, and those that its operator closes."""

from __future__ import annotations

import socket
from collections.abc import Collection, Sequence
from ipaddress import ip_address, ip_network

from node.public_network import AddressRefused, Resolve, system_addresses

_NOBODY_S = "192.0.2.1"
"""Of a network that is for documents only."""


def own_closed(denied: Collection[str], resolve: Resolve = system_addresses) -> Resolve:
    """Names as `resolve` has them, refused if one leads to this very host or into a network that is denied.

    What listens on a public address of the host trusts it no less than what listens on its private ones.
    """
    networks = tuple(ip_network(each) for each in denied)

    async def resolved(host: str, port: int) -> Sequence[str]:
        found = await resolve(host, port)
        for address in found:
            if any(ip_address(address.partition("%")[0]) in network for network in networks):
                raise AddressRefused(f"{host} leads to {address}, which network.deny closes")
            if _is_own(address):
                raise AddressRefused(f"{host} leads to {address}, which is this host")
        return found

    return resolved


def _is_own(address: str) -> bool:
    # Where a setting of the kernel lets any address be bound, this tells nothing.
    return _can_be_bound(address) and not _can_be_bound(_NOBODY_S)


def _can_be_bound(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
