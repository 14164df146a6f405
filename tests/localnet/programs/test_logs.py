"""What the log says of every broken rule, to the last full stop: clients tell errors apart by nothing else."""

from __future__ import annotations

import re

import pytest
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from .attempts import Attempt, Rule
from .harness import INTERFACES, Outcome, World, every_instruction
from .loading import load_rules, pascal
from .market_scene import DEFINITION, TIMEOUT, Scene
from .test_order import call, own_rules
from .texts import COMPARED, HANDLERS, NOT_COMPARED, TEXTS

PLACE = r"(?:\w+/)+\w+\.rs:[1-9]\d*"


def expected_line(error: str, blamed: str) -> str:
    """The pattern of the line that names an error."""
    number, text = TEXTS[error]
    origin = "occurred"
    if blamed:
        origin = f"caused by account: {blamed}"
    elif error in HANDLERS:
        origin = f"thrown in {PLACE}"
    told = f"Error Code: {error}. Error Number: {number}. Error Message: {text}."
    return rf"Program log: AnchorError {origin}\. {re.escape(told)}"


def said(outcome: Outcome) -> list[str]:
    """What the program itself said after the name of the instruction."""
    start = next(at for at, log in enumerate(outcome.logs) if log.startswith("Program log: Instruction: "))
    return [log for log in outcome.logs[start + 1 :] if log.startswith("Program log: ")]


def check(attempt: Attempt, rule: Rule) -> set[str]:
    """Sends the call with the one fault; gives the error's name if its log was as it has to be."""
    fault, error, blamed = rule
    with attempt.world.rewinding():
        broken = attempt.copy()
        fault(broken)
        outcome = broken.send()
    assert outcome.logs[1] == f"Program log: Instruction: {pascal(attempt.name)}"
    if error not in TEXTS:
        return set()
    line, *values = said(outcome)
    assert re.fullmatch(expected_line(error, blamed), line), line
    assert outcome.kind == f"Custom({TEXTS[error][0]})"
    assert outcome.logs[-1].endswith(f"failed: custom program error: {TEXTS[error][0]:#x}")
    if error in COMPARED and (f"{attempt.program}.{attempt.name}", error) not in NOT_COMPARED:
        assert (values[0], values[2], len(values)) == ("Program log: Left:", "Program log: Right:", 4), outcome.logs
        left, right = (Pubkey.from_string(value.removeprefix("Program log: ")) for value in (values[1], values[3]))
        assert left != right
    else:
        assert values == [], outcome.logs
    return {error}


@pytest.mark.parametrize(("program", "name"), every_instruction())
def test_every_rule_says_what_is_broken(program: str, name: str) -> None:
    attempt = call(program, name)
    seen = set().union(*(check(attempt, rule) for rule in [*load_rules(program, name), *own_rules(program, name)]))
    assert len(seen) > 1


def test_every_text_is_raised_by_a_rule() -> None:
    """But for those that need a scene of their own."""
    rules = [rule for program, name in every_instruction() for rule in own_rules(program, name)]
    rules += [rule for program, name in every_instruction() for rule in load_rules(program, name)]
    elsewhere = {
        "AccountDiscriminatorMismatch",
        "AccountDiscriminatorNotFound",
        "AccountDidNotDeserialize",
        "AccountOwnedByWrongProgram",
        "DeclaredProgramIdMismatch",
        "EventInstructionStub",
        "InstructionFallbackNotFound",
        "InvalidMint",
        "InvalidOwner",
        "InvalidProgramExecutable",
        "TryingToInitPayerAsProgramAccount",
    }
    assert {error for _, error, _ in rules} >= set(TEXTS) - elsewhere


@pytest.mark.parametrize("program", INTERFACES)
def test_the_builtin_instructions_of_anchor(program: str) -> None:
    """Interfaces are no longer kept by the programs themselves, and none of them reports events to itself."""
    world = World()
    address = world.programs[program]
    interface_tag = bytes.fromhex("0a69e9a778bcf440")
    cases = [
        (interface_tag + bytes(9), "InstructionFallbackNotFound"),
        (interface_tag[::-1] + bytes(9), "InstructionFallbackNotFound"),
        (bytes.fromhex("e445a52e51cb9a1d") + bytes(20), "EventInstructionStub"),
        (bytes.fromhex("e445a52e51cb9a1d"), "EventInstructionStub"),
        (bytes.fromhex("e445a52e51cb9a"), "InstructionFallbackNotFound"),
        (bytes.fromhex("1d9acb512ea545e4"), "InstructionFallbackNotFound"),
    ]
    for data, error in cases:
        outcome = world.send(Instruction(address, data, []))
        assert re.fullmatch(expected_line(error, ""), outcome.logs[1]), outcome.logs
        assert outcome.kind == f"Custom({TEXTS[error][0]})"


@pytest.mark.parametrize(("price", "timeout"), [(100, 2**62), (100, -5)])
def test_arithmetic_that_overflows_aborts(price: int, timeout: int) -> None:
    outcome = Scene(price=price).attempt("list", DEFINITION, timeout).send()
    assert outcome.kind == "ProgramFailedToComplete"
    assert outcome.line == ""
    assert any(re.match(rf"Program log: panicked at {PLACE}:\d+:\n\w+", log) for log in outcome.logs), outcome.logs
    assert outcome.logs[-1].endswith("failed: SBF program panicked")


def test_what_the_system_program_says_of_a_key_in_use() -> None:
    scene = Scene()
    job = scene.post()
    outcome = scene.attempt("list", DEFINITION, TIMEOUT, job=job, run=scene.world.key()).send()
    assert outcome.kind == "Custom(0)"
    assert f"Allocate: account Address {{ address: {job}, base: None }} already in use" in outcome.logs
    assert outcome.logs[-1].endswith("failed: custom program error: 0x0")


def test_nothing_but_its_name_is_logged_of_a_call_that_succeeds() -> None:
    scene = Scene()
    outcome = scene.attempt("work").send()
    assert said(outcome) == []
    assert outcome.logs[-1] == f"Program {scene.world.programs['jobs']} success"
    assert not any("return" in log for log in outcome.logs)
