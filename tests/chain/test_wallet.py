"""Key files, what they refuse, and what a signer signs."""

from __future__ import annotations

import base64
import copy
import json
import os
import pickle
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.compute_budget import set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import Transaction, VersionedTransaction
from spl.token.instructions import approve, create_associated_token_account
from spl.token.models import ApproveParams

from node.chain import policy
from node.chain.addresses import to_key, token_account
from node.chain.clusters import DEVNET, MAINNET
from node.chain.instructions import jobs, markets, staking, tokens
from node.chain.memo import memo
from node.chain.policy import NODE_KINDS, OWNER_KINDS, POSTER_KINDS, SpendingPolicy
from node.chain.transaction import Budget, compile_message
from node.chain.wallet import Signer, Wallet
from node.errors import ChainError, SpendingRefused, WalletError
from node.records import Address, Cid
from tests.chain.fakes import WALLET

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors.json").read_text())
ME = Address(str(WALLET.pubkey()))
MARKET = Address("7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41")
CID = Cid("QmVp8m3Uq1Cm6JJ3NsuTMSGLNnqXa1mC85uV7YxBREQ78p")
MY_NOS = token_account(DEVNET, ME)
BLOCKHASH = "4ruaGCyaofHWGxPFXFVjuEJCdfBGZ2wCtEx6LzdzVqtV"


def key_file(path: Path, content: str, mode: int = 0o600) -> Path:
    path.write_text(content)
    path.chmod(mode)
    return path


def test_create_and_load(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "node.json"
    made = Wallet.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(json.loads(path.read_text())) == 64
    assert Wallet.load(path).address == made.address
    before = path.read_text()
    with pytest.raises(WalletError, match="exists already"):
        Wallet.create(path)
    assert path.read_text() == before


def test_create_ignores_the_umask_and_links(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        Wallet.create(tmp_path / "a.json")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o600
    (tmp_path / "link.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(WalletError):
        Wallet.create(tmp_path / "link.json")
    assert not (tmp_path / "elsewhere.json").exists()


def test_the_official_key_file_is_read(tmp_path: Path) -> None:
    path = key_file(tmp_path / "id.json", json.dumps(VECTORS["auth"]["secret_key_json"]))
    assert Wallet.load(path).address == VECTORS["auth"]["public_key"]


SECRET = json.loads(WALLET.to_json())


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "null",
        "[1,2]",
        json.dumps(SECRET[:63]),
        json.dumps([*SECRET[:63], 256]),
        json.dumps([*SECRET[:63], -1]),
        json.dumps([*SECRET[:63], True]),
        json.dumps([*SECRET[:63], 1.0]),
        json.dumps([*SECRET[:63], "1"]),
        "[" * 3000,
        "\x00" * 100,
        json.dumps(SECRET) + " " * 5000 + "x",
    ],
)
def test_what_is_no_key_file_is_refused_without_quoting_it(tmp_path: Path, content: str) -> None:
    path = key_file(tmp_path / "id.json", content)
    with pytest.raises(WalletError, match="not a key file") as caught:
        Wallet.load(path)
    assert caught.value.hint
    assert caught.value.__cause__ is None
    assert str(SECRET[3]) + ", " not in str(caught.value)


def test_a_key_whose_halves_differ_is_refused(tmp_path: Path) -> None:
    path = key_file(tmp_path / "id.json", json.dumps([*SECRET[:63], SECRET[63] ^ 1]))
    with pytest.raises(WalletError, match="damaged"):
        Wallet.load(path)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o400, 0o700, 0o4600])
def test_another_mode_is_refused(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path / "id.json", json.dumps(SECRET), mode)
    with pytest.raises(WalletError, match=f"{mode:04o}") as caught:
        Wallet.load(path)
    assert caught.value.hint == f"chmod 600 {path}"


def test_missing_directory_and_pipe(tmp_path: Path) -> None:
    with pytest.raises(WalletError, match="no key file") as caught:
        Wallet.load(tmp_path / "none.json")
    assert "gpunode init" in caught.value.hint
    with pytest.raises(WalletError, match="regular file"):
        Wallet.load(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(WalletError, match="regular file"):
        Wallet.load(tmp_path / "pipe")
    with pytest.raises(WalletError, match="cannot be written"):
        Wallet.create(tmp_path / "pipe" / "x.json")


def test_nothing_shows_the_secret() -> None:
    wallet = Wallet(WALLET)
    signer = wallet.signer(SpendingPolicy(DEVNET, NODE_KINDS))
    shown = f"{wallet!r}{wallet}{signer!r}{signer}{vars_of(wallet)}"
    assert str(WALLET) not in shown
    assert ME in shown
    for each in (wallet, signer):
        for dump in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
            with pytest.raises(TypeError):
                dump(each)  # type: ignore[operator]


def vars_of(value: object) -> object:
    return getattr(value, "__dict__", "")


# --- documents ----------------------------------------------------------------------------------------------


@pytest.fixture
def signer() -> Signer:
    return Wallet(WALLET).signer(SpendingPolicy(DEVNET, NODE_KINDS))


def test_documents_are_signed(signer: Signer) -> None:
    assert VECTORS["auth"]["public_key"] == ME
    document = VECTORS["auth"]["node_backend"]["sign_message"].encode()
    signature = signer.sign_document(document)
    assert Signature.from_bytes(signature).verify(WALLET.pubkey(), document)
    address, _, encoded = VECTORS["auth"]["node_backend"]["value"].partition(":")
    assert address == ME
    assert base64.b64encode(signature).decode() == encoded


def transactions() -> list[bytes]:
    made = tokens.transfer_lamports(source=ME, destination=MARKET, lamports=1)
    blockhash = Hash.from_string(BLOCKHASH)
    v0 = MessageV0.try_compile(WALLET.pubkey(), [made], [], blockhash)
    legacy = Message.new_with_blockhash([made], WALLET.pubkey(), blockhash)
    return [
        to_bytes_versioned(v0),
        bytes(legacy),
        bytes(VersionedTransaction(v0, [WALLET])),
        bytes(Transaction([WALLET], legacy, blockhash)),
        *(base64.b64decode(each["wire_base64"]) for each in VECTORS["transactions"]),
    ]


@pytest.mark.parametrize("tail", [b"", b"\0", b"trailing text"])
@pytest.mark.parametrize("number", range(6))
def test_transactions_are_no_documents(signer: Signer, number: int, tail: bytes) -> None:
    with pytest.raises(WalletError, match="taken for a transaction"):
        signer.sign_document(transactions()[number] + tail)


def test_a_version_yet_to_come_is_no_document(signer: Signer) -> None:
    for first in range(0x80, 0x100):
        with pytest.raises(WalletError):
            signer.sign_document(bytes([first]) + b"{}")


instructions = st.builds(
    Instruction,
    st.binary(min_size=32, max_size=32).map(Pubkey.from_bytes),
    st.binary(max_size=60),
    st.lists(
        st.builds(
            AccountMeta, st.binary(min_size=32, max_size=32).map(Pubkey.from_bytes), st.just(False), st.booleans()
        ),
        max_size=5,
    ),
)


@given(st.lists(instructions, max_size=5), st.booleans())
def test_no_message_whatsoever_is_a_document(made: list[Instruction], versioned: bool) -> None:
    signer = Wallet(WALLET).signer(SpendingPolicy(DEVNET, NODE_KINDS))
    blockhash = Hash.from_string(BLOCKHASH)
    if versioned:
        raw = to_bytes_versioned(MessageV0.try_compile(WALLET.pubkey(), made, [], blockhash))
    else:
        raw = bytes(Message.new_with_blockhash(made, WALLET.pubkey(), blockhash))
    with pytest.raises(WalletError):
        signer.sign_document(raw)


printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=4, max_size=3000)


@given(printable, st.integers(1, 60))
def test_receipts_are_always_signed(body: str, times: int) -> None:
    signer = Wallet(WALLET).signer(SpendingPolicy(DEVNET, NODE_KINDS))
    payload = (body * times).encode()
    document = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(payload) + payload
    assert len(signer.sign_document(document)) == 64


@given(st.binary(max_size=5000))
def test_any_bytes_are_signed_or_refused(raw: bytes) -> None:
    signer = Wallet(WALLET).signer(SpendingPolicy(DEVNET, NODE_KINDS))
    try:
        assert len(signer.sign_document(raw)) == 64
    except WalletError as error:
        assert "transaction" in error.message  # noqa: PT017


# --- transactions -------------------------------------------------------------------------------------------


def message(*made: Instruction, payer: Address = ME, price: int = 1_000) -> MessageV0:
    return compile_message(payer, made, BLOCKHASH, Budget(20_000, price))


def finish() -> Instruction:
    return jobs.finish(
        DEVNET, job=MARKET, run=MARKET, market=MARKET, payer_run=ME, payer_job=ME, authority=ME, user=MY_NOS, result=CID
    )


async def test_a_listed_transaction_is_signed(signer: Signer) -> None:
    create = tokens.create_token_account(DEVNET, payer=ME, owner=ME)
    signed = await signer.sign_transaction(message(create, finish(), memo(ME, "gpunode/1 r=x")), "finish")
    assert signed.verify_with_results() == [True]


async def test_one_time_keys_sign_beside_ours(signer: Signer) -> None:
    run = Keypair()
    made = jobs.work(DEVNET, run=Address(str(run.pubkey())), market=MARKET, authority=ME)
    signed = await signer.sign_transaction(message(made), "work", [run])
    assert signed.verify_with_results() == [True, True]
    for wrong in ([], [Keypair()], [run, Keypair()]):
        with pytest.raises(WalletError):
            await signer.sign_transaction(message(made), "work", wrong)


REFUSED: list[tuple[str, tuple[Instruction, ...]]] = [
    ("transfer", (tokens.transfer_lamports(source=ME, destination=MARKET, lamports=1),)),
    ("finish", (finish(), tokens.transfer_lamports(source=ME, destination=MARKET, lamports=1))),
    ("finish", (tokens.transfer_tokens(DEVNET, source=MARKET, destination=MARKET, owner=ME, amount=1),)),
    ("finish", (staking.withdraw(DEVNET, authority=ME),)),
    ("finish", (jobs.complete(DEVNET, job=MARKET, authority=ME, result=CID),)),
    ("stop", (finish(),)),
    ("list", (finish(),)),
    ("finish", (jobs.complete(MAINNET, job=MARKET, authority=ME, result=CID),)),
    ("memo", (Instruction(to_key(MARKET), b"", []),)),
    ("memo", (Instruction(to_key(DEVNET.jobs), b"", []),)),
    ("memo", (create_associated_token_account(to_key(ME), to_key(ME), to_key(DEVNET.nos_mint)),)),
    (
        "memo",
        (
            create_account(
                CreateAccountParams(
                    from_pubkey=to_key(ME), to_pubkey=to_key(MARKET), lamports=1, space=0, owner=to_key(MARKET)
                )
            ),
        ),
    ),
    (
        "finish",
        (
            finish(),
            approve(
                ApproveParams(
                    program_id=to_key(DEVNET.token),
                    source=to_key(MARKET),
                    delegate=to_key(MARKET),
                    owner=to_key(ME),
                    amount=1,
                )
            ),
        ),
    ),
]


@pytest.mark.parametrize(("kind", "made"), REFUSED)
async def test_a_node_signs_nothing_else(signer: Signer, kind: str, made: tuple[Instruction, ...]) -> None:
    with pytest.raises(SpendingRefused) as caught:
        await signer.sign_transaction(message(*made), kind)
    assert caught.value.hint


async def test_roles_sign_their_own() -> None:
    poster = Wallet(WALLET).signer(SpendingPolicy(DEVNET, POSTER_KINDS))
    owner = Wallet(WALLET).signer(SpendingPolicy(DEVNET, OWNER_KINDS, receivers=frozenset({MARKET})))
    extend = message(jobs.extend_job(DEVNET, job=MARKET, market=MARKET, authority=ME, payer=ME, timeout=5))
    await poster.sign_transaction(extend, "extend")
    with pytest.raises(SpendingRefused):
        await owner.sign_transaction(extend, "extend")
    theirs = token_account(DEVNET, MARKET)
    sweep = message(tokens.transfer_tokens(DEVNET, source=MY_NOS, destination=theirs, owner=ME, amount=1))
    await owner.sign_transaction(sweep, "transfer")
    with pytest.raises(SpendingRefused):
        await poster.sign_transaction(sweep, "transfer")
    terms = markets.MarketTerms()
    update = message(markets.update_market(DEVNET, market=MARKET, authority=ME, terms=terms))
    await owner.sign_transaction(update, "market_update")


def test_every_listed_name_is_an_instruction_of_ours() -> None:
    known = {f"{room}.{name}" for room, names in policy._ANCHOR_NAMES.items() for name in names}
    known |= {"system.transfer", "token.transfer"}
    for kinds in (NODE_KINDS, POSTER_KINDS, OWNER_KINDS):
        assert set().union(*kinds.values()) <= known


async def test_fees_and_payers_are_looked_at(signer: Signer) -> None:
    with pytest.raises(SpendingRefused, match="fee"):
        await signer.sign_transaction(message(finish(), price=10**12), "finish")
    with pytest.raises(SpendingRefused, match="would not pay"):
        await signer.sign_transaction(message(memo(MARKET, "x"), payer=MARKET), "memo")
    # A second price later in the message is what would count for whoever read only the first.
    with pytest.raises(SpendingRefused, match="fee"):
        await signer.sign_transaction(message(finish(), set_compute_unit_price(10**12)), "finish")


async def test_the_daily_cap_counts_the_ledger() -> None:
    for spent, allowed in ((0, True), (999_000, False), (10**9, False)):

        async def ledger(value: int = spent) -> int:
            return value

        signer = Wallet(WALLET).signer(SpendingPolicy(DEVNET, NODE_KINDS, 1_000_000, ledger))
        run = Keypair()
        made = message(jobs.work(DEVNET, run=Address(str(run.pubkey())), market=MARKET, authority=ME))
        if allowed:
            await signer.sign_transaction(made, "work", [run])
        else:
            with pytest.raises(SpendingRefused, match="24 h"):
                await signer.sign_transaction(made, "work", [run])
        await signer.sign_transaction(message(finish()), "finish")


def test_too_large_a_transaction_is_a_chain_error() -> None:
    with pytest.raises(ChainError, match="1232"):
        message(*[memo(ME, "x" * 500)] * 3)


def test_a_vector_signed_by_us_is_the_same_bytes() -> None:
    for entry in VECTORS["transactions"]:
        raw = base64.b64decode(entry["wire_base64"])
        transaction = VersionedTransaction.from_bytes(raw)
        again = VersionedTransaction(transaction.message, [WALLET])
        assert bytes(again) == raw
        assert str(again.signatures[0]) == entry["signature"]
        (stop,) = transaction.message.instructions
        ours = jobs.stop(DEVNET, market=MARKET, node=ME)
        assert bytes(stop.data) == bytes(ours.data)
        assert [transaction.message.account_keys[index] for index in stop.accounts] == [
            meta.pubkey for meta in ours.accounts
        ]
