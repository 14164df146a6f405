"""What a job really paid: read from the chain's own balances; where no endpoint has the record, from the job's account.

An endpoint may prune its records, or not serve them at all. Settling does not wait for that: what was paid is then
what the jobs program must have paid by the times it stored, and whoever reads the figure is told so.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.chain.codec import instruction_discriminator
from node.chain.replies import LandedInstruction, LandedTransaction
from node.errors import RpcRejected, RpcUnavailable
from node.market.context import MarketContext
from node.records import Address, Job, PaySource, Signature
from node.retry import Retry

READ_BACK = Retry(attempts=10, total=12.0, first=0.2, longest=2.0)
"""An endpoint may know a transaction's effect some time before its record."""
HISTORY = 20
"""Transactions of an account that are searched for the one that settled a job: anybody can add some."""
BY_ACCOUNT = "pay by the job's account: no endpoint has the transaction's record"

PAY_UNKNOWN = "pay unknown: neither the transaction's record nor the job's account can be read"


@dataclass(frozen=True, slots=True)
class Pay:
    """Micro-NOS that a job paid; `note` says where the figure is from when it is not from the balances."""

    amount: int
    note: str = ""
    source: PaySource = PaySource.BALANCES


async def record_of(context: MarketContext, signature: Signature) -> LandedTransaction | None:
    """The record of a transaction that has landed; None when no endpoint has it in time."""

    async def read() -> LandedTransaction:
        record = await context.rpc.get_transaction(signature)
        if record is None:
            raise RpcUnavailable(f"no endpoint has the record of transaction {signature} yet")
        return record

    try:
        return await READ_BACK.call(read, on=(RpcUnavailable,), clock=context.clock)
    except (RpcUnavailable, RpcRejected):
        return None


async def find(context: MarketContext, account: Address, job: Address, *names: str) -> LandedTransaction | None:
    """The newest successful transaction in an account's history that holds one of these instructions for the job.

    Not simply the newest: after a run is closed anybody may name its address, and an endpoint's index may end before
    the transaction that is looked for. None when it cannot be had.
    """
    wanted = [instruction_discriminator(name) for name in names]

    def matches(each: LandedInstruction) -> bool:
        return each.program == context.cluster.jobs and each.data[:8] in wanted and job in each.accounts[:1]

    try:
        for entry in await context.rpc.get_signatures_for_address(account, limit=HISTORY):
            if entry.failed:
                continue
            record = await context.rpc.get_transaction(entry.signature)
            if record is not None and any(matches(each) for each in record.instructions):
                return record
    except (RpcUnavailable, RpcRejected):
        # The chain's accounts say that it happened; only its signature stays unknown.
        return None
    return None


def paid(record: LandedTransaction | None, job: Job | None, user: Address) -> Pay:
    """What a transaction paid to a token account; without its record, what the job's account says of it."""
    if record is not None and record.failure is None:
        return Pay(sum(max(each.after - each.before, 0) for each in record.token_changes if each.account == user))
    if job is None:
        return Pay(0, PAY_UNKNOWN, PaySource.UNKNOWN)
    # As the jobs program computes it when a run ends.
    return Pay(job.price * max(min(job.time_end - job.time_start, job.timeout), 0), BY_ACCOUNT, PaySource.ACCOUNT)


def returned(record: LandedTransaction | None, node: Address) -> int:
    """Lamports that somebody else's transaction brought this wallet: the rent of a run that it had paid for."""
    if record is None or record.failure is not None or node in record.signers:
        return 0
    return sum(change for key, change in zip(record.keys, record.lamport_changes, strict=False) if key == node)
