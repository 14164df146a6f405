"""Compute units of every instruction: far below what a transaction is given where nobody asks for more."""

from __future__ import annotations

import pytest

from .harness import UNITS_ALLOWED, every_instruction
from .test_order import call


@pytest.mark.parametrize(("program", "name"), every_instruction())
def test_units_stay_far_below_what_clients_ask_for(program: str, name: str) -> None:
    """Several times, because the search for a derived address takes as long as its seeds want."""
    taken = []
    for _ in range(3):
        outcome = call(program, name).send()
        assert outcome.ok, outcome.logs
        taken.append(outcome.units)
    print(f"{program}.{name}: {max(taken)} compute units")
    assert max(taken) < UNITS_ALLOWED
