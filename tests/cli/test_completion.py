"""What Tab completes, asked for as the shells do; and that asking loads little."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Shell

WORLD = ("httpx", "solders", "rich", "aiohttp", "numpy", "cryptography", "node.settings", "node.agent")
"""What no answer about the command line itself needs."""


def asked(shell: str, words: str) -> str:
    number = str(len(words.split(" ")) - 1)
    environment = {**os.environ, "_GPUNODE_COMPLETE": f"complete_{shell}", "COMP_WORDS": words, "COMP_CWORD": number}
    environment |= {"_TYPER_COMPLETE_ARGS": words, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    command = [sys.executable, "-m", "node.cli"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout


def test_commands_and_options_are_offered() -> None:
    assert {"status", "stop", "stake"} <= set(asked("bash", "gpunode st").split())
    assert {"new", "show", "send"} <= set(asked("bash", "gpunode wallet ").split())
    assert "--json" in asked("bash", "gpunode doctor --").split()
    assert "status" in asked("zsh", "gpunode sta")
    assert "status" in asked("fish", "gpunode sta")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_the_shell_takes(shell: str, shell_home: Path) -> None:
    command = [sys.executable, "-m", "node.cli", "completion", shell]
    script = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "_GPUNODE_COMPLETE" in script
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    file = shell_home / "script"
    file.write_text(script)
    subprocess.run([shell, "-n", str(file)], check=True, timeout=60)


@pytest.fixture
def shell_home(tmp_path: Path) -> Path:
    return tmp_path


def test_another_shell_is_wrong_usage(shell: Shell) -> None:
    assert shell("completion", "ksh").status == 2
    assert shell("completion").status == 2


@pytest.mark.parametrize("arguments", [["--help"], ["completion", "bash"], ["status", "--help"], ["--version"]])
def test_little_is_loaded(arguments: list[str]) -> None:
    """By what was imported, which no busy machine changes, and not by the time that it took."""
    program = (
        "import sys\nfrom node.cli.app import invoke\n"
        f"invoke({arguments!r})\n"
        f"print('LOADED', *(name for name in {WORLD!r} if name in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.splitlines()[-1].split() == ["LOADED"]
