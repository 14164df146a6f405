"""How much the embedded chain takes: transactions a second with subscribers, slots kept, start-up time and memory.

    .venv/bin/python -m tests.bench.localnet_load [--transactions 100000] [--json]

The server runs on one core, this program on the others. Beside the figures stand the limits of the same machine in the
same run: LiteSVM by itself, and an aiohttp server that does nothing. Nothing is asserted: the figures are for people.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from solders.hash import Hash
from solders.keypair import Keypair

from tests.bench.load_peers import HttpPeer
from tests.bench.load_server import BARE_HTTP, BARE_SVM, LOCALNET, OTHER_CORES, Server, alone
from tests.bench.load_subscribers import Audience
from tests.bench.load_transactions import Mix, request

_CONNECTIONS = 16
_AHEAD = 5_000
"""Transactions: signing them takes less than a second, and sending them less than a blockhash lives."""
_REFRESH_SECONDS = 2.0
"""How often the load takes a new blockhash."""
_WALLETS = 8
_SETTLE_SECONDS = 0.6
_SLOT_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class Plan:
    """One stretch of load."""

    name: str
    count: int
    rate: float | None
    """Transactions a second; None: as fast as they are taken."""
    skip_preflight: bool
    subscribers: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one stretch of load showed."""

    plan: Plan
    seconds: float
    cpu: float
    """Seconds of processor time of the server."""
    rss: float
    """MB after it."""
    answered: list[float]
    """Seconds of each answer, in rising order."""
    unlanded: int
    missed: int
    """Slots that the chain says it missed."""
    untold: int
    """Slots with a block that a subscriber to slots did not hear of."""
    latest_slot: float
    """Seconds by which the worst slot was late, for such a subscriber."""
    sockets_lost: int
    told: Counter[str]

    def document(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "name": self.plan.name,
            "sent": self.plan.count,
            "per_second": round(self.plan.count / self.seconds),
            "cpu_share": round(self.cpu / self.seconds, 2),
            "per_cpu_second": round(self.plan.count / max(self.cpu, 0.01)),
            "median_ms": round(1000 * self.answered[len(self.answered) // 2], 1),
            "p99_ms": round(1000 * self.answered[len(self.answered) * 99 // 100], 1),
            "unlanded": self.unlanded,
            "slots_missed": self.missed,
            "slots_untold": self.untold,
            "latest_slot_ms": round(1000 * self.latest_slot),
            "sockets_lost": self.sockets_lost,
            "rss_mb": round(self.rss, 1),
            "notifications": sum(self.told.values()),
            "by_kind": dict(self.told),
        }


class Load:
    """Sends transactions to one localnet."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._chain = json.loads(server.line)
        self._port = urlsplit(self._chain["rpc_url"]).port or 0
        self._mix = Mix([Keypair() for _ in range(_WALLETS)])
        self._blockhash = Hash.default()

    async def fund(self) -> None:
        """Fill the wallets, and wait until that is confirmed."""
        peer = await HttpPeer.open(self._port)
        for payer in self._mix.payers:
            await peer.call("localnet_faucet", str(payer.pubkey()), {"lamports": 10**15})
        last = str(self._mix.payers[-1].pubkey())
        while not (await peer.call("getBalance", last, {"commitment": "confirmed"}))["value"]:
            await asyncio.sleep(0.05)
        peer.close()

    async def run(self, plan: Plan) -> Outcome:
        """Carry out one stretch."""
        jobs = next(iter(self._chain["programs"]))
        audience = await Audience.open(self._port, plan.subscribers, jobs, self._mix)
        watch = await HttpPeer.open(self._port)
        senders = [await HttpPeer.open(self._port) for _ in range(_CONNECTIONS)]
        await self._refresh(watch)
        bodies = self._bodies(plan)
        landed, missed = await _counts(watch)
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(audience.run())
            refreshing = group.create_task(self._keep_fresh(watch))
            before = self._server.usage()
            answered = await _send_all(senders, bodies, plan)
            after = self._server.usage()
            refreshing.cancel()
            await asyncio.sleep(_SETTLE_SECONDS)
            listening.cancel()
        landed_then, missed_then = await _counts(watch)
        for peer in (*senders, watch):
            peer.close()
        audience.close()
        return Outcome(
            plan,
            after.at - before.at,
            after.cpu - before.cpu,
            after.rss,
            sorted(answered),
            plan.count - (landed_then - landed),
            missed_then - missed,
            audience.slots_untold() - (missed_then - missed),
            audience.longest_gap(_SLOT_SECONDS),
            audience.lost(),
            audience.told(),
        )

    def _bodies(self, plan: Plan) -> Iterator[bytes]:
        # Signing takes this side more than sending: a stretch without a rate is signed some seconds ahead of it.
        ahead = 1 if plan.rate else _AHEAD
        for start in range(0, plan.count, ahead):
            yield from [self._next(plan.skip_preflight) for _ in range(start, min(start + ahead, plan.count))]

    def _next(self, skip_preflight: bool) -> bytes:
        return request(self._mix.make(self._blockhash), skip_preflight=skip_preflight)

    async def _keep_fresh(self, peer: HttpPeer) -> None:
        while True:
            await asyncio.sleep(_REFRESH_SECONDS)
            await self._refresh(peer)

    async def _refresh(self, peer: HttpPeer) -> None:
        found = await peer.call("getLatestBlockhash", {"commitment": "confirmed"})
        self._blockhash = Hash.from_string(found["value"]["blockhash"])


async def _counts(peer: HttpPeer) -> tuple[int, int]:
    """Transactions that landed and slots that were missed, so far."""
    landed = await peer.call("getTransactionCount", {"commitment": "processed"})
    return landed, (await peer.call("localnet_pace"))["missedSlots"]


async def _send_all(senders: list[HttpPeer], bodies: Iterator[bytes], plan: Plan) -> list[float]:
    """Send every body; seconds each answer took."""
    took: list[float] = []
    began = time.monotonic()

    async def send(peer: HttpPeer) -> None:
        for body in bodies:
            if plan.rate:
                await asyncio.sleep(began + len(took) / plan.rate - time.monotonic())
            started = time.monotonic()
            number = len(took)
            took.append(0.0)
            answer = await peer.post(body)
            took[number] = time.monotonic() - started
            if b'"error"' in answer:
                raise RuntimeError(f"a transaction was refused: {answer[:300]!r}")

    async with asyncio.TaskGroup() as group:
        for peer in senders:
            group.create_task(send(peer))
    return took


def start_times(runs: int) -> list[float]:
    """Seconds from the start of the process to its ready line."""
    times = []
    for _ in range(runs):
        with Server(*LOCALNET) as server:
            times.append(server.ready_after)
    return sorted(times)


async def bare_http_rate(count: int) -> float:
    """Requests per second of processor time that a server which does nothing takes, sent as the load is."""
    with Server(*BARE_HTTP) as server:
        senders = [await HttpPeer.open(int(server.line)) for _ in range(_CONNECTIONS)]
        mix = Mix([Keypair()])
        bodies = [request(mix.make(Hash.default()), skip_preflight=True) for _ in range(500)]
        before = server.usage()
        every = (bodies[number % len(bodies)] for number in range(count))
        await _send_all(senders, every, Plan("bare", count, None, True, 0))
        after = server.usage()
        for peer in senders:
            peer.close()
    return count / max(after.cpu - before.cpu, 0.01)


def plans(transactions: int, burst: int, subscribers: int, rate: float) -> Iterable[Plan]:
    """What is tried, in order; memory is of interest after the first."""
    yield Plan(f"{rate:.0f}/s, preflight, {subscribers} subscribers", transactions, rate, False, subscribers)
    yield Plan(f"{rate:.0f}/s, skipPreflight, {subscribers} subscribers", burst, rate, True, subscribers)
    yield Plan(f"flat out, preflight, {subscribers} subscribers", burst, None, False, subscribers)
    yield Plan(f"flat out, skipPreflight, {subscribers} subscribers", burst, None, True, subscribers)
    yield Plan("flat out, preflight, nobody listening", burst, None, False, 0)


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, as one document."""
    outcomes = []
    with Server(*LOCALNET) as server:
        at_ready = server.usage()
        load = Load(server)
        await load.fund()
        for plan in plans(options.transactions, options.burst, options.subscribers, options.rate):
            outcomes.append((await load.run(plan)).document())
            print(json.dumps(outcomes[-1]), file=sys.stderr, flush=True)
    return {
        "start_seconds": [round(value, 3) for value in start_times(options.starts)],
        "ready": {"cpu_seconds": round(at_ready.cpu, 2), "rss_mb": round(at_ready.rss, 1)},
        "load": outcomes,
        "limits": {
            "svm_per_cpu_second": round(json.loads(alone(*BARE_SVM, str(options.burst)))),
            "aiohttp_per_cpu_second": round(await bare_http_rate(options.burst)),
        },
    }


def table(document: dict[str, Any]) -> str:
    """The figures as Markdown."""
    names = ("per_second", "cpu_share", "per_cpu_second", "median_ms", "p99_ms", "slots_missed", "slots_untold")
    names += ("latest_slot_ms", "unlanded", "sockets_lost", "notifications", "rss_mb")
    lines = ["| load | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    lines += [f"| {row['name']} | " + " | ".join(str(row[name]) for name in names) + " |" for row in document["load"]]
    ready, limits = document["ready"], document["limits"]
    starts = ", ".join(f"{value:.2f}" for value in document["start_seconds"])
    return "\n".join(
        [
            *lines,
            "",
            f"start to ready: {starts} s ({ready['cpu_seconds']} s of processor), {ready['rss_mb']} MB then",
            f"limits per second of one core: LiteSVM alone {limits['svm_per_cpu_second']} transactions, "
            f"an aiohttp server that does nothing {limits['aiohttp_per_cpu_second']} requests",
        ]
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--transactions", type=int, default=100_000, help="sent at the rate (default 100,000)")
    parser.add_argument("--rate", type=float, default=1_000, help="transactions a second (default 1,000)")
    parser.add_argument("--burst", type=int, default=10_000, help="transactions of each other stretch")
    parser.add_argument("--subscribers", type=int, default=50)
    parser.add_argument("--starts", type=int, default=3, help="how often start-up is timed")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    os.sched_setaffinity(0, OTHER_CORES)
    document = asyncio.run(measure(options))
    print(json.dumps(document) if options.json else table(document))


if __name__ == "__main__":
    main()
