"""A job as its poster sees it: the JSON document, and the screen for people.

Document: the job account's fields (`address`, `definition_cid`, `result_cid`, `market`, `node`, `payer`, `project`,
`price`, `timeout`, `time_start`, `time_end`, `state`), `phase` (queued, running, done, stopped), `run` (`address`,
`node`, `time`, or null), `cost` (micro-NOS, once done), and `result` (the result document, or null) with
`result_error`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from node.api.documents import plain
from node.bounded_json import JsonRefused, read_json
from node.cli import amounts, output
from node.cli.job.outcome import show_result
from node.errors import GpunodeError, JobError
from node.records import SYSTEM_PROGRAM, Cid, JobState

if TYPE_CHECKING:
    from node.content.library import Library
    from node.market.poster import JobView

RESULT_LIMIT = 64 * 1024 * 1024
"""Bytes of a result document read at most."""


def job_document(view: JobView) -> dict[str, Any]:
    """The job without its result."""
    job, run = view.job, view.run
    cost = None
    if job.state is JobState.DONE:
        cost = job.price * min(max(job.time_end - job.time_start, 0), job.timeout)
    return {
        **plain(job),
        "node": None if job.node == SYSTEM_PROGRAM else job.node,
        "phase": view.phase.value,
        "run": None if run is None else {"address": run.address, "node": run.node, "time": run.time},
        "cost": cost,
    }


async def with_result(known: dict[str, Any], library: Library) -> dict[str, Any]:
    """The document with `result` and `result_error`: a result that cannot be had is no reason to show nothing."""
    if known["result_cid"] is None:
        return {**known, "result": None, "result_error": None}
    try:
        body = (await library.fetch(Cid(known["result_cid"]), RESULT_LIMIT)).body
        return {**known, "result": _parsed(body), "result_error": None}
    except GpunodeError as error:
        return {**known, "result": None, "result_error": error.message}


def succeeded(known: dict[str, Any]) -> bool:
    """Whether the job's result says success."""
    result = known.get("result")
    return isinstance(result, dict) and result.get("status") == "success"


def show(known: dict[str, Any]) -> None:
    """The screen for people."""
    run = known["run"] or {}
    output.fields(
        [
            ("job", known["address"]),
            ("state", known["phase"]),
            ("market", known["market"]),
            ("poster", known["project"]),
            ("node", known["node"] or run.get("node")),
            ("price", f"{amounts.nos(known['price'])} a second, at most {amounts.duration(known['timeout'])}"),
            ("began", amounts.moment(known["time_start"] or run.get("time"))),
            ("ended", amounts.moment(known["time_end"])),
            ("cost", None if known["cost"] is None else amounts.nos(known["cost"])),
            ("definition", known["definition_cid"]),
            ("result", known["result_cid"]),
        ]
    )
    if known.get("result_error"):
        output.note(f"the result cannot be read: {known['result_error']}")
    if isinstance(known.get("result"), dict):
        output.line()
        show_result(known["result"])


def _parsed(body: bytes) -> Any:
    try:
        return read_json(body, limit=len(body))
    except JsonRefused:
        raise JobError("the result is not JSON") from None
