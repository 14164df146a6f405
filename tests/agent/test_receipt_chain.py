"""What a receipt says of the one before it: by the journal, else by the chain, and for certain without delay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from node.agent import receipt_chain
from node.agent.receipt_chain import FIRST, HISTORY, LOST, MOST_READ, UNKNOWN, UNSETTLED, link_of, newest_receipt
from node.chain.clusters import MEMO_PROGRAM
from node.chain.replies import LandedInstruction, LandedTransaction, SignatureInfo
from node.content.cid import file_cid
from node.errors import ChainError, RpcUnavailable
from node.journal.journal import Journal
from node.proof.memo import card_memo, receipt_memo, work_memo
from node.records import Address, Assignment, Cid, SettleKind, Settlement, Signature
from tests.agent.doubles import NODE
from tests.journal.samples import address, assignment

R1, R2 = file_cid(b"one"), file_cid(b"two")
STRANGER = address(77)


@dataclass
class History:
    """A key's transactions, newest first."""

    entries: list[SignatureInfo] = field(default_factory=list)
    transactions: dict[Signature, LandedTransaction] = field(default_factory=dict)
    read: list[Signature] = field(default_factory=list)
    asked: int = 0

    def add(self, text: str | None, *, signer: Address = NODE, failed: bool = False, shown: bool = True) -> Signature:
        """A transaction that is older than all before it."""
        signature = Signature(f"s{len(self.entries)}")
        told = f"[{len(text)}] {text}" if text is not None and shown else None
        self.entries.append(SignatureInfo(signature, 100 - len(self.entries), failed, told, None))
        carried = () if text is None else (LandedInstruction(MEMO_PROGRAM, (signer,), text.encode()),)
        self.transactions[signature] = landed(signature, signer, carried)
        return signature

    async def get_signatures_for_address(self, address: Address, *, limit: int) -> tuple[SignatureInfo, ...]:
        assert address == NODE
        self.asked += 1
        return tuple(self.entries[:limit])

    async def get_transaction(self, signature: Signature) -> LandedTransaction | None:
        self.read.append(signature)
        return self.transactions.get(signature)


def landed(signature: Signature, signer: Address, instructions: tuple[LandedInstruction, ...]) -> LandedTransaction:
    return LandedTransaction(
        signature=signature,
        slot=1,
        time=None,
        fee=5000,
        failure=None,
        logs=(),
        keys=(signer,),
        signers=(signer,),
        instructions=instructions,
        token_changes=(),
        payer_change=0,
    )


async def test_the_newest_of_the_key_s_own_receipts_counts() -> None:
    chain = History()
    chain.add(None)
    chain.add(work_memo("00" * 32))
    chain.add(card_memo(R1))
    chain.add("gpunode/1 r=nonsense")
    chain.add(receipt_memo(R1), failed=True)
    chain.add(receipt_memo(R1), signer=STRANGER)
    newest = chain.add(receipt_memo(R2))
    chain.add(receipt_memo(R1))
    assert await newest_receipt(chain, NODE) == (R2, newest)
    assert len(chain.read) == 3


async def test_a_key_that_has_settled_nothing() -> None:
    chain = History()
    assert await newest_receipt(chain, NODE) is None
    chain.add("hello")
    chain.add(receipt_memo(R1), signer=STRANGER)
    assert await newest_receipt(chain, NODE) is None


async def test_a_history_that_is_too_long_is_not_taken_for_an_empty_one() -> None:
    chain = History()
    for _ in range(HISTORY):
        chain.add(None)
    chain.add(receipt_memo(R1))
    with pytest.raises(ChainError, match="looked through"):
        await newest_receipt(chain, NODE)
    assert chain.read == []
    crowd = History()
    for _ in range(MOST_READ + 1):
        crowd.add(receipt_memo(R1), signer=STRANGER)
    with pytest.raises(ChainError, match="looked through"):
        await newest_receipt(crowd, NODE)
    assert len(crowd.read) == MOST_READ


# --- a run's place --------------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with await Journal.open(tmp_path / "journal.sqlite") as opened:
        yield opened


class Asked:
    """A chain that says this, and counts how often it was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.times = 0

    async def __call__(self, node: Address) -> tuple[Cid, Signature] | None:
        assert node == NODE
        self.times += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        found: tuple[Cid, Signature] | None = self.answer
        return found


async def begun(journal: Journal, number: int, lane: str = "main", node: Address = NODE) -> Assignment:
    a = assignment(number, lane=lane)
    a = replace(a, run=replace(a.run, node=node))
    await journal.begin_job(a)
    return a


async def settled(journal: Journal, a: Assignment, receipt: str) -> None:
    await journal.link_receipt(a.run.address, a.lane, Cid("result"), Cid(receipt))
    kind = Settlement(a.job.address, SettleKind.FINISH, Signature(f"settle-{receipt}"), 9, 1, None)
    await journal.settle(a.run.address, kind)


async def test_the_journal_is_believed_and_the_chain_not_asked(journal: Journal) -> None:
    chain = Asked((R1, Signature("other")))
    await settled(journal, await begun(journal, 1), "Qr1")
    link = await link_of(await begun(journal, 2), journal, chain)
    assert (link.previous, link.reason, link.seen) == (("Qr1", "settle-Qr1"), "", None)
    assert chain.times == 0


@pytest.mark.parametrize(
    ("answer", "reason", "seen"),
    [
        (None, FIRST, None),
        ((R1, Signature("s")), LOST, (R1, "s")),
        (RpcUnavailable("no endpoint"), UNKNOWN, None),
        (ChainError("too many"), UNKNOWN, None),
    ],
)
async def test_a_journal_without_receipts_asks_the_chain(journal: Journal, answer: Any, reason: str, seen: Any) -> None:
    chain = Asked(answer)
    link = await link_of(await begun(journal, 1), journal, chain)
    assert (link.previous, link.reason, link.seen) == (None, reason, seen)
    assert chain.times == 1


async def test_a_chain_that_does_not_answer_keeps_no_receipt_back(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipt_chain, "ASK_SECONDS", 0.0)

    async def silent(_node: Address) -> None:
        await asyncio.Event().wait()

    assert (await link_of(await begun(journal, 1), journal, silent)).reason == UNKNOWN


async def test_a_receipt_that_is_not_settled_yet_is_no_lost_journal(journal: Journal) -> None:
    """Its job is settled behind the lane, which has taken the next."""
    first = await begun(journal, 1)
    await journal.link_receipt(first.run.address, "main", Cid("result"), Cid("Qr1"))
    chain = Asked((R1, Signature("s")))
    link = await link_of(await begun(journal, 2), journal, chain)
    assert (link.reason, link.seen, chain.times) == (UNSETTLED, None, 0)


async def test_a_receipt_made_anew_asks_again_where_it_is_the_first(journal: Journal) -> None:
    first = await begun(journal, 1)
    await journal.link_receipt(first.run.address, "main", Cid("result"), Cid("Qr1"))
    chain = Asked(None)
    assert (await link_of(first, journal, chain)).reason == FIRST
    assert chain.times == 1


async def test_a_chain_of_receipts_is_a_key_s(journal: Journal) -> None:
    """Another key in the lane begins its own; a lane of another name goes on with its key's."""
    await settled(journal, await begun(journal, 1), "Qr1")
    stranger = await begun(journal, 2, node=STRANGER)

    async def nothing(node: Address) -> None:
        assert node == STRANGER

    assert (await link_of(stranger, journal, nothing)).reason == FIRST
    renamed = await begun(journal, 3, lane="gpu0")
    assert (await link_of(renamed, journal, Asked(None))).previous == ("Qr1", "settle-Qr1")
    await settled(journal, renamed, "Qr3")
    assert (await link_of(await begun(journal, 4, lane="gpu0"), journal, Asked(None))).previous == (
        "Qr3",
        "settle-Qr3",
    )


async def test_a_settlement_that_a_fork_took_back(journal: Journal) -> None:
    """Until it is settled again its receipt stays a link; what was settled anew counts for the receipts after it, and
    what was lost after all is passed over."""
    first = await begun(journal, 1)
    await settled(journal, first, "Qr1")
    await journal.reopen(first.run.address, "a fork")
    assert (await link_of(await begun(journal, 2), journal, Asked(None))).previous == ("Qr1", "settle-Qr1")
    again = Settlement(first.job.address, SettleKind.FINISH, Signature("anew"), 12, 1, None)
    await journal.settle(first.run.address, again)
    assert (await link_of(await begun(journal, 3), journal, Asked(None))).previous == ("Qr1", "anew")
    await journal.reopen(first.run.address, "a fork")
    await journal.settle(first.run.address, replace(again, kind=SettleKind.LOST, signature=None))
    assert (await link_of(await begun(journal, 4), journal, Asked(None))).reason == UNSETTLED
