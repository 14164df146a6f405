"""Instructions of the Nosana staking program."""

from __future__ import annotations

from solders.instruction import Instruction

from node.chain import addresses
from node.chain.clusters import Cluster
from node.chain.instructions.build import anchor, reads, signs, signs_and_writes, u64, u128, writes
from node.records import Address

MINIMUM_DURATION = 14 * 86_400
"""Seconds; inclusive (Nosana staking program)."""
MAXIMUM_DURATION = 365 * 86_400
"""Seconds; inclusive (Nosana staking program)."""
_XNOS_DIVISOR = 4 * 365 * 86_400 // 12
_PRECISION = 10**15


def weight(amount: int, duration: int) -> int:
    """xNOS of a stake: `amount` in micro-NOS, `duration` in seconds (Nosana staking program)."""
    return _factor(duration) * amount // _PRECISION


def amount_for(xnos: int, duration: int) -> int:
    """The least amount in micro-NOS whose weight at this duration (seconds) is at least `xnos`."""
    return -(-xnos * _PRECISION // _factor(duration))


def _factor(duration: int) -> int:
    return duration * _PRECISION // _XNOS_DIVISOR + _PRECISION


def init(cluster: Cluster, *, authority: Address) -> Instruction:
    """Create the program's settings account; once, by anyone."""
    return anchor(
        cluster.staking,
        "init",
        [
            writes(addresses.staking_settings(cluster)),
            signs_and_writes(authority),
            reads(cluster.system),
            reads(cluster.rent),
        ],
    )


def stake(
    cluster: Cluster, *, authority: Address, amount: int, duration: int, user: Address | None = None
) -> Instruction:
    """Create the stake account: `amount` micro-NOS (0 is allowed) locked for `duration` seconds after unstaking."""
    return anchor(
        cluster.staking,
        "stake",
        [
            reads(cluster.nos_mint),
            writes(user or addresses.token_account(cluster, authority)),
            writes(addresses.stake_vault(cluster, authority)),
            writes(addresses.stake_account(cluster, authority)),
            signs_and_writes(authority),
            reads(cluster.system),
            reads(cluster.token),
            reads(cluster.rent),
        ],
        u64(amount) + u128(duration),
    )


def topup(cluster: Cluster, *, authority: Address, amount: int, user: Address | None = None) -> Instruction:
    """Add `amount` micro-NOS to a stake."""
    return anchor(
        cluster.staking,
        "topup",
        [
            writes(user or addresses.token_account(cluster, authority)),
            writes(addresses.stake_vault(cluster, authority)),
            writes(addresses.stake_account(cluster, authority)),
            signs(authority),
            reads(cluster.token),
        ],
        u64(amount),
    )


def extend(cluster: Cluster, *, authority: Address, duration: int) -> Instruction:
    """Lengthen a stake's lock by `duration` seconds."""
    metas = [writes(addresses.stake_account(cluster, authority)), signs(authority)]
    return anchor(cluster.staking, "extend", metas, u64(duration))


def unstake(cluster: Cluster, *, authority: Address) -> Instruction:
    """Begin to take the stake out; its weight becomes 0 at once."""
    return anchor(
        cluster.staking,
        "unstake",
        [
            writes(addresses.stake_account(cluster, authority)),
            reads(addresses.reward_account(cluster, authority)),
            signs(authority),
        ],
    )


def restake(cluster: Cluster, *, authority: Address) -> Instruction:
    """Undo `unstake`: what is left in the vault is staked again."""
    return anchor(
        cluster.staking,
        "restake",
        [
            writes(addresses.stake_vault(cluster, authority)),
            writes(addresses.stake_account(cluster, authority)),
            signs(authority),
        ],
    )


def withdraw(cluster: Cluster, *, authority: Address, user: Address | None = None) -> Instruction:
    """Take out what has been unlocked so far."""
    return anchor(
        cluster.staking,
        "withdraw",
        [
            writes(user or addresses.token_account(cluster, authority)),
            writes(addresses.stake_vault(cluster, authority)),
            writes(addresses.stake_account(cluster, authority)),
            signs_and_writes(authority),
            reads(cluster.token),
        ],
    )


def close(cluster: Cluster, *, authority: Address, user: Address | None = None) -> Instruction:
    """Close an emptied stake; the rent goes to its owner. `user` is any token account but the vault."""
    return anchor(
        cluster.staking,
        "close",
        [
            writes(user or addresses.token_account(cluster, authority)),
            writes(addresses.stake_account(cluster, authority)),
            writes(addresses.stake_vault(cluster, authority)),
            signs_and_writes(authority),
            reads(cluster.token),
        ],
    )


def slash(cluster: Cluster, *, staker: Address, token_account: Address, authority: Address, amount: int) -> Instruction:
    """Take `amount` micro-NOS from a stake; signed by the authority of the settings account."""
    return anchor(
        cluster.staking,
        "slash",
        [
            writes(addresses.stake_vault(cluster, staker)),
            writes(addresses.stake_account(cluster, staker)),
            writes(token_account),
            reads(addresses.staking_settings(cluster)),
            signs(authority),
            reads(cluster.token),
        ],
        u64(amount),
    )


def update_settings(
    cluster: Cluster, *, authority: Address, new_authority: Address, token_account: Address
) -> Instruction:
    """Name another authority and another account for slashed tokens."""
    return anchor(
        cluster.staking,
        "update_settings",
        [
            reads(new_authority),
            reads(token_account),
            writes(addresses.staking_settings(cluster)),
            signs(authority),
        ],
    )
