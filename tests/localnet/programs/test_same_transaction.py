"""Several instructions in one transaction: what one leaves is what the next one finds, closed accounts included."""

from __future__ import annotations

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from .attempts import Attempt
from .harness import SOL, START, SYSTEM, Outcome, World
from .holder_scene import AMOUNT, DURATION, FUNDS, Holder
from .market_scene import (
    DEFINITION,
    DEPOSIT,
    EMPTY,
    JOB_RENT,
    JOBS,
    MARKET_RENT,
    NODES,
    RESULT,
    RUN_RENT,
    TIMEOUT,
    VAULT_RENT,
    Scene,
    job_bytes,
    quit_job,
    ready,
    run_bytes,
)
from .market_scene import FUNDS as POSTER_FUNDS
from .test_order import call


def together(world: World, *attempts: Attempt | Instruction, payer: Pubkey | None = None) -> Outcome:
    instructions = [item.instruction() if isinstance(item, Attempt) else item for item in attempts]
    outcome = world.send(*instructions, payer=payer)
    assert outcome.ok, outcome.logs
    return outcome


def test_a_key_serves_again_once_its_job_is_closed() -> None:
    scene = Scene()
    post = scene.attempt("list", DEFINITION, TIMEOUT)
    together(scene.world, post, scene.attempt("delist"), post)
    assert scene.world.data(scene.job) == job_bytes(scene)
    assert scene.queue() == (JOBS, [scene.job])
    assert scene.tokens() == (POSTER_FUNDS - DEPOSIT, 0, DEPOSIT)
    assert scene.world.lamports(scene.poster) == 10 * SOL - JOB_RENT


def test_a_node_may_join_leave_and_join() -> None:
    scene = Scene()
    work = scene.attempt("work")
    together(scene.world, work, scene.attempt("stop"), work)
    assert scene.queue() == (NODES, [scene.node])


def test_list_work_and_finish_at_once() -> None:
    scene = Scene()
    post = scene.attempt("list", DEFINITION, TIMEOUT, run=scene.world.key())
    together(scene.world, post, scene.attempt("work"), scene.attempt("finish", RESULT))
    assert scene.queue() == (EMPTY, [])
    assert scene.world.account(scene.run) is None
    assert scene.tokens() == (POSTER_FUNDS, 0, 0)
    times = {"start": START, "end": START}
    assert scene.world.data(scene.job) == job_bytes(scene, result=RESULT, node=scene.node, state=2, **times)


def test_the_key_of_a_run_serves_again_once_it_is_closed() -> None:
    scene = Scene()
    scene.start()
    quitting = scene.attempt("quit")
    together(scene.world, quitting, scene.attempt("claim"))
    assert scene.world.data(scene.run) == run_bytes(scene.job, scene.node, scene.node, START)
    assert scene.world.lamports(scene.node) == 10 * SOL - RUN_RENT


def test_end_and_complete_at_once() -> None:
    scene = Scene()
    scene.start()
    together(scene.world, scene.attempt("end"), scene.attempt("complete", RESULT))
    assert scene.world.data(scene.job)[40:72] == RESULT


def test_a_market_may_be_opened_anew_where_it_was_closed() -> None:
    scene = Scene()
    scene.post()
    close = scene.attempt("close", authority=scene.owner, user=scene.world.nos(scene.owner))
    reopen = scene.attempt("open", 1, 2, 3, 4, 5, authority=scene.owner)
    scene.world.fees = scene.owner
    before = scene.world.lamports(scene.owner)
    together(scene.world, close, reopen)
    assert scene.queue() == (EMPTY, [])
    # Nothing of the old queue is left behind.
    assert scene.world.data(scene.market)[151:] == bytes(10_224 - 151)
    assert scene.tokens()[2] == 0
    assert scene.world.lamports(scene.market) == MARKET_RENT
    assert scene.world.lamports(scene.vault) == VAULT_RENT
    assert scene.world.lamports(scene.owner) == before - 2 * 5_000


@pytest.mark.parametrize("name", ["quit", "clean", "delist", "recover", "clean_admin", "quit_admin", "finish", "end"])
def test_lamports_sent_to_a_closed_account_do_not_revive_it(name: str) -> None:
    attempt = ready(name)
    world = attempt.world
    closed = attempt.accounts["run" if name in ("quit", "quit_admin", "finish", "end") else "job"]
    gift = transfer(TransferParams(from_pubkey=world.fees, to_pubkey=closed, lamports=SOL))
    together(world, attempt, gift)
    account = world.account(closed)
    assert account is not None
    assert (account.owner, bytes(account.data), account.lamports) == (SYSTEM, b"", SOL)


def test_a_closed_job_is_gone_for_the_next_instruction() -> None:
    scene = Scene()
    quit_job(scene)
    recover = scene.attempt("recover").instruction()
    outcome = scene.world.send(recover, recover)
    assert (outcome.name, outcome.origin) == ("AccountNotInitialized", "job")
    assert "(1, " in outcome.error
    assert scene.tokens()[2] == DEPOSIT


def test_a_failure_undoes_what_came_before_it() -> None:
    scene = Scene()
    post = scene.attempt("list", DEFINITION, TIMEOUT).instruction()
    outcome = scene.world.send(post, scene.attempt("complete", RESULT, authority=scene.node).instruction())
    assert outcome.name == "JobInWrongState"
    assert scene.world.account(scene.job) is None
    assert scene.queue() == (EMPTY, [])
    assert scene.tokens() == (POSTER_FUNDS, 0, 0)


def test_rewards_are_left_and_the_stake_is_unstaked_at_once() -> None:
    holder = Holder().take_part()
    leave = holder.attempt("rewards", "close")
    together(holder.world, leave, holder.attempt("staking", "unstake"))
    assert holder.world.account(holder.reward) is None
    assert int.from_bytes(holder.world.data(holder.stake)[56:64], "little") == START


def test_a_stake_may_be_made_anew_where_it_was_closed() -> None:
    holder = Holder().empty()
    close = holder.attempt("staking", "close")
    together(holder.world, close, holder.attempt("staking", "stake", AMOUNT, DURATION))
    assert holder.world.tokens(holder.vault) == AMOUNT
    assert holder.world.tokens(holder.world.nos(holder.wallet)) == FUNDS - AMOUNT


def test_the_staking_flow_of_one_transaction() -> None:
    holder = Holder()
    holder.do("rewards", "init")
    steps = [
        holder.attempt("staking", "stake", AMOUNT, DURATION),
        holder.attempt("rewards", "enter"),
        holder.attempt("staking", "topup", 5),
        holder.attempt("staking", "extend", 60),
        holder.attempt("rewards", "sync"),
        holder.attempt("rewards", "close"),
        holder.attempt("staking", "unstake"),
        holder.attempt("staking", "restake"),
        holder.attempt("rewards", "enter"),
    ]
    together(holder.world, *steps)
    assert holder.world.tokens(holder.vault) == AMOUNT + 5


# Accounts at derived addresses, to which anybody can send lamports before they exist.
DERIVED = [
    ("jobs", "open", "vault", 2_039_280),
    ("nodes", "register", "node", 1_781_760),
    ("staking", "init", "settings", 1_392_000),
    ("staking", "stake", "vault", 2_039_280),
    ("staking", "stake", "stake", 1_726_080),
    ("rewards", "init", "reflection", 1_559_040),
    ("rewards", "init", "vault", 2_039_280),
    ("rewards", "enter", "reward", 1_447_680),
]


@pytest.mark.parametrize("surplus", [None, 0, 9])
@pytest.mark.parametrize(("program", "name", "account", "rent"), DERIVED)
def test_lamports_that_were_sent_before_count(
    program: str, name: str, account: str, rent: int, surplus: int | None
) -> None:

    attempt = call(program, name)
    world = attempt.world
    address = attempt.address(account)
    payer = attempt.accounts["payer" if name == "register" else "authority"]
    before = world.lamports(payer)
    sent = 1 if surplus is None else rent + surplus
    world.give(address, sent)
    together(world, attempt)
    assert world.lamports(address) == max(sent, rent)
    others = sum(cost for p, n, a, cost in DERIVED if (p, n) == (program, name) and a != account)
    market = MARKET_RENT if name == "open" else 0
    assert world.lamports(payer) == before - max(rent - sent, 0) - others - market


def test_many_surplus_accounts_some_of_them_twice() -> None:
    """The entry point must find the data behind all of them."""
    for count in (0, 1, 3, 4, 20):
        attempt = ready("stop")
        world = attempt.world
        base = attempt.instruction()
        strangers = [Pubkey.new_unique() for _ in range(count)]

        surplus = [AccountMeta(key, False, False) for key in strangers + strangers] + list(base.accounts) * 2
        together(world, Instruction(base.program_id, bytes(base.data) + bytes(count), [*base.accounts, *surplus]))
