"""What a bundle says of a run, out of the journal's records. Redacted, nothing of it came from the job's poster."""

from __future__ import annotations

from collections.abc import Sequence

from node.proof.bundle_document import (
    BundleEnd,
    BundleError,
    BundleGpu,
    BundleIsolation,
    BundleJob,
    BundleOperation,
    BundleSettlement,
    BundleStage,
    BundleWords,
)
from node.records import (
    Assignment,
    ContainerSpec,
    Gpu,
    JobSummary,
    OperationState,
    Outcome,
    Plan,
    Settlement,
    Stage,
)

MOST_ERRORS = 64
"""Lines of one GPU, the earliest."""
LONGEST_ERROR = 300
"""Characters of one of them."""


def job_of(summary: JobSummary, assignment: Assignment | None) -> BundleJob:
    """The job and its run."""
    return BundleJob(
        job=summary.job,
        run=summary.run,
        market=summary.market,
        node=summary.node,
        poster=summary.poster,
        definition=summary.definition_cid,
        price=summary.price,
        timeout=summary.timeout,
        run_time=summary.run_time,
        slot=None if assignment is None else assignment.slot,
    )


def end_of(summary: JobSummary, refused: Stage | None) -> BundleEnd:
    """How far the run came; `refused`: the stage that gave it back."""
    return BundleEnd(
        stage=summary.stage.value,
        cause=None if summary.cause is None else summary.cause.value,
        refused=None if refused is None else refused.value,
    )


def settlement_of(settlement: Settlement | None) -> BundleSettlement | None:
    """How it was settled."""
    if settlement is None:
        return None
    return BundleSettlement(
        kind=settlement.kind.value,
        signature=settlement.signature,
        slot=settlement.slot,
        pay=settlement.pay,
        fee=settlement.fee,
        payout=settlement.payout,
    )


def stages_of(summary: JobSummary) -> tuple[BundleStage, ...]:
    """When each stage began."""
    return tuple(BundleStage(stage=each.stage.value, entered_ms=round(each.entered * 1000)) for each in summary.stages)


def operations_of(states: Sequence[OperationState], plan: Plan | None) -> tuple[BundleOperation, ...]:
    """How the operations stand, and how they were kept."""
    planned = {} if plan is None else {each.index: each.container for each in plan.operations}
    return tuple(_operation(state, planned.get(state.index)) for state in states)


def _operation(state: OperationState, spec: ContainerSpec | None) -> BundleOperation:
    return BundleOperation(
        index=state.index,
        status=state.status.value,
        exit_code=state.exit_code,
        starts=state.starts,
        restarts=state.restarts,
        timed_out=state.timed_out,
        out_of_memory=bool(state.engine_state and state.engine_state.get("OOMKilled") is True),
        started_ms=state.started_ms,
        ended_ms=state.ended_ms,
        errors=tuple(BundleError(event=error.event, code=error.code) for error in state.errors),
        isolation=None if spec is None else _isolation(spec),
    )


def _isolation(spec: ContainerSpec) -> BundleIsolation:
    limits = spec.limits
    return BundleIsolation(
        profile=spec.profile.value,
        runtime=spec.runtime,
        egress=spec.egress.value,
        gpus=spec.gpu_uuids,
        driver_parts=spec.gpu_capabilities,
        memory_bytes=limits.memory_bytes,
        pids=limits.pids,
        milli_cpus=round(limits.cpus * 1000),
        shm_bytes=limits.shm_bytes,
        open_files=limits.open_files,
        log_bytes=limits.log_bytes,
        disk_bytes=limits.disk_bytes,
    )


def gpus_of(gpus: Sequence[Gpu], outcome: Outcome | None) -> tuple[BundleGpu, ...]:
    """The GPUs that the job was given, and what they reported as failed."""
    metered = () if outcome is None or outcome.energy is None else outcome.energy.gpus
    errors = {each.uuid: each.errors for each in metered}
    return tuple(
        BundleGpu(
            uuid=gpu.uuid,
            name=gpu.name,
            provider=gpu.provider,
            driver=gpu.driver,
            errors=tuple(line[:LONGEST_ERROR] for line in errors.get(gpu.uuid, ())[:MOST_ERRORS]),
        )
        for gpu in gpus
    )


def words_of(summary: JobSummary, states: Sequence[OperationState], outcome: Outcome | None) -> BundleWords:
    """Texts that may quote the job."""
    settlement = summary.settlement
    return BundleWords(
        refusal=summary.refusal,
        settlement="" if settlement is None else settlement.reason,
        job=() if outcome is None else outcome.errors,
        operations=tuple(
            (state.id, *(error.message for error in state.errors), *((state.stopping,) if state.stopping else ()))
            for state in states
        ),
    )
