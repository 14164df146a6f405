"""Ctrl-C in the middle of `job post --wait`, and definitions and times that are refused before anything is paid."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from node.chain.wallet import Wallet
from tests.cli.conftest import MARKET, Chain, Shell

DEFINITION: dict[str, Any] = {
    "version": "0.1",
    "type": "container",
    "ops": [{"type": "container/run", "id": "hello", "args": {"image": "busybox", "cmd": ["echo", "hello"]}}],
}


@pytest.fixture
def poster(shell: Shell, chain: Chain) -> Path:
    """A funded wallet."""
    file = shell.home / "poster.json"
    address = Wallet.create(file).address
    chain.do(lambda net: net.endow(address, sol=1, nos=1))
    return file


@pytest.mark.long
@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c_while_waiting_leaves_the_job_alone(shell: Shell, chain: Chain, poster: Path, as_json: bool) -> None:
    definition = shell.home / "job.json"
    definition.write_text(json.dumps(DEFINITION))
    arguments = [
        *("job", "post", definition, "--market", chain.market, "--timeout", "60", "--wait", "--wallet", poster),
        *("--content", chain.content_url, *chain.flags, *(["--json"] if as_json else [])),
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "node.cli", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "HOME": str(shell.home)},
    ) as process:  # fmt: skip
        assert process.stderr is not None
        while "waiting for a node" not in (line := process.stderr.readline()):
            assert line, "it ended by itself"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err
    flags = ("--wallet", poster, *chain.flags)
    (job,) = shell("job", "list", *flags, "--json").document["jobs"]
    assert job["state"] == 0
    if as_json:
        known = json.loads(out)
        assert (known["job"], known["ending"], known["succeeded"]) == (job["address"], "interrupted", False)
    else:
        assert out == ""
        assert f"job {job['address']} goes on" in err
    assert shell("job", "stop", job["address"], *flags).status == 0


@pytest.mark.parametrize("time", ["0", "0s", "-5", "0.5", "0.9s", "soon", "1e99", "nan", "5 parsecs"])
def test_a_time_that_is_none_is_refused(shell: Shell, time: str) -> None:
    definition = shell.home / "job.json"
    definition.write_text(json.dumps(DEFINITION))
    answer = shell("job", "post", definition, "--market", MARKET, f"--timeout={time}")
    assert answer.status == 2
    assert answer.err.startswith(f"error: {time!r} is not a length of time")


def test_a_definition_that_breaks_the_schema_is_refused_with_every_broken_rule(
    shell: Shell, chain: Chain, poster: Path
) -> None:
    definition = shell.home / "job.json"
    definition.write_text(json.dumps({**DEFINITION, "type": "virtual", "ops": [{"id": 5}]}))
    arguments = (
        *("job", "post", definition, "--market", chain.market, "--timeout", "60", "--wallet", poster),
        *("--content", chain.content_url, *chain.flags),
    )
    plain = shell(*arguments)
    assert plain.status == 1
    lines = plain.err.splitlines()
    known = shell(*arguments, "--json").document["error"]
    assert lines[0].startswith("error: the job definition is invalid: ")
    assert lines[-1] == "  hint: `gpunode job validate FILE` lists every error."
    assert len(lines) - 2 == len(known["violations"]) > 1
    for line, violation in zip(lines[1:-1], known["violations"], strict=True):
        assert line.startswith(f"  {violation['path']} must be {violation['expected']}")
    assert shell("wallet", "--wallet", poster, *chain.flags, "--json").document["nos"] == 1_000_000


def test_many_broken_rules_are_cut(shell: Shell) -> None:
    definition = shell.home / "job.json"
    definition.write_text(json.dumps({**DEFINITION, "ops": [{"id": number} for number in range(50)]}))
    answer = shell("job", "post", definition, "--market", MARKET, "--timeout", "60")
    assert answer.status == 1
    assert len(answer.err.splitlines()) < 25


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("env", {"HF_TOKEN": "hf_" + "a" * 34}),
        ("env", {"DATABASE": "postgres://user:hunter22@example.org/db"}),
        ("cmd", ["serve", "--api-key=abcdef123456"]),
        ("env", {"CERT": "-----BEGIN PRIVATE KEY-----"}),
    ],
)
def test_secrets_in_a_public_definition_are_warned_of(
    shell: Shell, chain: Chain, poster: Path, where: str, value: Any
) -> None:
    definition = json.loads(json.dumps(DEFINITION))
    definition["ops"][0]["args"][where] = value
    file = shell.home / "job.json"
    file.write_text(json.dumps(definition))
    arguments = (
        *("job", "post", file, "--market", chain.market, "--timeout", "1", "--wallet", poster),
        *("--content", chain.content_url, *chain.flags),
    )
    answer = shell(*arguments)
    assert answer.status == 0
    assert answer.err.startswith(f"warning: the definition is public, and $input.ops[0].args.{where}")
    for secret in ("hf_aaa", "hunter22", "abcdef123456"):
        assert secret not in answer.err + answer.out
    known = shell(*arguments, "--json").document
    assert len(known["warnings"]) == 1
    for job in shell("job", "list", "--wallet", poster, *chain.flags, "--json").document["jobs"]:
        shell("job", "stop", job["address"], "--wallet", poster, *chain.flags)
