"""Connections to this very machine, which go past the proxies of the environment: those are for the network."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

HOSTS = ("127.0.0.1", "localhost", "[::1]")
DIRECT: dict[str, httpx.AsyncBaseTransport | None] = {f"all://{host}": None for host in HOSTS}
"""`mounts` of an HTTP client that may speak to this machine: no proxy for these hosts."""


def is_loopback(url: str) -> bool:
    """Whether an address leads to this machine."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False  # no address at all; who connects to it says so
    return host is not None and (host in ("localhost", "::1") or host.startswith("127."))
