"""fetch and report of a confidential job: its definition arrives, its result goes to its owner.

The definition is on disk before its sender hears that it was received; so a life of the agent that ends then is
followed by one that finds it there. A result is handed over again where the journal does not say that it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from node.agent.definitions import DefinitionFiles
from node.agent.edges import JobDesk
from node.agent.live import JobLive
from node.agent.logistics import Logistics
from node.agent.monitor import JobMonitor
from node.errors import TravelFailed
from node.job.travel import FAILED, WAITS_FOR_COLLECTION, WAITS_FOR_DEFINITION, with_openings
from node.proof.commitments import Reveal
from node.records import Address, Assignment, EndCause, FetchedDefinition, Leg, Outcome, Plan, Refusal
from node.retry import Clock

DELIVERED = "delivered"
"""Source of a definition that its owner sent."""


@dataclass(frozen=True, slots=True)
class TravelServices:
    """What the two need."""

    logistics: Logistics
    definitions: DefinitionFiles
    desk: JobDesk
    live: JobLive
    clock: Clock
    on_progress: Callable[[str], None]
    reveal: Callable[[Outcome], Awaitable[Reveal]]
    """What the commitments of the job's receipt are made of, durable."""


async def definition_arrives(
    monitor: JobMonitor, pinned: FetchedDefinition, services: TravelServices
) -> FetchedDefinition | Outcome | Refusal:
    """The record of the definition that stands in for the pinned one, whose text is on disk then.

    An Outcome is made where it does not come: the poster ended the job, its time was over, or an address that the
    pinned definition names does not serve. A Refusal gives the job back.
    """
    run = monitor.assignment.run.address
    if await services.definitions.read(run) is None:
        services.live.status = WAITS_FOR_DEFINITION
        services.live.record(WAITS_FOR_DEFINITION, {})
        services.on_progress("waiting for the definition")
        ended = await _unless_stopped(monitor, pinned, services)
        if ended is not None:
            return ended
        services.live.status = "init"
    return replace(pinned, body=b"", source=DELIVERED)


async def _unless_stopped(
    monitor: JobMonitor, pinned: FetchedDefinition, services: TravelServices
) -> Outcome | Refusal | None:
    """Wait until the definition is kept; what else became of the job where that did not happen."""
    assert pinned.send is not None
    run, job = monitor.assignment.run.address, monitor.assignment.job.address

    async with asyncio.TaskGroup() as group:
        bringing = group.create_task(_bring(pinned.send, run, job, services))
        ending = group.create_task(monitor.stop.wait())
        await asyncio.wait((bringing, ending), return_when=asyncio.FIRST_COMPLETED)
        bringing.cancel()
        ending.cancel()
    if await services.definitions.read(run) is not None:
        return None  # Its sender was told so; an end that came in the same moment is seen by the run stage too.
    if not bringing.cancelled() and (trouble := bringing.result()):
        services.live.errors.append(trouble)
        return _ended(monitor, EndCause.UNPLANNED, pinned, services, status=FAILED, errors=(trouble,))
    cause = monitor.stop.cause
    if cause is EndCause.EXPIRED:
        return _ended(monitor, cause, pinned, services, status=WAITS_FOR_DEFINITION)
    if cause is EndCause.STOPPED:
        return _ended(monitor, cause, pinned, services)
    return Refusal(job, monitor.quit_reason or "the run was gone before the definition was sent")


async def _bring(leg: Leg, run: Address, job: Address, services: TravelServices) -> str:
    """Have the definition kept; why it does not come, or an empty text."""

    async def keep(definition: bytes) -> None:
        await services.definitions.keep(run, definition)

    try:
        await services.logistics.bring_definition(leg, job, services.live.letterbox, keep)
    except TravelFailed as failed:
        return failed.message
    return ""


def _ended(
    monitor: JobMonitor,
    cause: EndCause,
    pinned: FetchedDefinition,
    services: TravelServices,
    *,
    status: str = "",
    errors: tuple[str, ...] = (),
) -> Outcome:
    now = round(services.clock.time() * 1000)
    return Outcome(
        job=monitor.assignment.job.address,
        cause=cause,
        started_ms=services.live.started_ms,
        ended_ms=max(now, services.live.started_ms),
        operations=(),
        status=status,
        errors=errors,
        receive=pinned.receive,
    )


async def result_goes(assignment: Assignment, plan: Plan | None, outcome: Outcome, services: TravelServices) -> Outcome:
    """Hand the result over to its owner, with what the receipt's commitments are made of; the outcome with how that
    went. It may take a minute."""
    assert outcome.receive is not None
    result = await asyncio.to_thread(services.desk.result, plan, outcome)
    reveal = await services.reveal(outcome)
    result = await asyncio.to_thread(with_openings, result, reveal.document())
    before = services.live.status
    services.live.status = WAITS_FOR_COLLECTION
    services.live.record(WAITS_FOR_COLLECTION, {})
    services.on_progress("handing the result over to its owner")
    try:
        trouble = await services.logistics.hand_over(
            outcome.receive, assignment.job.address, result, services.live.letterbox
        )
    finally:
        services.live.status = before
        services.live.ring()
        services.on_progress("")
    return replace(outcome, handover=trouble)
