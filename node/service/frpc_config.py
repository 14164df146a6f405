"""What frpc is told: one file, for this user's eyes only, written anew whenever services come and go."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from node.errors import ServiceError, WalletError
from node.private_file import read_private
from node.records import Address
from node.service.table import Entry, ServiceStatus

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_ID = 60
_TOKEN_BYTES = 4096
_TOKEN_MODES = frozenset((0o600, 0o400))
ADMIN_USER = "gpunode"


@dataclass(frozen=True, slots=True)
class FrpProxy:
    """One name at the server that leads to our listener."""

    name: str
    domain: str
    group: str = ""
    """Proxies of several hosts with the same group and key share their domain in turn; empty: it is ours alone."""
    group_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class FrpServer:
    """Where frpc connects to."""

    host: str
    port: int
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Admin:
    """frpc's own door, on this machine, by which it is told to read its file again."""

    port: int
    password: str = field(repr=False)


def wanted_proxies(entries: Iterable[Entry], nodes: Sequence[Address], domain: str) -> tuple[FrpProxy, ...]:
    """The names that must exist now, as the Nosana node calls them.

    An operation of a deployment shares a name with its like on other hosts while its service is not OFFLINE (with
    health checks: once they have passed). frpc could ask the service itself, but it follows redirects, to wherever a
    job likes on this host's network.
    """
    found = [FrpProxy(f"API-{node}", f"{node}.{domain}") for node in nodes]
    shared: set[str] = set()
    for entry in entries:
        safe = _UNSAFE.sub("_", entry.op_id)[:_LONGEST_ID]
        found.append(FrpProxy(f"{entry.id}-{safe}", f"{entry.id}.{domain}"))
        if entry.deployment and entry.deployment not in shared and _serves(entry):
            shared.add(entry.deployment)
            found.append(
                FrpProxy(
                    f"{entry.id}-{safe}-deployment",
                    f"{entry.deployment}.{domain}",
                    f"{entry.deployment}-{entry.text or entry.port}",
                    entry.group_key,
                )
            )
    return tuple(found)


def _serves(entry: Entry) -> bool:
    if not entry.address:
        return False
    return entry.status is ServiceStatus.ONLINE if entry.checked else entry.status is not ServiceStatus.OFFLINE


def config_text(server: FrpServer, admin: Admin, local: tuple[str, int], proxies: Sequence[FrpProxy]) -> str:
    """frpc's configuration (TOML). `local`: address and port of our listener."""
    lines = [
        f"serverAddr = {_text(server.host)}",
        f"serverPort = {server.port}",
        # It tries on by itself; only its death is ours to mend.
        "loginFailExit = false",
        'log.to = "console"',
        'log.level = "info"',
        "log.disablePrintColor = true",
        'webServer.addr = "127.0.0.1"',
        f"webServer.port = {admin.port}",
        f"webServer.user = {_text(ADMIN_USER)}",
        f"webServer.password = {_text(admin.password)}",
    ]
    if server.token:
        lines += ['auth.method = "token"', f"auth.token = {_text(server.token)}"]
    for proxy in proxies:
        lines += [
            "",
            "[[proxies]]",
            f"name = {_text(proxy.name)}",
            'type = "http"',
            f"localIP = {_text(local[0])}",
            f"localPort = {local[1]}",
            f"customDomains = [{_text(proxy.domain)}]",
        ]
        if proxy.group:
            lines += [
                f"loadBalancer.group = {_text(proxy.group)}",
                f"loadBalancer.groupKey = {_text(proxy.group_key)}",
            ]
    return "\n".join(lines) + "\n"


def read_token(file: Path | None) -> str:
    """The server's token; empty where no file is named. Raises ServiceError."""
    if file is None:
        return ""
    try:
        raw = read_private(file.expanduser(), limit=_TOKEN_BYTES, modes=_TOKEN_MODES, what="token file")
        token = raw.decode().strip()
    except WalletError as error:
        raise ServiceError(error.message, hint=error.hint or "correct service.frp.token_file") from None
    except UnicodeDecodeError:
        token = ""
    if not token or len(raw) > _TOKEN_BYTES:
        raise ServiceError(f"{file} holds no token", hint="correct service.frp.token_file")
    return token


def _text(value: str) -> str:
    """A TOML string. Braces are escaped too: frpc takes the file for a template before it reads it."""
    plain = (each if each.isascii() and each.isprintable() and each not in '"\\{}' else _escape(each) for each in value)
    return f'"{"".join(plain)}"'


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04X}" if number <= 0xFFFF else f"\\U{number:08X}"


def write_config(path: Path, text: str) -> None:
    """Put the file in its place, whole or not at all, mode 0600. Raises ServiceError."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        part.replace(path)
    except OSError as error:
        raise ServiceError(
            f"{path}: frpc's configuration cannot be written: {error.strerror}", hint="check the data folder"
        ) from None
