"""Who is kept otherwise: the first rule that fits."""

from __future__ import annotations

from typing import Any

import pytest

from node.job.isolation import keep
from node.records import Address, Egress, IsolationProfile, Plan
from node.settings_isolation import IsolationRule
from tests.container.operations import operation

ALICE, BOB = Address("alice"), Address("bob")
SEALED, STANDARD = IsolationProfile.SEALED, IsolationProfile.STANDARD


def kept(poster: Address, image: str, *rules: dict[str, Any]) -> tuple[IsolationProfile, str]:
    plan = Plan(Address("job"), "net", (operation(image, "node", "x"),))
    found = keep(plan, poster, [IsolationRule.model_validate(rule) for rule in rules])
    return found.operations[0].container.profile, found.operations[0].container.runtime


@pytest.mark.parametrize(
    ("poster", "image", "expected"),
    [
        (ALICE, "any", (STANDARD, "runc")),
        (BOB, "any", (SEALED, "runc")),
        (BOB, "trusted/x", (SEALED, "runc")),  # the first that fits, though a later one fits as well
        (ALICE, "trusted/x", (STANDARD, "runsc")),
        (ALICE, "docker.io/trusted/x:latest", (STANDARD, "runsc")),  # by its full name too
        (ALICE, "elsewhere.io/trusted/x", (STANDARD, "runc")),
    ],
)
def test_rules(poster: Address, image: str, expected: tuple[IsolationProfile, str]) -> None:
    rules = ({"posters": ["bob"], "profile": "sealed"}, {"images": ["docker.io/trusted/*"], "runtime": "runsc"})
    assert kept(poster, image, *rules) == expected


def test_a_rule_for_everybody_and_both_conditions() -> None:
    assert kept(ALICE, "x", {"runtime": "runsc", "profile": "sealed"}) == (SEALED, "runsc")
    both = {"posters": ["bob"], "images": ["x*"], "profile": "sealed"}
    assert kept(BOB, "x1", both)[0] is SEALED
    assert kept(BOB, "y", both)[0] is STANDARD
    assert kept(ALICE, "x1", both)[0] is STANDARD


def test_what_somebodys_jobs_may_reach() -> None:
    plan = Plan(Address("job"), "net", (operation("x", "node", "x"),))
    rules = [IsolationRule.model_validate({"posters": ["bob"], "egress": "none"})]
    assert keep(plan, BOB, rules).operations[0].container.egress is Egress.NONE
    assert keep(plan, ALICE, rules).operations[0].container.egress is Egress.OPEN
