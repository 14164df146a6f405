"""Many forks against a model that keeps a whole copy of what is known at the end of each block."""

from __future__ import annotations

import random

import pytest
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from node.chain.addresses import to_address
from node.localnet.app import Localnet
from node.localnet.slots import Block, Commitment
from tests.localnet.rpc import pay

STEPS = 250


class Model:
    """Payments among a few wallets, faucet gifts and forks; after each step the chain is compared with the copies."""

    def __init__(self, net: Localnet, seed: int) -> None:
        self.validator = net.validator
        self.net = net
        self.random = random.Random(seed)
        self.wallets = [Keypair() for _ in range(4)]
        self.sent: list[VersionedTransaction] = []
        for wallet in self.wallets:
            net.fund(to_address(wallet.pubkey()), sol=5)
        for _ in range(34):
            self.validator.begin_block()
        self.keys: set[Pubkey] = {key for record in self.validator.ledger.records() for key in record.accounts}
        self.copies: dict[int, tuple[Block, dict[Pubkey, Account | None], frozenset[str]]] = {}
        self.forks = 0

    def step(self) -> None:
        choice = self.random.random()
        if choice < 0.45:
            self.send(self.payment())
        elif choice < 0.55:
            self.net.fund(to_address(self.random.choice(self.wallets).pubkey()), nos=1)
        elif choice < 0.65 and self.sent:
            self.send(self.random.choice(self.sent))
        elif choice < 0.92:
            self.next_block()
        else:
            self.fork()

    def payment(self) -> VersionedTransaction:
        payer, to = self.random.sample(self.wallets, 2)
        stranger = self.random.random() < 0.2
        key = Keypair().pubkey() if stranger else to.pubkey()
        block = self.random.choice(self.validator.slots.between(0, self.validator.slots.head.slot)[-10:])
        return pay(payer, key, self.random.randrange(10**6, 3 * 10**9), block.blockhash)

    def send(self, transaction: VersionedTransaction) -> None:
        """A copy lands exactly where it is in no block and its blockhash is that of a block of this chain."""
        signature = str(transaction.signatures[0])
        known = self.validator.ledger.find(signature) is not None
        blocks = [self.validator.slots.find(block.slot) for block in self.validator.slots.remembered()]
        hashes = {block.blockhash for block in blocks if block is not None}
        done = self.validator.submit(transaction, bytes(transaction))
        if known or transaction.message.recent_blockhash not in hashes:
            assert done is None
        elif done is not None and done.landed:
            self.sent.append(transaction)
            self.keys.update(done.keys.all)

    def next_block(self) -> None:
        head = self.validator.slots.head
        self.copies[head.slot] = (head, self.state(head.slot), self.signatures())
        self.validator.begin_block()

    def state(self, slot: int) -> dict[Pubkey, Account | None]:
        return {key: self.validator.bank.account(key, slot) for key in self.keys}

    def signatures(self) -> frozenset[str]:
        return frozenset(record.signature for record in self.validator.ledger.records())

    def fork(self) -> None:
        finalized = self.validator.slots.at(Commitment.FINALIZED)
        slot = self.validator.slots.head.slot - self.random.randrange(1, 40)
        if slot not in self.copies:
            return
        gone = self.validator.fork(slot)
        self.forks += 1
        kept = max(slot, finalized.slot)
        parent = self.validator.slots.head.parent
        assert parent <= kept
        assert self.validator.slots.at(Commitment.FINALIZED) == finalized
        self.copies = {each: copy for each, copy in self.copies.items() if each <= kept}
        assert not {record.signature for record in gone} & self.signatures()
        self.compare(parent)
        self.compare_now(parent)

    def compare_now(self, parent: int) -> None:
        block, accounts, signatures = self.copies[parent]
        head = self.validator.slots.head
        assert head.height == block.height + 1
        now = self.state(head.slot)
        assert {key: now[key] for key in accounts} == accounts
        assert all(now[key] is None for key in now if key not in accounts)
        assert self.signatures() == signatures

    def compare(self, newest: int) -> None:
        """Every view that is not older than the finalized one shows what was copied then."""
        finalized = self.validator.slots.at(Commitment.FINALIZED).slot
        for slot, (_, accounts, _) in self.copies.items():
            if finalized <= slot <= newest:
                now = self.state(slot)
                assert {key: now[key] for key in accounts} == accounts


@pytest.mark.parametrize("seed", range(4))
async def test_any_forks_leave_what_was_before_them(still_localnet: Localnet, seed: int) -> None:
    model = Model(still_localnet, seed)
    for _ in range(STEPS):
        model.step()
    assert model.forks > 3
    assert len(model.sent) > 20
