"""`gpunode job run`: a whole definition on this host alone, with its services, its end, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.e2e.test_whole_job import definition, run

pytestmark = pytest.mark.docker

SERVER = "mkdir /tmp/www; echo hello > /tmp/www/index.html; timeout 6 httpd -f -p 8080 -h /tmp/www; true"
CHECK = {"type": "http", "path": "/", "method": "GET", "expected_status": 200, "continuous": False}


async def started(folder: Path, job: dict[str, Any]) -> asyncio.subprocess.Process:
    file = folder / "job.json"
    file.write_text(json.dumps(job))
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "node.cli",
        "job",
        "run",
        str(file),
        "--json",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "TMPDIR": str(folder)},
        cwd=Path(__file__).parents[2],
    )


async def ended(process: asyncio.subprocess.Process) -> tuple[int, dict[str, Any], str]:
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, json.loads(out), err.decode()


def left(engine: docker.APIClient, name: str) -> list[Any]:
    """What is left of the job that a container belonged to; its name is `<job>-<index>`."""
    filters = {"label": f"gpunode.job={name.rpartition('-')[0]}"}
    volumes = engine.volumes(filters=filters)["Volumes"] or []
    return [*engine.containers(all=True, filters=filters), *engine.networks(filters=filters), *volumes]


async def test_a_definition_runs_without_a_chain(
    tmp_path: Path, busybox_image: str, docker_client: docker.APIClient
) -> None:
    job = definition(
        {"type": "container/create-volume", "id": "vol", "args": {"name": "data"}},
        run(
            "web",
            busybox_image,
            SERVER,
            {"group": "g"},
            expose=[{"port": 8080, "health_checks": [CHECK]}],
            volumes=[{"name": "data", "dest": "/data"}],
        ),
        run(
            "ask",
            busybox_image,
            "wget -qO- http://%%ops.web.host%%:8080/; echo at $U as $NOSANA_ID",
            {"group": "g", "depends_on": ["web"]},
            env={"U": "%%ops.web.endpoint.8080%%"},
            results={"said": "hel+o"},
        ),
    )
    code, document, said = await ended(await started(tmp_path, job))
    assert (code, document["status"]) == (0, "success"), said
    vol, web, ask = document["opStates"]
    assert vol["exitCode"] == web["exitCode"] == ask["exitCode"] == 0
    assert ask["results"] == {"said": ["hello"]}
    greeting, place = (entry["log"] for entry in ask["logs"])
    assert greeting == "hello\n"
    host, job_id = place.split()[1], place.split()[3]
    assert len(job_id) == 32
    assert job_id.islower() or job_id.isdigit()
    assert f"web: http://{host}\n" in said
    assert left(docker_client, f"{job_id}-0") == []
    assert [path.name for path in tmp_path.iterdir()] == ["job.json"]


async def test_a_failure_shows_in_the_exit_status(tmp_path: Path, busybox_image: str) -> None:
    code, document, _ = await ended(await started(tmp_path, definition(run("op", busybox_image, "exit 4"))))
    assert (code, document["status"], document["opStates"][0]["exitCode"]) == (1, "failed", 4)


async def test_a_literal_for_nothing_is_said(tmp_path: Path, busybox_image: str) -> None:
    file = tmp_path / "job.json"
    file.write_text(json.dumps(definition(run("op", busybox_image, "echo %%ops.other.results.x%%"))))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "node.cli", "job", "run", str(file)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)},
        cwd=Path(__file__).parents[2],
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert "op: Unresolved literal" in out.decode()


async def test_what_cannot_be_run_is_said(tmp_path: Path, busybox_image: str) -> None:
    circle = definition(run("op", busybox_image, "true", {"group": "g", "depends_on": ["op"]}))
    code, document, _ = await ended(await started(tmp_path, circle))
    assert code == 1
    assert document["ok"] is False


async def test_an_interruption_leaves_nothing(
    tmp_path: Path, busybox_image: str, docker_client: docker.APIClient
) -> None:
    process = await started(tmp_path, definition(run("op", busybox_image, "echo $NOSANA_ID; sleep 300")))
    assert process.stderr is not None
    while not (line := (await asyncio.wait_for(process.stderr.readline(), 60)).decode()).startswith("op | "):
        assert line
    name = f"{line.split()[2]}-0"
    assert len(left(docker_client, name)) == 2
    process.send_signal(signal.SIGINT)
    code, document, _ = await ended(process)
    assert (code, document["status"]) == (1, "stopped")
    assert left(docker_client, name) == []
