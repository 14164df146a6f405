"""When a run came to each point of its way, and how long the legs between them take.

Each moment is written once, in the transaction of a write that the run makes anyway, so that looking at the clock can
neither fail nor slow a job. What was not seen, or not written before a crash, is not there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from node.journal.database import Database
from node.records import Address, OperationState, Outcome, Report

SPAN_DAYS = 7
"""Whose runs percentiles are of, by default."""
MOST_RUNS = 1000
"""And how many of them at most, the newest."""


class Moment(StrEnum):
    """A point on a run's way, in order. Unix milliseconds of this host's clock where nothing else is said."""

    QUEUED = "queued"
    """Our `work` put the lane into the queue."""
    ASSIGNED = "assigned"
    """The chain gave the lane the job: whole seconds of the chain's clock."""
    PICKED_UP = "picked_up"
    """The journal had it."""
    PULLED = "pulled"
    """The first container's image was on this host, and the job's definition, checks and remote data before it."""
    PREPARED = "prepared"
    """The first container was made and about to start."""
    STARTED = "started"
    """It ran, by the engine's clock."""
    FIRST_HEALTH = "first_health"
    """A service passed its checks."""
    FIRST_OUTPUT = "first_output"
    """The first line that a container wrote, by the engine's clock."""
    EXITED = "exited"
    """The last operation had ended."""
    UPLOADED = "uploaded"
    """Result and receipt were where they can be fetched."""
    SETTLED = "settled"
    """The chain showed how it ended."""


Moments = Mapping[Moment, int]

LEGS: tuple[tuple[str, Moment, Moment], ...] = (
    ("queue", Moment.QUEUED, Moment.ASSIGNED),
    ("pick_up", Moment.ASSIGNED, Moment.PICKED_UP),
    ("pull", Moment.PICKED_UP, Moment.PULLED),
    ("prepare", Moment.PULLED, Moment.PREPARED),
    ("start", Moment.PREPARED, Moment.STARTED),
    ("first_output", Moment.STARTED, Moment.FIRST_OUTPUT),
    ("first_health", Moment.STARTED, Moment.FIRST_HEALTH),
    ("run", Moment.STARTED, Moment.EXITED),
    ("upload", Moment.EXITED, Moment.UPLOADED),
    ("settle", Moment.UPLOADED, Moment.SETTLED),
)
"""Names of the legs, and between which moments each lies."""


@dataclass(frozen=True, slots=True)
class LegTimes:
    """What a leg took, over several runs. Milliseconds."""

    leg: str
    count: int
    """Runs for which it is known."""
    p50: int | None
    p95: int | None


@dataclass(frozen=True, slots=True)
class Latency:
    """The legs of the runs of a span of time."""

    since: float
    """Unix seconds."""
    runs: int
    legs: tuple[LegTimes, ...]
    """In the order of LEGS; those that no run has are there with a count of 0."""
    samples: Mapping[str, tuple[int, ...]]
    """What each leg took, ascending."""


def legs_of(moments: Moments) -> dict[str, int]:
    """What each leg of one run took, in milliseconds; without those of which an end is not known. Two clocks may
    disagree by a little: nothing takes less than no time."""
    return {name: max(0, moments[end] - moments[begin]) for name, begin, end in LEGS if {begin, end} <= moments.keys()}


def percentile(ascending: tuple[int, ...], share: int) -> int | None:
    """The smallest value that `share` percent do not exceed (nearest rank); None of nothing."""
    if not ascending:
        return None
    return ascending[max(0, -(-len(ascending) * share // 100) - 1)]


def latency_of(runs: Iterable[Moments], since: float) -> Latency:
    """The legs of several runs together."""
    found: dict[str, list[int]] = {name: [] for name, _, _ in LEGS}
    count = 0
    for moments in runs:
        count += 1
        for name, spent in legs_of(moments).items():
            found[name].append(spent)
    samples = {name: tuple(sorted(values)) for name, values in found.items()}
    legs = tuple(
        LegTimes(name, len(values), percentile(values, 50), percentile(values, 95)) for name, values in samples.items()
    )
    return Latency(since, count, legs, samples)


def steps_of(moments: Moments) -> tuple[tuple[Moment, int, int | None], ...]:
    """A run's moments in the order in which they came, each with the milliseconds since the one before it."""
    ordered = sorted(moments.items(), key=lambda item: (item[1], list(Moment).index(item[0])))
    gaps = [None, *(later[1] - earlier[1] for earlier, later in pairwise(ordered))]
    return tuple((moment, at, gap) for (moment, at), gap in zip(ordered, gaps, strict=True))


# --- written by the journal, in the transactions of its other writes ----------------------------------------


def put(db: sqlite3.Connection, run: str, moments: Moments) -> None:
    """Keep moments of a run; the first of each counts."""
    db.executemany(
        "INSERT OR IGNORE INTO moments (run, moment, at_ms) VALUES (?, ?, ?)",
        [(run, moment.value, at) for moment, at in moments.items()],
    )


def begin(db: sqlite3.Connection, run: str, lane: str, run_time: int, now: float) -> None:
    """A run that a lane was just given, before the lane's place in the queue is forgotten."""
    queued = db.execute("SELECT queued_since FROM lanes WHERE name = ?", (lane,)).fetchone()
    known = {Moment.ASSIGNED: run_time * 1000, Moment.PICKED_UP: round(now * 1000)}
    if queued is not None and queued[0] is not None:
        known[Moment.QUEUED] = round(queued[0] * 1000)
    put(db, run, known)


def of_operation(state: OperationState) -> Moments:
    """What an operation's state says."""
    found = {Moment.PULLED: state.pulled_ms, Moment.PREPARED: state.began_ms}
    return {moment: at for moment, at in found.items() if at is not None}


def of_record(record: object, now: float) -> Moments:
    """What the record of a stage that is over says; most say nothing."""
    if isinstance(record, Outcome) and any(state.starts for state in record.operations):
        return {Moment.EXITED: record.ended_ms}
    if isinstance(record, Report):
        return {Moment.UPLOADED: round(now * 1000)}
    return {}


class LatencyRows:
    """What was seen and not yet written, and what can be read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[Address, dict[Moment, int]] = {}

    def note(self, run: Address, moment: Moment, at_ms: int) -> None:
        """A moment was seen; it is kept with the run's next write. The first of its kind counts."""
        self._seen.setdefault(run, {}).setdefault(moment, at_ms)

    def seen(self, run: Address) -> dict[Moment, int]:
        """What was noted of a run."""
        return dict(self._seen.get(run, {}))

    def forget(self, run: Address) -> None:
        """A run that is over: what was noted of it is written."""
        self._seen.pop(run, None)

    async def of(self, run: Address) -> dict[Moment, int]:
        """A run's moments; raises JournalError when the file cannot be read."""

        def work(db: sqlite3.Connection) -> dict[Moment, int]:
            if not _is_there(db):
                return {}
            found = db.execute("SELECT moment, at_ms FROM moments WHERE run = ?", (run,))
            return {Moment(moment): at for moment, at in found}

        return {**self.seen(run), **await self._database.read(work)}

    async def latency(self, since: float, most: int = MOST_RUNS) -> Latency:
        """The legs of runs that were given to this host after `since` (unix seconds), the newest `most` of them."""
        query = (
            "SELECT run, moment, at_ms FROM moments WHERE run IN "
            "(SELECT run FROM jobs WHERE created >= ? ORDER BY created DESC LIMIT ?)"
        )

        def work(db: sqlite3.Connection) -> Latency:
            runs: dict[str, dict[Moment, int]] = {}
            if not _is_there(db):
                return latency_of((), since)
            for run, moment, at in db.execute(query, (since, most)):
                runs.setdefault(run, {})[Moment(moment)] = at
            return latency_of(runs.values(), since)

        return await self._database.read(work)


def _is_there(db: sqlite3.Connection) -> bool:
    """Whether the journal, which nobody but an agent brings up to date, has moments yet."""
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'moments'").fetchone() is not None
