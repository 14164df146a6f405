"""The chain of receipts: followed, cut, forked, rewritten, with one left out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from solders.keypair import Keypair

from node.chain import memo as chain_memo
from node.chain.replies import SignatureInfo
from node.proof import history
from node.proof.checks import Label
from node.proof.memo import receipt_memo
from node.records import Address, Signature

from .series import NOBODY, Series, detail, failed, lines
from .test_receipt import ASSIGNMENT, NODE, RUN, receipt
from .world import finish, wired

HELD = (Label.PROVEN, True)
AGREES = (Label.CONSISTENT, True)
UNSEEN = (Label.NOT_CHECKED, None)


async def test_a_whole_chain() -> None:
    series = Series()
    jobs = series.line(5)
    found = await series.verify(jobs[3])
    assert failed(found) == []
    assert found.ok
    held = lines(found)
    assert (held["receipt_chain"], held["receipt_chain_settled"]) == (HELD, HELD)
    assert (held["receipts_complete"], held["next_receipt"]) == (AGREES, AGREES)
    assert detail(found, "receipt_chain").startswith("3 earlier receipts")
    assert "the chain begins there: the first receipt" in detail(found, "receipt_chain")
    assert jobs[4].receipt in detail(found, "next_receipt")


async def test_as_many_as_asked_for() -> None:
    series = Series()
    jobs = series.line(5)
    some = await series.verify(jobs[4], 2)
    assert detail(some, "receipt_chain").startswith("2 earlier receipts")
    assert "not asked for" in detail(some, "receipt_chain")
    assert f"from slot {jobs[2].slot} to {jobs[4].slot}" in detail(some, "receipts_complete")
    assert lines(some)["next_receipt"] == UNSEEN
    none = await series.verify(jobs[4], 0)
    names = ("receipt_chain", "receipt_chain_settled", "receipts_complete", "next_receipt")
    assert {lines(none)[name] for name in names} == {UNSEEN}
    assert none.ok


async def test_the_first_receipt() -> None:
    series = Series()
    found = await series.verify(series.line(2)[0])
    assert found.ok
    assert lines(found)["receipt_chain"] == lines(found)["receipts_complete"] == UNSEEN
    assert "the first receipt of this journal" in detail(found, "receipt_chain")
    assert lines(found)["next_receipt"] == AGREES


async def test_a_receipt_that_cannot_be_had_ends_the_walk() -> None:
    series = Series()
    jobs = series.line(4)
    del series.world.files[jobs[1].receipt]
    found = await series.verify(jobs[3])
    assert found.ok
    assert detail(found, "receipt_chain").startswith("1 earlier receipt,")
    assert f"receipt {jobs[1].receipt} cannot be had" in detail(found, "receipt_chain")
    del series.world.files[jobs[2].receipt]
    assert lines(await series.verify(jobs[3]))["receipt_chain"] == UNSEEN


async def test_a_receipt_whose_bytes_are_others() -> None:
    series = Series()
    jobs = series.line(3)
    series.world.broken.add(jobs[1].receipt)
    assert failed(await series.verify(jobs[2])) == ["receipt_chain"]


async def test_a_previous_receipt_of_another_key() -> None:
    series = Series()
    other = Keypair.from_seed(bytes([78]) * 32)
    stranger = Address(str(other.pubkey()))
    given = replace(ASSIGNMENT, run=replace(RUN, node=stranger))
    theirs = receipt(assignment=given, sign=lambda message: bytes(other.sign_message(message)))
    first = series.add()
    stolen = replace(first, receipt=series.world.keep(theirs))
    second = series.add(after=stolen)
    assert "receipt_chain" in failed(await series.verify(second))


async def test_a_previous_receipt_from_later() -> None:
    """Written after the one that names it: a history that was made up."""
    series = Series()
    late = series.add(slot=5000)
    early = series.add(after=late, slot=1000)
    found = await series.verify(early)
    assert failed(found) == ["receipt_chain"]
    assert "after the one that follows it" in detail(found, "receipt_chain")


async def test_a_settlement_that_names_another_receipt() -> None:
    series = Series()
    first, second = series.line(2)
    third = series.add(after=replace(second, settle=first.settle))
    found = await series.verify(third)
    assert failed(found) == ["receipt_chain_settled"]
    assert f"names {first.receipt} of this node, not {second.receipt}" in detail(found, "receipt_chain_settled")


async def test_a_settlement_that_landed_after_its_follower() -> None:
    """Its bytes landed again after a fork: said, and no fault of anybody."""
    series = Series()
    first = series.add(settled=1500)
    second = series.add(after=first, slot=1100, settled=1120)
    found = await series.verify(second)
    assert failed(found) == []
    assert "after the one that follows it" in detail(found, "receipt_chain_settled")


# --- left out ---------------------------------------------------------------------------------------


async def test_a_receipt_that_is_left_out() -> None:
    series = Series()
    first, hidden = series.line(2)
    last = series.add(after=first)
    found = await series.verify(last)
    assert failed(found) == ["receipts_complete"]
    assert hidden.receipt in detail(found, "receipts_complete")
    assert not found.ok
    # Seen from the hidden one's side, too.
    shown = await series.verify(hidden)
    assert failed(shown) == ["next_receipt"]
    assert f"names {first.receipt}" in detail(shown, "next_receipt")


async def test_a_receipt_that_is_left_out_further_back() -> None:
    series = Series()
    first, hidden = series.line(2)
    third = series.add(after=first)
    last = series.add(after=third)
    assert failed(await series.verify(last)) == ["receipts_complete"]
    # With one step, there is nothing between them.
    assert hidden.slot < third.slot
    assert failed(await series.verify(last, 1)) == []


async def test_a_hidden_receipt_that_nobody_serves() -> None:
    series = Series()
    first, hidden = series.line(2)
    last = series.add(after=first)
    del series.world.files[hidden.receipt]
    assert failed(await series.verify(last)) == ["receipts_complete"]


async def test_settled_late_is_not_left_out() -> None:
    """A fork took it back, and it was settled again while, or after, the next receipts were made."""
    series = Series()
    first = series.add()
    series.add(after=first, slot=1100, settled=1215)  # while the next one runs
    second = series.add(after=first, slot=1200)
    series.add(after=first, slot=1150, settled=1290)  # when the next one was settled, begun before it
    third = series.add(after=second, slot=1300)
    found = await series.verify(third)
    assert failed(found) == []
    assert "but for 2 that were settled late" in detail(found, "receipts_complete")


async def test_the_next_one_names_another_for_this_was_settled_late() -> None:
    series = Series()
    first = series.add()
    late = series.add(after=first, slot=1100, settled=1290)
    second = series.add(after=first, slot=1200)
    series.add(after=second, slot=1300)
    found = await series.verify(late)
    assert failed(found) == []
    assert lines(found)["next_receipt"] == UNSEEN


async def test_memos_of_others_and_other_transactions_hide_nothing_and_add_nothing() -> None:
    series = Series()
    first, second = series.line(2)
    stranger = Keypair.from_seed(bytes([79]) * 32)
    theirs = wired(1110, chain_memo.memo(Address(str(stranger.pubkey())), receipt_memo(NOBODY)), key=stranger)
    series.world.land(theirs, NODE)
    # A memo of the node's own that settles nothing.
    series.world.land(wired(1115, chain_memo.memo(NODE, receipt_memo(NOBODY))), NODE)
    assert failed(await series.verify(second)) == []
    assert first.slot < 1110 < second.slot


# --- forks and new journals ------------------------------------------------------------------------------


async def test_a_settlement_that_a_fork_took_back() -> None:
    series = Series()
    jobs = series.line(4)
    series.forget(jobs[1])
    found = await series.verify(jobs[3])
    assert failed(found) == []
    assert "is gone, as after a fork" in detail(found, "receipt_chain_settled")
    assert detail(found, "receipt_chain").startswith("3 earlier receipts")
    assert detail(found, "receipt_chain_settled").startswith("2 settlements")


async def test_settled_again_after_a_fork() -> None:
    series = Series()
    first, second = series.line(2)
    last = series.add(after=second)
    series.forget(second)
    again = wired(second.slot + 3, finish(NOBODY, second.job), chain_memo.memo(NODE, receipt_memo(second.receipt)))
    series.world.land(again, NODE, second.job)
    found = await series.verify(last)
    assert failed(found) == []
    assert f"settled again by {again.signature}" in detail(found, "receipt_chain_settled")
    assert detail(found, "receipt_chain_settled").startswith("2 settlements")
    assert first.slot < again.slot < last.slot


async def test_a_lost_journal() -> None:
    series = Series()
    first = series.add()
    lost = "the journal was lost"
    new = series.add(previous_reason=lost, seen=(first.receipt, first.settle))
    found = await series.verify(new)
    assert found.ok
    assert lost in detail(found, "receipt_chain")
    assert first.receipt in detail(found, "receipt_chain")
    older = await series.verify(first)
    assert older.ok
    assert "begins a new chain: the journal was lost" in detail(older, "next_receipt")


async def test_names_that_no_chain_could_have() -> None:
    """A slot of the far future, a settlement that is no signature: nothing is asked in vain, and the lines say so."""
    series = Series()
    first = series.add()
    future = series.add(after=first, slot=1 << 70, settled=1200)
    found = await series.verify(future)
    assert failed(found) == ["slots"]
    assert lines(found)["start_block"] == UNSEEN
    nonsense = series.add(after=replace(first, settle=Signature("no signature")), slot=1300)
    told = detail(await series.verify(nonsense), "receipt_chain_settled")
    assert f"was settled again by {first.settle}" in told


# --- what an endpoint does not tell ------------------------------------------------------------------------


async def test_an_endpoint_without_memos() -> None:
    series = Series()
    jobs = series.line(3)
    series.world.history = {
        key: [replace(entry, memo=None) for entry in entries] for key, entries in series.world.history.items()
    }
    found = await series.verify(jobs[2])
    assert found.ok
    assert lines(found)["receipts_complete"] == UNSEEN
    assert "tells no memos" in detail(found, "receipts_complete")


async def test_an_endpoint_that_has_lost_old_transactions() -> None:
    series = Series()
    jobs = series.line(3)
    del series.world.transactions[jobs[0].settle]
    found = await series.verify(jobs[2])
    assert failed(found) == []
    assert detail(found, "receipt_chain_settled").startswith("1 settlement on")


async def test_an_endpoint_that_lists_only_what_is_recent() -> None:
    """What it has dropped is not taken for what never was: neither a receipt left out, nor a fork, nor the next one."""
    series = Series()
    jobs = series.line(4)

    def drop(before: int) -> None:
        series.world.history[NODE] = [entry for entry in series.world.history[NODE] if entry.slot > before]

    drop(jobs[1].slot)
    found = await series.verify(jobs[3])
    assert found.ok
    assert f"from slot {jobs[2].slot} to" in detail(found, "receipts_complete")
    assert "lists nothing older" in detail(found, "receipts_complete")
    del series.world.transactions[jobs[0].settle]
    assert "the endpoint does not hold" in detail(await series.verify(jobs[3]), "receipt_chain_settled")
    # The next but one must not pass for the next.
    drop(jobs[2].slot)
    found = await series.verify(jobs[1])
    assert found.ok
    assert lines(found)["next_receipt"] == UNSEEN
    assert "was not found" in detail(found, "next_receipt")


async def test_a_long_history_is_looked_through_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PAGE", 2)
    monkeypatch.setattr(history, "MOST_PAGES", 2)
    series = Series()
    first, second = series.line(2)
    _crowd(series, 1101, 2)
    found = await series.verify(second)
    assert failed(found) == []
    assert f"from slot {first.slot} to" in detail(found, "receipts_complete")
    _crowd(series, 1030, 3)
    found = await series.verify(second)
    assert failed(found) == []
    assert f"from slot {first.slot} to" not in detail(found, "receipts_complete")
    assert "more than 4 transactions" in detail(found, "receipts_complete")


async def test_a_crowd_of_memos_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "SPARE_LOOKUPS", 2)
    series = Series()
    first, second = series.line(2)
    for number in range(5):
        _crowd(series, 1030 + number, 1, memo=f"[9] {receipt_memo(NOBODY)}")
    found = await series.verify(second)
    assert failed(found) == []
    assert "too many transactions name the key" in detail(found, "receipts_complete")
    assert first.slot < 1030


def _crowd(series: Series, slot: int, count: int, memo: str | None = None) -> None:
    entries = [SignatureInfo(Signature(f"s{slot}-{n}"), slot, False, memo, None) for n in range(count)]
    known = [*series.world.history[NODE], *entries]
    series.world.history[NODE] = sorted(known, key=lambda entry: -entry.slot)
