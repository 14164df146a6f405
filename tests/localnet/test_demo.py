"""`gpunode demo` as a user runs it: what it prints, and what it leaves behind however it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import docker
import pytest
from solders.pubkey import Pubkey
from solders.signature import Signature

from node.content.cid import cid_to_hash32
from node.localnet.demo_summary import found_matches
from node.localnet.interruption import interruptible
from node.localnet.recipes import definition
from node.proof.bundle_check import verify_bundle
from tests.proof.outside.bundle import failed_lines

COMMAND = [sys.executable, "-m", "node.cli", "demo"]
STAGES = ["fetch", "admit", "run", "report", "settle"]
LONGEST_SCREEN = 90
"""Lines; the job alone writes 66."""


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(folder), **more}


def labelled(client: docker.DockerClient, node: str) -> list[Any]:
    ours = {"label": f"gpunode.node={node}"}
    return [*client.containers.list(all=True, filters=ours), *client.networks.list(filters=ours)]


@pytest.mark.docker
@pytest.mark.slow
def test_the_main_job_is_done_paid_and_verified(tmp_path: Path) -> None:
    # A folder too deep for a unix socket's path must do as well.
    tmp_path = tmp_path / ("deep" * 20)
    tmp_path.mkdir()
    done = subprocess.run(
        [*COMMAND, "--json", "--bundle", "b.json"],
        cwd=tmp_path.parent,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = done.stdout.splitlines()
    summary = json.loads(line)
    assert summary["ok"] is True
    assert summary["cluster"] == "localnet"
    for name in ("market", "node", "job", "run"):
        assert Pubkey.from_string(summary[name])
    for address, digest in summary["programs"].items():
        assert Pubkey.from_string(address)
        assert len(bytes.fromhex(digest)) == 32
    for name in ("definition_cid", "result_cid", "receipt_cid"):
        assert len(cid_to_hash32(summary[name])) == 32
    assert Signature.from_string(summary["settle_signature"])
    assert summary["pay"]["amount"] >= 2 * 1000, "two seconds at least, at 1,000 micro-NOS each"
    assert Pubkey.from_string(summary["pay"]["mint"])
    assert set(summary["gpu"]) == {"provider", "uuid", "name"}
    assert list(summary["stages"]) == STAGES
    assert all(isinstance(spent, float) for spent in summary["stages"].values())
    assert summary["stages"]["run"] >= 2
    assert set(summary["verified"].values()) <= {True, None}
    assert summary["verified"]["settled"] is True
    assert summary["energy"] is None or set(summary["energy"]) == {"joules", "source"}
    assert len(summary["answers"]["spam"]) > 60, "all of it, groups included"
    bundle = tmp_path.parent / "b.json"
    assert summary["bundle"]["file"] == str(bundle)
    assert (summary["bundle"]["ok"], summary["bundle"]["missing"]) == (True, [])
    assert summary["bundle"]["verified"]["settle_signed"] is True
    assert verify_bundle(bundle.read_bytes(), summary["job"]).ok
    assert failed_lines(bundle.read_bytes()) == [], "a verifier that shares no code with ours"

    said = done.stderr.splitlines()
    assert "│ model: " in done.stderr, "the job's own log, while it runs"
    assert ("provider is simulated" in done.stderr) == (summary["gpu"]["provider"] == "simulated")
    assert len(said) < LONGEST_SCREEN
    assert summary["folder"] is None
    assert list(tmp_path.iterdir()) == []
    client = docker.from_env()
    assert labelled(client, summary["node"]) == []
    client.close()


@pytest.mark.long
@pytest.mark.docker
@pytest.mark.slow
def test_a_demo_told_to_stop_leaves_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(COMMAND, env=environment(tmp_path), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        watchdog = threading.Timer(120, process.kill)
        watchdog.start()
        seen = ""
        while "│ model: " not in seen:
            line = process.stdout.readline()
            assert line, seen
            seen += line
        (folder,) = tmp_path.glob("gpunode-demo-*")
        node = json.loads((folder / "host.json").read_text())
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        assert process.wait() == 130
        watchdog.cancel()
    address = str(Pubkey(bytes(node[32:])))
    assert "Told to stop" in rest
    assert f"node {address}" in seen
    assert list(tmp_path.iterdir()) == []
    client = docker.from_env()
    assert labelled(client, address) == []
    client.close()
    for process_folder in Path("/proc").glob("[0-9]*"):
        try:
            assert str(tmp_path).encode() not in (process_folder / "cmdline").read_bytes()
        except OSError:
            continue


def test_no_engine_is_one_line_and_a_hint(tmp_path: Path) -> None:
    nowhere = environment(tmp_path, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    done = subprocess.run(COMMAND, env=nowhere, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    message, hint = done.stderr.splitlines()
    assert message == f"error: no container engine answers at unix://{tmp_path}/none.sock"
    assert hint.startswith("  hint: start Docker")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.docker
def test_what_a_failed_demo_left_is_named(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    broken = environment(tmp_path, PYTHONPATH=str(tmp_path / "bin"))
    # Every interpreter imports this first; only the chain's ends there.
    (tmp_path / "bin" / "sitecustomize.py").write_text(
        "import sys\nif 'localnet' in sys.orig_argv: sys.exit('the chain is broken')\n"
    )
    done = subprocess.run([*COMMAND, "--json"], env=broken, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert "the chain is broken" in error["message"]
    (folder,) = tmp_path.glob("gpunode-demo-*")
    assert str(folder) in error["hint"]
    assert (folder / "localnet.log").is_file()


def test_matches_are_told_from_their_groups() -> None:
    answers = {
        "spam": ["spam 0.9 a", "0.9", "a", "spam 0.8 b", "0.8", "b"],
        "device": ["device: x", "x"],
        "accuracy": "Error: not a list",
        "throughput": [],
    }
    assert set(answers) == set(definition("spam")["ops"][0]["results"])
    assert found_matches("spam", answers) == {
        "spam": ["spam 0.9 a", "spam 0.8 b"],
        "device": ["device: x"],
        "accuracy": ["Error: not a list"],
        "throughput": [],
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_does_not_cut_short_what_puts_things_away(number: signal.Signals) -> None:
    told: list[str] = []

    async def work() -> None:
        with interruptible(lambda: told.append("told")):
            try:
                os.kill(os.getpid(), number)
                await asyncio.sleep(30)
            finally:
                os.kill(os.getpid(), number)
                await asyncio.sleep(0.05)
                told.append("put away")

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(work())
    assert told == ["told", "put away"]


async def test_a_cancellation_of_another_kind_stays_one() -> None:
    async def work() -> None:
        with interruptible(lambda: None):
            await asyncio.sleep(30)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
