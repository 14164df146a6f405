"""What `jobs show` and `job get` say of jobs that did not go well, from the documents the agent really makes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.cli.job.outcome import show_result
from node.container import ending
from node.container.engine import ContainerView
from node.container.log import LogEntry
from node.errors import ContainerError, ImagePullFailed
from node.job.result import encode_result, flow_state
from node.journal.journal import Journal
from node.records import (
    EndCause,
    LogDigest,
    OperationError,
    OperationState,
    OperationStatus,
    Outcome,
    Refusal,
    SettleKind,
    Settlement,
    Signature,
    Stage,
)
from tests.cli.conftest import Shell
from tests.journal.samples import address, assignment, lane_status

BEGUN = OperationState(0, "train", "train", OperationStatus.RUNNING, container_id="c" * 64, started_ms=1_000, starts=1)
FINISHED = "2026-01-01T00:00:05Z"


def _view(exit_code: int, *, oom: bool = False) -> ContainerView:
    state = {"Status": "exited", "Running": False, "OOMKilled": oom, "ExitCode": exit_code, "FinishedAt": FINISHED}
    return ContainerView(
        "c" * 64, "name", {}, "exited", False, exit_code, state, "sha256:" + "0" * 64, None, None, FINISHED, FINISHED
    )


def _killed_for_memory() -> OperationState:
    return ending.ended_with_container(BEGUN, _view(137, oom=True), None, 6_000)


def _command_failed() -> OperationState:
    return ending.ended_with_container(BEGUN, _view(3), None, 6_000)


def _image_away() -> OperationState:
    error: ContainerError = ImagePullFailed("image example/none:1 cannot be pulled: not found", status=404)
    return ending.ended_by_error(
        replace(BEGUN, container_id=None, starts=0), ending.operation_error("image-pull-error", error), 6_000
    )


def _outcome(*states: OperationState, cause: EndCause = EndCause.COMPLETED, violations: Any = ()) -> Outcome:
    return Outcome(address(1001), cause, 1_000, 6_000, states, violations)


def _log(lines: int) -> dict[int, Iterable[LogEntry]]:
    return {
        0: [LogEntry("stdout", f"line {number}\n", f"2026-01-01T00:00:{number % 60:02}Z") for number in range(lines)]
    }


@pytest.mark.parametrize(
    ("state", "cause", "said"),
    [
        (_killed_for_memory(), EndCause.COMPLETED, ["failed (an operation failed)", "137", "out of memory"]),
        (_command_failed(), EndCause.COMPLETED, ["failed (an operation failed)", "train      failed  3"]),
        (_image_away(), EndCause.COMPLETED, ["cannot be pulled: not found (image-pull-error 404)"]),
        (
            replace(_command_failed(), status=OperationStatus.STOPPED, exit_code=137),
            EndCause.EXPIRED,
            ["result: success", "stopped: the time that was paid for was over"],
        ),
        (
            replace(_command_failed(), status=OperationStatus.STOPPED, exit_code=143),
            EndCause.STOPPED,
            ["result: stopped (the poster ended the job)", "train: stopped: the poster ended the job"],
        ),
    ],
)
def test_job_get_says_why(
    capsys: pytest.CaptureFixture[str], state: OperationState, cause: EndCause, said: list[str]
) -> None:
    show_result(json.loads(encode_result(flow_state(_outcome(state, cause=cause), None, {}), 1 << 20)))
    out = capsys.readouterr().out
    for words in said:
        assert words in out


def test_job_get_lists_what_the_schema_forbids(capsys: pytest.CaptureFixture[str]) -> None:
    violations = tuple(
        {"path": f"$input.ops[{n}].args", "expected": "ContainerRun", "value": {"cmd": n}} for n in range(30)
    )
    show_result(flow_state(_outcome(cause=EndCause.INVALID, violations=violations), None, {}))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "result: validation-error (the definition breaks the schema, so nothing was run)"
    assert lines[1] == "  $input.ops[0].args must be ContainerRun, is {'cmd': 0}"
    assert lines[-1] == "  and 10 more"


def test_a_result_that_was_cut_says_so_beside_its_last_lines(capsys: pytest.CaptureFixture[str]) -> None:
    cut = json.loads(encode_result(flow_state(_outcome(_command_failed()), None, _log(500)), 8_000))
    show_result(cut)
    out = capsys.readouterr().out
    assert "older log entries" in out
    assert "a result may have 8000 bytes" in out
    assert "line 499" in out
    assert "line 400" not in out


def test_what_regexes_found_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    document = flow_state(_outcome(_command_failed()), None, {})
    document["opStates"][0]["results"] = {"accuracy": ["0.97", None], "broken": "Error: bad pattern"}
    show_result(document)
    out = capsys.readouterr().out
    assert "  accuracy: 0.97, None\n" in out
    assert "  broken: Error: bad pattern\n" in out


@pytest.mark.parametrize(
    "strange",
    [
        {},
        {"status": 5, "opStates": 3},
        {"status": None, "opStates": [None, 1, {}], "errors": "x"},
        {"opStates": [{"errors": [1], "diagnostics": [], "results": [], "logs": [5, {}], "startTime": "x"}]},
        {"errors": [[5], {"path": 1}, None], "opStates": [{"diagnostics": {"reason": {"jobStopped": "yes"}}}]},
        {"status": "\x1b[2J", "opStates": [{"operationId": "\x1b]0;x\x07", "logs": [{"log": "\x1b[H"}]}]},
    ],
)
def test_a_strange_result_breaks_nothing(capsys: pytest.CaptureFixture[str], strange: dict[str, Any]) -> None:
    show_result(strange)
    out = capsys.readouterr().out
    assert out.startswith("result:")
    assert "\x1b" not in out


# --- jobs show, from the journal -------------------------------------------------------------------------------


@pytest.fixture
def settings(shell: Shell) -> Path:
    return shell.init()


def _record(shell: Shell, outcome: Outcome | Refusal, settlement: Settlement | None) -> None:
    """The way of one run into the journal, as the agent writes it."""

    async def write() -> None:
        journal = await Journal.open(shell.home / "data" / "journal.sqlite")
        run = assignment().run.address
        await journal.save_lane(lane_status())
        await journal.begin_job(assignment())
        if isinstance(outcome, Outcome):
            for state in outcome.operations:
                await journal.save_operation(run, state)
            await journal.finish_stage(run, Stage.RUN, outcome, Stage.SETTLE)
        else:
            await journal.finish_stage(run, Stage.FETCH, outcome, Stage.SETTLE)
        if settlement is not None:
            await journal.settle(run, settlement)
        await journal.close()

    asyncio.run(write())


def _paid(micro: int = 50) -> Settlement:
    return Settlement(address(1001), SettleKind.FINISH, Signature("5" * 88), 9, micro, address(2), fee=5_000)


@pytest.mark.parametrize(
    ("outcome", "settlement", "state", "more"),
    [
        (
            _outcome(_killed_for_memory()),
            _paid(),
            "ran to its end",
            ["train      failed  137", "train: The container was killed: out of memory. (container-runtime-error)"],
        ),
        (_outcome(_command_failed()), _paid(), "ran to its end", ["train      failed  3"]),
        (_outcome(_image_away()), _paid(), "ran to its end", ["cannot be pulled: not found (image-pull-error 404)"]),
        (_outcome(_command_failed(), cause=EndCause.EXPIRED), _paid(), "its time was over", []),
        (_outcome(_command_failed(), cause=EndCause.STOPPED), _paid(), "ended by its poster", []),
        (_outcome(cause=EndCause.INVALID), _paid(0), "invalid definition", ["pay         0 NOS"]),
        (
            Refusal(address(1001), "no source had the definition"),
            Settlement(address(1001), SettleKind.QUIT, Signature("5" * 88), 9, 0, None, "no source had it", 5_000),
            "quit: no source had the definition",
            [],
        ),
        (
            _outcome(_command_failed()),
            Settlement(address(1001), SettleKind.LOST, None, None, 0, None, "an administrator closed the run"),
            "lost: an administrator closed the run",
            [],
        ),
        (_outcome(_command_failed()), None, "at settle", []),
    ],
)
def test_jobs_show_says_how_it_ended(
    shell: Shell,
    settings: Path,
    outcome: Outcome | Refusal,
    settlement: Settlement | None,
    state: str,
    more: list[str],
) -> None:
    _record(shell, outcome, settlement)
    answer = shell("jobs", "show", assignment().job.address, "--settings", settings)
    assert answer.status == 0, answer.err
    assert f"state       {state}\n" in answer.out
    for words in more:
        assert words in answer.out
    listed = shell("jobs", "--settings", settings)
    assert state[:50] in listed.out
    known = shell("jobs", "show", assignment().run.address, "--settings", settings, "--json").document
    assert known["running"] is False
    assert known["job"] == assignment().job.address


def test_jobs_show_says_that_a_log_was_cut(shell: Shell, settings: Path) -> None:
    digest = LogDigest(root="0" * 64, length=268_435_456, truncated=True)
    _record(shell, _outcome(replace(_command_failed(), log=digest)), _paid())
    answer = shell("jobs", "show", assignment().job.address, "--settings", settings)
    assert "256 MiB (cut: over the limit)" in answer.out


def test_errors_of_operations_cannot_drive_the_terminal(shell: Shell, settings: Path) -> None:
    evil = OperationError("container-runtime-error", "\x1b[2Jgone", 500)
    _record(shell, _outcome(replace(_command_failed(), errors=(evil,))), _paid())
    answer = shell("jobs", "show", assignment().job.address, "--settings", settings)
    assert "train: \\x1b[2Jgone (container-runtime-error 500)" in answer.out
    assert "\x1b" not in answer.out
