"""What people post, in miniature, of the kind that gets its data from elsewhere: from a bucket, and a model by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.content.resources.rclone import ABSENT, find_rclone, s3_server
from tests.content.resources.test_ollama import push
from tests.e2e.example_shop import shop
from tests.e2e.examples import said
from tests.e2e.images import NoEngine
from tests.e2e.registry import registry

pytestmark = [pytest.mark.docker, pytest.mark.long]

START = """
echo started with "$@" for $MODEL
echo "# changed" >> /entry/start.sh && echo may be changed
mkdir /tmp/www && cp /entry/page /tmp/www/index.html
exec httpd -f -p 18789 -h /tmp/www
"""


async def test_a_program_from_a_bucket(tmp_path: Path, busybox_image: str) -> None:
    rclone = find_rclone()
    if rclone is None:
        pytest.skip(ABSENT)
    data = tmp_path / "buckets/models/entry"
    data.mkdir(parents=True)
    (data / "start.sh").write_text(START)
    (data / "page").write_text("from the bucket\n")
    with s3_server(rclone, tmp_path / "buckets", tmp_path / "s3.log") as server:
        async with shop(tmp_path / "market", resources={"s3": server}) as kept:
            kept.images["shell"] = busybox_image
            async with kept.posted("entry-from-bucket", BUCKET=f"{server}/models/entry") as job:
                await job.until_ops({"served": "running"})
                ((_, service),) = (await job.services(online=False)).items()
                assert await job.page(service) == "from the bucket\n"
                document, states = await job.stop()
    assert document["status"] == "success"
    assert said(states["served"]) == ["started with --token a-token for tiny", "may be changed"]
    assert (data / "start.sh").read_text() == START, "what a job changes is a copy of its own"


async def test_a_served_model(tmp_path: Path, busybox_image: str) -> None:
    (tmp_path / "registry").mkdir()
    try:
        with registry(tmp_path / "registry") as models:
            push(f"http://{models}", "library/tiny")
            async with shop(tmp_path / "market", resources={"ollama": f"http://{models}"}) as kept:
                kept.images["shell"] = busybox_image
                async with kept.posted("served-model") as job:
                    ((_, service),) = (await job.services()).items()
                    assert await job.page(service, "/api/tags") == "1b-q4\n"
                    await job.stop()
    except NoEngine as absent:
        pytest.skip(str(absent))
