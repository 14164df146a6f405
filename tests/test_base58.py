"""Base58: round trip, leading zeros, foreign letters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from node.base58 import b58decode, b58encode


@given(st.binary(max_size=64))
def test_round_trip(data: bytes) -> None:
    assert b58decode(b58encode(data)) == data


@given(st.binary(min_size=32, max_size=32))
def test_as_solana_writes_keys(data: bytes) -> None:
    assert b58encode(data) == str(Pubkey.from_bytes(data))


@pytest.mark.parametrize("text", ["0", "O", "I", "l", "a b", "é"])
def test_foreign_letters(text: str) -> None:
    with pytest.raises(ValueError, match="base58"):
        b58decode(text)
