"""What must hold of a job when everything has come to rest, read from the chain, the stores and the engine."""

from __future__ import annotations

from dataclasses import dataclass

from node.chain import addresses
from node.chain.codec import instruction_discriminator
from node.chain.memo import memos
from node.chain.replies import LandedTransaction
from node.proof.memo import RECEIPT_KEY, memo_cid
from node.proof.receipt import Receipt, verify_receipt
from node.proof.verify import verify_job
from node.records import Address, Cid, JobState, Signature
from tests.faults.keeper import Loss
from tests.faults.scenes import Expected, Told
from tests.faults.shop import Shop

NAMES = ("list", "assign", "work", "stop", "extend", "end", "delist", "finish", "complete", "quit", "claim", "recover")
_NAMES = {instruction_discriminator(name): name for name in NAMES}
SETTLES = ("finish", "complete", "quit")


@dataclass(frozen=True, slots=True)
class Landed:
    """One transaction about a job."""

    kinds: tuple[str, ...]
    transaction: LandedTransaction
    failed: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a job. `extra`: our transactions that landed with an error, which cost a fee and nothing else."""

    kind: str
    starts: int
    extra: int


async def examine(shop: Shop, told: Told) -> Verdict:
    """Check one job of an agent at rest. Raises Loss with everything that is wrong."""
    wrong: list[str] = []
    job, expected = told.posted.job, told.expected
    history = await _history(shop, job)
    ours = [each for each in history if set(each.kinds) & {*SETTLES, "work"} and not each.failed]
    settles = [(kind, each.transaction) for each in ours for kind in each.kinds if kind in SETTLES]
    kinds = [kind for kind, _ in settles]
    if expected.settles and (len(kinds) != 1 or kinds[0] not in expected.settles):
        wrong.append(f"settled by {kinds or 'nothing'}, not by one of {expected.settles}")
    if not expected.settles and kinds:
        wrong.append(f"settled by {kinds}, and nothing was to land")
    runs = {run for (run,) in shop.rows(f"SELECT run FROM jobs WHERE job = '{job}'")}
    undone = _undone(shop, job)
    if len(runs - undone) != 1:
        wrong.append(f"{len(runs)} runs of one job in the journal, of which forks took back {len(undone)}")
    begun = sum(
        kind in ("list", "work", "claim", "assign") for each in history if not each.failed for kind in each.kinds
    )
    if begun not in (1, 2):
        wrong.append(f"the job began {begun} times on the chain")
    starts = shop.starts.of(job)
    if starts > expected.most_starts:
        wrong.append(f"its container was started {starts} times, {expected.most_starts} at most allowed")
    paid = await _pay(shop, job, history, kinds, wrong)
    if len(settles) == 1:
        await _settlement(shop, job, *settles[0], paid, wrong)
        if kinds[0] != "quit":
            await _papers(shop, job, settles[0][1], expected, wrong)
    shop.paid += paid
    held = await _held(shop)
    if held != shop.paid:
        wrong.append(f"the node's account holds {held} micro-NOS; its jobs paid {shop.paid}")
    left = shop.leftovers()
    if left:
        wrong.append(f"left behind: {left}")
    if wrong:
        raise Loss(f"job {job}: " + "; ".join(wrong) + f" ({await shop.describe()})")
    return Verdict(kinds[0] if kinds else "none", starts, sum(each.failed for each in history))


def _undone(shop: Shop, job: Address) -> set[str]:
    """Runs of a job that a fork took back before the chain gave the job to another run of the same node."""
    query = (
        "SELECT s.run FROM settlements s JOIN jobs j ON j.run = s.run "
        f"WHERE j.job = '{job}' AND s.kind = 'lost' AND s.reason LIKE 'the result of another run of this node%'"
    )
    return {run for (run,) in shop.rows(query)}


def _link(receipt: Receipt) -> tuple[Cid, Signature] | None:
    """Which receipt comes before this one, and by what it was settled."""
    return None if receipt.prev is None else (Cid(receipt.prev.receipt), Signature(receipt.prev.settle))


async def _history(shop: Shop, job: Address) -> list[Landed]:
    """Everything the chain has about a job, oldest first."""
    landed = []
    for entry in reversed(await shop.place.rpc.get_signatures_for_address(job, limit=100)):
        transaction = await shop.place.rpc.get_transaction(entry.signature)
        assert transaction is not None, f"the chain lists {entry.signature} and does not have it"
        kinds = tuple(
            _NAMES[each.data[:8]]
            for each in transaction.instructions
            if each.program == shop.place.net.cluster.jobs and each.data[:8] in _NAMES
        )
        landed.append(Landed(kinds, transaction, entry.failed))
    return landed


async def _pay(shop: Shop, job: Address, history: list[Landed], kinds: list[str], wrong: list[str]) -> int:
    """What the job paid this node by the chain's balances, which must be what its times and price say."""
    account = addresses.token_account(shop.place.net.cluster, shop.node)
    paid = sum(
        change.after - change.before
        for each in history
        if not each.failed
        for change in each.transaction.token_changes
        if change.account == account
    )
    now = await shop.place.job(job)
    due = now.price * max(0, min(now.time_end - now.time_start, now.timeout)) if now.state is JobState.DONE else 0
    if paid != due:
        wrong.append(f"paid {paid} micro-NOS, due {due} ({kinds})")
    return paid


async def _held(shop: Shop) -> int:
    account = addresses.token_account(shop.place.net.cluster, shop.node)
    if await shop.place.rpc.get_account(account) is None:
        return 0
    return await shop.place.rpc.get_token_amount(account)


async def _settlement(
    shop: Shop, job: Address, kind: str, transaction: LandedTransaction, paid: int, wrong: list[str]
) -> None:
    """The journal must say what the chain says."""
    query = (
        "SELECT s.run, s.kind, s.signature, s.pay FROM settlements s JOIN jobs j ON j.run = s.run "
        f"WHERE j.job = '{job}'"
    )
    undone = _undone(shop, job)
    for run, said, signature, pay in shop.rows(query):
        if run in undone:
            continue
        if said not in (kind, "already"):
            wrong.append(f"the journal says {said}, the chain {kind}")
        if signature != transaction.signature:
            wrong.append(f"the journal has signature {signature}, the chain {transaction.signature}")
        if pay != paid:
            wrong.append(f"the journal has pay {pay}, the chain {paid}")


async def _papers(
    shop: Shop, job: Address, transaction: LandedTransaction, expected: Expected, wrong: list[str]
) -> None:
    """The result verifies, its log is whole, and the receipt names the one before it."""
    verification = await verify_job(
        job, cluster=shop.place.net.cluster, chain=shop.place.rpc, content=shop.place.library
    )
    wrong += [f"verify: {check.name}: {check.detail}" for check in verification.checks if check.ok is False]
    if not verification.ok:
        wrong.append("gpunode verify does not pass")
        return
    result = await shop.place.result(await shop.place.job(job))
    if expected.lines is not None:
        said = [entry["log"] for each in result["opStates"] for entry in each["logs"] if entry["type"] == "stdout"]
        if said != expected.lines or result["status"] != "success":
            ends = [(each["operationId"], each["exitCode"], each["errors"]) for each in result["opStates"]]
            wrong.append(f"the result is {result['status']} with {said}, {ends}")
    cids = [memo_cid(text, RECEIPT_KEY) for text in memos(transaction, signer=shop.node)]
    (cid,) = [each for each in cids if each is not None]
    receipt = verify_receipt((await shop.place.library.fetch(cid, 1 << 20)).body, shop.node)
    before = _link(receipt)
    last = shop.chain_of_receipts[-1] if shop.chain_of_receipts else None
    taken_back = {row[0] for row in shop.rows("SELECT receipt_cid FROM receipts WHERE settle_signature IS NULL")}
    while before is not None and before != last and before[0] in taken_back:
        # It was made in the moment between a fork and the agent's hearing of it: the chain of receipts is whole,
        # through one whose settlement is on the chain no more.
        before = _link(verify_receipt((await shop.place.library.fetch(before[0], 1 << 20)).body, shop.node))
    if before != last:
        wrong.append(f"the receipt names {before} as the one before it, which is {last}")
    shop.chain_of_receipts.append((cid, transaction.signature))
