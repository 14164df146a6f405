"""Transactions that the localnet itself sends: at genesis and from the faucet. They run like anyone's."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from solders.compute_budget import set_compute_unit_limit
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.transaction import VersionedTransaction

from node.errors import LocalnetError
from node.localnet.validator import Validator

_UNITS = 400_000
_turn = itertools.count()


def send(validator: Validator, payer: Keypair, instructions: Sequence[Instruction], *signers: Keypair) -> str:
    """Sign with the newest blockhash and put into the newest block; the signature.

    Raises LocalnetError where the transaction fails; the message ends with its last log line.
    """
    # The limit differs from call to call: two equal gifts within one block are then not one transaction.
    unlike = set_compute_unit_limit(_UNITS + next(_turn) % _UNITS)
    blockhash = validator.slots.head.blockhash
    message = Message.new_with_blockhash([unlike, *instructions], payer.pubkey(), blockhash)
    unique = list({key.pubkey(): key for key in (payer, *signers)}.values())
    transaction = VersionedTransaction(message, unique)
    done = validator.submit(transaction, bytes(transaction))
    if done is None or done.error is not None:
        why = done.error if done is not None else "not accepted"
        tail = f" ({done.logs[-1]})" if done is not None and done.logs else ""
        raise LocalnetError(f"a transaction of the localnet itself failed: {why}{tail}")
    return str(transaction.signatures[0])
