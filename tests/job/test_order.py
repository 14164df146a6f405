"""The order of operations."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import PlanInvalid
from node.job.order import Step, check_order, groups_of, running_groups


def step(name: str, *needs: str, group: str | None = "g") -> Step:
    return Step(name, group, needs)


def test_groups_come_in_order_of_first_appearance() -> None:
    steps = [step("a", group="two"), step("b", group=None), step("c", group="one"), step("d", group="two")]
    assert [(group.name, group.operations) for group in groups_of(steps)] == [
        ("two", ("a", "d")),
        ("b", ("b",)),
        ("one", ("c",)),
    ]


@pytest.mark.parametrize(
    "steps",
    [
        [step("a", "b"), step("b")],
        [step("a", "b", "c"), step("b", "c"), step("c")],
        [step("a", group=None), step("b", "a", group=None)],
        [step("a", "b", group=None), step("b", group=None)],
        [step("a", "b", "b"), step("b")],
    ],
)
def test_orders_that_can_be_kept(steps: list[Step]) -> None:
    check_order(steps)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([step("a", "a")], ["'a' depends on itself"]),
        ([step("a", "x")], ["'a' depends on 'x', which does not exist"]),
        ([step("a", group="one"), step("b", "a", group="two")], ["'b' of group 'two' depends on 'a' of group 'one'"]),
        ([step("a", group=None), step("b", "a")], ["'b' of group 'g' depends on 'a' of no group"]),
        # Compared as written: a group that has the other's name all the same is another.
        ([step("a", group=None), step("b", "a", group="a")], ["of no group"]),
        ([step("a", "b"), step("b", "a")], ["circle: 'a' -> 'b' -> 'a'"]),
        ([step("x", "a"), step("a", "b"), step("b", "c"), step("c", "a")], ["circle: 'a' -> 'b' -> 'c' -> 'a'"]),
        ([step("a", "a", "x"), step("b", "y")], ["itself", "'x'", "'y'"]),
    ],
)
def test_orders_that_cannot(steps: list[Step], words: list[str]) -> None:
    with pytest.raises(PlanInvalid) as caught:
        check_order(steps)
    assert len(caught.value.messages) == len(words)
    for message, word in zip(caught.value.messages, words, strict=True):
        assert word in message


def test_operations_without_groups_that_depend_on_each_other_run_together() -> None:
    steps = [step("a", "c", group=None), step("b", group=None), step("c", group=None), step("d", "b", group=None)]
    assert running_groups(steps) == {"a": "a", "b": "b", "c": "a", "d": "b"}
    assert running_groups([step("a"), step("b", "a")]) == {"a": "g", "b": "g"}


def test_many_operations_cost_little() -> None:
    names = [str(number) for number in range(5000)]
    chain = [Step(name, "g", tuple(names[max(0, at - 20) : at])) for at, name in enumerate(names)]
    began = time.process_time()
    check_order(chain)
    with pytest.raises(PlanInvalid):
        check_order([*chain[1:], Step("0", "g", ("4999",))])
    # Work that grew with the square of their number would take minutes.
    assert time.process_time() - began < 20


@given(st.lists(st.tuples(st.integers(0, 6), st.lists(st.integers(0, 7), max_size=3)), max_size=7))
def test_an_order_that_is_accepted_lets_all_start(found: list[tuple[int, list[int]]]) -> None:
    steps = [Step(str(at), "g", tuple(map(str, needs))) for at, (_, needs) in enumerate(found)]
    try:
        check_order(steps)
    except PlanInvalid:
        return
    started: set[str] = set()
    while ready := [each for each in steps if each.id not in started and set(each.depends_on) <= started]:
        started |= {each.id for each in ready}
    assert len(started) == len(steps)
