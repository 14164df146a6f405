"""Images that only a job's own login can have: from a registry that wants one, and never from another job's pull."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import docker
import httpx
import pytest

from node.container.cache import ImageCache
from node.container.disk import EngineDisk
from node.container.docker import DockerEngine
from node.container.engine import ImageInfo
from node.container.manifest import Manifests
from node.container.origin import local_registries
from node.container.registry_auth import auth_headers, discreet
from node.container.runner import OperationRunner
from node.errors import ImagePullFailed
from node.journal.journal import Journal
from node.logins import DockerLogin
from node.records import OperationState, OperationStatus, PlannedOperation
from node.retry import Retry
from tests.container.engine_double import FakeEngine
from tests.container.job_bench import JobBench, until
from tests.container.operations import operation
from tests.container.test_runner import Bench, QuickClock
from tests.e2e import images
from tests.e2e.registry import registry

USER, PASSWORD = "poster-of-jobs", "very secret & <odd> pässword/+"
LOGIN = DockerLogin(USER, PASSWORD, "poster@example.com")
WRONG = DockerLogin("somebody-else", "guessed-it")


@dataclass
class Shop:
    """A registry with one private image, and the agent's cache before an engine that has not got it."""

    bench: JobBench
    reference: str
    digest: str
    cache: ImageCache
    journal: Journal

    async def run(self, login: DockerLogin | None, image: str = "", index: int = 0) -> OperationState:
        return await self.bench.run(self.op("cat /secret", image, index), login=login)

    def op(self, command: str, image: str = "", index: int = 0) -> PlannedOperation:
        op = self.bench.op(index, command, image=image or self.reference)
        return replace(op, has_login=True)

    def local(self) -> set[str]:
        found = self.bench.client.images()
        return {name for row in found for name in (*(row["RepoTags"] or ()), *(row["RepoDigests"] or ()))}

    async def booked(self) -> dict[str, bool]:
        return {row.reference: row.private for row in await self.journal.images.all()}


@pytest.fixture(scope="module")
def private_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        with registry(tmp_path_factory.mktemp("registry"), (USER, PASSWORD)) as host:
            yield host
    except images.NoEngine as error:
        pytest.skip(str(error))


@pytest.fixture
async def shop(job_bench: JobBench, private_registry: str, tmp_path: Path) -> AsyncIterator[Shop]:
    client = job_bench.client
    name = f"{private_registry}/private-{secrets.token_hex(4)}"
    made = images.image_of({"secret": secrets.token_bytes(16).hex().encode() + b"\n"}, client=client, name="private")
    client.tag(made, name, "1")
    digest = ""
    for line in client.push(
        name, tag="1", stream=True, decode=True, auth_config={"username": USER, "password": PASSWORD}
    ):
        assert "error" not in line, line
        digest = (line.get("aux") or {}).get("Digest", digest)
    for tag in (f"{name}:1", made):
        client.remove_image(tag)
    async with await Journal.open(tmp_path / "journal.sqlite") as journal, a_cache(job_bench, journal) as cache:
        job_bench.runner = OperationRunner(job_bench.engine, tmp_path, stop_grace=1.0, images=cache)
        yield Shop(job_bench, f"{name}:1", f"{name}@{digest}", cache, journal)
    for tag in (f"{name}:1", f"{name}@{digest}"):
        try:
            client.remove_image(tag, force=True)
        except docker.errors.ImageNotFound:
            continue


@asynccontextmanager
async def a_cache(bench: JobBench, journal: Journal) -> AsyncIterator[ImageCache]:
    async def wanted() -> frozenset[str]:
        return frozenset()

    manifests = Manifests(exempt=local_registries)
    yield ImageCache(
        bench.engine,
        journal.images,
        wanted,
        EngineDisk(bench.engine, bench.data),
        budget=1 << 60,
        retry=Retry(attempts=2, total=5.0, first=0.1),
        registries=manifests,
    )
    await manifests.aclose()


def traces(shop: Shop) -> bytes:
    """All that is kept and said."""
    said = repr((shop.bench.seen, shop.bench.lines)).encode()
    return said + b"".join(path.read_bytes() for path in shop.bench.data.rglob("*") if path.is_file())


SECRETS = (
    USER.encode(),
    PASSWORD.encode(),
    repr(PASSWORD)[1:-1].encode(),
    json.dumps(PASSWORD)[1:-1].encode(),
    base64.b64encode(f"{USER}:{PASSWORD}".encode()),
    base64.b64encode(PASSWORD.encode()),
    auth_headers(LOGIN)["X-Registry-Auth"].encode(),
    WRONG.password.encode(),
    WRONG.username.encode(),
)


@pytest.mark.docker
@pytest.mark.parametrize("by_digest", [False, True])
async def test_the_login_brings_the_image_and_it_goes_again(
    shop: Shop, caplog: pytest.LogCaptureFixture, by_digest: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    image = shop.digest if by_digest else shop.reference
    state = await shop.run(LOGIN, image)
    assert state.status is OperationStatus.SUCCESS, state.errors
    assert len(shop.bench.log(state)) == 33
    assert state.image_digest == shop.digest.partition("@")[2]
    assert not {shop.reference, shop.digest} & shop.local()
    assert await shop.booked() == {}
    everything = traces(shop) + caplog.text.encode()
    assert [secret for secret in SECRETS if secret in everything] == []
    await shop.bench.clean()


@pytest.mark.docker
@pytest.mark.parametrize("login", [None, WRONG, DockerLogin(USER, "")])
async def test_without_the_login_it_is_not_had(
    shop: Shop, login: DockerLogin | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    state = await shop.run(login)
    assert (state.status, state.exit_code, state.starts) == (OperationStatus.FAILED, 2, 0)
    (error,) = state.errors
    assert error.event == "image-pull-error"
    if login is not None:
        assert "does not accept the job's login" in error.message
    everything = traces(shop) + caplog.text.encode()
    assert [secret for secret in SECRETS if secret in everything] == []
    await shop.bench.clean()


@pytest.mark.docker
@pytest.mark.parametrize("by_digest", [False, True])
async def test_another_job_is_not_served_what_a_login_brought(shop: Shop, by_digest: bool) -> None:
    """The engine has all of the image while the first job runs, and could serve it without a word to the registry."""
    image = shop.digest if by_digest else shop.reference
    async with shop.bench.running(shop.op("sleep 60", image), login=LOGIN):
        assert await shop.bench.engine.image(image) is not None
        assert await shop.cache.present(image) is None
        for login in (None, WRONG):
            for name in (shop.reference, shop.digest):
                state = await shop.run(login, name, index=1)
                assert (state.status, state.starts) == (OperationStatus.FAILED, 0), (login, name)
                assert state.errors[0].event == "image-pull-error"
        again = await shop.run(LOGIN, image, index=2)
        assert again.status is OperationStatus.SUCCESS
        assert await shop.bench.engine.image(image) is not None  # a container has it still
    assert await shop.cache.tidy() == () or not {shop.reference, shop.digest} & shop.local()
    assert not {shop.reference, shop.digest} & shop.local()
    await shop.bench.clean()


@pytest.mark.docker
async def test_what_a_crash_has_left_serves_nobody_and_is_removed(shop: Shop) -> None:
    async with asyncio.TaskGroup() as group:
        first = group.create_task(shop.bench.run(shop.op("sleep 60"), login=LOGIN))
        await until(lambda: bool(shop.bench.states.get(0) and shop.bench.states[0].starts))
        first.cancel()
    await shop.bench.clean()
    assert shop.reference in shop.local()
    async with a_cache(shop.bench, shop.journal) as cache:  # another life
        assert await cache.present(shop.reference) is None
        with pytest.raises(ImagePullFailed):
            await cache.pull(shop.reference, lambda _line: None)
        assert await cache.tidy() in ((shop.reference,), ())
    assert shop.reference not in shop.local()


@pytest.mark.docker
async def test_the_host_s_own_image_stays(shop: Shop, docker_client: docker.APIClient) -> None:
    docker_client.pull(shop.reference, auth_config={"username": USER, "password": PASSWORD})
    state = await shop.run(LOGIN)
    assert state.status is OperationStatus.SUCCESS
    assert shop.reference in shop.local()
    await shop.bench.clean()


@pytest.mark.docker
async def test_a_registry_tells_sizes_to_who_logs_in(shop: Shop) -> None:
    manifests = Manifests(exempt=local_registries)
    assert await manifests.compressed_bytes(shop.reference) is None
    assert await manifests.compressed_bytes(shop.reference, WRONG) is None
    assert (await manifests.compressed_bytes(shop.reference, LOGIN) or 0) > 100_000
    assert [await manifests.may_pull(shop.reference, login) for login in (None, WRONG, LOGIN)] == [False, False, True]
    assert await manifests.may_pull("localhost:1/nobody/there", LOGIN) is None
    assert await manifests.may_pull("a/../b", LOGIN) is None
    await manifests.aclose()


# --- where a login is sent --------------------------------------------------------------------------------


async def asked(reference: str, challenge: str, login: DockerLogin | None) -> tuple[bool | None, list[httpx.Request]]:
    """What a registry with this challenge is asked, and what comes of it."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if request.url.path == "/token":
            return httpx.Response(200, json={"token": "t"})
        if "Authorization" in request.headers:
            return httpx.Response(200, json={"layers": []})
        return httpx.Response(401, headers={"www-authenticate": challenge})

    manifests = Manifests(httpx.AsyncClient(transport=httpx.MockTransport(answer)))
    found = await manifests.may_pull(reference, login)
    await manifests.aclose()
    return found, requests


async def test_a_token_is_asked_for_with_the_login() -> None:
    challenge = 'Bearer realm="https://auth.example/token",service="registry"'
    found, requests = await asked("registry.example/a/b:1", challenge, LOGIN)
    assert found is True
    pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert [request.headers.get("Authorization") for request in requests] == [None, f"Basic {pair}", "Bearer t"]
    assert str(requests[1].url) == "https://auth.example/token?service=registry&scope=repository%3Aa%2Fb%3Apull"
    _, requests = await asked("registry.example/a/b:1", challenge, None)
    assert [request.headers.get("Authorization") for request in requests] == [None, None, "Bearer t"]


@pytest.mark.parametrize(
    "challenge", ['Bearer realm="http://auth.example/token"', 'Bearer realm="ftp://x/"', "Negotiate", "", "Bearer"]
)
async def test_a_login_is_never_sent_in_clear_or_to_odd_places(challenge: str) -> None:
    found, requests = await asked("registry.example/a/b:1", challenge, LOGIN)
    assert found is False
    assert len(requests) == 1


async def test_basic_goes_to_the_registry_alone() -> None:
    found, requests = await asked("registry.example/a/b:1", 'Basic realm="x"', LOGIN)
    assert found is True
    assert {request.url.host for request in requests} == {"registry.example"}
    assert {request.url.scheme for request in requests} == {"https"}
    assert (await asked("registry.example/a/b:1", 'Basic realm="x"', None))[0] is False


def test_what_an_engine_is_told() -> None:
    assert auth_headers(None) == {}
    header = auth_headers(replace(LOGIN, server="registry.example"))["X-Registry-Auth"]
    assert json.loads(base64.urlsafe_b64decode(header)) == {
        "username": USER,
        "password": PASSWORD,
        "email": "poster@example.com",
        "serveraddress": "registry.example",
    }
    assert set(json.loads(base64.urlsafe_b64decode(auth_headers(DockerLogin("a", "b"))["X-Registry-Auth"]))) == {
        "username",
        "password",
    }


@pytest.mark.parametrize(
    ("said", "status", "reason", "code"),
    [
        (f"unauthorized: {USER}", 500, "does not accept", 401),
        ("denied", None, "does not accept", 401),
        ("manifest unknown", None, "does not know it", 404),
        ("toomanyrequests", 429, "limits pulls", 429),
        (f'Get "https://auth/token?account={USER}": dial tcp: no', None, "could not be reached", None),
        ("no space left on device", None, "disk is full", None),
        (f"oddly {PASSWORD}", 500, "refused", 500),
    ],
)
def test_errors_are_in_words_of_our_own(said: str, status: int | None, reason: str, code: int | None) -> None:
    error = discreet("registry.example/a", ImagePullFailed(said, status=status))
    assert reason in error.message
    assert error.status == code
    assert USER not in f"{error} {error.hint}"
    assert PASSWORD not in f"{error} {error.hint}"


# --- the book, with an engine that does what the test says ----------------------------------------------------


class Registry:
    def __init__(self) -> None:
        self.allowed: set[str | None] = set()
        self.silent = False

    async def may_pull(self, _reference: str, login: DockerLogin | None) -> bool | None:
        return None if self.silent else (login.username if login is not None else None) in self.allowed


@dataclass
class Books:
    engine: FakeEngine
    cache: ImageCache
    registry: Registry
    journal: Journal
    wanted: set[str]

    async def pull(self, login: DockerLogin | None, image: str = "a:1") -> ImageInfo:
        return await self.cache.pull(image, lambda _line: None, login)

    async def private(self) -> dict[str, bool]:
        return {row.reference: row.private for row in await self.journal.images.all()}


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[Books]:
    clock = QuickClock()
    engine, known, wanted = FakeEngine(), Registry(), set[str]()

    async def names() -> frozenset[str]:
        return frozenset(wanted)

    async with await Journal.open(tmp_path / "journal.sqlite", clock.time) as journal:
        cache = ImageCache(
            engine,
            journal.images,
            names,
            EngineDisk(engine, tmp_path),
            budget=100,
            retry=Retry(attempts=2, total=9.0),
            clock=clock,
            registries=known,
        )
        yield Books(engine, cache, known, journal, wanted)


async def test_a_login_s_image_is_booked_as_its_own_before_the_pull(books: Books) -> None:
    books.engine.pull_gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        pulling = group.create_task(books.pull(LOGIN))
        while not books.engine.pulls:
            await asyncio.sleep(0)
        assert await books.private() == {"a:1": True}
        # As if the engine had it before its answer is here.
        books.engine.images["a:1"] = ImageInfo("sha256:new", (), 1, ("a:1",))
        assert await books.cache.present("a:1") is None
        books.engine.pull_gate.set()
    assert books.engine.logins == [LOGIN]
    assert await books.cache.present("a:1") is None
    assert pulling.result().id == "sha256:a:1"


async def test_the_registry_decides_who_else_may(books: Books) -> None:
    await books.pull(LOGIN)
    for login in (None, WRONG):
        with pytest.raises(ImagePullFailed, match="does not give it"):
            await books.pull(login)
    assert await books.private() == {"a:1": True}
    books.registry.silent = True
    with pytest.raises(ImagePullFailed, match="does not tell"):
        await books.pull(None)
    books.registry.silent = False
    books.registry.allowed = {"somebody-else"}
    await books.pull(WRONG)
    assert await books.cache.present("a:1") is None
    books.registry.allowed = {None}  # it was made public
    await books.pull(None)
    assert await books.private() == {"a:1": False}
    assert await books.cache.present("a:1") is not None


async def test_what_everybody_may_have_stays_so(books: Books) -> None:
    await books.pull(None)
    books.registry.allowed = {USER}
    await books.pull(LOGIN)
    assert await books.private() == {"a:1": False}
    await books.cache.release("a:1")
    assert "a:1" in books.engine.images


async def test_released_images_go_unless_somebody_has_them(books: Books) -> None:
    await books.pull(LOGIN)
    books.engine.foreign_use = {"sha256:a:1"}
    await books.cache.release("a:1")
    assert "a:1" in books.engine.images
    books.engine.foreign_use = set()
    await books.cache.release("a:1")
    assert "a:1" not in books.engine.images
    assert await books.private() == {}
    await books.cache.release("a:1")


async def test_a_pull_that_was_cut_off_leaves_nothing(books: Books) -> None:
    books.engine.pull_gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        pulling = group.create_task(books.pull(LOGIN))
        while not books.engine.pulls:
            await asyncio.sleep(0)
        pulling.cancel()
    books.engine.images["a:1"] = ImageInfo("sha256:new", (), 1, ("a:1",))  # the engine went on
    await books.cache.release("a:1")
    assert "a:1" not in books.engine.images
    assert await books.private() == {}


async def test_left_ones_go_when_no_open_job_wants_them(books: Books) -> None:
    await books.pull(LOGIN)
    books.wanted.add("a:1")
    assert await books.cache.tidy() == ()
    books.wanted.clear()
    assert await books.cache.tidy() == ("a:1",)
    assert "a:1" not in books.engine.images


async def test_without_a_book_the_runner_takes_it_away_as_well(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    del bench.engine.images["image"]
    op = replace(operation("image", "node", "true"), has_login=True)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(op, login=LOGIN))
        await bench.until_started()
        assert await bench.runner.images.present("image") is None
        await bench.engine.exit(bench.engine.only().id, 0)
    assert running.result().status is OperationStatus.SUCCESS
    assert bench.engine.images == {}


@pytest.mark.docker
async def test_the_engine_takes_the_login(private_registry: str, docker_engine: DockerEngine) -> None:
    with pytest.raises(ImagePullFailed, match="does not know it"):
        await docker_engine.pull(f"{private_registry}/nothing:1", lambda _progress: None, LOGIN)
