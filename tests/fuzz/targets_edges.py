"""What containers, engines, registries, users and other processes of the host send."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from pathlib import Path

import httpx
import yaml

from node.api.control import ControlServer
from node.bounded_json import read_json
from node.container.docker_views import container_view, image_info
from node.container.engine import LogFrame
from node.container.frames import FrameDecoder
from node.container.log import LogKeeper, order_key, read_entries
from node.container.manifest import Manifests
from node.container.pull import PullTally
from node.content.merkle import MerkleHasher
from node.settings_source import load_settings
from tests.api.double import JOB, DoublePort
from tests.fuzz.target import Target

LOOP = asyncio.new_event_loop()
LIMIT = 4096


def frames(body: bytes) -> None:
    """The engine's log stream: the same frames wherever it is cut, and never more held than one frame."""
    whole, split = FrameDecoder(), FrameDecoder()
    cut = body[0] if body else 0
    first = whole.feed(body)
    second = [*split.feed(body[:cut]), *split.feed(body[cut:])]
    assert first == second
    assert whole.pending == split.pending <= len(body)


def kept_log(body: bytes) -> None:
    """Frames kept, the file then damaged, opened again and gone on with: bounded, whole lines, the right root."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        path.write_bytes(body)
        keeper = LogKeeper(path, LIMIT)
        keeper.resume()
        keeper.add([LogFrame("stdout", part[:30].decode("latin-1"), part) for part in body.split(b"\n")])
        digest = keeper.digest("log.jsonl")
        keeper.close()
        kept = path.read_bytes()
        hasher = MerkleHasher()
        hasher.update(kept)
        assert (digest.root, digest.length) == (hasher.root(), len(kept))
        assert not kept or kept.endswith(b"\n")
        # What was there before may be over the limit; nothing but the note that says so is added then.
        assert len(kept) <= max(LIMIT, len(body) + 256)
        assert len(list(read_entries(path, None))) == kept.count(b"\n")
    order_key(body[:40].decode("latin-1"))


def engine(body: bytes) -> None:
    """What an engine says of containers and images, and the lines of a pull."""
    document = read_json(body, limit=1 << 20)
    if not isinstance(document, dict):
        return
    tally = PullTally("image")
    tally.add(document)
    tally.progress()
    for view in (container_view, image_info):
        # The callers take these for "the engine's answer cannot be understood".
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError, OverflowError):
            view(document)


def manifest(body: bytes) -> None:
    """A registry's answers: the status and challenge first, then the document."""
    challenge, _, document = body.partition(b"\n")
    calls = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request.url)
        status = 401 if len(calls) == 1 and len(challenge) % 2 else 200
        headers = {"WWW-Authenticate": challenge.decode("latin-1").replace("\r", " ").replace("\0", " ")}
        return httpx.Response(status, headers=headers, content=document)

    async def ask() -> int | None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            return await Manifests(client).compressed_bytes("registry.test/a/b:c")

    found = LOOP.run_until_complete(ask())
    assert found is None or (isinstance(found, int) and found >= 0)
    assert len(calls) <= 5


def settings(body: bytes) -> None:
    """A settings file, and the same bytes as environment variables."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "node.yaml"
        file.write_bytes(body)
        name, _, value = body.decode("utf-8", "replace").partition("=")
        environment = {f"GPUNODE_{name[:60].upper()}": value[:500]} if len(body) % 5 == 0 else {}
        load_settings(file, environment=environment)


def json_text(body: bytes) -> None:
    """Our strict JSON against Python's: what is taken means the same to both."""
    found = read_json(body, limit=1 << 16)
    assert json.loads(body) == found
    json.dumps(found, ensure_ascii=False).encode()


class _Api:
    """A control socket that stands for all cases."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="gpnf")
        log = Path(self._folder.name) / "log"
        log.write_bytes(b"x\n")
        self.path = Path(self._folder.name) / "s"
        self._server = ControlServer(DoublePort((log, log)), self.path)
        LOOP.run_until_complete(self._server.start())

    async def send(self, body: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self.path)
        writer.write(body)
        with contextlib.suppress(OSError):
            writer.write_eof()
        answer = b""
        with contextlib.suppress(OSError, TimeoutError):
            answer = await asyncio.wait_for(reader.read(1 << 16), 0.5)
        writer.close()
        return answer


_api: list[_Api] = []


def api(body: bytes) -> None:
    """Raw bytes on the control socket: an answer that is no failure of the server's, or none."""
    if not _api:
        _api.append(_Api())
    answer = LOOP.run_until_complete(_api[0].send(body))
    status = answer.split(b" ", 2)[1:2]
    assert status != [b"500"], answer[:300]
    assert b"Traceback" not in answer


def _requests() -> tuple[bytes, ...]:
    def request(line: str, body: bytes = b"") -> bytes:
        return f"{line} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    return (
        request("GET /v1/status"),
        request("GET /v1/jobs?limit=5"),
        request(f"GET /v1/jobs/{JOB}"),
        request(f"GET /v1/logs/{JOB}?operation=0&offset=1"),
        request("GET /v1/events?after=0&limit=3"),
        request("POST /v1/pause", b'{"seconds": 5, "lane": "main"}'),
        request("POST /v1/drain", b'{"lane": null}'),
        request("POST /v1/resume", b'{"adopt": true}'),
    )


def _views() -> tuple[bytes, ...]:
    container = {
        "Id": "0" * 64,
        "Name": "/x",
        "Created": "2026-01-01T00:00:00Z",
        "Image": "sha256:0",
        "Config": {"Labels": {"a": "b"}, "Entrypoint": ["/x"], "Cmd": ["y"]},
        "State": {"Status": "running", "Running": True, "ExitCode": 0, "StartedAt": "x", "Pid": 1},
        "GraphDriver": {"Name": "overlay2", "Data": {"UpperDir": "/x"}},
        "Mounts": [{"Source": "/y", "Type": "volume"}],
        "RestartCount": 0,
    }
    image = {"Id": "sha256:0", "RepoDigests": ["a@sha256:0"], "Size": 5, "RepoTags": ["a:b"]}
    line = {"status": "Downloading", "id": "a", "progressDetail": {"current": 5, "total": 9}}
    return tuple(json.dumps(each).encode() for each in (container, image, line, {"errorDetail": {"message": "x"}}))


def _manifests() -> tuple[bytes, ...]:
    challenge = b'Bearer realm="https://auth.test/token",service="registry.test"'
    own = {"layers": [{"size": 5}, {"size": 7}], "config": {"size": 1}, "token": "t"}
    many = {
        "manifests": [{"digest": "sha256:" + "0" * 64, "platform": {"architecture": "amd64", "os": "linux"}}],
        **own,
    }
    bodies = [b"\n" + json.dumps(each).encode() for each in (own, many)]
    return tuple(challenge[: len(challenge) - odd] + body for body in bodies for odd in (0, 1))


def _settings() -> tuple[bytes, ...]:
    example = Path(__file__).parents[2] / "node.example.yaml"
    tree = {
        "cluster": "localnet",
        "rpc": {"urls": ["http://127.0.0.1:8899"]},
        "host": {"country": "NL"},
        "limits": {"memory": "1 GiB", "pids": 5},
        "network": {"egress": "list", "allow": ["example.org:443"]},
        "lanes": [{"name": "main", "wallet": "w.json", "market": JOB}],
    }
    text = yaml.safe_dump(yaml.safe_load(example.read_text())).encode()  # without its comments, which take most time
    return (text, json.dumps(tree).encode(), b"limits__memory=5 GiB")


_LOG = b'{"log":"x\\n","timestamp":"2026-01-01T00:00:00.000000000Z","type":"stdout"}\n'

_CUT = b'{"log":"cut","timestamp":"","type":"nodeerr"}\n'
_FRAMES = b"\1\0\0\0\0\0\0\x082026-01 \2\0\0\0\0\0\0\4abcd"

TARGETS = (
    Target(
        "frames",
        frames,
        lambda: (b"\1\0\0\0\0\0\0\x08" + b"2026-01 " + b"\2\0\0\0\0\0\0\4abcd", b"\1\0\0\0\0\0\0\0" * 9),
    ),
    Target(
        "kept-log", kept_log, lambda: (_LOG * 3, _LOG * 60, _LOG + b'{"log":"cut","timestamp":"","type":"nodeerr"}\n')
    ),
    Target("engine", engine, _views, (ValueError,)),
    Target("manifest", manifest, _manifests),
    Target("settings", settings, _settings),
    Target("json", json_text, lambda: (b'{"a": [1, 2.5, "x", null, true]}', b'"\\ud83d\\ude00"'), (ValueError,)),
    Target("api", api, _requests),
)
