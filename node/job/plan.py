"""From a definition to what will run: container names, commands, environment, devices.

Single container operations with all their arguments. What needs more (several operations, services, volumes,
remote resources, registry logins, confidential travel) is refused with a reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from node.errors import JobRefused
from node.job.literals import GlobalValues, interpolate, without_empty
from node.job.models import ContainerRun, Definition, Global, Operation
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

_RESERVED_PREFIXES = ("NVIDIA_", "DOCKER_RESOURCE_")
"""Variables by which a container could ask the GPU runtime for other devices than it was given."""


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
) -> Plan:
    """What will run, in order.

    `project` is the poster's address, `gpu_uuids` are the lane's devices. Raises JobRefused for what this host
    cannot run, with the reason.
    """
    defaults = definition.global_ or Global()
    network = network_name(job)
    operation = _only_operation(definition)
    if operation is None:
        return Plan(job=job, network=network, operations=())
    values = GlobalValues(job, node, project, frps_address, defaults.variables or {})
    args = _arguments(operation, values)
    _refuse_later(operation, args)
    wants_gpu = bool(args.gpu) or bool(defaults.gpu)
    if wants_gpu and not gpu_uuids:
        raise JobRefused("the job needs a GPU and this lane has none", hint="Give the lane a GPU, or another market.")
    environment, dropped = _environment(defaults.env, args.env, job)
    spec = ContainerSpec(
        name=container_name(job, 0),
        image=args.image,
        command=_command(args.cmd),
        entrypoint=_entrypoint(args.entrypoint) or _entrypoint(defaults.entrypoint),
        env=environment,
        work_dir=args.work_dir or defaults.work_dir or None,
        gpu_uuids=tuple(gpu_uuids) if wants_gpu else (),
        labels=((LABEL_LANE, lane), (LABEL_JOB, job), (LABEL_OPERATION, "0"), (LABEL_NODE, node)),
        network=network,
        aliases=(container_name(job, 0), *_aliases(args.aliases)),
        limits=limits,
        profile=profile,
        runtime=runtime,
        gpu_capabilities=tuple(gpu_capabilities),
        egress=egress,
        resolvers=tuple(resolvers),
    )
    planned = PlannedOperation(
        index=0,
        id=operation.id,
        group=_group(operation),
        container=spec,
        results=tuple(
            (name, rule if isinstance(rule, str) else {"regex": rule.regex, "logType": list(rule.logType)})
            for name, rule in (operation.results or {}).items()
        ),
    )
    return Plan(job=job, network=network, operations=(planned,), notes=dropped)


def _only_operation(definition: Definition) -> Operation | None:
    """The job's operation; None for a job without any, which is valid and succeeds at once (Nosana node)."""
    if definition.logistics is not None:
        raise JobRefused("confidential jobs (logistics) are not run by this node yet")
    if not definition.ops:
        return None
    if len(definition.ops) != 1:
        raise JobRefused(f"the job has {len(definition.ops)} operations; this node runs jobs of one")
    return definition.ops[0]


def _arguments(operation: Operation, values: GlobalValues) -> ContainerRun:
    if operation.type != "container/run" or not isinstance(operation.args, ContainerRun):
        raise JobRefused("operations that make volumes are not run by this node yet")
    given = operation.args.model_dump(by_alias=True, exclude_unset=True, mode="json")
    filled = without_empty(interpolate(given, values))
    try:
        return ContainerRun.model_validate(filled)
    except ValidationError:
        raise JobRefused("the job's arguments are no longer valid once its literals are filled in") from None


def _refuse_later(operation: Operation, args: ContainerRun) -> None:
    execution = operation.execution
    restarts = args.restart_policy is not None and args.restart_policy != "no"
    login = args.authentication is not None and args.authentication.docker is not None
    wanted = {
        "dependencies between operations": bool(execution and execution.depends_on),
        "exposed services": args.expose is not None and args.expose != (),
        "volumes": bool(args.volumes),
        "remote resources": bool(args.resources),
        "registry logins": login,
        "restart policies": restarts,
    }
    missing = [name for name, asked in wanted.items() if asked]
    if missing:
        raise JobRefused(f"the job asks for {' and '.join(missing)}, which this node does not offer yet")


def _group(operation: Operation) -> str:
    named = operation.execution.group if operation.execution is not None else None
    return operation.id if named is None else named


def _command(cmd: str | Sequence[str] | None) -> tuple[str, ...] | None:
    if isinstance(cmd, str):
        return ("/bin/sh", "-c", cmd)
    return tuple(cmd) if cmd else None


def _entrypoint(entrypoint: str | Sequence[str] | None) -> tuple[str, ...] | None:
    if isinstance(entrypoint, str):
        return (entrypoint,) if entrypoint else None
    return tuple(entrypoint) if entrypoint else None


def _aliases(aliases: str | Sequence[str] | None) -> tuple[str, ...]:
    names = aliases.split(",") if isinstance(aliases, str) else aliases or ()
    return tuple(name.strip() for name in names if name.strip())


def _is_reserved(name: str) -> bool:
    # In any spelling: which of them a runtime listens to is its affair, and no job has a use for the others.
    return name.strip().upper().startswith(_RESERVED_PREFIXES)


def _environment(
    defaults: Mapping[str, str] | None, own: Mapping[str, str] | None, job: Address
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """The variables, and a note for each that was left out."""
    merged = {**(defaults or {}), **(own or {})}
    dropped = tuple(
        f"{name} was left out: a definition cannot choose the devices of its container"
        for name in merged
        if _is_reserved(name)
    )
    for name, value in merged.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise JobRefused(f"the environment variable {name!r} cannot be set: its name or value is malformed")
    kept = {name: value for name, value in merged.items() if not _is_reserved(name)}
    kept["NOSANA_ID"] = job
    return tuple(kept.items()), dropped
