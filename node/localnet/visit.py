"""A visit to a job's service, as its poster would make: found, asked, and read as an OpenAI-compatible one is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from node.errors import LocalnetError

READY_SECONDS = 90.0
"""From the job's start until its service answers, at most."""
LOOK_SECONDS = 0.25
TEXTS = ("How do I cook rice?", "What is the way to boil rice?", "The stock market fell today.")
QUESTION = "How can I sleep in asyncio?"
TOKENS = 60

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a service is found by its name, and the listener (`address:port`) that is asked for it."""

    url: str
    listener: str

    @property
    def host(self) -> str:
        """What the request's Host header says."""
        return urlsplit(self.url).netloc


async def visit(reach: Reach, tell: Tell, waiting: Tell) -> dict[str, Any]:
    """Wait until the service answers, ask each of its models, and tell what comes.

    Returns `url`, `ready_seconds` (how long it took to answer), `models`, `similarity` (of the first text to the second
    and the third), `question`, `answer`, `tokens` (`prompt_tokens`, `completion_tokens`, `total_tokens`),
    `finish_reason` and `first_byte_seconds` (of the streamed answer). Raises LocalnetError when the service does not
    answer in time, or not as such a service should.
    """
    async with _client(reach) as http:
        began = time.monotonic()
        models = await _ready(http, reach, waiting)
        ready = time.monotonic() - began
        tell(f"GET {reach.url}/v1/models: {', '.join(models)}")
        try:
            chat, embedding = _model(models, "ngram"), _model(models, "MiniLM")
            near, far = await _similarity(http, embedding)
            tell(f"POST /v1/embeddings: {TEXTS[0]!r} is {near:.2f} like {TEXTS[1]!r}, {far:.2f} like {TEXTS[2]!r}")
            tell(f"POST /v1/chat/completions, streamed: {QUESTION}")
            said = await _conversation(http, chat)
        except (httpx.HTTPError, ValueError, LookupError) as error:
            raise LocalnetError(
                f"the service at {reach.url} does not answer as it should: {type(error).__name__}: {error}",
                hint="the job's own log says more",
            ) from None
    tell(f"  {said['answer']}")
    tell(f"  {said['tokens']['completion_tokens']} tokens, first byte after {said['first_byte_seconds'] * 1000:.0f} ms")
    return {"url": reach.url, "ready_seconds": ready, "models": models, "similarity": [near, far], **said}


@contextlib.asynccontextmanager
async def _client(reach: Reach) -> AsyncIterator[httpx.AsyncClient]:
    # The name is asked for as a browser would; it need not resolve, because the listener is known.
    async with httpx.AsyncClient(
        base_url=f"http://{reach.listener}", headers={"Host": reach.host}, trust_env=False, timeout=30
    ) as http:
        yield http


async def _ready(http: httpx.AsyncClient, reach: Reach, waiting: Tell) -> list[str]:
    """Names of the models, once the service tells them."""
    deadline = time.monotonic() + READY_SECONDS
    trouble = "nothing was asked"
    while time.monotonic() < deadline:
        try:
            answer = await http.get("/v1/models")
            if answer.status_code == httpx.codes.OK:
                return [str(model["id"]) for model in answer.json()["data"]]
            trouble = f"status {answer.status_code}"
        except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            trouble = str(error) or type(error).__name__
        waiting(f"waiting for the service: {trouble}")
        await asyncio.sleep(LOOK_SECONDS)
    raise LocalnetError(
        f"the service did not answer at {reach.url} in {READY_SECONDS:.0f} s: {trouble}",
        hint="the agent's log and the job's own say more",
    )


def _model(models: list[str], part: str) -> str:
    found = [name for name in models if part in name]
    if not found:
        raise LookupError(f"no model with {part!r} in its name among {', '.join(models) or 'none'}")
    return found[0]


async def _similarity(http: httpx.AsyncClient, model: str) -> tuple[float, float]:
    answer = (await http.post("/v1/embeddings", json={"model": model, "input": list(TEXTS)})).raise_for_status()
    one, near, far = (entry["embedding"] for entry in answer.json()["data"])
    return _product(one, near), _product(one, far)


def _product(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def _conversation(http: httpx.AsyncClient, model: str) -> dict[str, Any]:
    asked = {
        "model": model,
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": TOKENS,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    began = time.monotonic()
    first: float | None = None
    text, reason = "", None
    usage: dict[str, int] = {}
    async with http.stream("POST", "/v1/chat/completions", json=asked) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if first is None:
                first = time.monotonic() - began
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            chunk = json.loads(line.removeprefix("data: "))
            usage = chunk.get("usage") or usage
            for choice in chunk["choices"]:
                text += choice["delta"].get("content") or ""
                reason = choice["finish_reason"] or reason
    return {
        "question": QUESTION,
        "answer": text,
        "tokens": {name: usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")},
        "finish_reason": reason,
        "first_byte_seconds": first or 0.0,
    }
