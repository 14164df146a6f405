"""What an instruction brings about, as something that accounts show.

The outbox decides by effects, not by what an endpoint says of a signature. An effect follows from the bytes of the
instruction alone, so it is the same for a transaction just made and for one an earlier process left behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from solders.instruction import Instruction

from node.chain import accounts, addresses
from node.chain.clusters import Cluster
from node.chain.codec import instruction_discriminator
from node.chain.filters import Memcmp
from node.chain.intents import Effect, Recipe
from node.chain.rpc import Rpc
from node.market.ledger import Ledger
from node.records import Address, JobState, Market, OutboxRow, QueueType

_Maker = Callable[[Cluster, Sequence[Address], bytes], Effect]


def effect_of(cluster: Cluster, instructions: Iterable[Instruction]) -> Effect | None:
    """The effect of the first instruction that has one a read can show; None where there is none.

    Top-ups and transfers have none: after them an account holds more or less, and who did it cannot be told.
    """
    created: Effect | None = None
    for instruction in instructions:
        program = addresses.to_address(instruction.program_id)
        keys = [addresses.to_address(meta.pubkey) for meta in instruction.accounts]
        data = bytes(instruction.data)
        maker = _makers(cluster).get((program, data[:8]))
        if maker is not None:
            return maker(cluster, keys, data[8:])
        if program == cluster.ata:
            created = _exists(keys[1])
    return created


def effect_of_row(cluster: Cluster) -> Callable[[OutboxRow], Effect | None]:
    """As `effect_of`, for rows that an earlier process left."""

    def find(row: OutboxRow) -> Effect | None:
        return effect_of(cluster, Recipe.decode(row.recipe).instructions)

    return find


def is_queued(market: Market, node: Address) -> bool:
    """Whether the node waits in this market's queue (a queue of jobs never holds nodes)."""
    return market.queue_type is QueueType.NODES and node in market.queue


def run_filters(node: Address) -> tuple[Memcmp, ...]:
    """Server-side filters that only this node's run accounts pass."""
    return (
        Memcmp(0, accounts.RUN_DISCRIMINATOR),
        Memcmp(accounts.RUN_NODE_OFFSET, bytes(addresses.to_key(node))),
    )


def _makers(cluster: Cluster) -> dict[tuple[Address, bytes], _Maker]:
    named: dict[Address, dict[str, _Maker]] = {
        cluster.jobs: {
            "work": _joined,
            "stop": _left,
            "finish": _settled,
            "complete": _settled,
            "quit": _run_closed,
            "list": _job_listed,
            "assign": _job_listed,
            "extend": _extended,
            "end": _ended,
            "delist": _job_closed,
            "recover": _job_closed,
            "clean": _job_closed,
        },
        cluster.nodes: {"register": _registered, "update": _registered},
        cluster.staking: {"stake": _staked},
    }
    return {
        (program, instruction_discriminator(name)): maker
        for program, makers in named.items()
        for name, maker in makers.items()
    }


def _joined(cluster: Cluster, keys: Sequence[Address], _data: bytes) -> Effect:
    """The node waits in the queue, or has a run: that of this `work`, or one that a poster's `list` made for a node
    that this `work` had put into the queue."""
    market, node = keys[1], keys[6]

    async def effect(rpc: Rpc) -> bool:
        queued = is_queued(await Ledger(cluster, rpc).market(market), node)
        return queued or bool(await rpc.get_program_accounts(cluster.jobs, run_filters(node)))

    return effect


def _left(cluster: Cluster, keys: Sequence[Address], _data: bytes) -> Effect:
    market, node = keys[0], keys[1]

    async def effect(rpc: Rpc) -> bool:
        return not is_queued(await Ledger(cluster, rpc).market(market), node)

    return effect


def _settled(cluster: Cluster, keys: Sequence[Address], data: bytes) -> Effect:
    """The job holds this very result."""
    job, result = keys[0], addresses.hash_to_cid(data[:32])

    async def effect(rpc: Rpc) -> bool:
        now = await Ledger(cluster, rpc).job(job)
        return now is not None and now.result_cid == result

    return effect


def _run_closed(cluster: Cluster, keys: Sequence[Address], _data: bytes) -> Effect:
    run = keys[1]

    async def effect(rpc: Rpc) -> bool:
        return await Ledger(cluster, rpc).run(run) is None

    return effect


def _job_listed(cluster: Cluster, keys: Sequence[Address], _data: bytes) -> Effect:
    job = keys[0]

    async def effect(rpc: Rpc) -> bool:
        return await Ledger(cluster, rpc).job(job) is not None

    return effect


def _job_closed(cluster: Cluster, keys: Sequence[Address], _data: bytes) -> Effect:
    job = keys[0]

    async def effect(rpc: Rpc) -> bool:
        return await Ledger(cluster, rpc).job(job) is None

    return effect


def _extended(cluster: Cluster, keys: Sequence[Address], data: bytes) -> Effect:
    job, timeout = keys[0], int.from_bytes(data[:8], "little", signed=True)

    async def effect(rpc: Rpc) -> bool:
        now = await Ledger(cluster, rpc).job(job)
        return now is not None and now.timeout >= timeout

    return effect


def _ended(cluster: Cluster, keys: Sequence[Address], _data: bytes) -> Effect:
    job = keys[0]

    async def effect(rpc: Rpc) -> bool:
        now = await Ledger(cluster, rpc).job(job)
        return now is not None and now.state is JobState.DONE

    return effect


def _registered(_cluster: Cluster, keys: Sequence[Address], data: bytes) -> Effect:
    """The account says what the instruction said: its fields stand in the order of the arguments."""
    account = keys[0]

    async def effect(rpc: Rpc) -> bool:
        raw = await rpc.get_account(account)
        start = accounts.NODE_PROFILE_OFFSET
        return raw is not None and raw.data[start : start + len(data)] == data

    return effect


def _staked(_cluster: Cluster, keys: Sequence[Address], _data: bytes) -> Effect:
    return _exists(keys[3])


def _exists(address: Address) -> Effect:
    async def effect(rpc: Rpc) -> bool:
        return await rpc.get_account(address) is not None

    return effect
