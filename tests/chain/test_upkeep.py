"""What has landed and is taken back by forks: driven again until it is final, or the chain says that it cannot be."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.transaction import VersionedTransaction

from node.chain.intents import OPPOSITE, RENEWABLE, SETTLING, Intent, Recipe
from node.chain.outbox import Outbox, Pace
from node.chain.policy import NODE_KINDS, OWNER_KINDS, POSTER_KINDS
from node.records import OutboxRow, OutboxState
from tests.chain.fakes import BLOCKHASH_AGE, FINALIZED_DEPTH
from tests.chain.test_outbox import ANCHOR_6014, Booth, data_of, noted, real, transfer, work

README = Path(__file__).parents[2] / "node" / "README.md"


class Told(Booth):
    """A booth that notes what was undone, and whose rows are known by their effects."""

    def __init__(self) -> None:
        self.undone: list[str] = []
        super().__init__(pace=Pace(attempts=1_000))
        self.effects = lambda row: self.effect_of(bytes(Recipe.decode(row.recipe).instructions[0].data))

    def restarted(self) -> Outbox:
        outbox = super().restarted()
        outbox._upkeep._undone = self.tell
        return outbox

    async def tell(self, row: OutboxRow) -> None:
        assert await self.store.get(row.key) is not None, "told before it is forgotten"
        self.undone.append(row.key)

    def known(self, intent: Intent) -> Intent:
        return replace(intent, effect=self.effect_of(data_of(intent)))

    async def row(self, intent: Intent) -> OutboxRow:
        row = await self.store.get(intent.key)
        assert row is not None
        return row

    async def rounds(self, number: int, slots: int = 25) -> None:
        """As `tend`, for so many rounds."""
        for _ in range(number):
            await self.outbox.tidy("a")
            self.chain.advance(slots)

    def reland(self, wire: bytes, error: bool) -> None:
        """What a fork dropped is landed again by the cluster, on another state of the chain."""
        rule = self.chain.rule
        if error:
            self.chain.rule = lambda _transaction: ANCHOR_6014
        self.chain.waiting[str(VersionedTransaction.from_bytes(wire).signatures[0])] = wire
        self.chain.advance(3)
        self.chain.rule = rule


@pytest.fixture
def told() -> Told:
    return Told()


def finish(text: str = "once") -> Intent:
    return noted(text, kind="finish", key="finish:1")


async def test_a_fork_that_lands_it_again_with_an_error_is_not_the_end(told: Told) -> None:
    intent = told.known(finish())
    first = await told.outbox.send(intent)
    told.chain.fork()
    told.reland((await told.row(intent)).wire, error=True)
    assert told.chain.landed[first.signature].error is not None
    await told.rounds(4)
    assert told.chain.count(b"once") == 1
    assert await told.store.pending("a") == ()
    assert told.undone == [intent.key], "who was told the first signature hears that it is another"


async def test_what_the_chain_refuses_for_good_is_told_and_only_then_forgotten(told: Told) -> None:
    intent = told.known(finish())
    await told.outbox.send(intent)
    told.chain.fork()
    wire = (await told.row(intent)).wire
    told.chain.rule = lambda _transaction: ANCHOR_6014
    told.reland(wire, error=True)
    await told.rounds(1, slots=2)
    assert (await told.row(intent)).state is OutboxState.CONFIRMED, "the error is not final yet"
    assert told.undone == []
    await told.rounds(4)
    assert await told.store.pending("a") == ()
    assert told.undone == [intent.key]


async def test_an_error_that_another_fork_takes_back_is_no_error(told: Told) -> None:
    intent = told.known(finish())
    landed = await told.outbox.send(intent)
    wire = (await told.row(intent)).wire
    told.chain.fork()
    told.chain.rule = lambda transaction: None if real(transaction) else ANCHOR_6014
    told.reland(wire, error=True)
    await told.rounds(1, slots=1)
    told.chain.fork(10)
    told.reland(wire, error=False)
    await told.rounds(4)
    assert await told.store.pending("a") == ()
    assert told.chain.landed[landed.signature].error is None
    assert told.undone == [intent.key], "it is in another block, where it may have paid another sum"


async def test_what_is_not_harmless_twice_waits_for_finality_after_a_fork(told: Told) -> None:
    intent = told.known(transfer())
    await told.outbox.send(intent)
    row = await told.row(intent)
    told.chain.fork()
    told.reland(row.wire, error=True)
    while told.chain.view("finalized") <= row.last_valid_block_height:
        assert len(set(told.chain.sends)) == 1
        await told.rounds(1, slots=20)
    await told.rounds(4)
    assert len(set(told.chain.sends)) == 2
    assert told.chain.count(data_of(intent)) == 1
    assert await told.store.pending("a") == ()


async def test_a_dropped_work_is_seen_through_before_another_is_made(told: Told) -> None:
    intent = told.known(work())
    landed = await told.outbox.send(intent)
    told.chain.fork()
    assert await told.outbox.resume("a", "work") == ()
    assert told.chain.count(data_of(intent)) == 1
    assert (await told.row(intent)).signature == landed.signature
    assert len(set(told.chain.sends)) == 1


@pytest.mark.parametrize("kind", OPPOSITE)
async def test_what_the_lane_has_since_undone_is_let_go(told: Told, kind: str) -> None:
    stop = noted("leave", kind="stop", key="stop:a")
    intents = [stop, work()] if kind == "stop" else [work(), stop]
    old, new = (told.known(each) for each in intents)
    await told.outbox.send(old)
    told.chain.advance(5)
    await told.outbox.send(new)
    told.chain.fork()
    await told.rounds(20)
    assert told.chain.count(data_of(old)) == 0
    assert told.chain.count(data_of(new)) == 1
    assert await told.store.pending("a") == ()


async def test_of_several_signatures_the_bytes_at_hand_are_never_forgotten(told: Told) -> None:
    """The first signature lands after the second was made; a fork then puts the second in its place."""
    first: list[bytes] = []

    def loses(_number: int) -> bool:
        if not first:
            first.append(told.chain.sends[0])
        if len(set(told.chain.sends)) == 2 and first[0] not in told.chain.waiting.values():
            told.chain.waiting[str(VersionedTransaction.from_bytes(first[0]).signatures[0])] = first[0]
        return True

    told.chain.loses = loses
    told.chain.rule = lambda _transaction: ANCHOR_6014 if told.chain.shows(b"once") else None
    intent = told.known(finish())
    landed = await told.outbox.send(intent)
    second = told.chain.sends[-1]
    told.chain.fork()
    told.reland(second, error=False)
    assert landed.signature not in told.chain.landed
    await told.rounds(1, slots=2)
    assert told.undone == [intent.key]
    await told.rounds(3)
    assert await told.store.pending("a") == ()
    assert told.undone == [intent.key]


async def test_a_landing_that_a_fork_took_back_is_booked_once(told: Told) -> None:
    intent = told.known(transfer())
    await told.outbox.send(intent)
    told.chain.fork()
    await told.rounds(3)
    assert [lamports for _, _, lamports in told.booked] == [10_000]


async def test_one_that_cannot_be_delivered_keeps_no_other_waiting(told: Told) -> None:
    note = told.known(noted("x", key="memo:x"))
    await told.outbox.send(note)
    stuck = told.known(transfer())
    sending = asyncio.ensure_future(told.outbox.send(stuck))
    told.chain.loses = lambda _number: True
    while not await told.store.get(stuck.key):
        await asyncio.sleep(0)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    tending = asyncio.ensure_future(told.outbox.tend("a"))
    while await told.store.get(note.key) is not None:
        await asyncio.sleep(0)
    assert (await told.row(stuck)).state is OutboxState.SENDING
    tending.cancel()
    await asyncio.gather(tending, return_exceptions=True)


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["fork", "fails", "again", "wait", "restart", "lose", "down"]), st.integers(1, 40)),
    max_size=14,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, kind=st.sampled_from(["finish", "quit", "register", "transfer", "work"]))
async def test_whatever_forks_do_it_is_done_exactly_once(steps: Sequence[Step], kind: str) -> None:
    told = Told()
    made = {"transfer": transfer(), "work": work()}.get(kind) or noted("once", kind=kind, key=f"{kind}:1")
    intent = told.known(made)
    data = data_of(intent)
    # The programs refuse a second one of everything but a transfer, which must not be tried in the first place.
    taken = {"transfer": lambda _: None}
    told.chain.rule = taken.get(kind, lambda _: ANCHOR_6014 if told.chain.shows(data) else None)
    await told.outbox.send(intent)
    floor = told.chain.view("finalized")
    for step, size in steps:
        match step:
            case "fork":
                # What is finalized stays.
                floor = max(floor, told.chain.view("finalized"))
                told.chain.fork(min(size, told.chain.slot - floor, FINALIZED_DEPTH))
            case "fails":
                if (row := await told.store.get(intent.key)) is not None:
                    told.reland(row.wire, error=True)
            case "again":
                if (row := await told.store.get(intent.key)) is not None:
                    told.reland(row.wire, error=False)
            case "wait":
                told.chain.advance(size)
            case "restart":
                told.outbox = told.restarted()
                told.chain.advance(size)
                await told.outbox.tidy("a")
            case "lose":
                lost = len(told.chain.sends) + size % 4
                told.chain.loses = lambda number, lost=lost: number <= lost  # type: ignore[misc]
            case "down":
                told.chain.refuses = {"getSignatureStatuses": size % 3, "getLatestBlockhash": size % 2}
        if size % 2:
            await told.outbox.tidy("a")
    told.chain.refuses = {}
    await told.rounds(20)
    assert told.chain.count(data) == 1
    assert await told.store.pending("a") == ()


def test_the_table_in_the_readme_is_that_of_the_code() -> None:
    lines = README.read_text("utf-8").split("## The outbox")[1].split("\n## ")[0].splitlines()
    rows = [line.split("|")[1:3] for line in lines if line.startswith("| `")]
    listed = [(set(re.findall(r"`(\w+)`", kinds)), when) for kinds, when in rows]
    (renewable, _), (others, when) = listed
    every = {*NODE_KINDS, *POSTER_KINDS, *OWNER_KINDS}
    assert renewable == RENEWABLE
    assert others == every - RENEWABLE
    assert "finalized" in when
    assert SETTLING <= RENEWABLE
    assert every >= RENEWABLE
    assert set(OPPOSITE) <= every
    assert BLOCKHASH_AGE == 150


@pytest.mark.parametrize("there", [False, True])
async def test_what_is_on_the_chain_is_in_the_books_and_nothing_else(told: Told, there: bool) -> None:
    """Of two signatures of one thing the later did nothing. If it is on the chain, it cost its fee all the same."""
    intent = told.known(noted("twice"))
    landed = await told.outbox.send(intent)
    row = await told.row(intent)
    later = await told.outbox._delivery.again(row)
    kept = replace(Recipe.decode(row.recipe), earlier=(later.signature,))
    await told.store.put(replace(row, recipe=kept.encode()))
    if there:
        told.reland(later.wire, error=True)
    else:
        # As a life before a fork booked it.
        told.books[later.signature] = replace(told.books[landed.signature], signature=later.signature)
    await told.rounds(3)
    assert await told.store.get(intent.key) is None
    booked = {each.signature for each in told.books.values() if each.fee}
    assert booked == {landed.signature, *([later.signature] if there else [])}
