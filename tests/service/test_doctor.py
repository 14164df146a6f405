"""The doctor's rows on services: each is wrong when it is, with what to do."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from node.agent.doctor_services import service_findings
from node.agent.finding import Finding
from node.settings import Settings
from tests.service import frp

LANE = {"wallet": "w.json", "market": "7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41"}


async def rows(cluster: str = "localnet", **service: Any) -> dict[str, Finding]:
    settings = Settings.model_validate(
        {"cluster": cluster, "host": {"country": "NL"}, "lanes": [LANE], "service": service}
    )
    return {row.name: row for row in await service_findings(settings)}


async def test_off_says_what_that_means() -> None:
    (row,) = (await rows()).values()
    assert row.ok is None
    assert "service.tunnel" in row.fix


async def test_direct_looks_at_port_and_names() -> None:
    found = await rows(tunnel="direct", port=frp.free_port())
    assert [row.ok for row in found.values()] == [True, True]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = await rows(tunnel="direct", port=taken.getsockname()[1])
        assert "taken" in found["services"].seen
    found = await rows(tunnel="direct", host="203.0.113.1", port=frp.free_port())
    assert found["services"].ok is False
    found = await rows("mainnet", tunnel="direct", public="https://gpu.invalid", port=frp.free_port())
    assert found["service names"].ok is False
    assert "*.gpu.invalid" in found["service names"].fix


async def test_frp_looks_at_client_and_server(frp_folder: Path, tmp_path: Path) -> None:
    port = frp.free_port()
    found = await rows(tunnel="frp", port=0, frp={"binary": "no-such-frpc", "server": "127.0.0.1", "port": port})
    assert found["tunnel client"].ok is found["tunnel server"].ok is False
    assert "frp project" in found["tunnel client"].fix
    with frp.frp_server(frp_folder, tmp_path) as server:
        tunnel = {"binary": str(frp_folder / "frpc"), "server": "127.0.0.1", "port": server.bind}
        found = await rows(tunnel="frp", port=0, frp=tunnel)
        assert [row.ok for row in found.values()] == [True, True, True]
        assert "0.65.0" in found["tunnel client"].seen
        open_file = tmp_path / "token"
        open_file.write_text("x")
        open_file.chmod(0o644)
        found = await rows(tunnel="frp", port=0, frp=tunnel | {"token_file": str(open_file)})
        assert found["tunnel client"].ok is False
        assert "chmod" in found["tunnel client"].fix


@pytest.mark.docker
async def test_an_image_is_looked_for_in_the_engine(docker_client: Any, busybox_image: str) -> None:
    del docker_client
    found = await rows(tunnel="frp", port=0, frp={"image": busybox_image, "server": "127.0.0.1", "port": 1})
    assert found["tunnel client"].ok is True
    found = await rows(tunnel="frp", port=0, frp={"image": "gpunode-test/none:1", "server": "127.0.0.1", "port": 1})
    assert found["tunnel client"].ok is False


@pytest.mark.parametrize(
    ("service", "word"),
    [
        ({"tunnel": "frp", "host": "0.0.0.0"}, "host"),
        ({"host": "localhost"}, "IP address"),
        ({"public": "gpu.example"}, "https"),
        ({"public": "https://user@gpu.example"}, "https"),
        ({"public": "https://gpu.example/path"}, "https"),
        ({"public": "https://gpu.example:99999"}, "https"),
        ({"head": "10"}, "1 KiB"),
        ({"tunnel": "ssh"}, "direct"),
    ],
)
def test_settings_that_make_no_sense_are_refused(service: dict[str, Any], word: str) -> None:
    tree = {"cluster": "localnet", "host": {"country": "NL"}, "lanes": [LANE], "service": service}
    with pytest.raises(ValueError, match=word):
        Settings.model_validate(tree)


def test_where_services_are_found() -> None:
    def base(cluster: str, **service: Any) -> str:
        tree = {"cluster": cluster, "host": {"country": "NL"}, "lanes": [LANE], "service": service}
        return Settings.model_validate(tree).service.public_url(cluster)

    assert base("mainnet", tunnel="frp") == "https://node.k8s.prd.nos.ci"
    assert base("devnet") == "https://node.k8s.dev.nos.ci"
    assert base("localnet", tunnel="direct", port=1234) == "http://localhost:1234"
    assert base("mainnet", tunnel="direct", public="https://GPU.example:8443/") == "https://gpu.example:8443"
    with pytest.raises(ValueError, match="public"):
        base("mainnet", tunnel="direct")
