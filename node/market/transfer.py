"""Sending SOL and NOS out of a wallet, by explicit command of its owner."""

from __future__ import annotations

from dataclasses import dataclass, replace

from solders.instruction import Instruction
from solders.keypair import Keypair

from node.chain import accounts, addresses
from node.chain.instructions import staking, tokens
from node.chain.intents import Intent, Landed
from node.errors import FundsMissing, MarketError
from node.market import funds
from node.market.context import MarketContext
from node.market.funds import FundsReport
from node.records import Address, Market

FEE_ROOM = 10_000
"""Lamports left for the fee of the transfer itself."""


async def send_sol(context: MarketContext, to: Address, lamports: int) -> Landed:
    """Move lamports. Raises FundsMissing, TransactionFailed and what reads raise."""
    rpc = context.rpc
    held, least = await rpc.get_balance(context.node), await rpc.get_minimum_rent(0)
    # The runtime lets no account fall below the rent of an empty one, and neither side may.
    spare = held - FEE_ROOM - least
    if lamports > spare:
        raise FundsMissing(
            f"wallet {context.node} holds {held / 1e9:.9f} SOL, {(lamports + FEE_ROOM + least) / 1e9:.9f} are needed",
            hint=f"send at most {max(spare, 0) / 1e9:.9f} SOL: the fee and an account's least balance stay",
        )
    if lamports < least and await rpc.get_balance(to) == 0:
        raise FundsMissing(
            f"{to} holds no SOL yet, and {lamports / 1e9:.9f} SOL is less than an account may hold",
            hint=f"send it at least {least / 1e9:.9f} SOL",
        )
    return await _send(context, [tokens.transfer_lamports(source=context.node, destination=to, lamports=lamports)])


async def send_nos(context: MarketContext, to: Address, amount: int) -> Landed:
    """Move `amount` micro-NOS to a wallet's NOS account, which is made where it is missing."""
    source = addresses.token_account(context.cluster, context.node)
    held = await context.rpc.get_token_amount(source)
    if held < amount:
        raise FundsMissing(
            f"wallet {context.node} holds {held / 1e6:.6f} NOS, {amount / 1e6:.6f} are needed",
            hint=f"send at most {held / 1e6:.6f} NOS",
        )
    destination = addresses.token_account(context.cluster, to)
    opening: list[Instruction] = []
    if await context.rpc.get_account(destination) is None:
        opening.append(tokens.create_token_account(context.cluster, payer=context.node, owner=to))
    move = tokens.transfer_tokens(
        context.cluster, source=source, destination=destination, owner=context.node, amount=amount
    )
    return await _send(context, [*opening, move])


@dataclass(frozen=True, slots=True)
class Sweep:
    """What could be swept. Micro-NOS and lamports."""

    held: int
    """In the wallet's own NOS account; what is staked lies elsewhere and is never touched."""
    kept: int
    amount: int
    """What is over; 0: nothing."""
    to: Address
    """The NOS account that gets it."""
    opens: bool
    """Whether that account is made first."""


async def plan_sweep(context: MarketContext, to: Address, keep: int, market: Market | None) -> Sweep:
    """What of a wallet's NOS goes to `to` (a wallet, or a NOS account), when `keep` micro-NOS stay.

    More stays where the stake is below what `market` asks: that much is kept for a top-up. Raises MarketError for a
    receiver that could not spend it, FundsMissing where SOL that the lane needs would be used up.
    """
    await funds.check_payout(replace(context, payout=to))
    cluster, rpc = context.cluster, context.rpc
    source = addresses.token_account(cluster, context.node)
    named = await rpc.get_account(to)
    direct = named is not None and named.owner == cluster.token
    account = to if direct else addresses.token_account(cluster, to)
    if account == source or to == context.node:
        raise MarketError(
            "that is this wallet's own account", hint="name another wallet in the lane's `payout`, or earnings.sweep_to"
        )
    held = await rpc.get_token_amount(source) if await rpc.get_account(source) is not None else 0
    opens = not direct and await rpc.get_account(account) is None
    kept = keep
    if market is not None:
        report = await funds.check(context, market)
        kept = max(keep, _needed_for_stake(report))
        rent = await rpc.get_minimum_rent(accounts.TOKEN_ACCOUNT_SIZE) if opens else 0
        if held > kept and report.lamports < report.needed + rent + FEE_ROOM:
            raise FundsMissing(
                f"wallet {context.node} holds {report.lamports / 1e9:.9f} SOL, and the lane needs "
                f"{(report.needed + rent + FEE_ROOM) / 1e9:.9f} with the sweep",
                hint="send it SOL first",
            )
    return Sweep(held, kept, max(held - kept, 0), account, opens)


def _needed_for_stake(report: FundsReport) -> int:
    """Micro-NOS that a stake lacks for its market; 0 where none is asked or it is being taken out."""
    if report.stake is None or report.stake.time_unstake or not report.missing_xnos:
        return 0
    return staking.amount_for(report.xnos_minimum, report.stake.duration) - report.stake.amount


async def sweep(context: MarketContext, planned: Sweep, owner: Address) -> Landed:
    """Move what is over. `owner`: of the account that is made, where it is."""
    opening: list[Instruction] = []
    if planned.opens:
        opening.append(tokens.create_token_account(context.cluster, payer=context.node, owner=owner))
    source = addresses.token_account(context.cluster, context.node)
    move = tokens.transfer_tokens(
        context.cluster, source=source, destination=planned.to, owner=context.node, amount=planned.amount
    )
    return await _send(context, [*opening, move])


async def _send(context: MarketContext, instructions: list[Instruction]) -> Landed:
    # A transfer may be repeated on purpose, so each has a key of its own: any unique text will do.
    key = f"transfer:{Keypair().pubkey()}"
    return await context.outbox.send(
        Intent(key=key, lane=context.lane, kind="transfer", instructions=tuple(instructions), effect=None)
    )
