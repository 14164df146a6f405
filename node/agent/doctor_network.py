"""The doctor's row on the packet filter between jobs and this host's network."""

from __future__ import annotations

import asyncio

from node.agent.finding import Finding
from node.container.egress.firewall import Presence
from node.container.egress.fitting import network_firewall
from node.errors import FilterError
from node.settings import Settings

_INSTALL = "sudo gpunode firewall install; the agent does so by itself where it runs as root or has CAP_NET_ADMIN"


async def network_finding(settings: Settings) -> Finding:
    """How the table in the kernel stands; changes nothing."""
    network = settings.network
    name = "packet filter"
    if network.filter == "off":
        return Finding(name, None, "off: jobs reach whatever this host reaches", "set network.filter: required")
    try:
        standing = await asyncio.to_thread(network_firewall(network).check)
    except FilterError as error:
        return Finding(name, False, error.message, error.hint)
    if standing.presence is not Presence.PRESENT:
        return Finding(name, False, standing.reason, _INSTALL)
    asked = ", ".join(network.resolvers)
    return Finding(name, True, f"in place; egress {network.egress.value}, jobs ask {asked} for names")
