"""A key file in the Solana id.json format, and the signer that uses it within a spending policy."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from solders.errors import SignerError
from solders.keypair import Keypair
from solders.message import Message, MessageV0, from_bytes_versioned
from solders.transaction import Transaction, VersionedTransaction

from node.chain.policy import SpendingPolicy
from node.errors import WalletError
from node.records import Address

_MODE = 0o600
_FILE_LIMIT = 4096
_TRANSACTION_LIMIT = 4096
"""Bytes of the largest transaction of any message version (Solana)."""
_VERSION_BIT = 0x80


class Wallet:
    """One key. Nothing prints, pickles or compares its secret."""

    __slots__ = ("_keypair", "address")

    def __init__(self, keypair: Keypair) -> None:
        self._keypair = keypair
        self.address = Address(str(keypair.pubkey()))

    @classmethod
    def load(cls, path: Path) -> Wallet:
        """Read a key file.

        Raises WalletError unless it is a regular file, of mode 0600, with 64 numbers whose second half is the public
        key of the first.
        """
        return cls(_keypair(path, _read(path)))

    @classmethod
    def create(cls, path: Path) -> Wallet:
        """Make a new key and its file, mode 0600. Raises WalletError where there is a file already."""
        keypair = Keypair()
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _MODE)
            with os.fdopen(handle, "w") as file:
                file.write(keypair.to_json())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if os.path.lexists(path):
                raise WalletError(
                    f"{path} exists already", hint="A key file is never overwritten; name another, or use this one."
                ) from error
            raise WalletError(f"{path} cannot be written: {error.strerror}") from error
        return cls(keypair)

    def signer(self, policy: SpendingPolicy) -> Signer:
        """A signer that stays within the policy."""
        return Signer(self._keypair, policy)

    def __repr__(self) -> str:
        return f"Wallet({self.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a wallet cannot be pickled or copied")


class Signer:
    """Signs transactions that the policy allows, and documents that are no transactions."""

    __slots__ = ("_keypair", "_policy", "address")

    def __init__(self, keypair: Keypair, policy: SpendingPolicy) -> None:
        self._keypair = keypair
        self._policy = policy
        self.address = Address(str(keypair.pubkey()))

    async def sign_transaction(
        self, message: MessageV0, kind: str, extra_signers: Sequence[Keypair] = ()
    ) -> VersionedTransaction:
        """Sign a message as a transaction of the kind, with one-time keys beside ours where it needs them.

        Raises SpendingRefused where the policy does not list what the message does, and WalletError where a signer
        is missing.
        """
        await self._policy.check(kind, message, self.address)
        try:
            return VersionedTransaction(message, [self._keypair, *extra_signers])
        except SignerError as error:
            raise WalletError(f"the transaction's signers are not those it asks for: {error}") from error

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
        return bytes(self._keypair.sign_message(document))

    def __repr__(self) -> str:
        return f"Signer({self.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer cannot be pickled or copied")


def _read(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise WalletError(f"there is no key file {path}", hint="Make one with `gpunode init`.") from error
    except OSError as error:
        raise WalletError(f"{path} cannot be read: {error.strerror}") from error
    try:
        # Looked at through the open file, so that nobody can swap it in between.
        _require_private(path, os.fstat(handle))
        return os.read(handle, _FILE_LIMIT + 1)
    except OSError as error:
        raise WalletError(f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(handle)


def _require_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise WalletError(f"{path} is not a regular file", hint="Name the key file itself.")
    if (mode := stat.S_IMODE(status.st_mode)) != _MODE:
        raise WalletError(f"{path} has mode {mode:04o}, a key file must have 0600", hint=f"chmod 600 {path}")


def _keypair(path: Path, raw: bytes) -> Keypair:
    # No error below may quote the content, or carry one that does.
    try:
        numbers = json.loads(raw) if len(raw) <= _FILE_LIMIT else None
    except (ValueError, RecursionError):
        numbers = None
    if not isinstance(numbers, list) or len(numbers) != 64 or not all(_is_byte(each) for each in numbers):
        raise WalletError(f"{path} is not a key file", hint="It must hold 64 numbers in a JSON list (Solana id.json).")
    secret = bytes(numbers)
    keypair = Keypair.from_seed(secret[:32])
    if bytes(keypair.pubkey()) != secret[32:]:
        raise WalletError(
            f"{path} is damaged: its public half does not belong to its secret half",
            hint="Restore it from a backup.",
        )
    return keypair


def _is_byte(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255


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
