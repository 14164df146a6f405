"""Filters of getProgramAccounts and programSubscribe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from node.localnet import spl
from node.localnet.rpc.encodings import Undecodable, base58_bytes, base64_bytes
from node.localnet.rpc.errors import invalid_params
from node.localnet.rpc.params import Config

_MOST_FILTERS = 4
_MOST_BYTES = 128
_MOST_BASE58, _MOST_BASE64 = 175, 172
"""Characters of so many bytes as text."""
_STATE_OFFSET = 108
"""Of a token account: 0 is one that is not initialised."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What an account must be: its size, some bytes at an offset, or a token account."""

    size: int | None = None
    offset: int = 0
    wanted: bytes | None = None
    token_account: bool = False

    def passes(self, account: Account) -> bool:
        """Whether the account is as wanted."""
        data = account.data
        if self.size is not None and len(data) != self.size:
            return False
        if self.wanted is not None and (
            self.offset > len(data) or data[self.offset : self.offset + len(self.wanted)] != self.wanted
        ):
            return False
        return not self.token_account or _is_token_account(data)


def _is_token_account(data: bytes) -> bool:
    if len(data) < spl.ACCOUNT_BYTES or data[_STATE_OFFSET] == 0:
        return False
    return len(data) == spl.ACCOUNT_BYTES or (data[spl.ACCOUNT_BYTES] == 2 and len(data) != spl.MULTISIG_BYTES)


def parse_filters(config: Config) -> tuple[Filter, ...]:
    """The filters of a request, or -32602."""
    entries = config.get("filters") or []
    if len(entries) > _MOST_FILTERS:
        raise invalid_params(f"Too many filters provided; max {_MOST_FILTERS}")
    return tuple(_filter(entry) for entry in entries)


def check_token_filters(program: Pubkey, filters: tuple[Filter, ...]) -> None:
    """-32602 where token accounts are asked for by an owner or a mint that is no address."""
    if not spl.is_token_program(program):
        return
    # A node looks through all of them for an owner before it looks for a mint.
    for offset, name in ((32, "owner"), (0, "mint")):
        for entry in filters:
            if entry.wanted is not None and entry.offset == offset and len(entry.wanted) != 32:
                raise invalid_params(
                    f"Incorrect byte length {len(entry.wanted)} for SPL token {name} filter, expected 32"
                )
        if any(entry.wanted is not None and entry.offset == offset for entry in filters) and _of_accounts(filters):
            return


def _of_accounts(filters: tuple[Filter, ...]) -> bool:
    return any(entry.size == spl.ACCOUNT_BYTES or entry.token_account for entry in filters)


def _filter(entry: Any) -> Filter:
    if entry == "tokenAccountState":
        return Filter(token_account=True)
    ((name, body),) = entry.items()
    if name == "dataSize":
        return Filter(size=body)
    return Filter(offset=body["offset"], wanted=_wanted(body["bytes"], body.get("encoding")))


def _wanted(raw: str | list[int], encoding: str | None) -> bytes:
    if isinstance(raw, list):
        wanted = bytes(raw)
    elif encoding == "base64":
        wanted = _decoded(raw, "Base64")
    else:
        wanted = _decoded(raw, "Base58")
    if len(wanted) > _MOST_BYTES:
        raise invalid_params("Invalid param: DataTooLarge")
    return wanted


def _decoded(text: str, name: str) -> bytes:
    if len(text.encode()) > (_MOST_BASE64 if name == "Base64" else _MOST_BASE58):
        raise invalid_params("Invalid param: DataTooLarge")
    try:
        return base64_bytes(text) if name == "Base64" else base58_bytes(text)
    except Undecodable as error:
        raise invalid_params(f"Invalid param: {name}DecodeError({error})") from None
