"""Keys out of one seed: BIP-39 words, and the path m/44'/501'/i'/0' of Solana wallets over SLIP-0010 for Ed25519.

Ed25519 has hardened steps only: who has one lane's key learns neither the seed nor another lane's key from it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from functools import cache
from importlib.resources import files
from typing import NoReturn

from node.chain.secret import SecretKey
from node.errors import WalletError

ACCOUNTS = 256
"""How many accounts of a seed can be lanes."""
ENTROPY = 32
"""Bytes of a new seed: 24 words."""
WORDS = frozenset({12, 15, 18, 21, 24})
"""How many a seed may have."""
_ENTROPIES = frozenset({16, 20, 24, 28, 32})
_HARDENED = 1 << 31
_WORD_BITS = 11
_ROUNDS = 2048
"""Of PBKDF2, which BIP-39 fixes."""


class Seed:
    """What all keys of a host come from. As `SecretKey`: no text, no bytes, no copy and no pickle."""

    __slots__ = ("__entropy", "__master")

    def __init__(self, entropy: bytes) -> None:
        """Raises WalletError unless there are 16, 20, 24, 28 or 32 bytes."""
        if len(entropy) not in _ENTROPIES:
            raise WalletError("a seed has 12, 15, 18, 21 or 24 words")
        self.__entropy = entropy
        self.__master = _master(stretched(words_of(entropy)))

    @classmethod
    def new(cls) -> Seed:
        """A seed of 256 random bits."""
        return cls(secrets.token_bytes(ENTROPY))

    @classmethod
    def from_words(cls, words: str) -> Seed:
        """The seed of some BIP-39 words. Raises WalletError, which quotes none of them."""
        return cls(entropy_of(words))

    def account(self, number: int) -> SecretKey:
        """The key of m/44'/501'/number'/0', as Solana wallets have it."""
        if not 0 <= number < ACCOUNTS:
            raise WalletError(f"account {number} is out of range", hint=f"accounts go from 0 to {ACCOUNTS - 1}")
        key, chain = self.__master
        for step in (44, 501, number, 0):
            key, chain = _child(key, chain, step)
        return SecretKey.from_seed(key)

    def words(self) -> str:
        """The words: for node/chain/seedfile.py, which writes them to a file of mode 0600."""
        return words_of(self.__entropy)

    def entropy(self) -> bytes:
        """The secret bytes: for node/chain/seedfile.py, which encrypts them."""
        return self.__entropy

    def __repr__(self) -> str:
        return "Seed()"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a seed cannot be pickled or copied")


def words_of(entropy: bytes) -> str:
    """BIP-39: the bits of the entropy and of a checksum of it, eleven a word."""
    check = len(entropy) // 4
    digest = int.from_bytes(hashlib.sha256(entropy).digest()) >> (256 - check)
    bits = int.from_bytes(entropy) << check | digest
    count = (len(entropy) * 8 + check) // _WORD_BITS
    known = _words()
    return " ".join(known[bits >> _WORD_BITS * place & 0x7FF] for place in reversed(range(count)))


def entropy_of(words: str) -> bytes:
    """The entropy of some words. Raises WalletError where one is unknown or the checksum is wrong, and quotes none."""
    given = words.lower().split()
    places = {word: place for place, word in enumerate(_words())}
    unknown = [str(number) for number, word in enumerate(given, 1) if word not in places]
    if unknown:
        raise WalletError(
            f"words {', '.join(unknown[:5])} are not in the English list of BIP-39", hint="Compare with what was noted."
        )
    if len(given) not in WORDS:
        raise WalletError("a seed has 12, 15, 18, 21 or 24 words")
    bits = 0
    for word in given:
        bits = bits << _WORD_BITS | places[word]
    check = len(given) * _WORD_BITS // 33
    entropy = (bits >> check).to_bytes(check * 4)
    if words_of(entropy) != " ".join(given):
        raise WalletError(
            "the words of the seed do not belong together: their checksum is wrong",
            hint="One of them is another, or their order is.",
        )
    return entropy


def stretched(words: str) -> bytes:
    """The 64 bytes that BIP-39 makes of the words, without a further passphrase."""
    return hashlib.pbkdf2_hmac("sha512", words.encode(), b"mnemonic", _ROUNDS)


def derived(seed: bytes, path: tuple[int, ...]) -> tuple[bytes, bytes]:
    """Private key and chain code of SLIP-0010 for Ed25519; every step is hardened, so `path` has plain numbers."""
    key, chain = _master(seed)
    for step in path:
        key, chain = _child(key, chain, step)
    return key, chain


def _master(seed: bytes) -> tuple[bytes, bytes]:
    made = hmac.digest(b"ed25519 seed", seed, "sha512")
    return made[:32], made[32:]


def _child(key: bytes, chain: bytes, step: int) -> tuple[bytes, bytes]:
    made = hmac.digest(chain, b"\0" + key + (_HARDENED | step).to_bytes(4), "sha512")
    return made[:32], made[32:]


@cache
def _words() -> tuple[str, ...]:
    return tuple(files("node.chain").joinpath("words.txt").read_text(encoding="ascii").split())
