"""Transactions and messages to simulate, to be refused, and to ask the price of; none of them ever lands."""

from __future__ import annotations

import base64

from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from spl.token import instructions as token
from spl.token import models

from node.chain.addresses import to_address, to_key
from node.chain.instructions.jobs import delist_job
from tests.localnet.differential.names import ALICE, BOB, CAROL, MEMO, SOL, TOKEN, World, key, memo, pay
from tests.localnet.differential.remote import Remote

HARMLESS = ("fine", "priced", "table", "creates", "legacy", "more bytes")
"""Those that would land if they were sent."""


async def make_wires(remote: Remote, world: World) -> None:
    """Put them into the world, with a finalized blockhash of now."""
    now = await remote.blockhash("finalized")
    world.names["hash:now"] = str(now)
    made = _Wires(remote, world, now)
    made.good()
    made.refused()
    made.failing()
    made.tables()
    made.malformed()
    await made.landed()
    world.harmless = HARMLESS


class _Wires:
    def __init__(self, remote: Remote, world: World, now: Hash) -> None:
        self._remote = remote
        self._world = world
        self._now = now
        self._nos = to_key(remote.chain.mint)

    def _add(self, name: str, instructions: list[Instruction], *signers: Keypair, now: Hash | None = None) -> None:
        message = MessageV0.try_compile(signers[0].pubkey(), instructions, [], now or self._now)
        self._put(name, VersionedTransaction(message, list(signers)))

    def _put(self, name: str, transaction: VersionedTransaction) -> None:
        self._world.wires[name] = base64.b64encode(bytes(transaction)).decode()
        message = transaction.message
        # A message's own bytes begin with its version, which `bytes` of a version 0 message leaves out.
        prefix = b"\x80" if isinstance(message, MessageV0) and bytes(message)[:1] != b"\x80" else b""
        self._world.messages[name] = base64.b64encode(prefix + bytes(message)).decode()
        for index, signature in enumerate(transaction.signatures):
            if signature != Signature.default():
                self._world.names.setdefault(f"wire:{name}:{index}", str(signature))

    def good(self) -> None:
        """Nothing is wrong with these."""
        self._add("fine", [pay(ALICE, BOB.pubkey(), 1)], ALICE)
        priced = [set_compute_unit_limit(200_000), set_compute_unit_price(123_456)]
        self._add("priced", [*priced, pay(ALICE, BOB.pubkey(), 1)], ALICE)
        other = key("dave").pubkey()
        held = token.get_associated_token_address(other, self._nos)
        self._world.names |= {"dave": str(other), "nos:dave": str(held)}
        created = token.create_associated_token_account(ALICE.pubkey(), other, self._nos)
        self._add("creates", [created, memo("made", ALICE)], ALICE)

    def refused(self) -> None:
        """No block would hold these."""
        message = MessageV0.try_compile(ALICE.pubkey(), [pay(ALICE, BOB.pubkey(), 2)], [], self._now)
        self._put("unsigned", VersionedTransaction.populate(message, [Signature.default()]))
        self._put("other signature", VersionedTransaction.populate(message, [Signature.from_bytes(bytes(range(64)))]))
        self._add("old hash", [pay(ALICE, BOB.pubkey(), 1)], ALICE, now=Hash.from_bytes(bytes(range(32))))
        nobody = key("nobody")
        self._add("nobody pays", [pay(nobody, BOB.pubkey(), 1)], nobody)
        nothing = Instruction(key("no program").pubkey(), b"", [])
        self._add("no program", [nothing], ALICE)
        self._add("no executable", [Instruction(BOB.pubkey(), b"", [])], ALICE)
        self._add("to a new account", [pay(ALICE, key("new").pubkey(), 1)], ALICE)
        self._add("whole purse", [pay(CAROL, BOB.pubkey(), 1_007_654_321 - 5_000 - 10)], CAROL)
        twice = [set_compute_unit_limit(1), set_compute_unit_limit(2), pay(ALICE, BOB.pubkey(), 1)]
        self._add("limit twice", twice, ALICE)
        dear = [set_compute_unit_limit(1_000_000), set_compute_unit_price(10**12), pay(CAROL, BOB.pubkey(), 1)]
        self._add("too dear", dear, CAROL)

    def failing(self) -> None:
        """A block holds these, as failed."""
        self._add("poor", [memo("first", CAROL), pay(CAROL, BOB.pubkey(), 900 * SOL)], CAROL)
        names = self._world.names
        alice, bob = _key(names["nos:alice"]), _key(names["nos:bob"])
        moved = models.TransferCheckedParams(
            program_id=TOKEN, source=alice, mint=self._nos, dest=bob, owner=ALICE.pubkey(), amount=10**15, decimals=6
        )
        self._add("too many tokens", [token.transfer_checked(moved)], ALICE)
        stolen = moved.model_copy(update={"owner": BOB.pubkey(), "source": bob, "dest": alice, "amount": 10**12})
        self._add("not so many", [token.transfer_checked(stolen)], ALICE, BOB)
        self._add("little budget", [set_compute_unit_limit(150), token.transfer_checked(moved)], ALICE)
        self._add("bad memo", [Instruction(MEMO, b"\xff\xfe", [])], ALICE)
        unsigned = Instruction(MEMO, b"text", [AccountMeta(BOB.pubkey(), False, False)])
        self._add("unsigned memo", [unsigned], ALICE)
        self._add("no instruction", [Instruction(Pubkey.default(), b"\xff\xff\xff\xff", [])], ALICE)
        self._add("no accounts", [Instruction(Pubkey.default(), bytes([2, 0, 0, 0]) + bytes(8), [])], ALICE)
        self._add("token nonsense", [Instruction(TOKEN, b"\xfe", [AccountMeta(bob, False, True)])], ALICE)
        cluster = self._remote.chain.cluster
        jobs = to_key(cluster.jobs)
        self._add("jobs nonsense", [Instruction(jobs, bytes(8), [])], ALICE)
        assert self._remote.chain.market is not None
        delisted = delist_job(
            cluster,
            job=to_address(key("job").pubkey()),
            market=self._remote.chain.market,
            payer=to_address(BOB.pubkey()),
            authority=to_address(BOB.pubkey()),
        )
        self._add("not my job", [delisted], BOB)
        self._add("existing account", [_again(self._nos)], ALICE)

    def tables(self) -> None:
        """Transactions with lookup tables."""
        listed = [BOB.pubkey(), CAROL.pubkey(), key("looked-up").pubkey()]
        more = [*listed, key("not in the table").pubkey()]
        table = _key(self._world.names["table"])
        empty = _key(self._world.names["empty-table"])
        for name, address, known, to in (
            ("table", table, listed, listed[2]),
            ("missing table", key("no table").pubkey(), listed, listed[2]),
            ("table index", table, more, more[3]),
            ("empty table", empty, listed, listed[2]),
            ("no table", ALICE.pubkey(), listed, listed[2]),
            ("a token for a table", _key(self._world.names["held"]), listed, listed[2]),
        ):
            tables = [AddressLookupTableAccount(address, known)]
            message = MessageV0.try_compile(ALICE.pubkey(), [pay(ALICE, to, 1)], tables, self._now)
            self._put(name, VersionedTransaction(message, [ALICE]))

    def malformed(self) -> None:
        """What a node takes for no transaction."""
        fine = base64.b64decode(self._world.wires["fine"])
        self._bytes("cut", fine[:-10])
        self._bytes("more bytes", fine + b"\x00\x01")
        self._bytes("no signatures", b"\x00" + fine[65:])
        self._bytes("two signatures", b"\x02" + fine[1:65] * 2 + fine[65:])
        message = Message.new_with_blockhash([pay(ALICE, BOB.pubkey(), 1)], ALICE.pubkey(), self._now)
        raw = bytearray(bytes(VersionedTransaction(message, [ALICE])))
        self._bytes("legacy", bytes(raw))
        self._world.wires["legacy unsigned"] = base64.b64encode(b"\x01" + bytes(64) + bytes(raw[65:])).decode()
        raw[65] = 9  # more signatures than keys
        self._bytes("header", bytes(raw))

    def _bytes(self, name: str, raw: bytes) -> None:
        self._world.wires[name] = base64.b64encode(raw).decode()

    async def landed(self) -> None:
        """One that is in a block already."""
        names = self._world.names
        config = {"encoding": "base64", "maxSupportedTransactionVersion": 0}
        found = await self._remote.call("getTransaction", names["tx:listed"], config)
        self._world.wires["landed"] = found["transaction"][0]


def _key(text: str) -> Pubkey:
    return Pubkey.from_string(text)


def _again(mint: Pubkey) -> Instruction:
    return token.create_associated_token_account(ALICE.pubkey(), ALICE.pubkey(), mint)
