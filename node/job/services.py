"""The services of an operation: which ids lead to which of its ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from node.errors import LiteralUnresolved
from node.job.exposure import (
    MOST_PORTS,
    Exposed,
    deployment_endpoint,
    deployment_key,
    derived_id,
    exposed,
    exposed_by_clients,
    is_port,
    public_id,
    random_id,
)
from node.job.literals import literals_in
from node.job.markers import interpolate
from node.job.store import Store
from node.plan_records import Service


@dataclass(frozen=True, slots=True)
class Exposure:
    """What decides an operation's services, beside its ports."""

    place: int
    """The operation's in the definition, from 0."""
    operation: str
    """Its id."""
    job: str
    expose: Any
    """As the definition has it."""
    private: bool = False
    deployment: str = ""
    project: str = ""


def first_services(exposure: Exposure, store: Store) -> tuple[Service, ...]:
    """The services of those ports that a store says.

    For the others a private operation gets one service whose port is a literal still: the secret that the ids of its
    real ports are made of, so that they are the same whenever it is completed.
    """
    ports, literal = known_ports(exposure.expose, store)
    secret = (Service(random_id(), literal, private=True),) if literal and exposure.private else ()
    return (*late_services(exposure, ports, store, secret), *secret)


def known_ports(expose: Any, store: Store) -> tuple[tuple[Exposed, ...], str]:
    """The ports of an `expose` that a store says, and a literal for which it says nothing; empty: it says all."""
    ports: dict[str, Exposed] = {}
    literal = ""
    for entry in expose if isinstance(expose, list) else (expose,):
        try:
            found = exposed(interpolate({"expose": [entry] if expose is not entry else entry}, store).get("expose"))
        except LiteralUnresolved:
            literal = literal or next(literals_in(entry), "")
            continue
        for port in found:
            ports.setdefault(port.port, port)
        if len(ports) > MOST_PORTS:
            # Too many for any plan: how many more there are does not matter.
            break
    return tuple(ports.values()), literal


def late_services(
    exposure: Exposure, ports: Sequence[Exposed], store: Store, first: Sequence[Service]
) -> tuple[Service, ...]:
    """The services of an operation whose ports are known. `first`: what `first_services` gave, whose ids stay."""
    if not exposure.private:
        return _with_deployment(_public(exposure, ports, store), exposure)
    known = {service.port: service.id for service in first}
    secret = next((service.id for service in first if not is_port(service.port)), "")

    def id_of(port: str) -> str:
        return known.get(port) or (derived_id(secret, port) if secret else random_id())

    made = tuple(Service(id_of(each.port), each.port, True, each.health_checks) for each in ports)
    return _with_deployment(made, exposure)


def host_names(services: Sequence[Service], domain: str) -> dict[str, str]:
    """Port -> host name, as literals give it; the first where several ids lead to one port."""
    names: dict[str, str] = {}
    for service in services:
        if is_port(service.port):
            names.setdefault(service.port, f"{service.id}.{domain}")
    return names


def shared_id(exposure: Exposure) -> str:
    """The id that an operation shares with others of its deployment; empty without a deployment."""
    if not exposure.deployment or not exposure.project:
        return ""
    return deployment_endpoint(deployment_key(exposure.deployment, exposure.project), exposure.operation)


def _public(exposure: Exposure, ports: Sequence[Exposed], store: Store) -> tuple[Service, ...]:
    made = {each.port: _service(public_id(exposure.place, each.port, exposure.job), each) for each in ports}
    # Clients compute ids before they fill in literals; so a port is found by the text of its literal as well.
    ids = {service.id for service in made.values()}
    for entry in exposed_by_clients(exposure.expose)[:MOST_PORTS]:
        port = meant_port(entry, store)
        id_ = public_id(exposure.place, entry.port, exposure.job)
        if port in made and id_ not in ids:
            made[f"{port} as {entry.port}"] = Service(id_, port)
    return tuple(made.values())


def meant_port(entry: Exposed, store: Store) -> str:
    """The port, or the first, that a client's entry comes to mean."""
    if not any(True for _ in literals_in(entry.port)):
        return entry.port
    try:
        ports = exposed(interpolate({"expose": [entry.port]}, store).get("expose"))
    except LiteralUnresolved:
        return ""
    return ports[0].port if ports else ""


def _service(id_: str, port: Exposed) -> Service:
    return Service(id_, port.port, health_checks=port.health_checks)


def _with_deployment(services: tuple[Service, ...], exposure: Exposure) -> tuple[Service, ...]:
    shared = shared_id(exposure)
    if not shared:
        return services
    key = deployment_key(exposure.deployment, exposure.project)
    return tuple(replace(service, deployment=shared, group_key=key) for service in services)


def exposure_of(document: Mapping[str, Any], place: int, job: str, project: str) -> Exposure:
    """What decides the services of the operation at a place of a definition."""
    operation = document["ops"][place]
    args = operation.get("args")
    args = args if isinstance(args, Mapping) else {}
    deployment = document.get("deployment_id")
    return Exposure(
        place=place,
        operation=str(operation.get("id", "")),
        job=job,
        expose=args.get("expose") if operation.get("type") == "container/run" else None,
        private=args.get("private") is True,
        deployment=deployment if isinstance(deployment, str) else "",
        project=project,
    )
