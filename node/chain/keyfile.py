"""Key files: the Solana id.json format in clear, or encrypted with a passphrase; read, made and changed in place.

An encrypted file is a JSON object: `format`, `version`, `address`, `kdf` (scrypt: n, r, p, salt), `cipher`
(ChaCha20-Poly1305: nonce) and `secret`, the encrypted 32-byte seed. All but `secret` is in clear and is authenticated
with it, so that the address can be shown without the passphrase and cannot be changed without it.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from solders.keypair import Keypair

from node.bounded_json import JsonRefused, read_json
from node.chain.secret import SEED_SIZE, SecretKey
from node.errors import WalletError
from node.private_file import read_private
from node.records import Address

MODE = 0o600
FILE_LIMIT = 4096
FORMAT, VERSION = "gpunode-wallet", 1
SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 17, 8, 1
"""What new files are made with: 128 MiB of memory and some tenths of a second for each guess."""
_N_RANGE, _R_RANGE, _P_RANGE = (1 << 14, 1 << 19), (1, 32), (1, 16)
_MEMORY_LIMIT = 1 << 29
"""Bytes that a file may make scrypt use (128 n r): a hostile file must not stop the host."""
_WORK_LIMIT = 1 << 30
"""The same times p, which multiplies the time."""
MIN_PASSPHRASE, MAX_PASSPHRASE = 8, 1024
_PARTS = {"format", "version", "address", "kdf", "cipher", "secret"}


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
    _content: _Sealed | SecretKey

    def open(self, ask: Asks) -> SecretKey:
        """The key; `ask` is called only where it is encrypted. Raises WalletError."""
        if isinstance(self._content, SecretKey):
            return self._content
        return self._content.unseal(self.path, ask(self.address))

    def __repr__(self) -> str:
        return f"KeyFile({self.path}, {self.address})"


@dataclass(frozen=True, slots=True, repr=False)
class _Sealed:
    address: Address
    n: int
    r: int
    p: int
    salt: bytes
    nonce: bytes
    secret: bytes

    def header(self) -> dict[str, Any]:
        """What stands in clear."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "address": self.address,
            "kdf": {"name": "scrypt", "n": self.n, "r": self.r, "p": self.p, "salt": _text(self.salt)},
            "cipher": {"name": "chacha20-poly1305", "nonce": _text(self.nonce)},
        }

    def aad(self) -> bytes:
        return json.dumps(self.header(), sort_keys=True, separators=(",", ":")).encode()

    def unseal(self, path: Path, passphrase: str) -> SecretKey:
        from cryptography.exceptions import InvalidTag

        try:
            seed = self.cipher(passphrase).decrypt(self.nonce, self.secret, self.aad())
        except InvalidTag:
            raise WalletError(
                f"{path}: the passphrase is wrong, or the file is damaged",
                hint="Try again; a damaged file is restored from a backup.",
            ) from None
        key = SecretKey.from_seed(seed)
        if key.address != self.address:
            raise WalletError(f"{path} is damaged: it holds the key of {key.address}, not of {self.address}")
        return key

    def cipher(self, passphrase: str) -> Any:
        """The cipher for a passphrase."""
        # Loaded here: most processes read plain key files, or none.
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

        return ChaCha20Poly1305(
            Scrypt(salt=self.salt, length=32, n=self.n, r=self.r, p=self.p).derive(_normal(passphrase))
        )


def read(path: Path) -> KeyFile:
    """Read a key file without opening it.

    Raises WalletError unless it is a regular file of mode 0600 that belongs to this user or to root, in a folder that
    not everybody may write, and holds a key in one of the two formats.
    """
    raw = read_private(path, limit=FILE_LIMIT, modes=frozenset({MODE}), what="key file")
    try:
        document = read_json(raw, limit=FILE_LIMIT, depth=4)
    except JsonRefused:
        # Not chained: an error about the content may quote it.
        document = None
    if isinstance(document, dict):
        sealed = _sealed(path, document)
        return KeyFile(path, sealed.address, True, sealed)
    key = _plain(path, document)
    return KeyFile(path, key.address, False, key)


def create(path: Path, key: SecretKey, passphrase: str | None) -> None:
    """Write a new key file. Raises WalletError where there is a file already."""
    content = _content(key, passphrase)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(path, content)
        _settle(path.parent)
    except OSError as error:
        if os.path.lexists(path):
            raise WalletError(
                f"{path} exists already", hint="A key file is never overwritten; name another, or use this one."
            ) from None
        raise WalletError(f"{path} cannot be written: {error.strerror}") from None


def rewrite(path: Path, key: SecretKey, passphrase: str | None) -> None:
    """Put the same key into its file with another passphrase, or with none; all of it or nothing.

    The file's old bytes are overwritten in place afterwards, if no other name leads to them. That is no promise:
    journals, snapshots, flash memory and backups may keep what was once written. Raises WalletError.
    """
    path = path.resolve()
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    content = _content(key, passphrase)
    try:
        with path.open("r+b") as old:
            if os.fstat(old.fileno()).st_nlink > 1:
                raise WalletError(
                    f"{path} has a second name (a hard link), which would keep the key as it was",
                    hint="Remove the other name first.",
                )
            try:
                _write(beside, content)
                beside.replace(path)
            except BaseException:
                beside.unlink(missing_ok=True)
                raise
            _settle(path.parent)
            # The name leads to the new file by now; this handle still leads to the old one.
            old.write(bytes(os.fstat(old.fileno()).st_size))
            old.flush()
            os.fsync(old.fileno())
    except OSError as error:
        raise WalletError(f"{path} cannot be changed: {error.strerror}", hint="The key is as it was.") from None


def _write(path: Path, content: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, MODE)
    with os.fdopen(handle, "w") as file:
        os.fchmod(handle, MODE)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _settle(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _content(key: SecretKey, passphrase: str | None) -> str:
    if passphrase is None:
        return key.id_json()
    require_good(passphrase)
    empty = _Sealed(key.address, SCRYPT_N, SCRYPT_R, SCRYPT_P, os.urandom(16), os.urandom(12), b"")
    secret = empty.cipher(passphrase).encrypt(empty.nonce, key.seed(), empty.aad())
    return json.dumps({**empty.header(), "secret": _text(secret)}, indent=1) + "\n"


def require_good(passphrase: str) -> None:
    """Raise WalletError for a passphrase that protects nothing, or that no other machine would take."""
    if not MIN_PASSPHRASE <= len(passphrase) <= MAX_PASSPHRASE or "\0" in passphrase:
        raise WalletError(
            f"a passphrase has {MIN_PASSPHRASE} to {MAX_PASSPHRASE} characters",
            hint="Some words picked by chance are good: whoever has the file can guess for years.",
        )


def _normal(passphrase: str) -> bytes:
    import unicodedata

    # One letter may be typed as one code point or as two.
    return unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogateescape")


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


def _sealed(path: Path, document: dict[str, Any]) -> _Sealed:
    if document.get("format") == FORMAT and document.get("version") != VERSION:
        raise WalletError(f"{path} was encrypted by another version of gpunode", hint="Use that version, or a newer.")
    try:
        kdf, cipher = document["kdf"], document["cipher"]
        if set(document) != _PARTS or document["format"] != FORMAT or type(document["version"]) is not int:
            raise ValueError("another format")
        if kdf["name"] != "scrypt" or cipher["name"] != "chacha20-poly1305":
            raise ValueError("another algorithm")
        sealed = _Sealed(
            address=Address(_string(document["address"])),
            n=_within(kdf["n"], *_N_RANGE),
            r=_within(kdf["r"], *_R_RANGE),
            p=_within(kdf["p"], *_P_RANGE),
            salt=_bytes(kdf["salt"], 16, 64),
            nonce=_bytes(cipher["nonce"], 12, 12),
            secret=_bytes(document["secret"], SEED_SIZE + 16, SEED_SIZE + 16),
        )
        if sealed.header() != {key: value for key, value in document.items() if key != "secret"}:
            raise ValueError("members that are not authenticated")
    except (KeyError, TypeError, ValueError):
        raise _no_key_file(path) from None
    memory = 128 * sealed.n * sealed.r
    if sealed.n & (sealed.n - 1) or memory > _MEMORY_LIMIT or memory * sealed.p > _WORK_LIMIT:
        raise WalletError(
            f"{path} asks for more memory or time to open it than any file of gpunode does",
            hint="It was not written by gpunode; restore the key from a backup.",
        )
    return sealed


def _within(value: object, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError("out of bounds")
    return value


def _string(value: object) -> str:
    if not isinstance(value, str) or not 32 <= len(value) <= 44 or not value.isascii() or not value.isalnum():
        raise ValueError("no address")
    return value


def _bytes(value: object, least: int, most: int) -> bytes:
    if not isinstance(value, str):
        raise TypeError("no text")
    try:
        raw = base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error
    if not least <= len(raw) <= most:
        raise ValueError("another length")
    return raw


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
