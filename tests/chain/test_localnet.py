"""The chain room against the embedded chain and a real node: real programs, real signatures, real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from solders.keypair import Keypair

from node.chain import accounts, addresses
from node.chain.filters import Memcmp
from node.chain.instructions import jobs, nodes, staking, tokens
from node.chain.intents import Intent, MemoryStore
from node.chain.memo import memo, memos
from node.chain.outbox import Outbox, Pace
from node.chain.policy import NODE_KINDS, OWNER_KINDS, POSTER_KINDS, SpendingPolicy
from node.chain.rpc import Rpc
from node.chain.shapes import ANYONE
from node.chain.subscription import Changed, Subscribed, Subscriptions
from node.chain.transaction import simulate
from node.chain.wallet import Wallet
from node.errors import RpcUnavailable, TransactionFailed
from node.records import Address, Cid, JobState, NodeProfile, OutboxState, QueueType
from tests.chain.fakes import FakeClock
from tests.realchain.either import EitherChain, give, own_market
from tests.realchain.sending import Sender

CID = Cid("QmVp8m3Uq1Cm6JJ3NsuTMSGLNnqXa1mC85uV7YxBREQ78p")
RESULT = Cid("QmNQa1FSTXNHmrjjfgUW3Px3Vkke4oKiFWdigWkYSux2Pi")
PROFILE = NodeProfile(0, 276, 16, 1, 64, 1000, 500, "", "", "1")
PACE = Pace(poll=0.05, poll_longest=0.1, tend=0.2)


@dataclass
class Party:
    """A wallet with its outbox."""

    net: EitherChain
    rpc: Rpc
    wallet: Wallet
    outbox: Outbox
    store: MemoryStore

    @property
    def address(self) -> Address:
        return self.wallet.address

    async def send(self, kind: str, *made: object, signers: tuple[Keypair, ...] = (), key: str = "") -> str:
        intent = Intent(key or f"{kind}:{id(made)}", "a", kind, made, signers)  # type: ignore[arg-type]
        landed = await self.outbox.send(intent)
        assert landed.fee >= 5_000
        return landed.signature


@pytest.fixture
def net(either_chain: EitherChain) -> EitherChain:
    """The chain the test runs on."""
    return either_chain


@pytest.fixture
async def rpc(net: EitherChain) -> AsyncIterator[Rpc]:
    async with Rpc([net.rpc_url]) as client:
        yield client


async def party(net: EitherChain, rpc: Rpc, folder: Path, name: str) -> Party:
    wallet = Wallet.create(folder / f"{name}.json")
    every = {**NODE_KINDS, **POSTER_KINDS, **OWNER_KINDS}
    policy = SpendingPolicy(net.cluster, every, receivers=ANYONE)
    store = MemoryStore()
    await give(net, wallet.address, sol=2, nos=100)
    return Party(net, rpc, wallet, Outbox(rpc, wallet.signer(policy), store, pace=PACE), store)


async def genesis_hash(net: EitherChain) -> str:
    """As the chain itself tells it, past our own client."""
    async with Sender.open(net.rpc_url) as sender:
        return str(await sender.ask("getGenesisHash"))


async def confirmed(rpc: Rpc, address: Address) -> None:
    """Until an airdrop is confirmed."""
    while not await rpc.get_balance(address):
        await asyncio.sleep(0.05)


async def test_a_job_from_list_to_finish(net: EitherChain, rpc: Rpc, tmp_path: Path) -> None:
    cluster, market = net.cluster, await own_market(net)
    node, poster = [await party(net, rpc, tmp_path, name) for name in ("node", "poster")]

    await node.send("stake", staking.stake(cluster, authority=node.address, amount=0, duration=14 * 86_400))
    await node.send("register", nodes.register(cluster, authority=node.address, profile=PROFILE))
    raw = await rpc.get_account(addresses.node_account(cluster, node.address))
    assert raw is not None
    assert accounts.decode_node(raw, cluster).profile == PROFILE

    run_key, job_key, spare = Keypair(), Keypair(), Keypair()
    run, job = (Address(str(each.pubkey())) for each in (run_key, job_key))
    work = jobs.work(cluster, run=Address(str(spare.pubkey())), market=market, authority=node.address)
    await node.send("work", work, signers=(spare,))
    raw = await rpc.get_account(market)
    assert raw is not None
    state = accounts.decode_market(raw, cluster)
    assert (state.queue_type, state.queue) == (QueueType.NODES, (node.address,))

    again = Keypair()
    work = jobs.work(cluster, run=Address(str(again.pubkey())), market=market, authority=node.address)
    with pytest.raises(TransactionFailed) as refused:
        await node.send("work", work, signers=(again,))
    assert refused.value.error == "NodeAlreadyQueued"

    listing = jobs.list_job(
        cluster,
        job=job,
        run=run,
        market=market,
        payer=poster.address,
        authority=poster.address,
        definition=CID,
        timeout=600,
    )
    await poster.send("list", listing, signers=(job_key, run_key))
    (found,) = await rpc.get_program_accounts(
        cluster.jobs,
        [
            Memcmp(0, accounts.RUN_DISCRIMINATOR),
            Memcmp(accounts.RUN_NODE_OFFSET, bytes(addresses.to_key(node.address))),
        ],
    )
    assert accounts.decode_run(found, cluster).job == job

    payout = addresses.token_account(cluster, node.address)
    before = await rpc.get_token_amount(payout)
    finish = jobs.finish(
        cluster,
        job=job,
        run=run,
        market=market,
        payer_run=poster.address,
        payer_job=poster.address,
        authority=node.address,
        user=payout,
        result=RESULT,
    )
    older = jobs.finish_older(
        cluster,
        job=job,
        run=run,
        market=market,
        payer_run=poster.address,
        payer_job=poster.address,
        project=poster.address,
        authority=node.address,
        user=payout,
        result=RESULT,
    )
    tried = await simulate(rpc, node.address, [older])
    assert tried.failure is not None
    assert tried.failure.error == "AccountNotSigner"
    assert (await simulate(rpc, node.address, [finish])).failure is None
    note = memo(node.address, f"gpunode/1 r={RESULT}")
    create = tokens.create_token_account(cluster, payer=node.address, owner=node.address)
    signature = await node.send("finish", create, finish, note)
    raw = await rpc.get_account(job)
    assert raw is not None
    done = accounts.decode_job(raw, cluster)
    assert (done.state, done.result_cid, done.node) == (JobState.DONE, RESULT, node.address)
    assert await rpc.get_account(run) is None
    landed = await rpc.get_transaction(signature)  # type: ignore[arg-type]
    assert landed is not None
    assert memos(landed, node.address) == (f"gpunode/1 r={RESULT}",)
    paid = await rpc.get_token_amount(payout) - before
    assert paid == (done.time_end - done.time_start) * done.price
    assert sum(each.after - each.before for each in landed.token_changes if each.account == payout) == paid


async def test_what_a_program_refuses_leaves_nothing_behind(net: EitherChain, rpc: Rpc, tmp_path: Path) -> None:
    node = await party(net, rpc, tmp_path, "node")
    market = await own_market(net)
    made = jobs.stop(net.cluster, market=market, node=node.address)
    with pytest.raises(TransactionFailed) as refused:
        await node.send("stop", made)
    assert refused.value.error == "MarketInWrongState"
    assert await node.store.pending("a") == ()


async def test_rows_go_when_the_chain_is_final(net: EitherChain, rpc: Rpc, tmp_path: Path) -> None:
    node = await party(net, rpc, tmp_path, "node")
    await node.send("memo", memo(node.address, "x"), key="memo:x")
    row = await node.store.get("memo:x")
    assert row is not None
    assert row.state is OutboxState.CONFIRMED
    task = asyncio.ensure_future(node.outbox.tend("a"))
    async with asyncio.timeout(20):
        while await node.store.get("memo:x") is not None:
            await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_reads_of_the_chain_itself(net: EitherChain, rpc: Rpc) -> None:
    finalized, slot = await rpc.get_slot(commitment="finalized"), await rpc.get_slot()
    assert finalized < slot
    assert await rpc.get_block_height() <= slot
    latest = await rpc.get_latest_blockhash()
    assert latest.last_valid_block_height > await rpc.get_block_height()
    await rpc.require_genesis(await genesis_hash(net))
    assert await rpc.get_minimum_rent(accounts.JOB_SIZE) == 2_561_280
    assert await rpc.get_minimum_rent(accounts.RUN_SIZE) == 1_726_080
    assert isinstance(await rpc.get_block_time(finalized), int)
    assert await rpc.prioritization_fees([net.mint]) is not None
    seen = await rpc.read_accounts([net.mint], min_context_slot=slot)
    assert seen.slot >= slot
    async with Rpc([net.rpc_url], clock=FakeClock()) as hasty:
        with pytest.raises(RpcUnavailable, match="not reached"):
            await hasty.pinned("finalized", slot + 10_000).get_balance(net.mint)


async def test_airdrop_and_history(net: EitherChain, rpc: Rpc) -> None:
    address = Address(str(Keypair().pubkey()))
    signature = await rpc.request_airdrop(address, 1_000_000)
    await confirmed(rpc, address)
    assert await rpc.get_balance(address) == 1_000_000
    (entry,) = await rpc.get_signatures_for_address(address)
    assert (entry.signature, entry.failed) == (signature, False)


async def test_pushes(net: EitherChain, rpc: Rpc, tmp_path: Path) -> None:
    market = await own_market(net)
    node = await party(net, rpc, tmp_path, "node")
    await node.send("stake", staking.stake(net.cluster, authority=node.address, amount=0, duration=14 * 86_400))
    subscriptions = Subscriptions([net.ws_url], http_slot=rpc.get_slot)
    task = asyncio.ensure_future(subscriptions.run())
    try:
        async with asyncio.timeout(20), subscriptions.account(market) as stream:
            assert await anext(stream) == Subscribed()
            run = Keypair()
            work = jobs.work(net.cluster, run=Address(str(run.pubkey())), market=market, authority=node.address)
            await node.send("work", work, signers=(run,))
            notice = await anext(stream)
            assert isinstance(notice, Changed)
            assert accounts.decode_market(notice.account, net.cluster).queue == (node.address,)
            while subscriptions.suspect or not subscriptions.slot:
                await asyncio.sleep(0.02)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
