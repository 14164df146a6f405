"""An engine that only these tests have, where that can be; else the machine's own, with its own runtime only."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import docker
import pytest

from node.container.docker import DockerEngine
from tests.e2e import images
from tests.e2e.second_engine import second_engine
from tests.hostile.arena import Arena
from tests.hostile.host import Host
from tests.hostile.program import attack_program


@pytest.fixture(scope="session")
def program() -> bytes:
    """The attacking program."""
    try:
        return attack_program()
    except images.NoEngine as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def socket() -> Iterator[Path | None]:
    """The engine's socket; None for the machine's own engine."""
    runsc = shutil.which("runsc")
    options = ("--add-runtime", f"runsc={runsc}") if runsc else ()
    with tempfile.TemporaryDirectory(prefix="gpnh", ignore_cleanup_errors=True) as name:
        try:
            with second_engine(Path(name), options=options) as engine:
                yield engine.socket
                return
        except images.NoEngine:
            pass
    yield None


@pytest.fixture(scope="session")
def client(socket: Path | None) -> Iterator[docker.APIClient]:
    """For looking at the engine from outside."""
    try:
        client = images.connect(f"unix://{socket}" if socket else None)
    except images.NoEngine as error:
        pytest.skip(str(error))
    yield client
    client.close()


@pytest.fixture(params=["runc", "runsc"])
async def arena(
    request: pytest.FixtureRequest, socket: Path | None, client: docker.APIClient, program: bytes, tmp_path: Path
) -> AsyncIterator[Arena]:
    """Where a test's attacks run; the host must be the same afterwards."""
    if request.param not in client.info()["Runtimes"]:
        pytest.skip(f"the engine has no runtime {request.param}")
    engine = DockerEngine(socket)
    place = Arena(engine, client, program, request.param, f"TestNode{secrets.token_hex(12)}", tmp_path)
    before = Host.now()
    yield place
    await engine.aclose()
    filters = {"label": f"gpunode.node={place.node}"}
    for row in client.containers(all=True, filters=filters):
        client.remove_container(row["Id"], force=True, v=True)
    for network in client.networks(filters=filters):
        client.remove_network(network["Id"])
    before.assert_unchanged()
