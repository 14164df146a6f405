"""fetch: the definition's bytes, proven to match their CID."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from node.agent.edges import Fetcher
from node.agent.monitor import JobMonitor
from node.errors import ContentError, ContentMismatch, ContentTooLarge, ContentUnavailable
from node.job.travel import legs_of
from node.records import EndCause, FetchedDefinition, Outcome, Refusal
from node.retry import Clock, Retry

DEFINITION_LIMIT = 1024 * 1024
"""Bytes of a definition; a larger one is refused unread."""
FETCH_RETRY = Retry(attempts=1000, total=300.0, first=1.0, longest=20.0)
"""Fresh content takes a while to spread, and a gateway may have a bad minute; the poster waits meanwhile."""


async def fetch(monitor: JobMonitor, content: Fetcher, clock: Clock) -> FetchedDefinition | Refusal | Outcome:
    """The definition, or why there is none.

    Bytes that cannot be had or do not match are never "invalid": the run is refused, which costs the poster nothing.
    An Outcome is made when the poster ended the job meanwhile.
    """
    job = monitor.assignment.job
    async with asyncio.TaskGroup() as group:
        fetching = group.create_task(_fetched(monitor, content, clock))
        ending = group.create_task(monitor.stop.wait())
        await asyncio.wait((fetching, ending), return_when=asyncio.FIRST_COMPLETED)
        fetching.cancel()
        ending.cancel()
    # Having the bytes wins over an end that came in the same moment: the run stage sees the end too.
    answer = None if fetching.cancelled() else fetching.result()
    if isinstance(answer, FetchedDefinition):
        send, receive = legs_of(answer.body)
        return replace(answer, send=send, receive=receive)
    if answer is not None:
        return answer
    cause = monitor.stop.cause
    if cause is EndCause.STOPPED:
        now = round(clock.time() * 1000)
        return Outcome(job=job.address, cause=cause, started_ms=now, ended_ms=now, operations=())
    reason = monitor.quit_reason or (
        "the job's time was over before its definition could be had"
        if cause is EndCause.EXPIRED
        else "the run was gone before the definition could be had"
    )
    return Refusal(job.address, reason)


async def _fetched(monitor: JobMonitor, content: Fetcher, clock: Clock) -> FetchedDefinition | Refusal:
    job = monitor.assignment.job
    try:
        return await FETCH_RETRY.call(
            lambda: content.fetch(job.definition_cid, DEFINITION_LIMIT),
            on=(ContentUnavailable, ContentMismatch),
            clock=clock,
        )
    except ContentTooLarge:
        return Refusal(job.address, f"the definition has more than {DEFINITION_LIMIT:,} bytes")
    except ContentMismatch as error:
        return Refusal(job.address, f"the definition's bytes do not match its CID: {error.message}")
    except ContentError as error:
        return Refusal(job.address, f"the definition cannot be had: {error.message}")
