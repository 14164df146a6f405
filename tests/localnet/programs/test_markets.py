"""What happens to markets and to jobs before a node works on them: every byte, token and lamport."""

from __future__ import annotations

import struct

import pytest
from solders.pubkey import Pubkey

from .harness import SOL, START, TOKEN, World, tag, token_data, u128
from .market_scene import (
    DEFINITION,
    DEPOSIT,
    EMPTY,
    EXPIRATION,
    FUNDS,
    JOB_RENT,
    JOBS,
    MARKET_RENT,
    NODES,
    PRICE,
    RUN_RENT,
    TIMEOUT,
    VAULT_RENT,
    Scene,
    job_bytes,
    quit_job,
    ready,
    run_bytes,
)


def test_open() -> None:
    scene = Scene(access_key=Pubkey.new_unique(), minimum=2**100)
    world = scene.world
    market = world.account(scene.market)
    assert market is not None
    bump = Pubkey.find_program_address([bytes(scene.market), bytes(world.mint)], world.programs["jobs"])[1]
    terms = struct.pack("<qQqB32sB", EXPIRATION, PRICE, TIMEOUT, 0, bytes(scene.vault), bump)
    key = world.data(scene.market)[98:130]
    expected = tag("MarketAccount") + bytes(scene.owner) + terms + key + u128(2**100) + bytes([EMPTY]) + bytes(4)
    assert bytes(market.data) == expected.ljust(10_224, b"\0")
    assert (market.owner, market.lamports) == (world.programs["jobs"], MARKET_RENT)
    vault = world.account(scene.vault)
    assert vault is not None
    assert (vault.owner, vault.lamports) == (TOKEN, VAULT_RENT)
    assert bytes(vault.data) == token_data(world.mint, scene.vault, 0)
    assert world.lamports(scene.owner) == 10 * SOL - MARKET_RENT - VAULT_RENT


@pytest.mark.parametrize(("given", "stored"), [(0, 0), (4, 4), (5, 255), (7, 255), (255, 255)])
def test_open_knows_five_job_types(given: int, stored: int) -> None:
    scene = Scene(job_type=given)
    assert scene.world.data(scene.market)[64] == stored


def test_update_stores_the_type_as_given() -> None:
    scene = Scene()
    key = Pubkey.new_unique()
    scene.expect(scene.attempt("update", -1, 2, 7, 3, 4, authority=scene.owner, access_key=key))
    data = scene.world.data(scene.market)
    assert struct.unpack_from("<qQqB", data, 40) == (-1, 2, 4, 7)
    assert (data[98:130], data[130:146]) == (bytes(key), u128(3))
    scene.price = 2
    scene.post()
    assert scene.queue() == (JOBS, [scene.job])


@pytest.mark.parametrize("variant", ["close", "close_admin"])
def test_close_pays_out_vault_and_rents(variant: str) -> None:
    scene = Scene()
    scene.post()
    attempt = ready(variant, scene)
    authority = attempt.accounts["authority"]
    before = scene.world.lamports(authority)
    outcome = scene.expect(attempt)
    assert scene.world.tokens(scene.world.nos(scene.poster)) == FUNDS
    assert scene.world.account(scene.market) is None
    assert scene.world.account(scene.vault) is None
    fee = 5_000
    assert scene.world.lamports(authority) == before + MARKET_RENT + VAULT_RENT - fee
    assert outcome.ok


def test_list_on_an_empty_market() -> None:
    scene = Scene()
    job = scene.post()
    assert scene.world.data(job) == job_bytes(scene)
    assert scene.world.lamports(job) == JOB_RENT
    assert scene.world.lamports(scene.poster) == 10 * SOL - JOB_RENT
    assert scene.world.account(scene.run) is None
    assert scene.queue() == (JOBS, [job])
    assert scene.tokens() == (FUNDS - DEPOSIT, 0, DEPOSIT)


def test_list_for_a_waiting_node() -> None:
    scene = Scene()
    scene.work()
    second = scene.new_node()
    attempt = scene.attempt("work", authority=second, payer=second, stake=scene.world.stake(second))
    attempt.accounts["run"] = scene.world.key()
    scene.expect(attempt)
    scene.pass_time(7)
    job = scene.post()
    assert scene.world.data(job) == job_bytes(scene)
    assert scene.world.data(scene.run) == run_bytes(job, scene.node, scene.poster, START + 7)
    assert scene.world.lamports(scene.poster) == 10 * SOL - JOB_RENT - RUN_RENT
    assert scene.queue() == (NODES, [second])


def test_payer_and_project_may_differ() -> None:
    scene = Scene()
    project = scene.world.wallet()
    scene.expect(scene.attempt("list", DEFINITION, TIMEOUT, authority=project))
    data = scene.world.data(scene.job)
    assert (data[136:168], data[176:208]) == (bytes(scene.poster), bytes(project))


def test_the_market_timeout_is_no_limit() -> None:
    scene = Scene()
    scene.post(timeout=0)
    scene.post(timeout=1000 * TIMEOUT)
    assert scene.tokens()[2] == 1000 * DEPOSIT


def test_a_negative_timeout_is_accepted_at_price_zero_only() -> None:
    scene = Scene(price=0)
    scene.post(timeout=-5)
    assert scene.world.data(scene.job)[225:233] == struct.pack("<q", -5)
    outcome = Scene().attempt("list", DEFINITION, -5).send()
    assert not outcome.ok
    assert outcome.line == ""


def test_a_deposit_beyond_all_numbers_aborts() -> None:
    outcome = Scene().attempt("list", DEFINITION, 2**62).send()
    assert not outcome.ok
    assert outcome.line == ""


@pytest.mark.parametrize("lamports", [1, JOB_RENT - 1, JOB_RENT, JOB_RENT + 5])
def test_a_job_account_may_hold_lamports_before(lamports: int) -> None:
    scene = Scene()
    scene.world.give(scene.job, lamports)
    scene.expect(scene.attempt("list", DEFINITION, TIMEOUT))
    assert scene.world.data(scene.job) == job_bytes(scene)
    assert scene.world.lamports(scene.job) == max(lamports, JOB_RENT)
    assert scene.world.lamports(scene.poster) == 10 * SOL - max(JOB_RENT - lamports, 0)


def test_the_payer_cannot_be_the_job() -> None:
    scene = Scene()
    outcome = scene.attempt("list", DEFINITION, TIMEOUT, job=scene.poster).send()
    assert outcome.name == "TryingToInitPayerAsProgramAccount"
    assert "AnchorError thrown in " in outcome.line


def test_a_job_key_in_use_is_refused_by_the_system_program() -> None:
    scene = Scene()
    job = scene.post()
    outcome = scene.attempt("list", DEFINITION, TIMEOUT, job=job, run=scene.world.key()).send()
    assert not outcome.ok
    assert outcome.line == ""


def test_delist_undoes_list() -> None:
    scene = Scene()
    first, job, last = scene.post(), scene.post(), scene.post()
    scene.expect(scene.attempt("delist", job=job))
    assert scene.queue() == (JOBS, [first, last])
    assert scene.world.account(job) is None
    assert scene.world.lamports(scene.poster) == 10 * SOL - 2 * JOB_RENT
    assert scene.tokens() == (FUNDS - 2 * DEPOSIT, 0, 2 * DEPOSIT)


@pytest.mark.parametrize("running", [False, True])
def test_extend_sets_a_new_total(running: bool) -> None:
    scene = Scene()
    scene.post()
    if running:
        scene.work()
    scene.expect(scene.attempt("extend", TIMEOUT + 600))
    assert scene.world.data(scene.job) == job_bytes(scene, timeout=TIMEOUT + 600)
    assert scene.tokens() == (FUNDS - DEPOSIT - 60_000, 0, DEPOSIT + 60_000)


def test_recover_at_price_zero_transfers_nothing() -> None:
    scene = Scene(price=0)
    quit_job(scene)
    outcome = scene.expect(scene.attempt("recover"))
    assert any(str(TOKEN) in log for log in outcome.logs)


def test_the_mainnet_build_serves_the_mainnet_addresses() -> None:
    world = World("mainnet")
    market, owner = world.key(), world.wallet()
    accounts = {"market": market, "vault": world.market_vault(market), "authority": owner}
    assert world.call("jobs", "open", accounts, 1, 2, 3, 4, 5).ok
    assert str(world.programs["jobs"]).startswith("nosJh")
