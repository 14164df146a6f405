"""From a definition to what will run: containers, volumes, services, resources, and their order.

Literals that the job itself answers are filled in. An operation with others keeps them and names them as pending;
`completion.complete_operation` fills them in when it starts. No credential of the definition gets into a plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from node.errors import JobRefused, LiteralUnresolved
from node.job.arguments import Unfit, seconds, text
from node.job.completion import BROKEN, arguments_of, completed
from node.job.exposure import exposed_by_clients, is_port
from node.job.first_store import first_store
from node.job.literals import literals_in, unresolved
from node.job.markers import interpolate
from node.job.models import ContainerCreateVolume, ContainerRun, Definition, Operation
from node.job.order import Step, check_order, running_groups
from node.job.outfit import Defaults, defaults_of, left_out, volume_name
from node.job.store import Store
from node.plan_records import Service
from node.records import (
    DRIVER_CAPABILITIES,
    Address,
    ContainerSpec,
    Egress,
    IsolationProfile,
    Limits,
    Plan,
    PlannedOperation,
)

LABEL_LANE = "gpunode.lane"
LABEL_JOB = "gpunode.job"
LABEL_OPERATION = "gpunode.operation"
LABEL_NODE = "gpunode.node"

MOST_OPERATIONS = 256
"""Operations of one job: each has a container, a log and a state of its own."""


def network_name(job: Address) -> str:
    """The job's own network: `gpn` and 12 hex digits, short enough for a network interface."""
    return "gpn" + hashlib.sha256(job.encode()).hexdigest()[:12]


def container_name(job: Address, index: int) -> str:
    """Container of the operation at a place (from 0) of the definition, as the network names it."""
    return f"{job}-{index}"


def make_plan(
    definition: Definition,
    *,
    job: Address,
    node: Address,
    project: Address,
    gpu_uuids: Sequence[str],
    limits: Limits,
    profile: IsolationProfile,
    runtime: str,
    lane: str,
    gpu_capabilities: Sequence[str] = DRIVER_CAPABILITIES,
    egress: Egress = Egress.OPEN,
    resolvers: Sequence[str] = (),
    frps_address: str | None = None,
    version: str = "",
) -> Plan:
    """What will run, in the definition's order.

    `project` is the poster's address, `gpu_uuids` are the lane's devices, `frps_address` is what host names of
    services end in. Ids of private services are drawn here. Raises JobRefused for what this host cannot run, with the
    reason, and PlanInvalid for operations that no order suits.
    """
    if len(definition.ops) > MOST_OPERATIONS:
        raise JobRefused(f"the job has {len(definition.ops)} operations; this host runs at most {MOST_OPERATIONS}")
    steps = steps_of(definition)
    check_order(steps)
    try:
        defaults = defaults_of(definition.source)
    except Unfit as error:
        raise JobRefused(f"the definition's `global`: {error.message}") from None
    first = first_store(
        definition.source, job=job, node=node, project=project, domain=frps_address or "", version=version
    )
    sketch = ContainerSpec(
        name="",
        image="",
        command=None,
        entrypoint=None,
        env=(),
        work_dir=None,
        gpu_uuids=tuple(gpu_uuids),
        labels=((LABEL_LANE, lane), (LABEL_JOB, job), (LABEL_NODE, node)),
        network=network_name(job),
        aliases=(),
        limits=limits,
        profile=profile,
        runtime=runtime,
        gpu_capabilities=tuple(gpu_capabilities),
        egress=egress,
        resolvers=tuple(resolvers),
    )
    planner = _Planner(definition, job, defaults, first.store, first.services, sketch, running_groups(steps))
    planned = [planner.planned(index, operation) for index, operation in enumerate(definition.ops)]
    return Plan(
        job=job,
        network=sketch.network,
        operations=tuple(operation for operation, _ in planned),
        notes=tuple(dict.fromkeys(note for _, notes in planned for note in notes)),
    )


def steps_of(definition: Definition) -> tuple[Step, ...]:
    """The operations as places in an order."""
    return tuple(
        Step(
            operation.id,
            operation.execution.group if operation.execution else None,
            operation.execution.depends_on if operation.execution else (),
        )
        for operation in definition.ops
    )


@dataclass(frozen=True, slots=True)
class _Planner:
    definition: Definition
    job: Address
    defaults: Defaults
    store: Store
    services: Mapping[int, tuple[Service, ...]]
    sketch: ContainerSpec
    groups: Mapping[str, str]

    def planned(self, index: int, operation: Operation) -> tuple[PlannedOperation, tuple[str, ...]]:
        """One operation, and notes on what of it was left out."""
        execution = operation.execution
        bare = PlannedOperation(
            index=index,
            id=operation.id,
            group=self.groups[operation.id],
            container=None,
            results=tuple(
                (name, rule if isinstance(rule, str) else {"regex": rule.regex, "logType": list(rule.logType)})
                for name, rule in (operation.results or {}).items()
            ),
            depends_on=tuple(dict.fromkeys(execution.depends_on)) if execution else (),
            stop_with_dependencies=bool(execution and execution.stop_if_dependent_stops),
            timeout=seconds((self.definition.source["ops"][index].get("execution") or {}).get("timeout")),
        )
        if operation.type == "container/create-volume":
            return self._volume(bare, operation), ()
        return self._run(bare, operation)

    def _volume(self, bare: PlannedOperation, operation: Operation) -> PlannedOperation:
        if not isinstance(operation.args, ContainerCreateVolume):
            raise JobRefused(f"the operation {operation.id} is to make a volume and has arguments of a container")
        try:
            name = interpolate({"name": operation.args.name}, self.store)["name"]
        except LiteralUnresolved:
            raise JobRefused(
                f"the operation {operation.id}: a volume's name cannot come from another operation"
            ) from None
        return replace(bare, volume=volume_name(self.job, text("name", name)))

    def _run(self, bare: PlannedOperation, operation: Operation) -> tuple[PlannedOperation, tuple[str, ...]]:
        if not isinstance(operation.args, ContainerRun):
            raise JobRefused(f"the operation {operation.id} is to run a container and has arguments of a volume")
        args = arguments_of(self.definition.source, bare.index)
        wants_gpu = self.defaults.gpu or args.get("gpu") is True
        if wants_gpu and not self.sketch.gpu_uuids:
            raise JobRefused(
                "the job needs a GPU and this lane has none", hint="Give the lane a GPU, or another market."
            )
        name = container_name(self.job, bare.index)
        spec = replace(
            self.sketch,
            name=name,
            image=operation.args.image,
            aliases=(name,),
            gpu_uuids=self.sketch.gpu_uuids if wants_gpu else (),
            labels=(*self.sketch.labels[:2], (LABEL_OPERATION, str(bare.index)), *self.sketch.labels[2:]),
        )
        pending = unresolved(args, self.store)
        planned = replace(bare, container=spec, pending=pending, services=self.services[bare.index])
        notes = (*left_out({**dict(self.defaults.env), **dict(args.get("env") or {})}), *_unexposed(operation.id, args))
        if pending:
            return planned, notes
        try:
            return completed(planned, self.definition.source, self.store), notes
        except LiteralUnresolved:
            return replace(planned, pending=(BROKEN,)), notes
        except Unfit as error:
            raise JobRefused(f"the operation {operation.id}: {error.message}") from None


def _unexposed(operation: str, args: Mapping[str, Any]) -> tuple[str, ...]:
    """A note on what `expose` names and nobody can reach."""
    expose = args.get("expose")
    if isinstance(expose, Mapping) and "port" in expose:
        return (f"{operation}: a port that is a bare object is not exposed, by any node; a list of one is",)
    ports = {each.port for each in exposed_by_clients(expose) if not any(True for _ in literals_in(each.port))}
    wrong = sorted(port for port in ports if not is_port(port))[:3]
    return tuple(f"{operation}: {port[:40]} is no port and not exposed" for port in wrong)


__all__ = ["LABEL_JOB", "LABEL_LANE", "LABEL_NODE", "LABEL_OPERATION", "container_name", "make_plan", "network_name"]
