"""What a wallet signs: which instructions for which kind of transaction, and up to which cost.

The signer asks this policy before every signature, so that a mistake elsewhere in the agent, or bytes made by someone
else, cannot move funds in a way that no kind of ours does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from solders.message import MessageV0

from node.chain import fees
from node.chain.clusters import Cluster
from node.chain.codec import instruction_discriminator
from node.errors import SpendingRefused
from node.records import Address

FEE_LIMIT = 10_000_000
"""Lamports of fee that no transaction of ours may cost (0.01 SOL)."""

STARTING = frozenset({"work", "claim", "list", "assign"})
"""Kinds that begin something new; only they stop when the day's cap is reached."""

Kinds = Mapping[str, frozenset[str]]
"""Kind of transaction -> names of instructions it may hold besides those that every kind may."""

_ALWAYS = frozenset({"budget.limit", "budget.price", "memo.memo", "ata.create"})


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
class SpendingPolicy:
    """The kinds of transaction a wallet signs, and its daily cap.

    `daily_lamports` bounds fees and rent of the last 24 h, which `spent` counts (lamports); None: no bound.
    """

    cluster: Cluster
    kinds: Kinds
    daily_lamports: int | None = None
    spent: Callable[[], Awaitable[int]] = nothing_spent

    async def check(self, kind: str, message: MessageV0, signer: Address) -> None:
        """Raise SpendingRefused unless `signer` may sign this message as a transaction of this kind."""
        listed = self.kinds.get(kind)
        if listed is None:
            raise SpendingRefused(
                f"this wallet's role does not sign transactions of kind {kind!r}",
                hint=f"It signs: {', '.join(sorted(self.kinds))}.",
            )
        if message.address_table_lookups:
            raise SpendingRefused("a transaction with address table lookups hides which accounts it touches")
        if str(message.account_keys[0]) != signer:
            raise SpendingRefused("this wallet would not pay the fee of the transaction it is asked to sign")
        self._check_instructions(kind, listed | _ALWAYS, message)
        cost = _fee(message, self.cluster)
        if cost > FEE_LIMIT:
            raise SpendingRefused(
                f"a fee of {cost} lamports is over the {FEE_LIMIT} that one transaction may cost",
                hint="Lower `fees.cap` in the settings.",
            )
        await self._check_day(kind, cost)

    def _check_instructions(self, kind: str, allowed: frozenset[str], message: MessageV0) -> None:
        for each in message.instructions:
            program = Address(str(message.account_keys[each.program_id_index]))
            name = instruction_name(self.cluster, program, bytes(each.data))
            if name not in allowed:
                raise SpendingRefused(
                    f"a transaction of kind {kind!r} may not hold the instruction "
                    f"{name or f'{bytes(each.data)[:8].hex()} of program {program}'}",
                    hint=f"It may hold: {', '.join(sorted(allowed))}.",
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
        return {2: "budget.limit", 3: "budget.price"}.get(data[0] if data else -1)
    if program == cluster.memo:
        return "memo.memo"
    if program == cluster.ata:
        # Only the form that is no error where the account exists.
        return "ata.create" if data == b"\1" else None
    if program == cluster.token:
        return "token.transfer" if data[:1] == b"\3" else None
    if program == cluster.system:
        return "system.transfer" if data[:4] == b"\2\0\0\0" else None
    return None


def _fee(message: MessageV0, cluster: Cluster) -> int:
    units, price = 200_000 * len(message.instructions), 0
    for each in message.instructions:
        if str(message.account_keys[each.program_id_index]) != cluster.compute_budget:
            continue
        data = bytes(each.data)
        if data[0] == 2:
            units = int.from_bytes(data[1:5], "little")
        else:
            price = int.from_bytes(data[1:9], "little")
    return fees.total(message.header.num_required_signatures, price, units)
