"""What a transaction that somebody offers for signing would do: every instruction read, nothing signed.

A back end, a market or a web page may hand a transaction to sign. It is taken apart here, held against the spending
policy, and shown whole to a person: names, arguments, who each account is, the fee, and why it is refused.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from solders.message import Message, MessageV0, from_bytes_versioned
from solders.signature import Signature as RawSignature
from solders.transaction import VersionedTransaction

from node.base58 import b58decode
from node.chain import addresses, policy
from node.chain.clusters import Cluster
from node.chain.policy import NODE_KINDS, OWNER_KINDS, POSTER_KINDS, SpendingPolicy, instruction_name
from node.chain.shapes import Own, fit
from node.chain.transaction import SIZE_LIMIT
from node.errors import SpendingRefused, WalletError
from node.records import Address

TEXT_LIMIT = 8 * SIZE_LIMIT
"""Characters of a transaction in base64 or base58 that are looked at."""
REVIEWED_KINDS = {**NODE_KINDS, **POSTER_KINDS, **OWNER_KINDS}


@dataclass(frozen=True, slots=True)
class SeenAccount:
    """One account of an instruction. `who`: what it is to this wallet. `flags`: W writes, S signs."""

    name: str
    address: Address
    flags: str
    who: str


@dataclass(frozen=True, slots=True)
class SeenInstruction:
    """One instruction. `name` is None for one that is not known; then `data` is all there is to see."""

    name: str | None
    program: Address
    accounts: tuple[SeenAccount, ...]
    arguments: Mapping[str, int | str]
    data: str


@dataclass(frozen=True, slots=True)
class Review:
    """What a transaction would do. `kind`: as what it may be signed, None where it is refused for `refusals`.

    `fee` in lamports, None where it cannot be read.
    """

    version: str
    payer: Address
    signers: Mapping[Address, bool]
    """Who has to sign, and whether they have."""
    fee: int | None
    instructions: tuple[SeenInstruction, ...]
    kind: str | None
    refusals: tuple[str, ...]
    transaction: VersionedTransaction = field(repr=False)

    def document(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "version": self.version,
            "payer": self.payer,
            "signers": [{"address": address, "signed": signed} for address, signed in self.signers.items()],
            "fee": self.fee,
            "instructions": [
                {
                    "name": each.name,
                    "program": each.program,
                    "arguments": dict(each.arguments),
                    "accounts": [
                        {"name": one.name, "address": one.address, "flags": one.flags, "who": one.who}
                        for one in each.accounts
                    ],
                    "data": each.data,
                }
                for each in self.instructions
            ],
            "kind": self.kind,
            "allowed": self.kind is not None,
            "refusals": list(self.refusals),
        }


def decode_offer(content: bytes) -> VersionedTransaction:
    """The transaction in some bytes: raw, in base64 or in base58; or a message, which nobody has signed yet.

    Raises WalletError for anything else, and where bytes are left over.
    """
    candidates = [content]
    text = content[: TEXT_LIMIT + 1].decode("ascii", "replace").strip()
    if len(text) <= TEXT_LIMIT and text.isascii():
        for decode in (_base64, _base58):
            raw = decode(text)
            if raw:
                candidates.append(raw)
    for raw in candidates:
        if 0 < len(raw) <= SIZE_LIMIT and (found := _parsed(raw)) is not None:
            return found
    raise WalletError(
        "this is no Solana transaction",
        hint=f"Give one of at most {SIZE_LIMIT} bytes, as it is, in base64 or in base58.",
    )


async def review(transaction: VersionedTransaction, cluster: Cluster, me: Address, allowed: SpendingPolicy) -> Review:
    """What the transaction would do, and as which kind `allowed` would have `me` sign it."""
    message = transaction.message
    keys = [Address(str(key)) for key in message.account_keys]
    own = Own(cluster, me, allowed.payout, allowed.receivers)
    signers = keys[: message.header.num_required_signatures]
    kind, refusals = await _verdict(transaction, me, allowed)
    try:
        fee = policy.fee(message, cluster) if isinstance(message, Message | MessageV0) else None
    except SpendingRefused:
        fee = None
    return Review(
        version={Message: "legacy", MessageV0: "0"}.get(type(message), "unknown"),
        payer=keys[0] if keys else Address(""),
        signers={
            address: signature != RawSignature.default()
            for address, signature in zip(signers, transaction.signatures, strict=False)
        },
        fee=fee,
        instructions=tuple(
            _seen(own, keys, message, each.program_id_index, bytes(each.accounts), bytes(each.data))
            for each in message.instructions
        ),
        kind=kind,
        refusals=refusals,
        transaction=transaction,
    )


async def _verdict(
    transaction: VersionedTransaction, me: Address, allowed: SpendingPolicy
) -> tuple[str | None, tuple[str, ...]]:
    message = transaction.message
    if not isinstance(message, Message | MessageV0):
        return None, ("its version is not known",)
    reasons: list[str] = []
    for kind in _kinds_of(allowed, message):
        try:
            await allowed.check(kind, message, me)
        except SpendingRefused as refused:
            if refused.message not in reasons:
                reasons.append(refused.message)
        else:
            return kind, ()
    return None, tuple(reasons) or ("its instructions are none that this wallet signs together",)


def _kinds_of(allowed: SpendingPolicy, message: Message | MessageV0) -> list[str]:
    """The kinds that list what the message holds; where none does, the one that comes nearest says why."""
    keys = message.account_keys
    names = {
        instruction_name(allowed.cluster, Address(str(keys[each.program_id_index])), bytes(each.data))
        for each in message.instructions
        if each.program_id_index < len(keys)
    }
    main = {name for name in names if name is not None and name not in policy.ALWAYS}
    nearest = sorted(allowed.kinds, key=lambda kind: (len(main ^ allowed.kinds[kind]), kind))
    fitting = [kind for kind in nearest if main <= allowed.kinds[kind] and (main or not allowed.kinds[kind])]
    return fitting or nearest[:1]


def _seen(own: Own, keys: list[Address], message: Any, program_at: int, indexes: bytes, data: bytes) -> SeenInstruction:
    def key(index: int) -> Address:
        # Beyond the list are accounts of a lookup table, which cannot be known from here.
        return keys[index] if index < len(keys) else Address(f"(not in the transaction: {index})")

    program = key(program_at)
    name = instruction_name(own.cluster, program, data)
    accounts = [key(index) for index in indexes]
    names, whys = [f"account {at}" for at in range(len(accounts))], [""] * len(accounts)
    if name is not None:
        shape, _ = fit(own, name, accounts)
        if shape:
            names, whys = [slot.name for slot in shape], [slot.why for slot in shape]
    return SeenInstruction(
        name=name,
        program=program,
        accounts=tuple(
            SeenAccount(
                names[at],
                account,
                "".join(sorted(policy.rights(message, indexes[at]))) if indexes[at] < len(keys) else "?",
                _who(own, account, whys[at]),
            )
            for at, account in enumerate(accounts)
        ),
        arguments={} if name is None else _arguments(name, data),
        data=data.hex(),
    )


def _who(own: Own, account: Address, why: str) -> str:
    known = {
        own.me: "this wallet",
        own.tokens: "this wallet's NOS account",
        addresses.stake_account(own.cluster, own.me): "this wallet's stake",
        addresses.stake_vault(own.cluster, own.me): "this wallet's stake vault",
        addresses.node_account(own.cluster, own.me): "this wallet's node account",
        addresses.reward_account(own.cluster, own.me): "this wallet's rewards",
        addresses.rewards_reflection(own.cluster): "totals of the rewards program",
        addresses.rewards_vault(own.cluster): "vault of the rewards program",
        **{getattr(own.cluster, each): f"the {each} program" for each in _PROGRAMS},
        own.cluster.nos_mint: "the NOS mint",
        **dict.fromkeys(own.payouts - {own.tokens}, "the payout of the settings"),
        **dict.fromkeys(own.receivers or (), "a receiver you named"),
        **dict.fromkeys(own.receiving or (), "NOS account of a receiver you named"),
    }
    return known.get(account) or (f"somebody's; {why}" if why else "somebody's")


_PROGRAMS = ("jobs", "nodes", "staking", "rewards", "token", "ata", "memo", "system", "compute_budget", "metadata")


def _number(start: int, size: int) -> Callable[[bytes], int]:
    return lambda data: int.from_bytes(data[start : start + size], "little")


def _cid(data: bytes) -> str:
    return addresses.hash_to_cid(data[8:40]) if len(data) >= 40 else "(cut off)"


_ARGUMENTS: dict[str, dict[str, Callable[[bytes], int | str]]] = {
    "budget.limit": {"units": _number(1, 4)},
    "budget.price": {"micro_lamports_per_unit": _number(1, 8)},
    "memo.memo": {"text": lambda data: data[:512].decode("utf-8", "backslashreplace")},
    "system.transfer": {"lamports": _number(4, 8)},
    "token.transfer": {"micro_nos": _number(1, 8)},
    "staking.stake": {"micro_nos": _number(8, 8), "seconds": _number(16, 16)},
    "staking.topup": {"micro_nos": _number(8, 8)},
    "staking.extend": {"seconds": _number(8, 8)},
    "jobs.list": {"definition": _cid, "seconds": _number(40, 8)},
    "jobs.assign": {"definition": _cid, "seconds": _number(40, 8)},
    "jobs.extend": {"seconds": _number(8, 8)},
    "jobs.finish": {"result": _cid},
    "jobs.complete": {"result": _cid},
}


def _arguments(name: str, data: bytes) -> dict[str, int | str]:
    return {key: read(data) for key, read in _ARGUMENTS.get(name, {}).items()}


def _base64(text: str) -> bytes | None:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, binascii.Error):
        return None


def _base58(text: str) -> bytes | None:
    try:
        return b58decode(text)
    except ValueError:
        return None


def _parsed(raw: bytes) -> VersionedTransaction | None:
    # What does not come out as it went in has bytes that would not be shown.
    try:
        transaction = VersionedTransaction.from_bytes(raw)
        if bytes(transaction) == raw and transaction.message.account_keys:
            return transaction
    except Exception:  # noqa: S110 (whatever the parser says: it is none)
        pass
    try:
        message = from_bytes_versioned(raw)
        count = message.header.num_required_signatures
        unsigned = VersionedTransaction.populate(message, [RawSignature.default()] * count)
        if bytes(unsigned)[1 + 64 * count :] == raw and message.account_keys:
            return unsigned
    except Exception:  # noqa: S110
        pass
    return None
