"""From an empty wallet to pay, on the real programs: prepare, join, watch, settle in each way a job can end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from spl.token.instructions import close_account
from spl.token.models import CloseAccountParams

from node.chain import addresses
from node.chain.clusters import Cluster
from node.chain.fees import FeePolicy
from node.chain.instructions import jobs, tokens
from node.chain.memo import memos
from node.chain.outbox import MemoryStore, Outbox
from node.chain.replies import Seen, Simulation
from node.chain.rpc import Rpc
from node.chain.subscription import Subscriptions
from node.content.cid import file_cid
from node.errors import AccountMissing, FundsMissing, LaneDegraded, MarketError, RpcUnavailable, StakeMissing
from node.market import funds, payment
from node.market.context import MarketContext
from node.market.join import JoinKind, join, leave, read_runs, standing
from node.market.ledger import Ledger
from node.market.poster import Posted, Poster
from node.market.settle import Settler, Sight
from node.market.watch import Assigned, JobEnded, JobExtended, JobWatch, LaneWatch, NotQueued, Queued, RunGone
from node.records import Address, Assignment, JobState, Market, SettleKind, Settlement, Signature
from node.retry import Retry
from tests.market.conftest import FAST, Town

RESULT = file_cid(b"a result")
OTHER = file_cid(b"another result")
MEMO = f"gpunode/1 r={file_cid(b'a receipt')}"


async def ready(town: Town, **options: object) -> MarketContext:
    host = await town.person(**options)
    await funds.prepare(host, await host.ledger.market(town.market))
    return host


def subscriptions(town: Town) -> Subscriptions:
    return Subscriptions([town.net.ws_url], http_slot=town.rpc.get_slot)


async def assigned(town: Town, host: MarketContext, poster: MarketContext, timeout: int = 60) -> Assignment:
    """A job posted by `poster` and given to `host`."""
    await town.post(poster, timeout)
    result = await join(host, town.market)
    assert result.kind is JoinKind.ASSIGNED
    async with asyncio.timeout(10), LaneWatch(host, town.market, subscriptions(town)).events() as events:
        event = await anext(events)
    assert isinstance(event, Assigned)
    return event.assignment


async def final(look: Callable[[], Awaitable[Settlement]]) -> Settlement:
    """What settling comes to once the chain has finalized what it says, as the agent waits for it."""
    return await Retry(attempts=60, total=20.0, first=0.1, factor=1.0).call(look, on=(RpcUnavailable,))


async def close_account_of(town: Town, owner: Address) -> None:
    """The owner closes its NOS account and takes the rent."""
    account = addresses.to_key(addresses.token_account(town.net.cluster, owner))
    program, key = addresses.to_key(town.net.cluster.token), addresses.to_key(owner)
    await town.sign_and_send(
        owner, close_account(CloseAccountParams(program_id=program, account=account, dest=key, owner=key))
    )


async def balance(town: Town, owner: Address) -> int:
    return await town.rpc.get_token_amount(addresses.token_account(town.net.cluster, owner))


async def test_prepare_makes_what_every_node_needs(town: Town) -> None:
    host = await town.person(sol=1)
    market = await host.ledger.market(town.market)
    before = await funds.check(host, market)
    assert (before.token_account, before.stake) == (False, None)
    after = await funds.prepare(host, market)
    assert after.stake is not None
    assert (after.token_account, after.stake.amount, after.xnos) == (True, 0, 0)
    # What was told to be needed is what it cost, but for rent that stays needed (run, node) and the fee reserve.
    named = {need.name: need.lamports for need in before.needs}
    fees = before.lamports - after.lamports - named["NOS token account"] - named["stake account"]
    assert 0 < fees < named["fees"]
    assert await funds.prepare(host, market) == after


async def test_missing_funds_are_told_as_one_sum(town: Town) -> None:
    host = await town.person(sol=0.001)
    with pytest.raises(FundsMissing) as caught:
        await funds.prepare(host, await host.ledger.market(town.market))
    report = await funds.check(host, await host.ledger.market(town.market))
    assert f"{report.missing / 1e9:.6f} SOL" in caught.value.message
    assert "NOS token account" in caught.value.hint
    assert "stake account" in caught.value.hint


async def test_no_stake_where_none_may_be_made(town: Town) -> None:
    host = await town.person()
    careful = replace(host, stake=host.stake.model_copy(update={"create": False}))
    with pytest.raises(StakeMissing, match="no stake account"):
        await funds.prepare(careful, await host.ledger.market(town.market))


async def test_a_payout_that_could_not_be_paid_is_refused_before_any_job(town: Town) -> None:
    cold, cluster = await town.person(nos=1), town.net.cluster
    missing = addresses.token_account(cluster, (await town.person()).node)
    for payout, said in (
        (town.market, "neither a wallet nor a token account"),
        (cluster.nos_mint, "is no token account"),
        (missing, "does not exist, and no key can own it"),
    ):
        host = await town.person(payout=payout)
        with pytest.raises(MarketError, match=said):
            await funds.prepare(host, await host.ledger.market(town.market))
    for payout in (cold.node, addresses.token_account(cluster, cold.node), Address(str(Keypair().pubkey()))):
        host = await town.person(payout=payout)
        await funds.prepare(host, await host.ledger.market(town.market))


async def test_an_unknown_market(town: Town) -> None:
    host = await town.person()
    with pytest.raises(AccountMissing, match="there is no market"):
        await host.ledger.market(addresses.token_account(town.net.cluster, host.node))


async def test_joining_twice_is_one_place_and_leaving_twice_no_error(town: Town) -> None:
    host = await ready(town)
    first = await join(host, town.market)
    again = await join(host, town.market)
    assert (first.kind, first.position) == (JoinKind.QUEUED, 1)
    assert first.signature is not None
    assert (again.kind, again.position, again.signature) == (JoinKind.QUEUED, 1, None)
    assert await leave(host, town.market) is not None
    assert await leave(host, town.market) is None
    assert await standing(host, town.market) is None


async def test_a_job_that_comes_between_simulation_and_landing_is_taken(town: Town) -> None:
    """`work` into an empty queue is cheap, taking a job is not: the limit from the simulation does not last."""
    host, poster = await ready(town), await town.person(nos=10)
    posted: list[Posted] = []

    class Slow(Rpc):
        async def simulate(self, wire: bytes, *, min_context_slot: int | None = None) -> Simulation:
            seen = await super().simulate(wire, min_context_slot=min_context_slot)
            if not posted:
                posted.append(await town.post(poster))
            return seen

    async with Slow([town.net.rpc_url]) as slow:
        outbox = Outbox(slow, town.signer(host.node), MemoryStore(), FeePolicy(), pace=FAST)
        result = await join(replace(host, rpc=slow, outbox=outbox), town.market)
    assert result.kind is JoinKind.ASSIGNED
    assert result.run is not None
    assert result.run.job == posted[0].job
    assert (await standing(host, town.market)) is not None


@pytest.mark.parametrize("socket_runs", [True, False], ids=["pushed", "silent socket"])
async def test_a_waiting_lane_sees_its_job(town: Town, socket_runs: bool) -> None:
    """With the socket alive the push wakes the lane; with no socket at all the poll finds the run in seconds."""
    host, poster = await ready(town), await town.person(nos=10)
    await join(host, town.market)
    feed = subscriptions(town)
    pumping = asyncio.create_task(feed.run()) if socket_runs else None
    try:
        async with asyncio.timeout(10), LaneWatch(host, town.market, feed).events() as events:
            assert await anext(events) == Queued(1, 1)
            if socket_runs:
                while feed.suspect:
                    await asyncio.sleep(0.02)
            posted = await town.post(poster)
            event = await anext(events)
            assert isinstance(event, Assigned)
            assert event.assignment.job.address == posted.job
            assert event.assignment.run.address == posted.run
            assert event.assignment.slot > 0
    finally:
        if pumping is not None:
            pumping.cancel()
            await asyncio.gather(pumping, return_exceptions=True)


async def test_a_lane_that_is_put_out_of_the_queue_is_told(town: Town) -> None:
    host = await ready(town)
    await join(host, town.market)
    async with asyncio.timeout(10), LaneWatch(host, town.market, subscriptions(town)).events() as events:
        assert await anext(events) == Queued(1, 1)
        await leave(host, town.market)
        assert await anext(events) == NotQueued()


async def test_finish_pays_and_carries_the_memo(town: Town) -> None:
    host, poster = await ready(town), await town.person(nos=10)
    given = await assigned(town, host, poster)
    before = await balance(town, host.node)
    settled = await Settler(host).settle(given, RESULT, MEMO)
    assert settled.kind is SettleKind.FINISH
    job = await host.ledger.job(given.job.address)
    assert job is not None
    assert (job.state, job.result_cid, job.node) == (JobState.DONE, RESULT, host.node)
    seconds = min(job.time_end - job.time_start, job.timeout)
    assert settled.pay == job.price * seconds == await balance(town, host.node) - before
    assert await host.ledger.run(given.run.address) is None
    assert settled.signature is not None
    landed = await town.rpc.get_transaction(settled.signature)
    assert landed is not None
    assert memos(landed, signer=host.node) == (MEMO,)
    # Settled again (a restart that lost the answer): found, not sent.
    again = await Settler(host).settle(given, RESULT, MEMO)
    assert (again.kind, again.signature, again.pay) == (SettleKind.ALREADY, settled.signature, settled.pay)
    other = await final(lambda: Settler(host).settle(given, OTHER, MEMO))
    assert (other.kind, other.signature) == (SettleKind.LOST, None)
    assert "another run of this node" in other.reason


async def test_finish_pays_any_account_that_payout_names(town: Town) -> None:
    """`payout` may be an owner whose token account does not exist yet, or a token account itself."""
    cold = await town.person()
    hot = await ready(town, payout=cold.node)
    poster = await town.person(nos=10)
    given = await assigned(town, hot, poster)
    await asyncio.sleep(1.1)
    settled = await Settler(hot).settle(given, RESULT, None)
    assert settled.payout == addresses.token_account(town.net.cluster, cold.node)
    assert settled.pay > 0
    assert await balance(town, cold.node) == settled.pay
    assert await balance(town, hot.node) == 0


async def test_a_poster_without_token_account_does_not_stop_finish(town: Town) -> None:
    """A paid finish refunds the poster's account, which must exist; it is made in the same transaction if not."""
    price = (await (await ready(town)).ledger.market(town.market)).job_price
    host, poster = await ready(town), await town.person(nos=price * 60 / 1e6)
    given = await assigned(town, host, poster, timeout=60)
    await close_account_of(town, poster.node)
    host = replace(host, reopen_above=0)
    settled = await Settler(host).settle(given, RESULT, None)
    assert settled.kind is SettleKind.FINISH
    assert await balance(town, poster.node) == given.job.price * 60 - settled.pay


async def test_a_poster_cannot_drain_the_wallet_by_closing_its_account(town: Town) -> None:
    """The rent of the account would go to the poster, job after job: a job that pays less goes back."""
    price = (await (await ready(town)).ledger.market(town.market)).job_price
    host, poster = await ready(town), await town.person(nos=price * 60 / 1e6)
    given = await assigned(town, host, poster, timeout=60)
    await close_account_of(town, poster.node)
    before = await town.rpc.get_balance(host.node)
    settled = await final(lambda: Settler(host).settle(given, RESULT, MEMO))
    assert (settled.kind, settled.pay) == (SettleKind.QUIT, 0)
    assert "fees.reopen_above" in settled.reason
    assert await town.rpc.get_balance(host.node) > before  # the run's rent came back
    assert await balance(town, poster.node) == 0


@pytest.mark.long
async def test_pay_is_settled_where_no_endpoint_has_the_record(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pruned, or not served at all: the job's own account says what the program paid, and the reason says so."""
    host, poster = await ready(town), await town.person(nos=10)
    monkeypatch.setattr(payment, "READ_BACK", Retry(attempts=2, total=1.0, first=0.05))

    async def pruned(self: Rpc, signature: Signature, *, commitment: object = None) -> None:
        return None

    for ends in (False, True):
        given = await assigned(town, host, poster)
        await asyncio.sleep(1.1)
        before = await balance(town, host.node)
        if ends:
            await Poster(poster).stop(given.job.address)
        with monkeypatch.context() as patch:
            patch.setattr(Rpc, "get_transaction", pruned)
            async with asyncio.timeout(15):
                settled = await Settler(host).settle(given, RESULT, MEMO)
                again = await Settler(host).settle(given, RESULT, MEMO)
        assert settled.kind is (SettleKind.COMPLETE if ends else SettleKind.FINISH)
        assert settled.pay == await balance(town, host.node) - before > 0
        assert payment.BY_ACCOUNT in settled.reason
        assert (again.kind, again.pay, again.signature) == (SettleKind.ALREADY, settled.pay, None)


async def test_what_strangers_add_to_a_history_is_not_taken_for_the_settlement(town: Town) -> None:
    """Anybody may name a closed run or a job in a transaction; the figures are those of the one that settled."""
    host, poster = await ready(town), await town.person(nos=10)
    given = await assigned(town, host, poster)
    await asyncio.sleep(1.1)
    settled = await Settler(host).settle(given, RESULT, MEMO)
    for account in (given.run.address, given.job.address):
        read = AccountMeta(addresses.to_key(account), is_signer=False, is_writable=False)
        nothing = tokens.transfer_lamports(source=poster.node, destination=poster.node, lamports=0)
        touching = Instruction(nothing.program_id, nothing.data, [*nothing.accounts, read])
        await town.sign_and_send(poster.node, touching)
    again = await Settler(host).settle(given, RESULT, MEMO)
    assert (again.kind, again.signature, again.pay) == (SettleKind.ALREADY, settled.signature, settled.pay)
    assert settled.pay > 0


async def test_end_between_two_reads_is_no_loss(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job as it was before the poster's `end` and the run as it is after it must never be seen together."""
    host, poster = await ready(town), await town.person(nos=10)
    given = await assigned(town, host, poster)
    real, reads = Rpc.read_accounts, 0

    async def end_after_the_first(self: Rpc, *arguments: Any, **options: Any) -> Any:
        nonlocal reads
        seen = await real(self, *arguments, **options)
        reads += self is host.rpc
        if reads == 1:
            reads += 1
            monkeypatch.setattr(Rpc, "read_accounts", real)
            await Poster(poster).stop(given.job.address)
        return seen

    monkeypatch.setattr(Rpc, "read_accounts", end_after_the_first)
    assert (await final(lambda: Settler(host).settle(given, RESULT, MEMO))).kind is SettleKind.COMPLETE


async def test_an_endpoint_that_shows_nothing_loses_no_job(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """One answer without the accounts, and the next one with them: neither pay nor work is given up for it."""
    host, poster = await ready(town), await town.person(nos=10)
    given = await assigned(town, host, poster)
    real = Rpc.read_accounts

    def blind(times: int) -> None:
        left = times

        async def read(self: Rpc, names: Any, *arguments: Any, **options: Any) -> Any:
            nonlocal left
            seen = await real(self, names, *arguments, **options)
            left -= 1
            return Seen((None,) * len(names), seen.slot) if left >= 0 else seen

        monkeypatch.setattr(Rpc, "read_accounts", read)

    await Poster(poster).extend(given.job.address, 30)
    blind(1)
    async with asyncio.timeout(15), JobWatch(host, given, subscriptions(town)).events() as events:
        assert await anext(events) == JobExtended(90)
    blind(1)
    with pytest.raises(RpcUnavailable, match="not final"):
        await Settler(host).settle(given, RESULT, MEMO)
    blind(1)
    with pytest.raises(RpcUnavailable, match="not final"):
        await Settler(host).quit(given, "no reason")
    assert (await Settler(host).settle(given, RESULT, MEMO)).kind is SettleKind.FINISH


async def test_a_payout_that_vanished_is_not_paid_to_an_account_that_nobody_can_open(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    cold, poster = await ready(town), await town.person(nos=10)
    account = addresses.token_account(town.net.cluster, cold.node)
    host = await ready(town, payout=account)
    given = await assigned(town, host, poster)
    await close_account_of(town, cold.node)
    with pytest.raises(MarketError, match="does not exist any more"):
        await Settler(host).settle(given, RESULT, MEMO)
    assert await host.ledger.run(given.run.address) is not None


async def test_a_wallet_without_sol_is_told_so(town: Town) -> None:
    host, poster = await ready(town), await town.person(nos=10)
    given = await assigned(town, host, poster)
    held = await town.rpc.get_balance(host.node)
    away = tokens.transfer_lamports(source=host.node, destination=poster.node, lamports=held - 5_000)
    await town.sign_and_send(host.node, away)
    with pytest.raises(LaneDegraded, match="cannot pay for settling"):
        await Settler(host).settle(given, RESULT, MEMO)


async def test_of_two_endpoints_the_one_that_lags_hides_no_run(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """One endpoint shows that the node has left the queue, the other not yet its run: it is not nowhere.
    And what reads from the assignment's slot on finds the run, though the blockhash came from the one that lags."""
    host, poster = await ready(town), await town.person(nos=10)
    read, head = Rpc.read_program_accounts, Rpc.get_latest_blockhash

    async def old_accounts(
        self: Rpc, program: Any, filters: Any = (), commitment: Any = None, min_context_slot: int | None = None
    ) -> Any:
        return await read(self, program, filters, commitment, min_context_slot) if min_context_slot else Seen((), 1)

    async def old_head(self: Rpc, *, commitment: Any = None, min_context_slot: int | None = None) -> Any:
        latest = await head(self, commitment=commitment, min_context_slot=min_context_slot)
        return latest if min_context_slot else replace(latest, slot=1)

    await town.post(poster)
    await join(host, town.market)
    monkeypatch.setattr(Rpc, "read_program_accounts", old_accounts)
    monkeypatch.setattr(Rpc, "get_latest_blockhash", old_head)
    now = await standing(host, town.market)
    assert now is not None
    assert now.kind is JoinKind.ASSIGNED
    async with asyncio.timeout(10), LaneWatch(host, town.market, subscriptions(town)).events() as events:
        event = await anext(events)
        assert isinstance(event, Assigned)
        assert event.assignment.slot >= host.own_slot > 1
        # A run that is passed over (settled, says the journal) does not hide what comes after it.
        assert await anext(events) == NotQueued()


async def test_a_market_that_lets_nobody_wait_is_not_joined_over_and_over(town: Town) -> None:
    host = await ready(town)
    real = await host.ledger.market(town.market)

    class Closed(Ledger):
        async def seen_market(self, address: Address, *, min_context_slot: int | None = None) -> Seen[Market]:
            return Seen(replace(real, job_type=255), 0)

    class Host(MarketContext):
        ledger = property(lambda self: Closed(self.cluster, self.rpc))  # type: ignore[assignment]

    closed = Host(**{each: getattr(host, each) for each in host.__dataclass_fields__})
    with pytest.raises(MarketError, match="lets no node wait"):
        await join(closed, town.market)


async def test_a_second_work_waits_for_the_first(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `work` whose sender was cancelled may land at any time: it is seen through before another is made."""
    host, poster = await ready(town), await town.person(nos=10)
    real, held = Rpc.send_raw, asyncio.Event()

    async def slow(self: Rpc, wire: bytes) -> Signature:
        held.set()
        return Signature("")  # lost on its way

    monkeypatch.setattr(Rpc, "send_raw", slow)
    first = asyncio.ensure_future(join(host, town.market))
    await held.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    monkeypatch.setattr(Rpc, "send_raw", real)
    await town.post(poster)
    result = await join(host, town.market)
    assert result.kind is JoinKind.ASSIGNED
    market = await host.ledger.market(town.market)
    assert host.node not in market.queue
    assert len((await read_runs(host, 0)).value) == 1


async def test_of_the_account_orders_known_the_one_that_simulates_is_used(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A market whose program wants the other order: the first is refused in simulation, the second lands."""
    host, poster = await ready(town), await town.person(nos=10)
    given = await assigned(town, host, poster)
    current, older, tried = jobs.finish, jobs.finish_older, []

    def first(cluster: Cluster, **accounts: Address) -> Instruction:
        tried.append("first")
        return older(cluster, project=given.job.project, **accounts)

    def second(cluster: Cluster, *, project: Address, **accounts: Address) -> Instruction:
        tried.append("second")
        return current(cluster, **accounts)

    monkeypatch.setattr("node.market.settle.jobs.finish", first)
    monkeypatch.setattr("node.market.settle.jobs.finish_older", second)
    settled = await Settler(host).settle(given, RESULT, MEMO)
    assert settled.kind is SettleKind.FINISH
    assert tried == ["first", "second"]


async def test_a_market_that_takes_no_order_known_stops_the_lane_and_loses_nothing(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, poster = await ready(town), await town.person(nos=10)
    given = await assigned(town, host, poster)
    older = jobs.finish_older

    def unknown(cluster: Cluster, **accounts: Address) -> Instruction:
        return older(cluster, **{"project": given.job.project, **accounts})

    with monkeypatch.context() as patch:
        patch.setattr("node.market.settle.jobs.finish", unknown)
        with pytest.raises(LaneDegraded, match="no known account order") as caught:
            await Settler(host).settle(given, RESULT, MEMO)
    assert caught.value.hint
    assert await host.ledger.run(given.run.address) is not None
    assert (await Settler(host).settle(given, RESULT, MEMO)).kind is SettleKind.FINISH


async def test_end_by_the_poster_is_answered_with_complete(town: Town) -> None:
    host, poster = await ready(town), await town.person(nos=10)
    given = await assigned(town, host, poster)
    await asyncio.sleep(1.1)
    async with asyncio.timeout(10), JobWatch(host, given, subscriptions(town)).events() as events:
        await Poster(poster).stop(given.job.address)
        event = await anext(events)
        assert isinstance(event, JobEnded)
        with pytest.raises(StopAsyncIteration):
            await anext(events)
    settled = await Settler(host).settle(given, RESULT, MEMO)
    assert settled.kind is SettleKind.COMPLETE
    job = await host.ledger.job(given.job.address)
    assert job is not None
    assert job.result_cid == RESULT
    # The pay is what the poster's own transaction moved to this host.
    assert settled.pay == job.price * min(job.time_end - job.time_start, job.timeout) == await balance(town, host.node)
    assert settled.pay > 0


async def test_end_between_the_look_and_finish_loses_nothing(town: Town) -> None:
    """The poster ends the job after we looked: `finish` is refused, and the result gets there by `complete`."""
    host, poster = await ready(town), await town.person(nos=10)
    given = await assigned(town, host, poster)

    class Late(Settler):
        async def _look(self, assignment: Assignment, context: MarketContext) -> Sight:
            sight = await super()._look(assignment, context)
            if sight.run is not None:
                await Poster(poster).stop(assignment.job.address)
            return sight

    settled = await Late(host).settle(given, RESULT, MEMO)
    assert settled.kind is SettleKind.COMPLETE
    job = await host.ledger.job(given.job.address)
    assert job is not None
    assert job.result_cid == RESULT


async def test_extend_is_seen(town: Town) -> None:
    host, poster = await ready(town), await town.person(nos=10)
    given = await assigned(town, host, poster)
    async with asyncio.timeout(10), JobWatch(host, given, subscriptions(town)).events() as events:
        await Poster(poster).extend(given.job.address, 30)
        assert await anext(events) == JobExtended(90)


async def test_quit_bills_nothing_and_says_why(town: Town) -> None:
    host, poster = await ready(town), await town.person(nos=10)
    given = await assigned(town, host, poster)
    settled = await Settler(host).quit(given, "the definition cannot be had")
    assert (settled.kind, settled.pay, settled.reason) == (SettleKind.QUIT, 0, "the definition cannot be had")
    job = await host.ledger.job(given.job.address)
    assert job is not None
    assert job.state is JobState.STOPPED
    assert await balance(town, host.node) == 0
    lost = await final(lambda: Settler(host).settle(given, RESULT, None))
    assert lost.kind is SettleKind.LOST
    assert "state 3" in lost.reason
    # A restart that lost the answer: found, not lost, and not sent again.
    again = await Settler(host).quit(given, "once more")
    assert (again.kind, again.signature) == (SettleKind.QUIT, settled.signature)
    async with asyncio.timeout(10), JobWatch(host, given, subscriptions(town)).events() as events:
        event = await anext(events)
    assert isinstance(event, RunGone)
    await Poster(poster).recover(given.job.address)
    gone = await final(lambda: Settler(host).settle(given, RESULT, None))
    assert "cleaned" in gone.reason
    assert (await final(lambda: Settler(host).quit(given, "too late"))).kind is SettleKind.LOST


async def test_the_tokens_helper_creates_once(town: Town) -> None:
    host = await town.person()
    create = tokens.create_token_account(town.net.cluster, payer=host.node, owner=host.node)
    first = await host.send("token:1", "token_account", [create])
    second = await host.send("token:2", "token_account", [create])
    assert first.signature != second.signature
