"""What is known of the agent: from itself over the control socket, or from its journal when it does not run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.api.client import ControlClient, NoAgent
from node.api.documents import (
    Document,
    lane_document,
    latency_document,
    operation_document,
    run_document,
    run_more,
)
from node.errors import ControlError
from node.journal.job_filter import EVERY_JOB, JobFilter

if TYPE_CHECKING:
    from node.journal.money import Money
    from node.settings import Settings


async def read_status(settings: Settings) -> Document:
    """The agent's document plus `recent` (runs); `running` is false where it comes from the journal."""
    place = settings.locations
    try:
        async with ControlClient(place.control_socket) as client:
            status = await client.status()
            return {**status, "recent": (await client.jobs(limit=5))["jobs"]}
    except NoAgent as absent:
        if not place.journal.exists():
            raise ControlError(
                f"{absent.message}, and there is no journal at {place.journal}", hint=absent.hint
            ) from None
    from node.journal.reader import JournalReader

    async with await JournalReader.open_readonly(place.journal) as journal:
        lanes = [lane_document(row.status) for row in await journal.lanes()]
        recent = [run_document(run) for run in await journal.jobs(5)]
    return {
        "running": False,
        "version": None,
        "cluster": settings.cluster,
        "pid": None,
        "started_at": None,
        "gpu_provider": None,
        "gpus": [],
        "lanes": lanes,
        "health": [],
        "recent": recent,
    }


async def read_latency(settings: Settings, since: float) -> Document:
    """What the legs of runs' ways took since unix seconds, from the agent or its journal. Raises ControlError where
    there is neither."""
    place = settings.locations
    try:
        async with ControlClient(place.control_socket) as client:
            return await client.latency(since)
    except NoAgent:
        if not place.journal.exists():
            raise
    from node.journal.reader import JournalReader

    async with await JournalReader.open_readonly(place.journal) as journal:
        return latency_document(await journal.latency.latency(since))


async def read_jobs(settings: Settings, limit: int, wanted: JobFilter = EVERY_JOB) -> Document:
    """`jobs` (runs, newest first) and `running`."""
    place = settings.locations
    try:
        async with ControlClient(place.control_socket) as client:
            return {"running": True, **await client.jobs(limit, wanted)}
    except NoAgent:
        if not place.journal.exists():
            return {"running": False, "jobs": []}
    from node.journal.reader import JournalReader

    async with await JournalReader.open_readonly(place.journal) as journal:
        return {"running": False, "jobs": [run_document(run) for run in await journal.jobs(limit, wanted)]}


async def read_money(settings: Settings, since: int, until: int) -> Money:
    """What was settled and spent from `since` to before `until` (unix seconds), from the agent or its journal. Raises
    ControlError where there is neither."""
    from node.api.money import parse_money

    place = settings.locations
    try:
        async with ControlClient(place.control_socket) as client:
            return parse_money(await client.money(since, until))
    except NoAgent as absent:
        if not place.journal.exists():
            raise ControlError(
                f"{absent.message}, and there is no journal at {place.journal}", hint=absent.hint
            ) from None
    from node.journal.reader import JournalReader

    async with await JournalReader.open_readonly(place.journal) as journal:
        return await journal.money(since, until)


async def read_job(settings: Settings, address: str) -> Document:
    """`job` and its `runs` with their operations. Raises ControlError for a job this host has not run."""
    place = settings.locations
    try:
        async with ControlClient(place.control_socket) as client:
            return {"running": True, **await client.job(address)}
    except NoAgent:
        if not place.journal.exists():
            raise ControlError(
                f"{address}: this host has run no such job", hint="see `gpunode jobs`; `gpunode job get` asks the chain"
            ) from None
    from node.journal.reader import JournalReader

    async with await JournalReader.open_readonly(place.journal) as journal:
        runs = await journal.job(address)
        described = [
            {
                **run_document(run),
                **run_more(await journal.latency.of(run.run), await journal.energy(run.run)),
                "operations": [operation_document(state) for state in await journal.operations(run.run)],
            }
            for run in runs
        ]
    if not described:
        raise ControlError(
            f"{address}: this host has run no such job", hint="see `gpunode jobs`; `gpunode job get` asks the chain"
        )
    return {"running": False, "job": described[0]["job"], "runs": described}
