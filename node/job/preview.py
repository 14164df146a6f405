"""What would happen if a definition were run, as one document: for valid definitions and, as far as they go, others.

Works on the document itself, with the functions that plan real jobs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from node.errors import DefinitionInvalid, JobError, JobRefused, LiteralUnresolved, PlanInvalid
from node.job.arguments import Unfit, run_arguments
from node.job.definition import validate, validate_compat, violation_json
from node.job.exposure import Exposed, exposed_by_clients, public_id
from node.job.first_store import FirstStore, first_store
from node.job.literals import unresolved
from node.job.markers import interpolate, interpolate_partly
from node.job.order import Group, Step, check_order, groups_of
from node.job.outfit import Defaults, defaults_of
from node.job.pending import may_come
from node.job.policy import check_image, check_poster
from node.job.resources import read_resources
from node.job.services import Exposure, exposure_of, known_ports, late_services, meant_port
from node.job.store import Store
from node.plan_records import Service
from node.settings import PolicySettings

JOB = "11111111111111111111111111111111"
"""Stands for the address of a job that is not posted yet."""
DOMAIN = "node.k8s.prd.nos.ci"
"""Below which services of the main network have their names."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a definition does not say."""

    job: str = JOB
    domain: str = DOMAIN
    store: Store | None = None
    """Outputs and facts that are known; they win over what is derived."""
    policy: PolicySettings | None = None


def preview(document: Any, circumstances: Circumstances) -> dict[str, Any]:
    """`valid`, `errors`, `groups`, `operations`, `services`, `resources`, `refused`, `admitted`: as `job plan`."""
    errors = _errors(document)
    members = document if isinstance(document, dict) else {}
    listed = members.get("ops")
    operations = [item if isinstance(item, dict) else {} for item in listed] if isinstance(listed, list) else []
    steps = [_step(operation) for operation in operations if isinstance(operation.get("id"), str)]
    if not errors:
        errors = _order_errors(steps)
    show = _Show({**members, "ops": operations}, steps, circumstances)
    shown = [show.operation(index) for index in range(len(operations))]
    refused = show.refusal(shown)
    return {
        "valid": not errors,
        "errors": errors,
        "groups": [_group(group, steps) for group in groups_of(steps)],
        "operations": shown,
        "services": [service for index in range(len(operations)) for service in show.services(index)],
        "resources": [resource for index in range(len(operations)) for resource in show.resources(index)],
        "refused": refused,
        "admitted": refused is None and _is_admitted(document) and not _order_errors(steps),
    }


def _errors(document: Any) -> list[dict[str, Any]]:
    try:
        validate(document)
    except DefinitionInvalid as invalid:
        return [violation_json(violation) for violation in invalid.violations]
    return []


def _is_admitted(document: Any) -> bool:
    for rules in (validate, validate_compat):
        with contextlib.suppress(DefinitionInvalid):
            rules(document)
            return True
    return False


def _order_errors(steps: list[Step]) -> list[dict[str, Any]]:
    try:
        check_order(steps)
    except PlanInvalid as invalid:
        return [{"path": "$input.ops", "expected": f"operations in an order: {' '.join(invalid.messages)}"}]
    return []


def _step(operation: Mapping[str, Any]) -> Step:
    execution = operation.get("execution")
    execution = execution if isinstance(execution, Mapping) else {}
    group, names = execution.get("group"), execution.get("depends_on")
    return Step(
        operation["id"],
        group if isinstance(group, str) else None,
        tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else (),
    )


def _group(group: Group, steps: list[Step]) -> dict[str, Any]:
    needs = {step.id: list(dict.fromkeys(step.depends_on)) for step in steps if step.id in group.operations}
    return {
        "name": group.name,
        "operations": list(group.operations),
        "dependencies": {operation: names for operation, names in needs.items() if names},
    }


class _Show:
    """One definition under some circumstances."""

    def __init__(self, document: dict[str, Any], steps: list[Step], circumstances: Circumstances) -> None:
        given = circumstances.store or Store()
        self._document = document
        self._steps = steps
        self._given = given
        self._job = str(given.facts.get("job") or circumstances.job)
        self._domain = str(given.facts.get("frps_address") or circumstances.domain)
        self._project = str(given.facts.get("project") or "")
        self._policy = circumstances.policy
        self._first: FirstStore = first_store(
            document,
            job=self._job,
            node=str(given.facts.get("host") or ""),
            project=self._project,
            domain=self._domain,
        )
        self._store = self._first.store.under(given)
        self._filled: dict[int, Mapping[str, Any]] = {}

    def operation(self, index: int) -> dict[str, Any]:
        """An operation with its arguments as far as they are known."""
        operation = self._document["ops"][index]
        args = self._args(index)
        missing = unresolved(args, self._store)
        error: str | None = None
        try:
            filled: Mapping[str, Any] = interpolate(args, self._store)
            if operation.get("type") == "container/run":
                run_arguments(filled, self._defaults().image)
                read_resources(filled.get("resources"))
        except LiteralUnresolved as failure:
            filled = interpolate_partly(args, self._store, missing)
            late = missing and all(may_come(each, index, self._document, self._steps, self._given) for each in missing)
            error = None if late else failure.message
        except Unfit as failure:
            error = failure.message
        self._filled[index] = filled
        return {
            "index": index,
            "id": operation.get("id"),
            "type": operation.get("type"),
            "args": filled if isinstance(operation.get("args"), Mapping) else operation.get("args"),
            "unresolved": list(missing),
            "error": error,
        }

    def services(self, index: int) -> Iterator[dict[str, Any]]:
        """The operation's services: those that clients know of, then those of ports known only while it runs."""
        exposure = exposure_of(self._document, index, self._job, self._project)
        ports = known_ports(exposure.expose, self._store)[0]
        services = late_services(exposure, ports, self._store, self._first.services.get(index, ()))
        by_port = {port.port: port for port in ports}
        listed: set[str] = set()
        for entry in () if exposure.private else exposed_by_clients(exposure.expose):
            id_ = public_id(index, entry.port, self._job)
            meant = [service for service in services if service.port == meant_port(entry, self._store)]
            also = [service.id for service in meant if service.id != id_]
            listed |= {id_, *also}
            yield self._service(exposure, Service(id_, entry.port), entry, also)
        for service in services:
            if service.id not in listed:
                yield self._service(exposure, service, by_port[service.port], [])

    def _service(self, exposure: Exposure, service: Service, port: Exposed, also: list[str]) -> dict[str, Any]:
        return {
            "op_index": exposure.place,
            "op_id": exposure.operation,
            "port": port.value,
            "service_id": service.id,
            "url": f"https://{service.id}.{self._domain}",
            "private": exposure.private,
            "health_check": port.checked,
            "also": also,
        }

    def resources(self, index: int) -> Iterator[dict[str, Any]]:
        """The operation's remote data, without the logins."""
        operation = self._document["ops"][index]
        entries = self._filled[index].get("resources")
        for entry in entries if isinstance(entries, list) else ():
            try:
                found = read_resources([entry])
            except Unfit:
                continue
            for resource, login in found:
                about = asdict(resource)
                about["type"] = str(about.pop("kind"))
                yield {"op_index": index, "op_id": operation.get("id"), **about, "login": login is not None}

    def refusal(self, operations: list[dict[str, Any]]) -> str | None:
        """What the host's policy says against the job; None: nothing."""
        if self._policy is None:
            return None
        images = [
            image
            for operation in operations
            if operation["type"] == "container/run" and isinstance(operation["args"], Mapping)
            if isinstance(image := operation["args"].get("image") or self._defaults().image, str) and image
        ]
        try:
            if self._project:
                check_poster(self._project, self._policy)
            for image in images:
                check_image(image, self._policy)
        except JobRefused as refused:
            return refused.message
        return None

    def _args(self, index: int) -> Mapping[str, Any]:
        args = self._document["ops"][index].get("args")
        return args if isinstance(args, Mapping) else {}

    def _defaults(self) -> Defaults:
        try:
            return defaults_of(self._document)
        except JobError:
            return Defaults()
