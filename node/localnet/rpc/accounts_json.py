"""Accounts as RPC nodes write them into JSON."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from node.base58 import b58encode
from node.localnet.rpc.errors import INVALID_REQUEST, RpcError
from node.localnet.rpc.params import Config
from node.localnet.rpc.parsed_accounts import parsed_json
from node.localnet.rpc.parsed_tokens import AccountReader
from node.localnet.spl import is_token_program

_RENT_EPOCH = 2**64 - 1
"""What rent-exempt accounts say since rent is no longer collected."""
_NEVER_PAID = (
    Pubkey.from_string("NativeLoader1111111111111111111111111111111"),
    Pubkey.from_string("Sysvar1111111111111111111111111111111111111"),
)
"""Owners of accounts that are there without a transaction ever having made them."""
_BASE58_LIMIT = 128
"""Bytes; nodes refuse to write more in base58."""

_ZSTD_BLOCK = 128 * 1024
"""Bytes, the most a block may have."""


@dataclass(frozen=True, slots=True)
class AccountStyle:
    """How an account is to be written."""

    encoding: str
    offset: int = 0
    length: int | None = None

    @classmethod
    def of(cls, config: Config, default: str = "binary") -> AccountStyle:
        """The style a request asks for."""
        encoding, part = config.text("encoding", default), config.get("dataSlice")
        return cls(encoding) if part is None else cls(encoding, part["offset"], part["length"])

    @classmethod
    def whole(cls, config: Config) -> AccountStyle:
        """The style of notifications: a node pays no heed to a data slice there."""
        return cls(config.text("encoding", "binary"))

    def apply(self, key: Pubkey, account: Account, read: AccountReader) -> dict[str, Any]:
        """The account in JSON; `read` gives other accounts (a token account's mint) in the same view.

        Raises RpcError -32600 for more bytes than base58 is given for.
        """
        if self.encoding in ("binary", "base58") and len(self._part(account.data)) > _BASE58_LIMIT:
            raise RpcError(
                INVALID_REQUEST,
                f"Encoded binary (base 58) data should be less than {_BASE58_LIMIT} bytes, please use Base64 encoding.",
            )
        return self.told(key, account, read)

    def told(self, key: Pubkey, account: Account, read: AccountReader) -> dict[str, Any]:
        """As `apply`, but never an error: how notifications tell an account."""
        return {
            "lamports": account.lamports,
            "data": self._data(key, account, read),
            "owner": str(account.owner),
            "executable": account.executable,
            "rentEpoch": account.rent_epoch if account.owner in _NEVER_PAID else _RENT_EPOCH,
            "space": len(account.data),
        }

    def _part(self, data: bytes) -> bytes:
        return data if self.length is None else data[self.offset : self.offset + self.length]

    def _data(self, key: Pubkey, account: Account, read: AccountReader) -> Any:
        if self.encoding == "jsonParsed":
            parsed = parsed_json(key, account, read)
            if parsed is not None:
                return parsed
        # What was asked for parsed comes whole where a token program owns it.
        whole = self.encoding == "jsonParsed" and is_token_program(account.owner)
        data = account.data if whole else self._part(account.data)
        if self.encoding in ("binary", "base58"):
            text = b58encode(data) if len(data) <= _BASE58_LIMIT else "error: data too large for bs58 encoding"
            return text if self.encoding == "binary" else [text, "base58"]
        if self.encoding == "base64+zstd":
            return [base64.b64encode(zstd_frame(data)).decode(), "base64+zstd"]
        return [base64.b64encode(data).decode(), "base64"]


def zstd_frame(data: bytes) -> bytes:
    """The data as one Zstandard frame (RFC 8878) of stored blocks: valid for every reader, and not made smaller."""
    parts = [b"\x28\xb5\x2f\xfd\xa0" + len(data).to_bytes(4, "little")]
    starts = range(0, len(data), _ZSTD_BLOCK) or range(1)
    for start in starts:
        piece = data[start : start + _ZSTD_BLOCK]
        last = start == starts[-1]
        parts.append((len(piece) << 3 | last).to_bytes(3, "little") + piece)
    return b"".join(parts)
