"""Checking a job from outside: with a chain and a source of content, and nothing from the node itself."""

from __future__ import annotations

from dataclasses import replace

from node.chain.clusters import Cluster
from node.proof.checks import Verification
from node.proof.examine import examine
from node.proof.gather import ContentReader, Sources, gather
from node.proof.handed import Handed
from node.proof.settled import ChainReader
from node.records import Address

CHAIN_LENGTH = 10
"""Earlier receipts that are looked at unless another number is wanted."""


async def verify_job(
    job: Address,
    *,
    cluster: Cluster,
    chain: ChainReader,
    content: ContentReader,
    chain_length: int = CHAIN_LENGTH,
    handed: Handed | None = None,
) -> Verification:
    """Check one settled job, and the receipts before its own, so many at most; a confidential one with what its owner
    was given, where that is at hand.

    Raises ChainError if the chain cannot be read; what is wrong with the job is a check.
    """
    evidence = await gather(job, Sources(cluster, chain, content), chain_length)
    if handed is not None:
        evidence = replace(evidence, handed=handed.result, reveal=handed.reveal)
    return examine(evidence)
