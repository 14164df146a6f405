"""What happens before any rule of an instruction: names, arguments, and accounts in their declared order."""

from __future__ import annotations

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from node.localnet.artefacts import load_programs

from . import holder_scene, market_scene
from .attempts import Attempt, other_mint, stored
from .harness import INTERFACES, RENT, SYSTEM, TOKEN, World, accounts_of, every_instruction
from .loading import CREATED, pascal


def ready(program: str, instruction: str) -> Attempt:
    return market_scene.ready(instruction) if program == "jobs" else holder_scene.ready(program, instruction)


@pytest.mark.parametrize(("program", "name"), every_instruction())
def test_too_few_accounts_and_too_few_bytes(program: str, name: str) -> None:
    attempt = ready(program, name)
    world = attempt.world
    for count, account in enumerate(accounts_of(program, name)):
        outcome = world.send(world.instruction(program, name, attempt.accounts, *attempt.args, keep=count))
        blamed = "" if account in CREATED.get((program, name), ()) else account
        assert (outcome.name, outcome.origin) == ("AccountNotEnoughKeys", blamed), account
        assert outcome.logs[1] == f"Program log: Instruction: {pascal(name)}"
    whole = world.instruction(program, name, attempt.accounts, *attempt.args)
    for count in range(8, len(whole.data)):
        outcome = world.send(Instruction(whole.program_id, whole.data[:count], []))
        assert outcome.name == "InstructionDidNotDeserialize", count
        assert "AnchorError occurred. " in outcome.line
    longer = Instruction(whole.program_id, whole.data + b"ignored", list(whole.accounts))
    outcome = world.send(longer)
    assert outcome.ok, outcome.logs


@pytest.mark.parametrize("program", INTERFACES)
def test_unknown_instructions(program: str) -> None:
    world = World()
    address = world.programs[program]
    for data in (b"", b"\x01", bytes(7), bytes(8), bytes(100)):
        outcome = world.send(Instruction(address, data, []))
        assert outcome.line == (
            "Program log: AnchorError occurred. Error Code: InstructionFallbackNotFound. Error Number: 101. "
            "Error Message: Fallback functions are not supported."
        )
        assert "Custom(101)" in outcome.error


@pytest.mark.parametrize("program", INTERFACES)
def test_a_program_runs_at_its_own_address_only(program: str) -> None:
    world = World()
    elsewhere = Pubkey.new_unique()
    elf = next(item.elf for item in load_programs("devnet") if item.name == program)
    world.svm.add_program(elsewhere, elf)
    outcome = world.send(Instruction(elsewhere, bytes(8), []))
    assert outcome.name == "DeclaredProgramIdMismatch"
    assert "Error Number: 4100." in outcome.line


def test_surplus_accounts_are_ignored() -> None:
    attempt = market_scene.ready("finish")
    world = attempt.world
    call = world.instruction("jobs", "finish", attempt.accounts, *attempt.args)
    surplus = [AccountMeta(Pubkey.new_unique(), False, False) for _ in range(14)]
    assert world.send(Instruction(call.program_id, call.data, [*call.accounts, *surplus])).ok


def test_errors_come_with_the_keys_that_were_compared() -> None:
    attempt = market_scene.ready("clean")
    other = attempt.world.wallet()
    attempt.accounts["payer"] = other
    logs = attempt.send().logs
    start = logs.index(
        "Program log: AnchorError caused by account: job. Error Code: InvalidPayer. Error Number: 6008. "
        "Error Message: This payer account is not valid.."
    )
    payer = Pubkey.from_bytes(attempt.world.data(attempt.accounts["job"])[136:168])
    assert logs[start + 1 : start + 5] == [
        "Program log: Left:",
        f"Program log: {payer}",
        "Program log: Right:",
        f"Program log: {other}",
    ]


@pytest.mark.parametrize(
    ("account", "address", "error"),
    [
        ("token_program", SYSTEM, "InvalidProgramId"),
        ("system_program", TOKEN, "InvalidProgramId"),
        ("rent", SYSTEM, "AccountSysvarMismatch"),
    ],
)
def test_programs_and_sysvars_are_recognised(account: str, address: Pubkey, error: str) -> None:
    attempt = market_scene.ready("open")
    attempt.accounts[account] = address
    outcome = attempt.send()
    assert (outcome.name, outcome.origin) == (error, account)


def test_the_rewards_program_must_be_executable() -> None:
    attempt = market_scene.ready("list")
    world = attempt.world
    world.put(world.programs["rewards"], SYSTEM, b"")
    outcome = attempt.send()
    assert (outcome.name, outcome.origin) == ("InvalidProgramExecutable", "rewards_program")


def _shorten(attempt: Attempt, name: str, length: int) -> None:
    account = attempt.world.account(attempt.accounts[name])
    assert account is not None
    attempt.world.put(attempt.accounts[name], account.owner, bytes(account.data)[:length], account.lamports)


@pytest.mark.parametrize(
    ("name", "length", "error"),
    [
        ("job", 7, "AccountDiscriminatorNotFound"),
        ("job", 232, "AccountDidNotDeserialize"),
        ("run", 112, "AccountDidNotDeserialize"),
        ("market", 150, "AccountDidNotDeserialize"),
        ("vault", 164, "InvalidAccountData"),
    ],
)
def test_accounts_that_are_too_short(name: str, length: int, error: str) -> None:
    attempt = market_scene.ready("finish")
    _shorten(attempt, name, length)
    outcome = attempt.send()
    assert (outcome.name, outcome.origin) == (error, name)


def test_accounts_may_be_as_short_as_their_fields() -> None:
    attempt = market_scene.ready("finish")
    _shorten(attempt, "job", 233)
    _shorten(attempt, "run", 113)
    _shorten(attempt, "market", 151)
    assert attempt.send().ok


def test_token_accounts_must_be_initialised() -> None:
    attempt = market_scene.ready("finish")
    stored("user", 108, b"\x00")(attempt)
    outcome = attempt.send()
    assert outcome.line == (
        "Program log: ProgramError caused by account: user. Error Code: UninitializedAccount. "
        "Error Number: 42949672960. Error Message: An attempt to operate on an account that hasn't been initialized."
    )


def test_creations_come_before_constraints() -> None:
    attempt = market_scene.ready("claim")
    stored("job", 208, b"\x00")(attempt)
    attempt.accounts["run"] = attempt.accounts["job"]
    attempt.unsigned.add("run")
    outcome = attempt.send()
    assert not outcome.ok
    assert outcome.line == ""


def test_a_mint_is_a_mint() -> None:
    attempt = market_scene.ready("open")
    attempt.accounts["mint"] = attempt.world.nos(attempt.accounts["authority"])
    outcome = attempt.send()
    assert (outcome.name, outcome.origin) == ("InvalidAccountData", "mint")
    other_mint(attempt)
    assert attempt.send().name == "ConstraintSeeds"
    assert attempt.accounts.get("rent", RENT) == RENT
