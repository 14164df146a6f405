"""Asking a real chain for a key's newest receipt, as a lane with a new journal does."""

from __future__ import annotations

import pytest

from node.agent.receipt_chain import newest_receipt
from node.chain.instructions import tokens
from node.chain.memo import memo
from node.content.cid import file_cid
from node.localnet.app import Localnet
from node.proof.memo import card_memo, receipt_memo, work_memo
from tests.market.conftest import Town


@pytest.fixture
def either_chain(localnet: Localnet) -> Localnet:
    """The embedded chain: a node would have nothing to add."""
    return localnet


async def test_the_newest_receipt_of_a_key(town: Town) -> None:
    host, stranger = await town.person(), await town.person()
    assert await newest_receipt(town.rpc, host.node) is None
    one, two, lie = file_cid(b"one"), file_cid(b"two"), file_cid(b"lie")
    for cid in (one, two):
        await town.sign_and_send(host.node, memo(host.node, receipt_memo(cid)))
    for text in (card_memo(lie), work_memo("00" * 32)):
        await town.sign_and_send(host.node, memo(host.node, text))
    gift = tokens.transfer_lamports(source=stranger.node, destination=host.node, lamports=1_000_000)
    await town.sign_and_send(stranger.node, gift, memo(stranger.node, receipt_memo(lie)))
    history = await town.rpc.get_signatures_for_address(host.node)
    assert receipt_memo(lie) in (history[0].memo or "")  # It is in the key's history, and not the key's word.
    found = await newest_receipt(town.rpc, host.node)
    assert found is not None
    assert found[0] == two
    assert await newest_receipt(town.rpc, stranger.node) == (lie, history[0].signature)
