"""Prices, times and amounts at their ends."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .attempts import Attempt, tokens_of_stranger
from .harness import SOL, START, TOKEN, Outcome
from .job_rules import JOB_PAYER, RUN_PAYER
from .market_scene import (
    DEFINITION,
    DEPOSIT,
    FUNDS,
    JOB_RENT,
    JOBS,
    NODES,
    RESULT,
    RUN_RENT,
    TIMEOUT,
    Scene,
    end_job,
    job_bytes,
    quit_job,
    ready,
)


def aborted(outcome: Outcome) -> bool:
    return outcome.kind == "ProgramFailedToComplete" and outcome.line == ""


# -- price 0 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("instruction", ["delist", "recover", "end", "finish"])
def test_a_negative_timeout_at_price_zero_does_no_harm_later(instruction: str) -> None:
    scene = Scene(price=0)
    scene.post(timeout=-5)
    if instruction != "delist":
        scene.work()
    if instruction == "recover":
        scene.expect(scene.attempt("quit"))
    scene.pass_time(60)
    scene.expect(scene.attempt(instruction, *([RESULT] if instruction == "finish" else [])))
    assert scene.tokens() == (FUNDS, 0, 0)


def test_extending_at_price_zero_only_raises_the_number() -> None:
    scene = Scene(price=0)
    scene.post(timeout=-5)
    for timeout in (-4, 0, 2**63 - 1):
        scene.expect(scene.attempt("extend", timeout))
        assert scene.world.data(scene.job) == job_bytes(scene, timeout=timeout)
    assert scene.attempt("extend", 2**63 - 1).send().name == "JobTimeoutNotGreater"
    assert scene.tokens() == (FUNDS, 0, 0)


def test_the_price_of_a_job_is_that_of_its_listing() -> None:
    """A market may change its price; what a job has paid is what it pays out."""
    scene = Scene()
    scene.post()
    scene.expect(scene.attempt("update", 1, 7, 0, 0, TIMEOUT, authority=scene.owner))
    scene.work()
    scene.expect(scene.attempt("extend", TIMEOUT + 10))
    assert scene.tokens()[2] == DEPOSIT + 1_000
    scene.pass_time(60)
    scene.expect(scene.attempt("finish", RESULT))
    assert scene.tokens() == (FUNDS - 6_000, 6_000, 0)


def test_a_market_that_becomes_free_still_pays_older_jobs() -> None:
    scene = Scene()
    scene.start()
    scene.expect(scene.attempt("update", 1, 0, 0, 0, TIMEOUT, authority=scene.owner))
    wrong = scene.attempt("finish", RESULT)
    tokens_of_stranger("deposit")(wrong)
    assert wrong.send().name == "InvalidATA"
    scene.pass_time(1)
    scene.expect(scene.attempt("finish", RESULT))
    assert scene.tokens() == (FUNDS - 100, 100, 0)


# -- amounts -----------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    price=st.integers(1, 10**6),
    timeout=st.integers(0, 10**6),
    extra=st.integers(1, 10**6),
    seconds=st.integers(0, 3 * 10**6),
    by_node=st.booleans(),
)
def test_every_token_of_a_job_is_paid_or_refunded(
    price: int, timeout: int, extra: int, seconds: int, by_node: bool
) -> None:
    funds = price * (timeout + extra)
    scene = Scene(price=price)
    scene.world.put_tokens(scene.world.nos(scene.poster), scene.poster, funds)
    scene.post(timeout=timeout)
    scene.work()
    scene.expect(scene.attempt("extend", timeout + extra))
    assert scene.tokens() == (0, 0, funds)
    scene.pass_time(seconds)
    scene.expect(scene.attempt("finish", RESULT) if by_node else scene.attempt("end"))
    paid = price * min(seconds, timeout + extra)
    assert scene.tokens() == (funds - paid, paid, 0)


@pytest.mark.parametrize(
    ("price", "timeout", "kind"),
    [
        (2**64 - 1, 1, "Custom(1)"),
        (2**64 - 1, 2, "ProgramFailedToComplete"),
        (2, 2**63 - 1, "Custom(1)"),
        (3, 2**63 - 1, "ProgramFailedToComplete"),
        (2**64 - 1, 0, ""),
    ],
)
def test_deposits_at_the_end_of_all_numbers(price: int, timeout: int, kind: str) -> None:
    """What fits into 64 bits is asked of the token program, which finds too little."""
    outcome = Scene(price=price).attempt("list", DEFINITION, timeout).send()
    assert (outcome.kind, outcome.line) == (kind, "")


def test_an_extension_beyond_all_numbers_aborts() -> None:
    scene = Scene()
    scene.post()
    assert aborted(scene.attempt("extend", 2**63 - 1).send())


def test_exactly_enough_and_one_too_little() -> None:
    scene = Scene()
    account = scene.world.nos(scene.poster)
    scene.world.put_tokens(account, scene.poster, DEPOSIT - 1)
    outcome = scene.attempt("list", DEFINITION, TIMEOUT).send()
    assert outcome.kind == "Custom(1)"
    assert "Program log: Error: insufficient funds" in outcome.logs
    scene.world.put_tokens(account, scene.poster, DEPOSIT)
    scene.post()
    assert scene.tokens() == (0, 0, DEPOSIT)


@pytest.mark.parametrize("instruction", ["recover", "close"])
def test_tokens_go_to_no_account_of_another_mint(instruction: str) -> None:
    attempt = ready(instruction)
    tokens_of_stranger("user", own_mint=False)(attempt)
    outcome = attempt.send()
    assert (outcome.kind, outcome.line) == ("Custom(3)", "")


def test_recover_pays_any_nos_account() -> None:
    scene = Scene()
    quit_job(scene)
    other = scene.world.wallet(nos=3)
    scene.expect(scene.attempt("recover", user=scene.world.nos(other)))
    assert scene.world.tokens(scene.world.nos(other)) == 3 + DEPOSIT


def test_recover_is_possible_while_the_job_is_claimed() -> None:
    """The run stays, and nobody can finish it: its job is gone."""
    scene = Scene()
    quit_job(scene)
    scene.expect(scene.attempt("claim"))
    scene.expect(scene.attempt("recover"))
    outcome = scene.attempt("finish", RESULT).send()
    assert (outcome.name, outcome.origin) == ("AccountNotInitialized", "job")
    assert scene.world.lamports(scene.run) == RUN_RENT


# -- times -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("price", "ends"), [(100, False), (0, True)])
def test_a_clock_that_went_back_aborts_a_payment(price: int, ends: bool) -> None:
    scene = Scene(price=price)
    scene.pass_time(100)
    scene.start()
    scene.pass_time(99)
    outcome = scene.attempt("finish", RESULT).send()
    assert outcome.ok == ends
    assert ends or aborted(outcome)
    if ends:
        times = {"start": START + 100, "end": START + 99}
        assert scene.world.data(scene.job) == job_bytes(scene, result=RESULT, node=scene.node, state=2, **times)


@pytest.mark.parametrize(
    ("expiration", "end", "cleaned"),
    [(-1, START, True), (0, START, False), (0, START - 1, True), (-2, START + 1, True), (-1, START + 1, False)],
)
def test_expirations_of_any_sign(expiration: int, end: int, cleaned: bool) -> None:
    scene = Scene()
    end_job(scene)
    scene.world.poke(scene.job, 209, struct.pack("<q", end))
    scene.world.poke(scene.market, 40, struct.pack("<q", expiration))
    scene.pass_time(0)
    assert scene.attempt("clean").send().name == ("" if cleaned else "JobNotExpired")


def test_a_claim_starts_a_time_of_its_own() -> None:
    scene = Scene()
    quit_job(scene)
    scene.pass_time(1_000)
    scene.expect(scene.attempt("claim"))
    scene.pass_time(1_030)
    scene.expect(scene.attempt("finish", RESULT))
    assert scene.tokens() == (FUNDS - 3_000, 3_000, 0)


# -- lamports ----------------------------------------------------------------------------------------------------------


def poor(attempt: Attempt, lamports: int) -> Outcome:
    """Sends the call with a payer that holds so many lamports."""
    payer = attempt.world.key()
    attempt.world.give(payer, lamports)
    attempt.accounts["payer"] = payer
    return attempt.send()


def test_a_payer_without_lamports_creates_nothing() -> None:
    scene = Scene(price=0)
    attempt = scene.attempt("list", DEFINITION, TIMEOUT)
    outcome = poor(attempt, JOB_RENT - 1)
    assert (outcome.kind, outcome.line) == ("Custom(1)", "")
    assert f"Transfer: insufficient lamports {JOB_RENT - 1}, need {JOB_RENT}" in outcome.logs
    assert poor(attempt, JOB_RENT).ok


def test_the_last_lamport_may_go_but_not_the_rent_of_what_stays() -> None:
    """A wallet is emptied or keeps its own rent: that rule is the network's, not the program's."""
    scene = Scene(price=0)
    outcome = poor(scene.attempt("list", DEFINITION, TIMEOUT), JOB_RENT + 1)
    assert outcome.kind in ("InsufficientFundsForRent", "TransactionErrorInsufficientFundsForRent")


def test_a_payer_other_than_the_node_gets_the_rent_of_the_run_back() -> None:
    scene = Scene()
    scene.post()
    sponsor = scene.world.wallet()
    run = scene.world.key()
    scene.expect(scene.attempt("work", payer=sponsor, run=run))
    scene.run = run
    assert scene.world.data(run)[RUN_PAYER : RUN_PAYER + 32] == bytes(sponsor)
    assert scene.world.lamports(sponsor) == 10 * SOL - RUN_RENT
    wrong = scene.attempt("quit").send()
    assert (wrong.name, wrong.origin) == ("InvalidPayer", "run")
    scene.expect(scene.attempt("quit", payer=sponsor))
    assert scene.world.lamports(sponsor) == 10 * SOL
    assert scene.world.lamports(scene.node) == 10 * SOL


def test_surplus_lamports_of_a_closed_account_go_with_it() -> None:
    scene = Scene()
    scene.post()
    account = scene.world.account(scene.job)
    assert account is not None
    scene.world.put(scene.job, account.owner, bytes(account.data), JOB_RENT + 77)
    scene.expect(scene.attempt("delist"))
    assert scene.world.lamports(scene.poster) == 10 * SOL + 77


def test_whoever_the_job_names_gets_its_rent() -> None:
    scene = Scene()
    end_job(scene)
    heir = scene.world.wallet()
    scene.world.poke(scene.job, JOB_PAYER, bytes(heir))
    scene.pass_time(10**7)
    scene.expect(scene.attempt("clean", payer=heir))
    assert scene.world.lamports(heir) == 10 * SOL + JOB_RENT


# -- queues ------------------------------------------------------------------------------------------------------------


def test_a_market_that_turned_to_type_255_keeps_the_queue_it_has() -> None:
    scene = Scene()
    waiting = scene.work()
    assert scene.world.account(waiting) is None
    scene.expect(scene.attempt("update", 1, 0, 255, 0, 1, authority=scene.owner))
    again = scene.attempt("work", run=scene.world.key()).send()
    assert (again.name, again.origin) == ("NodeAlreadyQueued", "market")
    second = scene.new_node()
    attempt = scene.attempt("work", authority=second, payer=second, stake=scene.world.stake(second))
    attempt.accounts["run"] = scene.world.key()
    scene.expect(attempt)
    assert scene.queue() == (NODES, [scene.node])
    scene.price = 0
    scene.post()
    assert scene.world.data(scene.run)[40:72] == bytes(scene.node)
    scene.post()
    assert scene.queue() == (255, [])


def test_delisting_from_the_middle_leaves_the_last_entry_behind() -> None:
    scene = Scene()
    jobs = [scene.post() for _ in range(4)]
    scene.expect(scene.attempt("delist", job=jobs[1]))
    assert scene.queue() == (JOBS, [jobs[0], jobs[2], jobs[3]])
    stale = scene.world.data(scene.market)[151 + 96 : 151 + 128]
    assert stale == bytes(jobs[3])
    scene.job = jobs[0]
    newest = scene.post()
    assert scene.queue() == (JOBS, [jobs[0], jobs[2], jobs[3], newest])


def test_a_closed_market_takes_its_queue_with_it() -> None:
    """Neither the queue nor open jobs are looked at; their deposits go to the market's owner."""
    scene = Scene()
    scene.post()
    scene.expect(_close(scene))
    assert scene.world.account(scene.market) is None
    assert scene.world.tokens(scene.world.nos(scene.owner)) == DEPOSIT
    outcome = scene.attempt("delist").send()
    assert (outcome.name, outcome.origin) == ("AccountNotInitialized", "market")


def _close(scene: Scene) -> Attempt:
    scene.world.fees = scene.owner
    return scene.attempt("close", authority=scene.owner, user=scene.world.nos(scene.owner))


@pytest.mark.parametrize("variant", ["close", "close_admin"])
def test_the_lamports_of_a_market_need_a_writable_authority(variant: str) -> None:
    attempt = ready(variant)
    attempt.world.fees = attempt.world.wallet()
    outcome = attempt.send()
    assert (outcome.kind, outcome.line) == ("PrivilegeEscalation", "")


def test_an_empty_vault_is_emptied_as_well() -> None:
    outcome = ready("close").send()
    assert sum(log == f"Program {TOKEN} success" for log in outcome.logs) == 2


def test_a_poster_who_is_the_node_may_end_its_own_job() -> None:
    scene = Scene()
    scene.node = scene.poster
    scene.world.put_stake(scene.node)
    scene.start()
    scene.pass_time(60)
    scene.expect(scene.attempt("end"))
    assert scene.tokens() == (FUNDS, FUNDS, 0)


def test_one_key_for_job_and_run_is_refused() -> None:
    scene = Scene()
    outcome = scene.attempt("list", DEFINITION, TIMEOUT, run=scene.job).send()
    assert (outcome.name, outcome.origin) == ("LamportsNonNull", "run")
    scene.work()
    assert scene.attempt("assign", DEFINITION, TIMEOUT, run=scene.job).send().kind == "Custom(0)"


@pytest.mark.parametrize(("instruction", "account"), [("assign", "job"), ("assign", "run"), ("claim", "run")])
def test_a_payer_cannot_be_what_it_pays_for(instruction: str, account: str) -> None:
    attempt = ready(instruction)
    attempt.accounts[account] = attempt.accounts["payer"]
    outcome = attempt.send()
    assert outcome.name == "TryingToInitPayerAsProgramAccount"
    assert outcome.origin == ""
    start = outcome.logs.index(outcome.line)
    payer = attempt.accounts["payer"]
    assert outcome.logs[start + 1 : start + 5] == [
        "Program log: Left:",
        f"Program log: {payer}",
        "Program log: Right:",
        f"Program log: {payer}",
    ]
