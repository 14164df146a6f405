"""What a poster wants from a market: post a job, look at it, extend it, stop it, get the deposit back.

Not here: uploading the definition (node/content), and waiting for or printing a result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from solders.instruction import Instruction
from solders.keypair import Keypair

from node.chain import accounts, addresses
from node.chain.filters import Memcmp
from node.chain.instructions import jobs, tokens
from node.chain.intents import Effect, Intent, Landed
from node.chain.rpc import Rpc
from node.errors import AccountMalformed, AccountMissing, FundsMissing, JobRefused, TransactionFailed
from node.market.context import MarketContext
from node.market.ledger import Ledger
from node.records import Address, Cid, Job, JobState, Market, QueueType, Run, Signature

MICRO_NOS = 1_000_000
LAMPORTS_PER_SOL = 1_000_000_000
FEE_ROOM = 50_000
"""Lamports kept for the fee of a post: three signatures, and something to be quicker where it is busy."""


class Phase(StrEnum):
    """A job as its poster sees it. The stored state alone does not tell waiting from running."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    """A node quit it (state 3): it waits to be claimed or recovered."""


@dataclass(frozen=True, slots=True)
class JobView:
    """A job, and the run that works on it, if any."""

    job: Job
    run: Run | None

    @property
    def phase(self) -> Phase:
        """Where the job is."""
        if self.job.state is JobState.DONE:
            return Phase.DONE
        if self.run is not None:
            return Phase.RUNNING
        return Phase.STOPPED if self.job.state is JobState.STOPPED else Phase.QUEUED


@dataclass(frozen=True, slots=True)
class Posted:
    """A job on its way."""

    job: Address
    run: Address
    """The run account it gets if a node was waiting."""
    signature: Signature
    deposit: int
    """Micro-NOS that went into the market's vault."""
    fee: int
    """Lamports."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a command did to a job: the instruction sent, its signature and fee in lamports."""

    job: Address
    did: str
    signature: Signature
    fee: int


class Poster:
    """Acts for one wallet, which is both payer and project of its jobs."""

    def __init__(self, context: MarketContext) -> None:
        self._context = context

    async def post(self, market: Market, definition: Cid, seconds: int) -> Posted:
        """List a job, paying price × `seconds` in advance.

        Raises FundsMissing, TransactionFailed and what reads raise.
        """
        context = self._context
        deposit = market.job_price * seconds
        opening = await self._funded(deposit)
        await self._require_lamports(market, token_account=not opening)
        job_key, run_key = Keypair(), Keypair()
        job, run = Address(str(job_key.pubkey())), Address(str(run_key.pubkey()))
        instruction = jobs.list_job(
            context.cluster,
            job=job,
            run=run,
            market=market.address,
            payer=context.node,
            authority=context.node,
            definition=definition,
            timeout=seconds,
        )

        async def listed(rpc: Rpc) -> bool:
            return await Ledger(context.cluster, rpc).job(job) is not None

        landed = await self._send("list", job, [*opening, instruction], listed, (job_key, run_key))
        return Posted(job, run, landed.signature, deposit, landed.fee)

    async def view(self, job: Address) -> JobView:
        """The job as it stands. Raises AccountMissing where there is none (any more)."""
        context = self._context
        try:
            found = await context.ledger.job(job)
        except AccountMalformed:
            raise AccountMissing(
                f"{job} is no job but an account of another kind", hint="name a job's address: gpunode job list"
            ) from None
        if found is None:
            raise AccountMissing(
                f"there is no job {job} on this cluster", hint="check the address; delisted and cleaned jobs are gone"
            )
        raw = await context.rpc.get_program_accounts(
            context.cluster.jobs,
            [Memcmp(0, accounts.RUN_DISCRIMINATOR), Memcmp(accounts.RUN_JOB_OFFSET, bytes(addresses.to_key(job)))],
        )
        runs = [accounts.decode_run(each, context.cluster) for each in raw]
        return JobView(found, min(runs, key=lambda run: run.time) if runs else None)

    async def list_own(self) -> tuple[Job, ...]:
        """All jobs of this wallet that are on the chain, newest first; those not started come first of all."""
        context = self._context
        raw = await context.rpc.get_program_accounts(
            context.cluster.jobs,
            [
                Memcmp(0, accounts.JOB_DISCRIMINATOR),
                Memcmp(accounts.JOB_PROJECT_OFFSET, bytes(addresses.to_key(context.node))),
            ],
        )
        found = [accounts.decode_job(each, context.cluster) for each in raw]
        return tuple(sorted(found, key=lambda job: (job.time_start == 0, job.time_start), reverse=True))

    async def extend(self, job: Address, seconds: int) -> tuple[Change, int]:
        """Add `seconds` to a job's timeout, paying for them in advance; also the new timeout."""
        context = self._context
        view = await self._own(job)
        if view.job.state is not JobState.QUEUED:
            raise JobRefused(f"job {job} is {view.phase}: it cannot be extended", hint=f"see `gpunode job get {job}`")
        timeout = view.job.timeout + seconds
        opening = await self._funded(view.job.price * seconds)
        instruction = jobs.extend_job(
            context.cluster,
            job=job,
            market=view.job.market,
            authority=context.node,
            payer=context.node,
            timeout=timeout,
        )

        async def extended(rpc: Rpc) -> bool:
            now = await Ledger(context.cluster, rpc).job(job)
            return now is not None and now.timeout >= timeout

        landed = await self._send("extend", job, [*opening, instruction], extended, key=f"extend:{job}:{timeout}")
        return Change(job, "extend", landed.signature, landed.fee), timeout

    async def stop(self, job: Address) -> Change:
        """Take a waiting job out of the queue (delist), or end a running one (end).

        A job that starts in between is ended instead.
        """
        view = await self._own(job)
        if view.phase is Phase.QUEUED:
            try:
                return await self._delist(view.job)
            except TransactionFailed as refused:
                if refused.error not in ("NotInMarketQueue", "MarketInWrongState"):
                    raise
            view = await self._own(job)
        if view.run is None:
            hint = "recover the deposit: gpunode job recover" if view.phase is Phase.STOPPED else ""
            raise JobRefused(f"job {job} is {view.phase}: there is nothing to stop", hint=hint)
        return await self._end(view.job, view.run)

    async def recover(self, job: Address) -> Change:
        """Get the deposit of a job that a node quit back; its account closes."""
        context = self._context
        view = await self._own(job)
        if view.job.state is not JobState.STOPPED:
            raise JobRefused(
                f"job {job} is {view.phase}: only a job that a node quit can be recovered",
                hint=f"see `gpunode job get {job}`",
            )
        opening = await self._funded(0)
        instruction = jobs.recover_job(
            context.cluster, job=job, market=view.job.market, payer=view.job.payer, authority=context.node
        )
        return await self._change("recover", job, [*opening, instruction], self._gone(job))

    async def clean(self, job: Address) -> Change:
        """Close a finished job's account once the market's time for it has passed; the rent goes to its payer."""
        context = self._context
        view = await self.view(job)
        if view.job.state is not JobState.DONE:
            raise JobRefused(f"job {job} is {view.phase}: only a finished job can be cleaned")
        instruction = jobs.clean_job(context.cluster, job=job, market=view.job.market, payer=view.job.payer)
        return await self._change("clean", job, [instruction], self._gone(job))

    async def _delist(self, job: Job) -> Change:
        context = self._context
        opening = await self._funded(0)
        instruction = jobs.delist_job(
            context.cluster, job=job.address, market=job.market, payer=job.payer, authority=context.node
        )
        return await self._change("delist", job.address, [*opening, instruction], self._gone(job.address))

    async def _end(self, job: Job, run: Run) -> Change:
        context = self._context
        opening = await self._funded(0)
        if await context.rpc.get_account(addresses.token_account(context.cluster, run.node)) is None:
            # `end` pays the node's own account and fails without it.
            opening.append(tokens.create_token_account(context.cluster, payer=context.node, owner=run.node))
        instruction = jobs.end_job(
            context.cluster,
            job=job.address,
            market=job.market,
            run=run.address,
            payer_job=job.payer,
            payer_run=run.payer,
            node=run.node,
            authority=context.node,
        )

        async def ended(rpc: Rpc) -> bool:
            return await Ledger(context.cluster, rpc).run(run.address) is None

        return await self._change("end", job.address, [*opening, instruction], ended)

    async def _own(self, job: Address) -> JobView:
        view = await self.view(job)
        if view.job.project != self._context.node:
            raise JobRefused(
                f"job {job} belongs to {view.job.project}, not to wallet {self._context.node}",
                hint="name the poster's key file with --wallet",
            )
        return view

    async def _funded(self, deposit: int) -> list[Instruction]:
        """Instructions that make the NOS account exist, which the programs load even where nothing is paid.

        Raises FundsMissing when it holds less than `deposit` micro-NOS.
        """
        context = self._context
        account = addresses.token_account(context.cluster, context.node)
        held = await context.rpc.get_account(account)
        amount = 0 if held is None else await context.rpc.get_token_amount(account)
        if amount < deposit:
            raise FundsMissing(
                f"wallet {context.node} holds {amount / MICRO_NOS:.6f} NOS and lacks "
                f"{(deposit - amount) / MICRO_NOS:.6f} NOS",
                hint=f"the deposit is price x time = {deposit / MICRO_NOS:.6f} NOS: send it NOS, or ask for less time",
            )
        if held is not None:
            return []
        return [tokens.create_token_account(context.cluster, payer=context.node, owner=context.node)]

    async def _require_lamports(self, market: Market, *, token_account: bool) -> None:
        """Raise FundsMissing, with the sum of what is needed, unless the wallet can pay for a post."""
        rpc = self._context.rpc
        needs = [("job account", await rpc.get_minimum_rent(accounts.JOB_SIZE))]
        if market.queue_type is QueueType.NODES:
            needs.append(("run account", await rpc.get_minimum_rent(accounts.RUN_SIZE)))
        if not token_account:
            needs.append(("NOS token account", await rpc.get_minimum_rent(accounts.TOKEN_ACCOUNT_SIZE)))
        needs.append(("fees and least balance", FEE_ROOM + await rpc.get_minimum_rent(0)))
        needed, held = sum(lamports for _, lamports in needs), await rpc.get_balance(self._context.node)
        if held < needed:
            parts = " + ".join(f"{lamports / LAMPORTS_PER_SOL:.6f} {name}" for name, lamports in needs)
            raise FundsMissing(
                f"wallet {self._context.node} holds {held / LAMPORTS_PER_SOL:.6f} SOL and lacks "
                f"{math.ceil((needed - held) / 1000) / 1_000_000:.6f} SOL",
                hint=f"send it SOL; needed: {needed / LAMPORTS_PER_SOL:.6f} SOL = {parts}",
            )

    def _gone(self, job: Address) -> Effect:
        async def gone(rpc: Rpc) -> bool:
            return await Ledger(self._context.cluster, rpc).job(job) is None

        return gone

    async def _change(self, kind: str, job: Address, instructions: Sequence[Instruction], effect: Effect) -> Change:
        landed = await self._send(kind, job, instructions, effect)
        return Change(job, kind, landed.signature, landed.fee)

    async def _send(
        self,
        kind: str,
        job: Address,
        instructions: Sequence[Instruction],
        effect: Effect,
        extra_signers: tuple[Keypair, ...] = (),
        key: str | None = None,
    ) -> Landed:
        context = self._context
        return await context.outbox.send(
            Intent(
                key=key or f"{kind}:{job}",
                lane=context.lane,
                kind=kind,
                instructions=tuple(instructions),
                extra_signers=extra_signers,
                effect=effect,
            )
        )
