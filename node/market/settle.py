"""Getting a job's outcome on-chain, exactly once.

The chain is looked at before anything is sent, because what is possible depends on it alone: a run there means
`finish`; a job that its poster ended and that has no result yet means `complete`; everything else is recorded for
what it is. `finish` has no deadline on chain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from solders.instruction import Instruction

from node.chain import addresses
from node.chain.codec import instruction_discriminator
from node.chain.instructions import jobs, tokens
from node.chain.memo import memo
from node.chain.outbox import Landed
from node.errors import LaneDegraded, MarketError, RpcUnavailable, TransactionFailed
from node.market import payment
from node.market.context import MarketContext
from node.market.payment import Pay
from node.records import Address, Assignment, Cid, Job, JobState, OutboxRow, Run, SettleKind, Settlement

PENNILESS = frozenset(
    {"AccountNotFound", "InsufficientFundsForFee", "InsufficientFundsForRent", "ResultWithNegativeLamports"}
)
"""Refusals that say nothing of the accounts given: the wallet cannot pay for the transaction."""
SETTLES = frozenset({"finish", "complete", "quit"})
"""Kinds of transaction that end a run."""
_COMPLETE = instruction_discriminator("complete")


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
        sight = await self._look(assignment, self.context)
        if (reason := self._loss(sight, result)) is not None:
            return await self._lost(assignment, reason, lambda seen: self._loss(seen, result) is not None)
        assert sight.job is not None, "a job that is gone is a loss"
        if sight.job.result_cid == result:
            return await self._found(assignment, sight.job, result)
        if sight.run is not None:
            return await self._finish(assignment, sight.job, sight.run, result, anchor)
        return await self._complete(assignment, sight.job, result, anchor)

    def _loss(self, sight: Sight, result: Cid) -> str | None:
        """Why the result cannot get on-chain any more; None: it can, or is there."""
        job = sight.job
        if job is None:
            return "the job's account is closed (cleaned)"
        if job.result_cid is not None:
            if job.result_cid == result:
                return None
            # Forks can give a job to two runs of one node, one after the other; it is paid once.
            whose = "the result of another run of this node" if job.node == self.context.node else "another result"
            return f"{whose} is on chain: {job.result_cid}"
        if sight.run is not None:
            return None
        if job.state is JobState.DONE:
            return None if job.node == self.context.node else f"the job was ended as one of node {job.node}"
        if job.state is JobState.STOPPED:
            return "the run is gone and the job is stopped (state 3): it was quit"
        return "the run is gone and the job waits again: the market's administrator took it"

    async def is_gone(self, assignment: Assignment) -> bool:
        """Whether the chain has finalized that the run is over. Raises ChainError where that cannot be told."""
        return (await self._look(assignment, self._final)).run is None

    async def quit(self, assignment: Assignment, reason: str) -> Settlement:
        """Give the job back unpaid. A run that is gone already is no error: somebody else ended it."""
        sight = await self._look(assignment, self.context)
        if sight.run is None:
            return await self._gone(assignment, sight.job, reason)
        return await self._quit(assignment, sight.run, reason)

    async def _quit(self, assignment: Assignment, run: Run, reason: str) -> Settlement:
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
            return await self._lost(assignment, f"{reason}; the run was gone already", lambda seen: seen.run is None)
        await self._sure(assignment, ("quit",), lambda seen: seen.run is None)
        # Only the run's own node can bring its job into state 3 (Nosana jobs program, `quit`).
        landed = await payment.find(self.context, assignment.run.address, assignment.job.address, "quit")
        return Settlement(
            job=assignment.job.address,
            kind=SettleKind.QUIT,
            signature=None if landed is None else landed.signature,
            slot=None if landed is None else landed.slot,
            pay=0,
            payout=None,
            reason=reason,
        )

    async def _look(self, assignment: Assignment, context: MarketContext) -> Sight:
        """Job and run in one view: of two, the first could be from before an `end` and the second from after it."""
        job, run = await context.ledger.job_and_run(
            assignment.job.address, assignment.run.address, min_context_slot=assignment.slot
        )
        return Sight(job, None if run is None or run.node != context.node else run)

    async def _finish(self, assignment: Assignment, job: Job, run: Run, result: Cid, anchor: str | None) -> Settlement:
        context = self.context
        user, opening = await self._payout_account(assignment)
        if job.price > 0 and await self._deposit_is_missing(context, job):
            if (reason := await self._not_worth_reopening(assignment, job, run)) is not None:
                return await self._quit(assignment, run, reason)
            opening += [tokens.create_token_account(context.cluster, payer=context.node, owner=job.payer)]
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
                if refused.error in PENNILESS:
                    raise LaneDegraded(
                        f"the wallet cannot pay for settling job {job.address}: {refused.error}",
                        hint=f"send SOL to {context.node}; the result is kept and settling goes on",
                    ) from refused
                refusals.append(refused.error)
                continue
            return await self._paid(assignment, landed, user)
        sight = await self._look(assignment, context)
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
            sight = await self._look(assignment, context)
            if sight.job is None or sight.job.result_cid is not None:
                return await self.settle(assignment, result, anchor)
            raise
        pay, user, rent = await self._paid_by_end(assignment, job)
        return Settlement(
            job=job.address,
            kind=SettleKind.COMPLETE,
            signature=landed.signature,
            slot=landed.slot,
            pay=pay.amount,
            payout=user,
            reason=_joined("the poster ended the job", pay.note),
            fee=landed.fee,
            source=pay.source,
            returned=rent,
        )

    async def _paid_by_end(self, assignment: Assignment, job: Job) -> tuple[Pay, Address, int]:
        """The poster's `end` moved the tokens, and always to the node's own account; `complete` moves none. With
        it, the rent of the run came back to whoever had paid it: lamports, if that was this node."""
        context = self.context
        user = addresses.token_account(context.cluster, context.node)
        ours = assignment.run.payer == context.node
        if job.price == 0 and not ours:
            return Pay(0), user, 0
        ended = await payment.find(context, assignment.run.address, job.address, "end")
        rent = payment.returned(ended, context.node) if ours else 0
        return (Pay(0) if job.price == 0 else payment.paid(ended, job, user)), user, rent

    async def _sure(self, assignment: Assignment, kinds: tuple[str, ...], still: Callable[[Sight], bool]) -> None:
        """What was found done holds if the outbox watches over it, or the chain has finalized it: otherwise nobody
        would notice that a fork undid it. Raises RpcUnavailable until one of them is so."""
        for kind in kinds:
            if await self.context.outbox.knows(_key(kind, assignment)):
                return
        if not still(await self._look(assignment, self._final)):
            raise RpcUnavailable("what the chain shows of the job is not final yet", hint="it is looked at again")

    async def _found(self, assignment: Assignment, job: Job, result: Cid) -> Settlement:
        """Our result is there: a transaction of ours landed unseen. Its figures are read from the chain."""
        context = self.context
        await self._sure(
            assignment, ("finish", "complete"), lambda seen: seen.job is None or seen.job.result_cid == result
        )
        user, _ = await self._payout_account(assignment)
        rent = 0
        ours = await payment.find(context, job.address, job.address, "finish", "complete")
        if ours is not None and any(each.data[:8] == _COMPLETE for each in ours.instructions):
            pay, user, rent = await self._paid_by_end(assignment, job)
        else:
            pay = payment.paid(ours, job, user)
        return Settlement(
            job=job.address,
            kind=SettleKind.ALREADY,
            signature=None if ours is None else ours.signature,
            slot=None if ours is None else ours.slot,
            pay=pay.amount,
            payout=user,
            reason=_joined(f"result {job.result_cid} was on chain already", pay.note),
            fee=0 if ours is None else ours.fee,
            source=pay.source,
            returned=rent,
        )

    async def _paid(self, assignment: Assignment, landed: Landed, user: Address) -> Settlement:
        context, job = self.context, assignment.job.address
        record = await payment.record_of(context, landed.signature)
        if record is None or record.failure is not None:
            # Known by its effect alone, another of its signatures may be the one that landed.
            record = await payment.find(context, job, job, "finish")
        now = await context.ledger.job(job, min_context_slot=landed.slot) if record is None else None
        pay = payment.paid(record, now, user)
        return Settlement(
            job=job,
            kind=SettleKind.FINISH,
            signature=landed.signature if record is None else record.signature,
            slot=landed.slot if record is None else record.slot,
            pay=pay.amount,
            payout=user,
            reason=pay.note,
            fee=landed.fee,
            source=pay.source,
        )

    async def _lost(self, assignment: Assignment, reason: str, still: Callable[[Sight], bool]) -> Settlement:
        """A settlement that gives pay up, once the chain has finalized why. Raises RpcUnavailable until then: one
        endpoint's word at one moment is not enough."""
        if not still(await self._look(assignment, self._final)):
            raise RpcUnavailable(f"{reason}; that is not final yet", hint="it is looked at again until it is")
        context, run = self.context, assignment.run
        # A poster's `end` pays for the time that has passed, whatever becomes of the result.
        ended = await payment.find(context, run.address, assignment.job.address, "end")
        user = addresses.token_account(context.cluster, context.node)
        pay = Pay(0) if ended is None else payment.paid(ended, None, user)
        return Settlement(
            job=assignment.job.address,
            kind=SettleKind.LOST,
            signature=None,
            slot=None,
            pay=pay.amount,
            payout=user if pay.amount else None,
            reason=reason,
            source=pay.source,
            returned=payment.returned(ended, context.node),
        )

    @property
    def _final(self) -> MarketContext:
        """The same, seeing only what the chain has finalized."""
        return replace(self.context, rpc=self.context.rpc.pinned("finalized"))

    async def _payout_account(self, assignment: Assignment) -> tuple[Address, list[Instruction]]:
        """The token account to be paid and, where it is missing, the instruction that creates it."""
        context = self.context
        owner = context.payout or context.node
        if context.payout is not None:
            named = await context.rpc.get_account(owner, min_context_slot=assignment.slot)
            if named is not None and named.owner == context.cluster.token:
                # The setting names a token account itself; only its mint matters to `finish`.
                return owner, []
            if named is None and not addresses.to_key(owner).is_on_curve():
                # Not a wallet: the token account that was named is closed, or an endpoint does not show it. What were
                # paid to an account owned by it could never be spent.
                raise MarketError(
                    f"payout {owner} does not exist any more",
                    hint="open that token account again, or name another in the lane's `payout`; the result is kept",
                )
        account = addresses.token_account(context.cluster, owner)
        if await context.rpc.get_account(account) is not None:
            return account, []
        return account, [tokens.create_token_account(context.cluster, payer=context.node, owner=owner)]

    async def _deposit_is_missing(self, context: MarketContext, job: Job) -> bool:
        """Whether the payer's NOS account, which a paid `finish` cannot do without, is missing."""
        return await context.rpc.get_account(addresses.token_account(context.cluster, job.payer)) is None

    async def _not_worth_reopening(self, assignment: Assignment, job: Job, run: Run) -> str | None:
        """Why not to pay the rent of the payer's account; None where the pay is worth it.

        The rent goes to whoever closes that account again: were it always paid, posting jobs and closing the account
        would be a way to drain this wallet.
        """
        context = self.context
        worked = max(min(int(context.clock.time()) - run.time, job.timeout), 0)
        if job.price * worked >= context.reopen_above:
            return None
        final = replace(context, rpc=context.rpc.pinned("finalized", assignment.slot))
        if not await self._deposit_is_missing(final, job):
            raise RpcUnavailable("the payer's NOS account was closed a moment ago", hint="it is looked at again")
        return (
            f"the payer's NOS account is closed, and the pay of {job.price * worked / 1e6:.6f} NOS is not worth the "
            "rent of opening it (fees.reopen_above)"
        )

    async def _send(self, assignment: Assignment, kind: str, instructions: list[Instruction]) -> Landed:
        return await self.context.send(_key(kind, assignment), kind, instructions)


def _key(kind: str, assignment: Assignment) -> str:
    """The name in the outbox of what settles a run. `settled_run` reads it."""
    return f"{kind}:{assignment.run.address}"


def settled_run(row: OutboxRow) -> Address | None:
    """The run that a transaction was to settle; None where it was for something else."""
    return Address(row.key.partition(":")[2]) if row.kind in SETTLES else None


def _joined(reason: str, note: str) -> str:
    return f"{reason}; {note}" if note else reason


def _memo(text: str | None, context: MarketContext) -> list[Instruction]:
    return [] if text is None else [memo(context.node, text)]
