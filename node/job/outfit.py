"""A container's specification out of an operation's arguments and the job's global defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from node.errors import JobRefused
from node.job.arguments import RunArguments, Unfit, entrypoint, text, variables
from node.plan_records import VolumeMount
from node.records import Address, ContainerSpec

_RESERVED_PREFIXES = ("NVIDIA_", "DOCKER_RESOURCE_")
"""Variables by which a container could ask the GPU runtime for other devices than it was given."""
_VOLUME = re.compile(r"[A-Za-z0-9_.-]{1,128}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a definition's `global` says for all its operations. Literals in it are not filled in (Nosana node)."""

    image: str = ""
    gpu: bool = False
    entrypoint: tuple[str, ...] | None = None
    env: tuple[tuple[str, str], ...] = ()
    work_dir: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)


def defaults_of(document: Mapping[str, Any]) -> Defaults:
    """The defaults of a definition. Raises Unfit."""
    given = document.get("global")
    if not isinstance(given, Mapping):
        return Defaults()
    named = given.get("variables")
    return Defaults(
        image=text("image", given.get("image")),
        gpu=given.get("gpu") is True,
        entrypoint=entrypoint(given.get("entrypoint")),
        env=variables(given.get("env")),
        work_dir=text("work_dir", given.get("work_dir")),
        variables=named if isinstance(named, Mapping) else {},
    )


def volume_name(job: Address, name: str) -> str:
    """The engine's name of a job's volume. Raises JobRefused for a name that no engine takes."""
    if not _VOLUME.match(name):
        raise JobRefused(f"the volume name {name!r} cannot be used: letters, digits, '.', '_' and '-' can")
    return f"{job}-{name}"


def dressed(sketch: ContainerSpec, args: RunArguments, defaults: Defaults, job: Address) -> ContainerSpec:
    """The container with everything that the definition decides; the rest is as in the sketch."""
    merged = {**dict(defaults.env), **dict(args.env)}
    kept = {name: value for name, value in merged.items() if not _is_reserved(name)}
    kept["NOSANA_ID"] = job
    return replace(
        sketch,
        image=args.image,
        command=args.command,
        entrypoint=args.entrypoint or defaults.entrypoint,
        env=tuple(kept.items()),
        work_dir=args.work_dir or defaults.work_dir or None,
        aliases=(sketch.name, *args.aliases),
        volumes=tuple(VolumeMount(volume_name(job, name), target) for name, target in args.volumes),
    )


def left_out(env: Mapping[str, Any]) -> tuple[str, ...]:
    """A note for each variable that a container is not given."""
    return tuple(
        f"{name} was left out: a definition cannot choose the devices of its container"
        for name in env
        if _is_reserved(name)
    )


def _is_reserved(name: str) -> bool:
    # In any spelling: which of them a runtime listens to is its affair, and no job has a use for the others.
    return name.strip().upper().startswith(_RESERVED_PREFIXES)


__all__ = ["Defaults", "Unfit", "defaults_of", "dressed", "left_out", "volume_name"]
