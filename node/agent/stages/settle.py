"""settle: the outcome on-chain, exactly once."""

from __future__ import annotations

from collections.abc import Callable

from node.agent.edges import LaneMarket
from node.agent.waiting import patiently
from node.errors import ChainError, GpunodeError, LaneDegraded, MarketError, WalletError
from node.records import Assignment, Refusal, Report, Settlement
from node.retry import Clock, Retry

SETTLE_RETRY = Retry(attempts=1, total=0.0, first=0.5, longest=60.0)  # only its waits: pay is never given up
TROUBLE = (ChainError, MarketError, WalletError, LaneDegraded)
"""What may pass: the market room looks at the chain anew each time, and only the chain ends the trying."""


async def settle(
    assignment: Assignment,
    report: Report,
    memo: str,
    market: LaneMarket,
    clock: Clock,
    on_trouble: Callable[[GpunodeError], None],
) -> Settlement:
    """Store the result on-chain with the receipt's memo; returns when the chain shows how the job ended."""
    return await patiently(
        lambda: market.settle(assignment, report.result_cid, memo),
        on=TROUBLE,
        waits=SETTLE_RETRY,
        clock=clock,
        on_trouble=on_trouble,
    )


async def give_back(
    assignment: Assignment,
    refusal: Refusal,
    market: LaneMarket,
    clock: Clock,
    on_trouble: Callable[[GpunodeError], None],
) -> Settlement:
    """Quit the run, unpaid; returns when the chain shows it."""
    return await patiently(
        lambda: market.quit(assignment, refusal.reason),
        on=TROUBLE,
        waits=SETTLE_RETRY,
        clock=clock,
        on_trouble=on_trouble,
    )
