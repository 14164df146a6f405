"""The benchmark runs and says what it measured; how long anything took is not judged."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.bench import demo_latency


@pytest.mark.long
@pytest.mark.docker
@pytest.mark.slow
def test_one_run_of_each_is_measured() -> None:
    command = [sys.executable, "-m", "tests.bench.demo_latency", "--runs", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=170)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    figures = {each["name"]: each for each in document["figures"]}
    stages = ["fetch", "admit", "run", "report", "settle"]
    assert list(figures)[:5] == stages
    assert all(len(each["seconds"]) == document["runs"] == 1 for each in figures.values())
    assert sum(figures[name]["median"] for name in stages) == pytest.approx(
        figures[demo_latency.STAGES]["median"], abs=0.01
    )
    assert figures[demo_latency.PLAIN]["min"] > 2, "the job works for two seconds at least"


def test_the_table_has_a_row_for_each_figure() -> None:
    rounds = [{"run": 3.0, "settle": 1.0}, {"run": 1.0, "settle": 1.5}, {"run": 2.0, "settle": 9.0}]
    text = demo_latency.table(demo_latency.spreads(rounds))
    assert text.splitlines()[2:] == ["| run | 1.000 | 2.000 | 3.000 |", "| settle | 1.000 | 1.500 | 9.000 |"]
