"""Marks: the points at which the process may die.

Every write to the journal and every effect outside the process carries a mark, and says when it is about to happen
and when it has. Nothing listens in a running agent. The crash tests listen, to kill the process at each mark in turn:
a write or an effect without a mark would be one whose loss nobody has tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Literal


class Mark(StrEnum):
    """What may be cut off."""

    JOURNAL_CREATED = "journal.created"
    JOURNAL_META = "journal.meta"
    JOURNAL_CLUSTER = "journal.cluster"
    JOURNAL_LANE = "journal.lane"
    JOURNAL_WISH = "journal.wish"
    JOURNAL_QUEUED = "journal.queued"
    JOURNAL_JOB = "journal.job"
    JOURNAL_LIFE = "journal.life"
    JOURNAL_STAGE = "journal.stage"
    DEFINITION_KEEP = "definition.keep"
    DEFINITION_DROP = "definition.drop"
    JOURNAL_TIMEOUT = "journal.timeout"
    JOURNAL_QUIT = "journal.quit"
    JOURNAL_OPERATION = "journal.operation"
    JOURNAL_REVEAL = "journal.reveal"
    JOURNAL_RECEIPT = "journal.receipt"
    JOURNAL_SETTLEMENT = "journal.settlement"
    JOURNAL_REOPEN = "journal.reopen"
    JOURNAL_EVENT = "journal.event"
    JOURNAL_UPLOADS = "journal.uploads"
    JOURNAL_PRUNE = "journal.prune"
    JOURNAL_IMAGE = "journal.image"
    JOURNAL_GPU = "journal.gpu"
    JOURNAL_WORK = "journal.work"
    JOURNAL_WORK_ROOT = "journal.work-root"
    JOURNAL_WORK_PROOF = "journal.work-proof"
    JOURNAL_LADDER = "journal.ladder"
    OUTBOX_PUT = "outbox.put"
    OUTBOX_DELETE = "outbox.delete"
    OUTBOX_SPENDING = "outbox.spending"
    CHAIN_SEND = "chain.send"
    ENGINE_PULL = "engine.pull"
    ENGINE_NETWORK = "engine.network"
    ENGINE_VOLUME = "engine.volume"
    ENGINE_CREATE = "engine.create"
    ENGINE_START = "engine.start"
    ENGINE_STOP = "engine.stop"
    ENGINE_REMOVE = "engine.remove"
    ENGINE_REMOVE_NETWORK = "engine.remove-network"
    ENGINE_REMOVE_VOLUME = "engine.remove-volume"
    ENGINE_REMOVE_IMAGE = "engine.remove-image"
    FILTER_LOAD = "filter.load"
    TRAVEL_FETCH = "travel.fetch"
    TRAVEL_HAND_OVER = "travel.hand-over"
    CONTENT_KEEP = "content.keep"
    CONTENT_UPLOAD = "content.upload"
    CONTENT_DROP = "content.drop"
    RESOURCE_KEEP = "resource.keep"
    RESOURCE_PIN = "resource.pin"
    RESOURCE_UNPIN = "resource.unpin"
    RESOURCE_COPY = "resource.copy"
    RESOURCE_EVICT = "resource.evict"


When = Literal["before", "after"]
Listener = Callable[[Mark, When], None]

_listener: Listener | None = None


@contextmanager
def marked(mark: Mark) -> Iterator[None]:
    """The block is the write or the effect. What raises has not happened as far as anybody here knows: no "after"."""
    if _listener is not None:
        _listener(mark, "before")
    yield
    if _listener is not None:
        _listener(mark, "after")


def listen(listener: Listener | None) -> None:
    """Have every mark told to `listener`, in whatever thread it happens; None ends that."""
    global _listener
    _listener = listener
