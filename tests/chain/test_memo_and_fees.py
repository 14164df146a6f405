"""Memos, prices and compute limits."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.transaction import VersionedTransaction

from node.chain.fees import FeePolicy, percentile, total
from node.chain.memo import memo, memos
from node.chain.replies import landed_transaction
from node.chain.transaction import Budget, compile_message, fee_of, writable_accounts
from node.errors import ChainError
from node.records import Address
from tests.chain.fakes import GENESIS, WALLET

ME = Address(str(WALLET.pubkey()))
OTHER = Address("7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41")


def landed(*texts: str, error: object = None, change: int = -5_000) -> object:
    message = compile_message(ME, [memo(ME, text) for text in texts], GENESIS, Budget(10_000, 1_000))
    wire = bytes(VersionedTransaction(message, [WALLET]))
    meta = {"err": error, "fee": 5_000, "preBalances": [9_000, 1], "postBalances": [9_000 + change, 1]}
    return {"slot": 3, "transaction": [base64.b64encode(wire).decode(), "base64"], "meta": meta}


def test_memos_are_read_back() -> None:
    found = landed_transaction(landed("gpunode/1 r=Qm", "zweite ✓"))
    assert found is not None
    assert memos(found) == ("gpunode/1 r=Qm", "zweite ✓")
    assert memos(found, ME) == memos(found)
    assert memos(found, OTHER) == ()
    assert found.signers == (ME,)
    assert found.payer_change == -5_000


def test_a_failed_transaction_says_nothing() -> None:
    found = landed_transaction(landed("gpunode/1 r=Qm", error="AccountNotFound"))
    assert found is not None
    assert found.failure is not None
    assert memos(found) == ()


@pytest.mark.parametrize("text", ["", "x" * 513, "é" * 257])
def test_memos_have_a_size(text: str) -> None:
    with pytest.raises(ChainError):
        memo(ME, text)


@given(st.lists(st.integers(0, 10**12)), st.integers(0, 100), st.integers(1, 10**6))
def test_prices_stay_between_floor_and_cap(recent: list[int], percent: int, attempt: int) -> None:
    policy = FeePolicy(floor=500, cap=90_000, percentile=percent)
    price = policy.price(recent, attempt)
    assert 500 <= price <= 90_000
    assert policy.price(recent, attempt + 1) >= price


def test_a_cap_below_the_floor_wins() -> None:
    assert FeePolicy(floor=10, cap=0).price([], 1) == 0


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 50, 0), ([5], 0, 5), ([5], 100, 5), ([1, 2, 3, 4], 50, 3), ([4, 3, 2, 1], 0, 1), ([1, 2, 3, 4], 100, 4)],
)
def test_percentiles(values: list[int], percent: int, expected: int) -> None:
    assert percentile(values, percent) == expected


def test_fees_add_up() -> None:
    assert total(1, 0, 200_000) == 5_000
    assert total(2, 1, 1) == 10_001
    message = compile_message(ME, [memo(ME, "x")], GENESIS, Budget(10_001, 1_000))
    assert fee_of(bytes(VersionedTransaction(message, [WALLET]))) == 5_011


def test_writable_accounts_begin_with_the_payer() -> None:
    assert writable_accounts(ME, [memo(OTHER, "x")]) == (ME,)
