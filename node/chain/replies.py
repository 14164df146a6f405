"""What RPC endpoints answer, as records. Parsers raise LookupError, TypeError or ValueError on any other shape."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from solders.hash import Hash, ParseHashError
from solders.transaction import VersionedTransaction

from node.chain.accounts import RawAccount
from node.chain.failures import failure
from node.errors import TransactionFailed
from node.records import Address, Signature

T = TypeVar("T")
Commitment = Literal["processed", "confirmed", "finalized"]
_LEVELS: tuple[Commitment, ...] = ("processed", "confirmed", "finalized")


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """A value and the slot of the view it was read from."""

    value: T
    slot: int


@dataclass(frozen=True, slots=True)
class LatestBlockhash:
    """A blockhash to sign with."""

    blockhash: str
    last_valid_block_height: int
    slot: int


@dataclass(frozen=True, slots=True)
class BlockSummary:
    """A block without its transactions."""

    slot: int
    blockhash: str
    height: int | None
    time: int | None
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class SignatureStatus:
    """Where a signature stands. `error` is the runtime's error value; None: it succeeded."""

    slot: int
    error: object
    commitment: Commitment

    def reached(self, commitment: Commitment) -> bool:
        """Whether the transaction is at least that settled."""
        return _LEVELS.index(self.commitment) >= _LEVELS.index(commitment)


@dataclass(frozen=True, slots=True)
class SignatureInfo:
    """One entry of an account's history, newest first."""

    signature: Signature
    slot: int
    failed: bool
    memo: str | None
    time: int | None


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a transaction would do now."""

    units: int
    """Compute units used."""
    logs: tuple[str, ...]
    slot: int
    failure: TransactionFailed | None


@dataclass(frozen=True, slots=True)
class LandedInstruction:
    """A top-level instruction of a landed transaction."""

    program: Address
    accounts: tuple[Address, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class TokenChange:
    """A token account's balance before and after a transaction, in the mint's smallest unit."""

    account: Address
    mint: Address
    owner: Address | None
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class LandedTransaction:
    """A transaction of the ledger."""

    signature: Signature
    slot: int
    time: int | None
    fee: int
    failure: TransactionFailed | None
    logs: tuple[str, ...]
    keys: tuple[Address, ...]
    signers: tuple[Address, ...]
    instructions: tuple[LandedInstruction, ...]
    token_changes: tuple[TokenChange, ...]
    payer_change: int
    """Lamports the fee payer gained; negative: what it paid in fees, rent and transfers."""
    wire: bytes = field(default=b"", repr=False)
    """As it was signed; empty: not kept."""
    lamport_changes: tuple[int, ...] = ()
    """Lamports that each of the `keys` gained, in their order."""


def integer(value: Any) -> int:
    """A JSON integer, and nothing that only looks like one."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r:.80} is not an integer")
    if not -(1 << 63) <= value < 1 << 64:
        raise ValueError("an integer of more than 64 bits")
    return value


def text(value: Any) -> str:
    """A JSON string."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.80} is not a string")
    return value


def optional_integer(value: Any) -> int | None:
    """A JSON integer or null."""
    return None if value is None else integer(value)


def context_slot(answer: Any) -> int:
    """The slot of the view that an answer with context was read from."""
    return integer(answer["context"]["slot"])


def slot_of(answer: Any) -> int:
    """The slot of an answer that is one (getSlot) or has a context."""
    return integer(answer) if isinstance(answer, int) else context_slot(answer)


def account(address: str, value: Any, slot: int) -> RawAccount:
    """An account in base64 encoding."""
    data, encoding = value["data"]
    if encoding != "base64":
        raise ValueError(f"data is encoded as {encoding!r}")
    return RawAccount(
        address=Address(address),
        owner=Address(text(value["owner"])),
        lamports=integer(value["lamports"]),
        data=base64.b64decode(text(data), validate=True),
        slot=slot,
    )


def optional_account(address: str, value: Any, slot: int) -> RawAccount | None:
    """An account, or None where there is none."""
    return None if value is None else account(address, value, slot)


def keyed_accounts(answer: Any) -> Seen[tuple[RawAccount, ...]]:
    """A list of accounts with their addresses, with context."""
    slot = context_slot(answer)
    return Seen(tuple(account(text(each["pubkey"]), each["account"], slot) for each in answer["value"]), slot)


def latest_blockhash(answer: Any) -> LatestBlockhash:
    """The answer to getLatestBlockhash."""
    value = answer["value"]
    blockhash = text(value["blockhash"])
    try:
        Hash.from_string(blockhash)
    except ParseHashError as error:
        raise ValueError("not a blockhash") from error
    return LatestBlockhash(blockhash, integer(value["lastValidBlockHeight"]), context_slot(answer))


def simulation(answer: Any) -> Simulation:
    """The answer to simulateTransaction."""
    value = answer["value"]
    logs = tuple(map(str, value.get("logs") or ()))
    error = value["err"]
    return Simulation(
        units=integer(value.get("unitsConsumed") or 0),
        logs=logs,
        slot=context_slot(answer),
        failure=None if error is None else failure(error, logs),
    )


def signature_status(value: Any) -> SignatureStatus | None:
    """One entry of getSignatureStatuses."""
    if value is None:
        return None
    level = value.get("confirmationStatus")
    if level not in _LEVELS:
        # Old servers leave it out; a count of null confirmations means rooted.
        level = "finalized" if value["confirmations"] is None else "processed"
    return SignatureStatus(integer(value["slot"]), value["err"], level)


def signature_info(value: Any) -> SignatureInfo:
    """One entry of getSignaturesForAddress."""
    memo = value.get("memo")
    return SignatureInfo(
        signature=Signature(text(value["signature"])),
        slot=integer(value["slot"]),
        failed=value["err"] is not None,
        memo=None if memo is None else text(memo),
        time=optional_integer(value.get("blockTime")),
    )


def landed_transaction(value: Any) -> LandedTransaction | None:
    """The answer to getTransaction in base64 encoding; None where the ledger does not hold it."""
    if value is None:
        return None
    raw, meta = value["transaction"], value["meta"]
    wire = base64.b64decode(text(raw[0]))
    transaction = VersionedTransaction.from_bytes(wire)
    message = transaction.message
    loaded = meta.get("loadedAddresses") or {}
    keys = tuple(
        Address(str(key)) for key in (*message.account_keys, *loaded.get("writable", ()), *loaded.get("readonly", ()))
    )
    logs = tuple(map(str, meta.get("logMessages") or ()))
    error = meta["err"]
    return LandedTransaction(
        signature=Signature(str(transaction.signatures[0])),
        slot=integer(value["slot"]),
        time=optional_integer(value.get("blockTime")),
        fee=integer(meta["fee"]),
        failure=None if error is None else failure(error, logs),
        logs=logs,
        keys=keys,
        signers=keys[: message.header.num_required_signatures],
        instructions=tuple(
            LandedInstruction(
                program=keys[each.program_id_index],
                accounts=tuple(keys[index] for index in each.accounts),
                data=bytes(each.data),
            )
            for each in message.instructions
        ),
        token_changes=_token_changes(meta, keys),
        payer_change=integer(meta["postBalances"][0]) - integer(meta["preBalances"][0]),
        wire=wire,
        lamport_changes=tuple(
            integer(after) - integer(before)
            for before, after in zip(meta["preBalances"], meta["postBalances"], strict=True)
        ),
    )


def _token_changes(meta: Any, keys: Sequence[Address]) -> tuple[TokenChange, ...]:
    sides = [
        {integer(each["accountIndex"]): each for each in meta.get(side) or ()}
        for side in ("preTokenBalances", "postTokenBalances")
    ]
    before, after = sides
    changes = []
    for index in sorted({*before, *after}):
        known = after.get(index) or before[index]
        owner = known.get("owner")
        changes.append(
            TokenChange(
                account=keys[index],
                mint=Address(text(known["mint"])),
                owner=None if owner is None else Address(text(owner)),
                before=_amount(before.get(index)),
                after=_amount(after.get(index)),
            )
        )
    return tuple(changes)


def _amount(entry: Any) -> int:
    return 0 if entry is None else int(text(entry["uiTokenAmount"]["amount"]))


def valued(parse: Callable[[Any], T]) -> Callable[[Any], Seen[T]]:
    """Parses the value of an answer with context."""
    return lambda answer: Seen(parse(answer["value"]), context_slot(answer))


def accounts_parser(addresses: Sequence[Address]) -> Callable[[Any], Seen[tuple[RawAccount | None, ...]]]:
    """Parses accounts in the order they were asked for."""

    def parse(answer: Any) -> Seen[tuple[RawAccount | None, ...]]:
        slot = context_slot(answer)
        pairs = zip(addresses, answer["value"], strict=True)
        return Seen(tuple(optional_account(address, value, slot) for address, value in pairs), slot)

    return parse


def statuses_parser(count: int) -> Callable[[Any], tuple[SignatureStatus | None, ...]]:
    """Parses `count` statuses. Raises ValueError for another number."""

    def parse(answer: Any) -> tuple[SignatureStatus | None, ...]:
        statuses = tuple(signature_status(each) for each in answer["value"])
        if len(statuses) != count:
            raise ValueError(f"{len(statuses)} statuses for {count} signatures")
        return statuses

    return parse
