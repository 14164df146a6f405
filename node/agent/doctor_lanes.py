"""The doctor's rows on each lane: its key, GPUs, market, and what the wallet and the stake must hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from solders.keypair import Keypair

from node.agent.doctor_host import owner
from node.agent.finding import Finding
from node.agent.looks import Look, Once, aside, look_at_all
from node.chain import keyfile
from node.chain.clusters import Cluster
from node.chain.outbox import MemoryStore, Outbox
from node.chain.passphrase import PassphraseSource, secrecy
from node.chain.policy import SpendingPolicy
from node.chain.rpc import Rpc
from node.chain.token_accounts import decode_token_account
from node.chain.wallet import Wallet
from node.errors import AccessKeyMissing, WalletError
from node.market import funds
from node.market.access_key import asks_key, find_access_token
from node.market.context import MarketContext
from node.records import Address, Gpu, Market
from node.retry import SystemClock
from node.settings import LaneSettings, Settings

LAMPORTS_PER_SOL = 1_000_000_000
HOUR = 3600


@dataclass(frozen=True, slots=True)
class LaneRows:
    """Looks at one lane; changes nothing."""

    settings: Settings
    cluster: Cluster
    rpc: Rpc
    lane: LaneSettings
    genesis: Once[str]
    gpus: Once[tuple[Gpu, ...]]

    def looks(self) -> tuple[Look, ...]:
        """The lane's rows, in the order in which they are worth mending."""
        name = self.lane.name
        # Those on the chain share one look, because each of them needs what the one before has found.
        rows = [Look(f"wallet of {name}", self._wallet), Look(f"market of {name}", self._on_chain, within=60.0)]
        if self.lane.gpus != "all":
            rows.insert(1, Look(f"GPUs of {name}", self._gpus))
        return tuple(rows)

    async def _wallet(self) -> Finding:
        lane, (path, account) = self.lane, self.lane.key
        wallet = await aside(lambda: keyfile.read(path, account))
        kept = secrecy(wallet.encrypted, PassphraseSource(lane.name, lane.passphrase_file))
        whose = await aside(lambda: owner(path))
        return Finding(f"wallet of {lane.name}", True, f"{wallet.address}, mode 0600, of {whose}, {kept}")

    async def _gpus(self) -> Finding | Sequence[Finding]:
        known = await self.gpus.or_none()
        if known is None:
            return ()  # the row on GPUs says why
        uuids = {gpu.uuid for gpu in known}
        missing = [uuid for uuid in self.lane.gpus if uuid not in uuids]
        name = f"GPUs of {self.lane.name}"
        if missing:
            fix = "see gpunode gpus, and correct the lane's `gpus`"
            return Finding(name, False, f"not there: {', '.join(missing)}", fix)
        return Finding(name, True, f"{len(self.lane.gpus)} of {len(uuids)}")

    # --- what the chain shows ---

    async def _on_chain(self) -> Sequence[Finding]:
        lane = self.lane
        if await self.genesis.or_none() is None:
            return (Finding(f"market of {lane.name}", None, "not looked at: the endpoint does not serve", ""),)
        try:
            wallet = await aside(lambda: keyfile.read(*lane.key))
        except WalletError:
            return (Finding(f"market of {lane.name}", None, "not looked at: the wallet cannot be read", ""),)
        context = self._context(wallet.address)
        market = await context.ledger.market(Address(lane.market))
        report = Once(lambda: funds.check(context, market))

        async def sol() -> Finding:
            return self._sol(await report())

        async def account() -> Finding:
            return self._account(await report())

        async def stake() -> Finding:
            return self._stake(context, await report())

        async def key() -> Finding:
            return await self._key(context, market)

        async def payout() -> Finding:
            return await self._payout(Address(lane.payout or ""))

        looks = [
            Look(f"SOL of {lane.name}", sol),
            Look(f"NOS account of {lane.name}", account),
            Look(f"stake of {lane.name}", stake),
            Look(f"access key of {lane.name}", key),
            *([] if lane.payout is None else [Look(f"payout of {lane.name}", payout)]),
        ]
        return (*self._market(market), *await look_at_all(looks))

    def _market(self, market: Market) -> tuple[Finding, Finding]:
        price = market.job_price * HOUR / funds.MICRO_NOS
        asks = [
            f"a stake of {market.xnos_minimum / funds.MICRO_NOS:g} xNOS" if market.xnos_minimum else "",
            f"an access key of collection {market.access_key}" if asks_key(market) else "",
        ]
        asked = " and ".join(each for each in asks if each) or "neither stake nor access key"
        return (
            Finding(f"market of {self.lane.name}", True, f"{price:g} NOS an hour, {_queue(market)}"),
            Finding(
                f"market rules of {self.lane.name}",
                True,
                f"jobs are paid up to {market.job_timeout / HOUR:g} h; asks {asked}; says nothing of GPUs or memory",
            ),
        )

    def _context(self, node: Address) -> MarketContext:
        # Reads only: the key behind this outbox is nobody's and its policy signs nothing.
        nobody = Wallet(Keypair()).signer(SpendingPolicy(self.cluster, {}))
        return MarketContext(
            cluster=self.cluster,
            rpc=self.rpc,
            outbox=Outbox(self.rpc, nobody, MemoryStore()),
            lane=self.lane.name,
            node=node,
            payout=None,
            stake=self.settings.stake,
            clock=SystemClock(),
        )

    def _sol(self, report: funds.FundsReport) -> Finding:
        name = f"SOL of {self.lane.name}"
        seen = f"{report.lamports / LAMPORTS_PER_SOL:.6f} SOL; needed {report.sum_of_needs()}"
        if report.missing:
            # Rounded up: whoever sends what is asked for must not be asked again.
            missing = math.ceil(report.missing / 1000) * 1000 / LAMPORTS_PER_SOL
            return Finding(name, False, seen, f"send {missing:.6f} SOL to {report.node}")
        return Finding(name, True, seen)

    def _account(self, report: funds.FundsReport) -> Finding:
        name = f"NOS account of {self.lane.name}"
        if not report.token_account:
            return Finding(name, True, "none yet; `gpunode run` makes it, its rent is part of the SOL asked")
        return Finding(name, True, f"{report.nos / funds.MICRO_NOS:.6f} NOS")

    def _stake(self, context: MarketContext, report: funds.FundsReport) -> Finding:
        name = f"stake of {self.lane.name}"
        if report.stake is None and report.xnos_minimum == 0 and context.stake.create:
            return Finding(name, True, "none yet; `gpunode run` makes an empty one")
        if report.missing_xnos:
            seen = f"{report.xnos / funds.MICRO_NOS:.6f} xNOS of {report.xnos_minimum / funds.MICRO_NOS:.6f} asked"
            return Finding(name, False, seen, funds.raise_stake(report))
        if report.stake is None:
            return Finding(name, False, "none, and stake.create is off", "gpunode stake create")
        asked = f" of {report.xnos_minimum / funds.MICRO_NOS:g} asked" if report.xnos_minimum else ", none asked"
        return Finding(name, True, f"{report.xnos / funds.MICRO_NOS:g} xNOS{asked}")

    async def _key(self, context: MarketContext, market: Market) -> Finding:
        name = f"access key of {self.lane.name}"
        if not asks_key(market):
            return Finding(name, True, "none asked")
        try:
            token = await find_access_token(context, market)
        except AccessKeyMissing as error:
            return Finding(name, False, error.message, error.hint)
        return Finding(name, True, f"token account {token.account}")

    async def _payout(self, payout: Address) -> Finding:
        name = f"payout of {self.lane.name}"
        raw = await self.rpc.get_account(payout)
        if raw is None or raw.owner != self.cluster.token:
            return Finding(name, True, f"the NOS account of {payout}")
        account = decode_token_account(raw, self.cluster)
        if account.mint != self.cluster.nos_mint:
            seen = f"{payout} holds tokens of {account.mint}, not NOS"
            return Finding(name, False, seen, "name a NOS account or its owner as the lane's `payout`")
        return Finding(name, True, f"NOS account {payout}")


def _queue(market: Market) -> str:
    count, kind = len(market.queue), market.queue_type.name.lower().removesuffix("s")
    return "nobody in the queue" if not count else f"{count} {kind}{'' if count == 1 else 's'} in the queue"
