"""The outbox on a chain that loses, delays, forks and refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction

from node.chain.clusters import DEVNET
from node.chain.fees import FeePolicy
from node.chain.instructions import jobs, tokens
from node.chain.intents import Intent, MemoryStore, Recipe
from node.chain.memo import memo
from node.chain.outbox import Outbox, Pace
from node.chain.policy import NODE_KINDS, OWNER_KINDS, SpendingPolicy
from node.chain.rpc import Rpc
from node.chain.transaction import Budget, compile_message, fee_of
from node.chain.wallet import Wallet
from node.errors import ChainError, JournalError, RpcUnavailable, SpendingRefused, TransactionFailed
from node.records import Address, Booking, OutboxRow, OutboxState, Signature
from tests.chain.fakes import BLOCKHASH_AGE, WALLET, FakeChain, FakeClock

ME = Address(str(WALLET.pubkey()))
MARKET = Address("7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41")
KINDS = {**NODE_KINDS, **OWNER_KINDS}
ANCHOR_6014 = (
    {"InstructionError": [2, {"Custom": 6014}]},
    [
        "Program log: AnchorError thrown in programs/jobs/src/x.rs:10. Error Code: NodeAlreadyQueued. "
        "Error Number: 6014. Error Message: This node is already queued.."
    ],
)


class Booth:
    """An outbox with everything around it."""

    def __init__(self, kinds: Any = None, pace: Pace | None = None) -> None:
        self.clock = FakeClock()
        self.chain = FakeChain(self.clock)
        self.rpc = self.chain.rpc()
        self.store = MemoryStore()
        self.books: dict[Signature, Booking] = {}
        self.policy = SpendingPolicy(DEVNET, kinds or KINDS, receivers=frozenset({MARKET}))
        self.pace = pace or Pace()
        self.effects: Callable[[OutboxRow], Any] = lambda _row: None
        self.outbox = self.restarted()

    def restarted(self) -> Outbox:
        return Outbox(
            self.rpc,
            Wallet(WALLET).signer(self.policy),
            self.store,
            FeePolicy(floor=1_000, cap=20_000),
            self.clock,
            pace=self.pace,
            effects=lambda row: self.effects(row),
            book=self.book,
        )

    async def book(self, booking: Booking) -> None:
        self.books[booking.signature] = booking

    @property
    def booked(self) -> list[tuple[str, str, int]]:
        return [(each.lane, each.purpose, each.lamports) for each in self.books.values() if each.fee]

    def effect_of(self, data: bytes) -> Callable[[Rpc], Awaitable[bool]]:
        async def effect(rpc: Rpc) -> bool:
            # Through the given Rpc, so that commitment and oldest view are checked by the chain.
            await rpc.get_balance(ME)
            return self.chain.shows(data, rpc._commitment)

        return effect


@pytest.fixture
def booth() -> Booth:
    return Booth()


def noted(text: str, kind: str = "memo", key: str = "memo:1", **more: Any) -> Intent:
    return Intent(key=key, lane="a", kind=kind, instructions=(memo(ME, text),), **more)


def transfer(lamports: int = 7, key: str = "transfer:1", **more: Any) -> Intent:
    made = tokens.transfer_lamports(source=ME, destination=MARKET, lamports=lamports)
    return Intent(key=key, lane="a", kind="transfer", instructions=(made,), **more)


def work(key: Keypair = Keypair.from_seed(bytes(32)), **more: Any) -> Intent:  # noqa: B008
    run = Address(str(key.pubkey()))
    made = jobs.work(DEVNET, run=run, market=MARKET, authority=ME, nft=MARKET, nft_mint=None)
    return Intent(key=f"work:{run}", lane="a", kind="work", instructions=(made,), extra_signers=(key,), **more)


def data_of(intent: Intent) -> bytes:
    return bytes(intent.instructions[0].data)


async def test_a_transaction_lands_and_is_forgotten_once_finalized(booth: Booth) -> None:
    landed = await booth.outbox.send(noted("hello"))
    assert booth.chain.count(b"hello") == 1
    row = await booth.store.get("memo:1")
    assert row is not None
    assert (row.state, row.signature, row.slot, row.fee) == (
        OutboxState.CONFIRMED,
        landed.signature,
        landed.slot,
        5_002,
    )
    assert booth.booked == [("a", "memo:1", 10_000)]
    await booth.outbox.tidy("a")
    assert await booth.store.get("memo:1") is not None
    booth.chain.advance(40)
    await booth.outbox.tidy("a")
    assert await booth.store.pending("a") == ()


async def test_the_row_is_durable_before_the_first_send(booth: Booth) -> None:
    seen: list[int] = []
    put = booth.store.put

    async def watched(row: OutboxRow) -> None:
        seen.append(len(booth.chain.sends))
        await put(row)

    booth.store.put = watched  # type: ignore[method-assign]
    await booth.outbox.send(noted("hello"))
    assert seen[0] == 0


async def test_a_lost_send_is_repeated_with_the_same_bytes(booth: Booth) -> None:
    booth.chain.loses = lambda number: number < 4
    await booth.outbox.send(transfer())
    assert len(booth.chain.sends) >= 4
    assert len(set(booth.chain.sends)) == 1


async def test_compute_limit_and_price_are_in_front(booth: Booth) -> None:
    booth.chain.prices = [2_000, 3_000, 4_000]
    await booth.outbox.send(noted("hello"))
    message = VersionedTransaction.from_bytes(booth.chain.sends[0]).message
    price, limit = (bytes(each.data) for each in message.instructions[:2])
    assert int.from_bytes(price[1:9], "little") == 3_000
    assert int.from_bytes(limit[1:5], "little") == 13_000
    assert fee_of(booth.chain.sends[0]) == 5_000 + 39


async def test_harmless_kinds_are_signed_anew_while_the_first_could_still_land(booth: Booth) -> None:
    booth.chain.loses = lambda number: number <= 12
    await booth.outbox.send(noted("hello"))
    prices = [price_of(wire) for wire in dict.fromkeys(booth.chain.sends)]
    assert prices == [1_000, 2_000]
    assert booth.chain.slot < 1_000 + BLOCKHASH_AGE


async def test_the_price_rises_to_the_cap_and_no_further(booth: Booth) -> None:
    booth.chain.loses = lambda number: number <= 85
    intent = noted("x", kind="finish", key="finish:1")
    await booth.outbox.send(intent)
    prices = [price_of(wire) for wire in dict.fromkeys(booth.chain.sends)]
    assert prices[:6] == [1_000, 2_000, 4_000, 8_000, 16_000, 20_000]
    assert set(prices[6:]) == {20_000}


def price_of(wire: bytes) -> int:
    return int.from_bytes(bytes(VersionedTransaction.from_bytes(wire).message.instructions[0].data)[1:9], "little")


async def test_a_transfer_waits_for_finality_before_it_is_signed_anew(booth: Booth) -> None:
    first_gone: list[int] = []

    def loses(number: int) -> bool:
        if len(set(booth.chain.sends)) == 1:
            return True
        first_gone.append(booth.chain.view("finalized"))
        return False

    booth.chain.loses = loses
    intent = transfer()
    await booth.outbox.send(Intent(**{**fields(intent), "effect": booth.effect_of(data_of(intent))}))
    assert len(set(booth.chain.sends)) == 2
    assert booth.chain.count(data_of(intent)) == 1
    # Signed at slot 998 (confirmed): last valid 1148, and only a finalized view beyond it lets a second one be signed.
    assert first_gone[0] > 998 + BLOCKHASH_AGE


def fields(intent: Intent) -> dict[str, Any]:
    return {name: getattr(intent, name) for name in Intent.__slots__}


async def test_a_transfer_whose_effect_is_there_is_never_signed_twice(booth: Booth) -> None:
    intent = transfer()
    hidden = data_of(intent)
    booth.chain.loses = lambda _number: True

    async def effect(rpc: Rpc) -> bool:
        assert rpc._commitment == "finalized"
        assert rpc._floor is not None
        assert rpc._floor > 998 + BLOCKHASH_AGE
        return True

    landed = await booth.outbox.send(Intent(**{**fields(intent), "effect": effect}))
    assert len(set(booth.chain.sends)) == 1
    assert booth.chain.count(hidden) == 0
    assert landed.slot > 998 + BLOCKHASH_AGE


async def test_what_never_lands_expires(booth: Booth) -> None:
    booth.chain.loses = lambda _number: True
    with pytest.raises(TransactionFailed) as caught:
        await booth.outbox.send(transfer())
    assert caught.value.error == "Expired"
    assert len(set(booth.chain.sends)) == booth.pace.attempts
    assert await booth.store.pending("a") == ()


async def test_work_keeps_its_run_key_for_every_signature(booth: Booth) -> None:
    booth.chain.loses = lambda _number: len(set(booth.chain.sends)) < 3
    run = Keypair()
    key = Address(str(run.pubkey()))
    made = jobs.work(DEVNET, run=key, market=MARKET, authority=ME)
    await booth.outbox.send(Intent(f"work:{key}", "a", "work", (made,), (run,)))
    signed = [VersionedTransaction.from_bytes(wire) for wire in dict.fromkeys(booth.chain.sends)]
    assert len(signed) == 3
    assert all(run.pubkey() in each.message.account_keys[:2] for each in signed)


async def test_a_failed_simulation_leaves_nothing_behind(booth: Booth) -> None:
    booth.chain.rule = lambda _transaction: ANCHOR_6014
    with pytest.raises(TransactionFailed) as caught:
        await booth.outbox.send(noted("hello"))
    assert caught.value.error == "NodeAlreadyQueued"
    assert caught.value.logs == tuple(ANCHOR_6014[1])
    assert booth.chain.sends == []
    assert await booth.store.pending("a") == ()


async def test_landed_with_an_error_is_landed(booth: Booth) -> None:
    booth.chain.rule = lambda transaction: ANCHOR_6014 if real(transaction) else None
    with pytest.raises(TransactionFailed) as caught:
        await booth.outbox.send(transfer())
    assert caught.value.error == "NodeAlreadyQueued"
    row = await booth.store.get("transfer:1")
    assert row is not None
    assert (row.state, row.error) == (OutboxState.FAILED, "NodeAlreadyQueued")
    assert len(set(booth.chain.sends)) == 1
    booth.chain.advance(40)
    await booth.outbox.tidy("a")
    assert await booth.store.pending("a") == ()


def real(transaction: VersionedTransaction) -> bool:
    """Not a simulation: those carry no signature."""
    return any(bytes(transaction.signatures[0]))


async def test_a_second_signature_refused_because_the_first_landed_is_success(booth: Booth) -> None:
    # The first is delayed until after the second was made; the program takes only one of them.
    first: list[bytes] = []

    def loses(number: int) -> bool:
        if number == 1:
            first.append(booth.chain.sends[0])
        if len(set(booth.chain.sends)) == 2 and first:
            wire = first.pop()
            booth.chain.waiting[str(VersionedTransaction.from_bytes(wire).signatures[0])] = wire
        return len(set(booth.chain.sends)) < 2

    booth.chain.loses = loses
    booth.chain.rule = lambda _transaction: ANCHOR_6014 if booth.chain.shows(b"once") else None
    landed = await booth.outbox.send(noted("once", kind="finish", key="finish:1"))
    assert booth.chain.count(b"once") == 1
    entry = booth.chain.landed[landed.signature]
    assert entry.error is None


async def test_finish_ends_when_it_can_no_longer_succeed(booth: Booth) -> None:
    booth.chain.loses = lambda _number: True
    booth.chain.rule = lambda _transaction: ANCHOR_6014 if booth.chain.slot > 1_100 else None
    with pytest.raises(TransactionFailed) as caught:
        await booth.outbox.send(noted("late", kind="finish", key="finish:1"))
    assert caught.value.error == "NodeAlreadyQueued"
    assert booth.chain.slot > 998 + BLOCKHASH_AGE
    assert await booth.store.pending("a") == ()


async def test_an_outage_is_waited_out(booth: Booth) -> None:
    sent = asyncio.Event()

    def loses(_number: int) -> bool:
        booth.chain.down = not sent.is_set()
        sent.set()
        return False

    def back(_seconds: float) -> None:
        if booth.clock.now > 1_700_000_060:
            booth.chain.down = False

    booth.chain.loses = loses
    booth.clock.listeners.append(back)
    await booth.outbox.send(transfer())
    assert booth.clock.now > 1_700_000_060
    assert len(set(booth.chain.sends)) == 1


@pytest.mark.parametrize("method", ["getSignatureStatuses", "getLatestBlockhash"])
async def test_an_endpoint_that_refuses_a_question_does_not_end_the_delivery(booth: Booth, method: str) -> None:
    """Were the row left where it is, the caller would ask for a second `work` while the first may still land."""
    intent = work()
    booth.chain.loses = lambda number: number <= 20

    def refuse(_seconds: float) -> None:
        if booth.chain.sends and method not in booth.chain.refuses:
            booth.chain.refuses[method] = 3

    booth.clock.listeners.append(refuse)
    await booth.outbox.send(intent)
    assert booth.chain.count(data_of(intent)) == 1
    assert booth.chain.refuses[method] == 0


async def test_a_row_whose_sender_was_cancelled_is_driven_by_tidy(booth: Booth) -> None:
    """A send that is given up leaves its row; it must not wait for the next start of the agent."""
    booth.chain.loses = lambda number: number <= 3
    sending = asyncio.ensure_future(booth.outbox.send(work()))
    while not booth.chain.sends:
        await asyncio.sleep(0)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert [row.state for row in await booth.store.pending("a")] == [OutboxState.SENDING]
    await booth.outbox.tidy("a")
    assert [row.state for row in await booth.store.pending("a")] == [OutboxState.CONFIRMED]
    assert booth.outbox.newest_slot > 0


async def test_resume_can_be_for_one_kind_and_reads_rows_when_it_is_their_turn(booth: Booth) -> None:
    for intent in (work(), noted("x")):
        booth.chain.loses = lambda number: True
        sending = asyncio.ensure_future(booth.outbox.send(intent))
        before = len(booth.chain.sends)
        while len(booth.chain.sends) == before:
            await asyncio.sleep(0)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    booth.chain.loses = lambda number: False
    first, second = await asyncio.gather(booth.outbox.resume("a", "work"), booth.outbox.resume("a", "work"))
    assert [ended.row.kind for ended in (*first, *second)] == ["work"]
    assert [purpose for _, purpose, _ in booth.booked] == [work().key]
    assert {row.kind: row.state for row in await booth.store.pending("a")} == {
        "work": OutboxState.CONFIRMED,
        "memo": OutboxState.SENDING,
    }


async def test_an_endpoint_that_lags_does_not_make_a_landed_work_look_lost(booth: Booth) -> None:
    """One endpoint knows that the blockhash is too old, another still shows the chain from before the landing, and no
    endpoint remembers the signature: only a view from after the blockhash's end may say that there is no effect."""
    intent = work()
    lagging = {"getSlot", "getBalance", "getLatestBlockhash"}

    def lag(_seconds: float) -> None:
        booth.chain.views = lambda method: 400 if method in lagging else 0

    intent = replace(intent, effect=booth.effect_of(data_of(intent)))
    booth.chain.do_getSignatureStatuses = (  # type: ignore[method-assign]
        lambda params, _config: {"context": {"slot": booth.chain.slot}, "value": [None] * len(params[0])}
    )
    booth.clock.listeners.append(lag)
    sending = asyncio.ensure_future(booth.outbox.send(intent))
    for _ in range(3_000):
        await asyncio.sleep(0)
        if booth.chain.slot > 1_000 + 2 * BLOCKHASH_AGE + 40:
            break
    assert len(set(booth.chain.sends)) == 1
    booth.clock.listeners.remove(lag)
    booth.chain.views = lambda method: 0
    await sending
    assert [row.state for row in await booth.store.pending("a")] == [OutboxState.CONFIRMED]
    assert booth.chain.count(data_of(intent)) == 1


@pytest.mark.parametrize(("accounts", "blockhash"), [(300, "1" * 32), (1, "no hash"), (60, "1" * 32)])
def test_what_makes_no_transaction_is_an_error_of_ours(accounts: int, blockhash: str) -> None:
    metas = [AccountMeta(Keypair().pubkey(), is_signer=False, is_writable=True) for _ in range(accounts)]
    touching = Instruction(Keypair().pubkey(), b"", metas)
    with pytest.raises(ChainError, match="transaction"):
        compile_message(ME, [touching], blockhash, Budget(1, 1))


async def test_a_blockhash_that_is_none_is_an_outage_and_no_crash(booth: Booth) -> None:
    answer = {"context": {"slot": 1}, "value": {"blockhash": "not a hash", "lastValidBlockHeight": 5}}
    booth.chain.do_getLatestBlockhash = lambda _params, _config: answer  # type: ignore[method-assign,assignment]
    with pytest.raises(RpcUnavailable, match="cannot be understood"):
        await booth.outbox.send(noted("x"))


async def test_nothing_is_stored_while_no_endpoint_answers(booth: Booth) -> None:
    booth.chain.down = True
    with pytest.raises(RpcUnavailable):
        await booth.outbox.send(transfer())
    assert await booth.store.pending("a") == ()


async def interrupted(booth: Booth, intent: Intent) -> None:
    """Send, and be killed after the first send was lost."""
    booth.chain.loses = lambda _number: True
    task = asyncio.ensure_future(booth.outbox.send(intent))
    while not booth.chain.sends:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    booth.chain.loses = lambda _number: False


async def test_resume_sends_the_same_bytes(booth: Booth) -> None:
    await interrupted(booth, transfer())
    (resumed,) = await booth.restarted().resume("a")
    assert resumed.landed is not None
    assert len(set(booth.chain.sends)) == 1
    assert await booth.restarted().resume("a") == ()


async def test_resume_after_a_long_stop_asks_for_the_effect(booth: Booth) -> None:
    intent = transfer()
    await interrupted(booth, intent)
    booth.chain.advance(300)
    asked: list[str] = []

    def effects(row: OutboxRow) -> Any:
        asked.append(row.key)
        return booth.effect_of(data_of(intent))

    booth.effects = effects
    (resumed,) = await booth.restarted().resume("a")
    assert resumed.landed is not None
    assert asked == ["transfer:1"]
    assert booth.chain.count(data_of(intent)) == 1
    assert len(set(booth.chain.sends)) == 2


async def test_resume_reports_failures(booth: Booth) -> None:
    await interrupted(booth, transfer())
    booth.chain.rule = lambda _transaction: ANCHOR_6014
    (resumed,) = await booth.restarted().resume("a")
    assert isinstance(resumed.failure, TransactionFailed)
    assert resumed.failure.error == "NodeAlreadyQueued"


async def test_the_same_intent_again_joins_the_one_under_way(booth: Booth) -> None:
    await interrupted(booth, transfer())
    first = await booth.restarted().send(transfer())
    again = await booth.outbox.send(transfer())
    assert first.signature == again.signature
    assert len(set(booth.chain.sends)) == 1


async def test_two_tasks_with_the_same_intent_send_it_once(booth: Booth) -> None:
    one, two = await asyncio.gather(booth.outbox.send(transfer()), booth.outbox.send(transfer()))
    assert one.signature == two.signature
    assert booth.chain.count(data_of(transfer())) == 1


async def test_another_content_under_the_same_key_is_a_new_transaction(booth: Booth) -> None:
    await interrupted(booth, transfer(7))
    await booth.outbox.send(transfer(8))
    assert booth.chain.count(data_of(transfer(7))) == 1
    assert booth.chain.count(data_of(transfer(8))) == 1


async def test_a_key_used_again_after_its_effect_was_undone_is_sent_again(booth: Booth) -> None:
    holds = [True]

    async def effect(_rpc: Rpc) -> bool:
        return holds[0]

    await booth.outbox.send(noted("leave", kind="stop", key="stop:a", effect=effect))
    holds[0] = False
    booth.chain.advance(5)
    await booth.outbox.send(noted("leave", kind="stop", key="stop:a", effect=effect))
    assert booth.chain.count(b"leave") == 2


async def test_a_fork_that_drops_a_confirmed_transaction_is_noticed(booth: Booth) -> None:
    intent = transfer()
    await booth.outbox.send(intent)
    booth.effects = lambda _row: booth.effect_of(data_of(intent))
    booth.chain.fork()
    assert booth.chain.count(data_of(intent)) == 0
    await booth.outbox.tidy("a")
    booth.chain.advance(3)
    # The same bytes could still land, so they were sent again.
    assert booth.chain.count(data_of(intent)) == 1
    assert len(set(booth.chain.sends)) == 1


async def test_a_fork_seen_after_expiry_is_driven_again(booth: Booth) -> None:
    intent = transfer()
    await booth.outbox.send(intent)
    booth.effects = lambda _row: booth.effect_of(data_of(intent))
    booth.chain.fork()
    booth.chain.advance(300)
    await booth.outbox.tidy("a")
    assert booth.chain.count(data_of(intent)) == 1
    row = await booth.store.get(intent.key)
    assert row is not None
    assert (row.state, row.attempt) == (OutboxState.CONFIRMED, 2)


async def test_tend_runs_until_cancelled(booth: Booth) -> None:
    await booth.outbox.send(noted("hello"))
    task = asyncio.ensure_future(booth.outbox.tend("a"))
    while await booth.store.get("memo:1") is not None:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_cap_stops_work_but_not_settling() -> None:
    booth = Booth()

    async def spent() -> int:
        return 1_000_000

    booth.policy = SpendingPolicy(DEVNET, KINDS, daily_lamports=1_000_000, spent=spent)
    outbox = booth.restarted()
    run = Keypair()
    made = jobs.work(DEVNET, run=Address(str(run.pubkey())), market=MARKET, authority=ME)
    with pytest.raises(SpendingRefused, match="24 h"):
        await outbox.send(Intent("work:1", "a", "work", (made,), (run,)))
    assert await booth.store.pending("a") == ()
    await outbox.send(noted("x", kind="finish", key="finish:1"))


def test_recipes_survive_the_journal() -> None:
    recipe = Recipe((memo(ME, "x"), *transfer().instructions), (Keypair(),), ())
    assert Recipe.decode(recipe.encode()) == recipe
    for broken in (b"", b"{}", b"[]", b'{"instructions":[1],"signers":[],"earlier":[]}', b"\xff"):
        with pytest.raises(JournalError):
            Recipe.decode(broken)


@settings(max_examples=30, deadline=None)
@given(lost=st.sets(st.integers(1, 400)), kind=st.sampled_from(["transfer", "finish"]), cut=st.integers(0, 120))
async def test_whatever_is_lost_it_lands_exactly_once(lost: set[int], kind: str, cut: int) -> None:
    booth = Booth(pace=Pace(attempts=1_000))
    booth.chain.loses = lambda number: number in lost
    once = noted("once", kind="finish", key="finish:1") if kind == "finish" else transfer()
    data = data_of(once)
    # A finish after the first is refused by its program; a transfer would go through again.
    booth.chain.rule = lambda _t: ANCHOR_6014 if kind == "finish" and booth.chain.shows(data) else None
    intent = Intent(**{**fields(once), "effect": booth.effect_of(data)})
    booth.effects = lambda _row: booth.effect_of(data)
    task = asyncio.ensure_future(booth.outbox.send(intent))
    for _ in range(cut):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await booth.restarted().resume("a")
    if await booth.store.get(intent.key) is None and not booth.chain.shows(data):
        await booth.outbox.send(intent)
    booth.chain.advance(400)
    assert booth.chain.count(data) == 1
