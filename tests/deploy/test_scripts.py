"""The scripts and the lock a fresh machine is set up with."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted([*(ROOT / "deploy").glob("*.sh"), ROOT / ".ci" / "run", ROOT / "tests" / "realchain" / "build.sh"])
LOCKS = sorted([ROOT / "deploy" / "requirements.lock", *ROOT.glob("node/localnet/jobs/*/requirements.lock")])


def locked(lock: Path) -> dict[str, tuple[str, int]]:
    """Version and number of hashes of each package in a lock."""
    found: dict[str, tuple[str, int]] = {}
    for entry in re.split(r"\n(?=\S)", lock.read_text()):
        match = re.match(r"([A-Za-z0-9._-]+)==([^\s;\\]+)", entry)
        if match:
            found[canonicalize_name(match[1])] = (match[2], entry.count("--hash=sha256:"))
    return found


def test_the_lock_holds_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["test"],
        *project["build-system"]["requires"],
    ]
    held = locked(ROOT / "deploy" / "requirements.lock")
    for requirement in map(Requirement, asked):
        version, _ = held.get(canonicalize_name(requirement.name), ("", 0))
        assert version, f"{requirement.name} is not locked; run deploy/lock.sh"
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement}: {version} is locked"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.parent.name)
def test_locked_packages_have_hashes_and_no_addresses(lock: Path) -> None:
    held = locked(lock)
    assert held
    assert all(hashes > 0 for _, hashes in held.values())
    assert "://" not in lock.read_text()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_are_strict_and_parse(script: Path) -> None:
    text = script.read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text
    assert "http://" not in text.replace("http://127.0.0.1", "")
    assert "https://" not in text
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_an_engine_that_does_not_answer_is_named() -> None:
    environment = {**os.environ, "DOCKER_HOST": "unix:///nonexistent/engine.sock"}
    script = ["bash", str(ROOT / "deploy" / "setup.sh")]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "error: no engine answers at unix:///nonexistent/engine.sock" in done.stderr
    assert "hint: " in done.stderr
