"""The screen of `gpunode status`, at several widths, from fixed data; and the loop that goes on showing it."""

from __future__ import annotations

from typing import Any

import pytest

from node.api.client import AgentSilent
from node.cli import status_read
from node.cli.status import watching
from node.cli.status_screen import Look, fitted, lines, milliseconds
from tests.api.double import JOB, RUN

NOW = 1_700_000_000.0
SENTENCE = "queued 12 of 40 in market 7nxX…nc41, last job 3 h ago, median wait 50 min"
STAKE = "not earning: stake 20 NOS below the market's minimum: gpunode stake topup 20"


def lane(name: str, phase: str, **more: Any) -> dict[str, Any]:
    return {
        "lane": name, "phase": phase, "reason": "", "since": NOW - 3000, "position": None, "queue_length": None,
        "job": None, "stage": None, "progress": "", "gpus": ["GPU-1"], "trailing": [], "earning": None, **more,
    }  # fmt: skip


def earning(state: bool, code: str, sentence: str) -> dict[str, Any]:
    return {"earning": state, "code": code, "sentence": sentence, "asked_at": NOW}


QUEUED = lane("main", "queued", position=12, queue_length=40, reason="place 12 of 40 in the queue",
              earning=earning(True, "queued", SENTENCE))  # fmt: skip
WORKING = lane("second", "working", stage="run", job=JOB, reason=f"run: job {JOB}", since=NOW - 20,
               earning=earning(True, "working", "earning: job 4Nd1…DB4T for 20 s, 0.02 NOS so far"))  # fmt: skip
DEGRADED = lane("third", "degraded", reason="the wallet has no SOL (send it some)", since=NOW - 90,
                earning=earning(False, "stake", STAKE))  # fmt: skip
SUM = {"jobs": 12, "paid": 12, "pay": 4_200_000, "pay_unknown": 0, "lamports": 5, "millijoules": None}
RUNNING = {
    "running": True, "version": "0.1.0", "cluster": "localnet", "pid": 42, "started_at": NOW - 11_545,
    "gpu_provider": "simulated", "gpus": [{"name": "Simulated GPU"}] * 2, "lanes": [QUEUED, WORKING], "services": [],
    "health": [{"subject": "engine", "lane": "", "state": "ok", "reason": "", "hint": "", "since": 1,
                "hinders": False}],
    "earned": {"days": 7, "today": SUM, "span": {**SUM, "jobs": 1}},
    "latency": {"since": 1, "runs": 3, "legs": [
        {"leg": "queue", "count": 3, "p50": 3_000_000, "p95": 9_000_000},
        {"leg": "pull", "count": 2, "p50": 340, "p95": 12_345},
        {"leg": "settle", "count": 0, "p50": None, "p95": None},
    ]},
    "recent": [
        {"run": RUN, "job": JOB, "run_time": NOW - 20, "timeout": 60, "stage": "run", "settlement": None},
        {"run": RUN, "job": JOB, "run_time": 1, "timeout": 60, "stage": "done", "cause": "completed", "refusal": "",
         "settlement": {"kind": "finish", "pay": 7000, "reason": ""}},
    ],
}  # fmt: skip


def shown(known: dict[str, Any], width: int = 100, **more: Any) -> list[str]:
    return lines(status_read.judged(known), Look(width, NOW, **more))


def test_the_whole_screen() -> None:
    assert shown(RUNNING, 120) == [
        "serving: gpunode 0.1.0 on localnet, up 3 h 12 min (process 42)",
        "GPUs: 2 x Simulated GPU  [simulated: no real GPU is used]",
        "Health: ok (1 looked at)",
        "Earned: today 4.2 NOS of 12 jobs; last 7 days 4.2 NOS of 1 job",
        "",
        "main    queued         for 50 min; 12 of 40 in market 7nxX…nc41, last job 3 h ago, median wait 50 min",
        f"second  working (run)  for 20 s; job {JOB}, 40 s of 1 min left; 0.02 NOS so far",
        "",
        "Last jobs",
        f"  {JOB}  0.007 NOS  ran to its end",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("legs", [True, False])
def test_no_line_is_wider_than_the_terminal(width: int, legs: bool) -> None:
    known = {**RUNNING, "lanes": [QUEUED, WORKING, DEGRADED]}
    found = shown(known, width, legs=legs)
    # A job's address is never cut: it is what other commands are told.
    assert all(len(line) <= width or JOB in line for line in found), found
    text = " ".join(" ".join(found).split())
    assert "degraded" in text
    assert STAKE in text
    assert "\x1b" not in text


def test_what_needs_somebody_stands_first_and_says_what_to_do() -> None:
    lost = {"subject": "gpu", "lane": "main", "state": "failing", "reason": "GPU 7 is gone", "hint": "see dmesg",
            "since": NOW - 60, "hinders": True}  # fmt: skip
    known = {**RUNNING, "lanes": [QUEUED, DEGRADED], "health": [*RUNNING["health"], lost]}
    found = shown(known, 200)
    assert found[0].startswith("needs attention: ")
    assert found[5:7] == [
        "! main: gpu failing: GPU 7 is gone; no job is taken until that is over (see dmesg), for 1 min",
        "! third: the wallet has no SOL (send it some), for 1 min 30 s",
    ]
    assert status_read.needs_attention(known)
    assert not status_read.needs_attention(RUNNING)


def test_without_an_agent_nobody_is_in_the_state_that_was_shown_last() -> None:
    known = {**RUNNING, "running": False, "gpus": [], "health": []}
    found = shown(known)
    assert found[0] == "stopped: gpunode on localnet"
    assert "! no agent is running; this is what its journal holds (gpunode run)" in found
    assert any("was queued" in line for line in found)
    assert status_read.needs_attention(known)


def test_lanes_that_all_rest_are_no_trouble() -> None:
    known = {**RUNNING, "lanes": [lane("main", "paused", reason="paused; gpunode resume joins again")]}
    assert shown(known)[0].startswith("resting as you asked: ")
    assert "main  paused  for 50 min; paused; gpunode resume joins again" in shown(known)


def test_many_lanes_are_counted_and_those_in_trouble_listed() -> None:
    lanes = [{**QUEUED, "lane": f"lane{i}"} for i in range(40)] + [{**DEGRADED, "lane": f"bad{i}"} for i in range(24)]
    found = shown({**RUNNING, "lanes": lanes}, 80)
    assert "64 lanes: 40 queued, 24 degraded (--all lists them)" in found
    assert len(found) < 60
    whole = shown({**RUNNING, "lanes": lanes}, 80, everything=True)
    assert sum(line.startswith("lane") for line in whole) == 40
    cut = fitted(whole, 20)
    assert len(cut) == 20
    assert cut[-1] == f"… and {len(whole) - 19} more lines"


def test_strangers_words_drive_no_terminal_and_colours_are_asked_for() -> None:
    known = {**RUNNING, "lanes": [lane("main", "degraded", reason="\x1b[2Jwipe")]}
    assert not any("\x1b" in line for line in shown(known))
    assert any(r"\x1b[2Jwipe" in line for line in shown(known))
    assert shown(RUNNING, colours=True)[0].startswith("\x1b[32mserving\x1b[0m: ")


def test_the_legs_of_jobs() -> None:
    found = shown(RUNNING, 80, legs=True)
    assert found[found.index("Last 3 jobs") :][:4] == [
        "Last 3 jobs",
        "                     half took up to  95 of 100   jobs",
        "  wait in the queue  50 min           2 h 30 min  3",
        "  check, pull        340 ms           12.3 s      2",
    ]
    assert "no job in this time" in shown({**RUNNING, "latency": {"since": 1, "runs": 0, "legs": []}}, legs=True)
    assert [milliseconds(each) for each in (None, 999, 12_345)] == ["–", "999 ms", "12.3 s"]


async def test_it_is_read_and_shown_once_a_second_until_interrupted() -> None:
    told: list[object] = []

    async def read() -> dict[str, Any]:
        if len(told) == 2:
            raise AgentSilent("it ended while it was asked")
        return {"n": len(told)}

    async def sleep(seconds: float) -> None:
        told.append(seconds)
        if len(told) > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await watching(read, told.append, sleep)
    assert told == [{"n": 0}, 1.0, 1.0, {"n": 3}, 1.0, {"n": 5}, 1.0]
