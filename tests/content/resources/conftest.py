from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from node.content.resources.desk import ResourceDesk
from node.settings_resources import ResourceSettings
from tests.content.resources.rclone import ABSENT, ACCESS_KEY, SECRET_KEY, find_rclone, s3_server

MakeDesk = Callable[..., ResourceDesk]


@pytest.fixture
def make_desk(tmp_path: Path) -> MakeDesk:
    """Desks over one folder, as by restarts of one agent; this machine's own servers may be reached."""

    def make(**settings: Any) -> ResourceDesk:
        exempt = settings.pop("exempt", lambda host, port: host == "127.0.0.1")
        kept_free = settings.pop("keep_free", 0)

        async def keep_free() -> int:
            return int(kept_free)

        wanted = ResourceSettings(**{"patience": 5.0, **settings})
        return ResourceDesk(wanted, tmp_path / "resources", exempt=exempt, keep_free=keep_free)

    return make


@pytest.fixture(scope="session")
def rclone() -> Path:
    """The S3 server's binary; skips the test where there is none."""
    found = find_rclone()
    if found is None:
        pytest.skip(ABSENT)
    return found


@pytest.fixture(scope="module")
def buckets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder whose folders are the buckets."""
    folder = tmp_path_factory.mktemp("buckets")
    (folder / "bucket").mkdir()
    return folder


@pytest.fixture(scope="module")
def open_s3(rclone: Path, buckets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real S3 server that is open to all."""
    with s3_server(rclone, buckets, tmp_path_factory.mktemp("s3") / "log") as address:
        yield address


@pytest.fixture(scope="module")
def closed_s3(rclone: Path, buckets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real S3 server, with the same buckets, that asks for a signature."""
    log = tmp_path_factory.mktemp("s3") / "log"
    with s3_server(rclone, buckets, log, "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}") as address:
        yield address
