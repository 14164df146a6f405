"""Small bundles for tests."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from node.chain.clusters import DEVNET
from node.chain.memo import memos
from node.proof.bundle import build_bundle
from node.proof.bundle_document import (
    Account,
    BundleChain,
    BundleEarlier,
    BundleEnd,
    BundleGpu,
    BundleIsolation,
    BundleJob,
    BundleOperation,
    BundleRelaxations,
    BundleSettlement,
    BundleStage,
)
from node.proof.memo import RECEIPT_KEY, memo_cid
from node.proof.receipt import parse_receipt

from .test_receipt import GPU, JOB, NODE, RUN, sign
from .world import World

WIRE = bytes(range(256))


def account(**changes: Any) -> Account:
    """What a bundle of one small job says."""
    said: dict[str, Any] = {
        "agent": "gpunode/0.1.0",
        "made_ms": 1_700_000_000_000,
        "full": False,
        "chain": BundleChain(name="devnet", genesis=DEVNET.genesis_hash, program=DEVNET.jobs),
        "job": BundleJob(
            job=JOB.address,
            run=RUN.address,
            market=JOB.market,
            node=NODE,
            poster=JOB.project,
            definition=JOB.definition_cid,
            price=100,
            timeout=3600,
            run_time=1_699_999_000,
            slot=500,
        ),
        "end": BundleEnd(stage="done", cause="completed", refused=None),
        "settlement": BundleSettlement(kind="finish", signature="5" * 88, slot=520, pay=300, fee=5000, payout=None),
        "stages": (BundleStage(stage="fetch", entered_ms=1), BundleStage(stage="done", entered_ms=2)),
        "operations": (
            BundleOperation(
                index=0,
                status="success",
                exit_code=0,
                starts=1,
                restarts=0,
                timed_out=False,
                out_of_memory=False,
                started_ms=1,
                ended_ms=2,
                errors=(),
                isolation=BundleIsolation(
                    profile="standard",
                    runtime="runc",
                    egress="open",
                    gpus=("GPU-1",),
                    driver_parts=("compute",),
                    memory_bytes=1,
                    pids=1,
                    milli_cpus=1500,
                    shm_bytes=1,
                    open_files=1,
                    log_bytes=1,
                    disk_bytes=None,
                ),
            ),
        ),
        "gpus": (BundleGpu(uuid=GPU.uuid, name=GPU.name, provider="simulated", driver=None, errors=("Xid 79",)),),
        "relaxations": BundleRelaxations(admitted=None, made=("network.filter",)),
        "words": None,
        "earlier": (),
        "cids": {},
        "missing": (),
        "left_out": ("log", "definition", "result", "words"),
    }
    return Account(**(said | changes))


def bundle(parts: Mapping[str, bytes] | None = None, **changes: Any) -> bytes:
    """A signed bundle with these parts."""
    held = {"receipt": b'{"payload":"e30="}', "settle": WIRE} if parts is None else parts
    return build_bundle(account(**changes), held, sign)


def parts_of(made: World) -> tuple[dict[str, bytes], dict[str, Any]]:
    """What a redacted bundle of the world's settled job holds, and what it says of it."""
    settled = made.transactions[made.settle]
    receipt_cid = memo_cid(memos(settled)[0], RECEIPT_KEY)
    assert receipt_cid is not None
    receipt = parse_receipt(made.files[receipt_cid])
    assert receipt.prev is not None
    (card,) = (cid for cid, body in made.files.items() if b"urn:gpunode:host:1" in _payload(body))
    held = {
        "receipt": made.files[receipt_cid],
        "settle": settled.wire,
        "card": made.files[card],
        "earlier/1": made.files[receipt.prev.receipt],
    }
    said = {
        "earlier": (BundleEarlier(part="earlier/1", receipt=receipt.prev.receipt, settle=receipt.prev.settle),),
        "cids": {"receipt": receipt_cid, "card": card, "earlier/1": receipt.prev.receipt},
    }
    return held, said


def settled_bundle(made: World, more: Mapping[str, bytes] | None = None, **changes: Any) -> bytes:
    """A signed bundle of the world's settled job; `more`: parts beside, or in place of, its own."""
    held, said = parts_of(made)
    return bundle({**held, **(more or {})}, **(said | changes))


def _payload(body: bytes) -> bytes:
    try:
        return base64.b64decode(json.loads(body)["payload"])
    except (ValueError, KeyError, TypeError):
        return b""
