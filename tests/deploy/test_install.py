"""deploy/install.sh below a folder of the test's own: what it puts where, and how it goes from one version to another.

Versions are stand-ins there already (making a real one takes a minute: `test_service.py`), and so is systemctl."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from node.journal import schema

ROOT = Path(__file__).resolve().parents[2]
OLD = "0.0.9-0000000000"

SYSTEMCTL = """#!/bin/sh
echo "$*" >>"$HOST/systemctl.log"
case "$1" in
    is-active) [ -e "$HOST/active" ] ;;
    stop) rm -f "$HOST/active" ;;
    start)
        version="$(basename "$(readlink "$HOST/opt/gpunode/current")")"
        [ ! -e "$HOST/opt/gpunode/$version/start" ] || . "$HOST/opt/gpunode/$version/start"
        [ ! -e "$HOST/opt/gpunode/$version/broken" ] || exit 1
        touch "$HOST/active"
        ;;
esac
"""


@cache
def new_name() -> str:
    """What this copy of the project is called as a version."""
    command = ["bash", str(ROOT / "deploy/install.sh"), "--root", "/nowhere", "--dry-run"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stderr
    match = re.search(r"installing version (\S+) into", said)
    assert match, said
    return match[1]


class Host:
    """A folder that install.sh takes for a host on which systemd runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.opt = root / "opt/gpunode"
        self.settings = root / "etc/gpunode/node.yaml"
        self.journal = root / "var/lib/gpunode/journal.sqlite"
        (root / "run/systemd/system").mkdir(parents=True)
        (root / "bin").mkdir()
        (root / "bin/systemctl").write_text(SYSTEMCTL)
        (root / "bin/systemctl").chmod(0o755)
        self.new = new_name()

    def __call__(self, *arguments: str, fails: bool = False) -> str:
        """Run the script; returns what it said."""
        path = f"{self.root / 'bin'}:{os.environ['PATH']}"
        command = ["bash", str(ROOT / "deploy/install.sh"), "--root", str(self.root), *arguments]
        environment = {**os.environ, "PATH": path, "HOST": str(self.root), "GPUNODE_SYSTEM": "0"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert (done.returncode != 0) is fails, done.stderr
        return done.stderr

    def version(self, name: str) -> Path:
        """A version that is installed, whose Python is the test's own."""
        folder = self.opt / name
        (folder / "bin").mkdir(parents=True)
        (folder / "bin/python").write_text(
            f'#!/bin/sh\n[ "$1" != -I ] || shift\nPYTHONPATH="{ROOT}" exec "{sys.executable}" "$@"\n'
        )
        (folder / "bin/python").chmod(0o755)
        (folder / "pyvenv.cfg").write_text("")
        (folder / "installed").write_text(name)
        return folder

    def current(self) -> str:
        return str((self.opt / "current").readlink())

    def asked(self) -> list[str]:
        """What systemctl was asked since the last time."""
        log = self.root / "systemctl.log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [line for line in lines if not line.startswith("is-active")]

    def in_use(self) -> None:
        """The old version runs here, with settings and a journal."""
        self.version(OLD)
        (self.opt / "current").symlink_to(OLD)
        (self.root / "active").touch()
        self.settings.parent.mkdir(parents=True)
        wallet, market = self.settings.parent / "keys/main.json", "7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41"
        wallet.parent.mkdir()
        wallet.write_text("the key")
        self.settings.write_text(
            f"cluster: localnet\nhost: {{country: NL}}\npaths: {{data: {self.journal.parent}}}\n"
            f"lanes: [{{name: main, wallet: {wallet}, market: {market}}}]\n"
        )
        self.migrate(len(schema.MIGRATIONS))

    def migrate(self, version: int) -> None:
        self.journal.parent.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(self.journal) as file:
            schema.migrate(file, schema.MIGRATIONS[:version])
        file.close()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host")


@pytest.mark.long
def test_a_dry_run_changes_nothing(host: Host) -> None:
    before = sorted(host.root.rglob("*"))
    said = host("--dry-run")
    assert "would: install -d -m 1770" in said
    assert sorted(host.root.rglob("*")) == before


def test_what_it_puts_where_and_that_a_second_time_is_harmless(host: Host) -> None:
    host.version(host.new)
    (host.opt / "0.0.1-cutoff").mkdir()
    (host.opt / "0.0.1-cutoff/pyvenv.cfg").touch()
    said = host()
    assert "gpunode init" in said
    assert host.current() == host.new
    assert not (host.opt / "0.0.1-cutoff").exists()
    assert str((host.root / "usr/local/bin/gpunode").readlink()) == "/opt/gpunode/current/bin/gpunode"
    modes = {path: (host.root / path).stat().st_mode & 0o7777 for path in ("etc/gpunode/keys", "var/lib/gpunode")}
    assert modes == {"etc/gpunode/keys": 0o700, "var/lib/gpunode": 0o700}
    unit = (host.root / "etc/systemd/system/gpunode.service").read_text()
    assert "ExecStart=/opt/gpunode/current/bin/gpunode run" in unit
    assert "_GPUNODE_COMPLETE" in (host.root / "usr/local/share/bash-completion/completions/gpunode").read_text()
    assert (host.root / "usr/local/share/fish/vendor_completions.d/gpunode.fish").is_file()
    # Nothing is started that was not running.
    assert host.asked() == ["daemon-reload"]

    def everything() -> dict[str, tuple[int, bytes]]:
        files = (path for path in host.root.rglob("*") if path.is_file() and path.name != "systemctl.log")
        return {str(path): (path.stat().st_ino, path.read_bytes()) for path in files}

    before = everything()
    assert "is the current one" in host()
    assert everything() == before


@pytest.mark.long
def test_another_prefix_is_in_unit_and_link(host: Host) -> None:
    host.version(host.new).parent.rename(host.root / "opt/else")
    host("--prefix", "/opt/else")
    assert (
        "ExecStart=/opt/else/current/bin/gpunode run" in (host.root / "etc/systemd/system/gpunode.service").read_text()
    )
    assert str((host.root / "usr/local/bin/gpunode").readlink()) == "/opt/else/current/bin/gpunode"


def test_an_upgrade_stops_swaps_and_starts(host: Host) -> None:
    host.in_use()
    host.version(host.new)
    host()
    assert host.asked() == ["daemon-reload", "stop gpunode.service", "start gpunode.service"]
    assert (host.current(), str((host.opt / "previous").readlink())) == (host.new, OLD)
    host("--rollback")
    assert host.asked() == ["stop gpunode.service", "start gpunode.service"]
    assert (host.current(), str((host.opt / "previous").readlink())) == (OLD, host.new)


@pytest.mark.long
def test_a_version_that_does_not_start_is_taken_back(host: Host) -> None:
    host.in_use()
    (host.version(host.new) / "broken").touch()
    said = host(fails=True)
    assert f"going back to {OLD}" in said
    assert f"{OLD} runs again" in said
    assert host.current() == OLD
    assert (host.root / "active").exists()


@pytest.mark.long
def test_one_that_has_changed_the_journal_is_not_taken_back(host: Host) -> None:
    host.in_use()
    host.journal.unlink()
    host.migrate(len(schema.MIGRATIONS) - 1)
    new = host.version(host.new)
    (new / "broken").touch()
    (new / "start").write_text(f'sqlite3() {{ "{sys.executable}" - "$@"; }}\n"{new}/migrate"\n')
    (new / "migrate").write_text(
        f"#!{sys.executable}\nimport sqlite3\nfile = sqlite3.connect({str(host.journal)!r})\n"
        f"file.execute('PRAGMA user_version = {len(schema.MIGRATIONS)}')\nfile.commit()\n"
    )
    (new / "migrate").chmod(0o755)
    said = host(fails=True)
    assert f"from schema {len(schema.MIGRATIONS) - 1} to {len(schema.MIGRATIONS)}" in said
    assert "journalctl" in said
    assert host.current() == host.new


@pytest.mark.long
def test_settings_that_it_does_not_take_stop_it_before_anything_is_changed(host: Host) -> None:
    host.in_use()
    host.version(host.new)
    host.settings.write_text(host.settings.read_text().replace("localnet", "nonsense"))
    said = host(fails=True)
    assert "cluster: 'nonsense'" in said
    assert "nothing was changed" in said
    assert host.current() == OLD
    assert (host.root / "active").exists()


@pytest.mark.long
def test_a_journal_of_the_future_stops_it_too(host: Host) -> None:
    host.in_use()
    host.version(host.new)
    with sqlite3.connect(host.journal) as file:
        file.execute("PRAGMA user_version = 9999")
    file.close()
    assert "schema 9999" in host(fails=True)
    assert (host.current(), (host.root / "active").exists()) == (OLD, True)


def test_uninstalling_leaves_what_is_the_operators(host: Host) -> None:
    host.in_use()
    host.version(host.new)
    host()
    host.asked()
    host("--uninstall")
    assert "disable --now gpunode.service" in host.asked()
    assert not host.opt.exists()
    assert not (host.root / "usr/local/bin/gpunode").is_symlink()
    assert not list((host.root / "etc/systemd/system").iterdir())
    assert not [each for each in (host.root / "usr/local/share").rglob("*gpunode*") if each.is_file()]
    assert host.settings.is_file()
    assert host.journal.is_file()
    assert (host.settings.parent / "keys/main.json").read_text() == "the key"


@pytest.mark.long
def test_a_purge_deletes_no_wallet(host: Host) -> None:
    host.in_use()
    host("--purge")
    assert not host.settings.parent.exists()
    assert not host.journal.parent.exists()
    (kept,) = (host.root / "root").glob("gpunode-keys-*/main.json")
    assert kept.read_text() == "the key"


def test_open_jobs_are_in_the_way(host: Host) -> None:
    host.in_use()
    source = ROOT / "tests/journal/old/schema_1.sql"
    host.journal.unlink()
    with sqlite3.connect(host.journal) as file:
        file.executescript(source.read_text())
    file.close()
    assert "1 jobs are not settled yet" in host("--uninstall", fails=True)
    assert host.current() == OLD
    host("--uninstall", "--force")
    assert not host.opt.exists()


@pytest.mark.long
def test_where_open_jobs_cannot_be_told_it_is_said(host: Host) -> None:
    host.in_use()
    host.settings.write_text("cluster: nonsense\n")
    said = host("--uninstall", fails=True)
    assert "cluster: 'nonsense'" in said
    assert "whether jobs are open cannot be told" in said
    assert host.current() == OLD


@pytest.mark.parametrize("arguments", [["--nothing"], ["--prefix"], ["--prefix", "here"], ["--prefix", "/"]])
def test_wrong_usage(host: Host, arguments: list[str]) -> None:
    assert "hint: " in host(*arguments, fails=True)


def test_the_lock_of_what_runs_is_part_of_the_whole() -> None:
    def pins(name: str) -> set[str]:
        text = (ROOT / "deploy" / name).read_text()
        return {re.sub(r"[\s\\]+", " ", each).strip() for each in re.split(r"\n(?=[a-zA-Z0-9])", text) if "==" in each}

    runs = pins("runtime.lock")
    assert len(runs) > 30
    # Markers tell for whom: there are fewer reasons for a package where fewer packages ask for it.
    bare = {re.sub(r" ;.*?(?= --hash)", "", each) for each in pins("requirements.lock")}
    assert {re.sub(r" ;.*?(?= --hash)", "", each) for each in runs} <= bare
    assert not [each for each in runs if each.startswith(("pytest", "mypy", "ruff"))]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@pytest.mark.parametrize("unit", ["gpunode.service", "gpunode-firewall.service"])
def test_systemd_takes_the_units(unit: str, tmp_path: Path) -> None:
    # Its programs are not installed here: another one that is.
    text = re.sub(
        r"=(/opt/gpunode/current/bin/gpunode|/usr/sbin/nft) ", "=/bin/sh ", (ROOT / "deploy" / unit).read_text()
    )
    (tmp_path / unit).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / unit)], capture_output=True, text=True, timeout=60
    )
    complaints = [line for line in done.stderr.splitlines() if str(tmp_path) in line or unit in line]
    assert complaints == []
