"""Accounts in JSON: every form that Solana's tools write, and what is none."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.account import Account
from solders.pubkey import Pubkey

from node.base58 import b58encode
from node.errors import LocalnetError
from node.localnet.account_files import account_json, parse_account, read_accounts
from node.localnet.bank import Bank

KEY = Pubkey.new_unique()
OWNER = Pubkey.new_unique()
RAW = b"some bytes"
TEXT = base64.b64encode(RAW).decode()


def rent_of(size: int) -> int:
    return Bank().minimum_rent(size)


@given(st.binary(max_size=200), st.integers(0, 2**64 - 1), st.booleans())
def test_an_account_that_is_written_is_read_back(data: bytes, lamports: int, executable: bool) -> None:
    account = Account(lamports, data, OWNER, executable)
    document = json.loads(json.dumps(account_json(KEY, account)))
    assert document["account"]["space"] == len(data)
    assert parse_account(document, rent_of) == (KEY, account)


@pytest.mark.parametrize("data", [[TEXT, "base64"], [TEXT], TEXT, [b58encode(RAW), "base58"]])
def test_every_way_to_write_data(data: Any) -> None:
    owner = str(OWNER)
    nested = {"pubkey": str(KEY), "account": {"lamports": 7, "data": data, "owner": owner, "rentEpoch": 0}}
    flat = {"pubkey": str(KEY), "lamports": 7, "data": data, "owner": owner}
    for document in (nested, flat):
        assert parse_account(document, rent_of) == (KEY, Account(7, RAW, OWNER, False))


def test_what_is_left_out_makes_a_plain_account() -> None:
    _, account = parse_account({"pubkey": str(KEY), "data": TEXT}, rent_of)
    assert account == Account(rent_of(len(RAW)), RAW, Pubkey.default(), False)
    _, described = parse_account({"pubkey": str(KEY), "program": str(OWNER), "data": TEXT}, rent_of)
    assert described.owner == OWNER, "a description belongs to the program it describes"


def test_what_is_left_out_stays_as_it_is() -> None:
    present = Account(5, b"before", OWNER, False)
    for change, changed in (
        ({"lamports": 9}, Account(9, b"before", OWNER, False)),
        ({"data": TEXT}, Account(5, RAW, OWNER, False)),
        ({"owner": str(KEY)}, Account(5, b"before", KEY, False)),
    ):
        assert parse_account({"pubkey": str(KEY), **change}, rent_of, present)[1] == changed


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "no JSON object"),
        ({"pubkey": str(KEY), "account": 3}, "no JSON object"),
        ({"account": {}}, "`pubkey` is no address"),
        ({"pubkey": "abc"}, "`pubkey` is no address"),
        ({"pubkey": str(KEY), "owner": 4}, "`owner` is no address"),
        ({"pubkey": str(KEY), "lamports": -1}, "`lamports` is no amount"),
        ({"pubkey": str(KEY), "lamports": 2**64}, "`lamports` is no amount"),
        ({"pubkey": str(KEY), "lamports": True}, "`lamports` is no amount"),
        ({"pubkey": str(KEY), "executable": 1}, "`executable` is neither"),
        ({"pubkey": str(KEY), "data": "%%"}, "`data` is not base64"),
        ({"pubkey": str(KEY), "data": ["0", "base58"]}, "`data` is not base58"),
        ({"pubkey": str(KEY), "data": {"parsed": {}}}, "`data` is not"),
        ({"pubkey": str(KEY), "data": [TEXT, "base64+zstd"]}, "in base64[+]zstd"),
        ({"pubkey": str(KEY), "data": base64.b64encode(bytes(10 * 1024 * 1024 + 1)).decode()}, "at most 10485760"),
    ],
)
def test_what_is_no_account(document: Any, said: str) -> None:
    with pytest.raises(LocalnetError, match=said) as refused:
        parse_account(document, rent_of)
    assert refused.value.hint


def test_files_lists_and_folders(tmp_path: Path) -> None:
    one, two = ({"pubkey": str(Pubkey.new_unique()), "lamports": count} for count in (1, 2))
    (tmp_path / "a.json").write_text(json.dumps([one, two]))
    (tmp_path / "b.json").write_text(json.dumps({"pubkey": str(KEY), "account": {"lamports": 3}}))
    (tmp_path / "note.txt").write_text("not an account")
    assert [account.lamports for _, account in read_accounts(tmp_path, rent_of)] == [1, 2, 3]
    (tmp_path / "c.json").write_text('{"pubkey": 1}')
    with pytest.raises(LocalnetError, match=r"c\.json: this is no account"):
        read_accounts(tmp_path, rent_of)
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(LocalnetError, match=r"c\.json cannot be read: it is not JSON"):
        read_accounts(tmp_path / "c.json", rent_of)
    with pytest.raises(LocalnetError, match="No such file"):
        read_accounts(tmp_path / "d.json", rent_of)
    (tmp_path / "empty").mkdir()
    with pytest.raises(LocalnetError, match="no account file in"):
        read_accounts(tmp_path / "empty", rent_of)
