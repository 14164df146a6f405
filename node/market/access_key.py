"""The token that a market may ask its nodes to hold: one of a verified collection."""

from __future__ import annotations

from dataclasses import dataclass

from node.chain import addresses
from node.chain.token_accounts import decode_metadata
from node.errors import AccessKeyMissing, AccountMalformed
from node.market.context import MarketContext
from node.records import SYSTEM_PROGRAM, Address, Market


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What `work` is given as proof of access."""

    account: Address
    """The token account; where no key is asked, the node's NOS account stands in."""
    mint: Address | None
    """The key's mint, from which its metadata account follows; None where no key is asked."""


def asks_key(market: Market) -> bool:
    """Whether the market asks for an access key: 32 zero bytes, the system program's address, mean it does not."""
    return market.access_key != SYSTEM_PROGRAM


async def find_access_token(context: MarketContext, market: Market) -> AccessToken:
    """The node's token for this market.

    Raises AccessKeyMissing when the market asks for a key and no token of its collection, verified, with an
    amount of at least 1, lies in the wallet.
    """
    if not asks_key(market):
        return AccessToken(addresses.token_account(context.cluster, context.node), None)
    held = [token for token in await context.rpc.get_token_accounts(context.node) if token.amount >= 1]
    metadata = [addresses.metadata_account(context.cluster, token.mint) for token in held]
    for token, raw in zip(held, await context.rpc.get_accounts(metadata), strict=True):
        if raw is None:
            continue
        try:
            described = decode_metadata(raw, context.cluster)
        except AccountMalformed:
            # Anyone can send a token with broken metadata to this wallet; it is just not the key.
            continue
        if described.verified and described.collection == market.access_key:
            return AccessToken(token.address, token.mint)
    raise AccessKeyMissing(
        f"market {market.address} asks for an access key of collection {market.access_key}, "
        f"and wallet {context.node} holds none",
        hint="get a key from the market's owner, or name another market in the lane's settings",
    )
