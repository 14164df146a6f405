"""From looks to verdicts: what must hold whatever is seen, and when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.agent.health.verdict import FAILING, OK, UNKNOWN, Look, Patience, Verdict
from node.records import HealthState

PATIENCE = Patience(failures=3, failures_over=8.0, successes=3, successes_over=8.0, unknown_limit=60.0)
LOOKS = st.lists(st.tuples(st.sampled_from(list(HealthState)), st.floats(0.1, 30.0)), max_size=60)


def after(looks: list[tuple[HealthState, float]], patience: Patience = PATIENCE) -> list[tuple[float, Verdict]]:
    """The verdicts after each look (what it saw, seconds since the one before)."""
    now, verdict = 0.0, Verdict.begin(0.0)
    found = [(now, verdict)]
    for state, wait in looks:
        now += wait
        verdict = verdict.after(Look(state, f"{state} at {now}"), now, patience)
        found.append((now, verdict))
    return found


def times(state: HealthState, count: int, wait: float = 5.0) -> list[tuple[HealthState, float]]:
    return [(state, wait)] * count


def test_nothing_seen_yet_is_unknown_and_no_hindrance() -> None:
    verdict = Verdict.begin(0.0)
    assert (verdict.state, verdict.hinders) == (UNKNOWN, False)


def test_the_first_good_look_is_enough_at_the_start() -> None:
    assert after(times(OK, 1))[-1][1].state is OK


def test_failing_takes_several_failures_over_several_seconds() -> None:
    assert after([*times(OK, 1), *times(FAILING, 2)])[-1][1].state is OK
    assert after([*times(OK, 1), *times(FAILING, 7, 1.0)])[-1][1].state is OK
    verdict = after([*times(OK, 1), *times(FAILING, 3)])[-1][1]
    assert (verdict.state, verdict.hinders) == (FAILING, True)


def test_well_again_takes_several_successes_over_several_seconds() -> None:
    failing = [*times(OK, 1), *times(FAILING, 3)]
    assert after([*failing, *times(OK, 2)])[-1][1].hinders
    assert after([*failing, *times(OK, 7, 1.0)])[-1][1].hinders
    assert after([*failing, *times(OK, 3)])[-1][1].state is OK
    assert after([*failing, *times(OK, 2), *times(FAILING, 1), *times(OK, 2)])[-1][1].state is FAILING


def test_unknown_hinders_after_the_stated_time_and_not_before() -> None:
    seen = after([*times(OK, 1), *times(UNKNOWN, 20)])
    began = seen[2][0]  # the first look that saw nothing
    for now, verdict in seen[2:]:
        assert verdict.hinders == (now - began >= 60.0), now
    assert seen[-1][1].state is UNKNOWN


def test_what_was_out_of_sight_for_long_must_prove_itself() -> None:
    away = [*times(OK, 1), *times(UNKNOWN, 20)]
    assert after([*away, *times(OK, 1)])[-1][1].hinders
    last = after([*away, *times(OK, 3)])[-1][1]
    assert (last.state, last.hinders) == (OK, False)


def test_not_to_be_seen_is_no_news_of_what_was_failing() -> None:
    looks = [*times(OK, 1), *times(FAILING, 3), *times(UNKNOWN, 50)]
    assert after(looks)[-1][1].state is FAILING


def test_neither_well_nor_twice_the_same_does_not_go_on_for_ever() -> None:
    looks = [*times(OK, 1), *[(state, 5.0) for _ in range(10) for state in (FAILING, UNKNOWN)]]
    assert after(looks)[-1][1].hinders


def test_a_warning_never_hinders() -> None:
    patience = Patience(is_warning=True)
    verdict = after(times(FAILING, 50), patience)[-1][1]
    assert (verdict.state, verdict.hinders) == (FAILING, False)


@given(LOOKS)
def test_no_state_changes_without_its_proof(looks: list[tuple[HealthState, float]]) -> None:
    """Every change to failing has its failures (or a long time without anything good) before it; likewise back."""
    found = after(looks)
    for index in range(1, len(found)):
        before, (now, verdict) = found[index - 1][1], found[index]
        if verdict.state is before.state:
            continue
        run, first = 0, now
        while run < index and looks[index - 1 - run][0] is verdict.state:
            first = found[index - run][0]
            run += 1
        good = [at for (at, _), (state, _) in zip(found[1 : index + 1], looks, strict=False) if state is OK]
        bad = [at for (at, _), (state, _) in zip(found[1 : index + 1], looks, strict=False) if state is not OK]
        since_bad = [at for at in bad if not good or at > good[-1]]
        if verdict.state is not OK:
            overdue = bool(since_bad) and now - (since_bad[0] if good else 0.0) >= 60.0
            assert (run >= 3 and now - first >= 8.0) or overdue
        elif before.hinders:
            assert run >= 3
            assert now - first >= 8.0


@given(LOOKS)
def test_only_a_good_look_ends_a_hindrance_and_only_a_bad_one_begins_it(
    looks: list[tuple[HealthState, float]],
) -> None:
    found = after(looks)
    for index in range(1, len(found)):
        before, verdict, seen = found[index - 1][1], found[index][1], looks[index - 1][0]
        if verdict.hinders and not before.hinders:
            assert seen is not OK
        if before.hinders and not verdict.hinders:
            assert seen is OK
        assert not (verdict.state is OK and verdict.hinders)
        assert verdict.hinders or verdict.state is not FAILING


@given(LOOKS)
def test_whatever_was_it_is_well_after_enough_good_looks(looks: list[tuple[HealthState, float]]) -> None:
    verdict = after([*looks, *times(OK, 4)])[-1][1]
    assert (verdict.state, verdict.hinders) == (OK, False)


@given(LOOKS)
def test_unknown_never_hinders_where_its_limit_is_infinite(looks: list[tuple[HealthState, float]]) -> None:
    patience = Patience(unknown_limit=float("inf"))
    unseen = [(UNKNOWN if state is FAILING else state, wait) for state, wait in looks]
    assert not any(verdict.hinders for _, verdict in after(unseen, patience))
