"""The result document: what the market's readers find behind a finished job's result CID.

Shape, key order and absence of keys are those of the Nosana node (FlowState and OpState).
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from node.errors import ContentTooLarge
from node.job.pattern import BadPattern, Pattern
from node.records import EndCause, OperationState, OperationStatus, Outcome, Plan, PlannedOperation

MAX_ENTRIES = 24_999
"""Newest log entries of an operation that a result holds and that regexes see (Nosana node)."""
EXTRACTION_SECONDS = 30.0
"""Time all regexes of an operation may take together. Each is linear, but a definition may hold thousands."""
EXTRACTION_CHARACTERS = 64 << 20
"""Text all regexes of an operation may find together; more than any store takes."""

_STATE_KEYS = (
    "Status", "Running", "Paused", "Restarting", "OOMKilled", "Dead", "Pid", "ExitCode", "Error", "StartedAt",
    "FinishedAt", "Health", "RestartCount",
)  # fmt: skip
_NOTE_BEGINS = "gpunode: "
_ALL_TYPES = frozenset(("stdin", "stdout", "stderr", "nodeerr"))
_CAUSE_WORD = {EndCause.EXPIRED: "expired", EndCause.STOPPED: "stopped", EndCause.HOST: "quit"}


class LogEntry(Protocol):
    """One piece of an operation's output; `timestamp` is the engine's RFC 3339 text with nanoseconds."""

    @property
    def type(self) -> str:
        """`stdout`, `stderr` or `nodeerr`."""
        ...

    @property
    def log(self) -> str:
        """The text with its newline."""
        ...

    @property
    def timestamp(self) -> str:
        """When the engine saw it."""
        ...


def flow_state(
    outcome: Outcome,
    plan: Plan | None,
    logs: Mapping[int, Iterable[LogEntry]],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """The result of a job. `logs` maps an operation's index to its kept log, oldest entry first.

    Status of the whole: `failed` if an operation failed, else `stopped` if the poster ended the job, else `success`,
    also when the time was over (the newest Nosana node's rule). An invalid definition gives `validation-error`, with
    one error that is itself the list of broken rules; operations that cannot be put in order `init error`. Blocks on
    reading logs: call it in a thread.
    """
    document: dict[str, Any] = {
        "status": _status(outcome),
        "startTime": outcome.started_ms,
        "endTime": outcome.ended_ms,
        "secrets": {},
        "opStates": [],
    }
    if outcome.cause is EndCause.INVALID:
        return document | {"errors": [list(outcome.violations)]}
    if outcome.errors:
        document["errors"] = list(outcome.errors)
    if outcome.cause is EndCause.UNPLANNED:
        return document | {"endTime": None}
    planned = {operation.index: operation for operation in plan.operations} if plan is not None else {}
    for state in outcome.operations:
        document["opStates"].append(
            _operation(state, outcome, planned.get(state.index), logs.get(state.index, ()), clock)
        )
    return document


def live_state(
    status: str,
    started_ms: int,
    ended_ms: int | None,
    errors: Sequence[Any],
    operations: Sequence[OperationState],
    secrets: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """A job as its owner sees it while it runs or afterwards: without logs, and always with `errors`."""
    document: dict[str, Any] = {
        "status": status,
        "startTime": started_ms,
        "endTime": ended_ms,
        "errors": list(errors),
        "opStates": [
            {key: value for key, value in _operation_head(state).items() if key != "providerId"}
            | {"errors": _errors(state), "diagnostics": _diagnostics(state, None, None)}
            for state in operations
        ],
    }
    return document if secrets is None else document | {"secrets": dict(secrets)}


def flow_status(outcome: Outcome) -> str:
    """Status of the whole job, as results spell it."""
    return _status(outcome)


def _status(outcome: Outcome) -> str:
    if outcome.status:
        return outcome.status
    if outcome.cause is EndCause.INVALID:
        return "validation-error"
    if outcome.cause is EndCause.UNPLANNED:
        return "init error"
    failed = any(state.status is OperationStatus.FAILED for state in outcome.operations)
    if failed or outcome.cause is EndCause.HOST:
        return "failed"
    return "stopped" if outcome.cause is EndCause.STOPPED else "success"


def _operation(
    state: OperationState,
    outcome: Outcome,
    planned: PlannedOperation | None,
    log: Iterable[LogEntry],
    clock: Callable[[], float],
) -> dict[str, Any]:
    entries = [
        {"log": entry.log, "type": entry.type, "timestamp": entry.timestamp}
        for entry in deque((entry for entry in log if entry.log), maxlen=MAX_ENTRIES)
    ]
    document: dict[str, Any] = {
        **_operation_head(state),
        # A line of the node's own has no time (Nosana node).
        "logs": [*entries, {"log": state.note, "type": "nodeerr"}] if state.note else entries,
        "errors": _errors(state),
        "diagnostics": _diagnostics(state, outcome, planned),
    }
    patterns = planned.results if planned is not None else ()
    # One that failed on a literal has none (Nosana node).
    if patterns and not state.note:
        document["results"] = extract_results(patterns, entries, clock=clock)
    return document


def _operation_head(state: OperationState) -> dict[str, Any]:
    return {
        "providerId": state.container_id,
        "operationId": state.id,
        "group": state.group,
        "status": state.status.value,
        "startTime": state.started_ms,
        "endTime": state.ended_ms,
        "exitCode": state.exit_code,
    }


def _errors(state: OperationState) -> list[dict[str, Any]]:
    return [
        {"event": error.event, "message": error.message} | ({} if error.code is None else {"code": error.code})
        for error in state.errors
    ]


def _diagnostics(state: OperationState, outcome: Outcome | None, planned: PlannedOperation | None) -> dict[str, Any]:
    cause = _cause(state, outcome)
    reason: dict[str, Any] = {
        "hostShutDown": cause is EndCause.HOST,
        "jobStopped": cause is EndCause.STOPPED,
        "jobExpired": cause is EndCause.EXPIRED,
    }
    if cause in _CAUSE_WORD:
        reason["reason"] = f"Operation stopped due to flow {_CAUSE_WORD[cause]}"
    elif state.timed_out:
        limit = "" if planned is None or planned.timeout is None else f" of {planned.timeout}s"
        reason["reason"] = f"Operation killed after exceeding its timeout{limit}"
    elif state.stopping:
        reason["reason"] = state.stopping
    if state.engine_state is None:
        return {"reason": reason}
    known = {key: state.engine_state[key] for key in _STATE_KEYS if key in state.engine_state}
    return {"reason": reason, "state": known}


def _cause(state: OperationState, outcome: Outcome | None) -> EndCause | None:
    """The end of the whole job that an operation was ended by while it ran."""
    if state.cause is not None:
        # 0 without a state of the engine's: it never began.
        return state.cause if state.engine_state is not None or state.exit_code != 0 else None
    if outcome is None or any(other.cause is not None for other in outcome.operations):
        return None
    # An older journal does not say. Groups run one after the other: only operations of the last one were running.
    last = max(outcome.operations, key=lambda other: other.ended_ms or 0, default=state)
    return outcome.cause if state.group == last.group and state.status is not OperationStatus.INIT else None


# --- results by regex -------------------------------------------------------------------------------


def extract_results(
    patterns: Sequence[tuple[str, Any]],
    entries: Sequence[Mapping[str, str]],
    *,
    clock: Callable[[], float] = time.monotonic,
    seconds: float = EXTRACTION_SECONDS,
) -> dict[str, list[str | None] | str]:
    """Results of one operation: for each name the first match of each log entry and its groups, in one list.

    A pattern is a regex, or a mapping with `regex` and the `logType`s it looks at. A group that took no part is None.
    A regex that does not compile gives its error text instead of a list, and so does one that time ran out for.
    """
    budget = _Budget(clock, clock() + seconds, EXTRACTION_CHARACTERS)
    return {name: _matches(rule, entries, budget) for name, rule in patterns}


@dataclass(slots=True)
class _Budget:
    """What extraction may still use."""

    clock: Callable[[], float]
    deadline: float
    characters: int

    def exceeded(self) -> str:
        """Why to stop; empty to go on."""
        if self.characters < 0:
            return "Error: the results of this operation are too large"
        return "Error: the time for extracting results was over" if self.clock() > self.deadline else ""


def _matches(rule: Any, entries: Sequence[Mapping[str, str]], budget: _Budget) -> list[str | None] | str:
    source, types = (rule, _ALL_TYPES) if isinstance(rule, str) else (rule["regex"], frozenset(rule["logType"]))
    try:
        pattern = Pattern(source)
    except BadPattern as error:
        return str(error)
    found: list[str | None] = []
    for entry in entries:
        if reason := budget.exceeded():
            return reason
        if entry["type"] in types:
            try:
                match = pattern.first(entry["log"]) or []
            except BadPattern as error:
                return str(error)
            budget.characters -= sum(len(text) for text in match if text is not None)
            found += match
    return found


# --- bytes ------------------------------------------------------------------------------------------


def encode_result(document: Mapping[str, Any], limit: int) -> bytes:
    """The document as JSON of at most `limit` bytes.

    Where it is larger, log entries are left out, oldest first, and a `nodeerr` entry in their place says how many;
    if that is not enough, extracted results give way too, to a text that says so. Raises ContentTooLarge if even
    the rest is too large.
    """
    # Characters are a lower bound of bytes: a log far over the limit is not encoded just to be thrown away.
    if sum(len(entry["log"]) for operation in document["opStates"] for entry in operation["logs"]) <= limit:
        body = _json(document)
        if len(body) <= limit:
            return body
    for strip_results in (False, True):
        body = _json(_cut(document, limit, strip_results))
        if len(body) <= limit:
            return body
    raise ContentTooLarge(
        f"the result has {len(body):,} bytes without any logs; at most {limit:,} are stored",
        hint="Raise content.result_limit if the stores take larger files.",
    )


def _cut(document: Mapping[str, Any], limit: int, strip_results: bool) -> dict[str, Any]:
    operations = [dict(operation) for operation in document["opStates"]]
    if strip_results:
        for operation in operations:
            if "results" in operation:
                note = f"Error: left out, the result may have at most {limit} bytes"
                operation["results"] = dict.fromkeys(list(operation["results"])[:100], note)
    logs = [operation["logs"] for operation in operations]
    bare = [{**operation, "logs": [_note(0, 0, limit, log)]} for operation, log in zip(operations, logs, strict=True)]
    # 64 bytes per operation: the numbers in the note grow.
    budget = limit - len(_json({**document, "opStates": bare})) - 64 * len(operations)
    kept = _newest(logs, budget)
    for operation, log, count in zip(operations, logs, kept, strict=True):
        left_out = log[: len(log) - count]
        if left_out:
            size = sum(len(entry["log"].encode()) for entry in left_out)
            operation["logs"] = [_note(len(left_out), size, limit, log), *log[len(log) - count :]]
    return {**document, "opStates": operations}


def _newest(logs: Sequence[Sequence[Mapping[str, str]]], budget: int) -> list[int]:
    """How many of each log's newest entries fit into a budget of bytes together."""
    order = sorted(
        ((entry.get("timestamp", ""), position, index) for index, log in enumerate(logs) for position, entry in
         enumerate(log)),
        reverse=True,
    )  # fmt: skip
    kept = [0] * len(logs)
    full: set[int] = set()
    for _, _, index in order:
        if index in full:
            continue
        # The log's own order holds, whatever its timestamps say.
        entry = logs[index][len(logs[index]) - 1 - kept[index]]
        size = len(_json(entry)) + 1
        if size > budget:
            full.add(index)
            continue
        budget -= size
        kept[index] += 1
    return kept


def is_newest_part(log: Sequence[Any]) -> bool:
    """Whether a result's log may be the newest part of what was kept: as long as results go, or it says so itself."""
    first = log[0] if log and isinstance(log[0], dict) else {}
    said = first.get("type") == "nodeerr" and str(first.get("log", "")).startswith(_NOTE_BEGINS)
    return said or len(log) >= MAX_ENTRIES


def _note(count: int, size: int, limit: int, log: Sequence[Mapping[str, str]]) -> dict[str, str]:
    text = f"{_NOTE_BEGINS}{count} older log entries ({size} bytes) were left out; a result may have {limit} bytes\n"
    return {"log": text, "type": "nodeerr", "timestamp": log[0].get("timestamp", "") if log else ""}


def _json(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
