"""Reads of the market programs' accounts, decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from node.chain import accounts
from node.chain.accounts import RawAccount
from node.chain.clusters import Cluster
from node.chain.filters import Memcmp
from node.chain.gathering import Gathering
from node.chain.replies import Seen
from node.chain.rpc import Rpc
from node.errors import AccountMissing
from node.records import Address, Job, Market, Run


@dataclass(frozen=True, slots=True)
class Ledger:
    """The accounts of the jobs, nodes and staking programs, as records."""

    cluster: Cluster
    rpc: Rpc
    gathering: Gathering | None = None
    """Puts the reads of markets, and of a job with its run, together with those of others."""

    async def market(self, address: Address, *, min_context_slot: int | None = None) -> Market:
        """The market at an address. Raises AccountMissing, or AccountMalformed for an account of another kind."""
        return (await self.seen_market(address, min_context_slot=min_context_slot)).value

    async def seen_market(self, address: Address, *, min_context_slot: int | None = None) -> Seen[Market]:
        """As `market`, with the slot of the view."""
        (raw,) = await self._accounts([address], min_context_slot)
        if raw is None:
            raise AccountMissing(
                f"there is no market {address} on this cluster",
                hint="list the markets with `gpunode market list`, and check `cluster` and `rpc.urls` in the settings",
            )
        return Seen(accounts.decode_market(raw, self.cluster), raw.slot)

    async def markets(self) -> tuple[Market, ...]:
        """All markets of the jobs program."""
        found = await self.rpc.get_program_accounts(self.cluster.jobs, [Memcmp(0, accounts.MARKET_DISCRIMINATOR)])
        return tuple(accounts.decode_market(raw, self.cluster) for raw in found)

    async def job(self, address: Address, *, min_context_slot: int | None = None) -> Job | None:
        """The job at an address, None where its account is closed."""
        raw = await self.rpc.get_account(address, min_context_slot=min_context_slot)
        if raw is None or raw.owner != self.cluster.jobs:
            # A closed account may live on for a moment, or for good, as an empty one of the system program.
            return None
        return accounts.decode_job(raw, self.cluster)

    async def run(self, address: Address, *, min_context_slot: int | None = None) -> Run | None:
        """The run at an address, None where it is closed."""
        raw = await self.rpc.get_account(address, min_context_slot=min_context_slot)
        if raw is None or raw.owner != self.cluster.jobs:
            return None
        return accounts.decode_run(raw, self.cluster)

    async def job_and_run(
        self, job: Address, run: Address, *, min_context_slot: int | None = None
    ) -> tuple[Job | None, Run | None]:
        """Both in one view, so that one cannot be older than the other; None where an account is closed."""
        job_raw, run_raw = await self._accounts([job, run], min_context_slot)
        owner = self.cluster.jobs
        return (
            None if job_raw is None or job_raw.owner != owner else accounts.decode_job(job_raw, self.cluster),
            None if run_raw is None or run_raw.owner != owner else accounts.decode_run(run_raw, self.cluster),
        )

    async def _accounts(self, addresses: Sequence[Address], least: int | None) -> tuple[RawAccount | None, ...]:
        if self.gathering is None:
            return await self.rpc.get_accounts(addresses, min_context_slot=least)
        return (await self.gathering.accounts(addresses, least)).value
