"""Forks that take back what the agent has sent: before anybody was told, after it, and with a copy that lands again."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Literal

from solders.account import Account
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from node.chain import addresses
from node.chain.codec import instruction_discriminator
from node.errors import TransactionFailed
from node.localnet.app import Localnet
from node.localnet.ledger import Record
from node.localnet.slots import Commitment
from node.records import Address
from tests.faults import scenes
from tests.faults.crash import Case, Outcome
from tests.faults.keeper import Loss
from tests.faults.scenes import Expected, Told
from tests.faults.shop import AGENTS_ENDPOINT, Shop
from tests.faults.verdict import examine

Kind = Literal["work", "finish", "complete", "quit"]
PLAYS = {"work": scenes.finish, "finish": scenes.finish, "complete": scenes.complete, "quit": scenes.refuse}
MOMENTS = ("processed", "confirmed", "late")
"""`late`: many slots after it was confirmed, and just before it is final."""
AGAIN = ("dropped", "again", "again with an error")
AGAIN_SLOTS = 25
SPOILED_SLOTS = 60
"""Room for the poster's `end` before the copy lands that is to fail."""
LATE_SLOTS = 26


def cases() -> list[Case]:
    """Every kind at every moment, with every end."""
    return [
        Case(kind, f"{moment}, {again}")
        for kind in PLAYS
        for moment in MOMENTS
        for again in AGAIN
        # So late the poster's `end`, which would have to be undone for that, is final.
        if (kind, moment, again) != ("complete", "late", AGAIN[2])
    ]


async def forked(shop: Shop, case: Case) -> Outcome:
    """Play a scenario and fork the chain under the transaction that `case.scene` names."""
    net = shop.localnet
    assert net is not None, "only the embedded chain forks on demand"
    began, loss, extra, hit = time.monotonic(), "", 0, False
    moment, _, again = case.what.partition(", ")
    jobs: list[Told] = []
    start = net.validator.slots.head.slot

    async def fork() -> None:
        nonlocal hit, again
        record = await _landed(shop, net, case.scene, start)
        await _reached(net, record, moment)
        if again == "again with an error":
            try:
                await _spoiled(shop, net, case.scene, record)
            except TransactionFailed:
                # The copy was faster than the poster, and landed well: a busy machine.
                again = "again"
                return
        else:
            fault = {"kind": "fork", "slot": record.slot - 1}
            net.faults.set(fault if again == "dropped" else {**fault, "again": AGAIN_SLOTS})
        hit = True

    forking = asyncio.ensure_future(fork())
    try:
        jobs = await PLAYS[case.scene](shop)
        await asyncio.wait_for(asyncio.shield(forking), 60)
        await shop.rest()
        for told in jobs:
            extra += (await examine(shop, _expected(told, case.scene, again))).extra
    except (Loss, TimeoutError) as error:
        loss = str(error) or "no such transaction was seen"
    finally:
        forking.cancel()
        net.faults.clear()
    return Outcome(case, time.monotonic() - began, hit, loss, extra)


def _expected(told: Told, kind: str, again: str) -> Told:
    if again != "again with an error" or kind == "work":
        return told
    # The poster's `end` is in the way of the one, and gone from under the other.
    settles = {"finish": ("complete",), "complete": ("finish", "complete"), "quit": ()}[kind]
    return replace(told, expected=Expected(settles, most_starts=told.expected.most_starts))


async def _landed(shop: Shop, net: Localnet, kind: str, since: int) -> Record:
    """The agent's transaction of that kind, as soon as it is in a block."""
    node, wanted = addresses.to_key(shop.node), instruction_discriminator(kind)
    while True:
        for record in net.validator.ledger.records():
            if record.slot > since and record.accounts[0] == node and record.error is None and _has(record, wanted):
                return record
        await asyncio.sleep(0.02)


def _has(record: Record, wanted: bytes) -> bool:
    message = VersionedTransaction.from_bytes(record.wire).message
    return any(bytes(each.data)[:8] == wanted for each in message.instructions)


async def _reached(net: Localnet, record: Record, moment: str) -> None:
    slots = net.validator.slots
    while (moment == "confirmed" and slots.at(Commitment.CONFIRMED).slot < record.slot) or (
        moment == "late" and slots.head.slot < record.slot + LATE_SLOTS
    ):
        await asyncio.sleep(0.02)


async def _spoiled(shop: Shop, net: Localnet, kind: str, record: Record) -> None:
    """Fork so that the copy which the cluster lands finds a chain on which it fails."""
    if kind == "complete":
        # Back to before the poster's `end`, which nobody sends again.
        end = await _landed_end(net, record)
        net.faults.set({"kind": "fork", "slot": end - 1})
        return
    with net.faults.during({"kind": "drop", "endpoint": AGENTS_ENDPOINT}):
        net.faults.set({"kind": "fork", "slot": record.slot - 1, "again": SPOILED_SLOTS})
        back = net.validator.slots.head.slot + SPOILED_SLOTS + 1
        if kind == "work":
            stake = addresses.to_key(addresses.stake_account(net.cluster, shop.node))
            kept = net.validator.bank.account(stake, net.validator.slots.head.slot)
            assert kept is not None
            net.validator.place(stake, Account(0, b"", Pubkey.default()))
            await _slot(net, back)
            net.validator.place(stake, kept)
        else:
            job = VersionedTransaction.from_bytes(record.wire).message.account_keys
            address = await _job_of(shop, [str(key) for key in job])
            await shop.place.poster.stop(address)
            await _slot(net, back)


async def _job_of(shop: Shop, keys: list[str]) -> Address:
    (found,) = [job for (job,) in shop.rows("SELECT job FROM jobs") if job in keys]
    return Address(found)


async def _landed_end(net: Localnet, record: Record) -> int:
    wanted = instruction_discriminator("end")
    ends = [each.slot for each in net.validator.ledger.records() if each.slot <= record.slot and _has(each, wanted)]
    return max(ends)


async def _slot(net: Localnet, slot: int) -> None:
    while net.validator.slots.head.slot < slot:
        await asyncio.sleep(0.02)
