"""A token bucket: how many requests may be made now, and when the next one may."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_second` requests in the long run, `burst` of them at once."""

    per_second: float
    burst: int


class Bucket:
    """Tokens that come back with time. Times are monotonic seconds, given by the caller."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._tokens = float(rate.burst)
        self._at = float("-inf")

    def wait(self, now: float) -> float:
        """Seconds until there is a token; 0 where there is one."""
        self._refill(now)
        return max(0.0, (1.0 - self._tokens) / self._rate.per_second)

    def take(self, now: float) -> None:
        """Use a token. Where there is none, one is owed: what must go out goes out, and what follows waits longer."""
        self._refill(now)
        self._tokens -= 1.0

    def _refill(self, now: float) -> None:
        if now > self._at:
            gained = (now - self._at) * self._rate.per_second
            self._tokens = min(float(self._rate.burst), self._tokens + gained)
            self._at = now
