"""Commands to and about the agent: over a real control socket with a double behind it, and from the journal."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.api.control import ControlServer
from node.journal.journal import Journal
from node.records import HealthState, LanePhase, SubjectHealth
from tests.api.double import JOB, NODE, RUN, DoublePort, lane
from tests.cli.conftest import Shell

ENTRIES = (
    {"type": "stdout", "log": "hello\n", "timestamp": "2026-01-01T00:00:00Z"},
    {"type": "stderr", "log": "\x1b[2Jwipe\n", "timestamp": "2026-01-01T00:00:01Z"},
)


@pytest.fixture
def settings(shell: Shell) -> Path:
    return shell.init()


@pytest.fixture
def port(shell: Shell, settings: Path) -> Iterator[DoublePort]:
    """A double agent behind the socket that these settings name."""
    log = shell.home / "data" / "logs" / f"{JOB}-0.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text("".join(json.dumps(entry) + "\n" for entry in ENTRIES) + '{"torn')
    double = DoublePort((log,))
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    ready = threading.Event()

    async def serve() -> None:
        async with ControlServer(double, shell.home / "data" / "control.sock"):
            double.stopped = stop  # type: ignore[attr-defined]
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(10)
    yield double
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


def test_status_for_people_and_programs(shell: Shell, settings: Path, port: DoublePort) -> None:
    answer = shell("status", "--settings", settings)
    assert answer.status == 0
    assert answer.out.startswith("serving: gpunode 0.1.0 on localnet, up ")
    assert "simulated: no real GPU is used" in answer.out
    assert "working (run)" in answer.out
    assert JOB in answer.out
    known = shell("status", "--settings", settings, "--json").document
    assert {"running", "version", "cluster", "pid", "started_at", "gpu_provider", "gpus", "lanes", "recent"} <= set(
        known
    )
    assert known["recent"][0]["run"] == RUN


def test_status_says_what_is_not_well_and_whose_pay_is_on_its_way(
    shell: Shell, settings: Path, port: DoublePort
) -> None:
    well = SubjectHealth("engine", "", HealthState.OK, "", "", 1000.0, hinders=False)
    lost = SubjectHealth("gpu", "main", HealthState.FAILING, "GPU 7 is gone", "see dmesg", 1000.0, hinders=True)
    port.health = (well, lost)
    port.lane = replace(port.lane, trailing=(JOB,))
    answer = shell("status", "--settings", settings)
    assert "Health: engine ok, gpu failing" in answer.out
    assert "main: gpu failing: GPU 7 is gone; no job is taken until that is over (see dmesg), for" in " ".join(
        answer.out.split()
    )
    assert f"main: the pay of job {JOB} is still on its way" in " ".join(answer.out.split())
    known = shell("status", "--settings", settings, "--json").document
    assert [(seen["subject"], seen["state"], seen["hinders"]) for seen in known["health"]] == [
        ("engine", "ok", False),
        ("gpu", "failing", True),
    ]
    assert known["lanes"][0]["trailing"] == [JOB]
    found = {row["name"]: row for row in shell("doctor", "--settings", settings, "--json").document["findings"]}
    assert found["the agent's gpu of main"]["ok"] is False
    assert found["the agent's gpu of main"]["fix"] == "see dmesg"


def test_a_degraded_lane_needs_attention(shell: Shell, settings: Path, port: DoublePort) -> None:
    port.lane = lane(LanePhase.DEGRADED, "the wallet has no SOL")
    answer = shell("status", "--settings", settings)
    assert answer.status == 3
    assert "the wallet has no SOL" in answer.out


def test_jobs(shell: Shell, settings: Path, port: DoublePort) -> None:
    listed = shell("jobs", "--settings", settings)
    assert listed.status == 0
    assert listed.out.splitlines()[0].split() == ["JOB", "BEGAN", "TOOK", "END", "PAY"]
    assert "0.00003 NOS" in listed.out
    assert shell("jobs", "list", "--settings", settings).out == listed.out
    assert shell("jobs", "--settings", settings, "--json").document["jobs"][0]["job"] == JOB
    shown = shell("jobs", "show", JOB, "--settings", settings)
    assert "fetch 0.5 s, run 2.5 s" in shown.out
    assert "5" * 88 in shown.out
    assert shell("jobs", "show", RUN, "--settings", settings, "--json").document["runs"][0]["operations"]
    unknown = shell("jobs", "show", NODE, "--settings", settings)
    assert unknown.status == 1
    assert "no such job" in unknown.err


def test_logs_cannot_drive_the_terminal(shell: Shell, settings: Path, port: DoublePort) -> None:
    assert shell("logs", JOB, "--settings", settings).out == "hello\n\\x1b[2Jwipe\n"
    known = shell("logs", JOB, "--settings", settings, "--json").document
    assert known["job"] == JOB
    assert known["entries"] == [{"operation": 0, **entry} for entry in ENTRIES]
    followed = shell("logs", JOB, "-f", "--settings", settings, "--json")
    assert [json.loads(line)["type"] for line in followed.out.splitlines()] == ["stdout", "stderr"]
    assert shell("logs", JOB, "--operation", "3", "--settings", settings).out == ""


def test_gpus(shell: Shell, settings: Path, port: DoublePort) -> None:
    known = shell("gpus", "--settings", settings, "--json").document
    assert (known["running"], known["provider"], known["gpus"][0]["uuid"]) == (True, "simulated", "GPU-1")
    assert "simulated" in shell("gpus", "--settings", settings).out


def test_commands_to_the_agent(shell: Shell, settings: Path, port: DoublePort) -> None:
    told = [
        (("drain",), ("drain", None)),
        (("pause", "--for", "2h"), ("pause", None, 7200.0)),
        (("pause", "--lane", "main"), ("pause", "main", None)),
        (("resume",), ("resume", None)),
        (("resume", "--adopt"), ("adopt", None)),
        (("stop", "--wait", "0"), ("stop",)),
        (("stop", "--wait", "0", "--quit"), ("stop_and_quit",)),
    ]
    for arguments, expected in told:
        port.told.clear()
        assert shell(*arguments, "--settings", settings).status == 0
        assert port.told == [expected]
    lanes = shell("drain", "--settings", settings, "--json").document["lanes"]
    assert lanes[0]["lane"] == "main"
    refused = shell("drain", "--lane", "other", "--settings", settings)
    assert (refused.status, refused.err.splitlines()[0]) == (1, "error: other: no such lane")
    late = shell("stop", "--wait", "0.2", "--settings", settings)
    assert late.status == 1
    assert "still stopping" in late.err


@pytest.mark.parametrize("command", ["status", "drain", "pause", "resume", "stop"])
def test_no_agent_says_how_to_start_one(shell: Shell, settings: Path, command: str) -> None:
    answer = shell(command, "--settings", settings)
    assert answer.status == 1
    assert "no agent answers" in answer.err
    assert "gpunode run" in answer.err


@pytest.mark.long
def test_without_an_agent_the_journal_answers_and_says_so(shell: Shell, settings: Path) -> None:
    async def write() -> None:
        journal = await Journal.open(shell.home / "data" / "journal.sqlite")
        await journal.save_lane(lane(LanePhase.QUEUED, "waits in the queue"))
        await journal.close()

    asyncio.run(write())
    answer = shell("status", "--settings", settings)
    assert answer.status == 3
    assert "no agent is running" in answer.out
    assert "waits in the queue" in answer.out
    assert "was queued" in answer.out
    known = shell("status", "--settings", settings, "--json").document
    assert (known["running"], known["lanes"][0]["phase"]) == (False, "queued")
    assert shell("jobs", "--settings", settings, "--json").document == {"running": False, "jobs": []}
    assert "no jobs yet" in shell("jobs", "--settings", settings).out
    assert "no such job" in shell("logs", JOB, "--settings", settings).err


def test_a_second_agent_on_the_same_data_is_refused(shell: Shell, settings: Path) -> None:
    import subprocess
    import sys

    data = shell.home / "data"
    data.mkdir()
    holder = (
        "import sys, time; from pathlib import Path; from node.journal.lock import claim\n"
        "with claim(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(data / "journal.sqlite")], stdout=subprocess.PIPE
    ) as first:
        assert first.stdout is not None
        first.stdout.readline()
        answer = shell("run", "--settings", settings)
        first.kill()
    assert answer.status == 1
    assert "in use by another agent" in answer.err
    assert "Traceback" not in answer.err
