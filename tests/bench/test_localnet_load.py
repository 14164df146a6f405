"""The load test runs, small, and says what it measured; how long anything took is not judged."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SUBSCRIBERS = 10
TRANSACTIONS = 60


@pytest.mark.slow
def test_a_small_load_is_measured_and_every_transaction_lands() -> None:
    numbers = {
        "transactions": TRANSACTIONS,
        "burst": TRANSACTIONS,
        "rate": 100,
        "subscribers": SUBSCRIBERS,
        "starts": 1,
    }
    options = [text for name, value in numbers.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "tests.bench.localnet_load", *options, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=170)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert len(document["start_seconds"]) == 1
    assert document["ready"]["rss_mb"] > 0
    assert all(value > 0 for value in document["limits"].values())
    for row in document["load"]:
        assert (row["sent"], row["unlanded"], row["sockets_lost"]) == (TRANSACTIONS, 0, 0), row["name"]
    heard = document["load"][0]["by_kind"]
    assert heard["logsNotification"] >= TRANSACTIONS, "one of ten listens to all logs"
    assert heard["accountNotification"] > 0
    assert heard["slotNotification"] > 0
