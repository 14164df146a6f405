"""The check of the installed packages finds what it is for."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
HASH = " --hash=sha256:" + "ab" * 32


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "deploy" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["audit"] = module
    spec.loader.exec_module(module)
    return module


def test_this_environment_is_that_of_the_lock() -> None:
    answer = subprocess.run([sys.executable, ROOT / "deploy" / "audit.py"], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout
    assert "0 findings" in answer.stderr


def test_pins_are_read(audit: Any) -> None:
    text = f"# note\na-B==1.0 \\\n   {HASH} \\\n   {HASH}\nwin==2 ; sys_platform == 'win32'{HASH}\n"
    one, two = audit.read_lock(text)
    assert (one.name, str(one.version), one.applies, one.hashes) == ("a-b", "1.0", True, 2)
    assert (two.applies, two.hashes) == (False, 1)


@pytest.mark.parametrize(
    "line", ["a>=1", "a==1.*", "a", "a @ https://example.org/a.whl", "-e .", "a==1,!=2", "--index x"]
)
def test_what_is_no_pin(audit: Any, line: str) -> None:
    with pytest.raises(ValueError, match="pin"):
        audit.read_lock(line + HASH)


def test_findings(audit: Any) -> None:
    pins = audit.read_lock(f"a==1.0\nb==2.0{HASH}\nb==2.1{HASH}\n")
    assert list(audit.unhashed(pins)) == ["a 1.0: has no hash in the lock", "b: is in the lock more than once"]
    assert list(audit.missing(pins, [Requirement("a>=1"), Requirement("b<2"), Requirement("c")])) == [
        "b<2: is in pyproject.toml, and not in the lock",
        "c: is in pyproject.toml, and not in the lock",
    ]
    advisories = {"a": [{"fixed": "1.0.1", "id": "CVE-1"}], "b": [{"fixed": "2.0", "id": "CVE-2"}]}
    assert list(audit.advised(pins, advisories)) == ["a 1.0: CVE-1, fixed in 1.0.1"]


def installed(folder: Path, name: str, version: str) -> Distribution:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    return PathDistribution(info)


def test_what_is_installed_is_compared(audit: Any, tmp_path: Path) -> None:
    pins = audit.read_lock(f"a==1.0{HASH}\nb==2.0{HASH}\nc==3{HASH}\nd==1 ; sys_platform == 'win32'{HASH}\n")
    here = {name: installed(tmp_path, name, version) for name, version in (("a", "1.0"), ("b", "2.1"), ("x", "9"))}
    assert list(audit.differing(pins, {**here, "pip": here["a"], "gpunode": here["a"]})) == [
        "b 2.1: is installed, the lock has 2.0",
        "c 3: is in the lock, and not installed",
        "x 9: is installed, and not in the lock",
    ]


def test_changed_files_are_noticed(audit: Any, tmp_path: Path) -> None:
    import idna

    source = Path(idna.__file__).parent
    shutil.copytree(source, tmp_path / "idna", ignore=shutil.ignore_patterns("__pycache__"))
    (info,) = source.parent.glob("idna-*.dist-info")
    shutil.copytree(info, tmp_path / info.name)
    copy = PathDistribution(tmp_path / info.name)
    # Its command is not copied along.
    assert [each for each in audit.tampered([copy]) if "bin/" not in each] == []
    (tmp_path / "idna" / "core.py").write_text("import os\n")
    (tmp_path / "idna" / "codec.py").unlink()
    found = list(audit.tampered([copy]))
    assert any("core.py is not the file" in each for each in found)
    assert any("codec.py is missing" in each for each in found)


def test_every_advisory_says_which_and_from_when_it_is_fixed(audit: Any) -> None:
    import tomllib

    from packaging.version import Version

    bad = tomllib.loads((ROOT / "deploy" / "known_bad.toml").read_text())["advisories"]
    assert len(bad) > 10
    for entries in bad.values():
        for each in entries:
            Version(each["fixed"])
            assert each["id"].startswith("CVE-")
