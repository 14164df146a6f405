"""Filters of getProgramAccounts and programSubscribe."""

from __future__ import annotations

from dataclasses import dataclass

from solders.account import Account

from node.localnet import spl
from node.localnet.rpc.errors import invalid_params
from node.localnet.rpc.params import Config, decode_bytes
from node.localnet.rpc.shapes import kind

_MOST_FILTERS = 4
_MEMCMP_BYTES = 128


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
        if self.wanted is not None and data[self.offset : self.offset + len(self.wanted)] != self.wanted:
            return False
        return not self.token_account or spl.token_account(account) is not None


def parse_filters(config: Config) -> tuple[Filter, ...]:
    """The filters of a request, or -32602."""
    value = config.get("filters")
    if value is None:
        return ()
    if not isinstance(value, list):
        raise invalid_params(f"Invalid params: invalid type: {kind(value)}, expected a sequence.")
    if len(value) > _MOST_FILTERS:
        raise invalid_params(f"Too many filters provided; max {_MOST_FILTERS}")
    return tuple(_filter(entry) for entry in value)


def _filter(entry: object) -> Filter:
    if entry == "tokenAccountState":
        return Filter(token_account=True)
    if not isinstance(entry, dict) or len(entry) != 1:
        raise invalid_params("Invalid params: a filter is one of dataSize, memcmp and tokenAccountState.")
    name, body = next(iter(entry.items()))
    if name == "dataSize":
        return Filter(size=Config(entry).integer("dataSize"))
    if name == "tokenAccountState":
        return Filter(token_account=True)
    if name == "memcmp" and isinstance(body, dict):
        return _memcmp(Config(body))
    raise invalid_params(f"Invalid params: unknown variant `{name}`, expected one of `dataSize`, `memcmp`.")


def _memcmp(body: Config) -> Filter:
    offset = body.integer("offset")
    if offset is None:
        raise invalid_params("Invalid params: missing field `offset`.")
    raw = body.get("bytes")
    if isinstance(raw, list) and all(isinstance(value, int) and 0 <= value < 256 for value in raw):
        wanted = bytes(raw)
    elif isinstance(raw, str):
        wanted = decode_bytes(raw, body.text("encoding", "base58"))
    else:
        raise invalid_params("Invalid params: missing field `bytes`.")
    if len(wanted) > _MEMCMP_BYTES:
        raise invalid_params("Invalid param: DataTooLarge")
    return Filter(offset=offset, wanted=wanted)
