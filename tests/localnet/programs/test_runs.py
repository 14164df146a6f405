"""What happens to jobs that nodes work on, up to their end: every byte, token and lamport."""

from __future__ import annotations

import pytest
from solders.pubkey import Pubkey

from .harness import SOL, START
from .market_scene import (
    DEFINITION,
    DEPOSIT,
    EMPTY,
    EXPIRATION,
    FUNDS,
    JOB_RENT,
    JOBS,
    NODES,
    READY,
    RESULT,
    RUN_RENT,
    TIMEOUT,
    Scene,
    end_job,
    job_bytes,
    quit_job,
    ready,
    run_bytes,
)


def test_assign_takes_the_named_node() -> None:
    scene = Scene()
    first = scene.new_node()
    attempt = scene.attempt("work", authority=first, payer=first, stake=scene.world.stake(first))
    scene.expect(attempt)
    scene.work()
    job, run = scene.world.key(), scene.world.key()
    scene.world.give(run, RUN_RENT)
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


def _claimed_twice() -> tuple[Scene, list[tuple[Pubkey, Pubkey]]]:
    """A job that two nodes have claimed, as (node, run), and a second job whose deposit lies in the vault."""
    scene = Scene()
    quit_job(scene)
    claims = []
    for _ in range(2):
        node, run = scene.new_node(), scene.world.key()
        scene.expect(scene.attempt("claim", run=run, payer=node, authority=node, stake=scene.world.stake(node)))
        claims.append((node, run))
    job = scene.job
    scene.post()
    scene.job = job
    return scene, claims


def _roles(scene: Scene, node: Pubkey, run: Pubkey) -> dict[str, Pubkey]:
    return {"run": run, "authority": node, "payer_run": node, "payer": node, "user": scene.world.nos(node)}


def test_every_claim_of_a_job_is_paid() -> None:
    """A finished job can be finished again by another run: paid from what lies in the vault."""
    scene, claims = _claimed_twice()
    for second, (node, run) in enumerate(claims):
        scene.pass_time(60 + second)
        result = bytes([1 + second]) * 32
        scene.expect(scene.attempt("finish", result, **_roles(scene, node, run)))
        assert scene.world.tokens(scene.world.nos(node)) == 100 * (60 + second)
        times = {"start": START, "end": START + 60 + second}
        assert scene.world.data(scene.job) == job_bytes(scene, result=result, node=node, state=2, **times)
    assert scene.tokens() == (FUNDS - 12_100, 0, 0)


def test_a_done_job_is_stopped_again_by_a_late_quit() -> None:
    scene, claims = _claimed_twice()
    scene.pass_time(60)
    scene.expect(scene.attempt("finish", RESULT, **_roles(scene, *claims[0])))
    scene.expect(scene.attempt("quit", **_roles(scene, *claims[1])))
    times = {"start": START, "end": START + 60}
    assert scene.world.data(scene.job) == job_bytes(scene, result=RESULT, node=claims[0][0], state=3, **times)
    scene.expect(scene.attempt("recover"))
    assert scene.world.account(scene.job) is None


def test_a_stopped_job_may_be_ended_while_it_is_claimed() -> None:
    scene, claims = _claimed_twice()
    node, run = claims[0]
    scene.pass_time(60)
    scene.expect(scene.attempt("end", run=run, payer=node, user=scene.world.nos(node)))
    assert scene.world.data(scene.job) == job_bytes(scene, node=node, state=2, start=START, end=START + 60)
    assert scene.world.tokens(scene.world.nos(node)) == 6_000


def test_a_job_whose_run_an_admin_took_belongs_to_nobody() -> None:
    """It waits in no queue and was stopped by no node: only its timeout can be changed."""
    scene = Scene()
    scene.expect(ready("quit_admin", scene))
    lost = scene.job
    scene.post()
    scene.job = lost
    assert scene.attempt("delist").send().name == "NotInMarketQueue"
    assert scene.attempt("recover").send().name == "JobInWrongState"
    scene.expect(scene.attempt("extend", TIMEOUT + 1))
