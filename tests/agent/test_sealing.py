"""The agent's memory and data folder are kept from others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from node.agent.sealing import require_own
from node.errors import SettingsError

_TELL = """
import ctypes, resource
from node.agent.sealing import seal_process
print(seal_process(), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))
"""

_WAIT = """
import os, sys
from node.agent import sealing
os.setgroups([]); os.setgid(4321); os.setuid(4321)
if sys.argv[1] == "sealed":
    assert sealing.seal_process()
else:
    import ctypes
    # A process that has changed its user is not dumpable until it says so.
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
print("ready", flush=True)
sys.stdin.read()
"""

_LOOK = """
import os, sys
os.setgroups([]); os.setgid(4321); os.setuid(4321)
try:
    with open(f"/proc/{sys.argv[1]}/environ", "rb") as file:
        print("read", b"SECRET=in-here" in file.read())
except OSError as error:
    print(type(error).__name__)
"""


def test_no_core_dumps_and_no_looking_in() -> None:
    answer = subprocess.run([sys.executable, "-c", _TELL], capture_output=True, text=True, check=True)
    assert answer.stdout.split(None, 2) == ["True", "0", "(0, 0)\n"]


@contextmanager
def somebodys(kind: str) -> Iterator[int]:
    environment = {**os.environ, "SECRET": "in-here"}
    with subprocess.Popen(
        [sys.executable, "-c", _WAIT, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize(("kind", "seen"), [("open", "read True"), ("sealed", "PermissionError")])
def test_another_process_of_the_same_user_sees_nothing(kind: str, seen: str) -> None:
    with somebodys(kind) as pid:
        look = [sys.executable, "-S", "-c", _LOOK, str(pid)]
        assert subprocess.run(look, capture_output=True, text=True, check=True).stdout.strip() == seen


def test_the_data_folder_is_made_private(tmp_path: Path) -> None:
    require_own(tmp_path / "a" / "data")
    assert (tmp_path / "a" / "data").stat().st_mode & 0o777 == 0o700
    require_own(tmp_path / "a" / "data")


def test_a_folder_of_others_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(SettingsError, match="everybody may write"):
        require_own(folder)
    folder.chmod(0o755)
    require_own(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be used"):
        require_own(tmp_path / "file")
    if os.geteuid() == 0:
        os.chown(folder, 4321, 4321)
        with pytest.raises(SettingsError, match="belongs to user 4321"):
            require_own(folder)
