"""Which runs a list is of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from node.records import SettleKind, Stage


class JobState(StrEnum):
    """How far a run is, as operators ask for it."""

    WORKING = "working"
    """Its work is not over."""
    SETTLING = "settling"
    """Its work is over, its pay on its way."""
    DONE = "done"
    """Settled by its result, whatever that was."""
    QUIT = "quit"
    """Given back, unpaid."""
    LOST = "lost"
    """The chain took it away."""


_AT_WORK = (Stage.FETCH, Stage.ADMIT, Stage.RUN)
_AFTER = (Stage.REPORT, Stage.SETTLE)
_UNPAID = (SettleKind.QUIT, SettleKind.LOST)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """What must hold of a run; None: anything."""

    lane: str | None = None
    state: JobState | None = None
    since: float | None = None
    """Unix seconds at which it was given to this host, or later."""
    skip: int = 0
    """So many of the newest are left out."""

    def clause(self, limit: int) -> tuple[str, tuple[object, ...]]:
        """The end of a query over jobs (with their settlements as `s`), and its values."""
        parts: list[tuple[str, tuple[object, ...]]] = []
        if self.lane is not None:
            parts.append(("jobs.lane = ?", (self.lane,)))
        if self.since is not None:
            parts.append(("jobs.created >= ?", (self.since,)))
        if self.state is not None:
            parts.append(_of_state(self.state))
        where = f"WHERE {' AND '.join(text for text, _ in parts)} " if parts else ""
        values = tuple(value for _, some in parts for value in some)
        return f"{where}ORDER BY jobs.created DESC, jobs.rowid DESC LIMIT ? OFFSET ?", (*values, limit, self.skip)


EVERY_JOB = JobFilter()


def _of_state(state: JobState) -> tuple[str, tuple[object, ...]]:
    match state:
        case JobState.WORKING:
            return f"jobs.stage IN ({_marks(len(_AT_WORK))})", tuple(stage.value for stage in _AT_WORK)
        case JobState.SETTLING:
            return f"jobs.stage IN ({_marks(len(_AFTER))})", tuple(stage.value for stage in _AFTER)
        case JobState.DONE:
            return f"s.kind NOT IN ({_marks(len(_UNPAID))})", tuple(kind.value for kind in _UNPAID)
        case JobState.QUIT | JobState.LOST:
            return "s.kind = ?", (state.value,)


def _marks(count: int) -> str:
    return ", ".join("?" * count)
