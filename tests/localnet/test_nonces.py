"""Durable nonces: a transaction signed long ago lands once, and uses its nonce up even where it fails."""

from __future__ import annotations

import base64

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import to_bytes_versioned
from solders.pubkey import Pubkey
from solders.system_program import (
    AdvanceNonceAccountParams,
    TransferParams,
    advance_nonce_account,
    create_nonce_account,
    transfer,
)
from solders.transaction import VersionedTransaction

from node.localnet.blockhashes import MAX_AGE
from tests.localnet.rpc import PROCESSED, RpcClient, signed, wallet, wire

BASE64 = {"encoding": "base64", "preflightCommitment": "processed"}
LAMPORTS = 5_000_000


async def make(rpc: RpcClient, owner: Keypair) -> Pubkey:
    """A nonce account of that owner."""
    key = Keypair()
    rent = await rpc.call("getMinimumBalanceForRentExemption", 80)
    both = create_nonce_account(owner.pubkey(), key.pubkey(), owner.pubkey(), rent)
    await rpc.send(signed(list(both), owner, await rpc.blockhash(), key))
    rpc.net.advance()
    return key.pubkey()


async def value(rpc: RpcClient, account: Pubkey) -> Hash:
    """What the account holds."""
    found = await rpc.call("getAccountInfo", str(account), {"encoding": "base64", **PROCESSED})
    return Hash.from_bytes(base64.b64decode(found["value"]["data"][0])[40:72])


def later(
    account: Pubkey, owner: Keypair, nonce: Hash, *more: Instruction, authority: Keypair | None = None
) -> VersionedTransaction:
    """A transaction that advances the nonce first."""
    chosen = authority or owner
    first = advance_nonce_account(AdvanceNonceAccountParams(nonce_pubkey=account, authorized_pubkey=chosen.pubkey()))
    return signed([first, *more], owner, nonce, *([authority] if authority else []))


def payment(owner: Keypair, to: Pubkey, lamports: int = LAMPORTS) -> Instruction:
    return transfer(TransferParams(from_pubkey=owner.pubkey(), to_pubkey=to, lamports=lamports))


async def balance(rpc: RpcClient, key: Pubkey) -> int:
    found = await rpc.call("getBalance", str(key), PROCESSED)
    return int(found["value"])


async def test_it_lands_long_after_and_once(rpc: RpcClient) -> None:
    owner, to = wallet(rpc.net), Pubkey.new_unique()
    account = await make(rpc, owner)
    nonce = await value(rpc, account)
    transaction = later(account, owner, nonce, payment(owner, to))
    rpc.net.advance(MAX_AGE + 10)
    fee = await rpc.call(
        "getFeeForMessage", base64.b64encode(to_bytes_versioned(transaction.message)).decode(), PROCESSED
    )
    assert fee["value"] == 5_000
    assert (await rpc.call("isBlockhashValid", str(nonce), PROCESSED))["value"] is False
    await rpc.send(transaction)
    assert await balance(rpc, to) == LAMPORTS
    assert await value(rpc, account) != nonce
    error = await rpc.fail("sendTransaction", wire(transaction), BASE64)
    assert error["data"]["err"] == "BlockhashNotFound"
    rpc.net.advance()
    assert await balance(rpc, to) == LAMPORTS


async def test_a_failure_uses_it_up(rpc: RpcClient) -> None:
    owner, to = wallet(rpc.net), Pubkey.new_unique()
    account = await make(rpc, owner)
    nonce = await value(rpc, account)
    before = await balance(rpc, owner.pubkey())
    signature = await rpc.send(later(account, owner, nonce, payment(owner, to, 10**18)), skipPreflight=True)
    found = await rpc.call("getSignatureStatuses", [signature])
    assert found["value"][0]["err"] == {"InstructionError": [1, {"Custom": 1}]}
    assert before - await balance(rpc, owner.pubkey()) == 5_000
    after = await value(rpc, account)
    assert after != nonce
    rpc.net.advance()
    await rpc.send(later(account, owner, after, payment(owner, to)))
    assert await balance(rpc, to) == LAMPORTS


async def test_only_its_authority_may_use_it_and_only_first(rpc: RpcClient) -> None:
    owner, stranger, to = wallet(rpc.net), Keypair(), Pubkey.new_unique()
    account = await make(rpc, owner)
    nonce = await value(rpc, account)
    advance = advance_nonce_account(AdvanceNonceAccountParams(nonce_pubkey=account, authorized_pubkey=owner.pubkey()))
    for wrong in (
        later(account, owner, nonce, payment(owner, to), authority=stranger),
        later(account, owner, Hash.new_unique(), payment(owner, to)),
        signed([payment(owner, to), advance], owner, nonce),
    ):
        error = await rpc.fail("sendTransaction", wire(wrong), BASE64)
        assert error["data"]["err"] == "BlockhashNotFound"
    assert await value(rpc, account) == nonce


async def test_an_account_that_is_no_nonce_stands_in_for_nothing(rpc: RpcClient) -> None:
    owner, to = wallet(rpc.net), Pubkey.new_unique()
    for account in (owner.pubkey(), Pubkey.new_unique(), Pubkey.default()):
        error = await rpc.fail(
            "sendTransaction", wire(later(account, owner, Hash.default(), payment(owner, to))), BASE64
        )
        assert error["data"]["err"] == "BlockhashNotFound"


async def test_a_fork_gives_it_back(rpc: RpcClient) -> None:
    owner, to = wallet(rpc.net), Pubkey.new_unique()
    account = await make(rpc, owner)
    nonce = await value(rpc, account)
    transaction = later(account, owner, nonce, payment(owner, to))
    rpc.net.advance(40)
    slot = rpc.net.validator.slots.head.slot
    rpc.net.advance()
    await rpc.send(transaction)
    rpc.net.validator.fork(slot)
    assert await value(rpc, account) == nonce
    await rpc.send(transaction)
    assert await balance(rpc, to) == LAMPORTS
