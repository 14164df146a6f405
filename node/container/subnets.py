"""Networks for jobs where the engine's own address pools are used up: they are enough for some thirty."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool

RESERVE = ipaddress.IPv4Network("10.213.0.0/16")
"""Where further networks are taken from, each with room for 62 addresses."""
_PREFIX = 26
_TRIES = 4
_USED_UP = ("non-overlapping", "fully subnetted")
_OVERLAPS = ("overlaps",)
_ROUTES = Path("/proc/net/route")
_UP = 1


def with_addresses(create: Callable[..., object], networks: Callable[[], list[dict[str, Any]]]) -> None:
    """Have a network made with addresses of the engine's choice, or where it has none left with some of the reserve's
    that no other network and no route of this host has. `create` is the engine's call, which may be given `ipam`;
    `networks` are all that there are. Raises what they raise."""
    try:
        create()
        return
    except APIError as error:
        if not _says(error, _USED_UP):
            raise
    for turn, subnet in enumerate(free_subnets(_taken(networks())), 1):
        pool = IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet))])
        try:
            create(ipam=pool)
            return
        except APIError as error:
            if turn == _TRIES or not _says(error, _OVERLAPS):
                raise


def free_subnets(taken: Iterable[ipaddress.IPv4Network]) -> Iterator[ipaddress.IPv4Network]:
    """Parts of the reserve that overlap nothing of what is taken."""
    near = [each for each in taken if each.overlaps(RESERVE)]
    for subnet in RESERVE.subnets(new_prefix=_PREFIX):
        if not any(subnet.overlaps(each) for each in near):
            yield subnet


def routes(text: str) -> list[ipaddress.IPv4Network]:
    """The networks that this host has routes to, of the kernel's table; not the default route."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or not int(fields[3], 16) & _UP:
            continue
        address, mask = (int.from_bytes(bytes.fromhex(fields[place]), "little") for place in (1, 7))
        if mask:
            found.append(ipaddress.IPv4Network((address & mask, mask.bit_count())))
    return found


def _taken(networks: list[dict[str, Any]]) -> list[ipaddress.IPv4Network]:
    taken = []
    for row in networks:
        for config in (row.get("IPAM") or {}).get("Config") or ():
            try:
                taken.append(ipaddress.IPv4Network(config.get("Subnet", ""), strict=False))
            except ValueError:
                continue  # IPv6, or none
    try:
        return taken + routes(_ROUTES.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return taken


def _says(error: APIError, words: tuple[str, ...]) -> bool:
    return any(word in str(error.explanation or error) for word in words)
