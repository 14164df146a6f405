"""Every rule of every instruction: alone, and beside each rule that is checked after it."""

from __future__ import annotations

import pytest

from . import holder_rules, job_rules
from .attempts import Attempt, Rule, check_pairs
from .harness import every_instruction
from .loading import load_rules

pytestmark = pytest.mark.long


def own_rules(program: str, name: str) -> list[Rule]:
    return job_rules.RULES[name] if program == "jobs" else holder_rules.RULES[program, name]


def call(program: str, name: str) -> Attempt:
    return job_rules.call(name) if program == "jobs" else holder_rules.call(program, name)


@pytest.mark.parametrize(("program", "name"), every_instruction())
def test_of_two_broken_rules_the_earlier_is_reported(program: str, name: str) -> None:
    check_pairs(lambda: call(program, name), [*load_rules(program, name), *own_rules(program, name)])
