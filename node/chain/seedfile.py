"""Files of seeds: BIP-39 words in clear, or encrypted as key files are.

An encrypted one names the addresses of its accounts in clear: a derived address cannot be had from another address,
and commands that only look must not ask for a passphrase.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from node.chain.derivation import ACCOUNTS, WORDS, Seed
from node.chain.sealed import Sealed, seal, sealed_in
from node.chain.secret import SecretKey
from node.errors import WalletError
from node.private_file import create_private, replace_private
from node.records import Address

FORMAT = "gpunode-seed"
MODE = 0o600
_MOST_TEXT = 400
"""Characters of 24 words, with room for blanks."""


@dataclass(frozen=True, slots=True, repr=False)
class SealedAccount:
    """A key of a seed that a passphrase opens."""

    sealed: Sealed
    account: int

    def seed(self, path: Path, passphrase: str) -> Seed:
        """The seed that it comes from. Raises WalletError."""
        return Seed(self.sealed.decrypted(path, passphrase))

    def key(self, path: Path, seed: Seed) -> SecretKey:
        """The key. Raises WalletError where the file said another address."""
        key = seed.account(self.account)
        if key.address != self.sealed.addresses[self.account]:
            raise WalletError(f"{path} is damaged: account {self.account} has another address than it says")
        return key


def is_seed(raw: bytes, document: object) -> bool:
    """Whether a file's content is a seed's, for errors that say so."""
    if isinstance(document, dict):
        return document.get("format") == FORMAT
    return document is None and _looks_like_words(raw)


def account_in(path: Path, raw: bytes, document: object, account: int) -> tuple[Address, SealedAccount | SecretKey]:
    """Address and key of an account of the seed with this content. Raises WalletError."""
    if isinstance(document, dict):
        sealed = _sealed(path, document)
        if not 0 <= account < ACCOUNTS:
            raise WalletError(f"account {account} is out of range", hint=f"accounts go from 0 to {ACCOUNTS - 1}")
        return sealed.addresses[account], SealedAccount(sealed, account)
    key = _plain(path, raw, document).account(account)
    return key.address, key


def create(path: Path, seed: Seed, passphrase: str | None, scrypt_n: int) -> Address:
    """Write a new file of a seed; the address of account 0. Raises WalletError where there is a file already."""
    create_private(path, _content(seed, passphrase, scrypt_n), MODE, "seed's file")
    return seed.account(0).address


def rewrite(path: Path, seed: Seed, passphrase: str | None, scrypt_n: int) -> None:
    """Put the same seed into its file with another passphrase, or with none. Raises WalletError."""
    replace_private(path, _content(seed, passphrase, scrypt_n), MODE)


@dataclass(frozen=True, slots=True, repr=False)
class SeedFile:
    """A file of a seed that was read; nothing prints it."""

    path: Path
    address: Address
    """Of account 0."""
    encrypted: bool
    _content: Sealed | Seed

    def open(self, ask: Callable[[Address], str]) -> Seed:
        """The seed; `ask` is called only where it is encrypted. Raises WalletError."""
        if isinstance(self._content, Seed):
            return self._content
        return Seed(self._content.decrypted(self.path, ask(self.address)))


def seed_in(path: Path, raw: bytes, document: object) -> SeedFile:
    """The seed with this content. Raises WalletError."""
    if isinstance(document, dict):
        sealed = _sealed(path, document)
        return SeedFile(path, sealed.address, True, sealed)
    seed = _plain(path, raw, document)
    return SeedFile(path, seed.account(0).address, False, seed)


def _content(seed: Seed, passphrase: str | None, scrypt_n: int) -> str:
    if passphrase is None:
        return seed.words() + "\n"
    addresses = tuple(seed.account(number).address for number in range(ACCOUNTS))
    return seal(FORMAT, addresses[0], addresses, seed.entropy(), passphrase, scrypt_n)


def _sealed(path: Path, document: dict[str, object]) -> Sealed:
    sealed = sealed_in(path, document, FORMAT)
    if sealed is None or len(sealed.addresses) != ACCOUNTS:
        raise _no_seed(path)
    return sealed


def _plain(path: Path, raw: bytes, document: object) -> Seed:
    if document is not None or not _looks_like_words(raw):
        raise _no_seed(path)
    try:
        return Seed.from_words(raw.decode("ascii"))
    except WalletError as error:
        raise WalletError(f"{path}: {error.message}", hint=error.hint) from None


def _looks_like_words(raw: bytes) -> bool:
    if len(raw) > _MOST_TEXT or not raw.isascii():
        return False
    words = raw.decode("ascii").split()
    return len(words) in WORDS and all(word.isalpha() for word in words)


def _no_seed(path: Path) -> WalletError:
    return WalletError(
        f"{path} is not a seed's file",
        hint="With `account` it must hold BIP-39 words, or a seed that gpunode encrypted: gpunode wallet new --seed",
    )
