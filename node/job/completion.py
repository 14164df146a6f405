"""Filling in an operation: at admission as far as the job itself answers, and, right before it starts, with what only
the outputs of other operations can say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from node.errors import JobRefused, LiteralUnresolved
from node.job.arguments import RunArguments, Unfit, run_arguments
from node.job.markers import interpolate
from node.job.models import Definition
from node.job.outfit import defaults_of, dressed
from node.job.resources import read_resources
from node.job.services import exposure_of, late_services
from node.job.store import Store
from node.records import Address, PlannedOperation

BROKEN = "arguments"
"""What a plan names as pending of an operation that no output of another can mend: it fails when its turn comes."""


def complete_operation(planned: PlannedOperation, definition: Definition, store: Store) -> PlannedOperation:
    """The operation with its pending literals filled in from the store; unchanged where none is pending.

    The same definition and the same store always give the same operation. Raises LiteralUnresolved if a literal stands
    for nothing, or for what does not fit its place.
    """
    if not planned.pending:
        return planned
    try:
        return completed(planned, definition.source, store)
    except (Unfit, JobRefused) as error:
        raise LiteralUnresolved(f"the operation {planned.id} cannot run: {error.message}") from None


def completed(planned: PlannedOperation, document: Mapping[str, Any], store: Store) -> PlannedOperation:
    """An operation's plan with all its arguments. Raises LiteralUnresolved, Unfit or JobRefused."""
    filled = interpolate(arguments_of(document, planned.index), store)
    defaults = defaults_of(document)
    args = run_arguments(filled, defaults.image)
    job, project = (str(store.facts.get(key) or "") for key in ("job", "project"))
    exposure = exposure_of(document, planned.index, job, project)
    return replace(
        planned,
        container=dressed(planned.spec, args, defaults, Address(job)),
        pending=(),
        restart=args.restart,
        services=late_services(exposure, args.ports, store, planned.services),
        resources=resources_of(filled),
        has_login=args.has_login,
    )


def arguments_of(document: Mapping[str, Any], index: int) -> Mapping[str, Any]:
    """The arguments of the operation at a place, as the definition has them."""
    args = document["ops"][index].get("args")
    return args if isinstance(args, Mapping) else {}


def resources_of(filled: Mapping[str, Any]) -> tuple[Any, ...]:
    """The resources of filled-in arguments, without their logins. Raises Unfit."""
    return tuple(resource for resource, _ in read_resources(filled.get("resources")))


__all__ = ["BROKEN", "RunArguments", "arguments_of", "complete_operation", "completed", "resources_of"]
