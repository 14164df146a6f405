"""Slots, blockhash windows and older versions of accounts, apart from the chain."""

from __future__ import annotations

import hashlib
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from solders.account import Account
from solders.hash import Hash
from solders.pubkey import Pubkey

from node.localnet import versions
from node.localnet.blockhashes import MAX_AGE, Blockhashes
from node.localnet.slots import Block, Commitment, SkipRule, Slots
from node.localnet.versions import UndoLog

OWNER = Pubkey.new_unique()
KEYS = [Pubkey.new_unique() for _ in range(3)]


def block(slot: int, height: int, parent: int) -> Block:
    return Block(slot, height, parent, Hash.new_unique(), 1_000 + slot)


def grow(slots: Slots, count: int) -> None:
    for _ in range(count):
        slot = slots.next_slot()
        if slot is not None:
            slots.append(block(slot, slots.head.height + 1, slots.head.slot))


def test_some_slots_are_skipped_so_that_height_falls_behind() -> None:
    slots = Slots(block(0, 0, 0), rule=SkipRule(one_in=20), limit=2_000)
    grow(slots, 1_000)
    skipped = slots.tip - slots.head.height
    assert 20 < skipped < 100
    assert slots.find(slots.head.slot) == slots.head
    assert all(slots.find(s) is None for s in range(1, 1_000) if SkipRule(one_in=20).skips(s))


def test_no_rule_skips_nothing() -> None:
    slots = Slots(block(0, 0, 0), rule=SkipRule(one_in=0), limit=100)
    grow(slots, 90)
    assert slots.head.slot == slots.head.height == 90


def test_commitments_count_blocks_not_slots() -> None:
    slots = Slots(block(0, 0, 0), rule=SkipRule(one_in=5), limit=500)
    assert slots.at(Commitment.FINALIZED).slot == 0
    grow(slots, 200)
    assert slots.at(Commitment.PROCESSED).height - slots.at(Commitment.CONFIRMED).height == 1
    assert slots.at(Commitment.PROCESSED).height - slots.at(Commitment.FINALIZED).height == 32


def test_blocks_between_two_slots_and_the_bound() -> None:
    slots = Slots(block(0, 0, 0), rule=SkipRule(one_in=0), limit=70)
    grow(slots, 100)
    assert [entry.slot for entry in slots.between(95, 98)] == [96, 97, 98]
    assert slots.oldest().slot == 31
    assert slots.find(30) is None
    assert slots.find(31) is not None


def test_a_blockhash_is_valid_for_150_blocks_after_its_own() -> None:
    table = Blockhashes()
    first = Hash.new_unique()
    table.register(first, 10)
    table.mark(first, b"message")
    for height in range(11, 11 + MAX_AGE):
        table.register(Hash.new_unique(), height)
    assert table.valid_at(first, 10 + MAX_AGE)
    assert not table.valid_at(first, 11 + MAX_AGE)
    assert not table.valid_at(first, 9), "a view from before the block does not know its hash"
    assert table.seen(first, b"message")
    for height in range(11 + MAX_AGE, 44 + MAX_AGE):
        table.register(Hash.new_unique(), height)
    assert not table.seen(first, b"message"), "gone, once no fork can make its blockhash young again"


def test_a_fork_makes_blockhashes_young_again_and_forgets_its_own() -> None:
    table = Blockhashes()
    hashes = [Hash.new_unique() for _ in range(180)]
    for height, blockhash in enumerate(hashes):
        table.register(blockhash, height)
    table.mark(hashes[10], b"message")
    assert not table.valid_at(hashes[10], 179)
    table.drop_after(155)
    assert table.valid_at(hashes[10], 156)
    assert table.seen(hashes[10], b"message")
    table.unmark(hashes[10], b"message")
    assert not table.seen(hashes[10], b"message")
    assert not table.valid_at(hashes[156], 160)


def test_a_fork_drops_blocks_but_no_finalized_one() -> None:
    slots = Slots(block(0, 0, 0), rule=SkipRule(one_in=0), limit=500)
    grow(slots, 100)
    assert [entry.slot for entry in slots.drop_after(90)] == list(range(91, 101))
    assert slots.tip == 100, "time does not go back"
    assert (slots.head.slot, slots.at(Commitment.CONFIRMED).slot, slots.at(Commitment.FINALIZED).slot) == (90, 89, 68)
    slots.append(block(101, 91, 90))
    assert (slots.head.slot, slots.at(Commitment.CONFIRMED).slot, slots.at(Commitment.FINALIZED).slot) == (101, 90, 68)
    slots.drop_after(5)
    assert slots.head.slot == slots.at(Commitment.CONFIRMED).slot == slots.at(Commitment.FINALIZED).slot == 68
    grow(slots, 32)
    assert slots.at(Commitment.FINALIZED).slot == 68
    grow(slots, 1)
    assert slots.at(Commitment.FINALIZED).slot == 102


def test_an_old_view_shows_what_was_there_then() -> None:
    slots = Slots(block(0, 0, 0), rule=SkipRule(one_in=0), limit=500)
    grow(slots, 100)
    old = slots.upto(80, root=0)
    assert (old.tip, old.head.slot, old.at(Commitment.FINALIZED).slot, old.find(81)) == (80, 80, 48, None)
    assert slots.upto(80, root=60).at(Commitment.FINALIZED).slot == 60, "accounts of before are not known any more"
    assert slots.head.slot == 100


digests = st.binary(max_size=4).map(lambda raw: hashlib.sha256(raw).digest())


@given(st.lists(digests, max_size=30), st.lists(digests, max_size=5))
def test_messages_are_known_until_they_are_taken_back(messages: list[bytes], others: list[bytes]) -> None:
    table, blockhash = Blockhashes(), Hash.new_unique()
    table.register(blockhash, 1)
    for message in messages:
        table.mark(blockhash, message)
        table.mark(blockhash, message)
    assert all(table.seen(blockhash, message) for message in messages)
    assert not any(table.seen(blockhash, other) for other in others if other not in messages)
    again = Blockhashes()
    for key, height, rows in table.rows():
        again.register(key, height)
        for row in rows:
            again.mark(key, row)
    assert all(again.seen(blockhash, message) for message in messages)
    for message in messages:
        table.unmark(blockhash, message)
    assert table.rows() == [(blockhash, 1, ())]


writes = st.lists(
    st.tuples(st.integers(0, 2), st.one_of(st.none(), st.integers(1, 50)), st.integers(0, 2)), max_size=40
)


Changes = list[tuple[int, int | None, int]]


@given(writes, st.integers(0, 30), st.sampled_from([0, 5, 500]), st.integers(0, 80))
def test_any_view_after_the_finalized_one_is_exact(changes: Changes, settled: int, spare: int, fork: int) -> None:
    """The undo log against a model that keeps a whole copy per slot; then a fork goes back to one of them."""
    undo, slot = UndoLog(), 0
    now: dict[Pubkey, Account | None] = dict.fromkeys(KEYS)
    copies: dict[int, dict[Pubkey, Account | None]] = {0: dict(now)}
    for index, lamports, step in changes:
        slot += step
        key = KEYS[index]
        new = None if lamports is None else Account(lamports, b"", OWNER)
        undo.note(key, slot, now[key])
        now[key] = new
        copies[slot] = dict(now)
    settled = min(settled, slot)
    with mock.patch.object(versions, "SPARE", spare):
        undo.prune(settled)
    assert undo.floor <= settled
    state = dict.fromkeys(KEYS)
    for view in range(slot + 1):
        state = copies.get(view, state)
        if view >= undo.floor:
            assert {key: undo.at(key, view, now[key]) for key in KEYS} == state
            later = {k for s, copy in copies.items() if s > view for k in KEYS if copy[k] is not state[k]}
            assert later <= undo.changed_after(view)
    fork = max(settled, min(fork, slot))
    now |= undo.drop_after(fork)
    last = copies[max(at for at in copies if at <= fork)]
    assert {key: undo.at(key, slot, now[key]) for key in KEYS} == last
    assert not undo.changed_after(fork)
