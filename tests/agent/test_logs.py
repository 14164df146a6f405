"""The agent's log lines."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from node.agent.logs import JsonFormatter, PlainFormatter, current_lane, set_up_logging
from node.errors import RpcUnavailable


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_plain_lines_name_time_level_and_lane(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(PlainFormatter())
    logging.getLogger("node.x").info("starting")
    token = current_lane.set("main")
    logging.getLogger("node.x").warning("slow %s", "endpoint")
    current_lane.reset(token)
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("Z INFO    starting")
    assert second.endswith("Z WARNING main slow endpoint")


def test_an_expected_error_is_one_line_with_its_hint(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(PlainFormatter())
    try:
        raise RpcUnavailable("no endpoint answers", hint="check rpc.urls")
    except RpcUnavailable:
        logging.getLogger("node.x").exception("cannot join")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("cannot join: no endpoint answers (check rpc.urls)")


def test_a_bug_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(PlainFormatter())
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logging.getLogger("node.x").exception("surprise")
    assert "Traceback" in capsys.readouterr().err


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(JsonFormatter())
    token = current_lane.set("main")
    logging.getLogger("node.x").info("joined")
    current_lane.reset(token)
    try:
        raise RpcUnavailable("away", hint="wait")
    except RpcUnavailable:
        logging.getLogger("node.x").exception("later")
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logging.getLogger("node.x").error("bug", exc_info=sys.exc_info())
    first, second, third = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["level"], first["lane"], first["message"]) == ("info", "main", "joined")
    assert (second["message"], "traceback" in second) == ("later: away (wait)", False)
    assert "ZeroDivisionError" in third["traceback"]


def test_libraries_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(PlainFormatter())
    logging.getLogger("httpx").info("GET https://user:secret@example.org/")
    assert capsys.readouterr().err == ""
