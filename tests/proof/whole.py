"""A full bundle in which every kind of part is real, made once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cache
from typing import Any

from node.chain import memo as chain_memo
from node.chain.clusters import DEVNET
from node.content.cid import file_cid
from node.content.merkle import MerkleHasher
from node.gpu.samples import Sample
from node.gpu.work.challenge import WorkChallenge
from node.gpu.work.cpu import CpuEngine
from node.gpu.work.prover import open_rows, prove
from node.proof.bundle import build_bundle
from node.proof.bundle_document import BundleChain, BundleEarlier, BundleGpu
from node.proof.card import build_card
from node.proof.commitments import conceal
from node.proof.memo import receipt_memo
from node.proof.result_checks import log_lines
from node.records import Cid, GpuTelemetry, LogDigest, WorkReference

from .bundles import account
from .test_receipt import (
    ASSIGNMENT,
    GPU,
    HOST,
    JOB,
    NODE,
    OUTCOME,
    PREVIOUS,
    RUN,
    address,
    receipt,
    sign,
)
from .world import LOGS, finish, signature, wired

DEFINITION = b"definition"
SENT = b"what the owner sent"
CHAIN = BundleChain(name="devnet", genesis=DEVNET.genesis_hash, program=DEVNET.jobs)


@cache
def work_proof() -> bytes:
    """A proof of the default number of openings, by this key under this GPU's name."""
    engine = CpuEngine()
    challenge = WorkChallenge(str(address(50)), 400, NODE, GPU.uuid)
    done = prove(engine, challenge, size=256, rounds=2)
    return open_rows(engine, done, 450, str(address(51))).body()


def hashed(data: bytes) -> LogDigest:
    """What a log or samples hash to."""
    hasher = MerkleHasher()
    hasher.update(data)
    return LogDigest(root=hasher.root(), length=hasher.length)


@cache
def parts(*, confidential: bool = False, work: bool = True) -> tuple[dict[str, bytes], dict[str, Cid]]:
    """All parts of a full bundle, and CIDs of those that have one."""
    log = b"".join(log_lines(LOGS))
    samples = b"".join(
        Sample(GPU.uuid, 0.0, 1000 + at, 5 * at, 70, 50).line()
        for at in range(OUTCOME.energy.samples)  # type: ignore[union-attr]
    )
    energy = replace(
        OUTCOME.energy, samples_root=hashed(samples).root, gpus=(GpuTelemetry(GPU.uuid, 4, 1.5, None, "none"),)
    )  # type: ignore[type-var]
    outcome = replace(OUTCOME, operations=(replace(OUTCOME.operations[0], log=hashed(log)),), energy=energy)
    state = {"operationId": "a", "status": "success", "exitCode": 0, "logs": LOGS}
    document: dict[str, Any] = {"status": "success", "opStates": [] if confidential else [state]}
    result = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    older = receipt(assignment=replace(ASSIGNMENT, slot=300), result=file_cid(b"older"), previous=PREVIOUS)
    held: dict[str, bytes] = {"result": result, "card": build_card(NODE, [GPU], HOST, agent_version="0", sign=sign)}
    named = None
    if work:
        body = held["work"] = work_proof()
        root = json.loads(body)["root"]
        named = WorkReference(
            hashlib.sha256(body).hexdigest(), file_cid(body), root, signature(9), "cpu", GPU.uuid, 1_000
        )
    reveal = None
    if confidential:
        from node.proof.receipt import hidden_of

        reveal = conceal(hidden_of(outcome, file_cid(SENT)))
        held["openings"] = json.dumps(reveal.document(), sort_keys=True, separators=(",", ":")).encode()
    held["receipt"] = receipt(
        outcome=outcome,
        result=file_cid(result),
        previous=(file_cid(older), signature(8)),
        work=named,
        ladder="33" * 32,
        reveal=reveal,
    )
    cids = {name: file_cid(body) for name, body in held.items() if name != "openings"}
    settle = wired(520, finish(file_cid(result)), chain_memo.memo(NODE, receipt_memo(cids["receipt"])))
    held |= {"settle": settle.wire, "earlier/1": older, "samples": samples, "log/0": log}
    held["definition"] = SENT if confidential else DEFINITION
    return held, cids


def whole_bundle(held: dict[str, bytes], cids: dict[str, Cid], **changes: Any) -> bytes:
    """A bundle of these parts, signed by the right key."""
    operation = account().operations[0].model_copy(update={"starts": OUTCOME.operations[0].starts})
    said = {
        "full": True,
        "chain": CHAIN,
        "job": account().job.model_copy(update={"run": RUN.address, "job": JOB.address}),
        "operations": (operation,),
        "gpus": (BundleGpu(uuid=GPU.uuid, name=GPU.name, provider="simulated", driver=None, errors=()),),
        "earlier": (BundleEarlier(part="earlier/1", receipt=file_cid(parts()[0]["earlier/1"]), settle=None),),
        "cids": dict(cids),
        "left_out": (),
    }
    return build_bundle(account(**(said | changes)), held, sign)
