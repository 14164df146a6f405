"""Instructions of the Nosana nodes program."""

from __future__ import annotations

from solders.instruction import Instruction

from node.chain import addresses
from node.chain.accounts import write_profile
from node.chain.clusters import Cluster
from node.chain.codec import Writer
from node.chain.instructions.build import anchor, reads, signs, signs_and_writes, writes
from node.records import Address, NodeProfile

PROFILE_TEXT_LIMIT = 62
"""Bytes that endpoint, icon and version may hold together; more fails with AccountDidNotSerialize."""


def register(
    cluster: Cluster, *, authority: Address, profile: NodeProfile, payer: Address | None = None
) -> Instruction:
    """Create the node account of `authority`; `payer` (by default the same key) pays its rent."""
    return anchor(
        cluster.nodes,
        "register",
        [
            writes(addresses.node_account(cluster, authority)),
            signs_and_writes(payer or authority),
            signs(authority),
            reads(cluster.system),
        ],
        write_profile(Writer(), profile).done(),
    )


def update(cluster: Cluster, *, authority: Address, profile: NodeProfile) -> Instruction:
    """Replace what the node account of `authority` says of its host."""
    metas = [writes(addresses.node_account(cluster, authority)), signs(authority)]
    return anchor(cluster.nodes, "update", metas, write_profile(Writer(), profile).done())


def audit(cluster: Cluster, *, node: Address, authority: Address, audited: bool) -> Instruction:
    """Set the audited flag of a node account; signed by the network's authority."""
    return anchor(cluster.nodes, "audit", [writes(node), signs(authority)], bytes([audited]))
