"""A lane with its own key, spending policy, outbox and desk, out of settings and what all lanes share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

from node import __version__
from node.agent.bundle import BundleMaker, sign_with
from node.agent.bundle_sources import Network
from node.agent.counter import MarketCounter
from node.agent.earning_board import EarningBoard
from node.agent.earnings.floor import BreakEvenFloor, Worth, always_worth
from node.agent.earnings.prices import PriceBook
from node.agent.earnings.sol_watch import SolWatch
from node.agent.health.board import LaneHealth
from node.agent.isolation import GpuRuntimes
from node.agent.lane import Lane, LaneServices
from node.agent.logistics import Logistics, endpoints_here
from node.agent.papers import Papers, host_card
from node.agent.pipeline import JobServices
from node.agent.premises import Host
from node.agent.readiness import LaneCheck, LaneGpus
from node.agent.receipt_chain import newest_receipt
from node.agent.registrar import Registrar
from node.agent.reopening import Undone, reopening
from node.agent.stages.admit import Readiness
from node.agent.work_room import WorkRoom
from node.agent.work_shift import WorkShift
from node.agent.workshop import Workshop
from node.chain.derivation import Seed
from node.chain.fees import FeePolicy
from node.chain.outbox import Outbox
from node.chain.passphrase import PassphraseSource
from node.chain.policy import NODE_KINDS, SpendingPolicy
from node.chain.upkeep import nobody_told
from node.chain.wallet import Signer, Wallet
from node.errors import WalletError
from node.market.context import MarketContext
from node.market.effects import effect_of_row
from node.market.lane_view import LaneView, read_view
from node.market.work_anchor import WorkAnchorage
from node.proof.memo import work_memo
from node.records import Address
from node.settings import LaneSettings, Settings

DAY = 86_400.0


def open_wallet(lane: LaneSettings, opened: dict[Path, Seed] | None = None) -> Wallet:
    """The lane's key, opened; `opened` as in `Wallet.load`. Raises WalletError."""
    path, account = lane.key
    return Wallet.load(path, PassphraseSource(lane.name, lane.passphrase_file), account, opened)


def open_wallets(settings: Settings) -> tuple[dict[str, Wallet], dict[str, WalletError]]:
    """The keys by the lanes' names, and what is wrong with those that cannot be opened: their lanes stay out, the
    others serve. Raises WalletError where none can be, or where two lanes have the same key in different files."""
    wallets: dict[str, Wallet] = {}
    troubles: dict[str, WalletError] = {}
    opened: dict[Path, Seed] = {}
    for lane in settings.lanes:
        try:
            wallets[lane.name] = open_wallet(lane, opened)
        except WalletError as error:
            troubles[lane.name] = error
    if not wallets:
        raise next(iter(troubles.values()))
    owners: dict[Address, str] = {}
    for name, wallet in wallets.items():
        other = owners.setdefault(wallet.address, name)
        if other != name:
            raise WalletError(
                f"lanes {other} and {name} have the same key, {wallet.address}",
                hint="Give each lane a key of its own: gpunode wallet new FILE, or another `account` of a seed.",
            )
    return wallets, troubles


def make_lane(host: Host, lane: LaneSettings, wallet: Wallet, workshop: Workshop, work: WorkRoom) -> Lane:
    """A lane with its own key, spending policy, outbox and desk."""
    settings = host.settings
    market = Address(lane.market)
    signer = lane_signer(host, lane, wallet)
    reopened = asyncio.Event()
    context = lane_context(host, lane, signer, reopening(host.journal, reopened))
    registrar = lane_registrar(host, signer)
    gpus = LaneGpus(host.monitor, lane.gpus)
    hygiene = host.hygiene[lane.name]
    runtimes = GpuRuntimes(host.engine)
    jobs = JobServices(
        market=MarketCounter(context, market, host.subscriptions, registrar, reopened),
        journal=host.journal,
        fetcher=host.library,
        publisher=host.library,
        drawer=host.drawer,
        desk=Papers(settings, lane.name, host.cluster, signer, workshop.domain),
        definitions=workshop.definitions,
        tools=workshop.tools,
        meters=host.gpus,
        readiness=Readiness(
            settings.locations.data,
            settings.limits.disk_free_bytes,
            host.space.reserve,
            gpus.current,
            runtimes.refusal,
            host.origins.trouble,
            _floor(host, lane),
        ),
        samples=settings.locations.data / "samples",
        clock=host.clock,
        chain=host.health.chain,
        hygiene=hygiene,
        live=workshop.live,
        logistics=Logistics(
            signer.sign_document, host.clock, endpoints_here(host.cluster.name), settings.service.tunnel != "off"
        ),
        newest_receipt=partial(newest_receipt, host.rpc),
    )
    check = LaneCheck(host.fitness, settings.engine.runtime, gpus, runtimes)
    health = LaneHealth(host.health.board, lane.name)
    shift = WorkShift(lane.name, signer.address, work, WorkAnchorage(context, work_memo), hygiene.users, host.clock)
    work.shifts[lane.name] = shift
    services = LaneServices(
        jobs=jobs,
        check=check.run,
        gpus=gpus.current,
        health=health,
        fence=host.guard.ensure,
        shift=shift.run,
    )
    return Lane(lane.name, market, services)


def _floor(host: Host, lane: LaneSettings) -> Worth:
    """What keeps jobs away that do not pay for their power."""
    settings = host.settings
    if settings.policy.price_floor != "break-even":
        return always_worth
    prices = PriceBook(settings.earnings, settings.locations.data, host.clock.time)
    return BreakEvenFloor(lane.name, settings.earnings, prices, host.journal, host.clock).worth


def sol_watch(host: Host, wallets: Mapping[str, Wallet]) -> SolWatch:
    """What warns that a wallet's SOL runs out."""
    addresses = {name: wallet.address for name, wallet in wallets.items()}
    return SolWatch(addresses, host.rpc.get_balance, host.journal, host.clock, host.settings.earnings.sol_days)


def earning_board(host: Host, wallets: Mapping[str, Wallet]) -> EarningBoard:
    """What tells of each lane whether it earns, by the chain."""

    def look(lane: LaneSettings) -> Callable[[], Awaitable[LaneView]]:
        context = lane_context(host, lane, lane_signer(host, lane, wallets[lane.name]))
        return lambda: read_view(context, Address(lane.market))

    return EarningBoard({lane.name: look(lane) for lane in host.settings.lanes}, host.journal, host.clock.time)


def lane_context(host: Host, lane: LaneSettings, signer: Signer, undone: Undone = nobody_told) -> MarketContext:
    """What a lane's dealings with the market work with."""
    return MarketContext(
        cluster=host.cluster,
        rpc=host.rpc,
        outbox=_outbox(host, signer, undone),
        lane=lane.name,
        node=signer.address,
        payout=None if lane.payout is None else Address(lane.payout),
        stake=host.settings.stake,
        clock=host.clock,
        gathering=host.gathering,
        reopen_above=round(host.settings.fees.reopen_above * 1_000_000),
    )


def lane_registrar(host: Host, signer: Signer) -> Registrar:
    """What registers the lane's key as this host."""
    return Registrar(
        facts=host.facts,
        host=host.settings.host,
        version=__version__,
        publisher=host.library,
        journal=host.journal,
        make_card=lambda facts, gpus: host_card(signer, facts, gpus),
    )


def lane_signer(host: Host, lane: LaneSettings, wallet: Wallet) -> Signer:
    """The lane's signer, within its spending policy."""

    async def spent() -> int:
        return await host.journal.outbox.spent_since(lane.name, host.clock.time() - DAY)

    daily = round(host.settings.fees.daily_sol * 1_000_000_000)
    payout = None if lane.payout is None else Address(lane.payout)
    return wallet.signer(SpendingPolicy(host.cluster, NODE_KINDS, daily, spent, payout))


def lane_bundles(host: Host, wallets: Mapping[str, Wallet]) -> BundleMaker:
    """What makes bundles, signed with the lanes' keys."""
    signers = {each.address: each.signer(SpendingPolicy(host.cluster, {})) for each in wallets.values()}
    keys = {address: signer.sign_document for address, signer in signers.items()}
    return BundleMaker(
        host.settings, host.journal, partial(sign_with, keys), Network(host.rpc, host.library), host.clock.time
    )


def _outbox(host: Host, signer: Signer, undone: Undone) -> Outbox:
    fees = host.settings.fees
    return Outbox(
        host.rpc,
        signer,
        host.journal.outbox,
        FeePolicy(floor=fees.floor, cap=fees.cap, percentile=fees.percentile),
        host.clock,
        effects=effect_of_row(host.cluster),
        book=host.journal.outbox.book,
        undone=undone,
    )
