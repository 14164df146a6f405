"""The agent's own outbox and sockets on a chain with each fault: what was wanted happens once, and never twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from solders.keypair import Keypair

from node.chain.fees import FeePolicy
from node.chain.instructions import tokens
from node.chain.intents import Intent, MemoryStore
from node.chain.memo import memo
from node.chain.outbox import Outbox, Pace
from node.chain.policy import NODE_KINDS, OWNER_KINDS, POSTER_KINDS, SpendingPolicy
from node.chain.rpc import Rpc
from node.chain.subscription import Changed, Subscribed, Subscriptions
from node.chain.wallet import Wallet
from node.errors import RpcUnavailable, TransactionFailed
from node.localnet.app import Localnet
from node.localnet.options import LocalnetOptions
from node.records import Address, OutboxState
from node.retry import SystemClock

Faults = tuple[dict[str, Any], ...]
LAMPORTS = 2_000_000
HASTE = 40
SLOT_MS = 10


class Hasty(SystemClock):
    """The agent's clock: its waits are forty times as short as it believes, as the chain's slots are."""

    def monotonic(self) -> float:
        return super().monotonic() * HASTE

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / HASTE)


@dataclass
class Desk:
    """A funded wallet, its outbox, and a stranger whom it pays."""

    net: Localnet
    rpc: Rpc
    wallet: Wallet
    outbox: Outbox
    store: MemoryStore
    to: Address

    async def pay(self, lamports: int = LAMPORTS) -> Any:
        """Signed anew only when the earlier signature can never land: twice would be paid twice."""
        made = tokens.transfer_lamports(source=self.wallet.address, destination=self.to, lamports=lamports)
        return await self._send(Intent(f"transfer:{lamports}", "a", "transfer", (made,)))

    async def note(self, text: str) -> Any:
        """Signed anew as soon as it lags: twice is harmless."""
        return await self._send(Intent(f"memo:{text}", "a", "memo", (memo(self.wallet.address, text),)))

    async def _send(self, intent: Intent) -> Any:
        """As a lane does: while nothing has been signed, an endpoint that is away is waited for."""
        while True:
            try:
                return await self.outbox.send(intent)
            except RpcUnavailable:
                assert await self.store.get(intent.key) is None, "once signed, the outbox itself goes on"
                await asyncio.sleep(0.05)

    def balance(self) -> int:
        account = self.net.validator.bank.account(_key(self.to), self.net.validator.slots.head.slot)
        return 0 if account is None else account.lamports

    async def final(self) -> None:
        """Until the outbox has seen everything through."""
        async with asyncio.timeout(30):
            while await self.store.pending("a"):
                await self.outbox.tidy("a")
                await asyncio.sleep(0.02)

    def landed(self) -> list[Any]:
        """Errors (None: success) of the wallet's own transactions, oldest first."""
        me = _key(self.wallet.address)
        return [record.error for record in self.net.validator.ledger.records() if record.accounts[0] == me]


def _key(address: Address) -> Any:
    from node.chain.addresses import to_key

    return to_key(address)


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    options = LocalnetOptions(rpc_port=0, content_port=0, slot_ms=SLOT_MS)
    async with Localnet.start(options) as net, Rpc([net.rpc_url], clock=Hasty(), timeout=1.0) as rpc:
        wallet = Wallet.create(tmp_path / "wallet.json")
        net.endow(wallet.address, sol=1)
        net.advance(80)  # an endpoint that lags knows of the gift all the same
        receiver = Address(str(Keypair().pubkey()))
        kinds = {**NODE_KINDS, **POSTER_KINDS, **OWNER_KINDS}
        policy = SpendingPolicy(net.cluster, kinds, receivers=frozenset({receiver}))
        store = MemoryStore()
        outbox = Outbox(rpc, wallet.signer(policy), store, FeePolicy(floor=0, cap=0), Hasty(), pace=Pace())
        yield Desk(net, rpc, wallet, outbox, store, receiver)


EXPIRE = {"kind": "expire", "after": 0.3}
SURVIVED: dict[str, Faults] = {
    "429": ({"kind": "429", "count": 6, "retry_after": 1},),
    "a rate": ({"kind": "429", "allow": 5, "window": 0.2, "lasts": 2},),
    "429 for sending only": ({"kind": "429", "methods": ["sendTransaction"], "count": 4},),
    "slow": ({"kind": "delay", "seconds": 0.1, "count": 10},),
    "answers too late": (
        {"kind": "delay", "seconds": 1.2, "at": "answer", "methods": ["sendTransaction"], "count": 1},
    ),
    "behind": ({"kind": "error", "code": -32005, "count": 5},),
    "internal error": ({"kind": "error", "code": -32603, "methods": ["getSignatureStatuses"], "count": 5},),
    "bad gateway": ({"kind": "http", "status": 502, "body": "<html>", "count": 4},),
    "no JSON": ({"kind": "http", "status": 200, "body": "<html>", "count": 4},),
    "cut off": ({"kind": "cut", "count": 4},),
    "sent, and cut off": ({"kind": "cut", "at": "answer", "methods": ["sendTransaction"], "count": 3},),
    "down": ({"kind": "down", "lasts": 0.3},),
    "lost": ({"kind": "lose", "count": 3},),
    "late": ({"kind": "late", "slots": 15},),
    "dropped and expired": ({"kind": "drop", "count": 1}, EXPIRE),
    "late and too late": ({"kind": "late", "slots": 200, "count": 1}, EXPIRE),
    "forgotten hash": ({"kind": "late", "slots": 12, "count": 1}, {"kind": "expire", "how": "forget", "after": 0.1}),
    "stalled": ({"kind": "stall", "lasts": 0.3},),
    "skipped": ({"kind": "skip", "count": 25},),
    "old slot": ({"kind": "lag", "slots": 10, "lasts": 1},),
    "sometimes old": ({"kind": "lag", "slots": 25, "share": 0.5, "lasts": 2},),
    "anything": ({"kind": "http", "share": 0.3, "lasts": 3}, {"kind": "lose", "share": 0.5, "lasts": 3}),
}


@pytest.mark.parametrize("name", SURVIVED)
async def test_a_payment_is_made_once_whatever_happens(desk: Desk, name: str) -> None:
    applied = desk.net.faults.set_all(SURVIVED[name])
    async with asyncio.timeout(40):
        landed = await desk.pay()
        await desk.final()
    assert desk.balance() == LAMPORTS
    assert desk.landed() == [None]
    assert landed.signature == desk.net.validator.ledger.records()[-1].signature
    assert all(each.hits or each.fault.share < 1 for each in applied), desk.net.faults.describe()


@pytest.mark.parametrize("name", ["lost", "dropped and expired", "down", "sometimes old"])
async def test_a_note_is_left_whatever_happens(desk: Desk, name: str) -> None:
    desk.net.faults.set_all(SURVIVED[name])
    async with asyncio.timeout(40):
        await desk.note("x")
        await desk.final()
    assert None in desk.landed()


async def test_a_dropped_payment_is_never_signed_anew_while_it_could_land(desk: Desk) -> None:
    desk.net.faults.set({"kind": "drop"})
    async with asyncio.TaskGroup() as group:
        task = group.create_task(desk.pay())
        await asyncio.sleep(0.8)  # 80 slots, and 32 of the outbox's seconds
        (row,) = await desk.store.pending("a")
        assert row.attempt == 1
        assert not task.done()
        desk.net.faults.clear()
    assert task.result().signature == row.signature
    assert desk.landed() == [None]


@pytest.mark.parametrize("deep", [False, True], ids=["its blockhash stays", "its blockhash goes too"])
async def test_a_confirmed_payment_that_a_fork_undoes_is_made_again(desk: Desk, deep: bool) -> None:
    start = desk.net.validator.slots.head.slot - 2
    landed = await desk.pay()
    (row,) = await desk.store.pending("a")
    assert row.state is OutboxState.CONFIRMED
    fork = {"kind": "fork", "slot": start if deep else landed.slot - 1}
    assert desk.net.faults.set(fork).hits == 1
    assert desk.balance() == 0
    await desk.final()
    assert desk.balance() == LAMPORTS
    assert desk.landed() == [None]
    found = desk.net.validator.ledger.find(landed.signature)
    assert (found is None) is deep, "the same bytes, where they still can land"


async def test_a_fork_and_the_outbox_at_once_pay_once(desk: Desk) -> None:
    """The cluster lands the lost transaction again by itself, while the outbox sends it too."""
    landed = await desk.pay()
    desk.net.faults.set({"kind": "fork", "slot": landed.slot - 1, "again": 10})
    await desk.final()
    desk.net.advance(12)
    assert desk.balance() == LAMPORTS
    assert desk.landed() == [None]


async def test_forks_one_after_the_other(desk: Desk) -> None:
    desk.net.faults.set({"kind": "lose", "share": 0.4, "seed": 3, "lasts": 2})
    async with asyncio.TaskGroup() as group:
        payments = [group.create_task(desk.pay(LAMPORTS + number)) for number in range(3)]
        for _ in range(4):
            await asyncio.sleep(0.15)
            desk.net.faults.set({"kind": "fork", "slots": 9})
    assert all(task.done() for task in payments)
    await desk.final()
    assert desk.balance() == sum(LAMPORTS + number for number in range(3))


async def test_what_a_program_refuses_is_told_through_faults(desk: Desk) -> None:
    desk.net.faults.set({"kind": "error", "code": -32005, "count": 3})
    with pytest.raises(TransactionFailed):
        await desk.pay(10**12)
    assert desk.landed() == []


async def test_reads_are_taken_from_the_endpoint_that_is_not_behind(tmp_path: Path) -> None:
    options = replace(LocalnetOptions(rpc_port=0, content_port=0, slot_ms=SLOT_MS), endpoints=2)
    async with Localnet.start(options) as net, Rpc(net.rpc_urls, clock=Hasty(), timeout=1.0) as rpc:
        address = Address(str(Keypair().pubkey()))
        net.faults.set({"kind": "lag", "slot": net.validator.slots.head.slot, "endpoint": 0})
        net.endow(address, sol=1)
        slot = net.validator.slots.at(1).slot  # type: ignore[arg-type]
        async with asyncio.timeout(20):
            seen = await rpc.read_accounts([address], min_context_slot=slot)
        assert seen.slot >= slot
        assert seen.value[0] is not None


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "mute", "sockets": "open"},
        {"kind": "mute", "sockets": "open", "pongs": False},
        {"kind": "disconnect"},
        {"kind": "down", "lasts": 0.5},
    ],
    ids=lambda fault: " ".join(map(str, fault.values())),
)
async def test_a_socket_that_goes_dead_is_replaced_and_tells_again(desk: Desk, fault: dict[str, Any]) -> None:
    subscriptions = Subscriptions([desk.net.ws_url], http_slot=desk.rpc.get_slot, clock=Hasty())
    async with asyncio.TaskGroup() as group:
        running = group.create_task(subscriptions.run())
        async with asyncio.timeout(20), subscriptions.account(desk.wallet.address) as stream:
            assert await anext(stream) == Subscribed()
            desk.net.faults.set(fault)
            assert await anext(stream) == Subscribed(), "it looks at the accounts again"
            await desk.pay()
            notice = await anext(stream)
            assert isinstance(notice, Changed)
            assert notice.account.lamports < 10**9
        running.cancel()
    with suppress(asyncio.CancelledError):
        await running
