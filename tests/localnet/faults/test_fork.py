"""A fork that wins: what it undoes, what it leaves alone, and what may land again."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from node.errors import LocalnetError
from node.localnet.app import Localnet
from node.localnet.slots import Commitment
from tests.localnet.faults.ear import listening
from tests.localnet.rpc import CONFIRMED, FINALIZED, PROCESSED, RpcClient, address, memo, pay, signed, wallet, wire

RAW = {"encoding": "base64", "skipPreflight": True}
SOL = 10**9


@dataclass
class Scene:
    """A payer and a stranger on a chain that is old enough for its commitments to differ."""

    rpc: RpcClient
    payer: Keypair
    to: Pubkey

    @property
    def net(self) -> Localnet:
        return self.rpc.net

    @property
    def head(self) -> int:
        return self.net.validator.slots.head.slot

    def pass_blocks(self, count: int) -> None:
        for _ in range(count):
            self.net.validator.begin_block()

    async def pay(self, lamports: int, blockhash: Hash | None = None) -> VersionedTransaction:
        return pay(self.payer, self.to, lamports, blockhash or await self.rpc.blockhash())

    async def send(self, transaction: VersionedTransaction) -> str:
        signature: str = await self.rpc.call("sendTransaction", wire(transaction), RAW)
        return signature

    async def status(self, transaction: VersionedTransaction) -> Any:
        config = {"searchTransactionHistory": True}
        found = await self.rpc.call("getSignatureStatuses", [str(transaction.signatures[0])], config)
        return found["value"][0]

    async def balance(self, key: Any = None, view: dict[str, str] = PROCESSED) -> int:
        return int((await self.rpc.call("getBalance", str(key or self.to), view))["value"])


@pytest_asyncio.fixture
async def scene(rpc: RpcClient) -> Scene:
    payer = wallet(rpc.net, sol=3)
    found = Scene(rpc, payer, Keypair().pubkey())
    found.pass_blocks(40)
    return found


async def test_confirmed_transactions_are_undone_in_every_answer(scene: Scene) -> None:
    before, count = scene.head, await scene.rpc.call("getTransactionCount", PROCESSED)
    blockhash = await scene.rpc.blockhash()
    scene.pass_blocks(1)
    lost = await scene.pay(SOL, blockhash)
    signature = await scene.send(lost)
    scene.pass_blocks(3)
    assert (await scene.status(lost))["confirmationStatus"] == "confirmed"
    assert await scene.balance(view=CONFIRMED) == SOL
    fork = scene.net.faults.set({"kind": "fork", "slot": before})
    assert fork.hits == 1

    assert await scene.status(lost) is None
    assert await scene.rpc.call("getTransaction", signature, CONFIRMED) is None
    listed = await scene.rpc.call("getSignaturesForAddress", str(scene.to), CONFIRMED)
    assert listed == []
    for view in (PROCESSED, CONFIRMED, FINALIZED):
        assert await scene.balance(view=view) == 0
        assert await scene.balance(scene.payer.pubkey(), view) == 3 * SOL
    account = await scene.rpc.call("getAccountInfo", str(scene.to), {"encoding": "base64", **PROCESSED})
    assert account["value"] is None, "an account that the lost fork made is gone"
    owned = await scene.rpc.call("getProgramAccounts", "1" * 32, {"encoding": "base64", **PROCESSED})
    assert str(scene.to) not in [row["pubkey"] for row in owned]
    assert await scene.rpc.call("getTransactionCount", PROCESSED) == count


async def test_the_lost_blocks_are_gone_with_their_hashes_and_time_goes_on(scene: Scene) -> None:
    kept = scene.net.validator.slots.head
    scene.pass_blocks(4)
    lost = scene.net.validator.slots.head
    scene.net.faults.set({"kind": "fork", "slot": kept.slot})
    head = scene.net.validator.slots.head
    assert (head.slot, head.parent, head.height) == (lost.slot + 1, kept.slot, kept.height + 1)
    assert await scene.rpc.call("getSlot", CONFIRMED) == kept.slot
    assert await scene.rpc.call("getBlocks", kept.slot, head.slot, CONFIRMED) == [kept.slot]
    for blockhash, good in ((lost.blockhash, False), (kept.blockhash, True), (head.blockhash, True)):
        found = await scene.rpc.call("isBlockhashValid", str(blockhash), PROCESSED)
        assert found["value"] is good
    scene.pass_blocks(2)
    error = await scene.rpc.fail("getBlock", lost.slot, {"maxSupportedTransactionVersion": 0, **CONFIRMED})
    assert error["code"] == -32007
    unlandable = await scene.pay(SOL, lost.blockhash)
    await scene.send(unlandable)
    assert await scene.status(unlandable) is None
    hashes = await scene.rpc.call(
        "getAccountInfo", "SysvarS1otHashes111111111111111111111111111", {"encoding": "base64", **PROCESSED}
    )
    assert bytes(lost.blockhash) not in base64.b64decode(hashes["value"]["data"][0])


async def test_a_copy_lands_again_and_is_no_copy(scene: Scene) -> None:
    transaction = await scene.pay(SOL)
    keep = scene.head
    scene.pass_blocks(1)
    await scene.send(transaction)
    first = await scene.status(transaction)
    scene.pass_blocks(2)
    scene.net.faults.set({"kind": "fork", "slot": keep})
    preflighted = await scene.rpc.send(transaction)
    assert preflighted == str(transaction.signatures[0]), "not AlreadyProcessed"
    again = await scene.status(transaction)
    assert again["slot"] > first["slot"]
    assert await scene.balance() == SOL
    error = await scene.rpc.fail(
        "sendTransaction", wire(transaction), {"encoding": "base64", "preflightCommitment": "processed"}
    )
    assert error["data"]["err"] == "AlreadyProcessed", "now it is"


async def test_a_copy_can_land_again_with_an_error(scene: Scene) -> None:
    transaction = await scene.pay(2 * SOL)
    keep = scene.head
    scene.pass_blocks(1)
    await scene.send(transaction)
    assert (await scene.status(transaction))["err"] is None
    scene.pass_blocks(2)
    scene.net.faults.set({"kind": "fork", "slot": keep})
    other = pay(scene.payer, Keypair().pubkey(), 2 * SOL, await scene.rpc.blockhash())
    await scene.send(other)
    await scene.send(transaction)
    assert (await scene.status(transaction))["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert await scene.balance() == 0
    assert await scene.balance(scene.payer.pubkey()) == SOL - 10_000, "both fees are paid"


async def test_the_cluster_itself_may_land_them_again_later(scene: Scene) -> None:
    first, second = await scene.pay(SOL), await scene.pay(SOL // 2)
    keep = scene.head
    scene.pass_blocks(1)
    for each in (first, second):
        await scene.send(each)
    scene.pass_blocks(1)
    scene.net.faults.set({"kind": "fork", "slot": keep, "again": 3})
    forked = scene.head
    for _ in range(3):
        assert await scene.status(first) is None
        scene.pass_blocks(1)
    assert [(await scene.status(each))["slot"] for each in (first, second)] == [forked + 3] * 2
    assert await scene.balance() == SOL + SOL // 2


async def test_what_is_finalized_is_never_undone(scene: Scene) -> None:
    old = await scene.pay(SOL)
    await scene.send(old)
    scene.pass_blocks(32)
    assert (await scene.status(old))["confirmationStatus"] == "finalized"
    young = await scene.pay(SOL // 4)
    scene.pass_blocks(1)
    await scene.send(young)
    finalized = await scene.rpc.call("getSlot", FINALIZED)
    with pytest.raises(LocalnetError, match="cannot fork after slot"):
        scene.net.faults.set({"kind": "fork", "slot": finalized - 1})
    for fault in ({"kind": "fork"}, {"kind": "fork", "slots": 10_000}):
        scene.net.faults.set(fault)
        assert await scene.rpc.call("getSlot", FINALIZED) == finalized
        assert (await scene.status(old))["confirmationStatus"] == "finalized"
        assert await scene.status(young) is None
        assert await scene.balance(view=FINALIZED) == SOL
    for _ in range(80):
        slots = scene.net.validator.slots
        seen = slots.at(Commitment.FINALIZED).slot
        assert seen >= finalized
        finalized = seen
        scene.net.faults.set({"kind": "fork", "slots": 7})
        scene.pass_blocks(12)
    assert await scene.balance(view=FINALIZED) == SOL


async def test_a_hash_that_was_too_old_can_be_young_again(scene: Scene) -> None:
    transaction = await scene.pay(SOL)
    scene.pass_blocks(140)
    keep = scene.head
    scene.pass_blocks(20)
    await scene.send(transaction)
    assert await scene.status(transaction) is None
    scene.net.faults.set({"kind": "fork", "slot": keep})
    await scene.send(transaction)
    assert (await scene.status(transaction))["err"] is None


async def test_listeners_of_an_account_hear_that_it_was_set_back(scene: Scene) -> None:
    transaction = await scene.pay(SOL)
    keep = scene.head
    async with listening(scene.net.ws_url) as ear:
        config = {"encoding": "base64"}
        views = (PROCESSED, CONFIRMED, FINALIZED)
        numbers = [await ear.ask("accountSubscribe", str(scene.to), {**config, **view}) for view in views]
        program = await ear.ask("programSubscribe", "1" * 32, {**config, **PROCESSED})
        logs = await ear.ask("logsSubscribe", "all", PROCESSED)
        slots = await ear.ask("slotSubscribe")
        scene.pass_blocks(1)
        lost = scene.head
        await scene.send(transaction)
        scene.pass_blocks(2)
        scene.net.faults.set({"kind": "fork", "slot": keep})
        first = scene.head
        scene.pass_blocks(2)
        await ear.slot(scene.head, slots)

        def told(number: int) -> list[tuple[int, int]]:
            return [(each["context"]["slot"], each["value"]["lamports"]) for each in ear.heard[number]]

        assert [told(number) for number in numbers] == [
            [(lost, SOL), (first, 0)],
            [(lost, SOL), (first, 0)],
            [],
        ], "the finalized view never knew"
        assert [each["context"]["slot"] for each in ear.heard[program]] == [lost, lost], "not of what went back"
        assert [each["context"]["slot"] for each in ear.heard[logs]] == [lost]
        assert [each["parent"] for each in ear.heard[slots] if each["slot"] == first] == [keep]


async def test_a_second_fork_before_the_first_was_confirmed_tells_it_all_the_same(scene: Scene) -> None:
    transaction = await scene.pay(SOL)
    keep = scene.head
    async with listening(scene.net.ws_url) as ear:
        number = await ear.ask("accountSubscribe", str(scene.to), {"encoding": "base64", **CONFIRMED})
        slots = await ear.ask("slotSubscribe")
        scene.pass_blocks(1)
        await scene.send(transaction)
        scene.pass_blocks(2)
        for _ in range(2):
            scene.net.faults.set({"kind": "fork", "slot": keep})
        scene.pass_blocks(2)
        await ear.slot(scene.head, slots)
        assert [each["value"]["lamports"] for each in ear.heard[number]] == [SOL, 0]


async def test_a_fork_under_a_market_takes_back_programs_accounts(scene: Scene) -> None:
    """Accounts of programs go back as a whole: what was closed is there again, what was made is not."""
    closing = pay(scene.payer, scene.to, 3 * SOL - 5_000, await scene.rpc.blockhash())
    note = signed([memo("x", scene.payer)], scene.payer, await scene.rpc.blockhash())
    keep = scene.head
    scene.pass_blocks(1)
    await scene.send(closing)
    config = {"encoding": "base64", **PROCESSED}
    assert (await scene.rpc.call("getAccountInfo", address(scene.payer), config))["value"] is None
    await scene.send(note)
    assert await scene.status(note) is None, "nothing left to pay with"
    scene.net.faults.set({"kind": "fork", "slot": keep})
    await scene.send(note)
    assert (await scene.status(note))["err"] is None
    assert await scene.balance(scene.payer.pubkey()) == 3 * SOL - 5_000
