"""What the wallet must hold before it can join: SOL by item, token account, stake.

The sum is told whole: an operator who has to top up learns every missing item at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from solders.instruction import Instruction

from node.chain import accounts, addresses
from node.chain.accounts import RawAccount
from node.chain.clusters import Cluster
from node.chain.instructions import staking, tokens
from node.chain.token_accounts import decode_token_account
from node.errors import AccountMalformed, FundsMissing, MarketError, StakeMissing
from node.market.access_key import find_access_token
from node.market.context import MarketContext
from node.records import Address, Market, Stake

LAMPORTS_PER_SOL = 1_000_000_000
MICRO_NOS = 1_000_000
FEE_RESERVE = 1_000_000
"""Lamports kept for fees: a few hundred transactions at the base fee of 5,000 lamports a signature."""
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Need:
    """One thing the wallet needs SOL for."""

    name: str
    lamports: int


@dataclass(frozen=True, slots=True)
class FundsReport:
    """What the wallet holds and what it lacks for one market."""

    node: Address
    lamports: int
    nos: int
    """Micro-NOS in the wallet's own token account."""
    needs: tuple[Need, ...]
    token_account: bool
    """Whether the NOS token account exists."""
    stake: Stake | None
    xnos: int
    """The stake's weight; 0 without one, and while it is being taken out."""
    xnos_minimum: int

    @property
    def needed(self) -> int:
        """Lamports needed in all."""
        return sum(need.lamports for need in self.needs)

    @property
    def missing(self) -> int:
        """Lamports missing, 0 when there is enough."""
        return max(self.needed - self.lamports, 0)

    @property
    def missing_xnos(self) -> int:
        """Stake weight missing for this market."""
        return max(self.xnos_minimum - self.xnos, 0)

    def sum_of_needs(self) -> str:
        """`0.0041 SOL = 0.0020 token account + ...`, for people."""
        parts = " + ".join(f"{need.lamports / LAMPORTS_PER_SOL:.6f} {need.name}" for need in self.needs)
        return f"{self.needed / LAMPORTS_PER_SOL:.6f} SOL = {parts}"


async def check(context: MarketContext, market: Market) -> FundsReport:
    """Look at the wallet, its token account, its stake and its node account."""
    cluster, node, rpc = context.cluster, context.node, context.rpc
    token, stake, registered = await rpc.get_accounts(
        [
            addresses.token_account(cluster, node),
            addresses.stake_account(cluster, node),
            addresses.node_account(cluster, node),
        ]
    )
    needs = [Need("run account (comes back)", await rpc.get_minimum_rent(accounts.RUN_SIZE))]
    token_rent = await rpc.get_minimum_rent(accounts.TOKEN_ACCOUNT_SIZE)
    if token is None:
        needs.append(Need("NOS token account", token_rent))
    if stake is None:
        needs.append(Need("stake account", await rpc.get_minimum_rent(accounts.STAKE_SIZE) + token_rent))
    if registered is None:
        needs.append(Need("node account", await rpc.get_minimum_rent(accounts.NODE_SIZE)))
    needs.append(Need("fees", FEE_RESERVE))
    staked = None if stake is None else accounts.decode_stake(stake, cluster)
    return FundsReport(
        node=node,
        lamports=await rpc.get_balance(node),
        nos=0 if token is None else await rpc.get_token_amount(addresses.token_account(cluster, node)),
        needs=tuple(needs),
        token_account=token is not None,
        stake=staked,
        xnos=0 if staked is None else staked.xnos,
        xnos_minimum=market.xnos_minimum,
    )


async def prepare(context: MarketContext, market: Market) -> FundsReport:
    """Make what is missing and may be made: the NOS token account and an empty (or configured) stake.

    Raises FundsMissing with the sum of what is missing, StakeMissing, AccessKeyMissing, or MarketError for a payout
    that could not be paid.
    """
    await find_access_token(context, market)
    await check_payout(context)
    report = await check(context, market)
    require_lamports(report)
    if report.stake is None and not context.stake.create:
        raise StakeMissing(
            f"wallet {context.node} has no stake account, which every node needs",
            hint="make one with `gpunode stake create`, or set `stake.create: true`",
        )
    await _make_accounts(context, report)
    report = await check(context, market)
    if report.missing_xnos:
        raise StakeMissing(
            f"stake of {report.xnos / MICRO_NOS:.6f} xNOS is below the {report.xnos_minimum / MICRO_NOS:.6f} "
            f"that market {market.address} asks",
            hint=raise_stake(report),
        )
    return report


async def check_payout(context: MarketContext) -> None:
    """See that `payout` can be paid in NOS, before a job is done and not after. Raises MarketError."""
    if context.payout is None:
        return
    named = await context.rpc.get_account(context.payout)
    if named is None or named.owner == context.cluster.system:
        # A wallet, perhaps a new one: its own NOS account is paid, and made with the first pay. An address without
        # a key is no wallet, but most likely a token account that does not exist yet: nobody could spend from it.
        if addresses.to_key(context.payout).is_on_curve():
            return
        reason = "does not exist, and no key can own it"
    elif named.owner != context.cluster.token:
        reason = "is neither a wallet nor a token account"
    else:
        reason = _payout_trouble(named, context.cluster)
    if reason:
        raise MarketError(
            f"payout {context.payout} {reason}", hint="name a wallet, or a NOS token account, in the lane's `payout`"
        )


def _payout_trouble(named: RawAccount, cluster: Cluster) -> str:
    try:
        mint = decode_token_account(named, cluster).mint
    except AccountMalformed:
        return "is no token account"
    return "" if mint == cluster.nos_mint else f"holds tokens of {mint}, not NOS"


def require_lamports(report: FundsReport) -> None:
    """Raise FundsMissing when the wallet cannot pay for what it needs."""
    if report.missing:
        raise FundsMissing(
            f"wallet {report.node} holds {report.lamports / LAMPORTS_PER_SOL:.6f} SOL and lacks "
            f"{report.missing / LAMPORTS_PER_SOL:.6f} SOL",
            hint=f"send it SOL; needed: {report.sum_of_needs()}",
        )


def raise_stake(report: FundsReport) -> str:
    """The command that brings the weight up to the market's minimum."""
    stake = report.stake
    if stake is None:
        return "gpunode stake create"
    if stake.time_unstake:
        return "the stake is being taken out: withdraw it and make a new one (gpunode stake withdraw)"
    more = staking.amount_for(report.xnos_minimum, stake.duration) - stake.amount
    return f"gpunode stake topup {more / MICRO_NOS:.6f}"


async def _make_accounts(context: MarketContext, report: FundsReport) -> None:
    cluster, node = context.cluster, context.node
    instructions: list[Instruction] = []
    if not report.token_account:
        instructions.append(tokens.create_token_account(cluster, payer=node, owner=node))
    if report.stake is None:
        amount = round(context.stake.amount * MICRO_NOS)
        if amount > report.nos:
            raise FundsMissing(
                f"wallet {node} holds {report.nos / MICRO_NOS:.6f} NOS, less than the "
                f"{context.stake.amount:.6f} NOS that `stake.amount` asks",
                hint="send it NOS, or lower `stake.amount` (0 is allowed)",
            )
        instructions.append(staking.stake(cluster, authority=node, amount=amount, duration=context.stake.days * DAY))
    if not instructions:
        return

    await context.send(f"stake:{node}", "stake", instructions)
