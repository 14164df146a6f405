"""Sweeping earnings: to the payout alone, only what is over, and once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from solders.keypair import Keypair

from node.chain import addresses
from node.chain.outbox import Outbox
from node.chain.policy import SWEEP_KINDS, SpendingPolicy
from node.chain.wallet import Wallet
from node.errors import FundsMissing, MarketError, SpendingRefused
from node.journal.journal import Journal
from node.market import transfer
from node.market.context import MarketContext
from node.records import Address
from tests.market.conftest import FAST, Town


def stranger() -> Address:
    return Address(str(Keypair().pubkey()))


def restricted(town: Town, host: MarketContext, payout: Address) -> Callable[[Journal], MarketContext]:
    """The host with the policy that the command has, and a durable outbox."""

    def made(journal: Journal) -> MarketContext:
        policy = SpendingPolicy(town.net.cluster, SWEEP_KINDS, payout=payout)
        signer = Wallet.load(town.keys[host.node]).signer(policy)
        return replace(host, lane=host.node, outbox=Outbox(town.rpc, signer, journal.outbox, pace=FAST))

    return made


async def held(town: Town, account: Address) -> int:
    return await town.rpc.get_token_amount(account)


@pytest.mark.parametrize("kind", ["wallet", "token account"])
async def test_what_is_over_goes_to_the_payout_and_to_nobody_else(town: Town, tmp_path: Path, kind: str) -> None:
    host = await town.person(sol=1, nos=5)
    owner = (await town.person(nos=1)).node if kind == "token account" else stranger()
    account = addresses.token_account(town.net.cluster, owner)
    payout = account if kind == "token account" else owner
    before = await held(town, account) if kind == "token account" else 0
    async with await Journal.open(tmp_path / "commands.sqlite") as journal:
        context = restricted(town, host, payout)(journal)
        planned = await transfer.plan_sweep(context, payout, 1_500_000, None)
        assert (planned.held, planned.amount, planned.to) == (5_000_000, 3_500_000, account)
        assert planned.opens is (kind == "wallet")
        await transfer.sweep(context, planned, payout)
        assert await held(town, account) == before + 3_500_000
        again = await transfer.plan_sweep(context, payout, 1_500_000, None)
        assert (again.held, again.amount) == (1_500_000, 0)
        with pytest.raises(SpendingRefused):
            await transfer.send_nos(context, stranger(), 1)
        with pytest.raises(SpendingRefused):
            await transfer.send_sol(context, owner, 10_000_000)


async def test_one_that_was_cut_off_is_seen_through_and_not_done_twice(town: Town, tmp_path: Path) -> None:
    host, payout = await town.person(sol=1, nos=5), (await town.person(nos=1)).node
    account = addresses.token_account(town.net.cluster, payout)
    path = tmp_path / "commands.sqlite"
    make = restricted(town, host, payout)
    async with await Journal.open(path) as journal:
        context = make(journal)
        planned = await transfer.plan_sweep(context, payout, 0, None)
        # As a process that dies when the row is on disk and before anything is known of it.
        put = journal.outbox.put

        async def dying(row: object) -> None:
            await put(row)  # type: ignore[arg-type]
            raise KeyboardInterrupt

        journal.outbox.put = dying  # type: ignore[method-assign,assignment]
        with pytest.raises(KeyboardInterrupt):
            await transfer.sweep(context, planned, payout)
    async with await Journal.open(path) as journal:
        context = make(journal)
        (ended,) = await context.outbox.resume(context.lane)
        assert ended.landed is not None
        assert (await transfer.plan_sweep(context, payout, 0, None)).amount == 0
        assert await held(town, account) == 6_000_000


async def test_what_the_lane_needs_stays(town: Town) -> None:
    host, payout = await town.person(sol=0.005, nos=5), stranger()
    market = await host.ledger.market(town.market)
    with pytest.raises(FundsMissing, match="the lane needs"):
        await transfer.plan_sweep(host, payout, 0, market)
    await town.give(host.node, sol=1)
    assert (await transfer.plan_sweep(host, payout, 0, market)).amount == 5_000_000


@pytest.mark.parametrize("own", [True, False])
async def test_an_account_of_the_wallets_own_gets_nothing(town: Town, own: bool) -> None:
    host = await town.person(sol=1, nos=5)
    to = host.node if own else addresses.token_account(town.net.cluster, host.node)
    with pytest.raises(MarketError, match="own account"):
        await transfer.plan_sweep(host, to, 0, None)
