"""SPL token accounts and Metaplex metadata: what a market's access key is checked against."""

from __future__ import annotations

from dataclasses import dataclass

from node.chain.accounts import TOKEN_ACCOUNT_SIZE, RawAccount
from node.chain.clusters import Cluster
from node.chain.codec import Reader, Writer
from node.records import Address

_METADATA_KEY = 4
"""First byte of a Metaplex metadata account."""
_TOKEN_STANDARDS = 6
_USE_METHODS = 3


@dataclass(frozen=True, slots=True)
class TokenAccount:
    """An initialised token account; `amount` is in the mint's smallest unit."""

    address: Address
    mint: Address
    owner: Address
    amount: int


@dataclass(frozen=True, slots=True)
class TokenMetadata:
    """Which collection a mint belongs to, and whether the collection's owner has said so."""

    address: Address
    mint: Address
    collection: Address | None
    verified: bool


def decode_token_account(account: RawAccount, cluster: Cluster) -> TokenAccount:
    """A token account of the SPL Token program. Raises AccountMalformed, also for one not initialised."""
    read = Reader(account.data, f"token account {account.address}")
    if account.owner != cluster.token:
        raise read.bad(f"is owned by {account.owner}, not by the token program")
    mint, owner, amount = read.key(), read.key(), read.unsigned(8)
    read.take(36)
    if read.unsigned(1) == 0:
        raise read.bad("is not initialised")
    read.take(TOKEN_ACCOUNT_SIZE - 109)
    return TokenAccount(account.address, mint, owner, amount)


def encode_token_account(account: TokenAccount) -> bytes:
    """The 165 bytes of an initialised token account without delegate."""
    write = Writer().key(account.mint).key(account.owner).unsigned(account.amount, 8).raw(bytes(36))
    return write.unsigned(1, 1).done().ljust(TOKEN_ACCOUNT_SIZE, b"\0")


def decode_metadata(account: RawAccount, cluster: Cluster) -> TokenMetadata:
    """A Metaplex metadata account, parsed field by field. Raises AccountMalformed."""
    read = Reader(account.data, f"metadata {account.address}")
    if account.owner != cluster.metadata:
        raise read.bad(f"is owned by {account.owner}, not by the metadata program")
    if read.unsigned(1) != _METADATA_KEY:
        raise read.bad("is not the metadata of a token")
    read.key()
    mint = read.key()
    for _ in ("name", "symbol", "uri"):
        read.text()
    read.unsigned(2)
    if read.boolean():
        for _ in range(read.unsigned(4)):
            read.take(32)
            read.boolean()
            read.take(1)
    read.boolean()
    read.boolean()
    if read.boolean():
        read.take(1)
    if read.boolean() and read.unsigned(1) >= _TOKEN_STANDARDS:
        raise read.bad("has an unknown token standard")
    verified, collection = False, None
    if read.boolean():
        verified, collection = read.boolean(), read.key()
    if read.boolean():
        if read.unsigned(1) >= _USE_METHODS:
            raise read.bad("has an unknown use method")
        read.take(16)
    return TokenMetadata(account.address, mint, collection, verified)
