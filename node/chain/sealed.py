"""A secret behind a passphrase, as a JSON object.

`format`, `version`, `address` (of a seed also `addresses`), `kdf` (scrypt: n, r, p, salt), `cipher`
(ChaCha20-Poly1305: nonce) and `secret`, which is encrypted. All but `secret` is in clear and is authenticated with it,
so that addresses can be shown without the passphrase and cannot be changed without it.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from node.errors import WalletError
from node.records import Address

VERSION = 1
TAG = 16
"""Bytes by which the encrypted secret is longer."""
MIN_PASSPHRASE, MAX_PASSPHRASE = 8, 1024
_SCRYPT_R, _SCRYPT_P = 8, 1
_N_RANGE, _R_RANGE, _P_RANGE = (1 << 14, 1 << 19), (1, 32), (1, 16)
_MEMORY_LIMIT = 1 << 29
"""Bytes that a file may make scrypt use (128 n r): a hostile file must not stop the host."""
_WORK_LIMIT = 1 << 30
"""The same times p, which multiplies the time."""
_PARTS = {"format", "version", "address", "kdf", "cipher", "secret"}
_MOST_ADDRESSES = 1024


@dataclass(frozen=True, slots=True, repr=False)
class Sealed:
    """What such a file holds; nothing prints it."""

    format: str
    address: Address
    addresses: tuple[Address, ...]
    """Of a seed's accounts, from 0."""
    n: int
    r: int
    p: int
    salt: bytes
    nonce: bytes
    secret: bytes

    def header(self) -> dict[str, Any]:
        """What stands in clear."""
        return {
            "format": self.format,
            "version": VERSION,
            "address": self.address,
            **({"addresses": list(self.addresses)} if self.addresses else {}),
            "kdf": {"name": "scrypt", "n": self.n, "r": self.r, "p": self.p, "salt": _text(self.salt)},
            "cipher": {"name": "chacha20-poly1305", "nonce": _text(self.nonce)},
        }

    def aad(self) -> bytes:
        """The same as the bytes that are authenticated."""
        return json.dumps(self.header(), sort_keys=True, separators=(",", ":")).encode()

    def decrypted(self, path: Path, passphrase: str) -> bytes:
        """The secret. Raises WalletError."""
        from cryptography.exceptions import InvalidTag

        try:
            opened: bytes = self.cipher(passphrase).decrypt(self.nonce, self.secret, self.aad())
        except InvalidTag:
            raise WalletError(
                f"{path}: the passphrase is wrong, or the file is damaged",
                hint="Try again; a damaged file is restored from a backup.",
            ) from None
        return opened

    def cipher(self, passphrase: str) -> Any:
        """The cipher for a passphrase."""
        # Loaded here: most processes read plain key files, or none.
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

        return ChaCha20Poly1305(
            Scrypt(salt=self.salt, length=32, n=self.n, r=self.r, p=self.p).derive(_normal(passphrase))
        )


def seal(
    format_: str, address: Address, addresses: tuple[Address, ...], secret: bytes, passphrase: str, scrypt_n: int
) -> str:
    """The text of a file that keeps the secret. Raises WalletError for a passphrase that `require_good` refuses."""
    require_good(passphrase)
    empty = Sealed(format_, address, addresses, scrypt_n, _SCRYPT_R, _SCRYPT_P, os.urandom(16), os.urandom(12), b"")
    made = replace(empty, secret=empty.cipher(passphrase).encrypt(empty.nonce, secret, empty.aad()))
    return json.dumps({**made.header(), "secret": _text(made.secret)}, indent=1) + "\n"


def require_good(passphrase: str) -> None:
    """Raise WalletError for a passphrase that protects nothing, or that no other machine would take."""
    if not MIN_PASSPHRASE <= len(passphrase) <= MAX_PASSPHRASE or "\0" in passphrase:
        raise WalletError(
            f"a passphrase has {MIN_PASSPHRASE} to {MAX_PASSPHRASE} characters",
            hint="Some words picked by chance are good: whoever has the file can guess for years.",
        )


def sealed_in(path: Path, document: dict[str, Any], format_: str) -> Sealed | None:
    """What a file of this format holds; None where it is none. Raises WalletError for one that is not to be opened."""
    if document.get("format") == format_ and document.get("version") != VERSION:
        raise WalletError(f"{path} was encrypted by another version of gpunode", hint="Use that version, or a newer.")
    try:
        sealed = _sealed(document, format_)
    except (KeyError, TypeError, ValueError):
        return None
    memory = 128 * sealed.n * sealed.r
    if sealed.n & (sealed.n - 1) or memory > _MEMORY_LIMIT or memory * sealed.p > _WORK_LIMIT:
        raise WalletError(
            f"{path} asks for more memory or time to open it than any file of gpunode does",
            hint="It was not written by gpunode; restore the key from a backup.",
        )
    return sealed


def _sealed(document: dict[str, Any], format_: str) -> Sealed:
    kdf, cipher = document["kdf"], document["cipher"]
    extra = set(document) - _PARTS
    if document["format"] != format_ or type(document["version"]) is not int or extra - {"addresses"}:
        raise ValueError("another format")
    if kdf["name"] != "scrypt" or cipher["name"] != "chacha20-poly1305":
        raise ValueError("another algorithm")
    listed = document.get("addresses", [])
    if not isinstance(listed, list) or len(listed) > _MOST_ADDRESSES:
        raise ValueError("no addresses")
    sealed = Sealed(
        format=format_,
        address=_address(document["address"]),
        addresses=tuple(_address(each) for each in listed),
        n=_within(kdf["n"], *_N_RANGE),
        r=_within(kdf["r"], *_R_RANGE),
        p=_within(kdf["p"], *_P_RANGE),
        salt=_bytes(kdf["salt"], 16, 64),
        nonce=_bytes(cipher["nonce"], 12, 12),
        secret=_bytes(document["secret"], 16 + TAG, 32 + TAG),
    )
    if sealed.header() != {key: value for key, value in document.items() if key != "secret"}:
        raise ValueError("members that are not authenticated")
    return sealed


def _normal(passphrase: str) -> bytes:
    # One letter may be typed as one code point or as two.
    return unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogateescape")


def _within(value: object, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError("out of bounds")
    return value


def _address(value: object) -> Address:
    if not isinstance(value, str) or not 32 <= len(value) <= 44 or not value.isascii() or not value.isalnum():
        raise ValueError("no address")
    return Address(value)


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
