"""Ports that operations expose, and the ids by which the world finds them (the network's client functions)."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from node.base58 import b58encode
from node.job.javascript import number_text, text_of
from node.plan_records import HealthCheck, HealthCheckKind, Service

MOST_PORTS = 256
"""Ports that one operation may expose."""
_PUBLIC, _PRIVATE = 44, 45
_SKIPPED = re.compile(r"%%(?:ops|globals)\.[^%]+%%")
"""Literals for which clients compute no id."""
_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Exposed:
    """A port as a definition, or its filled-in form, has it."""

    port: str
    health_checks: tuple[HealthCheck, ...] = ()
    checked: bool = False
    """Health checks are given, be it none."""
    value: Any = None
    """The port as it was written."""


def short_hash(text: str, length: int) -> str:
    """The network's short hash: the first characters of base58(SHA-512(UTF-8 text))."""
    return b58encode(hashlib.sha512(text.encode("utf-8", "surrogatepass")).digest())[:length]


def public_id(place: int | str, port: str, job: str) -> str:
    """Id of a public service. `place`: the operation's in the definition, from 0."""
    return short_hash(f"{place}:{port}:{job}", _PUBLIC)


def random_id() -> str:
    """Id of a private service."""
    return short_hash(secrets.token_bytes(_PRIVATE).hex(), _PRIVATE)


def derived_id(secret: str, port: str) -> str:
    """Id of a private service of which only the operation was known when the secret was drawn."""
    return short_hash(f"{secret}:{port}", _PRIVATE)


def deployment_key(deployment: str, project: str) -> str:
    """What all nodes that serve a deployment have in common."""
    return short_hash(f"{deployment}:{project}", _PRIVATE)


def deployment_endpoint(key: str, operation: str) -> str:
    """Id under which an operation of a deployment is reached, on whichever node."""
    return public_id(operation, "0", key)


def exposed_by_clients(expose: Any) -> tuple[Exposed, ...]:
    """The ports for which clients compute ids, from the definition as written."""
    return tuple(
        entry for entry in _entries(expose) if not (isinstance(entry.value, str) and _SKIPPED.fullmatch(entry.value))
    )


def exposed(expose: Any) -> tuple[Exposed, ...]:
    """The ports of an `expose` whose literals are filled in; each port once, what is no port left out."""
    found: dict[str, Exposed] = {}
    for entry in _entries(expose):
        if is_port(entry.port):
            found.setdefault(entry.port, entry)
    return tuple(found.values())


def is_port(text: str) -> bool:
    """A port from 1 to 65535, or a range `a-b` of them."""
    match = _PORT.fullmatch(text)
    if match is None:
        return False
    first, last = int(match[1]), int(match[2] or match[1])
    return 1 <= first <= last <= 65535


def health_checks(entries: Any) -> tuple[HealthCheck, ...]:
    """The health checks of an exposed port; what is none is left out."""
    return tuple(_checks(entries))


def public_services(place: int, job: str, ports: Sequence[Exposed]) -> tuple[Service, ...]:
    """One service per port, under the clients' ids."""
    return tuple(
        Service(public_id(place, each.port, job), each.port, health_checks=each.health_checks) for each in ports
    )


def _entries(expose: Any) -> Iterator[Exposed]:
    # A bare object is valid and exposes nothing, for clients as for nodes.
    listed = isinstance(expose, list | tuple)
    if not listed and (isinstance(expose, Mapping) or not expose):
        return
    for item in expose if listed else (expose,):
        if isinstance(item, Mapping):
            port, given = item.get("port"), item.get("health_checks")
            if _is_port_value(port):
                yield Exposed(_text(port), health_checks(given), checked=bool(given) or given == [], value=port)
        elif _is_port_value(item):
            yield Exposed(_text(item), value=item)


def _is_port_value(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _text(port: Any) -> str:
    return number_text(port) if isinstance(port, int | float) else str(port)


def _checks(entries: Any) -> Iterator[HealthCheck]:
    for entry in entries if isinstance(entries, list | tuple) else ():
        if not isinstance(entry, Mapping):
            continue
        kind, continuous = entry.get("type"), entry.get("continuous") is True
        restarts = entry.get("restart_on_failure") is True
        if kind == "http":
            headers = entry.get("headers")
            yield HealthCheck(
                HealthCheckKind.HTTP,
                continuous,
                restarts,
                path=text_of(entry.get("path", "/")),
                method=text_of(entry.get("method", "GET")),
                headers=tuple((key, text_of(value)) for key, value in headers.items())
                if isinstance(headers, Mapping)
                else (),
                body=entry.get("body"),
                expected_status=_status(entry.get("expected_status")),
            )
        elif kind == "websocket":
            expected = text_of(entry.get("expected_response", ""))
            yield HealthCheck(HealthCheckKind.WEBSOCKET, continuous, restarts, expected_response=expected)


def _status(value: Any) -> int:
    # A status that is none, such as 200.5, is never the one that a server answers with.
    return int(value) if isinstance(value, int | float) and value == int(value) and 0 <= value < 1000 else 0
