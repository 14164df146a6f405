"""The doctor's rows on how jobs' services, and the owner's API, are reached from outside."""

from __future__ import annotations

import asyncio
import errno
import socket

from node.agent.finding import Finding
from node.errors import GpunodeError
from node.service.frpc_config import read_token
from node.service.frpc_container import image_version
from node.service.frpc_process import binary_version, find_binary
from node.settings import Settings

REACH_SECONDS = 10.0
SERVICES = "services"
TUNNEL = "tunnel client"
SERVER = "tunnel server"


async def service_findings(settings: Settings) -> list[Finding]:
    """Rows for the tunnel that the settings choose; changes nothing."""
    mode = settings.service.tunnel
    if mode == "off":
        seen = "off: nobody reaches the services of jobs, nor owners the API"
        return [
            Finding(SERVICES, None, seen, "set service.tunnel: frp, or direct where this host has a public address")
        ]
    found = [_listener(settings)]
    if mode == "direct":
        return [*found, await _names(settings)]
    return [*found, await _client(settings), await _server(settings)]


def _listener(settings: Settings) -> Finding:
    """Whether the port is there to be taken, or taken already, as it is when the agent runs."""
    service = settings.service
    scheme, _, domain = service.public_url(settings.cluster).partition("://")
    seen = f"{service.tunnel}: {scheme}://ID.{domain}, listening on {service.host}:{service.port}"
    family = socket.AF_INET6 if ":" in service.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((service.host, service.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return Finding(SERVICES, True, f"{seen} (taken: by the agent, if it runs)")
            return Finding(SERVICES, False, f"{seen}: {error.strerror}", "correct service.host and service.port")
    return Finding(SERVICES, True, seen)


async def _names(settings: Settings) -> Finding:
    """Whether names below the domain lead anywhere."""
    domain = settings.service.domain(settings.cluster)
    name = f"gpunode-doctor.{domain}"
    if domain == "localhost":
        return Finding("service names", True, "*.localhost is this machine")
    try:
        async with asyncio.timeout(REACH_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError):
        return Finding(
            "service names", False, f"{name} has no address", f"make a DNS record *.{domain} that leads to this host"
        )
    addresses = sorted({str(each[4][0]) for each in found})
    return Finding("service names", True, f"*.{domain} leads to {', '.join(addresses)[:100]}")


async def _client(settings: Settings) -> Finding:
    frp = settings.service.frp
    try:
        read_token(frp.token_file)
        if frp.image:
            return Finding(TUNNEL, True, await image_version(frp.image, str(settings.engine.socket)))
        program = find_binary(frp.binary)
        return Finding(TUNNEL, True, f"{program}, frpc {await binary_version(program)}")
    except GpunodeError as error:
        return Finding(TUNNEL, False, error.message, error.hint)


async def _server(settings: Settings) -> Finding:
    frp = settings.service.frp
    host = frp.server or settings.service.domain(settings.cluster)
    fix = "see that this host's network lets connections out to it, or correct service.frp.server and service.frp.port"
    try:
        async with asyncio.timeout(REACH_SECONDS):
            _, writer = await asyncio.open_connection(host, frp.port)
    except TimeoutError:
        return Finding(SERVER, False, f"{host}:{frp.port} does not answer within {REACH_SECONDS:g} s", fix)
    except OSError as error:
        return Finding(SERVER, False, f"{host}:{frp.port} cannot be reached: {error.strerror or error}", fix)
    writer.close()
    return Finding(SERVER, True, f"{host}:{frp.port} answers")
