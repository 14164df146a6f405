"""Takes one job through its stages, from wherever the journal says it is.

Each stage's record is in the journal before the next stage begins, so that going on after a restart is nothing but
reading where the job is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from node.agent.definitions import DefinitionFiles
from node.agent.edges import (
    ChainTime,
    Drawer,
    Fetcher,
    Hygiene,
    JobDesk,
    LaneMarket,
    MeterMaker,
    Publisher,
)
from node.agent.hygiene import NoHygiene
from node.agent.live import JobLive, LiveJobs
from node.agent.logistics import Logistics
from node.agent.monitor import JobMonitor
from node.agent.openings import openings_of
from node.agent.receipt_chain import NewestReceipt
from node.agent.stages.admit import Readiness, admit
from node.agent.stages.fetch import fetch
from node.agent.stages.report import ReportServices, report, seal
from node.agent.stages.run import RunServices, run
from node.agent.stages.settle import give_back, settle
from node.agent.stages.travel import TravelServices, definition_arrives, result_goes
from node.agent.waiting import plain_errors
from node.agent.worker import Tools
from node.errors import GpunodeError, JournalError
from node.journal.journal import Journal
from node.proof.commitments import Reveal
from node.records import Assignment, FetchedDefinition, Leg, Outcome, Plan, Refusal, Report, Settlement, Stage
from node.retry import Clock

_R = TypeVar("_R")
_GIVE_BACK = "gpunode stop --quit gives the job back"

WORK = (Stage.FETCH, Stage.ADMIT, Stage.RUN)
"""The stages during which the job can still be extended, ended or expire."""

MOST_DEATHS = 2
"""Lives of the agent that may end without a word while they work on one job."""

_FOLLOWING: dict[type, Stage] = {
    FetchedDefinition: Stage.ADMIT,
    Plan: Stage.RUN,
    Outcome: Stage.REPORT,
    Report: Stage.SETTLE,
    Refusal: Stage.SETTLE,
}
"""What a record is followed by, whichever stage made it."""


@dataclass(frozen=True, slots=True)
class JobServices:
    """What the stages of one lane's jobs need."""

    market: LaneMarket
    journal: Journal
    fetcher: Fetcher
    publisher: Publisher
    drawer: Drawer
    desk: JobDesk
    definitions: DefinitionFiles
    tools: Tools
    """What operations need while they run."""
    meters: MeterMaker
    readiness: Readiness
    samples: Path
    """Folder for the samples of meters."""
    clock: Clock
    chain: ChainTime
    """What deadlines are counted by."""
    hygiene: Hygiene = field(default_factory=NoHygiene)
    """Sees that a job leaves the lane's GPUs as it found them."""
    logistics: Logistics = field(kw_only=True)
    """Brings the definitions and results of confidential jobs."""
    newest_receipt: NewestReceipt = field(kw_only=True)
    """Asks the chain what this key has settled before."""
    live: LiveJobs = field(default_factory=LiveJobs)
    """Where those who look on find the jobs at hand."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """How a job tells its lane what it is doing."""

    on_stage: Callable[[Assignment, Stage], None]
    on_progress: Callable[[str], None]
    """One line of long work; empty: nothing to say."""
    on_trouble: Callable[[Assignment, Stage, GpunodeError], None]
    """Trouble that is being waited out."""


class JobPipeline:
    """One job on its way."""

    def __init__(self, assignment: Assignment, services: JobServices, callbacks: Callbacks) -> None:
        self.assignment = assignment
        self._services = services
        self._callbacks = callbacks
        self._monitor = JobMonitor(assignment, services.market, services.journal, services.clock, services.chain)
        self._run = assignment.run.address
        self._at = Stage.FETCH
        self._live = JobLive(assignment, services.clock, services.tools.log_path)
        self._live.expire = self._monitor.expire
        self._live.note = partial(services.journal.latency.note, self._run)

    def quit(self, reason: str) -> None:
        """Give the job up, if its work is not over: containers stop, and it goes back unpaid."""
        self._monitor.quit(reason)

    async def complete(self) -> Settlement:
        """Bring the job to its settlement. Cancelling leaves everything to the next start."""
        await self._services.journal.begin_job(self.assignment)
        self._services.live.open(self._live)
        try:
            return await self._complete()
        finally:
            self._services.live.close(self._live)

    async def _complete(self) -> Settlement:
        stage = await self._stage()
        if stage in WORK:
            stage = await self._work_guarded(stage)
        while stage is not Stage.DONE:
            stage = await self._turn(stage)
        return await self._record(Stage.SETTLE, Settlement)

    async def _work_guarded(self, stage: Stage) -> Stage:
        """Do the work; the stage that follows it. A life of the agent that ends in the middle without a word is counted
        against the job: one that has twice brought the agent down is given back."""
        lives = await self._services.journal.begin_life(self._run)
        try:
            if len(lives) > MOST_DEATHS:
                reason = _evidence(lives)
                await self._services.journal.add_event(
                    reason, lane=self.assignment.lane, job=self.assignment.job.address, level="error"
                )
                if len(lives) > MOST_DEATHS + 1:
                    # Not even giving it back in order went well.
                    return await self._keep(stage, Refusal(self.assignment.job.address, reason))
                self._monitor.quit(reason)
            with plain_errors():
                async with self._monitor.watching():
                    while stage in WORK:
                        stage = await self._turn(stage)
        except BaseException:
            # Detached, or failed where somebody still sees it: not a death.
            with suppress(JournalError):
                await asyncio.shield(self._services.journal.end_life(self._run))
            raise
        return stage

    async def _turn(self, stage: Stage) -> Stage:
        """Do one stage and make its record durable; the stage that follows."""
        self._at = stage
        self._callbacks.on_stage(self.assignment, stage)
        self._callbacks.on_progress("")
        self._live.enter(stage)
        match stage:
            case Stage.FETCH:
                return await self._keep(stage, await self._fetch())
            case Stage.ADMIT:
                return await self._keep(stage, await self._admit())
            case Stage.RUN:
                return await self._keep(stage, await self._work())
            case Stage.REPORT:
                return await self._keep(stage, await self._report())
            case Stage.SETTLE:
                settlement = await self._settle()
                # Before the journal says that the run is done: nothing would remove it afterwards.
                await self._services.definitions.drop(self._run)
                await self._services.journal.settle(self._run, settlement)
                return Stage.DONE
            case Stage.DONE:
                return stage

    async def _keep(self, stage: Stage, record: FetchedDefinition | Plan | Outcome | Refusal | Report) -> Stage:
        following = _FOLLOWING[type(record)]
        await self._services.journal.finish_stage(self._run, stage, record, following)
        return following

    async def _fetch(self) -> FetchedDefinition | Outcome | Refusal:
        fetched = await fetch(self._monitor, self._services.fetcher, self._services.clock)
        if not isinstance(fetched, FetchedDefinition):
            return fetched
        if reason := self._services.logistics.refusal(fetched.send, fetched.receive):
            return Refusal(self.assignment.job.address, reason)
        if fetched.send is not None:
            return await definition_arrives(self._monitor, fetched, self._travel)
        # It may hold logins, and the journal is kept for long: the text itself lies beside it until the run is settled.
        await self._services.definitions.keep(self._run, fetched.body)
        return replace(fetched, body=b"")

    @property
    def _travel(self) -> TravelServices:
        services = self._services
        return TravelServices(
            logistics=services.logistics,
            definitions=services.definitions,
            desk=services.desk,
            live=self._live,
            clock=services.clock,
            on_progress=self._callbacks.on_progress,
            reveal=self._reveal,
        )

    async def _reveal(self, outcome: Outcome) -> Reveal:
        fetched = await self._services.journal.stage_record(self._run, Stage.FETCH)
        return await openings_of(
            self._run,
            outcome,
            was_delivered=isinstance(fetched, FetchedDefinition) and fetched.send is not None,
            definitions=self._services.definitions,
            journal=self._services.journal,
        )

    async def _definition(self) -> bytes:
        """The definition's text. An older journal has it itself; where its file was lost, it is fetched anew."""
        record = await self._record(Stage.FETCH, FetchedDefinition)
        if record.body:
            return record.body
        kept = await self._services.definitions.read(self._run)
        if kept is not None:
            return kept
        if record.send is not None:
            raise JournalError(f"the definition that run {self._run} was sent is gone", hint=_GIVE_BACK)
        fetched = await fetch(self._monitor, self._services.fetcher, self._services.clock)
        if not isinstance(fetched, FetchedDefinition):
            raise JournalError(f"the definition of run {self._run} is gone", hint=_GIVE_BACK)
        await self._services.definitions.keep(self._run, fetched.body)
        return fetched.body

    async def _admit(self) -> Plan | Outcome | Refusal:
        fetched = replace(await self._record(Stage.FETCH, FetchedDefinition), body=await self._definition())
        services = self._services
        record = await admit(self._monitor, fetched, services.desk, services.readiness, services.clock)
        if not isinstance(record, Plan):
            return record
        uses = await services.hygiene.begin(self._run, tuple(gpu.uuid for gpu in record.gpus)) if record.gpus else ()
        for note in (*record.notes, *uses):
            await services.journal.add_event(note, lane=self.assignment.lane, job=self.assignment.job.address)
        return record

    async def _work(self) -> Outcome | Refusal:
        plan = await self._record(Stage.ADMIT, Plan)
        services = self._services
        return await run(
            self._monitor,
            plan,
            RunServices(
                desk=services.desk,
                tools=services.tools,
                meters=services.meters,
                samples=services.samples / f"{self._run}.jsonl",
                journal=services.journal,
                clock=services.clock,
                definition=self._definition,
                live=self._live,
                on_progress=self._callbacks.on_progress,
            ),
        )

    async def _report(self) -> Report:
        services = self._services
        made_by, outcome = await self._outcome()
        outcome = replace(outcome, receive=outcome.receive or await self._receive_leg())
        sealed = await seal(self.assignment, outcome, services.market, services.clock, self._on_trouble)
        if sealed != outcome:
            await services.journal.finish_stage(self._run, made_by, sealed, Stage.REPORT)
        plan = await services.journal.stage_record(self._run, Stage.ADMIT)
        plan = plan if isinstance(plan, Plan) else None
        if await self._must_hand_over(sealed):
            sealed = await result_goes(self.assignment, plan, sealed, self._travel)
            await services.journal.finish_stage(self._run, made_by, sealed, Stage.REPORT)
        papers = ReportServices(
            desk=services.desk,
            drawer=services.drawer,
            publisher=services.publisher,
            journal=services.journal,
            clock=services.clock,
            on_trouble=self._on_trouble,
            is_gone=lambda: services.market.is_gone(self.assignment),
            reveal=self._reveal,
            newest_receipt=services.newest_receipt,
        )
        return await report(self.assignment, plan, sealed, papers)

    async def _must_hand_over(self, outcome: Outcome) -> bool:
        """Whether the result goes to its owner and has not, as far as is known."""
        if outcome.receive is None or outcome.handover is not None:
            return False
        return await self._services.journal.receipt(self._run) is None

    async def _settle(self) -> Settlement:
        services = self._services
        made = await services.journal.stage_record(self._run, Stage.REPORT)
        if isinstance(made, Report):
            memo = services.desk.memo(made.receipt_cid)
            return await settle(self.assignment, made, memo, services.market, services.clock, self._on_trouble)
        refusal = await self._refusal()
        return await give_back(self.assignment, refusal, services.market, services.clock, self._on_trouble)

    # --- what the journal holds ---

    async def _stage(self) -> Stage:
        (summary,) = await self._services.journal.job(self._run)
        self._monitor.timeout = max(self._monitor.timeout, summary.timeout)
        if summary.refusal:
            self._monitor.quit_before(summary.refusal)
        return summary.stage

    async def _outcome(self) -> tuple[Stage, Outcome]:
        """The outcome, and the stage that made it."""
        for stage in reversed(WORK):
            record = await self._services.journal.stage_record(self._run, stage)
            if isinstance(record, Outcome):
                return stage, record
        raise self._hole("outcome")

    async def _receive_leg(self) -> Leg | None:
        """How the pinned definition would have the result go."""
        fetched = await self._services.journal.stage_record(self._run, Stage.FETCH)
        return fetched.receive if isinstance(fetched, FetchedDefinition) else None

    async def _refusal(self) -> Refusal:
        for stage in reversed(WORK):
            record = await self._services.journal.stage_record(self._run, stage)
            if isinstance(record, Refusal):
                return record
        raise self._hole("report or refusal")

    async def _record(self, stage: Stage, kind: type[_R]) -> _R:
        record = await self._services.journal.stage_record(self._run, stage)
        if not isinstance(record, kind):
            raise self._hole(kind.__name__)
        return record

    def _hole(self, what: str) -> JournalError:
        return JournalError(f"the journal of run {self._run} has no {what}", hint="report this as a bug")

    def _on_trouble(self, error: GpunodeError) -> None:
        self._callbacks.on_trouble(self.assignment, self._at, error)


def _evidence(lives: Sequence[float]) -> str:
    """Why a job is given back: when the lives began that it ended."""
    began = ", ".join(datetime.fromtimestamp(each, UTC).strftime("%Y-%m-%d %H:%M:%S") for each in lives[:-1])
    return f"the agent died {len(lives) - 1} times while it worked on this job (lives begun at {began} UTC)"
