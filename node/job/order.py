"""In what order operations run: groups one after the other, operations of a group together or after each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from node.errors import PlanInvalid

_HINT = "An operation may depend on operations of its own group, and not on itself, directly or through others."


@dataclass(frozen=True, slots=True)
class Step:
    """An operation's place in the order, as the definition has it."""

    id: str
    group: str | None = None
    """None: none is named, and the operation is a group of its own."""
    depends_on: tuple[str, ...] = ()

    @property
    def group_name(self) -> str:
        """The group as results name it."""
        return self.id if self.group is None else self.group


@dataclass(frozen=True, slots=True)
class Group:
    """Operations that run together."""

    name: str
    operations: tuple[str, ...]
    """Ids in the definition's order."""


def groups_of(steps: Iterable[Step]) -> tuple[Group, ...]:
    """The groups in order of first appearance."""
    members: dict[str, list[str]] = {}
    for step in steps:
        members.setdefault(step.group_name, []).append(step.id)
    return tuple(Group(name, tuple(ids)) for name, ids in members.items())


def check_order(steps: Sequence[Step]) -> None:
    """Pass if every operation can start some time. Raises PlanInvalid with all that is wrong."""
    faults = [*_wrong_names(steps), *_circles(steps)]
    if faults:
        raise PlanInvalid(faults, hint=_HINT)


def running_groups(steps: Sequence[Step]) -> dict[str, str]:
    """Id -> name of the group that an operation runs in.

    Operations without a group may depend on each other, though each is a group of its own. They run as one group,
    named after its first: a dependent waits until the other is ready, not until it has ended, which a server never
    does.
    """
    leader = {step.id: step.group_name for step in steps}
    joined = {name: name for name in leader.values()}
    order = {name: at for at, name in reversed([*enumerate(leader.values())])}

    def root(name: str) -> str:
        while joined[name] != name:
            joined[name] = joined[joined[name]]
            name = joined[name]
        return name

    for step in steps:
        for other in step.depends_on:
            if other in leader:
                first, second = sorted((root(step.group_name), root(leader[other])), key=order.__getitem__)
                joined[second] = first
    return {name: root(group) for name, group in leader.items()}


def _wrong_names(steps: Sequence[Step]) -> list[str]:
    by_id = {step.id: step for step in steps}
    faults = []
    for step in steps:
        for name in dict.fromkeys(step.depends_on):
            other = by_id.get(name)
            if name == step.id:
                faults.append(f"Operation '{step.id}' depends on itself.")
            elif other is None:
                faults.append(f"Operation '{step.id}' depends on '{name}', which does not exist.")
            elif other.group != step.group:
                # The groups as written are compared: two operations that name none may depend on each other.
                faults.append(
                    f"Operation '{step.id}' of {_told(step.group)} depends on '{name}' of {_told(other.group)}; "
                    "dependencies are within a group."
                )
    return faults


def _told(group: str | None) -> str:
    return "no group" if group is None else f"group '{group}'"


def _circles(steps: Sequence[Step]) -> list[str]:
    waiting = {step.id: {name for name in step.depends_on if name != step.id} for step in steps}
    for names in waiting.values():
        names.intersection_update(waiting)
    free = [name for name, others in waiting.items() if not others]
    dependents: dict[str, list[str]] = {name: [] for name in waiting}
    for name, others in waiting.items():
        for other in others:
            dependents[other].append(name)
    while free:
        done = free.pop()
        del waiting[done]
        for name in dependents[done]:
            waiting[name].discard(done)
            if not waiting[name]:
                free.append(name)
    return [f"Operations wait for each other in a circle: {_circle(waiting)}."] if waiting else []


def _circle(waiting: dict[str, set[str]]) -> str:
    """One of the circles among operations that all wait for another of them."""
    walked: dict[str, None] = {}
    name = next(iter(waiting))
    while name not in walked:
        walked[name] = None
        name = min(waiting[name])
    path = list(walked)
    return " -> ".join(f"'{each}'" for each in [*path[path.index(name) :], name])
