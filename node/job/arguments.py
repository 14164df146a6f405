"""An operation's arguments as what they mean, once literals are filled in.

Filled-in values may have any type, and definitions that break the schema are looked at as well; so everything is read
leniently here: numbers become texts where texts belong, and what fits nowhere is an error that names its place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from node.errors import JobError
from node.job.exposure import MOST_PORTS, Exposed, exposed
from node.job.javascript import json_text, text_of
from node.job.literals import spaced
from node.plan_records import NO_RESTART, RestartPolicy, RestartRule

MOST_SECONDS = 10 * 365 * 24 * 3600
"""Longer timeouts are taken for this one: longer than any job's."""


class Unfit(JobError):
    """An argument is not what belongs in its place."""


@dataclass(frozen=True, slots=True)
class RunArguments:
    """What a `container/run` operation asks for."""

    image: str
    command: tuple[str, ...] | None
    entrypoint: tuple[str, ...] | None
    env: tuple[tuple[str, str], ...]
    work_dir: str
    aliases: tuple[str, ...]
    volumes: tuple[tuple[str, str], ...]
    """Name and mount path."""
    ports: tuple[Exposed, ...]
    restart: RestartRule
    has_login: bool


def run_arguments(args: Mapping[str, Any], default_image: str = "") -> RunArguments:
    """The arguments of a `container/run` operation. Raises Unfit."""
    image = text("image", args.get("image"), default_image)
    if not image:
        raise Unfit("the operation names no image")
    ports = exposed(args.get("expose"))
    if len(ports) > MOST_PORTS:
        raise Unfit(f"the operation exposes {len(ports)} ports; at most {MOST_PORTS} are")
    return RunArguments(
        image=image,
        command=command(args.get("cmd")),
        entrypoint=entrypoint(args.get("entrypoint")),
        env=variables(args.get("env")),
        work_dir=text("work_dir", args.get("work_dir")),
        aliases=_aliases(args.get("aliases")),
        volumes=_volumes(args.get("volumes")),
        ports=ports,
        restart=_restart(args.get("restart_policy")),
        has_login=bool(_part(_part(args, "authentication"), "docker")),
    )


def text(name: str, value: Any, default: str = "") -> str:
    """A text, a number or flag as text, the elements of a list joined by blanks, or an object as JSON. Raises Unfit."""
    if value is None:
        return default
    if isinstance(value, Mapping):
        found = json_text(value)
    else:
        # Within objects in lists, a literal that is a list stays one.
        found = spaced(value) if isinstance(value, list | tuple) else text_of(value)
    if "\0" in found:
        raise Unfit(f"{name} has a NUL character")
    return found


def texts(name: str, value: Any) -> tuple[str, ...]:
    """A list of texts; none for null. Raises Unfit."""
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise Unfit(f"{name} is no list")
    return tuple(text(f"{name}[{index}]", item) for index, item in enumerate(value))


def command(cmd: Any) -> tuple[str, ...] | None:
    """What a container runs; a text is a line for the shell. None: what the image says."""
    if cmd is None or isinstance(cmd, list | tuple):
        return texts("cmd", cmd) or None
    return ("/bin/sh", "-c", text("cmd", cmd))


def entrypoint(value: Any) -> tuple[str, ...] | None:
    """An entrypoint; a text is one word of it. None: the image's."""
    if value is None or isinstance(value, list | tuple):
        return texts("entrypoint", value) or None
    only = text("entrypoint", value)
    return (only,) if only else None


def variables(env: Any) -> tuple[tuple[str, str], ...]:
    """Environment variables. Raises Unfit for a name or value that none can have."""
    if env is None:
        return ()
    if not isinstance(env, Mapping):
        raise Unfit("env is no object")
    found = tuple((str(name), text_of(value)) for name, value in env.items())
    for name, value in found:
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise Unfit(f"the environment variable {name!r} cannot be set: its name or value is malformed")
    return found


def seconds(timeout: Any) -> int | None:
    """An operation's timeout in whole seconds, at least 1; None: it has none."""
    if not isinstance(timeout, int | float) or isinstance(timeout, bool):
        return None
    return max(1, math.ceil(min(timeout, MOST_SECONDS)))


def mount_path(name: str, value: Any) -> str:
    """Where something is mounted: an absolute path, not the root. Raises Unfit."""
    path = text(name, value)
    steps = [step for step in path.split("/") if step not in ("", ".")]
    if not path.startswith("/") or not steps or ".." in steps or any(ord(char) < 32 for char in path):
        raise Unfit(f"{name} {path!r} is no absolute path below the root")
    return path


def _aliases(value: Any) -> tuple[str, ...]:
    names: Sequence[str] = texts("aliases", value) if isinstance(value, list) else text("aliases", value).split(",")
    return tuple(name.strip() for name in names if name.strip())


def _volumes(value: Any) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or not all(isinstance(item, Mapping) for item in value):
        raise Unfit("volumes is no list of objects")
    return tuple((text("a volume's name", item.get("name")), mount_path("dest", item.get("dest"))) for item in value)


def _restart(value: Any) -> RestartRule:
    tries: Any = None
    if isinstance(value, Mapping):
        value, tries = value.get("policy"), value.get("restart_tries")
    if value in (None, "", "no"):
        return NO_RESTART
    if not isinstance(value, str) or value not in list(RestartPolicy):
        raise Unfit("restart_policy is none of no, always, unless-stopped, on-failure")
    counted = isinstance(tries, int | float) and not isinstance(tries, bool)
    return RestartRule(RestartPolicy(value), max(0, int(min(tries, 1e9))) if counted else None)


def _part(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = value.get(key)
    return part if isinstance(part, Mapping) else {}
