"""Follows a posted job on the chain to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from node.cli.job import report
from node.errors import AccountMissing, RpcUnavailable
from node.market.poster import Phase

if TYPE_CHECKING:
    from node.content.library import Library
    from node.market.poster import Poster
    from node.records import Address

POLL_SECONDS = 1.0
RESULT_SECONDS = 120.0
"""How long a job that its poster ended may still get its result from the node."""


async def follow(poster: Poster, job: Address, library: Library, tell: Callable[[str], None]) -> dict[str, Any]:
    """Until the job is over; `tell` gets a line per change.

    Returns `outcome` (the job's document with its result; null when its account is gone), `succeeded` and `ending`:
    done, stopped (its node gave it back) or gone.
    """
    loop = asyncio.get_running_loop()
    known: dict[str, Any] | None = None
    phase: Phase | None = None
    done_at: float | None = None
    away = False
    while True:
        try:
            view = await poster.view(job)
        except AccountMissing:
            tell("the job's account is gone: it was delisted, recovered or cleaned")
            return {"outcome": known, "succeeded": False, "ending": "gone"}
        except RpcUnavailable as error:
            # The job goes on without us, so we go on without the endpoint for a while.
            if not away:
                tell(f"{error.message}; asking again until it answers")
            away = True
            await asyncio.sleep(POLL_SECONDS)
            continue
        away = False
        known = report.job_document(view)
        if view.phase is not phase:
            phase = view.phase
            tell(_LINES[phase] + (f" on {view.run.node}" if view.run else ""))
        if phase is Phase.DONE and done_at is None:
            done_at = loop.time()
        late = done_at is not None and loop.time() - done_at > RESULT_SECONDS
        if phase is Phase.STOPPED or (phase is Phase.DONE and (known["result_cid"] is not None or late)):
            break
        await asyncio.sleep(POLL_SECONDS)
    outcome = await report.with_result(known, library)
    return {"outcome": outcome, "succeeded": report.succeeded(outcome), "ending": phase.value}


_LINES = {
    Phase.QUEUED: "waiting for a node",
    Phase.RUNNING: "running",
    Phase.DONE: "done",
    Phase.STOPPED: "given back by its node: get the deposit with `gpunode job recover`",
}
