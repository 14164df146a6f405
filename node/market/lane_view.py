"""Where a lane stands on the chain, read at one go for those who want to know why it does or does not earn."""

from __future__ import annotations

from dataclasses import dataclass

from node.errors import AccessKeyMissing, AccountMissing
from node.market import funds, join
from node.market.access_key import find_access_token
from node.market.context import MarketContext
from node.market.funds import FundsReport
from node.records import Address, Job, Market, Run


@dataclass(frozen=True, slots=True)
class LaneView:
    """What the chain shows of a lane. What keeps it from joining is looked at only where it stands nowhere."""

    market: Market | None
    """None: there is no such market."""
    runs: tuple[Run, ...] = ()
    job: Job | None = None
    """That of the oldest run."""
    position: int | None = None
    """Place in the queue, from 1."""
    funds: FundsReport | None = None
    access: str = ""
    """Why the market's access key is not there; empty: it is, or none is asked."""


async def read_view(context: MarketContext, market_address: Address) -> LaneView:
    """The lane's standing now. Raises what reads raise."""
    try:
        market = await context.ledger.market(market_address)
    except AccountMissing:
        return LaneView(None)
    place = await join.place(context, market_address)
    if place.runs:
        return LaneView(market, place.runs, await context.ledger.job(place.runs[0].job), place.position)
    if place.position is not None:
        return LaneView(market, position=place.position)
    access = ""
    try:
        await find_access_token(context, market)
    except AccessKeyMissing as missing:
        access = missing.message
    return LaneView(market, funds=await funds.check(context, market), access=access)
