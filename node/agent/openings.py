"""What a confidential job's receipt commits to: made once, kept in the journal, given to the owner with the result."""

from __future__ import annotations

from node.agent.definitions import DefinitionFiles
from node.bounded_json import read_json
from node.content.cid import file_cid
from node.errors import JournalError, ProofError
from node.journal.journal import Journal
from node.proof.commitments import Reveal, conceal, read_reveal
from node.proof.envelope import canonical
from node.proof.receipt import hidden_of
from node.records import Address, Outcome

OPENINGS_LIMIT = 16 << 20
"""Bytes of one job's openings."""


async def openings_of(
    run: Address, outcome: Outcome, *, was_delivered: bool, definitions: DefinitionFiles, journal: Journal
) -> Reveal:
    """The openings of a run's receipt; durable when this returns, and the same each time. Raises JournalError.

    `was_delivered`: the definition came from the job's owner, so that the chain does not name it.
    """
    definition = await definitions.read(run) if was_delivered else None
    made = conceal(hidden_of(outcome, None if definition is None else file_cid(definition)))
    return read_openings(await journal.reveals.keep(run, canonical(made.document()).decode()))


def read_openings(text: str) -> Reveal:
    """Openings as the journal keeps them. Raises JournalError."""
    try:
        return read_reveal(read_json(text, limit=OPENINGS_LIMIT))
    except (ProofError, ValueError) as error:
        raise JournalError(f"the openings of a receipt cannot be read: {error}", hint="report this as a bug") from None
