"""What may be signed as a document: nothing that a cluster could read as a transaction or its message, by a reader of
the wire format that shares no code with the signer's; and every document that the product makes."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import Transaction, VersionedTransaction

from node.chain.clusters import DEVNET
from node.chain.policy import NODE_KINDS, SpendingPolicy
from node.chain.wallet import Wallet
from node.errors import WalletError
from node.proof.envelope import PAYLOAD_TYPE, canonical, pae
from tests.chain.fakes import WALLET

SIGNER = Wallet(WALLET).signer(SpendingPolicy(DEVNET, NODE_KINDS))
OTHERS = [Keypair.from_seed(bytes([number]) * 32) for number in range(1, 4)]


def is_signed(document: bytes) -> bool:
    """Whether it was; a signature is then of exactly these bytes."""
    try:
        signature = SIGNER.sign_document(document)
    except WalletError:
        return False
    assert Signature.from_bytes(signature).verify(WALLET.pubkey(), document)
    return True


# --- another reader of the wire format --------------------------------------------------------------------


@dataclass
class Reader:
    """Reads from the front; raises IndexError where there is not enough, ValueError for what is out of form."""

    data: bytes
    at: int = 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise IndexError
        self.at += count
        return self.data[self.at - count : self.at]

    def short(self) -> int:
        """Solana's compact-u16: seven bits a byte, at most three bytes, in the shortest form."""
        value = 0
        for place in range(3):
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                if (place and not byte) or value > 0xFFFF:
                    raise ValueError("not the shortest")
                return value
        raise ValueError("too long")


def read_message(reader: Reader) -> None:
    """A message of either version, as far as its form goes."""
    (first,) = reader.take(1)
    is_versioned = first >= 0x80
    if is_versioned:
        if first != 0x80:
            raise ValueError("a version that is not known")
        reader.take(1)
    reader.take(2)
    reader.take(32 * reader.short())
    reader.take(32)
    for _ in range(reader.short()):
        reader.take(1)
        reader.take(reader.short())
        reader.take(reader.short())
    if is_versioned:
        for _ in range(reader.short()):
            reader.take(32)
            reader.take(reader.short())
            reader.take(reader.short())


def read_transaction(reader: Reader) -> None:
    """A transaction: signatures, then a message."""
    reader.take(64 * reader.short())
    read_message(reader)


def could_be_sent(data: bytes) -> bool:
    """Whether the bytes, or a beginning of them, have the form of a message or of a transaction."""
    for read in (read_message, read_transaction):
        try:
            read(Reader(data))
        except (IndexError, ValueError):
            continue
        return True
    return False


# --- transactions -----------------------------------------------------------------------------------------

keys = st.binary(min_size=32, max_size=32).map(Pubkey.from_bytes)
co_signers = st.lists(st.sampled_from(OTHERS), max_size=3, unique=True)


@st.composite
def instructions(draw: st.DrawFn, others: list[Keypair]) -> list[Instruction]:
    accounts = st.builds(AccountMeta, keys, st.just(False), st.booleans())
    made = draw(
        st.lists(st.builds(Instruction, keys, st.binary(max_size=60), st.lists(accounts, max_size=5)), max_size=4)
    )
    signed = [AccountMeta(each.pubkey(), True, draw(st.booleans())) for each in others]
    return [*made, Instruction(draw(keys), b"", signed)] if signed else made


@st.composite
def wires(draw: st.DrawFn) -> bytes:
    """A message or a transaction, of either version, alone or with others to sign, with lookup tables."""
    others = draw(co_signers)
    made = draw(instructions(others))
    blockhash = Hash.from_bytes(draw(st.binary(min_size=32, max_size=32)))
    if draw(st.booleans()):
        legacy = Message.new_with_blockhash(made, WALLET.pubkey(), blockhash)
        return bytes(legacy if draw(st.booleans()) else Transaction([WALLET, *others], legacy, blockhash))
    used = [meta.pubkey for each in made for meta in each.accounts if not meta.is_signer]
    tables = [AddressLookupTableAccount(draw(keys), used)] if used and draw(st.booleans()) else []
    message = MessageV0.try_compile(WALLET.pubkey(), made, tables, blockhash)
    return (
        to_bytes_versioned(message) if draw(st.booleans()) else bytes(VersionedTransaction(message, [WALLET, *others]))
    )


@given(wires(), st.binary(max_size=40))
def test_neither_message_nor_transaction_is_a_document(wire: bytes, tail: bytes) -> None:
    assert could_be_sent(wire + tail)
    assert not is_signed(wire + tail)


@given(wires(), st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.filter_too_much])
def test_what_has_the_form_of_one_is_no_document(wire: bytes, data: st.DataObject) -> None:
    """Changed in a few places: whatever the other reader still takes for one, the signer refuses."""
    changed = bytearray(wire)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    body = bytes(changed)
    assume(could_be_sent(body))
    assert not is_signed(body)


@given(st.binary(max_size=1500))
@example(b"\1\0\0" + b"\0" + b"x" * 32 + b"\0")
@example(b"\1" + b"x" * 64 + b"\1\0\0\1" + b"x" * 64 + b"\0")
def test_what_is_signed_has_the_form_of_none(raw: bytes) -> None:
    if is_signed(raw):
        assert not could_be_sent(raw)


@given(st.binary(max_size=200), st.integers(0, 1))
def test_off_chain_messages_are_not_signed(body: bytes, version: int) -> None:
    """Solana's own form for signed text begins with a byte that no text has; our documents are none of them."""
    assert not is_signed(b"\xffsolana offchain" + bytes([version]) + body)


# --- documents --------------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text("abc", max_size=8), inner, max_size=5),
    max_leaves=30,
)


@given(st.dictionaries(st.text("abc", max_size=8), values, max_size=5))
def test_every_envelope_is_signed(document: dict[str, object]) -> None:
    message = pae(PAYLOAD_TYPE, canonical(document))
    assert is_signed(message)
    assert not could_be_sent(message)


@given(wires(), st.sampled_from(["payload", "kind"]))
def test_a_transaction_inside_an_envelope_is_out_of_reach(wire: bytes, place: str) -> None:
    """What is signed is all of it, and begins with text: nobody can cut the transaction out."""
    message = pae(PAYLOAD_TYPE, wire) if place == "payload" else b"DSSEv1 %d " % len(wire) + wire
    assert is_signed(message)
    assert not could_be_sent(message)


@given(wires(), st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=40))
def test_a_text_before_a_transaction_is_signed_as_text_only(wire: bytes, prefix: str) -> None:
    message = prefix.encode() + wire
    assert is_signed(message) is not could_be_sent(message)


@pytest.mark.parametrize("text", ["Hello Nosana Node!", "7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41", "{}"])
def test_the_network_s_own_words_are_signed(text: str) -> None:
    assert is_signed(text.encode())
    assert is_signed(json.dumps({"message": text}).encode())
