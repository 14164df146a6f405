"""Instructions of the Nosana rewards program."""

from __future__ import annotations

from solders.instruction import Instruction

from node.chain import addresses
from node.chain.clusters import Cluster
from node.chain.instructions.build import anchor, reads, signs, signs_and_writes, u64, writes
from node.records import Address


def init(cluster: Cluster, *, authority: Address) -> Instruction:
    """Create the totals and the vault; once, by anyone."""
    return anchor(
        cluster.rewards,
        "init",
        [
            reads(cluster.nos_mint),
            writes(addresses.rewards_reflection(cluster)),
            writes(addresses.rewards_vault(cluster)),
            signs_and_writes(authority),
            reads(cluster.system),
            reads(cluster.token),
            reads(cluster.rent),
        ],
    )


def enter(cluster: Cluster, *, authority: Address) -> Instruction:
    """Take part in rewards with the stake of `authority`."""
    return anchor(
        cluster.rewards,
        "enter",
        [
            writes(addresses.rewards_reflection(cluster)),
            reads(addresses.stake_account(cluster, authority)),
            writes(addresses.reward_account(cluster, authority)),
            signs_and_writes(authority),
            reads(cluster.system),
        ],
    )


def add_fee(cluster: Cluster, *, user: Address, authority: Address, amount: int) -> Instruction:
    """Give `amount` micro-NOS from the token account `user` to all who take part."""
    return anchor(
        cluster.rewards,
        "add_fee",
        [
            writes(user),
            writes(addresses.rewards_reflection(cluster)),
            writes(addresses.rewards_vault(cluster)),
            signs(authority),
            reads(cluster.token),
        ],
        u64(amount),
    )


def claim(cluster: Cluster, *, authority: Address, user: Address | None = None) -> Instruction:
    """Pay out what the stake of `authority` has earned."""
    return anchor(
        cluster.rewards,
        "claim",
        [
            writes(user or addresses.token_account(cluster, authority)),
            writes(addresses.rewards_vault(cluster)),
            writes(addresses.rewards_reflection(cluster)),
            writes(addresses.reward_account(cluster, authority)),
            reads(addresses.stake_account(cluster, authority)),
            signs_and_writes(authority),
            reads(cluster.token),
        ],
    )


def sync(cluster: Cluster, *, staker: Address) -> Instruction:
    """Bring a reward account up to its stake; anyone may."""
    return anchor(
        cluster.rewards,
        "sync",
        [
            writes(addresses.reward_account(cluster, staker)),
            reads(addresses.stake_account(cluster, staker)),
            writes(addresses.rewards_reflection(cluster)),
        ],
    )


def close(cluster: Cluster, *, authority: Address) -> Instruction:
    """Stop taking part; a reward not yet claimed is lost."""
    return anchor(
        cluster.rewards,
        "close",
        [
            writes(addresses.rewards_reflection(cluster)),
            writes(addresses.reward_account(cluster, authority)),
            signs_and_writes(authority),
        ],
    )
