"""A month's earnings, as the command tells them, against what another program reads on the chain: to the last unit."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from node.agent.earnings.prices import Price, Prices
from node.agent.earnings.report import By, Report, report
from node.api.documents import plain
from node.chain.rpc import Rpc
from node.journal.journal import Journal
from node.journal.pruning import Keep
from node.localnet.app import Localnet
from node.localnet.options import LocalnetOptions
from node.localnet.validator import History
from node.records import Address
from node.settings_earnings import EarningsSettings
from tests.money.month import Month

MONTH = 30 * 86_400


@asynccontextmanager
async def month(folder: Path, seed: int) -> AsyncIterator[Month]:
    options = LocalnetOptions(
        rpc_port=0, content_port=0, slot_ms=20, history=History(transactions=100_000, blocks=100_000)
    )
    (folder / "data").mkdir()
    async with AsyncExitStack() as stack:
        net = await stack.enter_async_context(Localnet.start(options))
        rpc = await stack.enter_async_context(Rpc([net.rpc_url]))
        path = folder / "data" / "journal.sqlite"
        journal = await stack.enter_async_context(await Journal.open(path, net.time))
        made = Month(net, rpc, journal, folder, seed)
        await made.hire("one")
        await made.hire("two", Address(str(Keypair().pubkey())))
        yield made


async def audit(of: Month, lane: int) -> dict[str, Any]:
    """What the independent program says of a lane's node."""
    worker = of.workers[lane]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.money.audit", of.net.rpc_url, of.net.cluster.jobs, of.net.mint,
        worker.context.node, *worker.accounts(of.net),
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0, out
    found: dict[str, Any] = json.loads(out)
    return found


async def told(of: Month, folder: Path, by: str) -> dict[str, Any]:
    """What `gpunode earnings --json` says."""
    lanes = [
        {"name": name, "wallet": str(folder / f"{name}.json"), "market": of.market, "gpus": [f"GPU-{name}"]}
        for name in ("one", "two")
    ]
    (folder / "settings.yaml").write_text(
        json.dumps(
            {
                "cluster": "localnet",
                "host": {"country": "NL"},
                "rpc": {"urls": [of.net.rpc_url]},
                "paths": {"data": str(folder / "data"), "control_socket": str(folder / "none.sock")},
                "earnings": {"zone": "UTC", "tariff": {"price": 0.3}, "nos_price": 0.5, "sol_price": 150},
                "lanes": lanes,
            }
        )
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "node.cli", "earnings", "--json", "--by", by, "--from", "2020-01-01",
        "--to", "2099-01-01", "--settings", str(folder / "settings.yaml"),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0, out
    found: dict[str, Any] = json.loads(out)
    return found


async def summed(of: Month, by: By) -> Report:
    """The same figures without the command."""
    money = await of.journal.money(0, 10**12)
    unknown = Price(None, "")
    return report(money, by, EarningsSettings(), Prices(unknown, unknown), UTC)


async def check(of: Month, folder: Path) -> dict[str, int]:
    """Lane by lane and job by job, and over the days; the totals."""
    for worker in of.workers:
        await of.tidy(worker)
    seen = [await audit(of, lane) for lane in range(2)]
    by_lane = {line["key"]: line for line in (await told(of, folder, "lane"))["lines"]}
    for lane, chain in zip(("one", "two"), seen, strict=True):
        line = by_lane[lane]
        assert (line["pay"], line["fee"], line["lamports"], line["rent"]) == (
            chain["pay"], chain["fees"], chain["out"], chain["rent"],
        ), lane  # fmt: skip
        assert chain["balance"] == 10**9 - line["lamports"], "nothing else moved this wallet"
        assert (line["pay_estimated"], line["pay_unknown"], line["spent_estimated"]) == (0, 0, 0)
    jobs = {line.key: line.pay for line in (await summed(of, By.JOB)).lines if line.pay}
    assert jobs == {job: pay for chain in seen for job, pay in chain["pays"].items()}
    days = await summed(of, By.DAY)
    total: dict[str, int] = plain(days.total)
    for name in ("pay", "fee", "lamports", "transactions"):
        assert sum(getattr(line, name) for line in days.lines) == total[name]
        assert sum(line[name] for line in by_lane.values()) == total[name]
    return {**total, "days": len(days.lines), "failed": sum(chain["failed"] for chain in seen)}


async def test_a_few_jobs_to_the_last_lamport(tmp_path: Path) -> None:
    async with month(tmp_path, seed=7) as made:
        for _ in range(2):
            await made.job()
            made.net.leaps.seconds(MONTH / 8)
        found = await check(made, tmp_path)
        assert found["jobs"] == 2
        before = [await summed(made, by) for by in By]
        made.net.leaps.seconds(100 * 86_400)
        assert (await made.journal.prune(Keep(), _no_rest))["spending"] > 0
        assert [await summed(made, by) for by in By] == before, "pruning takes nothing of the sums"


@pytest.mark.long
async def test_a_month_to_the_last_lamport(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """As many jobs as run in a minute, over thirty days of the chain's time."""
    async with month(tmp_path, seed=30) as made:
        began, start = asyncio.get_running_loop().time(), made.net.time()
        count = 0
        while asyncio.get_running_loop().time() - began < 60:
            await made.job()
            count += 1
            made.net.leaps.seconds(3 * 3600)
            if made.net.time() - start > MONTH:
                break
        made.net.leaps.seconds(max(1.0, MONTH - (made.net.time() - start)))
        found = await check(made, tmp_path)
        assert found["jobs"] == count
        record_property("month", {**made.ends, **found})
        print({"jobs": count, **made.ends, **{k: found[k] for k in ("pay", "fee", "rent", "transactions", "failed")}})


async def _no_rest() -> None:
    return
