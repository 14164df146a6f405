"""Prices of tokens: from the settings, or from a source that may lie, fail, flood or be away."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from node.agent.earnings.prices import ANSWER_LIMIT, FILE, Price, PriceBook
from node.settings_earnings import EarningsSettings

SOURCE = {"url": "https://prices.example/simple", "pointer": "/nosana/eur", "every": 900, "stale": 24}


class Web:
    """One server, and how often it was asked."""

    def __init__(self, answer: object = None) -> None:
        self.answer = answer
        self.asked = 0
        self.now = 1_700_000_000.0

    def __call__(self, _request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        if isinstance(self.answer, httpx.Response):
            return self.answer
        return httpx.Response(200, content=self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer))

    async def nos(self, folder: Path, **more: object) -> Price:
        settings = EarningsSettings.model_validate({"nos_source": SOURCE, **more})
        return (await PriceBook(settings, folder, lambda: self.now, httpx.MockTransport(self)).current()).nos


async def test_without_a_source_the_settings_count_and_nobody_is_asked(tmp_path: Path) -> None:
    web = Web({"nosana": {"eur": 9}})
    assert await web.nos(tmp_path, nos_source=None, nos_price=0.45) == Price(450_000, "the settings")
    unknown = await web.nos(tmp_path, nos_source=None)
    assert (unknown.micro, web.asked) == (None, 0)
    assert "earnings.nos_price" in unknown.origin


@pytest.mark.parametrize(("value", "micro"), [(0.4512345678, 451_235), ("0.45", 450_000), (2, 2_000_000), (1e-5, 10)])
async def test_numbers_and_texts_are_read(tmp_path: Path, value: object, micro: int) -> None:
    assert await Web({"nosana": {"eur": value}}).nos(tmp_path) == Price(micro, "prices.example", 1_700_000_000.0)


async def test_an_answer_is_good_for_a_while_and_stands_in_for_longer(tmp_path: Path) -> None:
    web = Web({"nosana": {"eur": 0.45}})
    await web.nos(tmp_path)
    web.now += 899
    assert (await web.nos(tmp_path)).micro == 450_000
    assert web.asked == 1
    web.now, web.answer = web.now + 1, httpx.ConnectError("away")
    stale = await web.nos(tmp_path)
    assert (stale.micro, stale.stale, stale.taken) == (450_000, True, 1_700_000_000.0)
    assert "cannot be read now" in stale.origin
    web.now += 24 * 3600
    assert (await web.nos(tmp_path)).micro is None
    assert (await web.nos(tmp_path, nos_price=0.3)).micro == 300_000


async def test_a_source_that_fails_is_not_asked_at_every_look(tmp_path: Path) -> None:
    web = Web(httpx.ConnectError("away"))
    settings = EarningsSettings.model_validate({"nos_source": SOURCE})
    book = PriceBook(settings, tmp_path, lambda: web.now, httpx.MockTransport(web))
    for _ in range(5):
        assert (await book.current()).nos.micro is None
    assert web.asked == 1
    web.now += 60
    await book.current()
    assert web.asked == 2


@pytest.mark.parametrize(
    "answer",
    [
        {"nosana": {"eur": 0}},
        {"nosana": {"eur": -1}},
        {"nosana": {"eur": 1e12}},
        {"nosana": {"eur": 1e-9}},
        {"nosana": {"eur": True}},
        {"nosana": {"eur": None}},
        {"nosana": {"eur": "NaN"}},
        {"nosana": {"eur": "9" * 100}},
        {"nosana": {}},
        {"nosana": [1, 2]},
        [],
        b'{"nosana": {"eur": NaN}}',
        b"no JSON",
        b'{"nosana": {"eur": 1, "x": "' + b"x" * ANSWER_LIMIT + b'"}}',
        b"[" * 10_000,
        httpx.Response(500),
        httpx.Response(302, headers={"location": "https://elsewhere.example"}),
    ],
)
async def test_what_is_no_price_is_not_known(tmp_path: Path, answer: object) -> None:
    found = await Web(answer).nos(tmp_path)
    assert found.micro is None
    assert "prices.example" in found.origin


async def test_a_spoilt_cache_is_as_none(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"x": 5')
    assert (await Web({"nosana": {"eur": 1}}).nos(tmp_path)).micro == 1_000_000


async def test_a_pointer_may_lead_through_lists_and_escaped_names(tmp_path: Path) -> None:
    web = Web([{"a/b": {"m~n": 3}}])
    source = {**SOURCE, "pointer": "/0/a~1b/m~0n"}
    assert (await web.nos(tmp_path, nos_source=source)).micro == 3_000_000


async def test_a_folder_that_cannot_be_written_loses_only_the_memory(tmp_path: Path) -> None:
    look: Callable[..., object] = Web({"nosana": {"eur": 1}}).nos
    assert (await look(tmp_path / "missing")).micro == 1_000_000  # type: ignore[misc]
