"""Key files: the Solana id.json format in clear, or encrypted with a passphrase; read, made and changed in place.

An encrypted file is a JSON object: `format`, `version`, `address`, `kdf` (scrypt: n, r, p, salt), `cipher`
(ChaCha20-Poly1305: nonce) and `secret`, the encrypted 32-byte seed. All but `secret` is in clear and is authenticated
with it, so that the address can be shown without the passphrase and cannot be changed without it.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from solders.keypair import Keypair

from node.bounded_json import JsonRefused, read_json
from node.chain import seedfile
from node.chain.derivation import Seed
from node.chain.sealed import Sealed, seal, sealed_in
from node.chain.secret import SEED_SIZE, SecretKey
from node.chain.seedfile import SealedAccount, SeedFile
from node.errors import WalletError
from node.private_file import create_private, read_private, replace_private
from node.records import Address

MODE = 0o600
FILE_LIMIT = 1 << 15
"""Bytes; an encrypted seed names its accounts' addresses."""
FORMAT = "gpunode-wallet"
SCRYPT_N = 1 << 17
"""What new files are made with: 128 MiB of memory and some tenths of a second for each guess."""


class Asks(Protocol):
    """Where a passphrase comes from."""

    def __call__(self, address: Address) -> str:
        """The passphrase of the key with this address. Raises WalletError where there is none to be had."""
        ...


def nobody_to_ask(address: Address) -> str:
    """For places where an encrypted key cannot be opened."""
    raise WalletError(
        f"the key of {address} is encrypted, and nothing says its passphrase",
        hint="Set the lane's `passphrase_file`, give systemd a credential, or run the command on a terminal.",
    )


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key file that was read and checked. The secret is in `_content`, which nothing prints."""

    path: Path
    address: Address
    encrypted: bool
    _content: SealedKey | SealedAccount | SecretKey
    account: int | None = None
    """Of a seed, which of its keys this is."""

    def open(self, ask: Asks, opened: MutableMapping[Path, Seed] | None = None) -> SecretKey:
        """The key; `ask` is called only where it is encrypted. `opened`: seeds that were opened before, for
        lanes of one seed; it is added to. Raises WalletError."""
        if isinstance(self._content, SecretKey):
            return self._content
        if isinstance(self._content, SealedKey):
            return self._content.unseal(self.path, ask(self.address))
        seeds = {} if opened is None else opened
        place = self.path.resolve()
        if place not in seeds:
            seeds[place] = self._content.seed(self.path, ask(self.address))
        return self._content.key(self.path, seeds[place])

    def __repr__(self) -> str:
        return f"KeyFile({self.path}, {self.address})"


@dataclass(frozen=True, slots=True, repr=False)
class SealedKey:
    """A key that a passphrase opens."""

    sealed: Sealed

    def unseal(self, path: Path, passphrase: str) -> SecretKey:
        """The key. Raises WalletError."""
        key = SecretKey.from_seed(self.sealed.decrypted(path, passphrase))
        if key.address != self.sealed.address:
            raise WalletError(f"{path} is damaged: it holds the key of {key.address}, not of {self.sealed.address}")
        return key


def read(path: Path, account: int | None = None) -> KeyFile:
    """Read a key file without opening it, or with `account` a seed's file, for the key of that account.

    Raises WalletError unless it is a regular file of mode 0600 that belongs to this user or to root, in a folder that
    not everybody may write, and holds a key in one of the two formats (with `account`: a seed in one of its own).
    """
    raw, document = _raw(path)
    if account is not None:
        address, content = seedfile.account_in(path, raw, document, account)
        return KeyFile(path, address, not isinstance(content, SecretKey), content, account)
    if seedfile.is_seed(raw, document):
        raise WalletError(f"{path} holds a seed, not a key", hint="Say which of its keys: the lane's `account`.")
    if isinstance(document, dict):
        sealed = sealed_in(path, document, FORMAT)
        if sealed is None or len(sealed.secret) != SEED_SIZE + 16 or sealed.addresses:
            raise _no_key_file(path)
        return KeyFile(path, sealed.address, True, SealedKey(sealed))
    key = _plain(path, document)
    return KeyFile(path, key.address, False, key)


def read_seed(path: Path) -> SeedFile | None:
    """Read a seed's file without opening it; None where the file holds something else. Raises WalletError as `read`."""
    raw, document = _raw(path)
    return seedfile.seed_in(path, raw, document) if seedfile.is_seed(raw, document) else None


def _raw(path: Path) -> tuple[bytes, object]:
    raw = read_private(path, limit=FILE_LIMIT, modes=frozenset({MODE}), what="key file")
    try:
        return raw, read_json(raw, limit=FILE_LIMIT, depth=4)
    except JsonRefused:
        # Not chained: an error about the content may quote it.
        return raw, None


def create(path: Path, key: SecretKey, passphrase: str | None) -> None:
    """Write a new key file. Raises WalletError where there is a file already."""
    create_private(path, _content(key, passphrase), MODE, "key file")


def rewrite(path: Path, key: SecretKey, passphrase: str | None) -> None:
    """Put the same key into its file with another passphrase, or with none; all of it or nothing.

    The file's old bytes are overwritten in place afterwards, if no other name leads to them. That is no promise:
    journals, snapshots, flash memory and backups may keep what was once written. Raises WalletError.
    """
    replace_private(path, _content(key, passphrase), MODE)


def _content(key: SecretKey, passphrase: str | None) -> str:
    if passphrase is None:
        return key.id_json()
    return seal(FORMAT, key.address, (), key.seed(), passphrase, SCRYPT_N)


def _plain(path: Path, numbers: object) -> SecretKey:
    # No error below may quote the content, or carry one that does.
    if not isinstance(numbers, list) or len(numbers) != 64 or not all(_is_byte(each) for each in numbers):
        raise _no_key_file(path)
    secret = bytes(numbers)
    keypair = Keypair.from_seed(secret[:SEED_SIZE])
    if bytes(keypair.pubkey()) != secret[SEED_SIZE:]:
        raise WalletError(
            f"{path} is damaged: its public half does not belong to its secret half",
            hint="Restore it from a backup.",
        )
    return SecretKey(keypair)


def _no_key_file(path: Path) -> WalletError:
    return WalletError(
        f"{path} is not a key file",
        hint="It must hold 64 numbers in a JSON list (Solana id.json), or a key that gpunode encrypted.",
    )


def _is_byte(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255
