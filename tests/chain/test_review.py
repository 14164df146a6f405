"""Transactions that somebody offers: shown whole, and signed only where the policy allows all of it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import Transaction, VersionedTransaction

from node.base58 import b58encode
from node.chain.addresses import to_key, token_account
from node.chain.clusters import DEVNET
from node.chain.instructions import jobs, tokens
from node.chain.memo import memo
from node.chain.policy import SpendingPolicy
from node.chain.review import REVIEWED_KINDS, Review, decode_offer, review
from node.chain.transaction import Budget, compile_message, unsigned
from node.chain.wallet import Wallet
from node.errors import SpendingRefused, WalletError
from node.records import Address
from tests.chain.fakes import WALLET

ME = Address(str(WALLET.pubkey()))
STRANGER = Address(str(Keypair.from_seed(bytes([9]) * 32).pubkey()))
FRIEND = Address(str(Keypair.from_seed(bytes([8]) * 32).pubkey()))
BLOCKHASH = "4ruaGCyaofHWGxPFXFVjuEJCdfBGZ2wCtEx6LzdzVqtV"
POLICY = SpendingPolicy(DEVNET, REVIEWED_KINDS, receivers=frozenset({FRIEND}))


def offer(*made: Instruction, payer: Address = ME) -> VersionedTransaction:
    return unsigned(compile_message(payer, made, BLOCKHASH, Budget(20_000, 1_000)))


async def seen(transaction: VersionedTransaction) -> Review:
    return await review(transaction, DEVNET, ME, POLICY)


def pay(to: Address, lamports: int = 5) -> Instruction:
    return tokens.transfer_lamports(source=ME, destination=to, lamports=lamports)


def test_every_dress_of_a_transaction_is_read() -> None:
    transaction = offer(pay(FRIEND))
    raw = bytes(transaction)
    legacy = Message.new_with_blockhash([pay(FRIEND)], WALLET.pubkey(), Hash.from_string(BLOCKHASH))
    for content in (
        raw,
        base64.b64encode(raw),
        base64.encodebytes(raw),
        b58encode(raw).encode() + b"\n",
        to_bytes_versioned(transaction.message),
        base64.b64encode(to_bytes_versioned(transaction.message)),
    ):
        assert bytes(decode_offer(content)) == raw
    for plain in (bytes(legacy), bytes(Transaction.new_unsigned(legacy))):
        assert decode_offer(base64.b64encode(plain)).message == legacy


@pytest.mark.parametrize("content", [b"", b"\n", b"hello", b"{}", b"\xff" * 100, b"A" * 20_000, b"1" * 300])
def test_what_is_none(content: bytes) -> None:
    with pytest.raises(WalletError, match="no Solana transaction"):
        decode_offer(content)


def test_bytes_to_spare_are_not_overlooked() -> None:
    with pytest.raises(WalletError):
        decode_offer(bytes(offer(pay(FRIEND))) + b"\0")


@given(st.binary(max_size=1300))
async def test_any_bytes_are_shown_or_refused(raw: bytes) -> None:
    try:
        transaction = decode_offer(raw)
    except WalletError:
        return
    assert (await seen(transaction)).document()["allowed"] in (True, False)


@given(st.data())
async def test_a_transaction_with_flipped_bytes_is_shown_or_refused(data: st.DataObject) -> None:
    raw = bytearray(bytes(offer(pay(FRIEND), memo(ME, "hello"))))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        transaction = decode_offer(bytes(raw))
    except WalletError:
        return
    found = await seen(transaction)
    for instruction in found.instructions:
        if instruction.name == "system.transfer" and found.kind is not None:
            assert {each.address for each in instruction.accounts} <= {ME, FRIEND}


async def test_a_payment_is_shown_with_amount_and_receiver() -> None:
    found = await seen(offer(pay(FRIEND, 1_234), memo(ME, "for the coffee")))
    assert found.kind == "transfer"
    document = found.document()
    (transfer,) = [each for each in document["instructions"] if each["name"] == "system.transfer"]
    assert transfer["arguments"] == {"lamports": 1_234}
    assert [(each["name"], each["who"]) for each in transfer["accounts"]] == [
        ("source", "this wallet"),
        ("receiver", "a receiver you named"),
    ]
    assert document["signers"] == [{"address": ME, "signed": False}]
    assert any(each["arguments"] == {"text": "for the coffee"} for each in document["instructions"])
    refused = await seen(offer(pay(STRANGER)))
    assert refused.kind is None
    assert any(STRANGER in reason for reason in refused.refusals)


async def test_what_hides_among_other_things_is_found() -> None:
    """A job's `finish`, as a back end may offer it, with an approval beside it, to another account, or by lookup."""
    common = {
        **{"job": FRIEND, "run": FRIEND, "market": FRIEND, "payer_run": FRIEND, "payer_job": FRIEND},
        **{"authority": ME, "result": "QmVp8m3Uq1Cm6JJ3NsuTMSGLNnqXa1mC85uV7YxBREQ78p"},
    }
    good = jobs.finish(DEVNET, user=token_account(DEVNET, ME), **common)  # type: ignore[arg-type]
    assert (await seen(offer(good))).kind == "finish"
    theirs = jobs.finish(DEVNET, user=token_account(DEVNET, STRANGER), **common)  # type: ignore[arg-type]
    approve = Instruction(
        to_key(DEVNET.token),
        b"\4" + (10**9).to_bytes(8, "little"),
        [
            AccountMeta(to_key(token_account(DEVNET, ME)), False, True),
            AccountMeta(to_key(STRANGER), False, False),
            AccountMeta(to_key(ME), True, False),
        ],
    )
    unknown = Instruction(to_key(STRANGER), b"\1\2", [AccountMeta(to_key(ME), True, True)])
    for made in ((theirs,), (good, approve), (good, unknown), (good, pay(FRIEND)), (unknown,), ()):
        found = await seen(offer(*made))
        if made:
            assert found.kind is None, made
            assert found.refusals
    shown = (await seen(offer(good, unknown))).document()["instructions"][-1]
    assert (shown["name"], shown["program"], shown["data"]) == (None, STRANGER, "0102")


async def test_it_is_signed_beside_what_others_signed() -> None:
    signer = Wallet(WALLET).signer(POLICY)
    run = Keypair()
    work = jobs.work(DEVNET, run=Address(str(run.pubkey())), market=FRIEND, authority=ME)
    transaction = offer(work)
    theirs = run.sign_message(to_bytes_versioned(transaction.message))
    halfway = VersionedTransaction.populate(transaction.message, [Signature.default(), theirs])
    found = await seen(halfway)
    assert found.kind == "work"
    assert [each["signed"] for each in found.document()["signers"]] == [False, True]
    signed = await signer.sign_offered(halfway, "work")
    assert signed.verify_with_results() == [True, True]
    with pytest.raises(SpendingRefused):
        await signer.sign_offered(offer(pay(STRANGER)), "transfer")
    with pytest.raises(SpendingRefused, match="would not pay"):
        await signer.sign_offered(offer(pay(FRIEND), payer=STRANGER), "transfer")


async def test_a_legacy_message_is_signed_too() -> None:
    legacy = Message.new_with_blockhash([pay(FRIEND)], WALLET.pubkey(), Hash.from_string(BLOCKHASH))
    transaction = decode_offer(bytes(legacy))
    assert (await seen(transaction)).kind == "transfer"
    signed = await Wallet(WALLET).signer(POLICY).sign_offered(transaction, "transfer")
    assert signed.verify_with_results() == [True]


async def test_lookup_tables_are_shown_and_refused() -> None:
    from solders.message import MessageAddressTableLookup

    plain = compile_message(ME, [pay(FRIEND)], BLOCKHASH, Budget(1, 1))
    lookup = MessageAddressTableLookup(Pubkey.default(), bytes([0]), b"")
    hiding = MessageV0(plain.header, plain.account_keys, plain.recent_blockhash, plain.instructions, [lookup])
    found = await seen(unsigned(hiding))
    assert found.kind is None
    assert "lookups" in found.refusals[0]
