"""Accounts as RPC nodes write them into JSON."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from node.base58 import b58encode
from node.localnet import spl
from node.localnet.rpc.errors import INVALID_REQUEST, RpcError, invalid_params
from node.localnet.rpc.params import Config

_RENT_EPOCH = 2**64 - 1
"""What rent-exempt accounts say since rent is no longer collected."""
_BASE58_LIMIT = 128
"""Bytes; nodes refuse to write more in base58."""

_ZSTD_BLOCK = 128 * 1024
"""Bytes, the most a block may have."""

AccountReader = Callable[[Pubkey], Account | None]


@dataclass(frozen=True, slots=True)
class AccountStyle:
    """How an account is to be written."""

    encoding: str
    offset: int = 0
    length: int | None = None

    @classmethod
    def of(cls, config: Config, default: str = "binary") -> AccountStyle:
        """The style a request asks for, or -32602."""
        encoding = config.text("encoding", default)
        if encoding not in ("binary", "base58", "base64", "jsonParsed", "base64+zstd"):
            raise invalid_params(
                f"Invalid params: unknown variant `{encoding}`, expected one of "
                "`binary`, `base58`, `base64`, `jsonParsed`, `base64+zstd`."
            )
        part = config.get("dataSlice")
        if part is None:
            return cls(encoding)
        if not isinstance(part, dict):
            raise invalid_params("Invalid params: dataSlice must be a map of offset and length.")
        offset, length = Config(part).integer("offset"), Config(part).integer("length")
        if offset is None or length is None:
            raise invalid_params("Invalid params: missing field `offset` or `length`.")
        return cls(encoding, offset, length)

    def apply(self, account: Account, read: AccountReader) -> dict[str, Any]:
        """The account in JSON; `read` gives other accounts (a token account's mint) in the same view."""
        return {
            "lamports": account.lamports,
            "data": self._data(account, read),
            "owner": str(account.owner),
            "executable": account.executable,
            "rentEpoch": _RENT_EPOCH,
            "space": len(account.data),
        }

    def _data(self, account: Account, read: AccountReader) -> Any:
        if self.encoding == "jsonParsed":
            parsed = spl.parsed_json(account, decimals_of(account, read))
            if parsed is not None:
                return parsed
        data = account.data
        if self.length is not None:
            data = data[self.offset : self.offset + self.length]
        if self.encoding in ("binary", "base58"):
            if len(data) > _BASE58_LIMIT:
                raise RpcError(
                    INVALID_REQUEST,
                    f"Encoded binary (base 58) data should be less than {_BASE58_LIMIT} bytes, "
                    "please use Base64 encoding.",
                )
            text = b58encode(data)
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


def decimals_of(account: Account, read: AccountReader) -> int | None:
    """The decimals of a token account's mint, None where the account is none or its mint is missing."""
    token = spl.token_account(account)
    if token is None:
        return None
    minted = read(token.mint)
    found = spl.mint(minted) if minted is not None else None
    return found.decimals if found is not None else None
