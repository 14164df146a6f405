"""Instruction builders against the published interfaces and against bytes made by the official client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from solders.instruction import Instruction
from spl.token import instructions as spl
from spl.token.constants import TOKEN_2022_PROGRAM_ID
from spl.token.models import TransferParams

from node.chain import addresses
from node.chain.addresses import address_from_bytes
from node.chain.clusters import DEVNET, MAINNET, cluster_named, localnet
from node.chain.codec import account_discriminator, instruction_discriminator
from node.chain.instructions import jobs, markets, nodes, rewards, staking, tokens
from node.errors import ChainError, UsageError
from node.records import Address, Cid, NodeProfile

HERE = Path(__file__).parent
VECTORS: dict[str, Any] = json.loads((HERE / "vectors.json").read_text())
INTERFACES: dict[str, Any] = json.loads((HERE / "interfaces.json").read_text())
SENT = {entry["name"]: entry for entry in VECTORS["instructions"]["list"]}
WALLET = Address(VECTORS["instructions"]["wallet"])
MARKET = Address(VECTORS["instructions"]["market"])
CID = Cid("QmVp8m3Uq1Cm6JJ3NsuTMSGLNnqXa1mC85uV7YxBREQ78p")


def key(number: int) -> Address:
    return address_from_bytes(bytes([number]) * 32)


JOB, RUN, NODE, PAYER, OTHER, PROJECT, USER, DEPOSIT = (key(n) for n in range(1, 9))
PROFILE = NodeProfile(0, 276, 16, 2, 64, 65535, 1000, "e", "", "1.0")
TERMS = markets.MarketTerms(1, 2, 3, 4, 5, OTHER)
VAULT = addresses.market_vault(DEVNET, MARKET)
STAKE = addresses.stake_account(DEVNET, WALLET)
STAKE_VAULT = addresses.stake_vault(DEVNET, WALLET)
ATA = addresses.token_account(DEVNET, WALLET)
REFLECTION = addresses.rewards_reflection(DEVNET)
REWARDS_VAULT = addresses.rewards_vault(DEVNET)
REWARD = addresses.reward_account(DEVNET, WALLET)
NODE_ACCOUNT = addresses.node_account(DEVNET, WALLET)
SETTINGS = addresses.staking_settings(DEVNET)

# program, instruction, what the builder makes, the accounts by the interface's names
CASES: list[tuple[str, str, Instruction, dict[str, Address]]] = [
    (
        "jobs",
        "list",
        jobs.list_job(
            DEVNET, job=JOB, run=RUN, market=MARKET, payer=PAYER, authority=WALLET, definition=CID, timeout=9, user=USER
        ),
        {"job": JOB, "run": RUN, "user": USER, "payer": PAYER},
    ),
    (
        "jobs",
        "assign",
        jobs.assign_job(
            DEVNET,
            job=JOB,
            run=RUN,
            market=MARKET,
            node=NODE,
            payer=WALLET,
            authority=WALLET,
            definition=CID,
            timeout=9,
        ),
        {"job": JOB, "run": RUN, "node": NODE, "user": ATA, "payer": WALLET},
    ),
    (
        "jobs",
        "extend",
        jobs.extend_job(DEVNET, job=JOB, market=MARKET, authority=WALLET, payer=PAYER, timeout=9, user=USER),
        {"job": JOB, "payer": PAYER, "user": USER},
    ),
    (
        "jobs",
        "delist",
        jobs.delist_job(DEVNET, job=JOB, market=MARKET, payer=PAYER, authority=WALLET, deposit=DEPOSIT),
        {"job": JOB, "payer": PAYER, "deposit": DEPOSIT},
    ),
    (
        "jobs",
        "end",
        jobs.end_job(
            DEVNET,
            job=JOB,
            market=MARKET,
            run=RUN,
            payer_job=WALLET,
            payer_run=PAYER,
            node=WALLET,
            authority=WALLET,
            deposit=DEPOSIT,
        ),
        {"job": JOB, "run": RUN, "deposit": DEPOSIT, "user": ATA, "payer": PAYER},
    ),
    (
        "jobs",
        "recover",
        jobs.recover_job(DEVNET, job=JOB, market=MARKET, payer=PAYER, authority=WALLET, user=USER),
        {"job": JOB, "payer": PAYER, "user": USER},
    ),
    ("jobs", "clean", jobs.clean_job(DEVNET, job=JOB, market=MARKET, payer=PAYER), {"job": JOB, "payer": PAYER}),
    (
        "jobs",
        "work",
        jobs.work(DEVNET, run=RUN, market=MARKET, authority=WALLET, payer=PAYER),
        {"run": RUN, "payer": PAYER, "stake": STAKE, "nft": ATA, "metadata": DEVNET.system},
    ),
    (
        "jobs",
        "claim",
        jobs.claim(DEVNET, job=JOB, run=RUN, market=MARKET, authority=WALLET, nft=USER, nft_mint=OTHER),
        {
            "job": JOB,
            "run": RUN,
            "payer": WALLET,
            "stake": STAKE,
            "nft": USER,
            "metadata": addresses.metadata_account(DEVNET, OTHER),
        },
    ),
    ("jobs", "stop", jobs.stop(DEVNET, market=MARKET, node=NODE, authority=WALLET), {"node": NODE}),
    (
        "jobs",
        "finish",
        jobs.finish(
            DEVNET,
            job=JOB,
            run=RUN,
            market=MARKET,
            payer_run=PAYER,
            payer_job=OTHER,
            authority=WALLET,
            user=USER,
            result=CID,
        ),
        {
            "job": JOB,
            "run": RUN,
            "deposit": addresses.token_account(DEVNET, OTHER),
            "user": USER,
            "payer_run": PAYER,
            "payer_job": OTHER,
        },
    ),
    ("jobs", "complete", jobs.complete(DEVNET, job=JOB, authority=WALLET, result=CID), {"job": JOB}),
    (
        "jobs",
        "quit",
        jobs.quit_run(DEVNET, job=JOB, run=RUN, payer_run=PAYER, authority=WALLET),
        {"job": JOB, "run": RUN, "payer": PAYER},
    ),
    (
        "jobs",
        "open",
        markets.open_market(DEVNET, market=MARKET, authority=WALLET, terms=TERMS),
        {"access_key": OTHER},
    ),
    (
        "jobs",
        "update",
        markets.update_market(DEVNET, market=MARKET, authority=WALLET, terms=TERMS),
        {"access_key": OTHER},
    ),
    ("jobs", "close", markets.close_market(DEVNET, market=MARKET, user=USER, authority=WALLET), {"user": USER}),
    (
        "jobs",
        "close_admin",
        markets.close_market_as_admin(DEVNET, market=MARKET, user=USER, authority=WALLET),
        {"user": USER},
    ),
    (
        "jobs",
        "quit_admin",
        markets.quit_run_as_admin(DEVNET, run=RUN, payer_run=PAYER, authority=WALLET),
        {"run": RUN, "payer": PAYER},
    ),
    (
        "jobs",
        "clean_admin",
        markets.clean_job_as_admin(DEVNET, job=JOB, payer=PAYER, authority=WALLET),
        {"job": JOB, "payer": PAYER},
    ),
    (
        "nodes",
        "register",
        nodes.register(DEVNET, authority=WALLET, profile=PROFILE, payer=PAYER),
        {"node": NODE_ACCOUNT, "payer": PAYER},
    ),
    ("nodes", "update", nodes.update(DEVNET, authority=WALLET, profile=PROFILE), {"node": NODE_ACCOUNT}),
    ("nodes", "audit", nodes.audit(DEVNET, node=NODE, authority=WALLET, audited=True), {"node": NODE}),
    ("staking", "init", staking.init(DEVNET, authority=WALLET), {"settings": SETTINGS}),
    ("staking", "stake", staking.stake(DEVNET, authority=WALLET, amount=7, duration=8), {"user": ATA}),
    ("staking", "topup", staking.topup(DEVNET, authority=WALLET, amount=7, user=USER), {"user": USER}),
    ("staking", "extend", staking.extend(DEVNET, authority=WALLET, duration=8), {}),
    ("staking", "unstake", staking.unstake(DEVNET, authority=WALLET), {"reward": REWARD}),
    ("staking", "restake", staking.restake(DEVNET, authority=WALLET), {}),
    ("staking", "withdraw", staking.withdraw(DEVNET, authority=WALLET), {"user": ATA}),
    ("staking", "close", staking.close(DEVNET, authority=WALLET), {"user": ATA}),
    (
        "staking",
        "slash",
        staking.slash(DEVNET, staker=WALLET, token_account=USER, authority=OTHER, amount=7),
        {"token_account": USER, "authority": OTHER, "settings": SETTINGS},
    ),
    (
        "staking",
        "update_settings",
        staking.update_settings(DEVNET, authority=OTHER, new_authority=PAYER, token_account=USER),
        {"new_authority": PAYER, "token_account": USER, "settings": SETTINGS, "authority": OTHER},
    ),
    ("rewards", "init", rewards.init(DEVNET, authority=WALLET), {}),
    ("rewards", "enter", rewards.enter(DEVNET, authority=WALLET), {}),
    ("rewards", "add_fee", rewards.add_fee(DEVNET, user=USER, authority=WALLET, amount=7), {"user": USER}),
    ("rewards", "claim", rewards.claim(DEVNET, authority=WALLET), {"user": ATA}),
    ("rewards", "sync", rewards.sync(DEVNET, staker=WALLET), {}),
    ("rewards", "close", rewards.close(DEVNET, authority=WALLET), {}),
]
EVERYWHERE = {
    "authority": WALLET,
    "system_program": DEVNET.system,
    "token_program": DEVNET.token,
    "rewards_program": DEVNET.rewards,
    "rent": DEVNET.rent,
    "mint": DEVNET.nos_mint,
    "rewards_reflection": REFLECTION,
    "rewards_vault": REWARDS_VAULT,
    "reflection": REFLECTION,
    "reward": REWARD,
    "stake": STAKE,
    "market": MARKET,
}
VAULTS = {"jobs": VAULT, "nodes": NODE_ACCOUNT, "staking": STAKE_VAULT, "rewards": REWARDS_VAULT}
# Values of the arguments by name, as the cases above give them.
ARGUMENTS: dict[str, int] = {
    "job_expiration": 1,
    "job_price": 2,
    "job_timeout": 3,
    "job_type": 4,
    "node_xnos_minimum": 5,
    "node_stake_minimum": 5,
    "timeout": 9,
    "amount": 7,
    "duration": 8,
    "audited": 1,
    "architecture_type": 0,
    "country_code": 276,
    "cpu": 16,
    "gpu": 2,
    "memory": 64,
    "iops": 65535,
    "storage": 1000,
}
WIDTHS = {"u8": 1, "bool": 1, "u16": 2, "u64": 8, "i64": 8, "u128": 16}
TEXTS = {"endpoint": "e", "icon": "", "version": "1.0"}


def flags(instruction: Instruction) -> list[tuple[str, str]]:
    return [(str(meta.pubkey), "W" * meta.is_writable + "S" * meta.is_signer) for meta in instruction.accounts]


def expected_data(interface: dict[str, Any]) -> bytes:
    data = bytes.fromhex(interface["discriminator"])
    for name, kind in interface["args"]:
        if kind == "[u8;32]":
            data += addresses.cid_to_hash(CID)
        elif kind == "string":
            data += len(TEXTS[name]).to_bytes(4, "little") + TEXTS[name].encode()
        else:
            data += ARGUMENTS[name].to_bytes(WIDTHS[kind], "little")
    return data


@pytest.mark.parametrize(("program", "name", "made", "named"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_builder_follows_the_interface(program: str, name: str, made: Instruction, named: dict[str, Address]) -> None:
    interface = INTERFACES[program][name]
    known = EVERYWHERE | {"vault": VAULTS[program]} | named
    assert str(made.program_id) == getattr(DEVNET, program)
    assert flags(made) == [(known[account], marks) for account, marks in interface["accounts"]]
    assert bytes(made.data) == expected_data(interface)


def test_every_instruction_has_a_builder() -> None:
    built = {(program, name) for program, name, _, _ in CASES}
    assert built == {(program, name) for program, table in INTERFACES.items() for name in table}


def test_older_finish_has_the_other_order() -> None:
    made = jobs.finish_older(
        DEVNET,
        job=JOB,
        run=RUN,
        market=MARKET,
        payer_run=PAYER,
        payer_job=OTHER,
        project=PROJECT,
        authority=WALLET,
        user=USER,
        result=CID,
        deposit=DEPOSIT,
    )
    assert flags(made) == [
        (JOB, "W"),
        (RUN, "W"),
        (MARKET, ""),
        (VAULT, "W"),
        (DEPOSIT, "W"),
        (USER, "W"),
        (OTHER, "W"),
        (PAYER, "W"),
        (PROJECT, "W"),
        (WALLET, "S"),
        (DEVNET.token, ""),
    ]
    assert bytes(made.data).hex().startswith("434aaa847de9b625")


ROLES = {"writable_signer": "WS", "writable": "W", "readonly_signer": "S", "readonly": ""}


def sent(name: str) -> tuple[list[tuple[str, str]], str]:
    entry = SENT[name]
    return [(a["address"], ROLES[a["role"]]) for a in entry["accounts"]], entry["data_hex"]


def test_list_is_what_the_official_client_sends() -> None:
    made = jobs.list_job(
        DEVNET, job=JOB, run=RUN, market=MARKET, payer=WALLET, authority=WALLET, definition=CID, timeout=3600
    )
    metas, data = sent("list")
    metas[0], metas[2] = (JOB, "WS"), (RUN, "WS")
    assert (flags(made), bytes(made.data).hex()) == (metas, data)


def test_work_is_what_the_official_client_sends() -> None:
    made = jobs.work(DEVNET, run=RUN, market=MARKET, authority=WALLET)
    metas, data = sent("work (no access key)")
    metas[0] = (RUN, "WS")
    assert (flags(made), bytes(made.data).hex()) == (metas, data)


def test_the_rest_is_what_the_official_client_sends() -> None:
    made = jobs.stop(DEVNET, market=MARKET, node=WALLET)
    assert (flags(made), bytes(made.data).hex()) == sent("stop")
    made = markets.close_market(DEVNET, market=MARKET, user=ATA, authority=WALLET)
    assert (flags(made), bytes(made.data).hex()) == sent("close")
    metas, data = sent("quit")
    job, run, payer = (Address(address) for address, _ in metas[:3])
    made = jobs.quit_run(DEVNET, job=job, run=run, payer_run=payer, authority=WALLET)
    assert (flags(made), bytes(made.data).hex()) == (metas, data)


def test_pda_vectors() -> None:
    for entry in VECTORS["pda"]["list"]:
        seeds = [s.encode() if s.islower() else bytes(addresses.to_key(s)) for s in entry["seeds"]]
        assert addresses.derive(Address(entry["program"]), *seeds) == (entry["address"], entry["bump"])
    for entry in VECTORS["pda"]["ata"]:
        assert addresses.token_account(DEVNET, Address(entry["owner"]), Address(entry["mint"])) == entry["ata"]


def test_named_pdas_are_the_vectors() -> None:
    by_label = {entry["label"]: entry["address"] for entry in VECTORS["pda"]["list"]}
    assert by_label["rewards reflection"] == REFLECTION
    assert addresses.rewards_vault(MAINNET) == by_label["rewards vault (mainnet NOS)"]
    assert addresses.market_vault(MAINNET, MARKET) == by_label["market vault mainnet"]
    assert by_label["stake vault"] == STAKE_VAULT
    assert by_label["reward account"] == REWARD


def test_discriminator_vectors() -> None:
    for table in VECTORS["instructions"]["discriminators"].values():
        for name, value in table.items():
            stem = name.removesuffix("_DISCRIMINATOR").lower()
            if stem.endswith("_account"):
                camel = "".join(part.capitalize() for part in stem.split("_"))
                assert account_discriminator(camel).hex() == value
            else:
                assert instruction_discriminator(stem).hex() == value


@pytest.mark.parametrize(
    ("amount", "duration", "weight"),
    [(10**10, 1_209_600, 11_150_684_931), (10**10, 31_536_000, 40_000_000_000), (0, 31_536_000, 0)],
)
def test_stake_weight(amount: int, duration: int, weight: int) -> None:
    assert staking.weight(amount, duration) == weight


def test_token_instructions() -> None:
    made = tokens.create_token_account(DEVNET, payer=PAYER, owner=WALLET)
    assert flags(made)[:2] == [(PAYER, "WS"), (ATA, "W")]
    assert bytes(made.data) == b"\1"
    made = tokens.transfer_tokens(DEVNET, source=ATA, destination=USER, owner=WALLET, amount=5)
    assert flags(made) == [(ATA, "W"), (USER, "W"), (WALLET, "S")]
    assert bytes(made.data) == b"\3" + (5).to_bytes(8, "little")
    made = tokens.transfer_lamports(source=WALLET, destination=USER, lamports=5)
    assert flags(made) == [(WALLET, "WS"), (USER, "W")]


def test_token_instructions_are_those_of_the_spl_builders() -> None:
    to_key = addresses.to_key
    for mint in (None, OTHER):
        made = tokens.create_token_account(DEVNET, payer=PAYER, owner=WALLET, mint=mint)
        named = to_key(mint or DEVNET.nos_mint)
        assert made == spl.create_idempotent_associated_token_account(to_key(PAYER), to_key(WALLET), named)
    newer = TOKEN_2022_PROGRAM_ID
    made = tokens.create_token_account(DEVNET, payer=PAYER, owner=WALLET, program=Address(str(newer)))
    named = to_key(DEVNET.nos_mint)
    assert made == spl.create_idempotent_associated_token_account(to_key(PAYER), to_key(WALLET), named, newer)
    made = tokens.transfer_tokens(DEVNET, source=ATA, destination=USER, owner=WALLET, amount=2**64 - 1)
    assert made == spl.transfer(
        TransferParams(
            program_id=to_key(DEVNET.token),
            source=to_key(ATA),
            dest=to_key(USER),
            owner=to_key(WALLET),
            amount=2**64 - 1,
        )
    )


def test_clusters() -> None:
    assert localnet("mainnet").jobs == MAINNET.jobs
    assert localnet().nos_mint == DEVNET.nos_mint
    assert cluster_named("localnet").genesis_hash is None
    assert cluster_named("mainnet") is MAINNET
    with pytest.raises(UsageError):
        cluster_named("testnet")


@pytest.mark.parametrize("text", ["", "x", "0" * 44, "é" * 40])
def test_bad_addresses_are_chain_errors(text: str) -> None:
    with pytest.raises(ChainError, match="not a Solana address"):
        addresses.to_key(text)
