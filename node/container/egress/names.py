"""The addresses behind names in `network.allow`, put into the packet filter for as long as they are in use."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Self

from node.container.egress.nft import Nft
from node.container.egress.ruleset import FAMILY, NAMED_PORTS_SET, NAMED_SET, TABLE
from node.retry import Clock
from node.settings_network import NetworkSettings, parse_place

log = logging.getLogger(__name__)

EVERY = 60.0
"""Seconds between two looks at the same names."""
KEPT = 3600
"""Seconds for which an address stays after it was last seen: programs remember addresses for a while."""

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""The IPv4 addresses of a name; raises OSError."""


class ListedNames:
    """Looks the names up, and tells the packet filter."""

    def __init__(
        self,
        places: Sequence[tuple[str, int | None]],
        clock: Clock,
        nft: Nft | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        """`places`: names, with a port where only that one is meant."""
        self._places = tuple(places)
        self._clock = clock
        self._nft = nft or Nft()
        self._resolve = resolve or _ask_host
        self._looked_at = float("-inf")

    @classmethod
    def of(cls, settings: NetworkSettings, clock: Clock) -> Self | None:
        """For the names of the settings; None where there are none."""
        places = [(place, port) for place, port in map(parse_place, settings.allow) if isinstance(place, str)]
        return cls(places, clock) if places else None

    def is_due(self, is_emptied: bool) -> bool:
        """Whether to look again: the sets are empty, or it is time."""
        return is_emptied or self._clock.monotonic() - self._looked_at >= EVERY

    async def refresh(self) -> None:
        """Look all names up and keep what was found. A name that cannot be found keeps its addresses for a while; it
        opens nothing. Raises FilterError."""
        elements: dict[str, set[str]] = {NAMED_SET: set(), NAMED_PORTS_SET: set()}
        for name, port in self._places:
            try:
                addresses = await self._resolve(name)
            except OSError as error:
                log.warning("network.allow: %s cannot be found: %s", name, error)
                continue
            public = [address for address in addresses if ipaddress.IPv4Address(address).is_global]
            if port is None:
                elements[NAMED_SET].update(public)
            else:
                elements[NAMED_PORTS_SET].update(f"{address} . {port}" for address in public)
        await asyncio.to_thread(self._nft.load, "".join(_renewed(name, found) for name, found in elements.items()))
        self._looked_at = self._clock.monotonic()


def _renewed(name: str, elements: set[str]) -> str:
    # Added, removed and added again in one transaction: an element that is there keeps its old time otherwise.
    if not elements:
        return ""
    fresh = ", ".join(f"{element} timeout {KEPT}s" for element in sorted(elements))
    place = f"element {FAMILY} {TABLE} {name}"
    return f"add {place} {{ {fresh} }}\ndelete {place} {{ {', '.join(sorted(elements))} }}\nadd {place} {{ {fresh} }}\n"


async def _ask_host(name: str) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(name, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]
