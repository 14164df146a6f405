"""A market that asks for an access key or a stake, on the real programs."""

from __future__ import annotations

import pytest
from solders.account import Account
from solders.keypair import Keypair

from node.chain import addresses
from node.chain.codec import Writer
from node.chain.instructions.markets import MarketTerms, open_market
from node.chain.token_accounts import TokenAccount, encode_token_account
from node.errors import AccessKeyMissing, StakeMissing
from node.localnet.app import Localnet
from node.market import funds
from node.market.context import MarketContext
from node.market.join import JoinKind, join
from node.market.stakes import Stakes
from node.records import Address
from tests.market.conftest import Town

RENT = 10_000_000


def fresh() -> Address:
    return Address(str(Keypair().pubkey()))


async def opened(owner: MarketContext, **terms: object) -> Address:
    key = Keypair()
    market = Address(str(key.pubkey()))
    instruction = open_market(owner.cluster, market=market, authority=owner.node, terms=MarketTerms(**terms))
    await owner.send(f"market:{market}", "market_open", [instruction], (key,))
    return market


async def give_token(
    town: Town, owner: Address, collection: Address, *, verified: bool = True, amount: int = 1
) -> Address:
    """An NFT of a collection, put in place as its Metaplex mint would have left it."""
    cluster, mint, account = town.net.cluster, fresh(), fresh()
    token = encode_token_account(TokenAccount(account, mint, owner, amount))
    metadata = (
        Writer().unsigned(4, 1).key(fresh()).key(mint).text("Key").text("KEY").text("")
        .unsigned(0, 2).unsigned(0, 1).unsigned(0, 1).unsigned(0, 1).unsigned(0, 1).unsigned(0, 1)
        .unsigned(1, 1).unsigned(verified, 1).key(collection).unsigned(0, 1).done()
    )  # fmt: skip
    place(town, account, cluster.token, token)
    place(town, addresses.metadata_account(cluster, mint), cluster.metadata, metadata)
    assert isinstance(town.net, Localnet)
    town.net.advance(4)
    return account


def place(town: Town, address: Address, owner: Address, data: bytes) -> None:
    assert isinstance(town.net, Localnet)
    validator = town.net.validator
    account = Account(RENT, data, addresses.to_key(owner))
    validator.bank.set_account(addresses.to_key(address), account, validator.slots.head.slot)


async def test_the_key_is_found_among_everything_a_wallet_holds(town: Town) -> None:
    host, owner = await town.person(), await town.person()
    if not isinstance(town.net, Localnet):
        pytest.skip("the keys are put in place by hand, which no real node allows")
    collection = fresh()
    market = await opened(owner, access_key=collection)
    terms = await host.ledger.market(market)
    with pytest.raises(AccessKeyMissing, match=collection):
        await funds.prepare(host, terms)
    await give_token(town, host.node, fresh())
    await give_token(town, host.node, collection, verified=False)
    await give_token(town, host.node, collection, amount=0)
    with pytest.raises(AccessKeyMissing):
        await funds.prepare(host, terms)
    await give_token(town, host.node, collection)
    await funds.prepare(host, terms)
    assert (await join(host, market)).kind is JoinKind.QUEUED


async def test_the_hint_names_a_top_up_that_is_enough(town: Town) -> None:
    host, owner = await town.person(nos=100), await town.person()
    market = await opened(owner, xnos_minimum=25_000_001)
    terms = await host.ledger.market(market)
    with pytest.raises(StakeMissing) as caught:
        await funds.prepare(host, terms)
    amount = round(float(caught.value.hint.split()[-1]) * 1e6)
    assert 0 < amount < 25_000_001
    await Stakes(host).top_up(amount - 1)
    with pytest.raises(StakeMissing):
        await funds.prepare(host, terms)
    await Stakes(host).top_up(1)
    report = await funds.prepare(host, terms)
    assert report.xnos >= terms.xnos_minimum
    assert (await join(host, market)).kind is JoinKind.QUEUED
