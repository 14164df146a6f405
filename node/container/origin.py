"""Where the images of a job come from: a poster names the registry, and the engine goes there.

The engine resolves the name by itself, later: this keeps it from addresses written out and from names of a private
network, not from a name that changes between the two. What answers must still speak a registry's protocol over TLS.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import httpx

from node.container.manifest import DEFAULT_REGISTRY, place_of
from node.container.reference import is_reference
from node.loopback import is_loopback
from node.public_network import AddressRefused, Exempt, Resolve, is_public, system_addresses

PATIENCE = 5.0
"""Seconds for the resolver."""


def exempt_registries(names: Iterable[str]) -> Exempt:
    """Registries that the operator allows, each as `host` or `host:port`."""
    allowed = frozenset(names)
    return lambda host, port: host in allowed or f"{host}:{port}" in allowed


def local_registries(host: str, _port: int) -> bool:
    """On a localnet, where posters are on this machine: its own registries."""
    return is_loopback(f"http://[{host}]" if ":" in host else f"http://{host}")


@dataclass(frozen=True, slots=True)
class Origins:
    """Looks at the registries of images before the engine is sent there."""

    exempt: Exempt
    resolve: Resolve = system_addresses

    async def trouble(self, images: Sequence[str]) -> str:
        """Why one of the images may not be fetched; empty where all may, or nothing can be said."""
        for image in images:
            if not is_reference(image):
                continue
            url = httpx.URL(place_of(image)[0])
            port = url.port or (80 if url.scheme == "http" else 443)
            if url.host == DEFAULT_REGISTRY or self.exempt(url.host, port):
                continue
            try:
                async with asyncio.timeout(PATIENCE):
                    found = await self.resolve(url.host, port)
            except (OSError, UnicodeError, AddressRefused, TimeoutError):
                # The image may be here already; if not, the engine will say that it cannot be had.
                continue
            bad = next((address for address in found if not is_public(address)), None)
            if bad is not None:
                return f"image {image} would be fetched from {bad}, which is not of the public internet"
        return ""
