"""A definition's logins are used, and are in nothing that the agent keeps, says or sends."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from pathlib import Path

import docker
import pytest

from node.records import Cid
from tests.e2e import images
from tests.e2e.images import NoEngine
from tests.e2e.market_place import market_place, queued, settled, single, until, working
from tests.e2e.registry import registry
from tests.e2e.secrets import found, leaks

pytestmark = pytest.mark.docker

NAME, PASSWORD = "poster", f"word-{secrets.token_hex(12)}"


def dresses(text: str) -> list[tuple[str, bytes]]:
    """The forms in which it might be found."""
    auth = json.dumps({"username": NAME, "password": text})
    forms = [text.encode(), base64.b64encode(f"{NAME}:{text}".encode()), base64.b64encode(text.encode()).rstrip(b"=")]
    return [
        *((f"form {number}", form) for number, form in enumerate(forms)),
        ("header", base64.urlsafe_b64encode(auth.encode())[:40]),
    ]


@pytest.mark.long
async def test_a_registrys_password_stays_in_the_definition(tmp_path: Path, docker_client: docker.APIClient) -> None:
    login = {"username": NAME, "password": PASSWORD}
    (tmp_path / "registry").mkdir()
    (tmp_path / "place").mkdir()
    try:
        with registry(tmp_path / "registry", (NAME, PASSWORD)) as host:
            image = f"{host}/private:{secrets.token_hex(4)}"
            repository, _, tag = image.rpartition(":")
            made = images.image_of({"mark": secrets.token_bytes(8)}, client=docker_client, name="private")
            docker_client.tag(made, repository, tag)
            pushed = docker_client.push(repository, tag, auth_config=login)
            assert "errorDetail" not in pushed, pushed
            for name in (image, made):
                docker_client.remove_image(name)
            await play(tmp_path, image, host)
            assert not docker_client.images(image), "the image goes with its operation"
    except NoEngine as absent:
        pytest.skip(str(absent))


async def play(folder: Path, image: str, host: str) -> None:
    needles = dresses(PASSWORD)
    said: list[bytes] = []
    async with market_place(folder / "place") as place:
        data = place.settings.locations.data
        job = single(
            image,
            "env; echo done; sleep 3",
            authentication={"docker": {"username": NAME, "password": PASSWORD, "server": host}},
        )
        async with place.agent_process() as agent:
            await until(lambda: queued(agent.client))
            posted = await place.post(job)
            await working(agent.client, posted.job)
            (kept,) = (data / "definitions").iterdir()
            assert kept.stat().st_mode & 0o777 == 0o600
            assert list(leaks(needles, data)) == [str(kept)], "only the definition itself has it"
            run = await settled(agent.client, posted.job)
            assert run["settlement"]["kind"] == "finish"
            for answer in (
                await agent.client.status(),
                await agent.client.jobs(),
                await agent.client.job(posted.job),
                await agent.client.events(),
            ):
                said.append(json.dumps(answer).encode())
            for cid in (run["result_cid"], run["receipt_cid"]):
                said.append((await place.library.fetch(Cid(cid), 1 << 24)).body)
            await asyncio.sleep(0.5)
        result = await place.result(await place.job(posted.job))
        assert (result["status"], result["opStates"][0]["exitCode"]) == ("success", 0), result
        said.append((folder / "place" / "agent.log").read_bytes())
        assert list((data / "definitions").iterdir()) == []
        assert leaks(needles, data) == {}
        assert [names for each in said if (names := found(needles, each))] == []
