"""Checking a bundle: its form and signature, then its evidence through the same lines as any other (examine.py).

Offline, what a chain would say is not checked; what is proven then follows from hashes and signatures alone.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import get_args

from pydantic import ValidationError

from node.bounded_json import JsonRefused, read_json
from node.chain.clusters import Cluster, IdSet, cluster_named
from node.content.cid import file_cid
from node.content.merkle import CHUNK_BYTES, MerkleHasher
from node.errors import ContentMismatch, ContentUnavailable, ProofError, UsageError
from node.proof.bundle import Bundle, BundleRefused, parse_bundle
from node.proof.bundle_document import Account
from node.proof.checks import Ledger, Verification
from node.proof.commitments import DELIVERED, Reveal, read_reveal
from node.proof.evidence import Document, Evidence, SettleWire
from node.proof.examine import examine
from node.proof.gather import Sources, gather
from node.proof.receipt import Receipt, parse_receipt
from node.proof.receipt_model import LogCommitment
from node.proof.settled import ChainReader
from node.proof.signed import signed_settle
from node.records import Address, Cid, FetchedDefinition

LINE = "bundle"
"""The line that says whether the file is a whole bundle, signed by its node."""


@dataclass(frozen=True, slots=True)
class BundleVerification(Verification):
    """All that was looked at for one bundle."""

    needed: frozenset[str] = field(default=frozenset({LINE}))

    @property
    def ok(self) -> bool:
        """Nothing failed, and what the bundle should show was really checked."""
        done = {check.name for check in self.checks if check.ok}
        return all(check.ok is not False for check in self.checks) and self.needed <= done


def verify_bundle(body: bytes, job: Address | None = None) -> BundleVerification:
    """Check a bundle without asking anybody; `job`: the one that it must be of. What is wrong is a line that failed."""
    try:
        bundle = parse_bundle(body)
        evidence = evidence_of(bundle)
    except ProofError as error:
        return refused(error, job)
    return _lines(body, bundle, job, evidence)


async def verify_bundle_online(body: bytes, job: Address | None, cluster: Cluster, chain: ChainReader) -> Verification:
    """The same with what a chain says of the job. Raises ChainError if the chain cannot be read."""
    try:
        bundle = parse_bundle(body)
        own = evidence_of(bundle)
    except ProofError as error:
        return refused(error, job)
    if cluster.jobs != own.cluster.jobs or cluster.name != own.cluster.name:
        told = f"it is of {own.cluster.name} with program {own.cluster.jobs}, the endpoint serves {cluster.name}"
        return refused(BundleRefused(f"chain: {told}", "chain"), job)
    asked = await gather(own.job, Sources(cluster, chain, _Shelf(bundle)), own.chain_length)
    # What the chain names is looked for among the bundle's parts; what it cannot name is the bundle's own.
    evidence = replace(
        asked,
        receipt=asked.receipt or own.receipt,
        card=asked.card or own.card,
        result=asked.result or own.result,
        work=asked.work or own.work,
        settle=own.settle or asked.settle,
        reveal=own.reveal,
        samples=own.samples,
    )
    return _lines(body, bundle, job, evidence)


def refused(error: ProofError, job: Address | None) -> BundleVerification:
    """The verification of a file that is no bundle."""
    ledger = Ledger(part=LINE)
    ledger.proven(LINE, False, error.message)
    return BundleVerification(job or Address(""), tuple(ledger.checks), offline=True)


def evidence_of(bundle: Bundle) -> Evidence:
    """A bundle's evidence, without a chain. Raises BundleRefused for a chain that nobody knows."""
    said, samples, settle = bundle.account, bundle.part("samples"), bundle.part("settle")
    slot = None if said.settlement is None else said.settlement.slot
    return Evidence(
        job=Address(said.job.job),
        cluster=_cluster(said),
        receipt=_document(bundle, "receipt"),
        result=_document(bundle, "result"),
        card=_document(bundle, "card"),
        work=_document(bundle, "work"),
        settle=None if settle is None else SettleWire(settle, slot),
        earlier=tuple(Document(Cid(each.receipt), bundle.part(each.part), "in the bundle") for each in said.earlier),
        chain_length=max(1, len(said.earlier)),
        reveal=_reveal(bundle.part("openings")),
        samples=None if samples is None else tuple(samples.splitlines(keepends=True)),
    )


def _reveal(body: bytes | None) -> Reveal | None:
    """What opens the commitments of a confidential job's receipt."""
    try:
        return None if body is None else read_reveal(read_json(body, limit=len(body)))
    except (JsonRefused, ProofError) as error:
        raise BundleRefused(f"parts/openings: {error}", "parts/openings") from None


class _Shelf:
    """Serves a bundle's parts by CID."""

    def __init__(self, bundle: Bundle) -> None:
        self._held = {cid: bundle.parts[name] for name, cid in bundle.account.cids.items()}
        self._held |= {each.receipt: bundle.parts[each.part] for each in bundle.account.earlier}

    async def fetch(self, cid: Cid, limit: int) -> FetchedDefinition:
        """Raises ContentUnavailable or ContentMismatch."""
        body = self._held.get(cid)
        if body is None or len(body) > limit:
            raise ContentUnavailable(f"{cid} is not in the bundle")
        if file_cid(body) != cid:
            raise ContentMismatch(f"the bundle's part for {cid} has other bytes")
        return FetchedDefinition(cid, body, "in the bundle")


def _document(bundle: Bundle, name: str) -> Document | None:
    cid = bundle.account.cids.get(name)
    return None if cid is None else Document(Cid(cid), bundle.part(name), "in the bundle")


def _cluster(said: Account) -> Cluster:
    try:
        known = [cluster_named(said.chain.name, ids) for ids in get_args(IdSet)]
    except UsageError:
        known = []
    for cluster in known:
        if cluster.jobs == said.chain.program and cluster.genesis_hash in (None, said.chain.genesis):
            return cluster
    raise BundleRefused(f"chain: there is no {said.chain.name!r} with program {said.chain.program}", "chain")


# --- lines of its own ---------------------------------------------------------------------------------------


def _lines(body: bytes, bundle: Bundle, job: Address | None, evidence: Evidence) -> BundleVerification:
    ledger, said, examined = Ledger(part=LINE), bundle.account, examine(evidence)
    kind = "full" if said.full else "redacted"
    ledger.proven(LINE, True, f"{len(body):,} bytes, {kind}, canonical and signed as a whole by {bundle.signer}")
    if job is not None:
        ledger.proven("bundle_job", job == said.job.job, f"it is of job {said.job.job}")
    _node(ledger, bundle, evidence)
    ledger.checks += examined.checks
    receipt = _receipt(bundle)
    if receipt is not None:
        _agreement(ledger, said, receipt)
        _full_parts(ledger, bundle, receipt, evidence.reveal)
    _statements(ledger, said)
    needed = {LINE} if bundle.part("receipt") is None else {LINE, "receipt_signature"}
    if not examined.offline:
        needed |= {"settled"}
    return BundleVerification(
        Address(said.job.job), tuple(ledger.checks), offline=examined.offline, needed=frozenset(needed)
    )


def _node(ledger: Ledger, bundle: Bundle, evidence: Evidence) -> None:
    """Whether who settled the job made the bundle: anybody can make one of any job."""
    settled = None if evidence.chain is None else evidence.chain.settled
    if settled is None and evidence.settle is not None:
        with suppress(ProofError):  # a line of examine says so
            settled = signed_settle(evidence.settle.wire, evidence.settle.slot, evidence.cluster, evidence.job)
    if settled is not None:
        signers = settled.transaction.signers
        told = f"the settle transaction is signed by {', '.join(signers)}"
        ledger.consistent("bundle_node", settled.signed_by(bundle.signer), told)


def _receipt(bundle: Bundle) -> Receipt | None:
    body = bundle.part("receipt")
    try:
        return None if body is None else parse_receipt(body)
    except ProofError:
        return None  # a line of examine says so


def _agreement(ledger: Ledger, said: Account, receipt: Receipt) -> None:
    """Whether the bundle tells of the run as the receipt does, which was signed before there was a dispute."""
    pairs: dict[str, tuple[object, object]] = {
        name: (getattr(said.job, name), getattr(receipt, name))
        for name in ("job", "run", "market", "node", "poster", "definition")
    }
    pairs["cause"] = (said.end.cause, receipt.cause)
    pairs["exit codes"] = (
        [(each.index, each.status, each.exit_code, each.starts) for each in said.operations],
        [(each.index, each.status, each.exit_code, each.starts) for each in receipt.operations],
    )
    pairs["GPUs"] = ([gpu.uuid for gpu in said.gpus], [gpu.uuid for gpu in receipt.gpus])
    wrong = [f"{name}: bundle {told}, receipt {held}" for name, (told, held) in pairs.items() if told != held]
    ledger.consistent("bundle_agrees", not wrong, "; ".join(wrong)[:500] or ", ".join(pairs) + " as in the receipt")


def _definition_named(receipt: Receipt, reveal: Reveal | None) -> str:
    """The CID of the definition that ran: of a confidential job what its owner sent, where that is opened."""
    sent = () if reveal is None else reveal.only((DELIVERED,)).openings
    return str(sent[0].value) if sent else receipt.definition


def _log_claims(receipt: Receipt, reveal: Reveal | None) -> dict[int, LogCommitment]:
    """The logs that the receipt commits to, by operation."""
    claims = {claim.index: claim.log for claim in receipt.operations if claim.log is not None}
    for opening in () if reveal is None else reveal.openings:
        match opening.name.split("."):
            case ["operations", index, "log"] if index.isdecimal() and len(index) < 5 and opening.value is not None:
                with suppress(ValidationError):
                    claims[int(index)] = LogCommitment.model_validate(opening.value)
    return claims


def _full_parts(ledger: Ledger, bundle: Bundle, receipt: Receipt, reveal: Reveal | None) -> None:
    definition = bundle.part("definition")
    if definition is not None:
        cid, named = file_cid(definition), _definition_named(receipt, reveal)
        told = f"{len(definition):,} bytes have CID {cid}" + ("" if cid == named else f", not {named}")
        ledger.proven("definition_cid", cid == named, told)
    claims = _log_claims(receipt, reveal)
    held = [(index, claim, log) for index, claim in claims.items() if (log := bundle.part(f"log/{index}")) is not None]
    wrong = []
    for index, claim, log in held:
        hasher = MerkleHasher()
        hasher.update(log)
        if (hasher.length, hasher.root(), CHUNK_BYTES) != (claim.length, claim.root, claim.chunk):
            wrong.append(str(index))
    if held:
        told = f"{len(held)} whole logs hash to the receipt's roots"
        ledger.proven("whole_logs", not wrong, f"not the receipt's: of operation {', '.join(wrong)}" if wrong else told)


def _statements(ledger: Ledger, said: Account) -> None:
    settled = said.settlement
    ledger.stated(
        "run_ended",
        f"stage {said.end.stage}, cause {said.end.cause or 'none'}"
        + (f", given back at {said.end.refused}" if said.end.refused else "")
        + (f", {settled.kind}, {settled.pay} micro-NOS" if settled is not None else ", not settled"),
    )
    for each in said.operations:
        kept = each.isolation
        ledger.stated(
            f"run_operation_{each.index}",
            f"{each.status}, exit code {each.exit_code}, {each.starts} starts"
            + (", out of memory" if each.out_of_memory else "")
            + "".join(f", {error.event}" for error in each.errors)
            + (f"; profile {kept.profile}, runtime {kept.runtime}, egress {kept.egress}" if kept else ""),
        )
    for gpu in said.gpus:
        ledger.stated(f"gpu_errors_{gpu.uuid}", "; ".join(gpu.errors) or "none")
    spans = zip(said.stages, said.stages[1:], strict=False)
    ledger.stated("stages", ", ".join(f"{a.stage} {b.entered_ms - a.entered_ms} ms" for a, b in spans) or "none")
    relaxed = said.relaxations.admitted
    ledger.stated("relaxations", "not known" if relaxed is None else ", ".join(relaxed) or "none")
    ledger.stated("bundle_lacks", "; ".join(f"{each.part}: {each.why}" for each in said.missing) or "nothing")
    ledger.stated("bundle_leaves_out", ", ".join(said.left_out) or "nothing")
