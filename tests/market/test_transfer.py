"""Sending SOL and NOS out of a wallet, on the real chain."""

from __future__ import annotations

import pytest
from solders.keypair import Keypair

from node.chain import addresses
from node.errors import FundsMissing
from node.market.transfer import FEE_ROOM, send_nos, send_sol
from node.records import Address
from tests.market.conftest import Town


def _stranger() -> Address:
    return Address(str(Keypair().pubkey()))


async def test_sol_arrives_and_only_the_fee_is_lost(town: Town) -> None:
    sender, friend = await town.person(sol=1), _stranger()
    landed = await send_sol(sender, friend, 250_000_000)
    assert await town.rpc.get_balance(friend) == 250_000_000
    assert await town.rpc.get_balance(sender.node) == 750_000_000 - landed.fee


async def test_the_most_that_is_said_can_really_be_sent(town: Town) -> None:
    sender, friend = await town.person(sol=1), _stranger()
    with pytest.raises(FundsMissing) as caught:
        await send_sol(sender, friend, 1_000_000_000)
    most = round(float(caught.value.hint.split()[3]) * 1e9)
    with pytest.raises(FundsMissing):
        await send_sol(sender, friend, most + 1)
    await send_sol(sender, friend, most)
    assert await town.rpc.get_balance(friend) == most
    assert 1_000_000_000 - most <= FEE_ROOM + await town.rpc.get_minimum_rent(0)


async def test_a_new_account_gets_at_least_its_least_balance(town: Town) -> None:
    sender, friend = await town.person(sol=1), _stranger()
    least = await town.rpc.get_minimum_rent(0)
    with pytest.raises(FundsMissing, match="less than an account may hold"):
        await send_sol(sender, friend, least - 1)
    await send_sol(sender, friend, least)
    await send_sol(sender, friend, 1)
    assert await town.rpc.get_balance(friend) == least + 1


async def test_nos_arrive_in_an_account_that_is_made(town: Town) -> None:
    sender, friend = await town.person(sol=1, nos=5), _stranger()
    account = addresses.token_account(town.net.cluster, friend)
    for total in (1_500_000, 3_000_000):
        await send_nos(sender, friend, 1_500_000)
        assert await town.rpc.get_token_amount(account) == total
    with pytest.raises(FundsMissing, match=r"holds 2\.000000 NOS") as caught:
        await send_nos(sender, friend, 2_000_001)
    assert "2.000000" in caught.value.hint
    await send_nos(sender, friend, 2_000_000)


async def test_nos_of_a_wallet_without_a_nos_account(town: Town) -> None:
    with pytest.raises(FundsMissing, match=r"holds 0\.000000 NOS"):
        await send_nos(await town.person(sol=1), _stranger(), 1)
