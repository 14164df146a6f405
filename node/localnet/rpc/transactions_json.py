"""Transactions as RPC nodes write them into JSON."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from node.base58 import b58decode, b58encode
from node.localnet.ledger import Record
from node.localnet.rpc.errors import VERSION_UNSUPPORTED, RpcError
from node.localnet.rpc.instructions import instruction_json
from node.localnet.rpc.params import Config


@dataclass(frozen=True, slots=True)
class TransactionStyle:
    """How a transaction is to be written."""

    encoding: str
    highest: int | None
    """The newest transaction version the client can read; None: legacy only."""

    rewards: bool = True

    @classmethod
    def of(cls, config: Config) -> TransactionStyle:
        """The style a request asks for."""
        encoding = config.text("encoding", "json")
        return cls(encoding, config.integer("maxSupportedTransactionVersion"), config.get("rewards") is not False)

    def apply(self, record: Record) -> dict[str, Any]:
        """The members `transaction` and `meta`, and `version` where the client knows of versions.

        Raises -32015 for a version newer than the client can read.
        """
        transaction = VersionedTransaction.from_bytes(record.wire)
        body = self._body(transaction, record)
        versioned = isinstance(transaction.message, MessageV0)
        if self.highest is not None:
            body["version"] = 0 if versioned else "legacy"
        if versioned and self.highest is None:
            raise RpcError(
                VERSION_UNSUPPORTED,
                "Transaction version (0) is not supported by the requesting client. Please try the request "
                'again with the following configuration parameter: "maxSupportedTransactionVersion": 0',
            )
        return body

    def accounts_only(self, record: Record) -> dict[str, Any]:
        """As `apply`, but of the message only the accounts: what getBlock calls the details `accounts`."""
        transaction = VersionedTransaction.from_bytes(record.wire)
        loaded = record.meta_json()["loadedAddresses"]
        keys = [*transaction.message.account_keys, *_keys(loaded["writable"]), *_keys(loaded["readonly"])]
        parsed = _parsed(transaction, keys, len(loaded["writable"]))
        body = self.apply(record)
        kept = ("err", "status", "fee", "preBalances", "postBalances", "preTokenBalances", "postTokenBalances")
        shown = (*kept, "rewards") if self.rewards else kept
        body["meta"] = {name: body["meta"][name] for name in shown}
        body["transaction"] = {
            "signatures": parsed["signatures"],
            "accountKeys": parsed["message"]["accountKeys"],
        }
        return body

    def _body(self, transaction: VersionedTransaction, record: Record) -> dict[str, Any]:
        meta = record.meta_json()
        if not self.rewards:
            meta["rewards"] = None
        if self.encoding == "jsonParsed":
            # Here the loaded addresses stand among the account keys.
            loaded = meta.pop("loadedAddresses")
            keys = [*transaction.message.account_keys, *_keys(loaded["writable"]), *_keys(loaded["readonly"])]
            meta["innerInstructions"] = inner_json(meta["innerInstructions"], keys, "jsonParsed")
            return {"transaction": _parsed(transaction, keys, len(loaded["writable"])), "meta": meta}
        if self.encoding == "json":
            return {"transaction": _raw(transaction), "meta": meta}
        if self.encoding == "binary":
            return {"transaction": b58encode(record.wire), "meta": meta}
        if self.encoding == "base58":
            return {"transaction": [b58encode(record.wire), "base58"], "meta": meta}
        return {"transaction": [base64.b64encode(record.wire).decode(), "base64"], "meta": meta}


def _keys(texts: Sequence[str]) -> list[Pubkey]:
    return [Pubkey.from_string(text) for text in texts]


def _raw(transaction: VersionedTransaction) -> dict[str, Any]:
    message = transaction.message
    header = message.header
    body: dict[str, Any] = {
        "header": {
            "numRequiredSignatures": header.num_required_signatures,
            "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
        },
        "accountKeys": [str(key) for key in message.account_keys],
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [
            {
                "programIdIndex": entry.program_id_index,
                "accounts": list(entry.accounts),
                "data": b58encode(bytes(entry.data)),
                "stackHeight": 1,
            }
            for entry in message.instructions
        ],
    }
    lookups = _lookups(transaction)
    if lookups is not None:
        body["addressTableLookups"] = lookups
    return {"signatures": [str(entry) for entry in transaction.signatures], "message": body}


def _lookups(transaction: VersionedTransaction) -> list[dict[str, Any]] | None:
    message = transaction.message
    if not isinstance(message, MessageV0):
        return None
    return [
        {
            "accountKey": str(entry.account_key),
            "writableIndexes": list(entry.writable_indexes),
            "readonlyIndexes": list(entry.readonly_indexes),
        }
        for entry in message.address_table_lookups
    ]


def _parsed(transaction: VersionedTransaction, keys: Sequence[Pubkey], loaded_writable: int) -> dict[str, Any]:
    message = transaction.message
    header, static = message.header, len(message.account_keys)
    signers = header.num_required_signatures

    def writable(index: int) -> bool:
        if index >= static:
            return index < static + loaded_writable
        if index < signers:
            return index < signers - header.num_readonly_signed_accounts
        return index < static - header.num_readonly_unsigned_accounts

    body: dict[str, Any] = {
        "accountKeys": [
            {
                "pubkey": str(key),
                "signer": index < signers,
                "source": "transaction" if index < static else "lookupTable",
                "writable": writable(index),
            }
            for index, key in enumerate(keys)
        ],
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [
            _instruction(entry.program_id_index, list(entry.accounts), bytes(entry.data), 1, keys)
            for entry in message.instructions
        ],
    }
    lookups = _lookups(transaction)
    if lookups is not None:
        body["addressTableLookups"] = lookups
    return {"signatures": [str(entry) for entry in transaction.signatures], "message": body}


def inner_json(inner: Sequence[dict[str, Any]], keys: Sequence[Pubkey], encoding: str) -> list[dict[str, Any]]:
    """Inner instructions as the encoding wants them; they are kept in the form of `json`."""
    if encoding != "jsonParsed":
        return list(inner)
    return [
        {
            "index": group["index"],
            "instructions": [
                _instruction(row["programIdIndex"], row["accounts"], b58decode(row["data"]), row["stackHeight"], keys)
                for row in group["instructions"]
            ],
        }
        for group in inner
    ]


def _instruction(
    program_index: int, accounts: list[int], data: bytes, height: int, keys: Sequence[Pubkey]
) -> dict[str, Any]:
    return instruction_json(keys[program_index], [str(keys[index]) for index in accounts], data, height)
