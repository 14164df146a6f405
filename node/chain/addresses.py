"""Addresses as text and as keys, and the program-derived addresses of the market programs.

Seeds are those of the Nosana jobs, nodes, staking and rewards programs and of the SPL associated token program.
"""

from __future__ import annotations

from solders.pubkey import Pubkey

from node.base58 import b58decode, b58encode
from node.chain.clusters import Cluster
from node.errors import ChainError
from node.records import Address, Cid

_MULTIHASH = bytes([0x12, 0x20])
"""sha2-256, 32 bytes: what every CIDv0 begins with."""
ZERO_HASH = bytes(32)
"""What a job account holds where there is no result yet."""


def to_key(address: str) -> Pubkey:
    """The key of a base58 address. Raises ChainError when the text is none."""
    try:
        return Pubkey.from_string(address)
    except ValueError as error:
        raise ChainError(
            f"{address[:60]!r} is not a Solana address",
            hint="An address is 32 bytes in base58, 32 to 44 letters and digits.",
        ) from error


def to_address(key: Pubkey) -> Address:
    """The base58 text of a key."""
    return Address(str(key))


def address_from_bytes(raw: bytes) -> Address:
    """The base58 text of 32 bytes."""
    return Address(str(Pubkey.from_bytes(raw)))


def cid_to_hash(cid: str) -> bytes:
    """The 32 bytes that a job account stores for a CIDv0. Raises ChainError for any other CID."""
    try:
        raw = b58decode(cid)
    except ValueError as error:
        raise ChainError(f"{cid[:80]!r} is not a CIDv0", hint="A CIDv0 is base58 and begins with Qm.") from error
    if len(raw) != 34 or raw[:2] != _MULTIHASH:
        raise ChainError(f"{cid[:80]!r} is not a CIDv0", hint="A CIDv0 is base58 and begins with Qm.")
    return raw[2:]


def hash_to_cid(raw: bytes) -> Cid:
    """The CIDv0 for the 32 bytes of a job account."""
    if len(raw) != 32:
        raise ChainError(f"a stored content hash has 32 bytes, not {len(raw)}")
    return Cid(b58encode(_MULTIHASH + raw))


def derive(program: Address, *seeds: bytes) -> tuple[Address, int]:
    """The program-derived address for the seeds, and its bump."""
    key, bump = Pubkey.find_program_address(list(seeds), to_key(program))
    return to_address(key), bump


def _raw(address: Address) -> bytes:
    return bytes(to_key(address))


def market_vault(cluster: Cluster, market: Address) -> Address:
    """Where a market keeps its posters' deposits (Nosana jobs program, seeds [market, mint])."""
    return derive(cluster.jobs, _raw(market), _raw(cluster.nos_mint))[0]


def stake_account(cluster: Cluster, authority: Address) -> Address:
    """The stake account of a key (Nosana staking program, seeds ["stake", mint, authority])."""
    return derive(cluster.staking, b"stake", _raw(cluster.nos_mint), _raw(authority))[0]


def stake_vault(cluster: Cluster, authority: Address) -> Address:
    """Where the staked NOS lies (Nosana staking program, seeds ["vault", mint, authority])."""
    return derive(cluster.staking, b"vault", _raw(cluster.nos_mint), _raw(authority))[0]


def staking_settings(cluster: Cluster) -> Address:
    """The settings account (Nosana staking program, seeds ["settings"])."""
    return derive(cluster.staking, b"settings")[0]


def reward_account(cluster: Cluster, authority: Address) -> Address:
    """The reward account of a key (Nosana rewards program, seeds ["reward", authority])."""
    return derive(cluster.rewards, b"reward", _raw(authority))[0]


def rewards_reflection(cluster: Cluster) -> Address:
    """The account of the totals (Nosana rewards program, seeds ["reflection"])."""
    return derive(cluster.rewards, b"reflection")[0]


def rewards_vault(cluster: Cluster) -> Address:
    """Where rewards wait to be claimed (Nosana rewards program, seeds [mint])."""
    return derive(cluster.rewards, _raw(cluster.nos_mint))[0]


def node_account(cluster: Cluster, authority: Address) -> Address:
    """The registration of a host (Nosana nodes program, seeds ["node", authority])."""
    return derive(cluster.nodes, b"node", _raw(authority))[0]


def token_account(
    cluster: Cluster, owner: Address, mint: Address | None = None, program: Address | None = None
) -> Address:
    """The associated token account of an owner, for NOS unless another mint is named.

    `program` is the token program that owns the mint: SPL Token unless said.
    """
    return derive(cluster.ata, _raw(owner), _raw(program or cluster.token), _raw(mint or cluster.nos_mint))[0]


def metadata_account(cluster: Cluster, mint: Address) -> Address:
    """The Metaplex metadata account of a mint (seeds ["metadata", program, mint])."""
    return derive(cluster.metadata, b"metadata", _raw(cluster.metadata), _raw(mint))[0]
