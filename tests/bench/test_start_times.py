"""The benchmark runs and says what it measured; how long anything took is not judged."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.bench import start_times


@pytest.mark.long
def test_each_command_is_measured() -> None:
    command = [sys.executable, "-m", "tests.bench.start_times", "--runs", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    figures = json.loads(done.stdout)["figures"]
    assert [each["name"] for each in figures] == list(start_times.COMMANDS)
    assert all(0 < each["least"] <= each["wall"] for each in figures)
