"""What a transaction offers validators on top of the base fee."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BASE_FEE = 5_000
"""Lamports per signature (Solana)."""
MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """Bounds of the price per compute unit, in micro-lamports, and how it follows what others paid."""

    floor: int = 10_000
    cap: int = 2_000_000
    percentile: int = 50
    """Of the recent prices for the accounts written."""
    growth: float = 2.0
    """Factor per further attempt."""

    def price(self, recent: Sequence[int], attempt: int) -> int:
        """Micro-lamports per compute unit for an attempt (from 1), never above the cap."""
        start = max(self.floor, percentile(recent, self.percentile))
        if start >= self.cap:
            return self.cap
        # The exponent is bounded, so that a settle tried for days does not overflow.
        return min(self.cap, round(start * self.growth ** min(attempt - 1, 32)))


def percentile(values: Sequence[int], percent: int) -> int:
    """The value below which `percent` of the values lie (nearest rank); 0 for none."""
    if not values:
        return 0
    ordered = sorted(values)
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]


def total(signatures: int, price: int, units: int) -> int:
    """Lamports that a transaction costs: base fee plus price × compute limit, rounded up."""
    return BASE_FEE * signatures + -(-price * units // MICRO)
