"""What many lanes cost: `python -m tests.bench.lanes --lanes 64 --jobs 128`.

The agent's own process with as many simulated GPUs, lanes of one group (keys of one seed), the embedded chain, and real
containers of busybox on the engine at hand. A counter before the chain's port sees each request of the agent. Chain,
poster and counter share the machine with what is measured, so jobs a minute are this machine's, all together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import docker
from aiohttp import ClientSession, web

from node.chain.derivation import Seed
from node.chain.keyfile import SCRYPT_N
from node.chain.seedfile import create
from node.gpu.simulated import SimulatedProvider
from node.journal.reader import JournalReader
from node.records import Address, OperationState
from tests.e2e.images import busybox_image
from tests.e2e.market_place import MarketPlace, market_place, single, until

_TICKS = os.sysconf("SC_CLK_TCK")
_AT_ONCE = 8
"""Jobs that the poster lists at a time."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Of the agent's process and its children, now."""

    rss: int
    cpu: float
    """Seconds of processor time so far."""
    threads: int
    files: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One run."""

    lanes: int
    jobs: int
    start_seconds: float
    """From the agent's start until every lane is queued."""
    rss_mib: float
    rss_mib_busy: float
    threads: int
    files: int
    cpu_idle: float
    """Of one processor."""
    cpu_busy: float
    rpc_idle: float
    """Requests a second."""
    rpc_busy: float
    rpc_methods_idle: dict[str, int]
    jobs_per_minute: float
    start_p50: float
    """Seconds from when the lane saw its job to the container's start."""
    start_p95: float
    settled: int
    by_lane: dict[str, int]
    not_settled: dict[str, int]


class Counted:
    """Hands requests to the chain's port, and counts them by method."""

    def __init__(self, url: str, session: ClientSession) -> None:
        self._url = url
        self._session = session
        self.methods: Counter[str] = Counter()

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        asked = json.loads(body)
        self.methods.update(each["method"] for each in (asked if isinstance(asked, list) else [asked]))
        async with self._session.post(self._url, data=body, headers={"Content-Type": "application/json"}) as answer:
            return web.Response(body=await answer.read(), status=answer.status, content_type="application/json")


@asynccontextmanager
async def counted(url: str) -> AsyncIterator[tuple[Counted, str]]:
    """A counter before an endpoint, and its address."""
    async with ClientSession() as session:
        counter = Counted(url, session)
        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/", counter.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield counter, f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


def usage(pid: int) -> Usage:
    """What a process and its children use."""
    seen = [_usage(each) for each in (pid, *_children(pid))]
    return Usage(
        sum(each.rss for each in seen),
        sum(each.cpu for each in seen),
        sum(each.threads for each in seen),
        sum(each.files for each in seen),
    )


def _usage(pid: int) -> Usage:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Usage(
        int(status["VmRSS"].split()[0]) * 1024,
        (int(fields[11]) + int(fields[12])) / _TICKS,
        int(status["Threads"]),
        len(list(Path(f"/proc/{pid}/fd").iterdir())),
    )


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


async def measure(
    lanes: int, jobs: int, folder: Path, image: str, *, idle: float = 20.0, limit: float = 1500.0
) -> Figures:
    """Run so many lanes with so many jobs."""
    async with market_place(folder) as place, counted(place.net.rpc_url) as (counter, url):
        await set_up(place, lanes, url)
        began = time.monotonic()
        async with place.agent_process() as agent:
            pid = agent.process.pid

            async def phases() -> Counter[str]:
                return Counter(lane["phase"] for lane in (await agent.client.status())["lanes"])

            async def all_queued() -> bool:
                return (await phases())["queued"] == lanes

            try:
                await until(all_queued, seconds=limit)
            except TimeoutError:
                await _tell_lanes(agent.client)
                raise
            start_seconds = time.monotonic() - began

            quiet, before = Counter(counter.methods), usage(pid)
            since = time.monotonic()
            await asyncio.sleep(idle)
            rested, at_rest, idle = counter.methods - quiet, usage(pid), time.monotonic() - since

            quiet, since = Counter(counter.methods), time.monotonic()
            cid, _ = await place.library.publish("definition", json.dumps(single(image, "echo here")).encode())
            slots = asyncio.Semaphore(_AT_ONCE)

            async def post() -> Address:
                async with slots:
                    return (await place.list_job(cid)).job

            async with asyncio.TaskGroup() as group:
                posted = [group.create_task(post()) for _ in range(jobs)]
            wanted = {task.result() for task in posted}
            most = [usage(pid)]

            async def all_settled() -> bool:
                most.append(usage(pid))
                await asyncio.sleep(0.5)
                runs = (await agent.client.jobs(limit=min(1000, 4 * jobs)))["jobs"]
                return {run["job"] for run in runs if run["stage"] == "done"} >= wanted

            try:
                await until(all_settled, seconds=limit)
            except TimeoutError:
                await _tell_lanes(agent.client)
            took = time.monotonic() - since
            busied, busy = counter.methods - quiet, usage(pid)
            runs = [run for run in (await agent.client.jobs(limit=min(1000, 4 * jobs)))["jobs"] if run["job"] in wanted]
        waits = await _starts(place, runs)
        done = Counter(run["lane"] for run in runs if (run["settlement"] or {}).get("kind") == "finish")
        return Figures(
            lanes=lanes,
            jobs=jobs,
            start_seconds=round(start_seconds, 1),
            rss_mib=round(at_rest.rss / 2**20, 1),
            rss_mib_busy=round(max(each.rss for each in most) / 2**20, 1),
            threads=max(each.threads for each in most),
            files=max(each.files for each in most),
            cpu_idle=round((at_rest.cpu - before.cpu) / idle, 3),
            cpu_busy=round((busy.cpu - at_rest.cpu) / took, 3),
            rpc_idle=round(rested.total() / idle, 2),
            rpc_busy=round(busied.total() / took, 2),
            rpc_methods_idle=dict(rested.most_common(6)),
            jobs_per_minute=round(60 * done.total() / took, 1),
            start_p50=_part(waits, 0.5),
            start_p95=_part(waits, 0.95),
            settled=done.total(),
            by_lane=dict(Counter(str(count) for count in done.values())),
            not_settled=dict(
                Counter((run["settlement"] or {}).get("kind", run["stage"]) for run in runs)
                - Counter(finish=done.total())
            ),
        )


async def set_up(place: MarketPlace, lanes: int, url: str) -> Seed:
    """Make seed, funds and settings for so many lanes; the seed."""
    seed = Seed.new()
    create(place.folder / "seed", seed, None, SCRYPT_N)
    for account in range(lanes):
        await place.give(seed.account(account).address, 1, 0)
    tree = place.settings.model_dump(mode="json")
    place.set_up(
        rpc={**tree["rpc"], "urls": [url]},
        gpu={"provider": "simulated", "simulated": lanes},
        limits={"disk_free": "100 MiB", "memory": "64 MiB", "shm": "16 MiB", "disk_job": "1 MiB"},
        lanes=[],
        lane_groups=[{"wallet": str(place.folder / "seed"), "market": place.net.market}],
    )
    assert len(await SimulatedProvider(lanes).inventory()) == lanes
    return seed


async def _starts(place: MarketPlace, runs: list[dict[str, Any]]) -> list[float]:
    """Seconds from each run's assignment to its container's start, as far as there was one."""
    async with await JournalReader.open_readonly(place.settings.locations.journal) as journal:
        waits = []
        for run in runs:
            operations: tuple[OperationState, ...] = await journal.operations(run["run"])
            entered = (await journal.assignment(run["run"])).seen_at
            started = [each.started_ms for each in operations if each.started_ms is not None]
            if started:
                waits.append(min(started) / 1000 - entered)
    return sorted(waits)


def _part(values: list[float], part: float) -> float:
    return round(values[min(len(values) - 1, int(part * len(values)))], 2) if values else float("nan")


async def _tell_lanes(client: Any) -> None:
    lanes = (await client.status())["lanes"]
    for line, count in Counter(f"{lane['phase']}: {lane['reason'][:160]}" for lane in lanes).most_common(8):
        print(count, line, file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=16)
    parser.add_argument("--idle", type=float, default=20.0, help="seconds to look at the agent at rest")
    parser.add_argument("--limit", type=float, default=1500.0, help="seconds until it is given up")
    wanted = parser.parse_args()
    client = docker.APIClient(timeout=60)
    image = busybox_image(client)
    client.close()
    with tempfile.TemporaryDirectory(prefix="gpunode-lanes-") as folder:
        try:
            figures = asyncio.run(
                measure(wanted.lanes, wanted.jobs, Path(folder), image, idle=wanted.idle, limit=wanted.limit)
            )
        finally:
            log = Path(folder) / "agent.log"
            if log.exists():
                Path("/tmp/gpunode-lanes-agent.log").write_bytes(log.read_bytes())
    print(json.dumps(asdict(figures), indent=1))


if __name__ == "__main__":
    main()
