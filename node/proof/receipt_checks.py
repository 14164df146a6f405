"""A receipt against the job it names, and what it states."""

from __future__ import annotations

from collections.abc import Sequence

from node.chain.clusters import Cluster
from node.content.merkle import MerkleHasher
from node.proof.checks import Ledger
from node.proof.commitments import Reveal
from node.proof.receipt import Receipt
from node.proof.settled import Settled
from node.records import Address, Job


def check_names(
    ledger: Ledger, cluster: Cluster, address: Address, settled: Settled | None, job: Job | None, receipt: Receipt
) -> None:
    """Whether the receipt is of this job, as the chain (or the signed transaction) has it."""
    chain = receipt.chain
    expected: dict[str, tuple[object, object]] = {
        "program": (chain.program, cluster.jobs),
        "job": (receipt.job, address),
    }
    if cluster.genesis_hash is not None:
        expected["genesis"] = (chain.genesis, cluster.genesis_hash)
    if settled is not None:
        expected["result"] = (receipt.result, settled.result)
        if settled.finish:
            expected["run"] = (receipt.run, settled.run())
    if job is not None:
        expected |= {
            "definition": (receipt.definition, job.definition_cid),
            "market": (receipt.market, job.market),
            "poster": (receipt.poster, job.project),
        }
    wrong = [f"{name} is {said}, not {held}" for name, (said, held) in expected.items() if said != held]
    ledger.consistent("receipt_names_job", not wrong, "; ".join(wrong) or ", ".join(expected) + " agree")


def check_telemetry(ledger: Ledger, receipt: Receipt) -> None:
    """Whether the receipt names one file of samples, and its parts tell of the GPUs that the job was given."""
    telemetry, energy = receipt.telemetry, receipt.energy
    if telemetry is None or energy is None:
        return
    same = (telemetry.root, telemetry.samples) == (energy.samples_root, energy.samples)
    strangers = {gpu.uuid for gpu in telemetry.gpus} - {gpu.uuid for gpu in receipt.gpus}
    told = (
        "energy and telemetry are of one file of samples" if same else "energy and telemetry are of different samples"
    )
    told += f"; {', '.join(sorted(strangers))} was not given to the job" if strangers else ""
    ledger.consistent("telemetry_agrees", same and not strangers, told)


def check_samples(ledger: Ledger, receipt: Receipt, lines: Sequence[bytes] | None) -> None:
    """Whether sample lines are those that the receipt was made with."""
    telemetry = receipt.telemetry
    if lines is None or telemetry is None or telemetry.root is None:
        return
    hasher = MerkleHasher()
    for line in lines:
        hasher.update(line)
    found = hasher.root()
    same = (found, len(lines)) == (telemetry.root, telemetry.samples)
    told = f"{len(lines)} lines hash to {found}"
    told += "" if same else f", the receipt has {telemetry.samples} with root {telemetry.root}"
    ledger.proven("telemetry_root", same, told)


def check_commitments(ledger: Ledger, receipt: Receipt, reveal: Reveal | None) -> None:
    """Whether what is shown of a confidential job is what the receipt was made with."""
    hidden = receipt.commitments
    if reveal is not None and reveal.openings:
        wrong = reveal.wrong(hidden)
        told = f"{len(reveal.openings)} of {len(hidden)} hidden values are opened as the receipt commits to them"
        ledger.proven("commitments", not wrong, told if not wrong else f"not what was committed to: {', '.join(wrong)}")
    elif hidden:
        ledger.skipped("commitments", f"{len(hidden)} values are hidden, and their salts are not at hand")


def state_rest(ledger: Ledger, receipt: Receipt) -> None:
    """What the node alone vouches for."""
    for claim in receipt.operations:
        ledger.stated(
            f"operation_{claim.index}",
            f"image {claim.image}, command {claim.command}, exit code {claim.exit_code}, status {claim.status}",
        )
    names = ", ".join(f"{gpu.name} {gpu.uuid} ({gpu.provider})" for gpu in receipt.gpus) or "none"
    ledger.stated("gpus_used", names)
    energy = receipt.energy
    if energy is not None and energy.millijoules is not None:
        ledger.stated("energy", f"{energy.millijoules / 1000:.3f} J ({energy.source})")
    telemetry = receipt.telemetry
    if telemetry is not None:
        errors = sum(len(gpu.errors) for gpu in telemetry.gpus)
        told = f"{telemetry.samples} samples of {len(telemetry.gpus)} GPUs, {errors} errors, root {telemetry.root}"
        gap = max((gpu.gap_ms for gpu in telemetry.gpus), default=0)
        told += f"; {gap / 1000:.0f} s without samples" if gap else ""
        ledger.stated("telemetry", told)
    if receipt.ladder is not None:
        ledger.stated("ladder", f"precision ladder {receipt.ladder}")
    link = (
        f"{receipt.prev.receipt}, settled by {receipt.prev.settle}" if receipt.prev else f"none: {receipt.prev_reason}"
    )
    ledger.stated("previous_receipt", link)
    ledger.stated("agent", receipt.agent)
