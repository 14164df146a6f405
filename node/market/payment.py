"""What a job really paid: read from the chain's own balances, never computed from the price."""

from __future__ import annotations

from node.chain.replies import LandedTransaction
from node.errors import RpcUnavailable
from node.market.context import MarketContext
from node.records import Address, Signature
from node.retry import Retry

READ_BACK = Retry(attempts=12, total=30.0, first=0.2, longest=4.0)
"""An endpoint may know a transaction's effect some time before its record."""


async def transaction(context: MarketContext, signature: Signature) -> LandedTransaction:
    """The record of a transaction that has landed. Raises RpcUnavailable when no endpoint has it in time."""

    async def read() -> LandedTransaction:
        record = await context.rpc.get_transaction(signature)
        if record is None:
            raise RpcUnavailable(
                f"no endpoint has the record of transaction {signature} yet",
                hint="the job is settled; its pay is read again at the next look",
            )
        return record

    return await READ_BACK.call(read, on=(RpcUnavailable,), clock=context.clock)


async def paid_by(context: MarketContext, signature: Signature, account: Address) -> int:
    """Micro-NOS by which a transaction raised a token account's balance (0 when it did not)."""
    record = await transaction(context, signature)
    return sum(max(each.after - each.before, 0) for each in record.token_changes if each.account == account)


async def settling_signature(context: MarketContext, run: Address) -> Signature | None:
    """The newest successful transaction that touched a run: the one that closed it. None if unknown."""
    for entry in await context.rpc.get_signatures_for_address(run, limit=10):
        if not entry.failed:
            return entry.signature
    return None
