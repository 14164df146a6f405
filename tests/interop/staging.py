"""Accounts that no client can make: those of programs a localnet does not have, and those that only time makes."""

from __future__ import annotations

import struct
import time
from typing import Any

from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from node.chain.accounts import encode_stake
from node.chain.addresses import derive, metadata_account, stake_account, to_address, to_key, token_account
from node.chain.clusters import Cluster
from node.localnet import spl
from node.localnet.app import Localnet
from node.records import Stake

MERKLE_DISTRIBUTOR = Pubkey.from_string("merkp8F8f5EgYSYKadk3YiuQQdo3JPdnJWKviaaF425")
_DISTRIBUTOR = bytes.fromhex("4d778b4654f70c1a")
_CLAIM_STATUS = bytes.fromhex("16b7f99df75f9660")
_UNSTAKED = 7_000_000
"""Micro-NOS."""


def stage(net: Localnet) -> dict[str, Any]:
    """Put them in place; where they are, for the flows."""
    return {"holder": _holder(net), "distributor": _distributor(net), "unstaked": _unstaked(net)}


def _place(net: Localnet, address: Pubkey, owner: Pubkey, data: bytes) -> None:
    bank = net.validator.bank
    bank.set_account(address, Account(bank.minimum_rent(len(data)), data, owner, False), 0)


def _unstaked(net: Localnet) -> dict[str, Any]:
    """A key whose stake of two weeks was given up three weeks ago, and is still in its vault."""
    cluster, owner = net.cluster, Keypair()
    address = to_address(owner.pubkey())
    vault, bump = derive(cluster.staking, b"vault", bytes(to_key(net.mint)), bytes(owner.pubkey()))
    stake = Stake(
        address=stake_account(cluster, address),
        authority=address,
        amount=_UNSTAKED,
        duration=14 * 86_400,
        time_unstake=int(time.time()) - 21 * 86_400,
        vault=vault,
        xnos=0,
    )
    _place(net, to_key(vault), spl.TOKEN_PROGRAM, spl.account_bytes(to_key(net.mint), to_key(vault), _UNSTAKED))
    _place(net, to_key(stake.address), to_key(cluster.staking), encode_stake(stake, bump))
    return {"key": list(bytes(owner)), "amount": _UNSTAKED}


def _holder(net: Localnet) -> dict[str, Any]:
    """A key that owns one token of a verified collection, with the metadata that says so."""
    holder, mint, collection = Keypair(), Keypair().pubkey(), Keypair().pubkey()
    owner = to_address(holder.pubkey())
    _place(net, mint, spl.TOKEN_PROGRAM, spl.mint_bytes(holder.pubkey(), decimals=0, supply=1))
    account = to_key(token_account(net.cluster, owner, to_address(mint)))
    _place(net, account, spl.TOKEN_PROGRAM, spl.account_bytes(mint, holder.pubkey(), 1))
    metadata = to_key(metadata_account(net.cluster, to_address(mint)))
    _place(net, metadata, to_key(net.cluster.metadata), metadata_bytes(holder.pubkey(), mint, collection))
    return {"key": list(bytes(holder)), "mint": str(mint), "collection": str(collection)}


def metadata_bytes(authority: Pubkey, mint: Pubkey, collection: Pubkey) -> bytes:
    """A token's description as the token metadata program stores it (Metaplex): padded texts, one creator, a
    verified collection; 679 bytes."""
    data = b"\x04" + bytes(authority) + bytes(mint)
    for text, size in (("gpunode pass", 32), ("PASS", 10), ("", 200)):
        data += struct.pack("<I", size) + text.encode().ljust(size, b"\0")
    data += struct.pack("<H", 0) + b"\x01" + struct.pack("<I", 1) + bytes(authority) + b"\x01\x64"
    data += b"\x00\x01" + b"\x01\xff" + b"\x01\x00" + b"\x01\x01" + bytes(collection) + b"\x00"
    return data.ljust(679, b"\0")


def _distributor(net: Localnet) -> dict[str, Any]:
    """A distributor of tokens and one claim on it, of a program that only public clusters have."""
    cluster: Cluster = net.cluster
    claimant, distributor = Keypair().pubkey(), Keypair().pubkey()
    status, _ = Pubkey.find_program_address([b"ClaimStatus", bytes(claimant), bytes(distributor)], MERKLE_DISTRIBUTOR)
    poster = net.keys["poster"].pubkey()
    vault = to_key(token_account(cluster, to_address(poster)))
    data = _DISTRIBUTOR + struct.pack("<BQ", 255, 0) + bytes(32) + bytes(to_key(net.mint)) + bytes(vault)
    data += struct.pack("<QQQQQqqq", 1_000_000, 1, 0, 0, 0, 0, 1, 1) + bytes(vault) + bytes(poster)
    data += struct.pack("<?Q?", False, 0, False) + bytes(96)
    _place(net, distributor, MERKLE_DISTRIBUTOR, data)
    claim = _CLAIM_STATUS + bytes(claimant) + struct.pack("<QQQQ?", 0, 0, 500_000, 500_000, False) + bytes(distributor)
    _place(net, status, MERKLE_DISTRIBUTOR, claim)
    return {"distributor": str(distributor), "claimant": str(claimant), "status": str(status)}
