"""A receipt against the job it names, and what it states."""

from __future__ import annotations

from node.chain.clusters import Cluster
from node.proof.checks import Ledger
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
    wrong = [f"{name} is {said}, on the chain {held}" for name, (said, held) in expected.items() if said != held]
    ledger.consistent("receipt_names_job", not wrong, "; ".join(wrong) or ", ".join(expected) + " agree")


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
    link = (
        f"{receipt.prev.receipt}, settled by {receipt.prev.settle}" if receipt.prev else f"none: {receipt.prev_reason}"
    )
    ledger.stated("previous_receipt", link)
    ledger.stated("agent", receipt.agent)
