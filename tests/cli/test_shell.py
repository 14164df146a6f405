"""Help, version, usage errors, and how a command ends when something goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from node.cli import place
from node.errors import UsageError
from tests.cli.conftest import MARKET, Shell

COMMANDS = (
    *("init", "doctor", "run", "status", "jobs", "logs", "gpus", "drain", "pause", "resume", "stop"),
    *("market", "register", "stake", "wallet", "job", "verify", "demo", "localnet"),
)


def test_help_lists_every_command_under_a_heading(shell: Shell) -> None:
    answer = shell("--help")
    assert answer.status == 0
    listed = [line.split()[0] for line in answer.out.splitlines() if line.startswith("  ") and line.strip()]
    assert [name for name in listed if name in COMMANDS] == [*COMMANDS[:15], "job", "verify", "demo", "localnet"]
    for heading in ("Earn:", "A running agent:", "Chain and wallet:", "Jobs you post:", "Try it out:"):
        assert heading in answer.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(shell: Shell, command: str) -> None:
    answer = shell(command, "--help")
    assert answer.status == 0
    group = "Commands:" in answer.out
    assert group or "--json" in answer.out


def test_help_and_version_are_quick() -> None:
    for option in ("--help", "--version"):
        began = time.monotonic()
        loaded = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "node.cli", option], capture_output=True, text=True, check=True
        )
        assert time.monotonic() - began < 3  # a loaded machine; what is loaded below says it better
        for heavy in ("solders", "httpx", "aiohttp", "pydantic", "yaml", "rich.console"):
            assert f" {heavy}\n" not in loaded.stderr


def test_version(shell: Shell) -> None:
    from node import __version__

    assert shell("--version").out == f"gpunode {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("statsu",),
        ("--nonsense",),
        ("job",),
        ("job", "nonsense"),
        ("job", "post"),
        ("job", "post", "x.json"),
        ("job", "post", "x.json", "--timeout", "soon", "--market", MARKET),
        ("job", "extend", MARKET, "--seconds", "-5"),
        ("jobs", "--limit", "0"),
        ("jobs", "show"),
        ("logs",),
        ("pause", "--for", "a while"),
        ("stake", "create", "-1"),
        ("stake", "create", "0", "--days", "3"),
        ("stake", "topup"),
        ("stake", "topup", "1.0000001"),
        ("wallet", "send", MARKET),
        ("wallet", "send", MARKET, "--sol", "1", "--nos", "1"),
        ("wallet", "send", MARKET, "--sol", "0"),
        ("wallet", "send", MARKET, "--sol", "1e400"),
        ("market", "list", "--cluster", "testnet"),
        ("market", "list", "--cluster", "localnet", "--rpc", "ftp://x"),
        ("market", "list", "--cluster", "localnet", "--ids", "x"),
        ("market", "list"),
        ("wallet", "show"),
        ("init", "--cluster", "testnet"),
        ("init", "--country", "NL", "--rpc", "http://127.0.0.1:9"),
        ("verify",),
        ("localnet", "start", "--ids", "x"),
    ],
)
def test_wrong_usage_is_a_line_and_a_hint(shell: Shell, arguments: tuple[str, ...]) -> None:
    plain = shell(*arguments)
    assert plain.status == 2
    assert plain.out == "" or plain.out.startswith("Usage:")
    if not plain.out:
        error, hint = plain.err.splitlines()
        assert error.startswith("error: ")
        assert hint.startswith("  hint: ")
    as_json = shell(*arguments, "--json")
    assert as_json.status == 2
    assert as_json.document["ok"] is False
    assert set(as_json.document["error"]) == {"kind", "message", "hint"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("status",), "no such settings file"),
        (("status", "--settings", "{home}/none.yaml"), "none.yaml: no such settings file"),
        (("status", "--settings", "{home}/wrong.yaml"), "wrong.yaml: cluster: 'testnet'"),
        (("doctor", "--settings", "{home}/bad.yaml"), "bad.yaml: not valid YAML at line 1"),
        (("wallet", "show", "--cluster", "localnet", "--wallet", "{home}/none.json"), "there is no key file"),
        (("wallet", "show", "--cluster", "localnet", "--wallet", "{home}/open.json"), "has mode 0644"),
        (("wallet", "show", "--cluster", "localnet", "--wallet", "{home}/text.json"), "is not a key file"),
        (("wallet", "new", "{home}/open.json"), "exists already"),
        (("job", "get", "nonsense", "--cluster", "localnet"), "is not a Solana address"),
        (("verify", "nonsense", "--cluster", "localnet"), "is not a Solana address"),
        (("job", "post", "{home}/none.json", "--timeout", "5", "--market", MARKET), "cannot be read"),
        (("job", "post", "{home}/text.json", "--timeout", "5", "--market", MARKET), "the definition cannot be read"),
        (("job", "post", "{home}/big.json", "--timeout", "5", "--market", MARKET), "1,048,576"),
        (("job", "post", "{home}/wrong.json", "--timeout", "5", "--market", MARKET), "the job definition is invalid"),
        (("localnet", "faucet", MARKET, "--rpc", "http://127.0.0.1:9"), "127.0.0.1:9"),
    ],
)
def test_bad_input_is_one_line_with_a_hint(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    files = {"wrong.yaml": "cluster: testnet", "bad.yaml": "[", "open.json": "[1]", "text.json": "hello"}
    files |= {"wrong.json": '{"version": "0.1", "type": "container"}', "big.json": '"' + "x" * (1 << 20) + '"'}
    for name, text in files.items():
        (shell.home / name).write_text(text)
        (shell.home / name).chmod(0o600)
    (shell.home / "open.json").chmod(0o644)
    answer = shell(*(argument.format(home=shell.home) for argument in arguments))
    assert answer.status == 1
    assert answer.out == ""
    lines = answer.err.splitlines()
    assert lines[0].startswith("error: ")
    assert said in lines[0]
    assert len(lines) == 2
    assert lines[1].startswith("  hint: ")


def test_settings_named_anywhere_weigh_more_than_the_environment(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUNODE_SETTINGS", "/nowhere/environment.yaml")
    assert "environment.yaml" in shell("status").err
    assert "before.yaml" in shell("--settings", "/nowhere/before.yaml", "status").err
    assert (
        "after.yaml" in shell("--settings", "/nowhere/before.yaml", "status", "--settings", "/nowhere/after.yaml").err
    )


def test_a_bug_is_said_in_one_line_with_a_report(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_option: object) -> None:
        raise RuntimeError("the impossible\nhappened")

    monkeypatch.setattr(place, "load", broken)
    plain = shell("status")
    assert plain.status == 1
    assert "Traceback" not in plain.err
    assert plain.err.startswith("error: this is a bug in gpunode: RuntimeError: the impossible\n")
    known = shell("status", "--json").document["error"]
    assert known["kind"] == "Bug"
    report = Path(known["report"])
    assert "test_shell.py" in report.read_text()
    assert report.stat().st_mode & 0o777 == 0o600


def test_debug_shows_the_traceback(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUNODE_DEBUG", "1")
    monkeypatch.setattr(place, "load", lambda _option: 1 / 0)
    assert "Traceback" in shell("status").err


def test_tasks_that_fail_together_speak_with_one_voice(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def both(_option: object) -> None:
        raise ExceptionGroup("two", [ExceptionGroup("inner", [UsageError("so not", hint="but so")]), OSError("x")])

    monkeypatch.setattr(place, "load", both)
    answer = shell("status")
    assert answer.status == 2
    assert answer.err == "error: so not\n  hint: but so\n"


def test_ctrl_c_is_clean(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path)}
    arguments = (
        sys.executable,
        "-m",
        "node.cli",
        "localnet",
        "start",
        "--rpc-port",
        "0",
        "--content-port",
        "0",
        "--json",
    )
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["cluster"] == "localnet"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode in (0, 130)
    assert "Traceback" not in err


def test_a_reader_that_goes_away_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "node.cli", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        process.wait(20)
    assert "Traceback" not in err
    assert process.returncode == 0
