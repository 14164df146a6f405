"""Every built-in job through the whole demo: posted, run, paid, verified, and right in what it answers.

`spam` is in tests/localnet/test_demo.py, which looks at the demo itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from node.localnet.images import ensure_image
from node.localnet.ports import free_port
from node.localnet.recipes import definition
from node.settings import Settings
from tests.e2e.market_place import market_place, queued, settings_tree, settled, until, working

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(600)]


def demo(job: str, folder: Path) -> dict[str, Any]:
    """The demo's document; what it said on the way is shown where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "node.cli", "demo", "--job", job, "--json"],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    assert summary["ok"] is True
    assert summary["verified"]["settled"] is True
    assert set(summary["verified"].values()) <= {True, None}
    assert summary["pay"]["amount"] > 0
    assert list(folder.iterdir()) == []
    return summary


def test_speech_is_heard(tmp_path: Path) -> None:
    summary = demo("speech", tmp_path)
    assert summary["service"] is None
    _, segments = summary["answers"]["segments"]
    assert [round(start) for start, _ in json.loads(segments)] == [7, 8, 10, 18, 28, 32]
    assert float(summary["answers"]["activity"][3]) > 0.94


def test_pages_are_read(tmp_path: Path) -> None:
    answers = demo("ocr", tmp_path)["answers"]
    assert "".join(answers["text"][3].split()) == "InvoiceNo.2041"
    assert answers["accuracy"][2] == "0"


def test_a_service_is_visited_and_ended(tmp_path: Path) -> None:
    summary = demo("chat", tmp_path)
    assert summary["settle"] == "complete", "its poster ended it; the result came after"
    assert summary["cause"] == "stopped"
    service = summary["service"]
    assert service["models"] == ["pydoc-ngram", "all-MiniLM-L6-v2"]
    near, far = service["similarity"]
    assert near > 0.7
    assert far < 0.3
    assert "sleep" in service["answer"]
    assert service["tokens"]["total_tokens"] == sum(
        service["tokens"][part] for part in ("prompt_tokens", "completion_tokens")
    )
    assert service["finish_reason"] == "stop"
    assert 0 < service["first_byte_seconds"] < 10


async def test_the_official_client_works_through_the_proxy(tmp_path: Path) -> None:
    await ensure_image("chat")
    port = free_port()
    document = definition("chat")
    async with market_place(tmp_path) as place:
        more = {"service": {"tunnel": "direct", "port": port}, "limits": {"memory": "1 GiB", "disk_free": "100 MiB"}}
        place.settings = Settings.model_validate({**settings_tree(place.net, tmp_path), **more})
        async with place.agent() as agent:
            await until(lambda: queued(agent))
            posted = await place.post(document)
            await working(agent, posted.job)
            (name,) = service_ids(document, str(posted.job), tmp_path)
            # A browser writes names in small letters.
            host = {"Host": f"{name}.localhost:{port}".lower()}
            async with httpx.AsyncClient(headers=host, trust_env=False) as http:
                client = openai.AsyncOpenAI(
                    base_url=f"http://127.0.0.1:{port}/v1", api_key="any", http_client=http, max_retries=8
                )
                vectors = await client.embeddings.create(model="all-MiniLM-L6-v2", input=["one", "two"])
                assert [len(each.embedding) for each in vectors.data] == [384, 384]
                asked = {
                    "model": "pydoc-ngram",
                    "messages": [{"role": "user", "content": "How can I sleep in asyncio?"}],
                    "temperature": 0,
                }
                whole = await client.chat.completions.create(**asked)
                stream = await client.chat.completions.create(**asked, stream=True)
                pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
                assert len(pieces) > 5
                assert "".join(pieces) == whole.choices[0].message.content
                several = await asyncio.gather(*(client.chat.completions.create(**asked) for _ in range(5)))
                assert {each.choices[0].message.content for each in several} == {whole.choices[0].message.content}
            await place.poster.stop(posted.job)
            run = await settled(agent, posted.job)
            assert run["settlement"]["kind"] == "complete"
            async with httpx.AsyncClient(headers=host, trust_env=False) as http:
                gone = await http.get(f"http://127.0.0.1:{port}/v1/models")
            assert gone.status_code == 404


def service_ids(document: dict[str, Any], job: str, folder: Path) -> list[str]:
    """As anybody can work them out."""
    file = folder / "posted.json"
    file.write_text(json.dumps(document))
    told = subprocess.run(
        [sys.executable, "-m", "node.cli", "job", "plan", str(file), "--job", job, "--json"],
        env={**os.environ, "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [service["service_id"] for service in json.loads(told.stdout)["services"]]
