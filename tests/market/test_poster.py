"""What a poster does with a job, on the real jobs program: post, extend, stop in each state, recover, clean."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from solders.keypair import Keypair

from node.chain import addresses
from node.errors import AccountMissing, FundsMissing, JobRefused
from node.market import funds
from node.market.context import MarketContext
from node.market.join import join, standing
from node.market.poster import Phase, Poster
from node.market.settle import Settler
from node.records import Address, Assignment, Run
from tests.market.conftest import DEFINITION, Town

PRICE = 1_000
"""Micro-NOS a second of the localnet's market."""


async def _nos(town: Town, owner: Address) -> int:
    return await town.rpc.get_token_amount(addresses.token_account(town.net.cluster, owner))


async def _take(town: Town, host: MarketContext) -> Run:
    """The host takes the next job of the market."""
    await funds.prepare(host, await host.ledger.market(town.market))
    await join(host, town.market)
    async with asyncio.timeout(10):
        while (now := await standing(host, town.market)) is None or now.run is None:
            await asyncio.sleep(0.05)
    return now.run


async def _assignment(host: MarketContext, run: Run) -> Assignment:
    job = await host.ledger.job(run.job)
    assert job is not None
    return Assignment("main", run, job, 0, "", 0.0)


async def test_a_post_deposits_price_times_seconds(town: Town) -> None:
    poster = await town.person(nos=1)
    posted = await town.post(poster, 100)
    assert posted.deposit == 100 * PRICE
    assert await _nos(town, poster.node) == 1_000_000 - posted.deposit
    view = await Poster(poster).view(posted.job)
    assert view.phase is Phase.QUEUED
    assert (view.job.timeout, view.job.price, view.job.definition_cid) == (100, PRICE, DEFINITION)
    assert (view.job.project, view.job.payer) == (poster.node, poster.node)
    assert [job.address for job in await Poster(poster).list_own()] == [posted.job]


async def test_missing_nos_are_told_as_a_sum_and_nothing_is_sent(town: Town) -> None:
    poster = await town.person(nos=0.5)
    before = await town.rpc.get_balance(poster.node)
    with pytest.raises(FundsMissing) as caught:
        await town.post(poster, 600)
    assert "holds 0.500000 NOS and lacks 0.100000 NOS" in caught.value.message
    assert "0.600000 NOS" in caught.value.hint
    penniless = await town.person()
    with pytest.raises(FundsMissing, match=r"lacks 0\.060000 NOS"):
        await town.post(penniless, 60)
    assert await town.rpc.get_balance(poster.node) == before


@pytest.mark.parametrize("node_waits", [False, True])
async def test_missing_sol_is_told_as_a_sum_that_is_enough(town: Town, node_waits: bool) -> None:
    if node_waits:
        host = await town.person()
        await funds.prepare(host, await host.ledger.market(town.market))
        await join(host, town.market)
    poster = await town.person(sol=0.001, nos=1)
    with pytest.raises(FundsMissing, match="lacks") as caught:
        await town.post(poster)
    assert ("run account" in caught.value.hint) is node_waits
    lacks = float(caught.value.message.split()[-2])
    await town.give(poster.node, sol=lacks)
    await asyncio.sleep(0.3)
    await town.post(poster)


async def test_stop_takes_a_waiting_job_out_and_gives_everything_back(town: Town) -> None:
    poster = await town.person(nos=1)
    posted = await town.post(poster)
    change = await Poster(poster).stop(posted.job)
    assert (change.job, change.did) == (posted.job, "delist")
    assert await _nos(town, poster.node) == 1_000_000
    with pytest.raises(AccountMissing, match="there is no job"):
        await Poster(poster).view(posted.job)
    assert await Poster(poster).list_own() == ()


async def test_stop_ends_a_running_job_whose_node_has_no_nos_account(town: Town) -> None:
    poster, host = await town.person(nos=1), await town.person()
    posted = await town.post(poster, 600)
    run = await _take(town, host)
    assert run.job == posted.job
    view = await Poster(poster).view(posted.job)
    assert view.phase is Phase.RUNNING
    assert view.run == run
    change = await Poster(poster).stop(posted.job)
    assert change.did == "end"
    assert (await Poster(poster).view(posted.job)).phase is Phase.DONE
    with pytest.raises(JobRefused, match="nothing to stop"):
        await Poster(poster).stop(posted.job)
    # What the node earned in these seconds, and no more, is gone.
    assert await _nos(town, poster.node) > 1_000_000 - 60 * PRICE


async def test_extend_pays_for_the_added_seconds_each_time(town: Town) -> None:
    poster = await town.person(nos=1)
    posted = await town.post(poster, 60)
    before = await _nos(town, poster.node)
    for timeout in (90, 120):
        change, reached = await Poster(poster).extend(posted.job, 30)
        assert (change.did, reached) == ("extend", timeout)
        assert (await Poster(poster).view(posted.job)).job.timeout == timeout
    assert before - await _nos(town, poster.node) == 60 * PRICE
    with pytest.raises(FundsMissing, match="lacks"):
        await Poster(poster).extend(posted.job, 10_000)


async def test_a_job_given_back_can_be_recovered_once(town: Town) -> None:
    poster, host = await town.person(nos=1), await town.person()
    posted = await town.post(poster)
    with pytest.raises(JobRefused, match="only a job that a node quit"):
        await Poster(poster).recover(posted.job)
    run = await _take(town, host)
    await Settler(host).quit(await _assignment(host, run), "a test")
    assert (await Poster(poster).view(posted.job)).phase is Phase.STOPPED
    with pytest.raises(JobRefused, match="nothing to stop") as caught:
        await Poster(poster).stop(posted.job)
    assert "gpunode job recover" in caught.value.hint
    assert (await Poster(poster).recover(posted.job)).did == "recover"
    assert await _nos(town, poster.node) == 1_000_000
    with pytest.raises(AccountMissing):
        await Poster(poster).recover(posted.job)


@pytest.mark.parametrize(
    "command",
    [
        lambda poster, job: poster.stop(job),
        lambda poster, job: poster.extend(job, 10),
        lambda poster, job: poster.recover(job),
    ],
)
async def test_only_the_poster_may(town: Town, command: Callable[[Poster, Address], Awaitable[object]]) -> None:
    poster, thief = await town.person(nos=1), await town.person(nos=1)
    posted = await town.post(poster)
    with pytest.raises(JobRefused, match=f"belongs to {poster.node}") as caught:
        await command(Poster(thief), posted.job)
    assert "--wallet" in caught.value.hint
    assert (await Poster(poster).view(posted.job)).phase is Phase.QUEUED


async def test_addresses_that_are_no_jobs(town: Town) -> None:
    poster = Poster(await town.person())
    for address in (Address(str(Keypair().pubkey())), town.net.mint):
        with pytest.raises(AccountMissing, match="there is no job"):
            await poster.view(address)
    with pytest.raises(AccountMissing, match="an account of another kind"):
        await poster.view(town.market)


async def test_clean_waits_for_the_markets_time(town: Town) -> None:
    poster = await town.person(nos=1)
    posted = await town.post(poster)
    with pytest.raises(JobRefused, match="only a finished job"):
        await Poster(poster).clean(posted.job)
