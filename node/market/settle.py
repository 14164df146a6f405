"""Getting a job's outcome on-chain, exactly once.

The chain is looked at before anything is sent, because what is possible depends on it alone: a run there means
`finish`; a job that its poster ended and that has no result yet means `complete`; everything else is recorded for
what it is. `finish` has no deadline on chain.
"""

from __future__ import annotations

from dataclasses import dataclass

from solders.instruction import Instruction

from node.chain import addresses
from node.chain.instructions import jobs, tokens
from node.chain.memo import memo
from node.chain.outbox import Landed
from node.errors import LaneDegraded, TransactionFailed
from node.market.context import MarketContext
from node.market.payment import paid_by, settling_signature
from node.records import Address, Assignment, Cid, Job, JobState, Run, SettleKind, Settlement


@dataclass(frozen=True, slots=True)
class Sight:
    """Job and run as the chain has them at one moment; None where the account is closed."""

    job: Job | None
    run: Run | None


@dataclass(frozen=True, slots=True)
class Settler:
    """Settles the jobs of one lane."""

    context: MarketContext

    async def settle(self, assignment: Assignment, result: Cid, anchor: str | None) -> Settlement:
        """Store `result` for the assignment's job and, where the run is still there, be paid.

        `anchor` is a memo that goes into the same transaction. Raises LaneDegraded when no known account order of
        `finish` simulates, RpcUnavailable when the chain cannot be reached; both leave everything as it was.
        """
        sight = await self._look(assignment)
        if sight.job is None:
            return self._lost(assignment, "the job's account is closed (cleaned)")
        if sight.job.result_cid == result:
            return await self._found(assignment, result)
        if sight.job.result_cid is not None:
            return self._lost(assignment, f"another result is on chain: {sight.job.result_cid}")
        if sight.run is not None:
            return await self._finish(assignment, sight.job, sight.run, result, anchor)
        if sight.job.state is JobState.DONE:
            return await self._complete(assignment, sight.job, result, anchor)
        if sight.job.state is JobState.STOPPED:
            return self._lost(assignment, "the run is gone and the job is stopped (state 3): it was quit")
        return self._lost(assignment, "the run is gone and the job waits again: the market's administrator took it")

    async def quit(self, assignment: Assignment, reason: str) -> Settlement:
        """Give the job back unpaid. A run that is gone already is no error: somebody else ended it."""
        sight = await self._look(assignment)
        if sight.run is None:
            return await self._gone(assignment, sight.job, reason)
        run = sight.run
        landed = await self._send(
            assignment,
            "quit",
            [
                jobs.quit_run(
                    self.context.cluster,
                    job=assignment.job.address,
                    run=run.address,
                    payer_run=run.payer,
                    authority=self.context.node,
                )
            ],
        )
        return Settlement(
            job=assignment.job.address,
            kind=SettleKind.QUIT,
            signature=landed.signature,
            slot=landed.slot,
            pay=0,
            payout=None,
            reason=reason,
            fee=landed.fee,
        )

    async def _gone(self, assignment: Assignment, job: Job | None, reason: str) -> Settlement:
        """The run that was to be quit is closed: by a `quit` of ours that landed unseen, or by somebody else."""
        if job is None or job.state is not JobState.STOPPED:
            return self._lost(assignment, f"{reason}; the run was gone already")
        # Only the run's own node can bring its job into state 3 (Nosana jobs program, `quit`).
        return Settlement(
            job=assignment.job.address,
            kind=SettleKind.QUIT,
            signature=await settling_signature(self.context, assignment.run.address),
            slot=None,
            pay=0,
            payout=None,
            reason=reason,
        )

    async def _look(self, assignment: Assignment) -> Sight:
        ledger = self.context.ledger
        job = await ledger.job(assignment.job.address, min_context_slot=assignment.slot)
        run = await ledger.run(assignment.run.address, min_context_slot=assignment.slot)
        if run is not None and run.node != self.context.node:
            run = None
        return Sight(job, run)

    async def _finish(self, assignment: Assignment, job: Job, run: Run, result: Cid, anchor: str | None) -> Settlement:
        context = self.context
        user, opening = await self._payout_account()
        if job.price > 0:
            opening += await self._deposit_account(job)
        deposit = None if job.price > 0 else addresses.market_vault(context.cluster, job.market)
        orders = (
            jobs.finish(
                context.cluster,
                job=job.address,
                run=run.address,
                market=job.market,
                payer_run=run.payer,
                payer_job=job.payer,
                authority=context.node,
                user=user,
                result=result,
                deposit=deposit,
            ),
            jobs.finish_older(
                context.cluster,
                job=job.address,
                run=run.address,
                market=job.market,
                payer_run=run.payer,
                payer_job=job.payer,
                project=job.project,
                authority=context.node,
                user=user,
                result=result,
                deposit=deposit,
            ),
        )

        refusals = []
        for order in orders:
            try:
                landed = await self._send(assignment, "finish", [*opening, order, *_memo(anchor, context)])
            except TransactionFailed as refused:
                refusals.append(refused.error)
                continue
            return await self._paid(assignment, SettleKind.FINISH, landed, user)
        sight = await self._look(assignment)
        if sight.run is None:
            # The poster or an administrator was faster than our transaction: look again, settle what is there.
            return await self.settle(assignment, result, anchor)
        raise LaneDegraded(
            f"no known account order of finish is accepted for job {job.address}: {', '.join(refusals)}",
            hint="the market's program may have changed: upgrade gpunode; the result is kept and settling goes on",
        )

    async def _complete(self, assignment: Assignment, job: Job, result: Cid, anchor: str | None) -> Settlement:
        context = self.context

        instruction = jobs.complete(context.cluster, job=job.address, authority=context.node, result=result)
        try:
            landed = await self._send(assignment, "complete", [instruction, *_memo(anchor, context)])
        except TransactionFailed:
            sight = await self._look(assignment)
            if sight.job is None or sight.job.result_cid is not None:
                return await self.settle(assignment, result, anchor)
            raise
        # The poster's `end` moved the tokens; our own transaction moves none.
        ended = await settling_signature(context, assignment.run.address)
        user = addresses.token_account(context.cluster, context.node)
        pay = 0 if ended is None else await paid_by(context, ended, user)
        return Settlement(
            job=job.address,
            kind=SettleKind.COMPLETE,
            signature=landed.signature,
            slot=landed.slot,
            pay=pay,
            payout=user,
            reason="the poster ended the job",
            fee=landed.fee,
        )

    async def _found(self, assignment: Assignment, result: Cid) -> Settlement:
        """Our result is there: a transaction of ours landed unseen. Its figures are read from the chain."""
        context = self.context
        signature = await settling_signature(context, assignment.run.address)
        user, _ = await self._payout_account()
        pay = 0 if signature is None else await paid_by(context, signature, user)
        return Settlement(
            job=assignment.job.address,
            kind=SettleKind.ALREADY,
            signature=signature,
            slot=None,
            pay=pay,
            payout=user,
            reason=f"result {result} was on chain already",
        )

    async def _paid(self, assignment: Assignment, kind: SettleKind, landed: Landed, user: Address) -> Settlement:
        pay = await paid_by(self.context, landed.signature, user)
        return Settlement(
            job=assignment.job.address,
            kind=kind,
            signature=landed.signature,
            slot=landed.slot,
            pay=pay,
            payout=user,
            fee=landed.fee,
        )

    def _lost(self, assignment: Assignment, reason: str) -> Settlement:
        return Settlement(
            job=assignment.job.address,
            kind=SettleKind.LOST,
            signature=None,
            slot=None,
            pay=0,
            payout=None,
            reason=reason,
        )

    async def _payout_account(self) -> tuple[Address, list[Instruction]]:
        """The token account to be paid and, where it is missing, the instruction that creates it."""
        context = self.context
        owner = context.payout or context.node
        if context.payout is not None:
            named = await context.rpc.get_account(owner)
            if named is not None and named.owner == context.cluster.token:
                # The setting names a token account itself; only its mint matters to `finish`.
                return owner, []
        account = addresses.token_account(context.cluster, owner)
        if await context.rpc.get_account(account) is not None:
            return account, []
        return account, [tokens.create_token_account(context.cluster, payer=context.node, owner=owner)]

    async def _deposit_account(self, job: Job) -> list[Instruction]:
        """Creation of the payer's NOS account, which a paid `finish` cannot do without, where it is missing."""
        context = self.context
        account = addresses.token_account(context.cluster, job.payer)
        if await context.rpc.get_account(account) is not None:
            return []
        return [tokens.create_token_account(context.cluster, payer=context.node, owner=job.payer)]

    async def _send(self, assignment: Assignment, kind: str, instructions: list[Instruction]) -> Landed:
        return await self.context.send(f"{kind}:{assignment.run.address}", kind, instructions)


def _memo(text: str | None, context: MarketContext) -> list[Instruction]:
    return [] if text is None else [memo(context.node, text)]
