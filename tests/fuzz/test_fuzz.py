"""A few hundred cases of every target, the same ones each time; `python -m tests.fuzz` runs as many as wanted."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import campaign
from tests.fuzz.mutation import Mutator
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

CASES = 100


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_seeds_are_what_they_should_be(name: str) -> None:
    """Valid cases, or at least one: a target that refuses all it begins with tests only its front door."""
    target = TARGETS[name]
    outcomes = [target.refuses(seed) for seed in target.seeds()]
    assert outcomes
    assert not all(outcomes), "every seed is refused"


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_only_our_errors(name: str) -> None:
    target, seeds = TARGETS[name], TARGETS[name].seeds()
    mutated = st.integers(0, 2**64).map(lambda seed: Mutator(Random(seed)).case(seeds))

    @settings(max_examples=CASES, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(st.binary(max_size=400), mutated))
    def holds(case: bytes) -> None:
        target.refuses(case)

    holds()


def test_a_campaign_finds_what_is_there() -> None:
    def broken(case: bytes) -> None:
        if b"}" in case and b"\\u0000" in case:
            raise KeyError("found")

    report = campaign.run(Target("broken", broken, lambda: (b'{"a": "b"}',)), 3000, 1)
    assert list(report.findings) != []
    assert report.cases == 3000


def test_a_campaign_is_the_same_for_the_same_seed() -> None:
    one, other = (campaign.run(TARGETS["definition"], 200, 7) for _ in range(2))
    assert (one.refused, one.lines, one.corpus) == (other.refused, other.lines, other.corpus)
