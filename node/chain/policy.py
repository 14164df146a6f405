"""What a wallet signs: which instructions for which kind of transaction, with which accounts, and up to which cost.

The signer asks this policy before every signature, so that a mistake elsewhere in the agent, or bytes made by someone
else, cannot move funds in a way that no kind of ours does, nor to anybody whom the wallet's owner has not named.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from solders.message import Message, MessageV0

from node.chain import fees
from node.chain.clusters import Cluster
from node.chain.codec import instruction_discriminator
from node.chain.shapes import Own, Shape, fit, name_accounts
from node.chain.transaction import MAX_UNITS
from node.errors import SpendingRefused
from node.records import Address

FEE_LIMIT = 10_000_000
"""Lamports of fee that no transaction of ours may cost (0.01 SOL)."""

OPENINGS = 2
"""Token accounts that one transaction may open: that of the pay and that of a refund."""

STARTING = frozenset({"work", "claim", "list", "assign", "memo"})
"""Kinds that begin something new, or that nobody's pay depends on (the memo of a work proof); only they stop when the
day's cap is reached."""

Kinds = Mapping[str, frozenset[str]]
"""Kind of transaction -> names of instructions it may hold besides those that every kind may."""

ALWAYS = frozenset({"budget.limit", "budget.price", "memo.memo", "ata.create"})


def _kinds(**table: str) -> Kinds:
    return {kind: frozenset(names.split()) for kind, names in table.items()}


NODE_KINDS = _kinds(
    work="jobs.work",
    claim="jobs.claim",
    stop="jobs.stop",
    finish="jobs.finish",
    complete="jobs.complete",
    quit="jobs.quit",
    register="nodes.register",
    update="nodes.update",
    stake="staking.stake rewards.enter",
    topup="staking.topup",
    memo="",
    token_account="",
)
"""What a node does by itself."""

POSTER_KINDS = _kinds(
    list="jobs.list",
    assign="jobs.assign",
    extend="jobs.extend",
    delist="jobs.delist",
    end="jobs.end",
    recover="jobs.recover",
    clean="jobs.clean",
    token_account="",
)
"""What a poster does."""

OWNER_KINDS = _kinds(
    transfer="system.transfer token.transfer",
    stake="staking.stake rewards.enter",
    topup="staking.topup",
    stake_extend="staking.extend",
    unstake="staking.unstake rewards.close",
    restake="staking.restake",
    withdraw="staking.withdraw",
    stake_close="staking.close",
    reward_claim="rewards.claim",
    reward_sync="rewards.sync",
    market_open="jobs.open",
    market_update="jobs.update",
    market_close="jobs.close",
)
"""What a person does with a wallet by an explicit command."""

SWEEP_KINDS: Kinds = {**OWNER_KINDS, "transfer": frozenset({"token.transfer"})}
"""What `wallet sweep` does: it moves NOS and no SOL. The rest is there to see an interrupted command through."""

_ANCHOR_NAMES: dict[str, tuple[str, ...]] = {
    "jobs": (
        *("open", "update", "close", "list", "assign", "extend", "delist", "recover", "end"),
        *("work", "stop", "claim", "complete", "finish", "quit", "clean"),
    ),
    "nodes": ("register", "update"),
    "staking": ("stake", "topup", "extend", "unstake", "restake", "withdraw", "close"),
    "rewards": ("enter", "claim", "sync", "close"),
}


async def nothing_spent() -> int:
    """A ledger for wallets whose spending is not counted."""
    return 0


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction of a message, read: `shape` and `accounts` belong together. `data`: its arguments as sent."""

    name: str
    shape: Shape
    accounts: tuple[Address, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class SpendingPolicy:
    """The kinds of transaction a wallet signs, whom it may pay, and its daily cap.

    `payout`: what the lane's settings pay instead of the wallet (a token account, or the owner of one). `receivers`:
    whom the owner told to send to; None leaves that to whoever confirms each transaction. `daily_lamports` bounds fees
    and rent of the last 24 h, which `spent` counts (lamports); None: no bound.
    """

    cluster: Cluster
    kinds: Kinds
    daily_lamports: int | None = None
    spent: Callable[[], Awaitable[int]] = nothing_spent
    payout: Address | None = None
    receivers: frozenset[Address] | None = frozenset()

    async def check(
        self, kind: str, message: Message | MessageV0, signer: Address, beside: Collection[Address] | None = None
    ) -> None:
        """Raise SpendingRefused unless `signer` may sign this message as a transaction of this kind.

        `beside`: the one-time keys that sign with it; None where others sign, and have to be taken as they are.
        """
        steps = self.read(kind, message, signer)
        fresh = {
            account for step in steps for slot, account in zip(step.shape, step.accounts, strict=True) if slot.fresh
        }
        if beside is not None and fresh != set(beside):
            raise SpendingRefused("the one-time keys of the transaction are not those that were made for it")
        self._check_accounts(steps, message, signer)
        cost = fee(message, self.cluster)
        if cost > FEE_LIMIT:
            raise SpendingRefused(
                f"a fee of {cost} lamports is over the {FEE_LIMIT} that one transaction may cost",
                hint="Lower `fees.cap` in the settings.",
            )
        await self._check_day(kind, cost)

    def read(self, kind: str, message: Message | MessageV0, signer: Address) -> tuple[Step, ...]:
        """The instructions of a message, each in its shape. Raises SpendingRefused for what this kind may not hold."""
        listed = self.kinds.get(kind)
        if listed is None:
            raise SpendingRefused(
                f"this wallet's role does not sign transactions of kind {kind!r}",
                hint=f"It signs: {', '.join(sorted(self.kinds))}.",
            )
        if isinstance(message, MessageV0) and message.address_table_lookups:
            raise SpendingRefused("a transaction with address table lookups hides which accounts it touches")
        keys = _keys(message)
        if keys[0] != signer:
            raise SpendingRefused("this wallet would not pay the fee of the transaction it is asked to sign")
        own = Own(self.cluster, signer, self.payout, self.receivers)
        steps = tuple(
            self._step(kind, listed | ALWAYS, own, _account(keys, each.program_id_index), each, keys)
            for each in message.instructions
        )
        _check_counts(steps)
        _check_openings(own, steps)
        return steps

    def _step(
        self, kind: str, allowed: frozenset[str], own: Own, program: Address, raw: object, keys: Sequence[Address]
    ) -> Step:
        data, indexes = bytes(raw.data), bytes(raw.accounts)  # type: ignore[attr-defined]
        name = instruction_name(self.cluster, program, data)
        if name is None or name not in allowed:
            raise SpendingRefused(
                f"a transaction of kind {kind!r} may not hold the instruction "
                f"{name or f'{data[:8].hex()} of program {program}'}",
                hint=f"It may hold: {', '.join(sorted(allowed))}.",
            )
        accounts = tuple(_account(keys, index) for index in indexes)
        shape, fault = fit(own, name, accounts)
        if fault is not None:
            raise SpendingRefused(
                f"{name} names {fault.account or 'too many or too few accounts'} as {fault.slot}; "
                f"it may be {fault.expected}",
                hint="Nothing is signed that would pay, or give rights to, anybody whom the settings do not name.",
            )
        return Step(name, shape, accounts, data)

    def _check_accounts(self, steps: Sequence[Step], message: Message | MessageV0, signer: Address) -> None:
        """Every account has a place in an instruction, and exactly the rights that the place needs."""
        wanted: dict[Address, set[str]] = {signer: {"W", "S"}}
        for step in steps:
            for slot, account in zip(step.shape, step.accounts, strict=True):
                wanted.setdefault(account, set()).update(slot.flags)
        programs = {_account(_keys(message), each.program_id_index) for each in message.instructions}
        for index, account in enumerate(_keys(message)):
            held = rights(message, index)
            if held != wanted.get(account, set()) or (account not in wanted and account not in programs):
                raise SpendingRefused(
                    f"account {account} {_spoken(held)}, which nothing in the transaction needs",
                    hint="Every account must have a place in one of the instructions, and no more rights than that.",
                )

    async def _check_day(self, kind: str, cost: int) -> None:
        if self.daily_lamports is None or kind not in STARTING:
            return
        spent = await self.spent()
        if spent + cost > self.daily_lamports:
            raise SpendingRefused(
                f"{spent / 1e9:.6f} SOL were spent on fees and rent in 24 h, the cap is "
                f"{self.daily_lamports / 1e9:.6f} SOL",
                hint="Wait, or raise `fees.daily_sol`; jobs already taken are settled regardless.",
            )


def instruction_name(cluster: Cluster, program: Address, data: bytes) -> str | None:
    """`room.instruction` for an instruction this product knows, None for any other."""
    for room, names in _ANCHOR_NAMES.items():
        if program == getattr(cluster, room):
            found = data[:8]
            return next((f"{room}.{name}" for name in names if instruction_discriminator(name) == found), None)
    if program == cluster.compute_budget:
        return {(2, 5): "budget.limit", (3, 9): "budget.price"}.get((data[0] if data else -1, len(data)))
    if program == cluster.memo:
        return "memo.memo"
    if program == cluster.ata:
        # Only the form that is no error where the account exists.
        return "ata.create" if data == b"\1" else None
    if program == cluster.token:
        return "token.transfer" if data[:1] == b"\3" and len(data) == 9 else None
    if program == cluster.system:
        return "system.transfer" if data[:4] == b"\2\0\0\0" and len(data) == 12 else None
    return None


def fee(message: Message | MessageV0, cluster: Cluster) -> int:
    """Lamports that the message costs when it lands. Raises SpendingRefused where its budget cannot be read."""
    units, price = 200_000 * len(message.instructions), 0
    keys = _keys(message)
    for each in message.instructions:
        if _account(keys, each.program_id_index) != cluster.compute_budget:
            continue
        data = bytes(each.data)
        if data[:1] == b"\2":
            units = int.from_bytes(data[1:5], "little")
        else:
            price = int.from_bytes(data[1:9], "little")
    return fees.total(message.header.num_required_signatures, price, units)


def _check_counts(steps: Sequence[Step]) -> None:
    names = [step.name for step in steps]
    for name in set(names):
        if names.count(name) > (OPENINGS if name == "ata.create" else 1):
            raise SpendingRefused(f"{name} is there {names.count(name)} times: a fee or an effect stated twice")
    for step in steps:
        units = int.from_bytes(step.data[1:5], "little")
        if step.name == "budget.limit" and units > MAX_UNITS:
            raise SpendingRefused(f"{units} compute units are more than the {MAX_UNITS} that a transaction may use")


def _check_openings(own: Own, steps: Sequence[Step]) -> None:
    """Rent of a token account goes to whoever can close it: only those that the transaction pays or uses are opened."""
    used = {own.tokens, *own.payouts, *(own.receiving or ())}
    used |= {account for step in steps for slot, account in zip(step.shape, step.accounts, strict=True) if slot.opens}
    for step in steps:
        if step.name != "ata.create":
            continue
        opened = name_accounts(step.shape, step.accounts)["account"]
        if opened not in used:
            raise SpendingRefused(
                f"the token account {opened} would be opened, and nothing in the transaction uses it",
                hint="The rent of a token account goes to its owner: it is paid only where it is needed.",
            )


def _keys(message: Message | MessageV0) -> tuple[Address, ...]:
    keys = tuple(Address(str(key)) for key in message.account_keys)
    signers = message.header.num_required_signatures
    if not 0 < signers <= len(keys) or len(set(keys)) != len(keys):
        raise SpendingRefused("the transaction's list of accounts is malformed")
    return keys


def _account(keys: Sequence[Address], index: int) -> Address:
    if index >= len(keys):
        raise SpendingRefused("the transaction names an account that it does not hold")
    return keys[index]


def rights(message: Message | MessageV0, index: int) -> set[str]:
    """W and S, as the message's header gives them to its accounts by their place."""
    header, count = message.header, len(message.account_keys)
    if index < header.num_required_signatures:
        writes = index < header.num_required_signatures - header.num_readonly_signed_accounts
        return {"S", "W"} if writes else {"S"}
    return {"W"} if index < count - header.num_readonly_unsigned_accounts else set()


def _spoken(held: set[str]) -> str:
    said = {frozenset("W"): "is written", frozenset("S"): "signs", frozenset("WS"): "signs and is written"}
    return said.get(frozenset(held), "is there, or has fewer rights than needed")
