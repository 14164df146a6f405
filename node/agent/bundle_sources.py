"""Where a bundle's contents come from: the journal's records of a run, an endpoint and the stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from node.chain.rpc import Rpc
from node.content.library import Library
from node.errors import JournalError
from node.journal.reader import JournalReader
from node.records import (
    Address,
    Assignment,
    Cid,
    FetchedDefinition,
    OperationState,
    Outcome,
    Plan,
    Refusal,
    Signature,
    Stage,
)


class Sources(Protocol):
    """Where is asked for what this host does not keep. Errors are those of the chain and content branches."""

    async def wire(self, signature: Signature) -> bytes | None:
        """A landed transaction as it was signed; None where the chain's ledger does not have it."""
        ...

    async def content(self, cid: Cid, limit: int) -> bytes:
        """The bytes of a file, proven to match."""
        ...


@dataclass(frozen=True, slots=True)
class Network:
    """An endpoint and the stores of the settings."""

    rpc: Rpc
    library: Library

    async def wire(self, signature: Signature) -> bytes | None:
        """As Sources has it."""
        landed = await self.rpc.get_transaction(signature)
        return None if landed is None else landed.wire or None

    async def content(self, cid: Cid, limit: int) -> bytes:
        """As Sources has it."""
        return (await self.library.fetch(cid, limit)).body


@dataclass(frozen=True, slots=True)
class RunRecords:
    """What the journal has of a run; pruned runs have no records."""

    assignment: Assignment | None
    plan: Plan | None
    outcome: Outcome | None
    refused: Stage | None
    states: tuple[OperationState, ...]
    delivered: bool = False
    """Whether its owner sent the definition."""


async def records_of(journal: JournalReader, run: Address) -> RunRecords:
    made = {stage: await journal.stage_record(run, stage) for stage in (Stage.FETCH, Stage.ADMIT, Stage.RUN)}
    plan, fetched = made[Stage.ADMIT], made[Stage.FETCH]
    delivered = isinstance(fetched, FetchedDefinition) and fetched.send is not None
    outcome = next((record for record in made.values() if isinstance(record, Outcome)), None)
    refused = next((stage for stage, record in made.items() if isinstance(record, Refusal)), None)
    try:
        assignment = await journal.assignment(run)
    except JournalError:
        assignment = None
    states = await journal.operations(run) if outcome is None else outcome.operations
    return RunRecords(assignment, plan if isinstance(plan, Plan) else None, outcome, refused, states, delivered)
