"""When a work proof is made: queued and idle, not too often, within a day's energy. Pure: it is told the time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

DAY = 86_400.0
FIRST_PAUSE = 300.0
"""Seconds after a proof that failed; doubled with each more that fails, up to the interval."""
CUT_PAUSE = 60.0
"""Seconds after one that a job cut off; doubled with each more in a row, up to the interval: where jobs come one after
the other, beginning in vain must not use the day's energy."""
ASSUMED_WATTS = 300.0
"""Of a GPU that neither meters energy nor tells its limit: rather too much than too little."""


@dataclass(frozen=True, slots=True)
class WorkRun:
    """One proof that was begun, as it is remembered."""

    at: float
    """Unix seconds of its begin."""
    joules: float
    """That it used: metered, or the most it can have used."""
    done: bool
    """Whether it was anchored; what was cut off or failed used energy all the same."""
    gpu: str = ""
    """Whose turn it was."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to begin now."""

    go: bool
    reason: str
    """For a person."""
    again_in: float
    """Seconds after which to ask again, 0 with `go`; events (queued, a job's end) are reasons to ask at once."""


class WorkKeeper:
    """Decides for one host, over all lanes: they share its energy, and each lane's GPU has its own turn."""

    def __init__(
        self,
        *,
        interval: float,
        seconds: float,
        daily_joules: float,
        history: Iterable[WorkRun] = (),
        power_limit_watts: float | None = None,
    ) -> None:
        """`interval`, `seconds`: in seconds; `history`: runs of the last day and the last one that was done, oldest
        first; `power_limit_watts`: of the GPU, None where it is not known."""
        self._interval = interval
        self._seconds = seconds
        self._budget = daily_joules
        self._watts = power_limit_watts or ASSUMED_WATTS
        self._runs = list(history)
        self._failures: dict[str, int] = {}
        self._cuts: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._began: float | None = None
        self._gpu = ""

    @property
    def running(self) -> bool:
        """Whether one is under way."""
        return self._began is not None

    def spent(self, now: float) -> float:
        """Joules of the last 24 h."""
        return sum(run.joules for run in self._runs if now - DAY < run.at <= now)

    def last(self, gpu: str = "") -> float | None:
        """Unix seconds at which this GPU's newest proof was begun; None: none is remembered."""
        return max((run.at for run in self._runs if run.done and run.gpu == gpu), default=None)

    def estimate(self, gpu: str = "") -> float:
        """Joules that this GPU's next one will take: as its dearest of those remembered that were metered to their
        end."""
        known = [run.joules for run in self._runs if run.done and run.gpu == gpu]
        return max(known) if known else self._watts * self._seconds

    def most(self, seconds: float | None = None) -> float:
        """Joules that one can have used at most in so many seconds (None: in all it may take)."""
        limit = 2 * self._seconds
        return self._watts * (limit if seconds is None else min(max(seconds, 0.0), limit))

    def verdict(self, now: float, *, queued: bool, idle: bool, gpu: str = "") -> Verdict:
        """Whether to begin at `now` (unix seconds). `queued`: the lane stands in its market's queue; `idle`: it has no
        job, none is being settled on its GPU, and nobody else uses the GPU; `gpu`: whose turn it would be."""
        if self._began is not None:
            return Verdict(False, "one is under way", self._seconds)
        if self._budget <= 0:
            return Verdict(False, "work_proof.daily_energy is 0", DAY)
        if not (queued and idle):
            return Verdict(False, "the lane is not queued and idle", self._interval)
        # A clock that was set back must not stop proofs until it has caught up.
        last = max((run.at for run in self._runs if run.done and run.gpu == gpu and run.at <= now), default=None)
        wait = max(0.0 if last is None else last + self._interval - now, self._not_before.get(gpu, 0.0) - now)
        if wait > 0:
            return Verdict(False, "the interval is not over", wait)
        need, spent = self.estimate(gpu), self.spent(now)
        if spent + need > self._budget:
            if need > self._budget:
                reason = f"one takes {need / 1000:.1f} kJ, the budget of a day is {self._budget / 1000:.1f} kJ"
                return Verdict(False, reason, DAY)
            return Verdict(False, f"{spent / 1000:.1f} kJ of the day's budget are used", self._room(now, need))
        return Verdict(True, "queued, idle, and within the budget", 0.0)

    def begin(self, now: float, gpu: str = "") -> None:
        """One begins."""
        self._began = now
        self._gpu = gpu

    def end(self, now: float, *, joules: float | None = None) -> WorkRun:
        """It was anchored. `joules`: as metered, None where nothing meters."""
        self._failures.pop(self._gpu, None)
        self._cuts.pop(self._gpu, None)
        self._not_before.pop(self._gpu, None)
        return self._close(now, joules, done=True)

    def cut(self, now: float) -> WorkRun:
        """It was ended for a job, or with the agent."""
        cuts = self._cuts.get(self._gpu, 0)
        self._not_before[self._gpu] = now + min(self._interval, CUT_PAUSE * 2 ** min(cuts, 32))
        self._cuts[self._gpu] = cuts + 1
        return self._close(now, None, done=False)

    def fail(self, now: float) -> WorkRun:
        """It failed by itself, or could not be anchored."""
        failures = self._failures.get(self._gpu, 0)
        self._not_before[self._gpu] = now + min(self._interval, FIRST_PAUSE * 2 ** min(failures, 32))
        self._failures[self._gpu] = failures + 1
        return self._close(now, None, done=False)

    def _close(self, now: float, joules: float | None, *, done: bool) -> WorkRun:
        assert self._began is not None, "nothing was begun"
        if joules is None:
            # At most what the GPU can use in the time that passed.
            joules = self.most(now - self._began)
        run = WorkRun(self._began, joules, done, self._gpu)
        self._began = None
        self._runs = [each for each in self._runs if now - each.at < max(DAY, self._interval)] + [run]
        return run

    def _room(self, now: float, need: float) -> float:
        """Seconds until enough of the day's energy is a day old."""
        left = self.spent(now) + need - self._budget
        for run in sorted(self._runs, key=lambda each: each.at):
            if now - DAY < run.at <= now:
                left -= run.joules
                if left <= 0:
                    return run.at + DAY - now
        return DAY
