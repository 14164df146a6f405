"""Every built-in job through the whole demo: posted, run, paid, verified, and right in what it answers.

`spam` is in tests/localnet/test_demo.py, which looks at the demo itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(600)]


def demo(job: str, folder: Path) -> dict[str, Any]:
    """The demo's document; what it said on the way is shown where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "node.cli", "demo", "--job", job, "--json"],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    assert summary["ok"] is True
    assert summary["verified"]["settled"] is True
    assert set(summary["verified"].values()) <= {True, None}
    assert summary["pay"]["amount"] > 0
    assert list(folder.iterdir()) == []
    return summary


def test_speech_is_heard(tmp_path: Path) -> None:
    summary = demo("speech", tmp_path)
    assert summary["service"] is None
    _, segments = summary["answers"]["segments"]
    assert [round(start) for start, _ in json.loads(segments)] == [7, 8, 10, 18, 28, 32]
    assert float(summary["answers"]["activity"][3]) > 0.94


def test_pages_are_read(tmp_path: Path) -> None:
    answers = demo("ocr", tmp_path)["answers"]
    assert "".join(answers["text"][3].split()) == "InvoiceNo.2041"
    assert answers["accuracy"][2] == "0"


def test_a_service_is_visited_and_ended(tmp_path: Path) -> None:
    summary = demo("chat", tmp_path)
    assert summary["settle"] == "complete", "its poster ended it; the result came after"
    assert summary["cause"] == "stopped"
    service = summary["service"]
    assert service["models"] == ["pydoc-ngram", "all-MiniLM-L6-v2"]
    near, far = service["similarity"]
    assert near > 0.7
    assert far < 0.3
    assert "sleep" in service["answer"]
    assert service["tokens"]["total_tokens"] == sum(
        service["tokens"][part] for part in ("prompt_tokens", "completion_tokens")
    )
    assert service["finish_reason"] == "stop"
    assert 0 < service["first_byte_seconds"] < 10
