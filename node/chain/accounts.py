"""The accounts of the market programs: bytes to records and back.

Layouts are those of the Nosana jobs, nodes, staking and rewards programs. Accounts are allocated larger than their
data, so trailing bytes are allowed everywhere. Encoders write what the programs would (padded to the allocated
size); the embedded chain's genesis and the tests use them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

from node.chain.addresses import ZERO_HASH, cid_to_hash, hash_to_cid
from node.chain.clusters import Cluster
from node.chain.codec import Reader, Writer, account_discriminator
from node.records import Address, Job, JobState, Market, NodeAccount, NodeProfile, QueueType, Run, Stake

E = TypeVar("E", bound=IntEnum)

MARKET_SIZE = 10_224
"""Bytes of a market account: room for 314 queue entries."""
JOB_SIZE = 240
RUN_SIZE = 120
STAKE_SIZE = 120
NODE_SIZE = 128
SETTINGS_SIZE = 72
REFLECTION_SIZE = 96
REWARD_SIZE = 80
TOKEN_ACCOUNT_SIZE = 165
QUEUE_LIMIT = 314
"""Entries that fit into a market's queue."""

MARKET_DISCRIMINATOR = account_discriminator("MarketAccount")
JOB_DISCRIMINATOR = account_discriminator("JobAccount")
RUN_DISCRIMINATOR = account_discriminator("RunAccount")
STAKE_DISCRIMINATOR = account_discriminator("StakeAccount")
NODE_DISCRIMINATOR = account_discriminator("NodeAccount")
SETTINGS_DISCRIMINATOR = account_discriminator("SettingsAccount")
REFLECTION_DISCRIMINATOR = account_discriminator("ReflectionAccount")
REWARD_DISCRIMINATOR = account_discriminator("RewardAccount")

# Offsets for server-side filters (getProgramAccounts, programSubscribe).
RUN_JOB_OFFSET = 8
RUN_NODE_OFFSET = 40
JOB_MARKET_OFFSET = 72
JOB_NODE_OFFSET = 104
JOB_PROJECT_OFFSET = 176
JOB_STATE_OFFSET = 208
NODE_PROFILE_OFFSET = 41


@dataclass(frozen=True, slots=True)
class RawAccount:
    """An account as an endpoint returns it."""

    address: Address
    owner: Address
    lamports: int
    data: bytes
    slot: int = 0
    """Slot of the view it was read from."""


@dataclass(frozen=True, slots=True)
class StakingSettings:
    """The staking program's settings account."""

    address: Address
    authority: Address
    token_account: Address


@dataclass(frozen=True, slots=True)
class Reflection:
    """The rewards program's totals."""

    address: Address
    rate: int
    total_reflection: int
    total_xnos: int
    vault: Address
    vault_bump: int


@dataclass(frozen=True, slots=True)
class Reward:
    """One staker's part of the rewards program's totals."""

    address: Address
    authority: Address
    bump: int
    reflection: int
    xnos: int


def _open(account: RawAccount, owner: Address, discriminator: bytes, kind: str) -> Reader:
    """A reader behind the discriminator of an account that is of the kind asked for."""
    what = f"{kind} {account.address}"
    reader = Reader(account.data, what)
    if account.owner != owner:
        raise reader.bad(f"is owned by {account.owner}, not by {owner}")
    if reader.take(8) != discriminator:
        raise reader.bad("begins with another discriminator")
    return reader


def _member(kind: type[E], value: int, read: Reader) -> E:
    """The enumeration's member for a stored byte; an unknown one makes the account malformed."""
    try:
        return kind(value)
    except ValueError as error:
        raise read.bad(f"{value} is not a {kind.__name__}") from error


def _pad(data: bytes, size: int) -> bytes:
    return data.ljust(size, b"\0")


def decode_market(account: RawAccount, cluster: Cluster) -> Market:
    """A market account. Raises AccountMalformed."""
    read = _open(account, cluster.jobs, MARKET_DISCRIMINATOR, "market")
    authority = read.key()
    job_expiration = read.i64()
    job_price = read.unsigned(8)
    job_timeout = read.i64()
    job_type = read.unsigned(1)
    vault = read.key()
    read.unsigned(1)
    access_key = read.key()
    xnos_minimum = read.unsigned(16)
    queue_type = read.unsigned(1)
    length = read.unsigned(4)
    return Market(
        address=account.address,
        authority=authority,
        job_expiration=job_expiration,
        job_price=job_price,
        job_timeout=job_timeout,
        job_type=job_type,
        vault=vault,
        access_key=access_key,
        xnos_minimum=xnos_minimum,
        queue_type=_member(QueueType, queue_type, read),
        queue=tuple(read.key() for _ in range(length)),
    )


def encode_market(market: Market, vault_bump: int = 255, size: int = MARKET_SIZE) -> bytes:
    """The bytes of a market account, padded to `size`."""
    write = Writer(MARKET_DISCRIMINATOR).key(market.authority).i64(market.job_expiration)
    write.unsigned(market.job_price, 8).i64(market.job_timeout).unsigned(market.job_type, 1)
    write.key(market.vault).unsigned(vault_bump, 1).key(market.access_key).unsigned(market.xnos_minimum, 16)
    write.unsigned(market.queue_type, 1).unsigned(len(market.queue), 4)
    for entry in market.queue:
        write.key(entry)
    return _pad(write.done(), size)


def decode_job(account: RawAccount, cluster: Cluster) -> Job:
    """A job account. Raises AccountMalformed."""
    read = _open(account, cluster.jobs, JOB_DISCRIMINATOR, "job")
    definition = read.take(32)
    result = read.take(32)
    market, node, payer = read.key(), read.key(), read.key()
    price = read.unsigned(8)
    project = read.key()
    state = read.unsigned(1)
    time_end, time_start, timeout = read.i64(), read.i64(), read.i64()
    return Job(
        address=account.address,
        definition_cid=hash_to_cid(definition),
        result_cid=None if result == ZERO_HASH else hash_to_cid(result),
        market=market,
        node=node,
        payer=payer,
        price=price,
        project=project,
        state=_member(JobState, state, read),
        time_end=time_end,
        time_start=time_start,
        timeout=timeout,
    )


def encode_job(job: Job, size: int = JOB_SIZE) -> bytes:
    """The bytes of a job account, padded to `size`."""
    write = Writer(JOB_DISCRIMINATOR).raw(cid_to_hash(job.definition_cid))
    write.raw(ZERO_HASH if job.result_cid is None else cid_to_hash(job.result_cid))
    write.key(job.market).key(job.node).key(job.payer).unsigned(job.price, 8).key(job.project)
    write.unsigned(job.state, 1).i64(job.time_end).i64(job.time_start).i64(job.timeout)
    return _pad(write.done(), size)


def decode_run(account: RawAccount, cluster: Cluster) -> Run:
    """A run account. Raises AccountMalformed."""
    read = _open(account, cluster.jobs, RUN_DISCRIMINATOR, "run")
    return Run(account.address, read.key(), read.key(), read.key(), read.unsigned(1), read.i64())


def encode_run(run: Run, size: int = RUN_SIZE) -> bytes:
    """The bytes of a run account, padded to `size`."""
    write = Writer(RUN_DISCRIMINATOR).key(run.job).key(run.node).key(run.payer)
    return _pad(write.unsigned(run.state, 1).i64(run.time).done(), size)


def decode_stake(account: RawAccount, cluster: Cluster) -> Stake:
    """A stake account. Raises AccountMalformed."""
    read = _open(account, cluster.staking, STAKE_DISCRIMINATOR, "stake")
    amount, authority, duration = read.unsigned(8), read.key(), read.unsigned(8)
    time_unstake, vault = read.i64(), read.key()
    read.unsigned(1)
    return Stake(account.address, authority, amount, duration, time_unstake, vault, read.unsigned(16))


def encode_stake(stake: Stake, vault_bump: int = 255, size: int = STAKE_SIZE) -> bytes:
    """The bytes of a stake account, padded to `size`."""
    write = Writer(STAKE_DISCRIMINATOR).unsigned(stake.amount, 8).key(stake.authority)
    write.unsigned(stake.duration, 8).i64(stake.time_unstake).key(stake.vault)
    return _pad(write.unsigned(vault_bump, 1).unsigned(stake.xnos, 16).done(), size)


def read_profile(read: Reader) -> NodeProfile:
    """A host's description, as in a node account and in the data of register and update."""
    architecture = read.unsigned(1)
    country, cpu, gpu, memory, iops, storage = (read.unsigned(2) for _ in range(6))
    return NodeProfile(architecture, country, cpu, gpu, memory, iops, storage, read.text(), read.text(), read.text())


def write_profile(write: Writer, profile: NodeProfile) -> Writer:
    """The inverse of `read_profile`."""
    write.unsigned(profile.architecture, 1)
    counts = (profile.country, profile.cpu, profile.gpu, profile.memory, profile.iops, profile.storage)
    for count in counts:
        write.unsigned(count, 2)
    return write.text(profile.endpoint).text(profile.icon).text(profile.version)


def decode_node(account: RawAccount, cluster: Cluster) -> NodeAccount:
    """A node account. Raises AccountMalformed."""
    read = _open(account, cluster.nodes, NODE_DISCRIMINATOR, "node")
    return NodeAccount(account.address, read.key(), read.boolean(), read_profile(read))


def encode_node(node: NodeAccount, size: int = NODE_SIZE) -> bytes:
    """The bytes of a node account, padded to `size`."""
    write = Writer(NODE_DISCRIMINATOR).key(node.authority).unsigned(node.audited, 1)
    return _pad(write_profile(write, node.profile).done(), size)


def decode_settings(account: RawAccount, cluster: Cluster) -> StakingSettings:
    """The staking program's settings. Raises AccountMalformed."""
    read = _open(account, cluster.staking, SETTINGS_DISCRIMINATOR, "staking settings")
    return StakingSettings(account.address, read.key(), read.key())


def encode_settings(settings: StakingSettings, size: int = SETTINGS_SIZE) -> bytes:
    """The bytes of the staking program's settings."""
    return _pad(Writer(SETTINGS_DISCRIMINATOR).key(settings.authority).key(settings.token_account).done(), size)


def decode_reflection(account: RawAccount, cluster: Cluster) -> Reflection:
    """The rewards program's totals. Raises AccountMalformed."""
    read = _open(account, cluster.rewards, REFLECTION_DISCRIMINATOR, "reflection")
    rate, reflection, xnos = read.unsigned(16), read.unsigned(16), read.unsigned(16)
    return Reflection(account.address, rate, reflection, xnos, read.key(), read.unsigned(1))


def encode_reflection(reflection: Reflection, size: int = REFLECTION_SIZE) -> bytes:
    """The bytes of the rewards program's totals, padded to `size`."""
    write = Writer(REFLECTION_DISCRIMINATOR).unsigned(reflection.rate, 16)
    write.unsigned(reflection.total_reflection, 16).unsigned(reflection.total_xnos, 16)
    return _pad(write.key(reflection.vault).unsigned(reflection.vault_bump, 1).done(), size)


def decode_reward(account: RawAccount, cluster: Cluster) -> Reward:
    """A reward account. Raises AccountMalformed."""
    read = _open(account, cluster.rewards, REWARD_DISCRIMINATOR, "reward")
    return Reward(account.address, read.key(), read.unsigned(1), read.unsigned(16), read.unsigned(16))


def encode_reward(reward: Reward, size: int = REWARD_SIZE) -> bytes:
    """The bytes of a reward account, padded to `size`."""
    write = Writer(REWARD_DISCRIMINATOR).key(reward.authority).unsigned(reward.bump, 1)
    return _pad(write.unsigned(reward.reflection, 16).unsigned(reward.xnos, 16).done(), size)
