"""The benchmark of the proxy runs and says what it measured; how long anything took is not judged."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.bench import service_first_byte


@pytest.mark.long
@pytest.mark.docker
@pytest.mark.slow
def test_each_way_is_measured_in_one_run() -> None:
    command = [sys.executable, "-m", "tests.bench.service_first_byte", "--requests", "5", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    ways = document["new_connection"]
    assert list(ways)[:3] == [service_first_byte.DIRECT, service_first_byte.PROXY, service_first_byte.AIOHTTP]
    assert all(0 < row["median_ms"] <= row["p95_ms"] <= row["p99_ms"] for row in ways.values())
    assert set(document["kept_connection"]) == set(ways) - {service_first_byte.DIRECT}
    assert set(document["large_mib_per_second"]) == set(ways)
    assert len(service_first_byte.table(document).splitlines()) == len(ways) + 4
