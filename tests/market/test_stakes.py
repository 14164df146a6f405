"""A stake from making to taking out, on the real staking program."""

from __future__ import annotations

import pytest

from node.chain import addresses
from node.errors import FundsMissing, StakeMissing, StakeRefused
from node.market.stakes import Stakes
from tests.market.conftest import Town

DAY = 86_400


async def test_an_empty_stake_is_allowed(town: Town) -> None:
    stakes = Stakes(await town.person())
    assert await stakes.view() is None
    change = await stakes.create(0, 14 * DAY)
    assert change.view is not None
    assert (change.view.stake.amount, change.view.held, change.view.unlocks_at) == (0, 0, None)
    with pytest.raises(StakeRefused, match="already"):
        await stakes.create(0, 14 * DAY)


async def test_growing_and_lengthening_raise_the_weight(town: Town) -> None:
    owner = await town.person(nos=10)
    stakes = Stakes(owner)
    weights = []
    for change in (
        await stakes.create(4_000_000, 14 * DAY),
        await stakes.top_up(1_000_000),
        await stakes.top_up(1_000_000),
        await stakes.extend(100 * DAY),
    ):
        assert change.view is not None
        weights.append(change.view.stake.xnos)
    assert weights == sorted(set(weights))
    view = await stakes.view()
    assert view is not None
    assert (view.stake.amount, view.held, view.stake.duration) == (6_000_000, 6_000_000, 114 * DAY)
    left = await town.rpc.get_token_amount(addresses.token_account(town.net.cluster, owner.node))
    assert left == 4_000_000


async def test_taking_out(town: Town) -> None:
    stakes = Stakes(await town.person(nos=10))
    await stakes.create(10_000_000, 14 * DAY)
    with pytest.raises(StakeRefused, match="is locked") as locked:
        await stakes.withdraw()
    assert "gpunode stake unstake" in locked.value.hint
    change = await stakes.unstake()
    assert change.view is not None
    assert change.view.stake.xnos == 0
    assert change.view.unlocks_at == change.view.stake.time_unstake + 14 * DAY
    for command in (stakes.unstake(), stakes.top_up(1), stakes.extend(DAY)):
        with pytest.raises(StakeRefused, match="being taken out already"):
            await command
    taken = await stakes.withdraw()
    assert taken.view is not None
    assert taken.view.held <= 10_000_000


async def test_more_than_the_wallet_holds_and_no_stake_at_all(town: Town) -> None:
    stakes = Stakes(await town.person(nos=1))
    with pytest.raises(FundsMissing, match=r"2\.500000 are asked for") as caught:
        await stakes.create(2_500_000, 14 * DAY)
    assert "1.500000 NOS" in caught.value.hint
    for command in (stakes.top_up(1), stakes.extend(DAY), stakes.unstake(), stakes.withdraw()):
        with pytest.raises(StakeMissing, match="no stake account"):
            await command
