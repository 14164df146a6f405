"""Parameters of a request, taken out with the checks a Solana RPC node makes.

For a node's own methods `signatures.py` has looked at types, numbers and names before a method sees them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature

from node.localnet.rpc.encodings import Undecodable, base58_bytes, base64_bytes, fixed
from node.localnet.rpc.errors import MIN_CONTEXT_SLOT, RpcError, invalid_params
from node.localnet.rpc.shapes import kind
from node.localnet.slots import Block, Commitment, Slots

_COMMITMENTS = {
    "processed": Commitment.PROCESSED,
    "confirmed": Commitment.CONFIRMED,
    "finalized": Commitment.FINALIZED,
}


def pubkey(value: object) -> Pubkey:
    """The address, or -32602."""
    return Pubkey.from_bytes(_fixed(value, 32))


def signature(value: object) -> Signature:
    """The signature, or -32602."""
    return Signature.from_bytes(_fixed(value, 64))


def blockhash(value: object) -> Hash:
    """The blockhash, or -32602."""
    return Hash.from_bytes(_fixed(value, 32))


def _fixed(value: object, size: int) -> bytes:
    if not isinstance(value, str):
        raise invalid_params(f"Invalid params: invalid type: {kind(value)}, expected a string.")
    try:
        return fixed(value, size)
    except Undecodable as error:
        raise invalid_params(f"Invalid param: {error}") from None


def settled(commitment: Commitment) -> Commitment:
    """The commitment, or -32602 for `processed`: methods that look into the past do not know that view."""
    if commitment is Commitment.PROCESSED:
        raise invalid_params("Method does not support commitment below `confirmed`")
    return commitment


def decode_bytes(text: str, encoding: str) -> bytes:
    """Bytes given as base58 or base64 text, or -32602."""
    try:
        return base64_bytes(text) if encoding == "base64" else base58_bytes(text)
    except Undecodable as error:
        raise invalid_params(f"invalid {encoding} encoding: {error}") from None


class Config:
    """The last, optional parameter of most methods."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def get(self, name: str) -> Any:
        """A member as it came, None where it is absent."""
        return self._values.get(name)

    def flag(self, name: str) -> bool:
        """A boolean member; absent is false."""
        value = self._values.get(name)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise invalid_params(f"Invalid params: invalid type: {kind(value)}, expected a boolean.")

    def integer(self, name: str) -> int | None:
        """A member that is a number of 0 or more."""
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise invalid_params(f"Invalid params: invalid type: {kind(value)}, expected u64.")
        return value

    def text(self, name: str, default: str) -> str:
        """A member that is text."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise invalid_params(f"Invalid params: invalid type: {kind(value)}, expected a string.")
        return value

    def commitment(self, name: str = "commitment") -> Commitment:
        """The view asked for; finalized unless named."""
        value = self._values.get(name)
        if value is None:
            return Commitment.FINALIZED
        if not isinstance(value, str) or value not in _COMMITMENTS:
            raise invalid_params(
                f"Invalid params: unknown variant `{value}`, expected one of `processed`, `confirmed`, `finalized`."
            )
        return _COMMITMENTS[value]

    def view(self, slots: Slots, name: str = "commitment") -> Block:
        """The block of the view asked for; -32016 where it lies before `minContextSlot`."""
        return self.reached(slots.at(self.commitment(name)))

    def reached(self, block: Block) -> Block:
        """The block; -32016 where it lies before `minContextSlot`."""
        least = self.integer("minContextSlot")
        if least is not None and block.slot < least:
            raise RpcError(
                MIN_CONTEXT_SLOT,
                "Minimum context slot has not been reached",
                {"contextSlot": block.slot},
            )
        return block


class Params:
    """The positional parameters of one request."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def need(self, count: int) -> None:
        """-32602 unless there are so many."""
        if len(self._values) < count:
            raise invalid_params("`params` should have at least " + f"{count} argument(s)")

    def get(self, index: int) -> Any:
        """A parameter as it came, None where it is absent."""
        return self._values[index] if index < len(self._values) else None

    def pubkey(self, index: int) -> Pubkey:
        """An address that must be there."""
        self.need(index + 1)
        return pubkey(self._values[index])

    def signature(self, index: int) -> Signature:
        """A signature that must be there."""
        self.need(index + 1)
        return signature(self._values[index])

    def text(self, index: int) -> str:
        """A text that must be there."""
        self.need(index + 1)
        value = self._values[index]
        if not isinstance(value, str):
            raise invalid_params(f"Invalid params: invalid type: {kind(value)}, expected a string.")
        return value

    def integer(self, index: int) -> int:
        """A number of 0 or more that must be there."""
        self.need(index + 1)
        value = self._values[index]
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise invalid_params(f"Invalid params: invalid type: {kind(value)}, expected u64.")
        return value

    def items(self, index: int, limit: int) -> list[Any]:
        """A list that must be there, of at most `limit` members."""
        self.need(index + 1)
        value = self._values[index]
        if not isinstance(value, list):
            raise invalid_params(f"Invalid params: invalid type: {kind(value)}, expected a sequence.")
        if len(value) > limit:
            raise invalid_params(f"Too many inputs provided; max {limit}")
        return value

    def config(self, index: int) -> Config:
        """The configuration object; empty where it is absent."""
        value = self.get(index)
        if value is None:
            return Config({})
        if not isinstance(value, dict):
            raise invalid_params(f"Invalid params: invalid type: {kind(value)}, expected a map.")
        return Config(value)
