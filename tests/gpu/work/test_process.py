"""The helper process: a whole proof through it, and its end at any moment."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import time
from pathlib import Path

import pytest

from node.errors import GpuError
from node.gpu.work.process import working
from node.gpu.work.session import Anchored, Block, WorkOrder, make_proof
from node.proof.memo import memo_root, receipt_memo, work_memo
from node.proof.work import WorkAnchors, verify_work
from node.records import Address, Cid
from tests.gpu.work.examples import CHALLENGE, key

ORDER = WorkOrder(node=key(2), engine="cpu", gpu=None, seconds=1.0, size=256)


class Chain:
    """A chain as far as a proof sees it."""

    def __init__(self) -> None:
        self.memos: list[str] = []
        self.anchoring = asyncio.Event()
        self.stuck = False

    async def newest_block(self) -> Block:
        return Block(100, key(5))

    async def anchor(self, root: str) -> Anchored:
        self.memos.append(work_memo(root))
        self.anchoring.set()
        if self.stuck:
            await asyncio.Event().wait()
        return Anchored(140, "signature")

    async def block_after(self, slot: int) -> Block:
        return Block(slot + 3, key(6))


async def test_a_proof_from_seed_to_document(tmp_path: Path) -> None:
    chain, told = Chain(), list[str]()

    async def note(root: str) -> None:
        assert not chain.memos  # before it is sent
        told.append(root)

    made = await make_proof(ORDER, chain, tmp_path / "work.json", on_root=note)
    body = made.opened.path.read_bytes()
    assert hashlib.sha256(body).hexdigest() == made.opened.sha256
    assert [memo_root(memo) for memo in chain.memos] == [made.done.root] == told
    anchors = WorkAnchors(Address(key(2)), made.done.root, key(5), 1000, 140, 1012, 143, key(6))
    verdict = verify_work(body, node=Address(key(2)), gpu="cpu", anchors=anchors)
    assert verdict.ok
    assert verdict.proof is not None
    assert verdict.proof.rounds == made.done.rounds > 1
    assert 500 < made.done.milliseconds < 20_000
    assert list(tmp_path.iterdir()) == [made.opened.path]


async def test_a_job_ends_it_at_once(tmp_path: Path) -> None:
    """Cancelled in the middle of the products: the process is gone when the cancelled task is."""
    order = WorkOrder(node=key(2), engine="cpu", gpu=None, seconds=60.0, size=1024)
    task = asyncio.create_task(make_proof(order, Chain(), tmp_path / "work.json"))
    child = await busy_child()
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 5
    assert not Path(f"/proc/{child}").exists()
    assert list(tmp_path.iterdir()) == []


async def test_a_job_ends_it_while_it_waits_for_the_anchor(tmp_path: Path) -> None:
    chain = Chain()
    chain.stuck = True
    task = asyncio.create_task(make_proof(ORDER, chain, tmp_path / "work.json"))
    await asyncio.wait_for(chain.anchoring.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not children()


async def test_a_killed_helper_is_an_error_and_no_hang() -> None:
    async with working() as helper:
        await helper.start("cpu", None)
        task = asyncio.create_task(helper.prove(CHALLENGE, seconds=60.0, size=1024))
        await asyncio.sleep(0.3)
        helper.kill()
        with pytest.raises(GpuError, match="was ended"):
            await asyncio.wait_for(task, 10)


async def test_what_it_refuses_is_said_and_it_goes_on() -> None:
    async with working() as helper:
        with pytest.raises(GpuError):
            await helper.start("abacus", None)
        await helper.start("cpu", None)
        with pytest.raises(GpuError, match="power of two"):
            await helper.prove(CHALLENGE, seconds=1.0, size=300)
        done = await helper.prove(CHALLENGE, seconds=0.1, size=256)
        assert done.engine == "cpu"
        with pytest.raises(GpuError):
            await helper.open(7, "no blockhash", Path("/nonexistent/work.json"))


async def test_cuda_without_a_gpu_says_what_is_missing() -> None:
    async with working() as helper:
        with pytest.raises(GpuError) as caught:
            await helper.start("cuda", "GPU-00000000-0000-0000-0000-000000000000")
        assert "nvidia-smi" in caught.value.hint


@pytest.mark.parametrize("line", ["", "nonsense", "[]", '{"id":9,"result":1}', '{"id":1,"error":5}'])
async def test_nonsense_from_the_helper_is_an_error_of_ours(line: str) -> None:
    program = f"import sys\nsys.stdin.readline(); print({line!r}, flush=True); sys.stdin.readline()"
    async with working((sys.executable, "-c", program)) as helper:
        with pytest.raises(GpuError):
            await helper.start("cpu", None)


def test_memos_of_work() -> None:
    root = "ab" * 32
    assert memo_root(work_memo(root)) == root
    assert memo_root("gpunode/1 w=" + "AB" * 32) is None
    assert memo_root("gpunode/1 w=abcd") is None
    assert memo_root(receipt_memo(Cid("QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"))) is None
    assert memo_root(f"gpunode/1 r=x w={root} later=1") == root


def children() -> list[int]:
    task = Path(f"/proc/{os.getpid()}/task")
    found = []
    for thread in task.iterdir():
        found += [int(pid) for pid in (thread / "children").read_text().split()]
    return [pid for pid in found if b"node.gpu.work.helper" in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def busy_child() -> int:
    """The helper, once it makes products: it has used a second of processor time."""
    async with asyncio.timeout(60):
        while True:
            await asyncio.sleep(0.05)
            for pid in children():
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                if int(fields[11]) + int(fields[12]) > os.sysconf("SC_CLK_TCK"):
                    return pid
