"""Joining a market's queue, and leaving it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from solders.keypair import Keypair

from node.chain import accounts
from node.chain.instructions import jobs
from node.errors import TransactionFailed
from node.market.access_key import find_access_token
from node.market.context import MarketContext
from node.market.effects import is_queued, run_filters
from node.records import Address, Run, Signature


class JoinKind(StrEnum):
    """What joining came to."""

    QUEUED = "queued"
    ASSIGNED = "assigned"


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
    that lands late cannot make a second run. Raises AccessKeyMissing, TransactionFailed, and what reads raise.
    """
    if (already := await standing(context, market_address)) is not None:
        return already
    market = await context.ledger.market(market_address)
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
        # Queued and popped, run and ended between the two reads, or a market that queues nothing (type 255).
        return JoinResult(JoinKind.QUEUED, None, None, landed.signature)
    return JoinResult(result.kind, result.run, result.position, landed.signature)


async def leave(context: MarketContext, market_address: Address) -> Signature | None:
    """Leave the queue; None where the node is not in it.

    Leaving races with being given a job: a refusal because the node is no longer queued is no error.
    """
    market = await context.ledger.market(market_address)
    if not is_queued(market, context.node):
        return None
    stop = jobs.stop(context.cluster, market=market_address, node=context.node)
    try:
        landed = await context.send(f"stop:{context.lane}:{context.node}", "stop", [stop])
    except TransactionFailed as refused:
        if refused.error in ("NotInMarketQueue", "MarketInWrongState"):
            return None
        raise
    return landed.signature


async def standing(
    context: MarketContext, market_address: Address, *, min_context_slot: int | None = None
) -> JoinResult | None:
    """Where the node stands in this market: at a run, in the queue, or nowhere (None)."""
    # The queue first: a node that is given a job between the two reads then shows in both, never in neither.
    market = await context.ledger.market(market_address, min_context_slot=min_context_slot)
    runs = await runs_of(context, min_context_slot=min_context_slot)
    if runs:
        return JoinResult(JoinKind.ASSIGNED, runs[0], None, None)
    if is_queued(market, context.node):
        return JoinResult(JoinKind.QUEUED, None, market.queue.index(context.node) + 1, None)
    return None


async def runs_of(context: MarketContext, *, min_context_slot: int | None = None) -> tuple[Run, ...]:
    """The runs of this node, oldest first."""
    found = await context.rpc.get_program_accounts(
        context.cluster.jobs,
        filters=run_filters(context.node),
        min_context_slot=min_context_slot,
    )
    runs = [accounts.decode_run(raw, context.cluster) for raw in found]
    return tuple(sorted(runs, key=lambda run: (run.time, run.address)))
