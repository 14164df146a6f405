"""Whether a lane earns, in one sentence, from what the chain shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from node.agent.earning_board import FRESH, OLD, EarningBoard
from node.agent.earning_state import LaneHistory, earning_state, read_history
from node.errors import RpcUnavailable
from node.journal.journal import Journal
from node.market.funds import FundsReport, Need
from node.market.lane_view import LaneView
from node.records import (
    SYSTEM_PROGRAM,
    Address,
    Cid,
    EarningState,
    Job,
    JobState,
    LanePhase,
    LaneStatus,
    Market,
    QueueType,
    Run,
    SettleKind,
    Settlement,
    Signature,
    Stake,
)
from tests.journal.samples import assignment, lane_status

NOW = 1_700_000_000
NODE = Address("N" * 44)
HERE = Address("Mark" + "x" * 36 + "et11")
JOB = Address("Job1" + "x" * 36 + "1111")
MARKET = Market(
    HERE, NODE, 60, 47, 3600, 0, HERE, SYSTEM_PROGRAM, 40_000_000, QueueType.NODES,
    (*(Address(f"other{number}") for number in range(11)), NODE, *(Address(f"more{number}") for number in range(28))),
)  # fmt: skip
RUN = Run(Address("run"), JOB, NODE, NODE, 0, NOW - 725)
WORK = Job(JOB, Cid("Qm"), None, HERE, NODE, NODE, 47, NODE, JobState.QUEUED, 0, 0, 3600)
STAKE = Stake(Address("stake"), NODE, 20_000_000, 14 * 86_400, 0, Address("vault"), 20_000_000)
FUNDS = FundsReport(NODE, 10**9, 0, (Need("fees", 1_000_000),), True, STAKE, 40_000_000, 40_000_000)


def said(view: LaneView, history: LaneHistory | None = None) -> str:
    return earning_state(view, history or LaneHistory(), HERE, NOW).sentence


def test_queued() -> None:
    view = LaneView(MARKET, position=12)
    history = LaneHistory(last_job=NOW - 3 * 3600 - 59, median_wait=3000.0)
    assert said(view, history) == "queued 12 of 40 in market Mark…et11, last job 3 h ago, median wait 50 min"
    assert said(view) == "queued 12 of 40 in market Mark…et11, no paid job yet"
    assert earning_state(view, history, HERE, NOW).earning


def test_at_work() -> None:
    view = LaneView(MARKET, (RUN,), WORK)
    assert said(view) == "earning: job Job1…1111 for 12 min, 0.034075 NOS so far"
    late = LaneView(MARKET, (replace(RUN, time=NOW - 9000),), WORK)
    assert said(late) == "earning: job Job1…1111 for 2 h, 0.1692 NOS so far; its time is over, it is to be settled"
    free = earning_state(LaneView(MARKET, (RUN,), replace(WORK, price=0)), LaneHistory(), HERE, NOW)
    assert free.earning is False


@pytest.mark.parametrize(
    ("view", "history", "code", "sentence"),
    [
        (LaneView(None), LaneHistory(), "no-market", f"there is no market {HERE}: gpunode market list"),
        (
            LaneView(MARKET, funds=replace(FUNDS, xnos=20_000_000)),
            LaneHistory(),
            "stake",
            "stake 15.872236 NOS below the market's minimum: gpunode stake topup 15.872236",
        ),
        (
            LaneView(MARKET, funds=replace(FUNDS, stake=replace(STAKE, time_unstake=5), xnos=0)),
            LaneHistory(),
            "stake",
            "the stake is being taken out: withdraw it and make a new one (gpunode stake withdraw)",
        ),
        (
            LaneView(MARKET, funds=replace(FUNDS, stake=None, xnos=0)),
            LaneHistory(),
            "stake",
            "the market asks for a stake of 40 NOS of weight: gpunode stake create",
        ),
        (
            LaneView(MARKET, funds=FUNDS, access="no key"),
            LaneHistory(),
            "access-key",
            "no key: get one from the market's owner",
        ),
        (
            LaneView(MARKET, funds=replace(FUNDS, lamports=500_000)),
            LaneHistory(),
            "sol",
            f"wallet {NODE} lacks 0.0005 SOL to join with: send it SOL",
        ),
        (
            LaneView(MARKET, funds=FUNDS),
            LaneHistory(wish="pause"),
            "operator",
            "paused as the operator asked: gpunode resume",
        ),
        (
            LaneView(MARKET, funds=FUNDS),
            LaneHistory(),
            "not-queued",
            "the queue of market Mark…et11 does not know this key: no agent runs for it: gpunode run",
        ),
        (
            LaneView(MARKET, funds=FUNDS),
            LaneHistory(reason="engine: not running"),
            "not-queued",
            "the queue of market Mark…et11 does not know this key: engine: not running",
        ),
        (
            LaneView(replace(MARKET, job_type=255), funds=FUNDS),
            LaneHistory(),
            "closed",
            "market Mark…et11 lets no node wait: name another in the lane's settings",
        ),
    ],
)
def test_not_earning(view: LaneView, history: LaneHistory, code: str, sentence: str) -> None:
    state = earning_state(view, history, HERE, NOW)
    assert (state.earning, state.code, state.sentence) == (False, code, f"not earning: {sentence}")


class Chain:
    """Answers with what it is told, or not at all."""

    def __init__(self) -> None:
        self.now = float(NOW)
        self.asked = 0
        self.answer: LaneView | Exception = LaneView(MARKET, position=12)

    async def look(self) -> LaneView:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest_asyncio.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with await Journal.open(tmp_path / "journal.sqlite", lambda: float(NOW)) as opened:
        yield opened


async def test_history_is_the_journals(journal: Journal) -> None:
    given = assignment(1, run_time=NOW)
    await journal.save_lane(lane_status())
    assert await read_history(journal, "main") == LaneHistory()
    await journal.set_queued("main", NOW - 60.0)
    await journal.begin_job(given)
    await journal.settle(
        given.run.address, Settlement(given.job.address, SettleKind.FINISH, Signature("s"), 1, 5, None, "", 5000)
    )
    await journal.set_wish("main", "drain")
    assert await read_history(journal, "main", "why") == LaneHistory(float(NOW), 60.0, "drain", "why")


async def test_the_board_asks_only_when_somebody_wants_to_know(journal: Journal) -> None:
    chain = Chain()
    board = EarningBoard({"main": chain.look}, journal, lambda: chain.now)

    async def of(reason: str = "", phase: LanePhase = LanePhase.QUEUED) -> EarningState:
        found = await board.of(LaneStatus("main", NODE, HERE, phase, reason, 0.0))
        assert found is not None
        return found

    async def until_asked(count: int) -> None:
        async with asyncio.timeout(10):
            while chain.asked < count or board._known.get("main", None) is None:
                await asyncio.sleep(0)

    task = asyncio.create_task(board.run())
    try:
        assert chain.asked == 0
        assert (await of()).code == "queued"
        assert (await of()).code == "queued"
        assert chain.asked == 1
        chain.now += FRESH
        chain.answer = LaneView(MARKET, funds=FUNDS)
        assert (await of("degraded")).code == "queued", "the older answer, while the chain is asked"
        await until_asked(2)
        chain.now += OLD
        assert (await of("degraded")).sentence.endswith("degraded")
        chain.now += OLD
        chain.answer = RpcUnavailable("nobody is there")
        assert await of() == EarningState(None, "unknown", "not known whether it earns: nobody is there", chain.now)
        assert await board.of(LaneStatus("another", NODE, HERE, LanePhase.QUEUED, "", 0.0)) is None
        chain.answer = LaneView(MARKET, (RUN,), WORK)
        assert (await of(phase=LanePhase.WORKING)).code == "working", "the lane is at something else now: asked at once"
    finally:
        task.cancel()
