"""Accounts that are not what an instruction takes them for: every account of every instruction."""

from __future__ import annotations

import pytest
from solders.pubkey import Pubkey

from .attempts import Attempt
from .harness import SYSTEM, TOKEN, Outcome, accounts_of, every_instruction, tag, token_data
from .loading import kind
from .market_scene import ready
from .test_order import call

OWNERS = {
    "market": "jobs",
    "job": "jobs",
    "run": "jobs",
    "stake": "staking",
    "settings": "staking",
    "reflection": "rewards",
    "rewards_reflection": "rewards",
    "reward": "rewards",
    "node": "nodes",
}
"""The program whose account it has to be; all others are the token program's."""
FIXED = {"market": 151, "job": 233, "run": 113, "stake": 113, "settings": 72, "reward": 73, "node": 66}
"""Bytes that are decoded, in accounts as the programs create them; a node's strings may end in any place."""
FIXED |= {"reflection": 89, "rewards_reflection": 89}


def place(attempt: Attempt, account: str, owner: Pubkey, data: bytes) -> Outcome:
    """Sends the call with such an account under that name."""
    broken = attempt.copy()
    with attempt.world.rewinding():
        broken.accounts[account] = attempt.world.put(attempt.world.key(), owner, data)
        return broken.send()


def refusal(outcome: Outcome) -> tuple[str, str]:
    return outcome.name, outcome.origin


@pytest.mark.parametrize(("program", "name"), every_instruction())
def test_accounts_of_another_kind_are_refused(program: str, name: str) -> None:
    attempt = call(program, name)
    for account in accounts_of(program, name):
        if kind(program, name, account) == "state":
            check_kinds(attempt, account)


def check_kinds(attempt: Attempt, account: str) -> None:
    """Passes all that this account must not be."""
    world = attempt.world
    data = world.data(attempt.address(account))
    owner = world.programs[OWNERS[account]] if account in OWNERS else TOKEN
    wrong_owners = [SYSTEM, world.programs["nodes" if OWNERS.get(account) == "jobs" else "jobs"], Pubkey.new_unique()]
    for other in wrong_owners:
        outcome = place(attempt, account, other, data)
        assert refusal(outcome) == ("AccountOwnedByWrongProgram", account)
        start = outcome.logs.index(outcome.line)
        assert outcome.logs[start + 1 : start + 5] == [
            "Program log: Left:",
            f"Program log: {other}",
            "Program log: Right:",
            f"Program log: {owner}",
        ]
    if owner == TOKEN:
        for bad in (b"", data[:-1], data + b"\0", data + bytes(100)):
            assert refusal(place(attempt, account, owner, bad)) == ("InvalidAccountData", account)
        return
    for bad in (b"", data[:7]):
        assert refusal(place(attempt, account, owner, bad)) == ("AccountDiscriminatorNotFound", account)
    for bad in (bytes(len(data)), tag("JobAccounts") + data[8:], b"\xff" * len(data), bytes(8)):
        assert refusal(place(attempt, account, owner, bad)) == ("AccountDiscriminatorMismatch", account)
    for bad in (data[:8], data[: FIXED[account] - 1]):
        assert refusal(place(attempt, account, owner, bad)) == ("AccountDidNotDeserialize", account)


@pytest.mark.parametrize("program_account", ["rewards_program", "token_program"])
def test_programs_must_be_executable(program_account: str) -> None:
    attempt = ready("list")
    attempt.world.put(attempt.address(program_account), SYSTEM, b"")
    assert refusal(attempt.send()) == ("InvalidProgramExecutable", program_account)


# State, and the options of a delegate, a native reserve and a close authority; a mint's authorities and its state.
SPOILT = [("user", 108, 3), ("user", 72, 2), ("user", 109, 2), ("user", 129, 7), ("user", 75, 1)]
SPOILT_MINTS = [(0, 2), (46, 2), (45, 2)]


@pytest.mark.parametrize(("account", "offset", "value"), SPOILT)
def test_token_accounts_must_decode(account: str, offset: int, value: int) -> None:
    attempt = ready("finish")
    attempt.world.poke(attempt.address(account), offset, bytes([value]))
    outcome = attempt.send()
    assert outcome.line == (
        f"Program log: ProgramError caused by account: {account}. Error Code: InvalidAccountData. "
        "Error Number: 17179869184. Error Message: An account's data contents was invalid."
    )
    assert outcome.kind == "InvalidAccountData"


@pytest.mark.parametrize(("offset", "value"), SPOILT_MINTS)
def test_mints_must_decode(offset: int, value: int) -> None:
    attempt = ready("open")
    attempt.accounts["mint"] = attempt.world.put_mint(attempt.world.key())
    attempt.world.poke(attempt.accounts["mint"], offset, bytes([value]))
    assert refusal(attempt.send()) == ("InvalidAccountData", "mint")


def test_mints_must_be_initialised() -> None:
    attempt = ready("open")
    attempt.accounts["mint"] = attempt.world.put(attempt.world.key(), TOKEN, bytes(82))
    outcome = attempt.send()
    assert refusal(outcome) == ("UninitializedAccount", "mint")
    assert outcome.kind == "UninitializedAccount"


def test_a_frozen_token_account_is_one() -> None:
    """It is the token program that refuses to move its tokens."""
    attempt = ready("finish")
    attempt.world.set_time(attempt.world.svm.get_clock().unix_timestamp + 60)
    attempt.world.poke(attempt.address("user"), 108, b"\x02")
    outcome = attempt.send()
    assert outcome.line == ""
    assert outcome.kind == "Custom(17)"


def test_token_accounts_of_the_newer_token_program_are_refused() -> None:
    attempt = ready("finish")
    newer = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
    data = token_data(attempt.world.mint, attempt.accounts["authority"], 5)
    outcome = place(attempt, "user", newer, data)
    assert refusal(outcome) == ("AccountOwnedByWrongProgram", "user")


@pytest.mark.parametrize(("offset", "value"), [(40, b"\x02"), (54, b"\xff\xff\xff\xff"), (58, b"\xff")])
def test_nodes_must_decode(offset: int, value: bytes) -> None:
    """A flag that is neither yes nor no, a string without end, a string that is no text."""
    attempt = call("nodes", "update")
    attempt.world.poke(attempt.address("node"), offset, value)
    assert refusal(attempt.send()) == ("AccountDidNotDeserialize", "node")


def test_a_wallet_is_not_a_missing_account() -> None:
    attempt = ready("quit")
    outcome = place(attempt, "run", SYSTEM, b"")
    assert refusal(outcome) == ("AccountOwnedByWrongProgram", "run")
    attempt.accounts["run"] = Pubkey.new_unique()
    assert refusal(attempt.send()) == ("AccountNotInitialized", "run")
