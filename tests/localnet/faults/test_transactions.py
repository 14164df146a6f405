"""Transactions that are accepted and then lost, dropped, late, or held up by a chain that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction

from node.localnet.app import Localnet
from node.localnet.options import LocalnetOptions
from tests.localnet.rpc import CONFIRMED, FINALIZED, PROCESSED, RpcClient, address, pay, wallet, wire

RAW = {"encoding": "base64", "skipPreflight": True}


class Sender:
    """A funded wallet that pays the same stranger 1,000,000 lamports, always with another transaction."""

    def __init__(self, rpc: RpcClient) -> None:
        self.rpc = rpc
        self.net = rpc.net
        self.payer, self.to = wallet(rpc.net), Keypair()
        self._lamports = 1_000_000
        rpc.net.advance(2)

    async def made(self) -> VersionedTransaction:
        self._lamports += 1
        return pay(self.payer, self.to.pubkey(), self._lamports, await self.rpc.blockhash())

    async def send(self, transaction: VersionedTransaction) -> str:
        signature: str = await self.rpc.call("sendTransaction", wire(transaction), RAW)
        assert signature == str(transaction.signatures[0]), "accepted, whatever becomes of it"
        return signature

    async def slot_of(self, transaction: VersionedTransaction) -> int | None:
        """Where it landed."""
        found = (await self.rpc.call("getSignatureStatuses", [str(transaction.signatures[0])]))["value"][0]
        return None if found is None else int(found["slot"])


@pytest_asyncio.fixture
async def sender(rpc: RpcClient) -> Sender:
    return Sender(rpc)


async def test_a_dropped_transaction_never_lands_however_often_it_is_sent(sender: Sender) -> None:
    drop = sender.net.faults.set({"kind": "drop", "count": 2})
    doomed, also, fine = [await sender.made() for _ in range(3)]
    for transaction in (doomed, also, doomed, fine, doomed):
        await sender.send(transaction)
    sender.net.advance(3)
    await sender.send(doomed)
    assert [await sender.slot_of(each) for each in (doomed, also)] == [None, None]
    assert await sender.slot_of(fine) is not None
    assert (drop.hits, drop.left, drop.over) == (2, 0, False)
    sender.net.faults.clear()
    await sender.send(doomed)
    assert await sender.slot_of(doomed) is not None, "cleared: the same bytes land"


async def test_a_lost_sending_lands_when_it_is_sent_again(sender: Sender) -> None:
    sender.net.faults.set({"kind": "lose", "count": 2})
    transaction = await sender.made()
    slots = []
    for _ in range(3):
        await sender.send(transaction)
        slots.append(await sender.slot_of(transaction))
    assert slots[:2] == [None, None]
    assert slots[2] is not None


async def test_only_transactions_that_name_an_address_are_hit(sender: Sender) -> None:
    other = Sender(sender.rpc)
    sender.net.faults.set({"kind": "drop", "mentions": [address(sender.to)]})
    doomed, fine = await sender.made(), await other.made()
    await sender.send(doomed)
    await other.send(fine)
    assert await sender.slot_of(doomed) is None
    assert await other.slot_of(fine) is not None


async def test_a_late_transaction_lands_so_many_slots_later_copies_or_not(sender: Sender) -> None:
    start = sender.net.validator.slots.head.slot
    sender.net.faults.set({"kind": "late", "slots": 5, "count": 1})
    transaction = await sender.made()
    for _ in range(5):
        await sender.send(transaction)
        assert await sender.slot_of(transaction) is None
        sender.net.validator.begin_block()
    assert await sender.slot_of(transaction) == start + 5
    await sender.send(transaction)
    assert (await sender.rpc.call("getBalance", address(sender.to), PROCESSED))["value"] == 1_000_001, "once"


@pytest.mark.parametrize(("slots", "lands"), [(150, True), (151, False)])
async def test_a_late_transaction_expires_like_any_other(sender: Sender, slots: int, lands: bool) -> None:
    sender.net.faults.set({"kind": "late", "slots": slots})
    transaction = await sender.made()
    await sender.send(transaction)
    for _ in range(slots + 1):
        sender.net.validator.begin_block()
    assert (await sender.slot_of(transaction) is not None) is lands


async def test_while_the_chain_stalls_nothing_lands_and_then_everything_does(sender: Sender) -> None:
    stall = sender.net.faults.set({"kind": "stall", "count": 3})
    tip, first, second = sender.net.validator.slots.tip, await sender.made(), await sender.made()
    await sender.send(first)
    sender.net.advance(3)
    assert (sender.net.validator.slots.tip, stall.over) == (tip, True)
    await sender.send(second)
    assert await sender.slot_of(first) is None
    assert await sender.slot_of(second) == tip, "it does not stall any more"
    sender.net.advance()
    assert await sender.slot_of(first) == tip + 1


async def test_skipped_slots_pass_without_blocks(sender: Sender) -> None:
    sender.net.faults.set({"kind": "skip", "count": 7})
    head, tip = sender.net.validator.slots.head, sender.net.validator.slots.tip
    transaction = await sender.made()
    await sender.send(transaction)
    sender.net.advance(7)
    assert (sender.net.validator.slots.head, sender.net.validator.slots.tip) == (head, tip + 7)
    assert await sender.slot_of(transaction) is None
    sender.net.validator.begin_block()
    assert await sender.slot_of(transaction) == tip + 8
    assert sender.net.validator.slots.head.height == head.height + 1
    error = await sender.rpc.fail("getBlock", tip + 3, {"maxSupportedTransactionVersion": 0, **CONFIRMED})
    assert error["code"] == -32004, "not confirmed yet"
    sender.net.validator.begin_block()
    error = await sender.rpc.fail("getBlock", tip + 3, {"maxSupportedTransactionVersion": 0, **CONFIRMED})
    assert error["code"] == -32007, "skipped"


async def test_expired_blockhashes_are_old_by_height(sender: Sender) -> None:
    latest = (await sender.rpc.call("getLatestBlockhash", PROCESSED))["value"]
    transaction = await sender.made()
    sender.net.faults.set({"kind": "expire"})
    for view in (PROCESSED, CONFIRMED, FINALIZED):
        valid = await sender.rpc.call("isBlockhashValid", latest["blockhash"], view)
        assert valid["value"] is False
    assert await sender.rpc.call("getBlockHeight", FINALIZED) > latest["lastValidBlockHeight"]
    await sender.send(transaction)
    assert await sender.slot_of(transaction) is None
    error = await sender.rpc.fail("sendTransaction", wire(transaction), {"encoding": "base64"})
    assert error["data"]["err"] == "BlockhashNotFound"
    fresh = await sender.made()
    await sender.send(fresh)
    assert await sender.slot_of(fresh) is not None


async def test_forgotten_blockhashes_are_unknown_although_young(sender: Sender) -> None:
    latest = (await sender.rpc.call("getLatestBlockhash", PROCESSED))["value"]
    transaction = await sender.made()
    sender.net.faults.set({"kind": "expire", "how": "forget"})
    assert (await sender.rpc.call("isBlockhashValid", latest["blockhash"], PROCESSED))["value"] is False
    assert await sender.rpc.call("getBlockHeight", PROCESSED) <= latest["lastValidBlockHeight"]
    await sender.send(transaction)
    assert await sender.slot_of(transaction) is None
    assert (await sender.rpc.call("getLatestBlockhash", FINALIZED))["value"]["blockhash"], (
        "old ones are still given out"
    )
    fresh = await sender.made()
    await sender.send(fresh)
    assert await sender.slot_of(fresh) is not None


async def test_what_one_endpoint_drops_the_other_lands() -> None:
    options = LocalnetOptions(rpc_port=0, content_port=0, slot_ms=0)
    async with Localnet.start(replace(options, endpoints=2)) as net, httpx.AsyncClient() as http:
        sender = Sender(RpcClient(net, http))
        net.faults.set({"kind": "drop", "endpoint": 0})
        net.faults.set({"kind": "late", "slots": 20, "endpoint": 0})
        transaction = await sender.made()
        await sender.send(transaction)
        assert await sender.slot_of(transaction) is None
        request = {"jsonrpc": "2.0", "id": 1, "method": "sendTransaction", "params": [wire(transaction), RAW]}
        answer = (await http.post(net.rpc_urls[1], json=request)).json()
        assert answer["result"] == str(transaction.signatures[0])
        assert await sender.slot_of(transaction) is not None


@pytest_asyncio.fixture
async def running() -> AsyncIterator[Localnet]:
    async with Localnet.start(LocalnetOptions(rpc_port=0, content_port=0, slot_ms=20)) as net:
        yield net


async def test_a_gift_is_confirmed_even_while_the_chain_stalls(running: Localnet) -> None:
    running.faults.set({"kind": "stall"})
    key = Keypair()
    running.endow(address(key), sol=1)
    assert running.validator.bank.account(key.pubkey(), running.validator.slots.head.slot) is not None
