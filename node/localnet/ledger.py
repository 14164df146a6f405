"""The ledger: transactions that are in blocks, found by signature, by account and by slot. Bounded in number.

What a transaction did (balances, logs, inner instructions) is kept as JSON text in the shape RPC nodes call
`meta`, which is a fraction of the same thing as Python objects.
"""

from __future__ import annotations

import base64
import json
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from node.localnet.bank import Execution, TokenBalance
from node.localnet.spl import amount_json

MEMO_PROGRAMS = (
    Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"),
    Pubkey.from_string("Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One transaction in a block."""

    signature: str
    slot: int
    height: int
    time: int
    wire: bytes
    error: Any
    """JSON form, None on success."""
    logs: tuple[str, ...]
    meta: bytes
    """JSON of the `meta` member, but for `err` and `logMessages`."""
    memo: str | None
    accounts: tuple[Pubkey, ...]
    changed: tuple[Pubkey, ...]

    def meta_json(self) -> dict[str, Any]:
        """The `meta` member as RPC nodes give it."""
        status = {"Ok": None} if self.error is None else {"Err": self.error}
        body: dict[str, Any] = json.loads(self.meta)
        return {"err": self.error, "status": status, "logMessages": list(self.logs), **body}


def make_record(
    transaction: VersionedTransaction, wire: bytes, done: Execution, *, slot: int, height: int, time: int
) -> Record:
    """The ledger's row for an executed transaction."""
    meta: dict[str, Any] = {
        "fee": done.fee,
        "preBalances": done.pre_balances,
        "postBalances": done.post_balances,
        "innerInstructions": done.inner,
        "preTokenBalances": [_token_json(entry) for entry in done.pre_tokens],
        "postTokenBalances": [_token_json(entry) for entry in done.post_tokens],
        "rewards": [],
        "loadedAddresses": {
            "writable": [str(key) for key in done.keys.loaded_writable],
            "readonly": [str(key) for key in done.keys.loaded_readonly],
        },
        "computeUnitsConsumed": done.units,
        "costUnits": done.units,
    }
    if done.return_data is not None:
        meta["returnData"] = return_data_json(done.return_data)
    return Record(
        signature=str(transaction.signatures[0]),
        slot=slot,
        height=height,
        time=time,
        wire=wire,
        error=done.error,
        logs=tuple(done.logs),
        meta=json.dumps(meta, separators=(",", ":")).encode(),
        memo=_memo(transaction, done),
        accounts=done.keys.all,
        changed=done.changed,
    )


def return_data_json(returned: tuple[str, bytes]) -> dict[str, Any]:
    """Return data as RPC nodes give it."""
    program, data = returned
    return {"programId": program, "data": [base64.b64encode(data).decode(), "base64"]}


def _token_json(entry: TokenBalance) -> dict[str, Any]:
    return {
        "accountIndex": entry.index,
        "mint": entry.mint,
        "owner": entry.owner,
        "programId": entry.program,
        "uiTokenAmount": amount_json(entry.amount, entry.decimals),
    }


def _memo(transaction: VersionedTransaction, done: Execution) -> str | None:
    keys = done.keys.all
    memos: list[str] = []
    for instruction in transaction.message.instructions:
        if keys[instruction.program_id_index] in MEMO_PROGRAMS:
            data = bytes(instruction.data)
            memos.append(f"[{len(data)}] {data.decode(errors='replace')}")
    return "; ".join(memos) or None


class Ledger:
    """The newest `limit` transactions."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._records: OrderedDict[str, Record] = OrderedDict()
        self._by_account: dict[Pubkey, deque[Record]] = {}
        self._by_slot: dict[int, list[Record]] = {}
        self.incomplete_upto = -1
        """The newest slot of which a transaction was forgotten."""

    def append(self, record: Record) -> None:
        """Add the newest transaction; beyond the limit the oldest is forgotten."""
        self._records[record.signature] = record
        self._by_slot.setdefault(record.slot, []).append(record)
        for key in record.accounts:
            self._by_account.setdefault(key, deque()).append(record)
        if len(self._records) > self._limit:
            self._forget(next(iter(self._records.values())))

    def _forget(self, record: Record) -> None:
        del self._records[record.signature]
        self.incomplete_upto = record.slot
        same_slot = self._by_slot[record.slot]
        same_slot.remove(record)
        if not same_slot:
            del self._by_slot[record.slot]
        for key in record.accounts:
            rows = self._by_account[key]
            rows.popleft()
            if not rows:
                del self._by_account[key]

    def drop_after(self, slot: int) -> list[Record]:
        """Forget the transactions of later slots, as if they had never been: those dropped, oldest first."""
        gone: list[Record] = []
        while self._records and next(reversed(self._records.values())).slot > slot:
            _, record = self._records.popitem()
            gone.append(record)
            self._by_slot.pop(record.slot, None)
            for key in record.accounts:
                rows = self._by_account[key]
                rows.pop()
                if not rows:
                    del self._by_account[key]
        return gone[::-1]

    def upto(self, slot: int) -> Ledger:
        """The ledger as a node sees it that has got no further than this slot."""
        return _OldLedger(self, slot)

    def find(self, signature: str) -> Record | None:
        """The transaction of that signature."""
        return self._records.get(signature)

    def in_slot(self, slot: int) -> list[Record]:
        """The slot's transactions, in order."""
        return list(self._by_slot.get(slot, ()))

    def of_account(self, key: Pubkey) -> Iterator[Record]:
        """Transactions that name the account, newest first."""
        return reversed(self._by_account.get(key, deque()))

    def records(self) -> list[Record]:
        """Everything held, oldest first: for saving."""
        return list(self._records.values())

    def __len__(self) -> int:
        return len(self._records)


class _OldLedger(Ledger):
    """Shows only what was there at a slot. Nothing is copied."""

    def __init__(self, ledger: Ledger, slot: int) -> None:
        self.__dict__.update(ledger.__dict__)
        self._slot = slot

    def find(self, signature: str) -> Record | None:
        """The transaction of that signature."""
        record = super().find(signature)
        return record if record is not None and record.slot <= self._slot else None

    def in_slot(self, slot: int) -> list[Record]:
        """The slot's transactions, in order."""
        return super().in_slot(slot) if slot <= self._slot else []

    def of_account(self, key: Pubkey) -> Iterator[Record]:
        """Transactions that name the account, newest first."""
        return (record for record in super().of_account(key) if record.slot <= self._slot)
