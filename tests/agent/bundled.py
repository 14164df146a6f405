"""A host that has run one job, as its journal and data folder have it; what its poster wrote is marked as such."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from node.chain import memo as chain_memo
from node.chain.clusters import DEVNET
from node.container.log import LogEntry
from node.content.cid import file_cid
from node.content.folder import LocalStore
from node.content.merkle import MerkleHasher
from node.errors import ChainError
from node.job.travel import without_content
from node.journal.journal import Journal
from node.proof.card import build_card
from node.proof.commitments import Reveal
from node.proof.memo import receipt_memo
from node.proof.receipt import build_receipt
from node.records import (
    Address,
    Cid,
    ContainerSpec,
    EndCause,
    EnergyReading,
    FetchedDefinition,
    Gpu,
    GpuTelemetry,
    IsolationProfile,
    Limits,
    LogDigest,
    OperationError,
    OperationState,
    OperationStatus,
    OutboxRow,
    OutboxState,
    Outcome,
    Plan,
    PlannedOperation,
    Report,
    SettleKind,
    Settlement,
    Signature,
    Stage,
    WorkReference,
)
from node.settings import Settings
from tests.proof.test_receipt import ASSIGNMENT, HOST, JOB, NODE, RUN, address, sign
from tests.proof.world import finish, wired

MARK = "OF-THE-POSTER"
"""In everything that came from the job's poster, or out of the job."""
DEFINITION = json.dumps({"ops": [{"id": "a", "args": {"cmd": f"{MARK} definition"}}]}).encode()
GPU = Gpu("nvidia", 0, "GPU-7", "GeForce", 8 << 30, "550.1", "12.4", "8.9")
GIVEN = replace(ASSIGNMENT, job=replace(JOB, definition_cid=file_cid(DEFINITION)))
SPEC = ContainerSpec(
    name="gpunode-x-0",
    image=f"registry.example/{MARK}:1",
    command=(f"{MARK} command",),
    entrypoint=(f"{MARK} entrypoint",),
    env=(("KEY", f"{MARK} environment"),),
    work_dir=f"/{MARK}",
    gpu_uuids=(GPU.uuid,),
    labels=(("user", f"{MARK} label"),),
    network="n",
    aliases=(f"{MARK}-alias",),
    limits=Limits(memory_bytes=1 << 30, pids=100, cpus=1.5, shm_bytes=64, open_files=1024, log_bytes=1 << 20),
    profile=IsolationProfile.STANDARD,
)
PLAN = Plan(
    job=JOB.address,
    network="n",
    operations=(PlannedOperation(0, "a", "a", SPEC, results=(("x", f"{MARK} regex"),)),),
    notes=(f"{MARK} note",),
    gpus=(GPU,),
    relaxed=("limits.inodes",),
)
LOG = LogEntry("stdout", f"{MARK} log\n", "2026-01-01T00:00:00Z").line()
SAMPLES = b'{"a":1}\n{"a":2}\n'


class Nowhere:
    """No endpoint and no store."""

    async def wire(self, signature: Signature) -> bytes | None:
        raise ChainError("https://rpc.example/?api-key=OPERATORS-SECRET is away")

    async def content(self, cid: Cid, limit: int) -> bytes:
        raise ChainError("https://store.example/OPERATORS-SECRET is away")


def settings_of(folder: Path, **more: Any) -> Settings:
    """Of a host whose data are in the folder, on devnet, of which no endpoint answers."""
    return Settings.model_validate(
        {
            "cluster": "devnet",
            "rpc": {"urls": ["http://127.0.0.1:9"], "timeout": 1},
            "host": {"country": "NL"},
            "network": {"filter": "off"},
            "paths": {"data": str(folder / "data"), "control_socket": str(folder / "c.sock")},
            "lanes": [{"name": "main", "market": JOB.market, "wallet": str(folder / "main.json")}],
            **more,
        }
    )


def root_of(data: bytes) -> str:
    """Merkle root of a log or of samples."""
    hasher = MerkleHasher()
    hasher.update(data)
    return hasher.root()


def outcome_of() -> Outcome:
    """How the job ended: its operation failed, and a GPU did."""
    state = OperationState(
        index=0,
        id="a",
        group="a",
        status=OperationStatus.FAILED,
        image_digest="sha256:" + "ab" * 32,
        command_hash="cd" * 32,
        started_ms=1000,
        ended_ms=3000,
        exit_code=137,
        engine_state={"OOMKilled": True, "Error": f"{MARK} engine"},
        errors=(OperationError("container-runtime-error", f"{MARK} error", 7),),
        log=LogDigest(root=root_of(LOG), length=len(LOG), path="logs/x-0.jsonl"),
        starts=2,
        stopping=f"{MARK} stopping",
        note=f"{MARK} note",
    )
    telemetry = GpuTelemetry(GPU.uuid, 2, 1.0, 3.0, "counter", errors=("Xid 79: fallen off the bus",))
    return Outcome(
        job=JOB.address,
        cause=EndCause.COMPLETED,
        started_ms=1000,
        ended_ms=3000,
        operations=(state,),
        violations=({"path": "x", "expected": "y", "value": f"{MARK} violation"},),
        energy=EnergyReading(3.0, "counter", samples=2, samples_root=root_of(SAMPLES), gpus=(telemetry,)),
        end_slot=510,
        end_blockhash=str(address(6)),
        errors=(f"{MARK} job error",),
    )


async def begin(journal: Journal, settings: Settings) -> None:
    """The job is given to the lane, fetched, and admitted."""
    data = settings.locations.data
    for folder in ("definitions", "logs", "samples"):
        (data / folder).mkdir(parents=True, exist_ok=True)
    (data / "definitions" / f"{RUN.address}.json").write_bytes(DEFINITION)
    assert DEVNET.genesis_hash is not None
    await journal.check_cluster(DEVNET.genesis_hash)
    card = build_card(NODE, [GPU], HOST, agent_version="0.1.0", sign=sign)
    cid = await LocalStore(settings.locations.content).add_file("card", card)
    await journal.set_meta(f"host_card:{NODE}", json.dumps({"cid": cid}))
    await journal.begin_job(GIVEN)
    fetched = FetchedDefinition(GIVEN.job.definition_cid, b"", "gateway")
    await journal.finish_stage(RUN.address, Stage.FETCH, fetched, Stage.ADMIT)


async def settled(
    journal: Journal, settings: Settings, reveal: Reveal | None = None, work: WorkReference | None = None
) -> None:
    """The job from its beginning to its pay; with `reveal` it is a confidential one. `work`: what its receipt names."""
    await begin(journal, settings)
    run, data, outcome = RUN.address, settings.locations.data, outcome_of()
    (data / "logs" / "x-0.jsonl").write_bytes(LOG)
    (data / "samples" / f"{run}.jsonl").write_bytes(SAMPLES)
    await journal.finish_stage(run, Stage.ADMIT, PLAN, Stage.RUN)
    await journal.save_operation(run, outcome.operations[0])
    await journal.finish_stage(run, Stage.RUN, outcome, Stage.REPORT)
    state = {"operationId": "a", "status": "failed", "exitCode": 137, "logs": [json.loads(LOG)]}
    result = json.dumps({"status": "failed", "startTime": 1, "endTime": 2, "opStates": [state]}).encode()
    store = LocalStore(settings.locations.content)
    if reveal is not None:
        result = without_content(result)
    result_cid = await store.add_file("result", result)
    receipt = build_receipt(
        assignment=GIVEN,
        outcome=outcome,
        result=result_cid,
        cluster=DEVNET,
        gpus=(GPU,),
        agent_version="0.1.0",
        previous=None,
        previous_reason="the first",
        reveal=reveal,
        work=work,
        sign=sign,
    )
    receipt_cid = await store.add_file("receipt", receipt)
    await journal.link_receipt(run, "main", result_cid, receipt_cid)
    await journal.finish_stage(
        run, Stage.REPORT, Report(JOB.address, result_cid, receipt_cid, len(result), len(receipt)), Stage.SETTLE
    )
    await pay(journal, result_cid, receipt_cid)
    (data / "definitions" / f"{run}.json").unlink()


async def pay(journal: Journal, result: Cid, receipt: Cid) -> None:
    """The finish transaction lands, and the outbox forgets it once it is final."""
    transaction = wired(520, finish(result), chain_memo.memo(NODE, receipt_memo(receipt)))
    row = OutboxRow(
        key=f"finish:{RUN.address}",
        lane="main",
        kind="finish",
        state=OutboxState.CONFIRMED,
        wire=transaction.wire,
        signature=transaction.signature,
        last_valid_block_height=1,
        attempt=1,
        created_at=1.0,
    )
    await journal.outbox.put(row)
    payout = Address(address(20))
    await journal.settle(
        RUN.address, Settlement(JOB.address, SettleKind.FINISH, transaction.signature, 520, 300, payout, fee=5000)
    )
    await journal.outbox.delete(row.key)
