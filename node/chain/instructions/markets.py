"""Instructions of the Nosana jobs program for a market's owner and for the network's administrator."""

from __future__ import annotations

from dataclasses import dataclass

from solders.instruction import Instruction

from node.chain import addresses
from node.chain.clusters import Cluster
from node.chain.instructions.build import anchor, i64, reads, signs, signs_and_writes, u64, u128, writes
from node.records import SYSTEM_PROGRAM, Address


@dataclass(frozen=True, slots=True)
class MarketTerms:
    """What a market's owner decides."""

    job_expiration: int = 86_400
    """Seconds that a finished job's account is kept."""
    job_price: int = 0
    """Micro-NOS per second."""
    job_timeout: int = 7_200
    """Seconds; a suggestion, no program reads it."""
    job_type: int = 0
    xnos_minimum: int = 0
    access_key: Address = SYSTEM_PROGRAM
    """Collection a node must hold a token of; the system program's address for none."""


def open_market(cluster: Cluster, *, market: Address, authority: Address, terms: MarketTerms) -> Instruction:
    """Create a market (`market` is a fresh key that signs) and its vault."""
    arguments = (
        i64(terms.job_expiration)
        + u64(terms.job_price)
        + i64(terms.job_timeout)
        + bytes([terms.job_type])
        + u128(terms.xnos_minimum)
    )
    return anchor(
        cluster.jobs,
        "open",
        [
            reads(cluster.nos_mint),
            signs_and_writes(market),
            writes(addresses.market_vault(cluster, market)),
            signs_and_writes(authority),
            reads(terms.access_key),
            reads(cluster.rent),
            reads(cluster.system),
            reads(cluster.token),
        ],
        arguments,
    )


def update_market(cluster: Cluster, *, market: Address, authority: Address, terms: MarketTerms) -> Instruction:
    """Set a market's terms anew."""
    arguments = (
        i64(terms.job_expiration)
        + u64(terms.job_price)
        + bytes([terms.job_type])
        + u128(terms.xnos_minimum)
        + i64(terms.job_timeout)
    )
    metas = [writes(market), reads(terms.access_key), signs(authority)]
    return anchor(cluster.jobs, "update", metas, arguments)


def close_market(cluster: Cluster, *, market: Address, user: Address, authority: Address) -> Instruction:
    """Close a market: the vault's tokens go to `user`, the lamports to `authority`.

    The program does not flag `authority` writable, so it must be writable otherwise: as the fee payer.
    """
    return _close(cluster, "close", market, user, authority)


def close_market_as_admin(cluster: Cluster, *, market: Address, user: Address, authority: Address) -> Instruction:
    """As `close_market`, signed by the network's market administrator."""
    return _close(cluster, "close_admin", market, user, authority)


def _close(cluster: Cluster, name: str, market: Address, user: Address, authority: Address) -> Instruction:
    vault = addresses.market_vault(cluster, market)
    metas = [writes(market), writes(vault), writes(user), signs(authority), reads(cluster.token)]
    return anchor(cluster.jobs, name, metas)


def quit_run_as_admin(cluster: Cluster, *, run: Address, payer_run: Address, authority: Address) -> Instruction:
    """Close a run and leave its job as it is; signed by the network's market administrator."""
    return anchor(cluster.jobs, "quit_admin", [writes(run), writes(payer_run), signs(authority)])


def clean_job_as_admin(cluster: Cluster, *, job: Address, payer: Address, authority: Address) -> Instruction:
    """Close a job account at any time; signed by the network's market administrator."""
    return anchor(cluster.jobs, "clean_admin", [writes(job), writes(payer), signs(authority)])
