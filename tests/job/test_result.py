"""The result document: shape, regexes, limits."""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.errors import ContentTooLarge
from node.job.pattern import BadPattern, Pattern
from node.job.result import MAX_ENTRIES, encode_result, extract_results, flow_state
from node.records import (
    Address,
    ContainerSpec,
    EndCause,
    IsolationProfile,
    Limits,
    OperationError,
    OperationState,
    OperationStatus,
    Outcome,
    Plan,
    PlannedOperation,
)

RECORDED = json.loads(Path(__file__).with_name("regexes.json").read_text())
JOB = Address("7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41")


@dataclass(frozen=True)
class Entry:
    type: str
    log: str
    timestamp: str = "2026-01-01T00:00:00.000000001Z"


ENGINE_STATE = {
    "Status": "exited",
    "Running": False,
    "Paused": False,
    "Restarting": False,
    "OOMKilled": False,
    "Dead": False,
    "Pid": 0,
    "ExitCode": 0,
    "Error": "",
    "StartedAt": "2026-01-01T00:00:00Z",
    "FinishedAt": "2026-01-01T00:00:02Z",
    "RestartCount": 0,
    "SomethingNew": 1,
}
STATE = OperationState(
    index=0,
    id="a",
    group="a",
    status=OperationStatus.SUCCESS,
    container_id="c0ffee",
    started_ms=1000,
    ended_ms=3000,
    exit_code=0,
    engine_state=ENGINE_STATE,
)
OUTCOME = Outcome(job=JOB, cause=EndCause.COMPLETED, started_ms=1000, ended_ms=3000, operations=(STATE,))


def plan(*results: tuple[str, Any]) -> Plan:
    spec = ContainerSpec(
        name="n",
        image="i",
        command=None,
        entrypoint=None,
        env=(),
        work_dir=None,
        gpu_uuids=(),
        labels=(),
        network="gpn",
        aliases=(),
        limits=Limits(1, 1, 1.0, 1, 1, 1),
        profile=IsolationProfile.STANDARD,
    )
    return Plan(JOB, "gpn", (PlannedOperation(0, "a", "a", spec, results),))


def test_a_finished_job() -> None:
    log = [Entry("stdout", "loss: 0.5\n"), Entry("stderr", ""), Entry("stderr", "warn\n")]
    document = flow_state(OUTCOME, plan(("loss", r"loss: ([0-9.]+)")), {0: log})
    assert list(document) == ["status", "startTime", "endTime", "secrets", "opStates"]
    assert (document["status"], document["startTime"], document["endTime"]) == ("success", 1000, 3000)
    assert document["secrets"] == {}
    (operation,) = document["opStates"]
    state = operation["diagnostics"].pop("state")
    assert operation == {
        "providerId": "c0ffee",
        "operationId": "a",
        "group": "a",
        "status": "success",
        "startTime": 1000,
        "endTime": 3000,
        "exitCode": 0,
        "logs": [
            {"log": "loss: 0.5\n", "type": "stdout", "timestamp": Entry.timestamp},
            {"log": "warn\n", "type": "stderr", "timestamp": Entry.timestamp},
        ],
        "errors": [],
        "diagnostics": {"reason": {"hostShutDown": False, "jobStopped": False, "jobExpired": False}},
        "results": {"loss": ["loss: 0.5", "0.5"]},
    }
    assert state == {key: value for key, value in ENGINE_STATE.items() if key != "SomethingNew"}


def test_results_are_absent_where_none_are_defined() -> None:
    assert "results" not in flow_state(OUTCOME, plan(), {0: []})["opStates"][0]


@pytest.mark.parametrize(
    ("cause", "operation", "status", "flags", "word"),
    [
        (EndCause.COMPLETED, OperationStatus.SUCCESS, "success", (), None),
        (EndCause.COMPLETED, OperationStatus.FAILED, "failed", (), None),
        (EndCause.EXPIRED, OperationStatus.SUCCESS, "success", ("jobExpired",), "expired"),
        (EndCause.STOPPED, OperationStatus.STOPPED, "stopped", ("jobStopped",), "stopped"),
        (EndCause.HOST, OperationStatus.FAILED, "failed", ("hostShutDown",), "quit"),
    ],
)
def test_statuses_and_reasons(cause, operation, status, flags, word) -> None:
    outcome = replace(OUTCOME, cause=cause, operations=(replace(STATE, status=operation),))
    document = flow_state(outcome, plan(), {})
    reason = document["opStates"][0]["diagnostics"]["reason"]
    assert document["status"] == status
    assert [key for key, value in reason.items() if value is True] == list(flags)
    assert reason.get("reason") == (f"Operation stopped due to flow {word}" if word else None)


def test_the_end_of_the_job_is_told_of_what_ran_then() -> None:
    done = replace(STATE, ended_ms=2000)
    ran = replace(STATE, index=1, id="b", status=OperationStatus.STOPPED, exit_code=137, cause=EndCause.STOPPED)
    late = OperationState(
        2, "c", "z", OperationStatus.STOPPED, started_ms=5, ended_ms=5, exit_code=0, cause=EndCause.STOPPED
    )
    outcome = replace(OUTCOME, cause=EndCause.STOPPED, operations=(done, ran, late))
    states = flow_state(outcome, None, {})["opStates"]
    reasons = [state["diagnostics"]["reason"] for state in states]
    assert [reason["jobStopped"] for reason in reasons] == [False, True, False]
    assert [reason.get("reason") for reason in reasons] == [None, "Operation stopped due to flow stopped", None]


def test_its_own_timeout_and_its_owners_word_are_reasons() -> None:
    timed = replace(STATE, timed_out=True, exit_code=137)
    planned = plan()
    planned = replace(planned, operations=(replace(planned.operations[0], timeout=30),))
    (state,) = flow_state(replace(OUTCOME, operations=(timed,)), planned, {})["opStates"]
    assert state["diagnostics"]["reason"] == {
        "hostShutDown": False,
        "jobStopped": False,
        "jobExpired": False,
        "reason": "Operation killed after exceeding its timeout of 30s",
    }
    stopped = replace(STATE, status=OperationStatus.STOPPED, stopped=True, stopping="Operation stopped by its owner")
    (state,) = flow_state(replace(OUTCOME, operations=(stopped,)), planned, {})["opStates"]
    assert state["diagnostics"]["reason"]["reason"] == "Operation stopped by its owner"


def test_a_literal_that_stands_for_nothing() -> None:
    state = OperationState(
        0, "a", "a", OperationStatus.FAILED, started_ms=5, ended_ms=5, exit_code=0, note='Unresolved literal: "%%x%%"'
    )
    document = flow_state(replace(OUTCOME, operations=(state,)), plan(("x", "y")), {})
    assert document["status"] == "failed"
    assert document["opStates"][0]["logs"] == [{"log": 'Unresolved literal: "%%x%%"', "type": "nodeerr"}]
    assert "results" not in document["opStates"][0]
    assert encode_result(document, 100_000)


def test_operations_that_no_order_suits() -> None:
    errors = ("Execution Plan Validation Failed:\n- a depends on itself",)
    document = flow_state(Outcome(JOB, EndCause.UNPLANNED, 5, 6, (), errors=errors), None, {})
    assert (document["status"], document["endTime"], document["opStates"]) == ("init error", None, [])
    assert document["errors"] == list(errors)


def test_only_the_last_group_was_stopped() -> None:
    first = replace(STATE, ended_ms=2000)
    second = replace(STATE, index=1, id="b", group="b", status=OperationStatus.STOPPED)
    waiting = OperationState(index=2, id="c", group="b", status=OperationStatus.INIT)
    outcome = replace(OUTCOME, cause=EndCause.STOPPED, operations=(first, second, waiting))
    states = flow_state(outcome, None, {})["opStates"]
    assert [state["diagnostics"]["reason"]["jobStopped"] for state in states] == [False, True, False]
    assert states[2] == {
        "providerId": None,
        "operationId": "c",
        "group": "b",
        "status": "init",
        "startTime": None,
        "endTime": None,
        "exitCode": None,
        "logs": [],
        "errors": [],
        "diagnostics": {"reason": {"hostShutDown": False, "jobStopped": False, "jobExpired": False}},
    }


def test_a_failed_pull() -> None:
    errors = (OperationError("image-pull-error", "not found", 404), OperationError("operation-error", "x"))
    state = OperationState(0, "a", "a", OperationStatus.FAILED, started_ms=1, ended_ms=2, exit_code=2, errors=errors)
    document = flow_state(replace(OUTCOME, operations=(state,)), plan(), {})
    assert document["status"] == "failed"
    assert document["opStates"][0]["errors"] == [
        {"event": "image-pull-error", "message": "not found", "code": 404},
        {"event": "operation-error", "message": "x"},
    ]
    assert "state" not in document["opStates"][0]["diagnostics"]


def test_an_invalid_definition() -> None:
    violations = ({"path": "$input.type", "expected": '"container"'},)
    outcome = Outcome(JOB, EndCause.INVALID, 5, 6, (), violations)
    assert flow_state(outcome, None, {}) == {
        "status": "validation-error",
        "startTime": 5,
        "endTime": 6,
        "secrets": {},
        "opStates": [],
        "errors": [[{"path": "$input.type", "expected": '"container"'}]],
    }


def test_only_the_newest_entries_are_held_and_seen() -> None:
    log = [Entry("stdout", f"{number}\n") for number in range(MAX_ENTRIES + 2)]
    operation = flow_state(OUTCOME, plan(("n", "^(0|1|2)\n")), {0: iter(log)})["opStates"][0]
    assert len(operation["logs"]) == MAX_ENTRIES
    assert operation["results"] == {"n": ["2\n", "2"]}


# --- regexes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "expected"), RECORDED["cases"], ids=lambda value: repr(value)[:30])
def test_regexes_match_as_in_javascript(source: str, expected: Any) -> None:
    """`regexes.json` was recorded from Node.js 20."""
    if isinstance(expected, str):
        with pytest.raises(BadPattern) as caught:
            Pattern(source)
        assert str(caught.value) == expected
        return
    pattern = Pattern(source)
    assert [pattern.first(line) for line in RECORDED["lines"]] == expected


@pytest.mark.parametrize(
    "source",
    ["(?<=a)|x", "(?<=(?<=a)a)b", "(?<=a+)b", "(?<=a|bc)b", "(?<!a)b", "b(?!a)", "(?<=a)b(?!c)", "a(?=b)c", "a|b(?=c)",
     "(?<=(a))b", "(?<=a", "x(?<=a)", "(?:(?<=a)b)c"],
)  # fmt: skip
def test_look_around_but_at_the_ends_is_refused(source: str) -> None:
    with pytest.raises(BadPattern, match="look-around is not supported"):
        Pattern(source)


def test_extraction_by_type_star_and_bad_regex() -> None:
    entries = [
        {"type": t, "log": log, "timestamp": ""} for t, log in [("stdout", "a1"), ("stderr", "b2"), ("stdout", "c")]
    ]
    rules = [
        ("all", "[0-9]"),
        ("out", {"regex": "([a-z])([0-9])?", "logType": ["stdout"]}),
        ("star", "*"),
        ("none", "zzz"),
        ("bad", "("),
        ("ahead", "a(?!b)"),
    ]
    assert extract_results(rules, entries) == {
        "all": ["1", "2"],
        "out": ["a1", "a", "1", "c", "c", None],
        "star": ["", "", ""],
        "none": [],
        "bad": "SyntaxError: Invalid regular expression: /(/: Unterminated group",
        "ahead": "SyntaxError: Invalid regular expression: /a(?!b)/: look-around is not supported by this node",
    }


def test_a_hostile_regex_costs_linear_time() -> None:
    entries = [{"type": "stdout", "log": "a" * 20_000 + "!", "timestamp": ""}] * 20
    assert extract_results([("r", "^(a+)+$"), ("s", "(a|aa)+$")], entries, seconds=20) == {"r": [], "s": []}


def test_extraction_stops_when_its_time_is_over() -> None:
    ticks = iter(range(100))
    entries = [{"type": "stdout", "log": "a", "timestamp": ""}] * 10
    found = extract_results([("r", "a"), ("s", "a")], entries, clock=lambda: float(next(ticks)), seconds=12.5)
    assert found == {"r": ["a"] * 10, "s": "Error: the time for extracting results was over"}


def test_extraction_stops_when_it_found_too_much() -> None:
    entries = [{"type": "stdout", "log": "a" * 16_384, "timestamp": ""}] * 1200
    found = extract_results([("few", "a{3}"), ("many", "((((.*))))"), ("after", "a")], entries)
    assert len(found["few"]) == 1200
    assert found["many"] == found["after"] == "Error: the results of this operation are too large"


@given(st.text(max_size=20))
@settings(max_examples=300)
def test_any_regex_compiles_or_says_why(source: str) -> None:
    try:
        Pattern(source).first("abc \n")
    except BadPattern as error:
        assert str(error).startswith("SyntaxError: ")  # noqa: PT017


# --- bytes ------------------------------------------------------------------------------------------


def test_a_small_result_is_whole() -> None:
    document = flow_state(OUTCOME, plan(), {0: [Entry("stdout", "é\n")]})
    assert json.loads(encode_result(document, 10_000)) == document


@given(st.integers(700, 9000), st.lists(st.text(max_size=60), max_size=80))
@settings(max_examples=60)
def test_a_large_result_loses_its_oldest_entries_and_says_so(limit: int, texts: list[str]) -> None:
    log = [Entry("stdout", text + "\n", f"2026-01-01T00:00:{n:02}Z") for n, text in enumerate(texts)]
    document = flow_state(OUTCOME, plan(("r", ".*")), {0: log})
    try:
        body = encode_result(document, limit)
    except ContentTooLarge:
        assert limit < 1200
        return
    assert len(body) <= limit
    kept = json.loads(body)["opStates"][0]["logs"]
    whole = document["opStates"][0]["logs"]
    if kept != whole:
        note, kept = kept[0], kept[1:]
        assert note["type"] == "nodeerr"
        assert note["log"].startswith(f"gpunode: {len(whole) - len(kept)} older log entries")
        assert kept == whole[len(whole) - len(kept) :]


def test_cutting_keeps_as_much_as_fits() -> None:
    log = [Entry("stdout", "x" * 100 + "\n", f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z") for n in range(1000)]
    body = encode_result(flow_state(OUTCOME, plan(), {0: log}), 50_000)
    assert 49_000 < len(body) <= 50_000


def test_results_give_way_last() -> None:
    log = [Entry("stdout", "x" * 1000 + "\n")] * 100
    document = flow_state(OUTCOME, plan(("r", "x*")), {0: log})
    body = json.loads(encode_result(document, 5000))
    assert body["opStates"][0]["results"] == {"r": "Error: left out, the result may have at most 5000 bytes"}
    with pytest.raises(ContentTooLarge) as caught:
        encode_result(document, 100)
    assert caught.value.hint


def test_a_regex_too_large_for_a_line_is_given_up() -> None:
    """A step per byte and part of the regex: what would take longer than seconds is not begun."""
    began = time.monotonic()
    worst = r"(?:(a?)(b?)){600}$"
    found = extract_results(
        (("r", worst), ("s", "b$")), [{"log": "ab" * size, "type": "stdout"} for size in (100, 100_000)]
    )
    assert found["r"] == "Error: the regular expression is too large for a line of 200000 characters"
    assert found["s"] == ["b", "b"]
    assert time.monotonic() - began < 5


def test_a_regex_that_was_slow_on_one_line_is_tried_on_no_other() -> None:
    times = iter([0.0, 1.0, 10.0, 16.0])
    pattern = Pattern("a", clock=lambda: next(times))
    assert pattern.first("a") == ["a"]
    assert pattern.first("a") == ["a"]
    with pytest.raises(BadPattern, match="took too long"):
        pattern.first("a")
