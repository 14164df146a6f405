"""What each commitment sees, slot by slot."""

from __future__ import annotations

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from tests.localnet.rpc import CONFIRMED, FINALIZED, PROCESSED, RpcClient, address, pay, signed, wallet, wire


async def balances(rpc: RpcClient, key: str) -> tuple[int, int, int]:
    found = [(await rpc.call("getBalance", key, view))["value"] for view in (PROCESSED, CONFIRMED, FINALIZED)]
    return (found[0], found[1], found[2])


async def test_a_transfer_reaches_one_view_after_the_other(rpc: RpcClient) -> None:
    payer, to = wallet(rpc.net), Keypair()
    rpc.net.advance(40)
    signature = await rpc.send(pay(payer, to.pubkey(), 5_000_000, await rpc.blockhash()))
    head = rpc.net.validator.slots.head

    async def status() -> tuple[str, int | None]:
        found = (await rpc.call("getSignatureStatuses", [signature]))["value"][0]
        assert found["slot"] == head.slot
        assert found["err"] is None
        assert found["status"] == {"Ok": None}
        return found["confirmationStatus"], found["confirmations"]

    assert await balances(rpc, address(to)) == (5_000_000, 0, 0)
    assert await status() == ("processed", 0)
    while rpc.net.validator.slots.head.height < head.height + 1:
        rpc.net.advance()
    assert await balances(rpc, address(to)) == (5_000_000, 5_000_000, 0)
    assert await status() == ("confirmed", 1)
    while rpc.net.validator.slots.head.height < head.height + 31:
        rpc.net.advance()
    assert await balances(rpc, address(to)) == (5_000_000, 5_000_000, 0)
    assert await status() == ("confirmed", 31)
    while rpc.net.validator.slots.head.height < head.height + 32:
        rpc.net.advance()
    assert await balances(rpc, address(to)) == (5_000_000, 5_000_000, 5_000_000)
    assert await status() == ("finalized", None)


async def test_accounts_and_program_accounts_agree_in_every_view(rpc: RpcClient) -> None:
    owner = Keypair()
    rpc.net.fund(address(owner), nos=1)
    rpc.net.advance(40)
    rpc.net.fund(address(owner), nos=2)
    selector = {"mint": rpc.net.mint}
    amounts = []
    for view in (PROCESSED, CONFIRMED, FINALIZED):
        (row,) = (
            await rpc.call("getTokenAccountsByOwner", address(owner), selector, {"encoding": "jsonParsed", **view})
        )["value"]
        alone = (await rpc.call("getTokenAccountBalance", row["pubkey"], view))["value"]
        assert row["account"]["data"]["parsed"]["info"]["tokenAmount"] == alone
        amounts.append(alone["uiAmountString"])
    assert amounts == ["3", "1", "1"]


async def test_an_account_that_was_closed_is_still_there_in_older_views(rpc: RpcClient) -> None:
    payer, to = wallet(rpc.net, sol=1), Keypair()
    rpc.net.advance(40)
    await rpc.send(pay(payer, to.pubkey(), 10**9 - 5_000, await rpc.blockhash()))
    config = {"encoding": "base64"}
    assert (await rpc.call("getAccountInfo", address(payer), {**config, **PROCESSED}))["value"] is None
    older = await rpc.call("getAccountInfo", address(payer), {**config, **CONFIRMED})
    assert older["value"]["lamports"] == 10**9
    owned = await rpc.call("getProgramAccounts", "1" * 32, {**config, **CONFIRMED})
    assert address(payer) in [row["pubkey"] for row in owned]
    owned = await rpc.call("getProgramAccounts", "1" * 32, {**config, **PROCESSED})
    assert address(payer) not in [row["pubkey"] for row in owned]


async def test_simulation_and_preflight_use_the_view_asked_for(rpc: RpcClient) -> None:
    rpc.net.advance(40)
    payer = wallet(rpc.net)
    transaction = pay(payer, Pubkey.new_unique(), 5_000_000, await rpc.blockhash(FINALIZED))
    options = {"encoding": "base64", "sigVerify": False}
    assert (await rpc.call("simulateTransaction", wire(transaction), {**options, **PROCESSED}))["value"]["err"] is None
    old = await rpc.call("simulateTransaction", wire(transaction), {**options, **FINALIZED})
    assert old["value"]["err"] == "AccountNotFound"
    error = await rpc.fail(
        "sendTransaction", wire(transaction), {"encoding": "base64", "preflightCommitment": "finalized"}
    )
    assert (error["code"], error["data"]["err"]) == (-32002, "AccountNotFound")
    assert (await rpc.call("getBalance", address(payer), PROCESSED))["value"] == 10**9, "nothing was kept"


async def test_a_blockhash_newer_than_the_preflight_view_is_unknown_there(rpc: RpcClient) -> None:
    payer = wallet(rpc.net)
    rpc.net.advance(40)
    transaction = signed([], payer, await rpc.blockhash(PROCESSED))
    error = await rpc.fail(
        "sendTransaction", wire(transaction), {"encoding": "base64", "preflightCommitment": "finalized"}
    )
    assert error["message"] == "Transaction simulation failed: Blockhash not found"


async def test_min_context_slot(rpc: RpcClient) -> None:
    head = rpc.net.validator.slots.head.slot
    key = str(Pubkey.new_unique())
    assert (await rpc.call("getBalance", key, {**PROCESSED, "minContextSlot": head}))["value"] == 0
    error = await rpc.fail("getBalance", key, {**FINALIZED, "minContextSlot": head})
    finalized = await rpc.call("getSlot")
    assert error == {
        "code": -32016,
        "message": "Minimum context slot has not been reached",
        "data": {"contextSlot": finalized},
    }
