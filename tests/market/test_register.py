"""The NodeAccount and the host card's memo, on the real nodes program."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.chain.instructions.nodes import PROFILE_TEXT_LIMIT
from node.chain.instructions.tokens import transfer_lamports
from node.content.cid import file_cid
from node.errors import TransactionFailed
from node.market import register
from node.records import NodeProfile
from tests.market.conftest import Town

PROFILE = NodeProfile(0, 528, 8, 1, 31, 20_000, 400, "", "", "gpunode 0.1.0")
CARD = file_cid(b"a card")


async def test_register_then_nothing_then_update(town: Town) -> None:
    host = await town.person()
    first = await register.ensure(host, PROFILE, CARD)
    assert first.changed
    known = await register.read(host, host.node)
    assert known is not None
    assert (known.profile, known.authority, known.audited) == (PROFILE, host.node, False)
    assert await register.card_of(host, host.node) == CARD
    assert not (await register.ensure(host, PROFILE, CARD)).changed

    grown, card = replace(PROFILE, gpu=2), file_cid(b"another card")
    assert (await register.ensure(host, grown, card)).changed
    known = await register.read(host, host.node)
    assert known is not None
    assert known.profile == grown
    assert await register.card_of(host, host.node) == card


async def test_a_card_memo_of_somebody_else_does_not_count(town: Town) -> None:
    """Anyone can name our account in a transaction of theirs; only what our key signed is our card."""
    host, stranger = await town.person(), await town.person()
    result = await register.ensure(host, PROFILE, CARD)
    fake = register.memo(stranger.node, f"{register.CARD_MEMO}{file_cid(b'a lie')}")
    await town.sign_and_send(
        stranger.node,
        transfer_lamports(source=stranger.node, destination=result.address, lamports=1),
        fake,
    )
    assert await register.card_of(host, host.node) == CARD


async def test_the_programs_own_refusals_come_through_by_name(town: Town) -> None:
    host = await town.person()
    for broken, name in (
        (replace(PROFILE, cpu=0), "CpuInvalid"),
        (replace(PROFILE, country=231), "CountryCodeUnknown"),
    ):
        with pytest.raises(TransactionFailed) as caught:
            await register.ensure(host, broken, None)
        assert caught.value.error == name


@given(st.text(max_size=70), st.text(max_size=70), st.text(max_size=20))
def test_texts_fit_into_the_account_and_are_whole_or_absent(endpoint: str, icon: str, version: str) -> None:
    profile = replace(PROFILE, endpoint=endpoint, icon=icon, version=version)
    kept = register.fitted(profile)
    texts = (kept.version, kept.endpoint, kept.icon)
    assert sum(len(text.encode()) for text in texts) <= PROFILE_TEXT_LIMIT
    for text, given_text in zip(texts, (version, endpoint, icon), strict=True):
        assert text in ("", given_text)
    assert kept.version == version
