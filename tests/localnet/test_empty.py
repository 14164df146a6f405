"""A chain that begins with programs only, and what a test-suite from outside makes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from node.chain import addresses
from node.chain.accounts import RUN_DISCRIMINATOR
from node.chain.addresses import to_address, to_key
from node.chain.clusters import IdSet, localnet
from node.chain.instructions import jobs, rewards, staking
from node.chain.instructions.markets import MarketTerms, open_market
from node.chain.instructions.tokens import create_token_account
from node.errors import LocalnetError
from node.localnet import spl
from node.localnet.account_files import account_json
from node.localnet.app import Localnet
from node.localnet.artefacts import market_admin, network_authority
from node.localnet.options import LocalnetOptions
from node.records import Cid
from tests.localnet.commands import chain, done, refused
from tests.localnet.suite import Suite, metadata, mint_to, named

QUIET = LocalnetOptions(rpc_port=0, content_port=0, slot_ms=0, empty=True)
DEFINITION = Cid("QmPK1s3pNYLi9ERiq3BDxKa4XosgWwFRQUydHUtz4YgpqB")
DAY = 86_400


@pytest.mark.parametrize("ids", ["devnet", "mainnet"])
async def test_nothing_but_programs_interfaces_and_a_faucet(ids: IdSet) -> None:
    async with Localnet.start(replace(QUIET, ids=ids)) as net:
        cluster = net.cluster
        ours = {cluster.jobs, cluster.nodes, cluster.staking, cluster.rewards}
        assert net.describe()["empty"] is True
        assert net.market is None
        assert set(net.programs) == ours
        assert set(net.keys) == {"faucet", "market-admin", "network-authority"}
        assert net.keys["market-admin"] == market_admin()
        assert net.keys["network-authority"] == network_authority()
        code = {to_address(addresses.to_key(address)) for address in ours}
        loader = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
        placed = {to_address(key): account for key, account in net.validator.bank.dump() if account.owner != loader}
        interfaces = {address: account for address, account in placed.items() if account.data[:8].hex() == INTERFACE}
        assert placed.keys() - interfaces.keys() == {
            str(net.keys["faucet"].pubkey()),
            "So11111111111111111111111111111111111111112",
        }
        assert {str(account.owner) for account in interfaces.values()} == code | {POOLS}
        for address, account in interfaces.items():
            assert address == interface_of(account.owner)
            assert account.lamports == net.validator.bank.minimum_rent(len(account.data))


INTERFACE = "184662bf3a907b9e"
POOLS = "nosPdZrfDzND1LAR28FLMDEATUPK53K8xbRBXAirevD"


def interface_of(program: Pubkey) -> str:
    """Where a program's `anchor:idl` account is."""
    base, _ = Pubkey.find_program_address([], program)
    return str(Pubkey.create_with_seed(base, "anchor:idl", program))


async def test_programs_look_as_a_validators_genesis_makes_them(still_localnet: Localnet) -> None:
    bank = still_localnet.validator.bank
    for program in bank.programs():
        assert program.authority == Pubkey.default()
        key = bank.account(program.address, 10**9)
        place, _ = Pubkey.find_program_address([bytes(program.address)], key.owner) if key else (None, 0)
        assert key is not None
        assert place is not None
        assert (key.executable, key.data) == (True, bytes([2, 0, 0, 0]) + bytes(place))
        code = bank.account(place, 10**9)
        assert code is not None
        assert code.data[:45] == bytes([3, 0, 0, 0]) + bytes(8) + b"\x01" + bytes(32)
        assert code.lamports == bank.minimum_rent(len(code.data))


async def test_no_nos_where_there_is_no_mint() -> None:
    async with Localnet.start(QUIET) as net:
        with pytest.raises(LocalnetError, match=f"{net.mint} is no token mint on this chain") as error:
            net.fund(named(Keypair()), nos=1)
        assert error.value.hint == "Create the mint first."
        assert net.fund(named(Keypair()), sol=1).lamports == 10**9


async def test_an_empty_chain_is_saved_as_one(tmp_path: Path) -> None:
    state = tmp_path / "chain.zip"
    async with Localnet.start(replace(QUIET, state=state)) as net:
        first = net.describe()
    for options in (replace(QUIET, state=state), replace(QUIET, state=state, empty=False)):
        async with Localnet.start(options) as net:
            again = net.describe()
            assert {name: again[name] for name in ("empty", "market", "keys", "genesis_hash", "programs")} == {
                name: first[name] for name in ("empty", "market", "keys", "genesis_hash", "programs")
            }
    full = tmp_path / "full.zip"
    async with Localnet.start(replace(QUIET, state=full, empty=False)):
        pass
    with pytest.raises(LocalnetError, match="the saved chain is not empty"):
        async with Localnet.start(replace(QUIET, state=full)):
            pass


@pytest.mark.long
async def test_a_test_suite_from_outside(tmp_path: Path) -> None:
    cluster, authority, collection = localnet("devnet"), Keypair(), Pubkey.new_unique()
    # The suite would create the mint with the key of its address, which is not ours to have.
    mint = Account(1_461_600, spl.mint_bytes(authority.pubkey(), decimals=6), spl.TOKEN_PROGRAM, False)
    file = tmp_path / "mint.json"
    file.write_text(json.dumps(account_json(to_key(cluster.nos_mint), mint)))
    async with (
        chain("--empty", "--account", file, "--keys", tmp_path / "keys", "--slot-ms", 40) as net,
        AsyncClient(net["rpc_url"], Confirmed) as client,
    ):
        rpc, suite = net["rpc_url"], Suite(client)
        payer = await suite.wallet()
        held = {}
        for role in ("node", "poster"):
            held[role] = key = await suite.wallet()
            account = addresses.token_account(cluster, named(key))
            made = create_token_account(cluster, payer=named(payer), owner=named(key))
            gift = mint_to(to_key(cluster.nos_mint), account, authority, 1_000 * 10**6)
            await suite.send([made, gift], payer, authority)
        node, poster = held["node"], held["poster"]
        await suite.send([staking.init(cluster, authority=named(payer))], payer)
        await suite.send([rewards.init(cluster, authority=named(payer))], payer)
        for made_once, owner in (
            (addresses.staking_settings(cluster), cluster.staking),
            (addresses.rewards_reflection(cluster), cluster.rewards),
        ):
            found = (await client.get_account_info(to_key(made_once))).value
            assert found is not None
            assert to_address(found.owner) == owner

        stake = staking.stake(cluster, authority=named(node), amount=100 * 10**6, duration=30 * DAY)
        await suite.send([stake, rewards.enter(cluster, authority=named(node))], node)
        purse = addresses.token_account(cluster, named(poster))
        await suite.send([rewards.add_fee(cluster, user=purse, authority=named(poster), amount=10**6)], poster)

        # An access key: a token of its own mint, whose metadata nobody's program wrote.
        nft = Keypair()
        await suite.create_mint(payer, nft, 0)
        (tmp_path / "metadata.json").write_text(
            json.dumps(
                account_json(
                    to_key(addresses.metadata_account(cluster, to_address(nft.pubkey()))),
                    metadata(nft.pubkey(), collection),
                )
            )
        )
        await done("set-account", tmp_path / "metadata.json", "--rpc", rpc)
        minted = await done("mint", nft.pubkey(), node.pubkey(), 1, "--rpc", rpc)
        assert await suite.tokens(minted["tokenAccount"]) == 1, "though its authority is the suite's own"

        market, run = Keypair(), Keypair()
        terms = MarketTerms(job_price=10, job_expiration=60, access_key=to_address(collection))
        await suite.send(
            [open_market(cluster, market=named(market), authority=named(payer), terms=terms)], payer, market
        )
        knock = jobs.work(
            cluster,
            run=named(run),
            market=named(market),
            authority=named(node),
            nft=minted["tokenAccount"],
            nft_mint=named(nft),
        )
        await suite.send([knock], node, run)
        job, run = Keypair(), Keypair()
        post = jobs.list_job(
            cluster,
            job=named(job),
            run=named(run),
            market=named(market),
            payer=named(poster),
            authority=named(poster),
            definition=DEFINITION,
            timeout=3_600,
        )
        await suite.send([post], poster, job, run)
        running = (await client.get_account_info(run.pubkey())).value
        assert running is not None
        assert running.data[:8] == RUN_DISCRIMINATOR
        # Two hours later the whole timeout is paid and nothing comes back.
        await done("advance", "--seconds", 7_200, "--rpc", rpc)
        before = await suite.tokens(addresses.token_account(cluster, named(node)))
        finish = jobs.finish(
            cluster,
            job=named(job),
            run=named(run),
            market=named(market),
            payer_run=named(poster),  # who posted it made the run
            payer_job=named(poster),
            authority=named(node),
            user=addresses.token_account(cluster, named(node)),
            result=DEFINITION,
        )
        await suite.send([finish], node)
        assert await suite.tokens(addresses.token_account(cluster, named(node))) == before + 36_000
        # A stake is free 30 days after unstaking, not before.
        await suite.send([rewards.claim(cluster, authority=named(node))], node)
        await suite.send([rewards.close(cluster, authority=named(node))], node)
        await suite.send([staking.unstake(cluster, authority=named(node))], node)
        await done("advance", "--seconds", 30 * DAY + 1, "--rpc", rpc)
        await suite.send([staking.withdraw(cluster, authority=named(node))], node)
        await suite.send([staking.close(cluster, authority=named(node))], node)
        assert await suite.tokens(addresses.token_account(cluster, named(node))) > 1_000 * 10**6
        # And what the job left behind is cleaned up once it has expired.
        clean = jobs.clean_job(cluster, job=named(job), market=named(market), payer=named(poster))
        await suite.send([clean], payer)
        assert (await client.get_account_info(job.pubkey())).value is None


@pytest.mark.long
async def test_what_cannot_be_begun_with_is_said(tmp_path: Path) -> None:
    start = ("start", "--rpc-port", 0, "--content-port", 0)
    text = tmp_path / "text.so"
    text.write_text("no program")
    key = Keypair().pubkey()
    for arguments, status, said in (
        (("--program", "text.so"), 2, "--program 'text.so' names no file"),
        (("--program", f"abc={text}"), 2, "'abc' is not a Solana address"),
        (("--program", f"{key}={tmp_path}/none.so"), 1, "none.so cannot be read: No such file or directory"),
        (("--program", f"{key}={text}"), 1, "text.so is no compiled program"),
        (("--account", tmp_path / "none.json"), 1, "none.json cannot be read: No such file or directory"),
        (("--account", text), 1, "text.so cannot be read: it is not JSON"),
        (("--ids", "testnet"), 2, "there is no set of program addresses named 'testnet'"),
    ):
        error = await refused(*start, *arguments)
        assert error["status"] == status
        assert said in error["message"]
        assert error["hint"]
