"""The one object that holds a wallet's secret key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from solders.errors import SignerError
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from node.errors import WalletError
from node.records import Address

SEED_SIZE = 32
"""Bytes of an Ed25519 seed."""


class SecretKey:
    """A key that signs and is never shown: it has no text, no bytes, no copy and no pickle.

    A traceback that prints its frame's variables shows the address. What Python cannot promise is that the bytes leave
    the process's memory when this object goes; so the agent's memory is kept from core dumps and other processes
    (node/agent/sealing.py).
    """

    __slots__ = ("__keypair", "address")

    def __init__(self, keypair: Keypair) -> None:
        self.__keypair = keypair
        self.address = Address(str(keypair.pubkey()))

    @classmethod
    def from_seed(cls, seed: bytes) -> SecretKey:
        """The key of a 32-byte seed."""
        return cls(Keypair.from_seed(seed))

    def signature(self, message: bytes) -> Signature:
        """The signature over some bytes. What may be signed is for `Signer` to say."""
        return self.__keypair.sign_message(message)

    def transaction(self, message: MessageV0, beside: Sequence[Keypair]) -> VersionedTransaction:
        """The message signed by this key and the one-time keys beside it. Raises WalletError where one is missing."""
        try:
            return VersionedTransaction(message, [self.__keypair, *beside])
        except SignerError as error:
            raise WalletError(f"the transaction's signers are not those it asks for: {error}") from None

    def id_json(self) -> str:
        """The key file's text (Solana id.json): for node/chain/keyfile.py, which writes it to a file of mode 0600."""
        return str(self.__keypair.to_json())

    def seed(self) -> bytes:
        """The 32 secret bytes: for node/chain/keyfile.py, which encrypts them."""
        return bytes(self.__keypair)[:SEED_SIZE]

    def __repr__(self) -> str:
        return f"SecretKey({self.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret key cannot be pickled or copied")
