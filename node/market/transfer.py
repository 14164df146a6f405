"""Sending SOL and NOS out of a wallet, by explicit command of its owner."""

from __future__ import annotations

from solders.instruction import Instruction
from solders.keypair import Keypair

from node.chain import addresses
from node.chain.instructions import tokens
from node.chain.intents import Intent, Landed
from node.errors import FundsMissing
from node.market.context import MarketContext
from node.records import Address

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


async def _send(context: MarketContext, instructions: list[Instruction]) -> Landed:
    # A transfer may be repeated on purpose, so each has a key of its own: any unique text will do.
    key = f"transfer:{Keypair().pubkey()}"
    return await context.outbox.send(
        Intent(key=key, lane=context.lane, kind="transfer", instructions=tuple(instructions), effect=None)
    )
