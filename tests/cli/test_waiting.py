"""`job post --wait`: followed to its end, with a node that takes and settles the job."""

from __future__ import annotations

import asyncio
import json
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from node.chain.clusters import localnet
from node.chain.intents import MemoryStore
from node.chain.outbox import Outbox
from node.chain.policy import NODE_KINDS, SpendingPolicy
from node.chain.rpc import Rpc
from node.chain.wallet import Wallet
from node.content.store import KuboStore
from node.market import funds
from node.market.context import MarketContext
from node.market.join import join, standing
from node.market.settle import Settler
from node.records import Address, Assignment
from node.retry import SystemClock
from node.settings import StakeSettings
from tests.cli.conftest import Chain, Shell
from tests.cli.test_chain import DEFINITION

pytestmark = pytest.mark.timeout(60)

RESULT = {"status": "success", "opStates": [{"operationId": "hello", "status": "success", "exitCode": 0, "logs": [
    {"type": "stdout", "log": "hello\n"}, {"type": "stdout", "log": "\x1b]0;title\x07\n"}]}]}  # fmt: skip


@contextmanager
def node(chain: Chain, home: Path, result: dict[str, Any] | None) -> Iterator[None]:
    """A node in a thread that takes the poster's job and settles it with the result, or (None) gives it back."""
    wallet = Wallet.create(home / "node.json")
    poster = Wallet.load(home / "poster.json").address
    chain.do(lambda net: net.endow(wallet.address, sol=1))
    failure: list[BaseException] = []

    async def serve() -> None:
        cluster = localnet()
        async with Rpc([chain.rpc_url]) as rpc:
            outbox = Outbox(rpc, wallet.signer(SpendingPolicy(cluster, NODE_KINDS)), MemoryStore())
            context = MarketContext(cluster, rpc, outbox, "main", wallet.address, None, StakeSettings(), SystemClock())
            market = Address(chain.market)
            await funds.prepare(context, await context.ledger.market(market))
            while True:
                assignment = await _next(context, market)
                if assignment.job.project == poster:
                    break
                # Another test's job was in front of ours.
                await Settler(context).quit(assignment, "not ours")
            if result is None:
                await Settler(context).quit(assignment, "a test")
                return
            store = KuboStore(chain.content_url)
            cid = await store.add_file("result.json", json.dumps(result).encode())
            await store.aclose()
            await Settler(context).settle(assignment, cid, None)

    def run() -> None:
        try:
            asyncio.run(asyncio.wait_for(serve(), 40))
        except BaseException as error:
            # Said at once: the poster waits for this node until the test's time is over.
            traceback.print_exc()
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(45)
    assert not failure, failure


async def _next(context: MarketContext, market: Address) -> Assignment:
    await join(context, market)
    while (now := await standing(context, market)) is None or now.run is None:
        await asyncio.sleep(0.05)
    job = await context.ledger.job(now.run.job)
    assert job is not None
    return Assignment("main", now.run, job, 0, "", 0.0)


@pytest.fixture
def post(shell: Shell, chain: Chain) -> tuple[object, ...]:
    """Arguments of a post from a funded wallet."""
    definition, key = shell.home / "job.json", shell.home / "poster.json"
    definition.write_text(json.dumps(DEFINITION))
    address = Wallet.create(key).address
    chain.do(lambda net: net.endow(address, sol=1, nos=10))
    return (
        *("job", "post", definition, "--market", chain.market, "--timeout", "60", "--wait", "--wallet", key),
        *("--content", chain.content_url, *chain.flags),
    )


@pytest.mark.long
def test_wait_shows_the_result(shell: Shell, chain: Chain, post: tuple[object, ...]) -> None:
    with node(chain, shell.home, RESULT):
        answer = shell(*post)
    assert answer.status == 0, answer.err
    assert "done" in answer.err.splitlines()
    assert "result: success" in answer.out
    assert "  hello\n" in answer.out
    assert "\\x1b]0;title\\x07" in answer.out


def test_a_job_that_failed_is_status_1(shell: Shell, chain: Chain, post: tuple[object, ...]) -> None:
    with node(chain, shell.home, {**RESULT, "status": "failed"}):
        answer = shell(*post, "--json")
    assert answer.status == 1
    known = answer.document
    assert (known["ending"], known["succeeded"]) == ("done", False)
    assert known["outcome"]["result"]["status"] == "failed"
    assert known["outcome"]["cost"] <= known["deposit"]
    cleaned = shell("job", "clean", known["job"], "--wallet", shell.home / "poster.json", *chain.flags)
    assert cleaned.status == 1
    assert "JobNotExpired" in cleaned.err


def test_a_job_given_back_is_said_and_recovered(shell: Shell, chain: Chain, post: tuple[object, ...]) -> None:
    with node(chain, shell.home, None):
        answer = shell(*post, "--json")
    assert answer.status == 1
    known = answer.document
    assert known["ending"] == "stopped"
    flags = ("--wallet", shell.home / "poster.json", *chain.flags)
    assert shell("job", "recover", known["job"], *flags, "--json").document["did"] == "recover"
    assert shell("wallet", *flags, "--json").document["nos"] == 10_000_000
