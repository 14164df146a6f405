"""What literals stand for before anything has run: the job's facts, and the names of its operations and services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node.errors import LiteralUnresolved
from node.job.markers import interpolate
from node.job.models import Definition
from node.job.services import exposure_of, first_services, host_names, shared_id
from node.job.store import Store
from node.plan_records import Service
from node.records import Plan


@dataclass(frozen=True, slots=True)
class FirstStore:
    """A store without outputs, and the services whose names are in it."""

    store: Store
    services: Mapping[int, tuple[Service, ...]]
    """By the operation's place in the definition."""


def first_store(
    document: Mapping[str, Any], *, job: str, node: str, project: str, domain: str, version: str = ""
) -> FirstStore:
    """The store at a job's start. `domain`: what host names of services end in; empty where none is served."""
    facts: dict[str, Any] = {"job": job, "host": node, "project": project}
    if domain:
        facts["frps_address"] = domain
    if version:
        facts["version"] = version
    given = document.get("global")
    variables = given.get("variables") if isinstance(given, Mapping) else None
    if isinstance(variables, Mapping):
        facts["variables"] = dict(variables)
    store = Store(facts=facts)
    services: dict[int, tuple[Service, ...]] = {}
    operations = document.get("ops")
    for index, operation in enumerate(operations if isinstance(operations, list) else ()):
        if not isinstance(operation, Mapping):
            continue
        exposure = exposure_of(document, index, job, project)
        services[index] = first_services(exposure, Store(facts=facts))
        store = store.with_host(exposure.operation, host_of(operation, index, job, store))
        if domain and (names := host_names(services[index], domain)):
            store = store.with_endpoints(exposure.operation, names)
        if domain and exposure.expose and (shared := shared_id(exposure)):
            store = store.with_deployment(exposure.operation, f"{shared}.{domain}")
    return FirstStore(store, services)


def store_of(plan: Plan, definition: Definition, *, node: str, project: str, domain: str, version: str = "") -> Store:
    """The store at the start of a planned job: as `first_store`, with the ids that were drawn for its plan."""
    document = definition.source
    store = first_store(document, job=plan.job, node=node, project=project, domain=domain, version=version).store
    for operation in plan.operations:
        if domain and (names := host_names(operation.services, domain)):
            store = store.with_endpoints(operation.id, names)
    return store


def host_of(operation: Mapping[str, Any], index: int, job: str, store: Store) -> str:
    """The name by which an operation is reached in the job's network; of a volume its name in the network's form."""
    args = operation.get("args")
    if operation.get("type") != "container/create-volume" or not isinstance(args, Mapping):
        return f"{job}-{index}"
    try:
        return f"{job}-{interpolate({'name': args.get('name')}, store)['name']}-{index}"
    except LiteralUnresolved:
        return f"{job}-{index}"
