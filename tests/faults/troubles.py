"""Each fault of chain, content and engine at each stage of a job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from node.marks import Mark
from tests.faults import content_proxy, engine_proxy
from tests.faults.crash import Case, Outcome
from tests.faults.keeper import Loss
from tests.faults.order import Position
from tests.faults.scenes import Scene, Told
from tests.faults.shop import AGENTS_ENDPOINT, Shop
from tests.faults.verdict import examine

LASTS = 2.5
"""Seconds of a fault: longer than a try, shorter than any patience that gives a job up."""

STAGES: dict[str, Position | None] = {
    "queued": None,
    "fetch": Position(Mark.JOURNAL_JOB, "after"),
    "admit": Position(Mark.JOURNAL_STAGE, "after", 1),
    "create": Position(Mark.JOURNAL_STAGE, "after", 2),
    "run": Position(Mark.ENGINE_START, "after"),
    "report": Position(Mark.JOURNAL_STAGE, "after", 3),
    "settle": Position(Mark.JOURNAL_STAGE, "after", 5),
    "rejoin": Position(Mark.JOURNAL_SETTLEMENT, "after"),
}
"""Where each stage of a job that is done begins."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault by name; `begin` holds it and tells afterwards how often it struck."""

    name: str
    begin: Callable[[Shop], AbstractContextManager[Callable[[], int]]]
    spoils_work: bool = False
    """Whether the job's own result may be a failure, or the job given back: the engine is what it is done with."""


def _chain(name: str, **fault: Any) -> Trouble:
    @contextmanager
    def begin(shop: Shop) -> Iterator[Callable[[], int]]:
        assert shop.localnet is not None
        everywhere = fault["kind"] in ("stall", "skip", "expire")
        with shop.localnet.faults.during({**fault, **({} if everywhere else {"endpoint": AGENTS_ENDPOINT})}) as (one,):
            yield lambda: max(one.hits, int(one.fault.kind in ("expire", "disconnect", "down", "lag", "mute")))

    return Trouble(f"rpc {name}", begin)


def _content(trouble: content_proxy.Trouble) -> Trouble:
    @contextmanager
    def begin(shop: Shop) -> Iterator[Callable[[], int]]:
        before = shop.content.hits
        with shop.content.during(trouble):
            yield lambda: shop.content.hits - before

    return Trouble(f"content {trouble}", begin)


def _engine(trouble: engine_proxy.Trouble, name: str, matching: str) -> Trouble:
    @contextmanager
    def begin(shop: Shop) -> Iterator[Callable[[], int]]:
        before = shop.sockets.hits
        with shop.sockets.during(trouble, matching):
            yield lambda: shop.sockets.hits - before

    return Trouble(f"engine {trouble} {name}", begin, spoils_work=True)


ENGINE_CALLS = {
    "everything": "",
    "create": "POST .*/containers/create",
    "start": "POST .*/start",
    "inspect": r"GET .*/json",
    "streams": "GET .*/(logs|events)|POST .*/wait",
    "remove": "DELETE ",
}

TROUBLES: tuple[Trouble, ...] = (
    _chain("429", kind="429", retry_after=1),
    _chain("too slow", kind="delay", seconds=4.0),
    _chain("answers too late", kind="delay", seconds=4.0, at="answer"),
    _chain("internal error", kind="error", code=-32603),
    _chain("behind", kind="error", code=-32005),
    _chain("503", kind="http", status=503),
    _chain("no JSON", kind="http", status=200, body="<html>"),
    _chain("cut", kind="cut"),
    _chain("cut after the deed", kind="cut", at="answer"),
    _chain("down", kind="down"),
    _chain("drop", kind="drop"),
    _chain("lose", kind="lose", count=3),
    _chain("late", kind="late", slots=20),
    _chain("mute", kind="mute"),
    _chain("disconnect", kind="disconnect"),
    _chain("stall", kind="stall"),
    _chain("skip", kind="skip"),
    _chain("lag", kind="lag", slots=12),
    _chain("lag now and then", kind="lag", slots=20, share=0.5, seed=1),
    _chain("expired", kind="expire"),
    _chain("forgotten", kind="expire", how="forget"),
    *(_content(each) for each in content_proxy.TROUBLES),
    *(_engine(each, name, path) for each in engine_proxy.TROUBLES for name, path in ENGINE_CALLS.items()),
)

POINTLESS = {
    "content": ("queued", "admit", "create", "run", "settle", "rejoin"),
    "engine": ("queued", "fetch", "settle", "rejoin"),
}
"""Stages in which a job asks nothing of that kind."""


def cases() -> list[Case]:
    """Every fault at every stage in which it can strike."""
    return [
        Case(stage, each.name)
        for each in TROUBLES
        for stage in STAGES
        if stage not in POINTLESS.get(each.name.split()[0], ())
    ]


async def troubled(shop: Shop, scene: Scene, case: Case) -> Outcome:
    """Play the scenario with the case's fault at its stage (`case.scene` names the stage)."""
    trouble = next(each for each in TROUBLES if each.name == case.what)
    began, loss, extra, hits = time.monotonic(), "", 0, 0
    position = STAGES[case.scene]
    if position is not None:
        shop.keeper.post.give(position, "hold")

    async def disturb() -> None:
        nonlocal hits
        while position is not None and not shop.keeper.post.is_held:
            await asyncio.sleep(0.02)
        with trouble.begin(shop) as count:
            shop.keeper.post.release()
            await asyncio.sleep(LASTS)
            hits = count()

    disturbing = asyncio.ensure_future(disturb())
    try:
        for told in await scene.play(shop):
            await disturbing
            await shop.rest()
            extra += (await examine(shop, _excused(told) if trouble.spoils_work else told)).extra
    except Loss as error:
        loss = str(error)
    finally:
        disturbing.cancel()
        shop.keeper.post.take_back()
    return Outcome(case, time.monotonic() - began, hits > 0, loss, extra)


def _excused(told: Told) -> Told:
    expected = replace(told.expected, settles=(*told.expected.settles, "quit"), lines=None, most_starts=3)
    return replace(told, expected=expected)
