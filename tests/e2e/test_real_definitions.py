"""Every real definition that a node would take, with one small image in place of each that it names.

The definitions are not part of the repository: $GPUNODE_CORPUS names their folder. What the image is asked to do, and
where data come from, gives way; order, services, health checks, literals, defaults, names, mounts stay as they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
import pytest_asyncio

from node.job.preview import JOB, Circumstances, preview
from tests.content.resources.hub import Hub, hub_server
from tests.content.resources.rclone import ABSENT, find_rclone, s3_server
from tests.content.resources.test_ollama import push
from tests.e2e import examples, images
from tests.e2e.example_shop import Running, Shop, shop
from tests.e2e.market_place import queued, until
from tests.e2e.registry import registry

pytestmark = [pytest.mark.docker, pytest.mark.long, pytest.mark.asyncio(loop_scope="module")]

CORPUS = os.environ.get("GPUNODE_CORPUS", "")
PRINTED = "its second operation is what a shell prints in its first; examples/chosen-at-run-time.json stands for it"


def real_definitions() -> list[Path]:
    """Those that a node would run and that do something."""
    found = []
    for path in sorted(Path(CORPUS).glob("*.json")) if CORPUS else ():
        document = json.loads(path.read_text())
        if path.name.startswith("syn__") or path.name == "verdicts.json" or not document.get("ops"):
            continue
        if preview(document, Circumstances(job=JOB, domain="localhost"))["admitted"]:
            found.append(path)
    return found


@dataclass(frozen=True)
class Market:
    shop: Shop
    s3: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def market(tmp_path_factory: pytest.TempPathFactory, docker_client: docker.APIClient) -> AsyncIterator[Market]:
    rclone = find_rclone()
    if rclone is None:
        pytest.skip(ABSENT)
    folder = tmp_path_factory.mktemp("real")
    (folder / "buckets/models/some").mkdir(parents=True)
    (folder / "buckets/models/some/model").write_text("a model")
    (folder / "registry").mkdir()
    hub = Hub({"config.json": b"{}", "model.safetensors": b"m" * 5000})
    try:
        with (
            s3_server(rclone, folder / "buckets", folder / "s3.log") as s3,
            registry(folder / "registry") as models,
        ):
            push(f"http://{models}", "library/tiny")
            servers = {"s3": s3, "hub": hub.base, "ollama": f"http://{models}"}
            async with hub_server(hub):
                servers["hub"] = hub.base
                async with shop(folder / "market", resources=servers) as kept:
                    kept.images["python"] = examples.python_image(docker_client)
                    yield Market(kept, s3)
    except images.NoEngine as absent:
        pytest.skip(str(absent))


def in_miniature(document: dict[str, Any], market: Market) -> dict[str, Any]:
    """The definition with the small image, and with data from servers of this machine."""
    document = json.loads(json.dumps(document))
    awaited = {name for each in document["ops"] for name in each.get("execution", {}).get("depends_on", ())}
    for section in (document.get("global", {}), *(each["args"] for each in document["ops"])):
        section.pop("entrypoint", None)
        section.pop("work_dir", None)
    for operation in document["ops"]:
        args = operation["args"]
        if "image" not in args:
            continue
        args["image"] = market.shop.images["python"]
        command = args.get("cmd", [])
        args["cmd"] = ["python3", "/app/chameleon.py", *(command if isinstance(command, list) else [command])]
        env = args.setdefault("env", {})
        env |= {"NAME": operation["id"], "PORTS": " ".join(map(str, ports_of(args.get("expose", []))))}
        env |= {"PATH": "/usr/bin", "LD_LIBRARY_PATH": "/usr/lib", "PYTHONPATH": ""}
        if operation["id"] in awaited:
            env["STAY"] = "yes"
        for resource in args.get("resources", ()):
            redirect(resource, document, market)
    return document


def ports_of(expose: Any) -> list[int]:
    """The ports that are written out."""
    entries = expose if isinstance(expose, list) else [expose]
    plain = [entry.get("port") if isinstance(entry, dict) else entry for entry in entries]
    return [entry for entry in plain if isinstance(entry, int)]


def redirect(resource: dict[str, Any], document: dict[str, Any], market: Market) -> None:
    """Name what a server of this machine has."""
    kind = resource.get("type")
    if kind == "S3":
        for name in ("files", "IAM", "bucket", "buckets"):
            resource.pop(name, None)
        resource["url"] = f"{market.s3}/models/some"
    elif kind == "HF":
        resource["repo"] = "owner/name"
        if "files" in resource:
            resource["files"] = ["config.json"]
    elif kind == "Ollama" and resource["model"] == "%%global.variables.MODEL%%":
        document["global"]["variables"]["MODEL"] = "tiny"
    elif kind == "Ollama":
        resource["model"] = "tiny"


@pytest.mark.parametrize("path", real_definitions(), ids=lambda path: path.stem[:60])
async def test_it_runs(market: Market, path: Path) -> None:
    document = json.loads(path.read_text())
    if any(
        str(each["args"].get("image", "")).startswith("%%ops.") or "__spread__" in json.dumps(each)
        for each in document["ops"]
    ):
        pytest.skip(PRINTED)
    definition = in_miniature(document, market)
    await until(lambda: queued(market.shop.agent))
    job = Running(market.shop, (await market.shop.place.post(definition)).job, definition)
    try:
        await live(job, definition)
        document, states = await job.end() if "logistics" not in definition else (await job.document(), {})
    finally:
        if not job.ended:
            await market.shop.place.poster.stop(job.job)
    assert document["status"] == "success", json.dumps(document)[:3000]
    for state in states.values():
        assert state["errors"] == [], state
        assert state["status"] in ("success", "stopped"), state


async def live(job: Running, definition: dict[str, Any]) -> None:
    """See every service of every group answer, and end each group that does not end by itself."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for operation in definition["ops"]:
        groups.setdefault(operation.get("execution", {}).get("group", operation["id"]), []).append(operation)
    for name, operations in groups.items():
        serving = [each for each in operations if ports_of(each["args"].get("expose", []))]
        staying = [each for each in operations if each in serving or "STAY" in each["args"].get("env", {})]
        if not staying:
            continue
        await until(lambda names=[each["id"] for each in staying]: all_running(job, names), seconds=90)
        services = await job.services(online=False) if serving else {}
        for operation in serving:
            for port in ports_of(operation["args"]["expose"]):
                told = services.get((operation["id"], str(port)))
                if told is None:
                    # Clients find nothing by a port that stands alone in an object, and neither does anybody else.
                    assert isinstance(operation["args"]["expose"], dict)
                    continue
                assert await job.page(told, "/v1/any") == f"{operation['id']} at {port}\n"
        status, text = await job.shop.owner.post(job.job, f"/group/{name}/stop")
        assert status == 200, text


async def all_running(job: Running, names: list[str]) -> bool:
    seen = await job.shop.owner.get(job.job, "/ops")
    return isinstance(seen, dict) and all(seen.get(name) == "running" for name in names)
