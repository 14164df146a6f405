"""Miniatures of the definitions that people post, and the images they name, made without any registry.

`examples/NAME.json` says in `meta.stands_for` what it is the miniature of. Its images are `shell` (a busybox), `web`
(one that serves a page on port 80) and `python` (this machine's interpreter, and that folder's programs in /app).
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docker
import docker.errors

from node.localnet import rootfs
from tests.e2e import images

FOLDER = Path(__file__).parent / "examples"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.json")))
PAGE = "welcome to a web server\n"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d)")
_REASONS = ("hostShutDown", "jobStopped", "jobExpired")


def example(name: str, image_names: Mapping[str, str], **variables: str) -> dict[str, Any]:
    """A definition with the images' real names, and these of its variables."""
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    given = document.get("global", {}).get("variables", {})
    given |= variables
    if "IMAGE" in given:
        given["IMAGE"] = image_names[given["IMAGE"]]
    for operation in document["ops"]:
        image = operation["args"].get("image")
        if image in image_names:
            operation["args"]["image"] = image_names[image]
    return document


def shell_image(client: docker.APIClient) -> str:
    """Name of the image `shell`."""
    return images.busybox_image(client)


def web_image(client: docker.APIClient) -> str:
    """Name of the image `web`."""
    changes = ('ENTRYPOINT ["/bin/httpd","-f","-p","80","-h","/www"]',)
    return images.image_of({"www/index.html": PAGE.encode()}, client=client, changes=changes, name="web")


def python_image(client: docker.APIClient) -> str:
    """Name of the image `python`, built first where the engine does not have it (some seconds)."""
    interpreter = rootfs.find_interpreter()
    programs = sorted(FOLDER.glob("*.py"))
    recipe = hashlib.sha256(f"{interpreter} 1".encode())
    for path in programs:
        recipe.update(path.name.encode() + path.read_bytes())
    tag = f"gpunode-test/python:{recipe.hexdigest()[:16]}"
    try:
        client.inspect_image(tag)
    except docker.errors.ImageNotFound:
        _build(client, tag, interpreter, programs)
    return tag


def _build(client: docker.APIClient, tag: str, interpreter: rootfs.Interpreter, programs: list[Path]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root, archive = Path(scratch) / "root", Path(scratch) / "root.tar"
        root.mkdir()
        rootfs.build_root(root, interpreter)
        rootfs.add_libraries(root)
        (root / "app").mkdir()
        for path in programs:
            (root / "app" / path.name).write_bytes(path.read_bytes())
        rootfs.pack_root(root, archive)
        changes = ["ENV PATH=/usr/bin", "ENV LD_LIBRARY_PATH=/usr/lib", "ENV PYTHONUNBUFFERED=1"]
        repository, _, version = tag.partition(":")
        with archive.open("rb") as data:
            client.import_image(data, repository, version, changes=changes)


def judge(document: dict[str, Any], definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The result's operations by their ids, after a look at the form of all of it (Nosana node, FlowState, OpState)."""
    assert list(document) == ["status", "startTime", "endTime", "secrets", "opStates"]
    assert document["secrets"] == {}
    assert document["startTime"] <= document["endTime"]
    ids = [operation["id"] for operation in definition["ops"]]
    assert [state["operationId"] for state in document["opStates"]] == ids
    for operation, state in zip(definition["ops"], document["opStates"], strict=True):
        _judge_operation(operation, state)
    return {state["operationId"]: state for state in document["opStates"]}


def _judge_operation(operation: dict[str, Any], state: dict[str, Any]) -> None:
    assert state["group"] == operation.get("execution", {}).get("group", operation["id"])
    assert state["status"] in ("init", "success", "failed", "stopped"), state
    assert state["exitCode"] is None or type(state["exitCode"]) is int
    assert state["startTime"] is None or state["startTime"] <= state["endTime"]
    assert ("results" in state) == ("results" in operation)
    for entry in state["logs"]:
        assert list(entry) == ["log", "type", "timestamp"], entry
        assert entry["type"] in ("stdout", "stderr")
        assert _TIME.fullmatch(entry["timestamp"]), entry
    reason = state["diagnostics"]["reason"]
    assert [type(reason[name]) for name in _REASONS] == [bool] * 3
    assert all(set(error) <= {"event", "message", "code"} for error in state["errors"])
    ran = operation["type"] == "container/run" and state["startTime"] is not None and state["exitCode"] is not None
    if ran and state["providerId"]:
        assert state["diagnostics"]["state"]["ExitCode"] == state["exitCode"]
    if operation["type"] == "container/create-volume":
        assert (state["status"], state["exitCode"], state["logs"]) == ("success", 0, [])
        assert "state" not in state["diagnostics"]


def said(state: dict[str, Any], kind: str = "stdout") -> list[str]:
    """Lines of an operation's log."""
    return [entry["log"].removesuffix("\n") for entry in state["logs"] if entry["type"] == kind]
