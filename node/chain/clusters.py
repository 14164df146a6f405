"""The clusters this product knows, and the program addresses on each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from node.errors import UsageError
from node.records import SYSTEM_PROGRAM, Address

ClusterName = Literal["mainnet", "devnet", "localnet"]
IdSet = Literal["mainnet", "devnet"]

# The same on every cluster.
TOKEN_PROGRAM = Address("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
ATA_PROGRAM = Address("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
MEMO_PROGRAM = Address("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
METADATA_PROGRAM = Address("metaqbxxUerdq28cj1RbAWkYQm3ybzjb6a8bt518x1s")
COMPUTE_BUDGET_PROGRAM = Address("ComputeBudget111111111111111111111111111111")
RENT_SYSVAR = Address("SysvarRent111111111111111111111111111111111")


@dataclass(frozen=True, slots=True)
class Cluster:
    """One chain: its name, which set of program addresses it uses, and those addresses."""

    name: ClusterName
    ids: IdSet
    """Which of the network's published address sets (the jobs program and the NOS mint differ)."""
    jobs: Address
    nodes: Address
    staking: Address
    rewards: Address
    nos_mint: Address
    """The NOS mint: 6 decimals, so 1 NOS = 1,000,000 micro-NOS."""
    genesis_hash: str | None
    """Base58; None where every chain has its own (localnet)."""
    token: Address = TOKEN_PROGRAM
    ata: Address = ATA_PROGRAM
    memo: Address = MEMO_PROGRAM
    metadata: Address = METADATA_PROGRAM
    compute_budget: Address = COMPUTE_BUDGET_PROGRAM
    rent: Address = RENT_SYSVAR
    system: Address = SYSTEM_PROGRAM


DEVNET = Cluster(
    name="devnet",
    ids="devnet",
    jobs=Address("nosJTmGQxvwXy23vng5UjkTbfv91Bzf9jEuro78dAGR"),
    nodes=Address("nosNeZR64wiEhQc5j251bsP4WqDabT6hmz4PHyoHLGD"),
    staking=Address("nosScmHY2uR24Zh751PmGj9ww9QRNHewh9H59AfrTJE"),
    rewards=Address("nosRB8DUV67oLNrL45bo2pFLrmsWPiewe2Lk2DRNYCp"),
    nos_mint=Address("devr1BGQndEW5k5zfvG5FsLyZv1Ap73vNgAHcQ9sUVP"),
    genesis_hash="EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG",
)

MAINNET = Cluster(
    name="mainnet",
    ids="mainnet",
    jobs=Address("nosJhNRqr2bc9g1nfGDcXXTXvYUmxD4cVwy2pMWhrYM"),
    nodes=DEVNET.nodes,
    staking=DEVNET.staking,
    rewards=DEVNET.rewards,
    nos_mint=Address("nosXBVoaCTtYdLvKY6Csb4AC8JCdQKKAaWYtx2ZMoo7"),
    genesis_hash="5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
)


def localnet(ids: IdSet = "devnet") -> Cluster:
    """The embedded chain, with the addresses of the given set. Its genesis hash is its own."""
    return replace(MAINNET if ids == "mainnet" else DEVNET, name="localnet", genesis_hash=None)


def cluster_named(name: str, ids: IdSet = "devnet") -> Cluster:
    """The cluster of that name; `ids` matters for a localnet only.

    Raises UsageError for a name that is none of mainnet, devnet and localnet.
    """
    if name == "mainnet":
        return MAINNET
    if name == "devnet":
        return DEVNET
    if name == "localnet":
        return localnet(ids)
    raise UsageError(f"there is no cluster named {name!r}", hint="Use mainnet, devnet or localnet.")
