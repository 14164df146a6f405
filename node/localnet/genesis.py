"""What exists from the first slot: programs, the NOS mint, staking and rewards accounts, a market, funded keys.

What stands on every cluster already is put in place as bytes (nobody here holds the key of the NOS mint's
address). The wallets and the market are made by transactions that the programs execute.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from solders.account import Account
from solders.pubkey import Pubkey

from node.chain.accounts import Reflection, StakingSettings, encode_reflection, encode_settings
from node.chain.addresses import (
    derive,
    rewards_reflection,
    staking_settings,
    to_address,
    to_key,
    token_account,
)
from node.chain.clusters import Cluster
from node.chain.instructions.markets import MarketTerms, open_market
from node.localnet import spl
from node.localnet.account_files import read_accounts
from node.localnet.artefacts import network_authority
from node.localnet.bank import Bank
from node.localnet.faucet import Faucet
from node.localnet.keys import Keys
from node.localnet.minting import WRAPPED_SOL
from node.localnet.sending import send
from node.localnet.validator import Validator
from node.records import Address

NOS_DECIMALS = 6
_SOL = 10**9
_FAUCET_LAMPORTS = 500_000_000 * _SOL
_WALLET_LAMPORTS = 1_000 * _SOL
_POSTER_NOS = 1_000_000 * 10**NOS_DECIMALS
_OWNER_NOS = 1_000 * 10**NOS_DECIMALS
_FIRST_RATE = 3_402_823_669_209_384_634_633_746
"""Of the rewards totals, before anyone takes part (Nosana rewards program)."""
_SYSTEM = Pubkey.default()
_INTERFACES = Path(__file__).resolve().parent / "accounts"

Programs = Mapping[Address, bytes]
"""Compiled programs by address."""


def deploy(bank: Bank, programs: Programs) -> None:
    """Deploy the programs: the same for a new chain and for a loaded one."""
    for address, code in programs.items():
        bank.add_program(to_key(address), code)


def place_interfaces(bank: Bank, cluster: Cluster) -> None:
    """Put the programs' interfaces in place where clients look for them (the `anchor:idl` accounts): each owned by
    its program. The pools program's is there as well, though not the program: clients ask for it."""
    for name in (f"jobs.{cluster.ids}", "nodes", "staking", "rewards", "pools"):
        for key, account in read_accounts(_INTERFACES / f"{name}.json", bank.minimum_rent):
            bank.set_account(key, account, 0)


def place_wrapped_sol(bank: Bank) -> None:
    """Put the mint of wrapped SOL in place, as a validator's genesis does."""
    bank.set_account(WRAPPED_SOL, Account(_SOL, spl.mint_bytes(None, decimals=9), spl.TOKEN_PROGRAM, False), 0)


def place_faucet(bank: Bank, keys: Keys) -> None:
    """Put the first SOL in place."""
    bank.set_account(keys["faucet"].pubkey(), Account(_FAUCET_LAMPORTS, b"", _SYSTEM, False), 0)


def place_accounts(bank: Bank, cluster: Cluster, keys: Keys) -> None:
    """Put in place what stands on every cluster before a market opens: the NOS mint, and the accounts that the
    staking and rewards programs made once and for all."""
    token, mint = to_key(cluster.token), to_key(cluster.nos_mint)
    authority = to_address(network_authority().pubkey())
    vault, vault_bump = derive(cluster.rewards, bytes(mint))
    settings = StakingSettings(
        address=staking_settings(cluster), authority=authority, token_account=token_account(cluster, authority)
    )
    reflection = Reflection(
        address=rewards_reflection(cluster),
        rate=_FIRST_RATE,
        total_reflection=0,
        total_xnos=0,
        vault=vault,
        vault_bump=vault_bump,
    )
    for address, owner, data in (
        (mint, token, spl.mint_bytes(keys["mint-authority"].pubkey(), decimals=NOS_DECIMALS)),
        (to_key(settings.address), to_key(cluster.staking), encode_settings(settings)),
        (to_key(reflection.address), to_key(cluster.rewards), encode_reflection(reflection)),
        (to_key(vault), token, spl.account_bytes(mint, to_key(vault), 0)),
    ):
        bank.set_account(address, Account(bank.minimum_rent(len(data)), data, owner, False), 0)


def run_genesis(
    validator: Validator, cluster: Cluster, keys: Keys, *, programs: Programs, market_price: int
) -> Address | None:
    """Fund the named keys and open the market; its address.

    None where the jobs program is not among the programs. Raises LocalnetError where a program refuses.
    """
    faucet = Faucet(validator, cluster, keys)
    owner = to_address(keys["market-authority"].pubkey())
    faucet.give(owner, lamports=_WALLET_LAMPORTS, nos=_OWNER_NOS)
    faucet.give(to_address(keys["poster"].pubkey()), lamports=_WALLET_LAMPORTS, nos=_POSTER_NOS)
    if cluster.jobs not in programs:
        return None
    market, authority = keys["market"], keys["market-authority"]
    address = to_address(market.pubkey())
    terms = MarketTerms(job_price=market_price)
    send(validator, authority, [open_market(cluster, market=address, authority=owner, terms=terms)], market)
    return address
