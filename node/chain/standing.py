"""How an endpoint stands: whether it answers, how far it is behind, and how often it may be asked.

Nothing here asks anything; it only remembers what came of asking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from node.chain.bucket import Bucket, Rate
from node.errors import RpcBehind, RpcBusy, RpcUnavailable

FIRST_COOL_DOWN = 1.0
LONGEST_COOL_DOWN = 60.0
"""Seconds for which an endpoint that failed is asked last; doubled with each failure in a row."""
LAG_LIMIT = 25
"""Slots (10 s) behind the newest view of all endpoints from which an endpoint is asked after the others."""
SLOT_SECONDS = 0.4
"""Length of a slot, by which a view that was seen a while ago is taken to have moved on."""
STALE_VIEW = 60.0
"""Seconds after which what was seen of an endpoint's slot says nothing any more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one endpoint may be asked: in all, and by method."""

    total: Rate
    method: Rate


class Standing:
    """What is known of one endpoint. Times are monotonic seconds."""

    def __init__(self, limits: Limits | None) -> None:
        """`limits`: None where it may be asked without limit."""
        self.genesis: str | None = None
        """Of the chain it serves; None: not asked yet."""
        self.failures = 0
        """In a row."""
        self.last_error = ""
        self.answered_at = float("-inf")
        self._cooling_until = float("-inf")
        self._slots: dict[str, tuple[int, float]] = {}
        self._limits = limits
        self._total = None if limits is None else Bucket(limits.total)
        self._methods: dict[str, Bucket] = {}

    # --- what came of asking ---

    def answered(self, now: float) -> None:
        """It gave an answer, of whatever kind."""
        self.failures = 0
        self.answered_at = now
        self._cooling_until = float("-inf")

    def failed(self, error: RpcUnavailable, now: float) -> None:
        """It gave none."""
        self.last_error = error.message
        if isinstance(error, RpcBehind):
            # It works; that it lags is what its slots say.
            return
        pause = min(LONGEST_COOL_DOWN, FIRST_COOL_DOWN * 2**self.failures)
        if isinstance(error, RpcBusy) and error.seconds is not None:
            pause = max(error.seconds, FIRST_COOL_DOWN)
        self.failures = min(self.failures + 1, 16)
        self._cooling_until = now + pause

    def saw(self, commitment: str, slot: int, now: float) -> None:
        """It showed a view at that slot."""
        known = self._slots.get(commitment)
        if known is None or slot >= known[0] or now - known[1] > STALE_VIEW:
            self._slots[commitment] = (slot, now)

    # --- what follows from it ---

    def cooling(self, now: float) -> bool:
        """Whether it failed a short while ago."""
        return now < self._cooling_until

    def slots(self, now: float) -> Mapping[str, float]:
        """The slot it should have reached at each commitment, by what it showed and the time since."""
        return {
            commitment: slot + (now - at) / SLOT_SECONDS
            for commitment, (slot, at) in self._slots.items()
            if now - at <= STALE_VIEW
        }

    def wait(self, method: str, now: float) -> float:
        """Seconds until the method may be asked."""
        if self._total is None:
            return 0.0
        return max(self._total.wait(now), self._bucket(method).wait(now))

    def take(self, method: str, now: float) -> None:
        """The method is asked now."""
        if self._total is not None:
            self._total.take(now)
            self._bucket(method).take(now)

    def _bucket(self, method: str) -> Bucket:
        assert self._limits is not None
        if method not in self._methods:
            self._methods[method] = Bucket(self._limits.method)
        return self._methods[method]


def lags(standings: list[Standing], now: float) -> list[int]:
    """Slots by which each is behind the one that is ahead, at the commitment where that is most; 0 where not known.

    With one word against another nobody can say which is right. So the one ahead counts only up to the next one where
    there are three or more: a single endpoint with a slot out of nowhere then makes no other one look late.
    """
    seen = [standing.slots(now) for standing in standings]
    behind = [0] * len(standings)
    for commitment in {each for slots in seen for each in slots}:
        known = sorted((slots[commitment] for slots in seen if commitment in slots), reverse=True)
        ahead = known[1] if len(known) >= 3 else known[0]
        for index, slots in enumerate(seen):
            if commitment in slots:
                behind[index] = max(behind[index], round(ahead - slots[commitment]))
    return behind
