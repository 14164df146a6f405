"""Account codecs: the reference vectors, encode and decode as inverses, and no surprise on random bytes."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.chain import accounts, token_accounts
from node.chain.accounts import RawAccount
from node.chain.addresses import address_from_bytes, cid_to_hash, hash_to_cid
from node.chain.clusters import DEVNET
from node.errors import AccountMalformed, ChainError
from node.records import (
    SYSTEM_PROGRAM,
    Address,
    Job,
    JobState,
    Market,
    NodeAccount,
    NodeProfile,
    QueueType,
    Run,
    Stake,
)

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors.json").read_text())
STORED = {entry["type"]: entry for entry in VECTORS["accounts"]["list"]}
HERE = Address("7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41")

keys = st.binary(min_size=32, max_size=32).map(address_from_bytes)
u8 = st.integers(0, 2**8 - 1)
u16 = st.integers(0, 2**16 - 1)
u64 = st.integers(0, 2**64 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)
u128 = st.integers(0, 2**128 - 1)
texts = st.text(max_size=20)
cids = st.binary(min_size=32, max_size=32).map(hash_to_cid)
results = cids.filter(lambda cid: any(cid_to_hash(cid)))

markets = st.builds(
    Market,
    address=st.just(HERE),
    authority=keys,
    job_expiration=i64,
    job_price=u64,
    job_timeout=i64,
    job_type=u8,
    vault=keys,
    access_key=keys,
    xnos_minimum=u128,
    queue_type=st.sampled_from(QueueType),
    queue=st.lists(keys, max_size=5).map(tuple),
)
jobs = st.builds(
    Job,
    address=st.just(HERE),
    definition_cid=cids,
    result_cid=st.none() | results,
    market=keys,
    node=keys,
    payer=keys,
    price=u64,
    project=keys,
    state=st.sampled_from(JobState),
    time_end=i64,
    time_start=i64,
    timeout=i64,
)
runs = st.builds(Run, st.just(HERE), keys, keys, keys, u8, i64)
stakes = st.builds(Stake, st.just(HERE), keys, u64, u64, i64, keys, u128)
profiles = st.builds(NodeProfile, u8, u16, u16, u16, u16, u16, u16, texts, texts, texts)
nodes = st.builds(NodeAccount, st.just(HERE), keys, st.booleans(), profiles)


def stored(data: bytes, owner: Address) -> RawAccount:
    return RawAccount(HERE, owner, 1, data)


def test_job_vector() -> None:
    entry = STORED["JobAccount"]
    data = bytes.fromhex(entry["data_hex"])
    job = accounts.decode_job(stored(data, DEVNET.jobs), DEVNET)
    assert job.market == entry["args"]["market"]
    assert job.payer == job.project == entry["args"]["payer"]
    assert job.node == SYSTEM_PROGRAM
    assert (job.price, job.timeout, job.state, job.result_cid) == (100, 7200, JobState.QUEUED, None)
    assert cid_to_hash(job.definition_cid).hex() == entry["args"]["ipfsJob"]["hex"]
    assert accounts.encode_job(job, size=entry["borsh_len"]) == data
    assert len(accounts.encode_job(job)) == 240


def test_run_vector() -> None:
    entry = STORED["RunAccount"]
    data = bytes.fromhex(entry["data_hex"])
    run = accounts.decode_run(stored(data, DEVNET.jobs), DEVNET)
    args = entry["args"]
    assert (run.job, run.node, run.payer) == (args["job"], args["node"], args["payer"])
    assert (run.state, run.time) == (0, 1734307200)
    assert accounts.encode_run(run, size=entry["borsh_len"]) == data


def test_market_vector() -> None:
    entry = STORED["MarketAccount"]
    data = bytes.fromhex(entry["data_hex"])
    market = accounts.decode_market(stored(data + bytes(1000), DEVNET.jobs), DEVNET)
    assert list(market.queue) == entry["args"]["queue"]
    assert market.queue_type is QueueType.NODES
    assert (market.job_type, market.job_timeout, market.job_expiration) == (4, 7200, 86400)
    assert market.access_key == entry["args"]["nodeAccessKey"]
    assert accounts.encode_market(market, vault_bump=254, size=entry["borsh_len"]) == data
    assert len(accounts.encode_market(market)) == 10_224


def test_settings_vector() -> None:
    entry = STORED["SettingsAccount"]
    data = bytes.fromhex(entry["data_hex"])
    settings = accounts.decode_settings(stored(data, DEVNET.staking), DEVNET)
    assert settings.authority == entry["args"]["authority"]
    assert accounts.encode_settings(settings) == data


@given(markets, jobs, runs, stakes, nodes, st.binary(max_size=40))
def test_decoding_undoes_encoding(
    market: Market, job: Job, run: Run, stake: Stake, node: NodeAccount, tail: bytes
) -> None:
    assert accounts.decode_market(stored(accounts.encode_market(market, size=0) + tail, DEVNET.jobs), DEVNET) == market
    assert accounts.decode_job(stored(accounts.encode_job(job) + tail, DEVNET.jobs), DEVNET) == job
    assert accounts.decode_run(stored(accounts.encode_run(run) + tail, DEVNET.jobs), DEVNET) == run
    assert accounts.decode_stake(stored(accounts.encode_stake(stake) + tail, DEVNET.staking), DEVNET) == stake
    assert accounts.decode_node(stored(accounts.encode_node(node) + tail, DEVNET.nodes), DEVNET) == node


@given(keys, u128, u128, u128, u8)
def test_rewards_accounts_round_trip(key: Address, rate: int, totals: int, xnos: int, bump: int) -> None:
    reflection = accounts.Reflection(HERE, rate, totals, xnos, key, bump)
    reward = accounts.Reward(HERE, key, bump, totals, xnos)
    raw = accounts.encode_reflection(reflection)
    assert len(raw) == 96
    assert accounts.decode_reflection(stored(raw, DEVNET.rewards), DEVNET) == reflection
    raw = accounts.encode_reward(reward)
    assert len(raw) == 80
    assert accounts.decode_reward(stored(raw, DEVNET.rewards), DEVNET) == reward


DECODERS = [
    (accounts.decode_market, DEVNET.jobs, accounts.MARKET_DISCRIMINATOR),
    (accounts.decode_job, DEVNET.jobs, accounts.JOB_DISCRIMINATOR),
    (accounts.decode_run, DEVNET.jobs, accounts.RUN_DISCRIMINATOR),
    (accounts.decode_stake, DEVNET.staking, accounts.STAKE_DISCRIMINATOR),
    (accounts.decode_node, DEVNET.nodes, accounts.NODE_DISCRIMINATOR),
    (accounts.decode_settings, DEVNET.staking, accounts.SETTINGS_DISCRIMINATOR),
    (accounts.decode_reflection, DEVNET.rewards, accounts.REFLECTION_DISCRIMINATOR),
    (accounts.decode_reward, DEVNET.rewards, accounts.REWARD_DISCRIMINATOR),
    (token_accounts.decode_token_account, DEVNET.token, b""),
    (token_accounts.decode_metadata, DEVNET.metadata, b"\x04"),
]


@pytest.mark.parametrize(("decode", "owner", "start"), DECODERS, ids=lambda value: getattr(value, "__name__", ""))
@given(body=st.binary(max_size=300), headed=st.booleans())
def test_any_bytes_decode_or_are_malformed(
    decode: Any, owner: Address, start: bytes, body: bytes, headed: bool
) -> None:
    with suppress(AccountMalformed):
        assert decode(stored(start + body if headed else body, owner), DEVNET).address == HERE


@given(jobs)
def test_another_owner_or_kind_is_malformed(job: Job) -> None:
    data = accounts.encode_job(job)
    with pytest.raises(AccountMalformed, match="owned by"):
        accounts.decode_job(stored(data, DEVNET.staking), DEVNET)
    with pytest.raises(AccountMalformed, match="discriminator"):
        accounts.decode_run(stored(data, DEVNET.jobs), DEVNET)


def test_unknown_states_are_malformed() -> None:
    data = bytearray(bytes.fromhex(STORED["JobAccount"]["data_hex"]))
    data[accounts.JOB_STATE_OFFSET] = 1
    with pytest.raises(AccountMalformed, match="JobState"):
        accounts.decode_job(stored(bytes(data), DEVNET.jobs), DEVNET)


@given(keys, keys, u64)
def test_token_accounts(mint: Address, owner: Address, amount: int) -> None:
    account = token_accounts.TokenAccount(HERE, mint, owner, amount)
    raw = token_accounts.encode_token_account(account)
    assert len(raw) == 165
    assert token_accounts.decode_token_account(stored(raw, DEVNET.token), DEVNET) == account
    with pytest.raises(AccountMalformed, match="not initialised"):
        token_accounts.decode_token_account(stored(raw[:108] + b"\0" + raw[109:], DEVNET.token), DEVNET)


def text(value: str) -> bytes:
    return len(value).to_bytes(4, "little") + value.encode()


@pytest.mark.parametrize("creators", [0, 1, 3])
@pytest.mark.parametrize("verified", [True, False])
def test_metadata_with_any_number_of_creators(creators: int, verified: bool) -> None:
    key = bytes(range(32))
    listed = b"".join(bytes([n]) * 32 + b"\1\x21" for n in range(creators))
    raw = b"\4" + bytes(32) + key + text("Key") + text("K") + text("ipfs://x") + b"\0\0"
    raw += (b"\1" + creators.to_bytes(4, "little") + listed) if creators else b"\0"
    raw += b"\1\1" + b"\1\xff" + b"\1\4" + b"\1" + bytes([verified]) + key[::-1] + b"\0" + bytes(50)
    metadata = token_accounts.decode_metadata(stored(raw, DEVNET.metadata), DEVNET)
    assert metadata.collection == address_from_bytes(key[::-1])
    assert metadata.mint == address_from_bytes(key)
    assert metadata.verified is verified


def test_cid_vectors() -> None:
    for entry in [*VECTORS["cid"]["vectors"], *VECTORS["cid"]["known"]]:
        raw = bytes.fromhex(entry["bytes_hex"])
        assert hash_to_cid(raw) == entry["cid"]
        assert cid_to_hash(entry["cid"]) == raw
    for wrong in ("bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi", "Qm", "", "1" * 46, "Qm" + "0" * 44):
        with pytest.raises(ChainError, match="CIDv0"):
            cid_to_hash(wrong)
