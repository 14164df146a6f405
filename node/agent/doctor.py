"""Looks at everything the agent needs before it can earn, one row each; changes nothing.

A row that cannot be looked at because an earlier one failed says so, and is neither right nor wrong.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
from solders.keypair import Keypair

from node.agent.doctor_isolation import isolation_findings
from node.agent.doctor_network import network_finding
from node.agent.doctor_resources import resource_finding
from node.agent.doctor_services import service_findings
from node.agent.doctor_work import work_finding
from node.agent.escapes.report import examine_escapes
from node.agent.finding import Finding
from node.agent.health.chain_clock import ChainClock
from node.agent.health.fitting import read_chain_clock
from node.api.client import ControlClient, NoAgent
from node.chain import keyfile
from node.chain.clusters import DEVNET, MAINNET, Cluster, cluster_named
from node.chain.outbox import MemoryStore, Outbox
from node.chain.passphrase import PassphraseSource, secrecy
from node.chain.policy import SpendingPolicy
from node.chain.rpc import Rpc
from node.chain.token_accounts import decode_token_account
from node.chain.transport import shown
from node.chain.wallet import Wallet
from node.container.docker import DockerEngine
from node.content.http import bearer
from node.content.library import read_token
from node.errors import AccessKeyMissing, ControlError, GpunodeError, RpcUnavailable
from node.gpu.provider import choose_provider
from node.journal.reader import JournalReader
from node.loopback import DIRECT
from node.market import funds
from node.market.access_key import asks_key, find_access_token
from node.market.context import MarketContext
from node.records import Address, Gpu, Market
from node.retry import SystemClock
from node.settings import LaneSettings, Settings, StoreSettings

GIB = 1024**3
LAMPORTS_PER_SOL = 1_000_000_000
SLOW_RPC = 1.0
"""Seconds for one small request above which an endpoint is called slow."""
REACH_TIMEOUT = 10.0


async def examine(settings: Settings) -> tuple[Finding, ...]:
    """All findings for these settings, in the order in which they are worth mending."""
    async with AsyncExitStack() as stack:
        rpc = await stack.enter_async_context(Rpc(settings.rpc.urls, timeout=settings.rpc.timeout))
        doctor = _Doctor(settings, cluster_named(settings.cluster, settings.ids), rpc)
        await doctor.look()
        return tuple(doctor.findings)


class _Doctor:
    def __init__(self, settings: Settings, cluster: Cluster, rpc: Rpc) -> None:
        self._settings = settings
        self._cluster = cluster
        self._rpc = rpc
        self._genesis: str | None = None
        self._gpus: tuple[Gpu, ...] | None = None
        self.findings: list[Finding] = []

    async def look(self) -> None:
        await self._row("container engine", self._engine)
        self.findings += await isolation_findings(self._settings)
        self.findings.append(await network_finding(self._settings))
        await self._row("GPU", self._gpu)
        self.findings += await examine_escapes(self._settings, self._gpus or ())
        self.findings += await service_findings(self._settings)
        await self._row("disk", self._disk)
        self.findings.append(await resource_finding(self._settings))
        self.findings.append(work_finding(self._settings, self._gpus[0].provider if self._gpus else None))
        if await self._row("Solana endpoint", self._endpoint):
            await self._row("clock", self._clock)
        await self._row("journal", self._journal)
        for store in self._settings.content.stores:
            self.findings.append(await self._store(store))
        for url in self._settings.content.gateways:
            self.findings.append(await self._reach(f"gateway {shown(url)}", "GET", url))
        if not self._settings.content.stores:
            self._add("content store", False, "none is set", "name one in content.stores")
        for lane in self._settings.lanes:
            await self._lane(lane)
        await self._row("agent", self._agent)

    def _add(self, name: str, ok: bool | None, seen: str, fix: str = "") -> None:
        self.findings.append(Finding(name, ok, seen, fix))

    async def _row(self, name: str, check: Callable[[], Awaitable[Finding]]) -> bool:
        """One row; an error raised on purpose is what was seen, its hint what to do."""
        try:
            found = await check()
        except GpunodeError as error:
            found = Finding(name, False, error.message, error.hint)
        self.findings.append(found)
        return found.ok is True

    # --- the host ---

    async def _engine(self) -> Finding:
        engine = DockerEngine(self._settings.engine.socket)
        try:
            info = await engine.info()
        finally:
            await engine.aclose()
        runtime = self._settings.engine.runtime
        known = ", ".join(info.runtimes)
        if runtime not in info.runtimes:
            return Finding("container engine", False, f"no runtime {runtime} (it has: {known})", "set engine.runtime")
        return Finding("container engine", True, f"version {info.version}, runtime {runtime}")

    async def _gpu(self) -> Finding:
        provider = await choose_provider(self._settings.gpu.provider, self._settings.cluster)
        try:
            found = await provider.inventory()
        finally:
            await provider.aclose()
        self._gpus = found
        names = ", ".join(gpu.name for gpu in found)
        if provider.name == "simulated":
            return Finding("GPU", True, f"{names} (simulated: no NVIDIA GPU here, and only a localnet accepts it)")
        return Finding("GPU", True, f"{names}, driver {found[0].driver}")

    async def _disk(self) -> Finding:
        folder = _existing(self._settings.locations.data)
        if not os.access(folder, os.W_OK | os.X_OK):
            return Finding("disk", False, f"{folder} cannot be written by this user", "chown it, or set paths.data")
        free = shutil.disk_usage(folder).free
        wanted = self._settings.limits.disk_free_bytes
        seen = f"{free / GIB:.1f} GiB free at {folder}, {wanted / GIB:.1f} GiB asked"
        return Finding("disk", free >= wanted, seen, "" if free >= wanted else "free some, or lower limits.disk_free")

    async def _journal(self) -> Finding:
        path = self._settings.locations.journal
        if not path.exists():
            return Finding("journal", True, "none yet")
        async with await JournalReader.open_readonly(path) as journal:
            kept = await journal.meta("genesis_hash")
        if kept is not None and self._genesis is not None and kept != self._genesis:
            return Finding(
                "journal",
                False,
                f"{path} belongs to another chain ({kept})",
                "use another data folder for this chain (paths.data)" + _kept_chain(self._settings.cluster),
            )
        return Finding("journal", True, str(path))

    async def _agent(self) -> Finding:
        try:
            async with ControlClient(self._settings.locations.control_socket) as client:
                status = await client.status()
        except NoAgent:
            return Finding("agent", None, "not running", "gpunode run")
        except ControlError as error:
            return Finding("agent", False, error.message, error.hint)
        lanes = ", ".join(f"{lane['lane']} {lane['phase']}" for lane in status["lanes"])
        for seen in status.get("health", []):
            if seen["state"] != "ok":
                whose = f" of {seen['lane']}" if seen["lane"] else ""
                ok = None if seen["state"] == "unknown" and not seen["hinders"] else False
                self._add(f"the agent's {seen['subject']}{whose}", ok, seen["reason"], seen["hint"] or "gpunode status")
        return Finding("agent", True, f"running (process {status['pid']}): {lanes}")

    async def _clock(self) -> Finding:
        chain = ChainClock(lambda: read_chain_clock(self._rpc), SystemClock())
        await chain.sync()
        skew = chain.skew or 0.0
        seen = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the chain's"
        if abs(skew) <= self._settings.health.clock_skew:
            return Finding("clock", True, seen)
        return Finding("clock", False, seen, "timedatectl set-ntp true; jobs are timed by the chain's clock meanwhile")

    # --- the network ---

    async def _endpoint(self) -> Finding:
        began = time.monotonic()
        try:
            genesis = await self._rpc.get_genesis_hash()
        except RpcUnavailable as error:
            localnet = self._settings.cluster == "localnet"
            fix = "gpunode localnet start (where it should run on this host), or correct rpc.urls"
            return Finding("Solana endpoint", False, error.message, fix if localnet else error.hint)
        took = time.monotonic() - began
        slot = await self._rpc.get_slot()
        served = next((known.name for known in (MAINNET, DEVNET) if known.genesis_hash == genesis), "localnet")
        if served != self._settings.cluster:
            seen = f"serves {served} (genesis {genesis}), not {self._settings.cluster}"
            return Finding("Solana endpoint", False, seen, "correct `cluster` or rpc.urls")
        self._genesis = genesis
        slow = took > SLOW_RPC
        return Finding(
            "Solana endpoint",
            True,
            f"{self._settings.cluster}, slot {slot}, {took * 1000:.0f} ms{' (slow)' if slow else ''}",
            "add a nearer endpoint to rpc.urls" if slow else "",
        )

    async def _store(self, store: StoreSettings) -> Finding:
        name = f"content store {shown(store.url)}"
        base = store.url.rstrip("/")
        try:
            token = bearer(read_token(store.jwt_file))
        except GpunodeError as error:
            return Finding(name, False, error.message, error.hint)
        if store.kind == "pinata":
            return await self._reach(name, "GET", f"{base}/data/testAuthentication", token)
        return await self._reach(name, "POST", f"{base}/api/v0/version", token)

    async def _reach(self, name: str, method: str, address: str, headers: Mapping[str, str] | None = None) -> Finding:
        """Whether something useful answers: any answer but a server's failure, since a gateway's root may be empty."""
        fix = "start it, or correct `content` in the settings"
        try:
            async with (
                httpx.AsyncClient(timeout=REACH_TIMEOUT, mounts=DIRECT) as client,
                client.stream(method, address, headers=headers) as response,
            ):
                # Only the status counts; the body may be of any size.
                pass
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Finding(name, False, f"does not answer: {str(error) or type(error).__name__}", fix)
        if headers is not None and response.status_code in (401, 403):
            return Finding(name, False, f"refuses the token (HTTP {response.status_code})", "correct its jwt_file")
        # A Kubo node answers POST only with success; another server's "not found" is no Kubo node.
        if response.status_code >= 500 or (method == "POST" and not response.is_success):
            return Finding(name, False, f"answers HTTP {response.status_code}", fix)
        return Finding(name, True, "answers")

    # --- a lane ---

    async def _lane(self, lane: LaneSettings) -> None:
        try:
            wallet = keyfile.read(lane.wallet.expanduser())
            kept = secrecy(wallet.encrypted, PassphraseSource(lane.name, lane.passphrase_file))
        except GpunodeError as error:
            self._add(f"wallet of {lane.name}", False, error.message, error.hint)
            return
        self._add(f"wallet of {lane.name}", True, f"{wallet.address}, mode 0600, {kept}")
        self._gpus_of(lane)
        if self._genesis is None:
            self._add(f"market of {lane.name}", None, "not looked at: the endpoint does not serve", "")
            return
        context = self._context(lane, wallet.address)
        market: list[Market] = []

        async def see_market() -> Finding:
            market.append(await context.ledger.market(Address(lane.market)))
            price = market[0].job_price * 3600 / funds.MICRO_NOS
            return Finding(f"market of {lane.name}", True, f"{price:g} NOS an hour, {_queue(market[0])}")

        if not await self._row(f"market of {lane.name}", see_market):
            return
        await self._row(f"SOL of {lane.name}", lambda: self._sol(lane, context, market[0]))
        await self._row(f"stake of {lane.name}", lambda: self._stake(lane, context, market[0]))
        await self._row(f"access key of {lane.name}", lambda: self._key(lane, context, market[0]))
        if lane.payout is not None:
            payout = Address(lane.payout)
            await self._row(f"payout of {lane.name}", lambda: self._payout(f"payout of {lane.name}", payout))

    def _gpus_of(self, lane: LaneSettings) -> None:
        if lane.gpus == "all" or self._gpus is None:
            return
        known = {gpu.uuid for gpu in self._gpus}
        missing = [uuid for uuid in lane.gpus if uuid not in known]
        name = f"GPUs of {lane.name}"
        if missing:
            self._add(
                name, False, f"not there: {', '.join(missing)}", "see gpunode gpus, and correct the lane's `gpus`"
            )
        else:
            self._add(name, True, f"{len(lane.gpus)} of {len(known)}")

    def _context(self, lane: LaneSettings, node: Address) -> MarketContext:
        # Reads only: the key behind this outbox is nobody's and its policy signs nothing.
        nobody = Wallet(Keypair()).signer(SpendingPolicy(self._cluster, {}))
        return MarketContext(
            cluster=self._cluster,
            rpc=self._rpc,
            outbox=Outbox(self._rpc, nobody, MemoryStore()),
            lane=lane.name,
            node=node,
            payout=None,
            stake=self._settings.stake,
            clock=SystemClock(),
        )

    async def _sol(self, lane: LaneSettings, context: MarketContext, market: Market) -> Finding:
        report = await funds.check(context, market)
        seen = f"{report.lamports / LAMPORTS_PER_SOL:.6f} SOL; needed {report.sum_of_needs()}"
        if report.missing:
            # Rounded up: whoever sends what is asked for must not be asked again.
            missing = math.ceil(report.missing / 1000) * 1000 / LAMPORTS_PER_SOL
            return Finding(f"SOL of {lane.name}", False, seen, f"send {missing:.6f} SOL to {context.node}")
        return Finding(f"SOL of {lane.name}", True, seen)

    async def _stake(self, lane: LaneSettings, context: MarketContext, market: Market) -> Finding:
        report = await funds.check(context, market)
        name = f"stake of {lane.name}"
        if report.stake is None and report.xnos_minimum == 0 and context.stake.create:
            return Finding(name, True, "none yet; `gpunode run` makes an empty one")
        if report.missing_xnos:
            seen = f"{report.xnos / funds.MICRO_NOS:.6f} xNOS of {report.xnos_minimum / funds.MICRO_NOS:.6f} asked"
            return Finding(name, False, seen, funds.raise_stake(report))
        if report.stake is None:
            return Finding(name, False, "none, and stake.create is off", "gpunode stake create")
        asked = f" of {report.xnos_minimum / funds.MICRO_NOS:g} asked" if report.xnos_minimum else ", none asked"
        return Finding(name, True, f"{report.xnos / funds.MICRO_NOS:g} xNOS{asked}")

    async def _key(self, lane: LaneSettings, context: MarketContext, market: Market) -> Finding:
        name = f"access key of {lane.name}"
        if not asks_key(market):
            return Finding(name, True, "none asked")
        try:
            token = await find_access_token(context, market)
        except AccessKeyMissing as error:
            return Finding(name, False, error.message, error.hint)
        return Finding(name, True, f"token account {token.account}")

    async def _payout(self, name: str, payout: Address) -> Finding:
        raw = await self._rpc.get_account(payout)
        if raw is None or raw.owner != self._cluster.token:
            return Finding(name, True, f"the NOS account of {payout}")
        account = decode_token_account(raw, self._cluster)
        if account.mint != self._cluster.nos_mint:
            seen = f"{payout} holds tokens of {account.mint}, not NOS"
            return Finding(name, False, seen, "name a NOS account or its owner as the lane's `payout`")
        return Finding(name, True, f"NOS account {payout}")


def _queue(market: Market) -> str:
    count, kind = len(market.queue), market.queue_type.name.lower().removesuffix("s")
    return "nobody in the queue" if not count else f"{count} {kind}{'' if count == 1 else 's'} in the queue"


def _kept_chain(cluster: str) -> str:
    """A localnet is another chain at each start, unless it is told to keep itself."""
    return ", or keep one chain: gpunode localnet start --state FILE" if cluster == "localnet" else ""


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder
