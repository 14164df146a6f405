"""What came of a transaction: the records of it, made of what the SVM answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata

from node.base58 import b58encode

_CHARGED = ("ProgramAccountNotFound", "InvalidProgramForExecution", "MaxLoadedAccountsDataSizeExceeded")
"""Errors found after the fee was taken, beside those of instructions and of rent."""


@dataclass(frozen=True, slots=True)
class TokenBalance:
    """A token balance beside a transaction; `index` counts the transaction's accounts."""

    index: int
    mint: str
    owner: str
    program: str
    amount: int
    decimals: int


@dataclass(frozen=True, slots=True)
class Keys:
    """All accounts a transaction names: the static ones, then those from lookup tables."""

    static: tuple[Pubkey, ...]
    loaded_writable: tuple[Pubkey, ...]
    loaded_readonly: tuple[Pubkey, ...]
    writable: frozenset[Pubkey]

    @property
    def all(self) -> tuple[Pubkey, ...]:
        """In the order instructions count them."""
        return self.static + self.loaded_writable + self.loaded_readonly


@dataclass(frozen=True, slots=True)
class Execution:
    """What came of a transaction."""

    landed: bool
    """False where it could not even be charged for, so that no block holds it."""
    error: Any
    """The transaction error in JSON form, or None."""
    logs: list[str]
    units: int
    fee: int
    """Lamports."""
    inner: list[dict[str, Any]]
    return_data: tuple[str, bytes] | None
    keys: Keys
    pre_balances: tuple[int, ...] = ()
    post_balances: tuple[int, ...] = ()
    pre_tokens: tuple[TokenBalance, ...] = ()
    post_tokens: tuple[TokenBalance, ...] = ()
    changed: tuple[Pubkey, ...] = ()
    post_accounts: dict[Pubkey, Account] | None = None
    """Accounts after a simulation that succeeded."""
    loaded_bytes: int = 0
    """What the transaction's accounts count towards the limit of loaded data; 0 where nothing was executed."""


def charged(error: Any) -> bool:
    """Whether a transaction that ends so has to pay its fee."""
    return error is None or isinstance(error, dict) or error in _CHARGED


def lamports(accounts: Sequence[Account | None]) -> tuple[int, ...]:
    """The balances of accounts, 0 where there is none."""
    return tuple(account.lamports if account else 0 for account in accounts)


def execution(
    outcome: TransactionMetadata | FailedTransactionMetadata,
    keys: Keys,
    post_accounts: dict[Pubkey, Account] | None = None,
) -> Execution:
    """What the SVM says of a transaction; balances are not part of that."""
    failed = isinstance(outcome, FailedTransactionMetadata)
    meta = outcome.meta() if isinstance(outcome, FailedTransactionMetadata) else outcome
    returned = meta.return_data()
    return Execution(
        # The SVM leaves the signature out where it never charged for the transaction.
        landed=meta.signature() != Signature.default(),
        error=json.loads(outcome.to_json())["err"] if failed else None,
        logs=meta.logs(),
        units=meta.compute_units_consumed(),
        fee=meta.fee(),
        inner=_inner(meta),
        return_data=(str(returned.program_id), returned.data) if returned.data else None,
        keys=keys,
        post_accounts=post_accounts,
    )


def _inner(meta: TransactionMetadata) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for index, group in enumerate(meta.inner_instructions()):
        if not group:
            continue
        rows = []
        for entry in group:
            instruction = entry.instruction()
            rows.append(
                {
                    "programIdIndex": instruction.program_id_index,
                    "accounts": list(instruction.accounts),
                    "data": b58encode(bytes(instruction.data)),
                    "stackHeight": entry.stack_height(),
                }
            )
        found.append({"index": index, "instructions": rows})
    return found
