"""Looks: side by side, each in its own time, and none that ends or holds up another."""

from __future__ import annotations

import asyncio
import threading

from node.agent.finding import Finding
from node.agent.looks import Look, Once, aside, look_at_all
from node.errors import GpuError


async def well() -> Finding:
    return Finding("well", True, "as it should be")


async def test_whatever_goes_wrong_is_that_rows_alone() -> None:
    forever = asyncio.Event()

    async def refused() -> Finding:
        raise GpuError("no GPU", hint="fit one")

    async def broken() -> Finding:
        raise ZeroDivisionError("division by zero\nand more")

    async def hangs() -> Finding:
        await forever.wait()
        raise AssertionError

    async def too_late_itself() -> Finding:
        raise TimeoutError("of its own")

    async def several() -> list[Finding]:
        return [Finding("a", True, ""), Finding("b", None, "")]

    looks = [
        Look("refused", refused),
        Look("broken", broken),
        Look("hangs", hangs, within=0.01),
        Look("late", too_late_itself),
        Look("several", several),
        Look("well", well),
    ]
    found = await look_at_all(looks)
    assert [row.name for row in found] == ["refused", "broken", "hangs", "late", "a", "b", "well"]
    assert [row.ok for row in found] == [False, False, False, False, True, None, True]
    assert (found[0].seen, found[0].fix) == ("no GPU", "fit one")
    assert "ZeroDivisionError: division by zero" in found[1].seen
    assert "and more" not in found[1].seen
    assert "no answer within 0.01 s" in found[2].seen
    assert all(row.fix for row in found if row.ok is False)


async def test_they_are_taken_side_by_side() -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def one() -> Finding:
        first.set()
        await second.wait()
        return Finding("one", True, "")

    async def two() -> Finding:
        await first.wait()
        second.set()
        return Finding("two", True, "")

    assert len(await look_at_all([Look("one", one), Look("two", two)])) == 2


async def test_a_thread_that_hangs_is_left_behind() -> None:
    let_go = threading.Event()

    async def hangs() -> Finding:
        return await aside(lambda: Finding("thread", let_go.wait(), ""))

    (row,) = await look_at_all([Look("thread", hangs, within=0.02)])
    assert row.ok is False
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "look")
    let_go.set()
    assert await aside(lambda: 7) == 7


async def test_what_several_need_is_asked_once() -> None:
    asked = []

    async def ask() -> int:
        asked.append(1)
        await asyncio.sleep(0)
        return 5

    once = Once(ask)
    assert await asyncio.gather(once(), once(), once.or_none()) == [5, 5, 5]
    assert len(asked) == 1

    async def fail() -> int:
        asked.append(2)
        raise GpuError("gone")

    failing = Once(fail)
    assert await failing.or_none() is None
    assert await failing.or_none() is None
    assert asked.count(2) == 1
