"""The transactions of a load test: transfers between a few wallets; every fifth one is a memo (a program in the VM)."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Sequence

from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
_EVERY_MEMO = 5
_FIRST_LAMPORTS = 1_000_000
"""More than the rent of an empty account, so that new recipients may keep it."""


class Mix:
    """Makes transactions that differ from each other; `payers` take turns and pay each other's neighbour."""

    def __init__(self, payers: Sequence[Keypair]) -> None:
        self.payers = payers
        self._keys = [payer.pubkey() for payer in payers]
        self._numbers = itertools.count()
        self.latest = Signature.default()
        """Signature of the newest one, for who waits for it."""

    def make(self, blockhash: Hash) -> VersionedTransaction:
        """The next transaction."""
        number = next(self._numbers)
        turn = number % len(self.payers)
        payer, key = self.payers[turn], self._keys[turn]
        if number % _EVERY_MEMO == 0:
            work = Instruction(MEMO, f"load {number}".encode(), [AccountMeta(key, is_signer=True, is_writable=False)])
        else:
            to = self._keys[turn - 1]
            lamports = _FIRST_LAMPORTS + number
            work = transfer(TransferParams(from_pubkey=key, to_pubkey=to, lamports=lamports))
        made = VersionedTransaction(Message.new_with_blockhash([work], key, blockhash), [payer])
        self.latest = made.signatures[0]
        return made


def request(transaction: VersionedTransaction, *, skip_preflight: bool) -> bytes:
    """The body of a sendTransaction call."""
    options = {"encoding": "base64", "skipPreflight": skip_preflight, "preflightCommitment": "confirmed"}
    params = [base64.b64encode(bytes(transaction)).decode(), options]
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "sendTransaction", "params": params}).encode()
