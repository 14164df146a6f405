"""The day's cap with a ledger that is really kept, and what becomes of what the policy allows no longer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from solders.keypair import Keypair

from node.chain import policy
from node.chain.addresses import to_key
from node.chain.clusters import DEVNET
from node.chain.instructions import jobs, tokens
from node.chain.intents import Intent
from node.chain.memo import memo
from node.chain.policy import SpendingPolicy
from node.chain.transaction import Budget, compile_message
from node.errors import SpendingRefused
from node.journal.journal import Journal
from node.proof.memo import work_memo
from node.records import Address, Booking, Signature
from tests.chain.fakes import FakeClock
from tests.chain.test_outbox import KINDS, MARKET, ME, Booth, transfer

RUN = Keypair.from_seed(bytes([5]) * 32)
BLOCKHASH = "4ruaGCyaofHWGxPFXFVjuEJCdfBGZ2wCtEx6LzdzVqtV"


async def test_the_cap_holds_to_the_lamport_and_over_restarts(tmp_path: Path) -> None:
    """Fees are booked as they land, those of failures and of later signatures too; a new process counts the same."""
    clock = FakeClock()
    cap = 100_000
    made = jobs.work(DEVNET, run=Address(str(RUN.pubkey())), market=MARKET, authority=ME)
    message = compile_message(ME, [made], BLOCKHASH, Budget(1_000, 0))
    cost = policy.fee(message, DEVNET)

    async def allowed() -> bool:
        journal = await Journal.open(tmp_path / "journal.sqlite", now=clock.time)
        try:

            async def spent() -> int:
                return await journal.outbox.spent_since("a", clock.time() - 86_400)

            limited = SpendingPolicy(DEVNET, KINDS, daily_lamports=cap, spent=spent)
            try:
                await limited.check("work", message, ME, [Address(str(RUN.pubkey()))])
            except SpendingRefused as refused:
                return "24 h" not in refused.message
            return True
        finally:
            await journal.close()

    booked: list[int] = []

    async def book(lamports: int, lane: str = "a") -> None:
        journal = await Journal.open(tmp_path / "journal.sqlite", now=clock.time)
        booked.append(lamports)
        signature = Signature(f"signature {len(booked)}")
        await journal.outbox.book(Booking(lane, "x", signature, lamports, 5_000, 0))
        await journal.close()

    assert await allowed()
    await book(10**9, lane="another")
    assert await allowed(), "another lane's spending is its own"
    await book(cap - cost)
    assert await allowed(), "exactly the cap may be spent"
    await book(1)
    assert not await allowed()
    await book(-1)
    assert await allowed(), "rent that comes back counts"
    await book(5_000)
    assert not await allowed()
    clock.now += 86_401
    assert await allowed()


async def test_what_the_policy_no_longer_allows_gives_way() -> None:
    """A transaction under way names a receiver of before; the same thing with today's receiver replaces it."""
    booth = Booth()
    booth.chain.loses = lambda _number: True
    task = asyncio.ensure_future(booth.outbox.send(transfer(key="transfer:x")))
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [row.key for row in await booth.store.pending("a")] == ["transfer:x"]
    booth.chain.loses = lambda number: number < 60
    friend = Address(str(Keypair.from_seed(bytes([3]) * 32).pubkey()))
    booth.policy = SpendingPolicy(DEVNET, KINDS, receivers=frozenset({friend}))
    made = tokens.transfer_lamports(source=ME, destination=friend, lamports=7)
    await booth.restarted().send(Intent(key="transfer:x", lane="a", kind="transfer", instructions=(made,)))
    receivers = [bytes(to_key(each)) for each in (MARKET, friend)]
    wires = [entry.wire for entry in booth.chain.landed.values()]
    assert [sum(key in wire for wire in wires) for key in receivers] == [0, 1]


async def test_a_work_proof_s_memo_stops_at_the_cap_as_well(tmp_path: Path) -> None:
    message = compile_message(ME, [memo(ME, work_memo("ab" * 32))], BLOCKHASH, Budget(20_000, 10_000))
    cost = policy.fee(message, DEVNET)
    assert cost == 5_000 + 200

    async def spent() -> int:
        return 100_000

    await SpendingPolicy(DEVNET, policy.NODE_KINDS, daily_lamports=100_000 + cost, spent=spent).check(
        "memo", message, ME
    )
    with pytest.raises(SpendingRefused, match="24 h"):
        await SpendingPolicy(DEVNET, policy.NODE_KINDS, daily_lamports=100_000 + cost - 1, spent=spent).check(
            "memo", message, ME
        )
