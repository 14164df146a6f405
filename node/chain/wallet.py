"""A wallet's key, and the signer that uses it within a spending policy."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import NoReturn

from solders.keypair import Keypair
from solders.message import Message, MessageV0, from_bytes_versioned, to_bytes_versioned
from solders.transaction import Transaction, VersionedTransaction

from node.chain import keyfile
from node.chain.derivation import Seed
from node.chain.keyfile import Asks, nobody_to_ask
from node.chain.policy import SpendingPolicy
from node.chain.secret import SecretKey
from node.errors import WalletError
from node.records import Address

_TRANSACTION_LIMIT = 4096
"""Bytes of the largest transaction of any message version (Solana)."""
_VERSION_BIT = 0x80


class Wallet:
    """One key. Nothing prints, pickles or compares its secret."""

    __slots__ = ("_key", "address")

    def __init__(self, key: SecretKey | Keypair) -> None:
        self._key = key if isinstance(key, SecretKey) else SecretKey(key)
        self.address = self._key.address

    @classmethod
    def load(
        cls,
        path: Path,
        ask: Asks = nobody_to_ask,
        account: int | None = None,
        opened: MutableMapping[Path, Seed] | None = None,
    ) -> Wallet:
        """Read and open a key file, or with `account` a seed's for one of its keys; `ask` gives the passphrase where it
        is encrypted, once for all keys that are loaded with the same `opened`.

        Raises WalletError as `keyfile.read` does, and where the passphrase is missing or wrong.
        """
        return cls(keyfile.read(path, account).open(ask, opened))

    @classmethod
    def create(cls, path: Path, passphrase: str | None = None) -> Wallet:
        """Make a new key and its file, mode 0600. Raises WalletError where there is a file already."""
        key = SecretKey(Keypair())
        keyfile.create(path, key, passphrase)
        return cls(key)

    def signer(self, policy: SpendingPolicy) -> Signer:
        """A signer that stays within the policy."""
        return Signer(self._key, policy)

    def __repr__(self) -> str:
        return f"Wallet({self.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a wallet cannot be pickled or copied")


class Signer:
    """Signs transactions that the policy allows, and documents that are no transactions."""

    __slots__ = ("_key", "_policy", "address")

    def __init__(self, key: SecretKey, policy: SpendingPolicy) -> None:
        self._key = key
        self._policy = policy
        self.address = key.address

    async def sign_transaction(
        self, message: MessageV0, kind: str, extra_signers: Sequence[Keypair] = ()
    ) -> VersionedTransaction:
        """Sign a message as a transaction of the kind, with one-time keys beside ours where it needs them.

        Raises SpendingRefused where the policy does not list what the message does, or whom it would pay, and
        WalletError where a signer is missing.
        """
        await self._policy.check(kind, message, self.address, [Address(str(each.pubkey())) for each in extra_signers])
        return self._key.transaction(message, extra_signers)

    async def sign_offered(self, transaction: VersionedTransaction, kind: str) -> VersionedTransaction:
        """Put our signature into a transaction that somebody else made, where the policy allows it as this kind; the
        signatures of others stay as they are. For people who have seen what it does (see review.py).

        Raises SpendingRefused.
        """
        message = transaction.message
        if not isinstance(message, Message | MessageV0):
            raise WalletError("a message of a version that is not known is not signed")
        await self._policy.check(kind, message, self.address)
        # The payer signs first, and the policy has seen that the payer is this key.
        own = self._key.signature(to_bytes_versioned(message))
        return VersionedTransaction.populate(message, [own, *transaction.signatures[1:]])

    def sign_document(self, document: bytes) -> bytes:
        """64 bytes of signature over the document.

        Raises WalletError for bytes that a cluster could take for a transaction or a transaction's message, even
        with bytes to spare: whoever gets such a signature could send it.
        """
        if _like_transaction(document):
            raise WalletError(
                "the document could be taken for a transaction and is not signed",
                hint="Documents are text; this one begins like a transaction's message.",
            )
        return bytes(self._key.signature(document))

    def __repr__(self) -> str:
        return f"Signer({self.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer cannot be pickled or copied")


def _like_transaction(document: bytes) -> bool:
    """Whether any message version could be read from the bytes.

    A first byte of 128 or more marks a versioned message, also of versions yet to come. Longer than any transaction
    may be, bytes cannot be one. A receipt ("DSSEv1 ...") never parses within that length: read as a legacy message it
    would begin with 69 keys, and printable bytes make every later count 32 or more.
    """
    if not document:
        return False
    if document[0] >= _VERSION_BIT:
        return True
    if len(document) > _TRANSACTION_LIMIT:
        return False
    return any(_parses(parse, document) for parse in _PARSERS)


def _parses(parse: object, document: bytes) -> bool:
    assert callable(parse)
    try:
        parse(document)
    except Exception:  # whatever a parser says: these bytes are not what it reads
        return False
    return True


_PARSERS = (from_bytes_versioned, Message.from_bytes, VersionedTransaction.from_bytes, Transaction.from_bytes)
