"""Accounts in JSON, as files and admin calls bring them: the forms that Solana's own tools write.

`{"pubkey", "account": {"lamports", "data": [TEXT, ENCODING], "owner", "executable"}}` is what
`solana account ADDRESS --output json` prints and validators load; `getProgramAccounts` answers a list of them. The
members of `account` may also stand beside `pubkey`. Data may be base64 (also as text alone) or base58. Without
`lamports` an account gets what makes it rent-exempt, without `owner` it belongs to the system program.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from node.base58 import b58decode
from node.errors import LocalnetError

RentOf = Callable[[int], int]
"""Lamports that make an account of so many bytes rent-exempt."""

_FORM = 'An account is {"pubkey", "account": {"lamports", "data": [TEXT, "base64"], "owner"}}.'
_MOST_BYTES = 10 * 1024 * 1024
"""An account's data is never longer."""
_U64 = 2**64
_SYSTEM = str(Pubkey.default())


def read_accounts(path: Path, rent_of: RentOf) -> list[tuple[Pubkey, Account]]:
    """The accounts of a JSON file, or of all `*.json` files of a folder, in the order of their names.

    Raises LocalnetError for what cannot be read or is no account.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise LocalnetError(f"there is no account file in {path}", hint="Account files end in .json.")
    return [placed for file in files for placed in _read(file, rent_of)]


def _read(file: Path, rent_of: RentOf) -> Iterator[tuple[Pubkey, Account]]:
    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise LocalnetError(f"the account file {file} cannot be read: {why}", hint=_FORM) from None
    for entry in document if isinstance(document, list) else [document]:
        try:
            yield parse_account(entry, rent_of)
        except LocalnetError as error:
            raise LocalnetError(f"{file}: {error.message}", hint=error.hint) from None


def parse_account(document: Any, rent_of: RentOf, present: Account | None = None) -> tuple[Pubkey, Account]:
    """The address and the account that a JSON document describes; what it leaves out is as in `present`.

    Raises LocalnetError for a document that is none.
    """
    if not isinstance(document, dict) or not isinstance(document.get("account", {}), dict):
        raise _malformed("it is no JSON object")
    key = _key(document.get("pubkey"), "pubkey")
    body = document.get("account", document)
    data = _data(body["data"]) if "data" in body else (present.data if present else b"")
    # A flat form without an owner may say whose account it is by the program it serves.
    owner = body.get("owner", document.get("program", str(present.owner) if present else _SYSTEM))
    lamports = body.get("lamports", present.lamports if present else rent_of(len(data)))
    if isinstance(lamports, bool) or not isinstance(lamports, int) or not 0 <= lamports < _U64:
        raise _malformed("`lamports` is no amount")
    executable = body.get("executable", present.executable if present else False)
    if not isinstance(executable, bool):
        raise _malformed("`executable` is neither true nor false")
    return key, Account(lamports, data, _key(owner, "owner"), executable)


def pubkey_of(document: Any) -> Pubkey:
    """The address alone. Raises LocalnetError where there is none."""
    return _key(document.get("pubkey") if isinstance(document, dict) else None, "pubkey")


def account_json(key: Pubkey, account: Account) -> dict[str, Any]:
    """The account in the form that validators read."""
    return {
        "pubkey": str(key),
        "account": {
            "lamports": account.lamports,
            "data": [base64.b64encode(account.data).decode(), "base64"],
            "owner": str(account.owner),
            "executable": account.executable,
            "rentEpoch": _U64 - 1,
            "space": len(account.data),
        },
    }


def _data(value: Any) -> bytes:
    text, encoding = (value, "base64") if isinstance(value, str) else _encoded(value)
    try:
        data = base64.b64decode(text, validate=True) if encoding == "base64" else b58decode(text)
    except (ValueError, binascii.Error):
        raise _malformed(f"`data` is not {encoding}") from None
    if len(data) > _MOST_BYTES:
        raise _malformed(f"`data` has {len(data)} bytes; an account has at most {_MOST_BYTES}")
    return data


def _encoded(value: Any) -> tuple[str, str]:
    if not isinstance(value, list) or not 1 <= len(value) <= 2 or not all(isinstance(part, str) for part in value):
        raise _malformed('`data` is not [TEXT, "base64"]')
    text, encoding = (value[0], value[1] if len(value) > 1 else "base64")
    if encoding not in ("base64", "base58"):
        raise LocalnetError(
            f"the account's data are in {encoding}, which is not read here",
            hint="Write the account with base64 data, as `solana account ADDRESS --output json` does.",
        )
    return text, encoding


def _key(value: Any, name: str) -> Pubkey:
    try:
        return Pubkey.from_string(value)
    except (TypeError, ValueError):
        raise _malformed(f"`{name}` is no address") from None


def _malformed(why: str) -> LocalnetError:
    return LocalnetError(f"this is no account: {why}", hint=_FORM)
