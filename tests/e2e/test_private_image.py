"""A job whose image only its own login can have, by the whole agent: from a registry that wants one."""

from __future__ import annotations

import base64
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import docker
import pytest
import pytest_asyncio

from tests.e2e import images
from tests.e2e.market_place import MarketPlace, market_place, queued, settled, single, until
from tests.e2e.registry import registry
from tests.e2e.secrets import leaks

pytestmark = pytest.mark.docker

USER, PASSWORD = "a-poster-of-jobs", "not-for-everybody's-eyes-1"


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[MarketPlace]:
    async with market_place(tmp_path) as made:
        yield made


@pytest.fixture
def private_image(docker_client: docker.APIClient) -> Iterator[str]:
    """Its name in the registry; the engine has it no more."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with registry(Path(folder), (USER, PASSWORD)) as host:
                made = images.image_of({"secret": secrets.token_hex(8).encode()}, client=docker_client, name="private")
                name, auth = f"{host}/private", {"username": USER, "password": PASSWORD}
                docker_client.tag(made, name, "1")
                for line in docker_client.push(name, tag="1", stream=True, decode=True, auth_config=auth):
                    assert "error" not in line, line
                for tag in (f"{name}:1", made):
                    docker_client.remove_image(tag)
                yield f"{name}:1"
        except images.NoEngine as error:
            pytest.skip(str(error))


@pytest.mark.long
async def test_a_login_is_used_and_left_nowhere(
    place: MarketPlace, private_image: str, docker_client: docker.APIClient, tmp_path: Path
) -> None:
    script = "wc -c < /secret"
    login = {"docker": {"username": USER, "password": PASSWORD, "server": private_image.partition("/")[0]}}
    async with place.agent() as agent:
        await until(lambda: queued(agent))
        with_login = await place.post(single(private_image, script, authentication=login))
        assert (await settled(agent, with_login.job))["settlement"]["kind"] == "finish"
        without = await place.post(single(private_image, script))
        assert (await settled(agent, without.job))["settlement"]["kind"] == "finish"
    result = await place.result(await place.job(with_login.job))
    (operation,) = result["opStates"]
    assert (operation["status"], operation["exitCode"]) == ("success", 0), operation
    assert [entry["log"] for entry in operation["logs"]] == ["16\n"]
    refused = await place.result(await place.job(without.job))
    assert refused["opStates"][0]["errors"][0]["event"] == "image-pull-error"
    tags = {tag for row in docker_client.images() for tag in row["RepoTags"] or ()}
    assert private_image not in tags
    names = [
        (what, text)
        for what, word in (("user", USER), ("password", PASSWORD))
        for text in (word.encode(), base64.b64encode(word.encode())[:-4])
    ]
    names.append(("pair", base64.b64encode(f"{USER}:{PASSWORD}".encode())))
    assert leaks(names, tmp_path / "data") == {}
    assert PASSWORD not in str(result)
