"""What the instructions of the jobs program do: accounts byte by byte, tokens and lamports to the last one."""

from __future__ import annotations

import struct

import pytest
from solders.pubkey import Pubkey

from .harness import SOL, START, SYSTEM, TOKEN, tag, token_data, u128
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
    READY,
    RESULT,
    RUN_RENT,
    TIMEOUT,
    VAULT_RENT,
    Scene,
    end_job,
    job_bytes,
    quit_job,
    ready,
    run_bytes,
)

UNITS_ALLOWED = 60_000


@pytest.mark.parametrize("instruction", READY)
def test_units_stay_far_below_what_clients_ask_for(instruction: str) -> None:
    attempt = ready(instruction)
    outcome = attempt.send()
    assert outcome.ok, outcome.logs
    print(f"jobs.{instruction}: {outcome.units} compute units")
    assert outcome.units < UNITS_ALLOWED


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
    if lamports >= 890_880:
        scene.world.svm.airdrop(scene.job, lamports)
    else:
        scene.world.put(scene.job, SYSTEM, b"", lamports)
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


def test_assign_takes_the_named_node() -> None:
    scene = Scene()
    first = scene.new_node()
    attempt = scene.attempt("work", authority=first, payer=first, stake=scene.world.stake(first))
    scene.expect(attempt)
    scene.work()
    job, run = scene.world.key(), scene.world.key()
    scene.world.svm.airdrop(run, RUN_RENT)
    scene.expect(scene.attempt("assign", DEFINITION, TIMEOUT, job=job, run=run))
    assert scene.world.data(job) == job_bytes(scene)
    assert scene.world.data(run) == run_bytes(job, scene.node, scene.poster, START)
    assert scene.queue() == (NODES, [first])
    assert scene.tokens() == (FUNDS - DEPOSIT, 0, DEPOSIT)
    assert scene.world.lamports(scene.poster) == 10 * SOL - JOB_RENT


def test_work_takes_the_first_job() -> None:
    scene = Scene()
    first = scene.post()
    second = scene.post()
    scene.pass_time(11)
    run = scene.work()
    assert scene.world.data(run) == run_bytes(first, scene.node, scene.node, START + 11)
    assert scene.world.lamports(scene.node) == 10 * SOL - RUN_RENT
    assert scene.queue() == (JOBS, [second])
    # Other runs of the node are not looked for.
    assert scene.world.data(scene.work())[8:40] == bytes(second)
    assert scene.queue() == (EMPTY, [])


def test_work_without_jobs_joins_the_queue() -> None:
    scene = Scene()
    run = scene.work()
    assert scene.queue() == (NODES, [scene.node])
    assert scene.world.account(run) is None
    assert scene.world.lamports(scene.node) == 10 * SOL


@pytest.mark.parametrize("authority", ["node", "owner"])
def test_stop(authority: str) -> None:
    scene = Scene()
    scene.work()
    scene.expect(scene.attempt("stop", authority=getattr(scene, authority)))
    assert scene.queue() == (EMPTY, [])


@pytest.mark.parametrize(("seconds", "paid"), [(0, 0), (60, 6_000), (TIMEOUT, DEPOSIT), (TIMEOUT + 99, DEPOSIT)])
@pytest.mark.parametrize("instruction", ["finish", "end"])
def test_a_run_is_paid_by_the_second(instruction: str, seconds: int, paid: int) -> None:
    scene = Scene()
    scene.start()
    scene.pass_time(seconds)
    args = (RESULT,) if instruction == "finish" else ()
    scene.expect(scene.attempt(instruction, *args))
    assert scene.tokens() == (FUNDS - paid, paid, 0)
    assert scene.world.account(scene.run) is None
    assert scene.world.lamports(scene.node) == 10 * SOL
    result = RESULT if instruction == "finish" else bytes(32)
    times = {"start": START, "end": START + seconds}
    assert scene.world.data(scene.job) == job_bytes(scene, result=result, node=scene.node, state=2, **times)
    assert scene.world.lamports(scene.job) == JOB_RENT


def test_finish_pays_any_nos_account() -> None:
    scene = Scene()
    scene.start()
    scene.pass_time(60)
    cold = scene.world.wallet(nos=5)
    scene.expect(scene.attempt("finish", RESULT, user=scene.world.nos(cold)))
    assert scene.world.tokens(scene.world.nos(cold)) == 5 + 6_000


def test_a_poster_may_work_on_its_own_job() -> None:
    scene = Scene()
    scene.node = scene.poster
    scene.world.put_stake(scene.node)
    scene.start()
    scene.pass_time(60)
    scene.expect(scene.attempt("finish", RESULT))
    assert scene.tokens() == (FUNDS, FUNDS, 0)


def test_finish_returns_the_rent_to_the_payer_of_the_run() -> None:
    scene = Scene()
    scene.work()
    scene.post()
    scene.expect(scene.attempt("finish", RESULT, payer_run=scene.poster))
    assert scene.world.lamports(scene.poster) == 10 * SOL - JOB_RENT


def test_finish_does_not_look_at_the_state_of_the_job() -> None:
    scene = Scene()
    quit_job(scene)
    scene.expect(scene.attempt("claim"))
    scene.pass_time(60)
    assert scene.world.data(scene.job)[208] == 3
    scene.expect(scene.attempt("finish", RESULT))
    assert scene.world.data(scene.job)[208] == 2
    assert scene.tokens() == (FUNDS - 6_000, 6_000, 0)


def test_complete_adds_a_result_once() -> None:
    scene = Scene()
    end_job(scene)
    tokens = scene.tokens()
    scene.expect(scene.attempt("complete", RESULT))
    times = {"start": START, "end": START + 60}
    assert scene.world.data(scene.job) == job_bytes(scene, result=RESULT, node=scene.node, state=2, **times)
    assert scene.tokens() == tokens
    assert scene.attempt("complete", DEFINITION).send().name == "JobResultsAlreadySet"


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


def test_quit_then_recover() -> None:
    scene = Scene()
    quit_job(scene)
    assert scene.world.data(scene.job) == job_bytes(scene, state=3)
    assert scene.world.lamports(scene.node) == 10 * SOL
    assert scene.queue() == (EMPTY, [])
    scene.expect(scene.attempt("recover"))
    assert scene.world.account(scene.job) is None
    assert scene.tokens() == (FUNDS, 0, 0)
    assert scene.world.lamports(scene.poster) == 10 * SOL


def test_recover_at_price_zero_transfers_nothing() -> None:
    scene = Scene(price=0)
    quit_job(scene)
    outcome = scene.expect(scene.attempt("recover"))
    assert any(str(TOKEN) in log for log in outcome.logs)


def test_a_job_can_be_claimed_several_times() -> None:
    scene = Scene()
    quit_job(scene)
    scene.pass_time(5)
    for _ in range(2):
        node = scene.new_node()
        run = scene.world.key()
        attempt = scene.attempt("claim", run=run, payer=node, authority=node, stake=scene.world.stake(node))
        scene.expect(attempt)
        assert scene.world.data(run) == run_bytes(scene.job, node, node, START + 5)
        assert scene.world.lamports(node) == 10 * SOL - RUN_RENT
    assert scene.world.data(scene.job) == job_bytes(scene, state=3)


def test_quit_admin_leaves_the_job() -> None:
    scene = Scene()
    attempt = ready("quit_admin", scene)
    scene.expect(attempt)
    assert scene.world.account(scene.run) is None
    assert scene.world.lamports(scene.node) == 10 * SOL
    assert scene.world.data(scene.job) == job_bytes(scene)


@pytest.mark.parametrize(("age", "cleaned"), [(EXPIRATION, False), (EXPIRATION + 1, True)])
def test_clean_waits_for_the_expiration(age: int, cleaned: bool) -> None:
    scene = Scene()
    end_job(scene)
    scene.pass_time(60 + age)
    outcome = scene.attempt("clean").send()
    assert outcome.ok == cleaned
    if cleaned:
        assert scene.world.account(scene.job) is None
        assert scene.world.lamports(scene.poster) == 10 * SOL
    else:
        assert (outcome.name, outcome.origin) == ("JobNotExpired", "job")


def test_clean_takes_the_terms_of_any_market() -> None:
    scene = Scene()
    end_job(scene)
    other = scene.world.key()
    vault = scene.world.market_vault(other)
    scene.expect(scene.attempt("open", -1, 0, 0, 0, 0, market=other, vault=vault, authority=scene.owner))
    scene.expect(scene.attempt("clean", market=other))
    assert scene.world.account(scene.job) is None


def test_clean_admin_takes_a_job_in_any_state() -> None:
    scene = Scene()
    job = scene.post()
    scene.expect(READY["clean_admin"][1](scene))
    assert scene.world.account(job) is None
    # The queue goes on naming it.
    assert scene.queue() == (JOBS, [job])


def test_the_mainnet_build_serves_the_mainnet_addresses() -> None:
    scene = Scene()
    world = type(scene.world)("mainnet")
    market, owner = world.key(), world.wallet()
    accounts = {"market": market, "vault": world.market_vault(market), "authority": owner}
    assert world.call("jobs", "open", accounts, 1, 2, 3, 4, 5).ok
    assert str(world.programs["jobs"]).startswith("nosJh")
