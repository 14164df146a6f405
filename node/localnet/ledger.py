"""The ledger: transactions that are in blocks, found by signature, by account and by slot. Bounded in number.

Each is held as one packed string of bytes, about 200 for a plain transfer, and made into a `Record` when asked for.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from node.localnet.execution import Execution, TokenBalance
from node.localnet.packed import Packer
from node.localnet.spl import amount_json

MEMO_PROGRAMS = (
    Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"),
    Pubkey.from_string("Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo"),
)


_PER_SIGNATURE, _PER_LOCK, _PER_PAGE = 720, 300, 8
"""Compute units that a signature, a writable account and a page of loaded data count."""
_BYTES_PER_UNIT, _PAGE_BYTES = 4, 32 * 1024


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
        "preTokenBalances": [_kept(token_json(entry)) for entry in done.pre_tokens],
        "postTokenBalances": [_kept(token_json(entry)) for entry in done.post_tokens],
        "rewards": [],
        "loadedAddresses": {
            "writable": [str(key) for key in done.keys.loaded_writable],
            "readonly": [str(key) for key in done.keys.loaded_readonly],
        },
        "computeUnitsConsumed": done.units,
        "costUnits": _cost(transaction, done),
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
        meta=_json(meta),
        memo=_memo(transaction, done),
        accounts=done.keys.all,
    )


def return_data_json(returned: tuple[str, bytes]) -> dict[str, Any]:
    """Return data as RPC nodes give it."""
    program, data = returned
    return {"programId": program, "data": [base64.b64encode(data).decode(), "base64"]}


def _cost(transaction: VersionedTransaction, done: Execution) -> int:
    """What the transaction counts towards the limit of a block, as a leader reckons it."""
    message = transaction.message
    data = sum(len(bytes(instruction.data)) for instruction in message.instructions)
    locks = len(done.keys.writable)
    pages = -(-done.loaded_bytes // _PAGE_BYTES)
    signed = message.header.num_required_signatures
    return done.units + _PER_SIGNATURE * signed + _PER_LOCK * locks + data // _BYTES_PER_UNIT + _PER_PAGE * pages


def _kept(balance: dict[str, Any]) -> dict[str, Any]:
    # A node keeps no zero as a floating point number, and finds none there when it is asked.
    amount = balance["uiTokenAmount"]
    return balance if amount["uiAmount"] else {**balance, "uiTokenAmount": {**amount, "uiAmount": None}}


def token_json(entry: TokenBalance) -> dict[str, Any]:
    """A token balance beside a transaction as RPC nodes give it."""
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


_PACKER = Packer(
    4,
    b'"Program log: Instruction: Program TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA invoke [2]Program '
    b'11111111111111111111111111111111 invoke [1]","Program 11111111111111111111111111111111 success"],null,'
    b'{"fee":5000,"preBalances":[1000000000,1],"postBalances":[999995000,1],"innerInstructions":[],'
    b'"preTokenBalances":[],"postTokenBalances":[],"rewards":[],"loadedAddresses":{"writable":[],"readonly":[]},'
    b'"computeUnitsConsumed":150,"costUnits":150}',
)
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_SIGNATURE_KEY = 16
"""Bytes of a signature that it is looked up by; the whole one is compared when it is found."""
_FEW = 32
"""Up to so many transactions of an account, a list takes less memory than a deque."""


class _Row:
    """A record as it is held."""

    __slots__ = ("packed", "slot")

    def __init__(self, record: Record) -> None:
        self.slot = record.slot
        told = [record.height, record.time, record.error, record.logs, record.memo]
        keys = b"".join(map(bytes, record.accounts))
        self.packed = _PACKER.pack((record.wire, _json(told), record.meta, keys))

    def record(self) -> Record:
        """The record again."""
        wire, told, meta, keys = _PACKER.unpack(self.packed)
        height, time, error, logs, memo = json.loads(told)
        return Record(
            signature=str(VersionedTransaction.from_bytes(wire).signatures[0]),
            slot=self.slot,
            height=height,
            time=time,
            wire=wire,
            error=error,
            logs=tuple(logs),
            meta=meta,
            memo=memo,
            accounts=tuple(Pubkey.from_bytes(keys[at : at + 32]) for at in range(0, len(keys), 32)),
        )


class Records(Sequence[Record]):
    """Records of a moment, oldest first; each is made when it is looked at."""

    def __init__(self, rows: Iterable[_Row]) -> None:
        self._rows = tuple(rows)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Records: ...
    def __getitem__(self, index: int | slice) -> Record | Records:
        """One record, or some of them."""
        return Records(self._rows[index]) if isinstance(index, slice) else self._rows[index].record()

    def __len__(self) -> int:
        return len(self._rows)


class Ledger:
    """The newest `limit` transactions."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rows: deque[_Row] = deque()
        self._by_signature: dict[bytes, _Row] = {}
        self._by_account: dict[Pubkey, list[_Row] | deque[_Row]] = {}
        self._by_slot: dict[int, deque[_Row]] = {}
        self.incomplete_upto = -1
        """The newest slot of which a transaction was forgotten."""

    def append(self, record: Record) -> None:
        """Add the newest transaction; beyond the limit the oldest is forgotten."""
        row = _Row(record)
        self._rows.append(row)
        self._by_signature[_key(record.signature)] = row
        self._by_slot.setdefault(record.slot, deque()).append(row)
        for key in record.accounts:
            self._index(key, row)
        if len(self._rows) > self._limit:
            self._forget_oldest()

    def _index(self, key: Pubkey, row: _Row) -> None:
        rows = self._by_account.setdefault(key, [])
        if len(rows) == _FEW and isinstance(rows, list):
            rows = self._by_account[key] = deque(rows)
        rows.append(row)

    def _forget_oldest(self) -> None:
        row = self._rows.popleft()
        self.incomplete_upto = row.slot
        record = row.record()
        del self._by_signature[_key(record.signature)]
        same_slot = self._by_slot[row.slot]
        same_slot.popleft()
        if not same_slot:
            del self._by_slot[row.slot]
        for key in record.accounts:
            rows = self._by_account[key]
            del rows[0]
            if not rows:
                del self._by_account[key]

    def drop_after(self, slot: int) -> list[Record]:
        """Forget the transactions of later slots, as if they had never been: those dropped, oldest first."""
        gone: list[Record] = []
        while self._rows and self._rows[-1].slot > slot:
            row = self._rows.pop()
            record = row.record()
            gone.append(record)
            del self._by_signature[_key(record.signature)]
            self._by_slot.pop(row.slot, None)
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
        row = self._by_signature.get(_key(signature))
        record = row.record() if row is not None else None
        return record if record is not None and record.signature == signature else None

    def filled_slots(self) -> list[int]:
        """Slots of which transactions are held, oldest first."""
        return list(self._by_slot)

    def in_slot(self, slot: int) -> Sequence[Record]:
        """The slot's transactions, in order."""
        return Records(self._by_slot.get(slot, ()))

    def of_account(self, key: Pubkey) -> Iterator[Record]:
        """Transactions that name the account, newest first."""
        return (row.record() for row in reversed(self._by_account.get(key, ())))

    def records(self) -> Sequence[Record]:
        """Everything held, oldest first: for saving."""
        return Records(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class _OldLedger(Ledger):
    """Shows only what was there at a slot. Nothing is copied."""

    def __init__(self, ledger: Ledger, slot: int) -> None:
        self.__dict__.update(ledger.__dict__)
        self._slot = slot

    def find(self, signature: str) -> Record | None:
        """The transaction of that signature."""
        record = super().find(signature)
        return record if record is not None and record.slot <= self._slot else None

    def in_slot(self, slot: int) -> Sequence[Record]:
        """The slot's transactions, in order."""
        return super().in_slot(slot) if slot <= self._slot else ()

    def of_account(self, key: Pubkey) -> Iterator[Record]:
        """Transactions that name the account, newest first."""
        return (record for record in super().of_account(key) if record.slot <= self._slot)


def _key(signature: str) -> bytes:
    return bytes(Signature.from_string(signature))[:_SIGNATURE_KEY]


def _json(value: Any) -> bytes:
    return _ENCODER.encode(value).encode()
