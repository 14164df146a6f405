"""The live view of GPUs: what a screen shows at which size, and where it comes from."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from node.api.control import ControlServer
from node.api.documents import gpu_document, lane_document, plain
from node.cli import gpu_view, output, screen
from node.gpu.scenario import LOST_NAME
from node.settings import Settings
from tests.api.double import GPU, JOB, NOW, DoublePort, lane

KNOWN: dict[str, Any] = {"gpus": [gpu_document(GPU)], "now": [plain(NOW)], "lanes": [lane_document(lane())]}


def many(count: int) -> dict[str, Any]:
    gpus = [{**KNOWN["gpus"][0], "index": index, "uuid": f"GPU-{index}"} for index in range(count)]
    return {"gpus": gpus, "now": [{**KNOWN["now"][0], "uuid": gpu["uuid"]} for gpu in gpus], "lanes": []}


def test_a_wide_screen() -> None:
    head, measured, *programs = gpu_view.lines(KNOWN, 200, 50)
    assert head == f"GPU 0  Simulated GPU  main: job {JOB}"
    for part in ("63 %", "memory 12 GiB of 24 GiB", "71 °C", "312 W", "1755 MHz", "slowed by power cap",
                 "PCIe 5.0 x16", "100.0 Wh since"):  # fmt: skip
        assert part in measured
    assert programs == [f"  job {JOB}:  python 12 GiB  (4711)", "  not a job:  Xorg\\x1b[2J  (99)"]


@pytest.mark.parametrize("width", [20, 30, 40, 59, 60, 80, 132])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    shown = gpu_view.lines(KNOWN, width, 500)
    assert all(len(line) <= width for line in shown)
    assert "63 %" in "\n".join(shown)


@pytest.mark.parametrize("height", [3, 10, 20, 64, 65])
def test_many_gpus_on_a_low_screen(height: int) -> None:
    shown = gpu_view.lines(many(64), 80, height)
    assert len(shown) <= height
    assert all(len(line) <= 80 for line in shown)
    assert shown[0].split()[:4] == ["0!", "63%", "71°", "312W"]
    assert (shown[-1] == f"… and {64 - height + 1} more") is (height < 64)


def test_what_is_not_available_is_not_shown_as_zero() -> None:
    nothing = {**KNOWN, "now": [{"uuid": "GPU-1", "time_ms": None}]}
    assert gpu_view.lines(nothing, 80, 50)[1] == "  it tells nothing at the moment"
    bare = {**KNOWN, "now": [{"uuid": "GPU-1", "time_ms": 1}]}
    assert gpu_view.lines(bare, 80, 50) == [f"GPU 0  Simulated GPU  main: job {JOB}"]
    assert gpu_view.lines({**KNOWN, "gpus": []}, 80, 50) == ["no GPU"]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_terminal_is_drawn_over_and_left_as_it_was(monkeypatch: pytest.MonkeyPatch, is_terminal: bool) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    with screen.screen(draws=is_terminal) as draw:
        draw(["one", "two"])
        draw(["three"])
    text = out.getvalue()
    if is_terminal:
        assert "\x1b[2J" not in text, "a wiped screen flickers"
        assert text.endswith("\x1b[?25h\x1b[?1049l")
        assert "\x1b[Hthree\x1b[K\r\n\x1b[J" in text
    else:
        assert text == "one\ntwo\n\nthree\n\n"


def chosen(tmp_path: Path) -> Settings:
    lanes = [{"wallet": "w.json", "market": "11111111111111111111111111111111"}]
    paths = {"data": str(tmp_path), "control_socket": str(tmp_path / "s")}
    tree = {"cluster": "localnet", "host": {"country": "NL"}, "lanes": lanes, "paths": paths}
    return Settings.model_validate({**tree, "gpu": {"provider": "simulated", "simulated": 2}})


async def test_it_reads_the_running_agent(tmp_path: Path) -> None:
    settings = chosen(tmp_path)
    async with ControlServer(DoublePort(), settings.locations.control_socket), gpu_view._source(settings) as read:
        known = await read()
    assert known == {"running": True, **KNOWN}


async def test_it_reads_the_driver_where_no_agent_runs(tmp_path: Path) -> None:
    process = {"pid": 1, "used": 5, "names": ["game.exe"]}
    (tmp_path / LOST_NAME).write_text(json.dumps({"gpus": {"1": {"temperature": 44, "processes": [process]}}}))
    async with gpu_view._source(chosen(tmp_path)) as read:
        known = await read()
    assert [each["temperature"] for each in sorted(known["now"], key=lambda each: str(each["temperature"]))] == [
        44,
        None,
    ]
    assert not known["running"]
    (shown,) = (each for each in known["now"] if each["processes"])
    assert shown["processes"] == [
        {"pid": 1, "name": "game.exe", "memory_bytes": 5, "owner": "gone", "job": None},
    ]


class EnoughSeen(Exception):
    """Ends the endless."""


async def test_json_is_one_line_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(gpu_view, "SECONDS", 0.0)
    assert not output.on_terminal()
    written = output.json_line

    def line(value: object) -> None:
        written(value)
        if out.getvalue().count("\n") == 2:
            raise EnoughSeen

    monkeypatch.setattr(output, "json_line", line)
    with pytest.raises(EnoughSeen):
        await gpu_view.watch(chosen(tmp_path), as_json=True)
    documents = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(documents) == 2
    assert len(documents[0]["gpus"]) == 2
