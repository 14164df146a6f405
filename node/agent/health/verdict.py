"""From single looks to a verdict that does not flutter: a pure state machine per subject.

One failed look is an accident; a verdict takes several looks over several seconds, in both directions. A look that
could not say anything is no failure: it is "unknown", ends no work, and stands in the way of new work only when it has
lasted for a stated time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from node.records import HealthState

OK, FAILING, UNKNOWN = HealthState.OK, HealthState.FAILING, HealthState.UNKNOWN


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a subject saw."""

    state: HealthState
    reason: str = ""
    """What is wrong, or why it could not be seen; empty when all is well."""
    hint: str = ""
    """What a person can do about it."""


WELL = Look(OK)


@dataclass(frozen=True, slots=True)
class Patience:
    """How much of the same it takes. Seconds."""

    failures: int = 3
    failures_over: float = 8.0
    """From the first to the last of them."""
    successes: int = 3
    successes_over: float = 8.0
    unknown_limit: float = 60.0
    """Unknown for longer stands in the way of new work; infinite: it never does."""
    is_warning: bool = False
    """Whether it is only said, and never stands in the way."""


@dataclass(frozen=True, slots=True)
class Streak:
    """Looks that all saw the same, without one between them that saw something else."""

    state: HealthState
    count: int
    first: float
    last: float

    def enough(self, count: int, seconds: float) -> bool:
        """Whether there are that many, over that long."""
        return self.count >= count and self.last - self.first >= seconds


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a subject stands. Immutable: `after` gives the next one. Times are monotonic seconds."""

    state: HealthState
    since: float
    """When it came to be so."""
    streak: Streak
    unwell_since: float | None
    """Since when no look saw that all is well; None: the last one did."""
    hinders: bool
    """Whether it stands in the way of new work."""
    reason: str = ""
    hint: str = ""

    @staticmethod
    def begin(now: float) -> Verdict:
        """Nothing was looked at yet: unknown."""
        return Verdict(UNKNOWN, now, Streak(UNKNOWN, 0, now, now), now, hinders=False, reason="not looked at yet")

    def after(self, look: Look, now: float, patience: Patience) -> Verdict:
        """The verdict once this look, at `now`, is known."""
        streak = self._grown(look.state, now)
        unwell = None if look.state is OK else now if self.unwell_since is None else self.unwell_since
        overdue = unwell is not None and now - unwell >= patience.unknown_limit
        state = self._state(streak, overdue, patience)
        told = look if look.state is state else Look(state, self.reason, self.hint)
        return Verdict(
            state=state,
            since=self.since if state is self.state else now,
            streak=streak,
            unwell_since=unwell,
            hinders=not patience.is_warning and self._hinders(state, overdue),
            reason=told.reason,
            hint=told.hint,
        )

    def _grown(self, state: HealthState, now: float) -> Streak:
        if self.streak.count and self.streak.state is state:
            return replace(self.streak, count=self.streak.count + 1, last=now)
        return Streak(state, 1, now, now)

    def _state(self, streak: Streak, overdue: bool, patience: Patience) -> HealthState:
        if streak.state is OK:
            # What stood in the way must prove itself; what was merely not seen is well as soon as it is seen to be.
            proven = streak.enough(patience.successes, patience.successes_over)
            return OK if proven or not (self.hinders or self.state is FAILING) else self.state
        if streak.state is UNKNOWN and self.state is FAILING:
            return FAILING  # not to be seen is no news of what was failing
        proven = streak.enough(patience.failures, patience.failures_over)
        return streak.state if proven or overdue else self.state

    def _hinders(self, state: HealthState, overdue: bool) -> bool:
        return state is FAILING or (state is UNKNOWN and (self.hinders or overdue))
