"""Joining a market's queue, and leaving it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from solders.keypair import Keypair

from node.chain import accounts
from node.chain.instructions import jobs
from node.chain.replies import Seen
from node.errors import MarketError, TransactionFailed
from node.market.access_key import find_access_token
from node.market.context import MarketContext
from node.market.effects import is_queued, run_filters
from node.records import Address, QueueType, Run, Signature

CLOSED = 255
"""Job type of a market that puts nobody into its queue: `work` is charged and does nothing (Nosana jobs program)."""


class JoinKind(StrEnum):
    """What joining came to."""

    QUEUED = "queued"
    ASSIGNED = "assigned"


MOVES = frozenset({"work", "stop"})
"""Kinds of transaction that bring a node into a queue or out of it."""


@dataclass(frozen=True, slots=True)
class JoinResult:
    """What joining came to; `signature` is None where the node was there already."""

    kind: JoinKind
    run: Run | None
    position: int | None
    signature: Signature | None


async def join(context: MarketContext, market_address: Address) -> JoinResult:
    """Send `work`, unless the node already waits in the queue or has a run.

    The run key goes with the transaction through every signature (the outbox keeps it), so that a transaction
    that lands late cannot make a second run. Nor is a second `work` made while an earlier one may still land.
    Raises AccessKeyMissing, MarketError, TransactionFailed, and what reads raise.
    """
    await context.outbox.resume(context.lane, "work")
    if (already := await standing(context, market_address)) is not None:
        return already
    market = await context.ledger.market(market_address)
    if market.job_type == CLOSED and market.queue_type is not QueueType.JOBS:
        raise MarketError(
            f"market {market_address} lets no node wait (job type {CLOSED})",
            hint="its owner has closed it; name another market in the lane's settings",
        )
    token = await find_access_token(context, market)
    run_key = Keypair()
    run = Address(str(run_key.pubkey()))

    work = jobs.work(
        context.cluster,
        run=run,
        market=market_address,
        authority=context.node,
        nft=token.account,
        nft_mint=token.mint,
    )
    try:
        landed = await context.send(f"work:{run}", "work", [work], (run_key,))
    except TransactionFailed as refused:
        # An earlier `work` of ours landed after we looked: the node is where it wants to be.
        if refused.error == "NodeAlreadyQueued" and (already := await standing(context, market_address)):
            return already
        raise
    result = await standing(context, market_address, min_context_slot=landed.slot)
    if result is None:
        # Queued, popped, run and ended between the two reads.
        return JoinResult(JoinKind.QUEUED, None, None, landed.signature)
    return JoinResult(result.kind, result.run, result.position, landed.signature)


async def leave(context: MarketContext, market_address: Address) -> Signature | None:
    """Leave the queue; None where the node is not in it.

    Leaving races with being given a job: a refusal because the node is no longer queued is no error.
    """
    # A `work` still under way could land after we have left.
    await context.outbox.resume(context.lane, "work")
    market = await context.ledger.market(market_address, min_context_slot=context.own_slot)
    if not is_queued(market, context.node):
        return None
    stop = jobs.stop(context.cluster, market=market_address, node=context.node)
    try:
        landed = await context.send(_stop_key(context), "stop", [stop])
    except TransactionFailed as refused:
        if refused.error in ("NotInMarketQueue", "MarketInWrongState"):
            return None
        raise
    return landed.signature


async def is_leaving(context: MarketContext) -> bool:
    """Whether the node has left the queue, or is about to, and the chain has not finalized that."""
    return await context.outbox.knows(_stop_key(context))


def _stop_key(context: MarketContext) -> str:
    return f"stop:{context.lane}:{context.node}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node stands in a market: the runs it has, oldest first, and its place in the queue (from 1)."""

    runs: tuple[Run, ...]
    position: int | None


async def place(context: MarketContext, market_address: Address, *, min_context_slot: int | None = None) -> Place:
    """Where the node stands in this market."""
    floor = max(min_context_slot or 0, context.own_slot)
    # The queue first, and the runs from no earlier view: a node that is given a job between the two reads then shows in
    # both, never in neither, whichever endpoints answer.
    seen = await context.ledger.seen_market(market_address, min_context_slot=floor)
    runs = await read_runs(context, seen.slot)
    queued = is_queued(seen.value, context.node)
    return Place(runs.value, seen.value.queue.index(context.node) + 1 if queued else None)


async def standing(
    context: MarketContext, market_address: Address, *, min_context_slot: int | None = None
) -> JoinResult | None:
    """The same as a result of joining: at a run, in the queue, or nowhere (None)."""
    now = await place(context, market_address, min_context_slot=min_context_slot)
    if now.runs:
        return JoinResult(JoinKind.ASSIGNED, now.runs[0], None, None)
    if now.position is not None:
        return JoinResult(JoinKind.QUEUED, None, now.position, None)
    return None


async def read_runs(context: MarketContext, min_context_slot: int) -> Seen[tuple[Run, ...]]:
    """The runs of this node, oldest first, and the slot of the view."""
    found = await context.rpc.read_program_accounts(
        context.cluster.jobs,
        filters=run_filters(context.node),
        min_context_slot=max(min_context_slot, context.own_slot),
    )
    runs = [accounts.decode_run(raw, context.cluster) for raw in found.value]
    return Seen(tuple(sorted(runs, key=lambda run: (run.time, run.address))), found.slot)
