"""The built-in job `chat`, asked with OpenAI's own client: both models, streams, stops, tokens, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import docker
import httpx
import openai
import pytest

from node.localnet import images, recipes
from tests.localnet.built_in_jobs import SHUT_IN

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(600)]

READY_SECONDS = 60
QUESTION = [{"role": "user", "content": "How can I sleep in asyncio?"}]


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """URL of the service in a container of its own, without the network's help."""
    asyncio.run(images.ensure_image("chat"))
    arguments = recipes.definition("chat")["ops"][0]["args"]
    engine = docker.from_env()
    container = engine.containers.run(arguments["image"], arguments["cmd"], detach=True, **SHUT_IN)
    try:
        container.reload()
        (network,) = container.attrs["NetworkSettings"]["Networks"].values()
        url = f"http://{network['IPAddress']}:{arguments['expose'][0]['port']}"
        _wait_for(f"{url}{arguments['expose'][0]['health_checks'][0]['path']}")
        yield url
        began = time.monotonic()
        container.stop(timeout=20)
        assert time.monotonic() - began < 10, "it ends when it is told to"
        container.reload()
        assert container.attrs["State"]["ExitCode"] == 0
    finally:
        container.remove(force=True)
        engine.close()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            assert httpx.get(url, trust_env=False).json() == {"status": "ok"}
            return
        except httpx.HTTPError:
            assert time.monotonic() < deadline, "not ready"
            time.sleep(0.2)


@pytest.fixture
def client(service: str) -> Iterator[openai.OpenAI]:
    with (
        httpx.Client(trust_env=False) as direct,
        openai.OpenAI(base_url=f"{service}/v1", api_key="any", http_client=direct, max_retries=0) as asked,
    ):
        yield asked


def test_the_models_say_where_they_come_from(client: openai.OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}
    assert set(models) == {"pydoc-ngram", "all-MiniLM-L6-v2"}
    chat = client.models.retrieve("pydoc-ngram").model_dump()
    assert "trained while this image was built" in chat["description"]
    assert chat["training"]["tokens"] > 100_000
    # Better than a unigram model (hundreds), and better still when it knows what the text is about.
    assert chat["training"]["held_out_perplexity_leaning"] < chat["training"]["held_out_perplexity"] < 100
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o")


def nearness(one: list[float], other: list[float]) -> float:
    """Cosine of two unit vectors."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_near_meanings_are_near(client: openai.OpenAI) -> None:
    texts = ["How do I cook rice?", "What is the way to boil rice?", "The stock market fell today."]
    answer = client.embeddings.create(model="all-MiniLM-L6-v2", input=texts)
    one, same, other = (each.embedding for each in answer.data)
    assert [each.index for each in answer.data] == [0, 1, 2]
    assert len(one) == len(same) == len(other) == 384
    assert math.hypot(*one) == pytest.approx(1, abs=1e-5)
    assert nearness(one, same) > 0.7
    assert nearness(one, other) < 0.3
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 15


def test_numbers_and_base64_are_the_same_vectors(client: openai.OpenAI) -> None:
    def ask(form: str) -> openai.types.CreateEmbeddingResponse:
        return client.embeddings.create(model="all-MiniLM-L6-v2", input="one text", encoding_format=form)

    numbers, encoded = ask("float").data[0].embedding, ask("base64").data[0].embedding
    assert isinstance(encoded, str)
    usual = client.embeddings.create(model="all-MiniLM-L6-v2", input="one text").data[0].embedding
    assert numbers == pytest.approx(usual, abs=1e-6)


def test_it_answers_what_it_is_asked_about(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="pydoc-ngram", messages=QUESTION, temperature=0)
    (choice,) = answer.choices
    assert choice.message.role == "assistant"
    assert "sleep" in choice.message.content
    assert choice.finish_reason == "stop"
    assert answer.usage.prompt_tokens > 5
    assert answer.usage.completion_tokens > 3
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    other = client.chat.completions.create(
        model="pydoc-ngram", temperature=0, messages=[{"role": "user", "content": "Parse a JSON document"}]
    )
    assert "json" in other.choices[0].message.content.lower()


def test_the_text_is_sampled(client: openai.OpenAI) -> None:
    def ask(seed: int, temperature: float) -> str:
        answer = client.chat.completions.create(
            model="pydoc-ngram", messages=QUESTION, seed=seed, temperature=temperature, max_tokens=40
        )
        return str(answer.choices[0].message.content)

    assert ask(1, 1.5) == ask(1, 1.5)
    assert len({ask(seed, 1.5) for seed in range(5)}) > 1
    assert len({ask(seed, 0) for seed in range(3)}) == 1
    several = client.chat.completions.create(
        model="pydoc-ngram", messages=QUESTION, seed=3, temperature=1.5, max_tokens=40, n=3
    )
    assert [choice.index for choice in several.choices] == [0, 1, 2]
    assert several.choices[0].message.content == ask(3, 1.5)
    assert len({choice.message.content for choice in several.choices}) > 1


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_tokens_asked_for_are_the_tokens_had(client: openai.OpenAI, name: str) -> None:
    answer = client.chat.completions.create(model="pydoc-ngram", messages=QUESTION, temperature=0, **{name: 3})
    assert answer.usage.completion_tokens == 3
    assert answer.choices[0].finish_reason == "length"


def test_a_stop_ends_the_text_before_it(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="pydoc-ngram", messages=QUESTION, temperature=0)
    text = str(whole.choices[0].message.content)
    stop = text[8:13]
    for stream in (False, True):
        asked = client.chat.completions.create(
            model="pydoc-ngram", messages=QUESTION, temperature=0, stop=["never there", stop], stream=stream
        )
        if stream:
            chunks = list(asked)
            got = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
            reason = chunks[-1].choices[0].finish_reason
        else:
            got, reason = asked.choices[0].message.content, asked.choices[0].finish_reason
        assert got == text[: text.index(stop)]
        assert reason == "stop"


def test_a_stream_is_the_same_text_in_pieces(client: openai.OpenAI) -> None:
    asked = {"model": "pydoc-ngram", "messages": QUESTION, "seed": 7, "temperature": 1.0}
    whole = client.chat.completions.create(**asked)
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    *pieces, last = chunks
    assert last.choices == []
    assert last.usage == whole.usage
    assert len(pieces) > 4
    assert pieces[0].choices[0].delta.role == "assistant"
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == whole.choices[0].message.content
    assert pieces[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_ends_as_the_protocol_says(service: str) -> None:
    body = {"model": "pydoc-ngram", "messages": QUESTION, "stream": True, "max_tokens": 5}
    with httpx.stream("POST", f"{service}/v1/chat/completions", json=body, trust_env=False) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    assert json.loads(lines[0].removeprefix("data: "))["object"] == "chat.completion.chunk"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages[0]"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": "high"}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"n": 99}, "n"),
        ({"stop": ["a"] * 9}, "stop"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": "json"}, "response_format"),
        ({"model": None}, "model"),
    ],
)
def test_what_it_cannot_do_it_says(service: str, body: dict[str, object], param: str) -> None:
    asked = {"model": "pydoc-ngram", "messages": QUESTION, **body}
    answer = httpx.post(f"{service}/v1/chat/completions", json=asked, trust_env=False)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert answer.json()["error"]["message"]


def test_texts_too_long_and_tokens_for_texts_are_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="longer than the 256 tokens"):
        client.embeddings.create(model="all-MiniLM-L6-v2", input=["short", "word " * 400])
    with pytest.raises(openai.BadRequestError, match="token numbers"):
        client.embeddings.create(model="all-MiniLM-L6-v2", input=[[1, 2, 3]])
    with pytest.raises(openai.NotFoundError, match="answered by all-MiniLM"):
        client.embeddings.create(model="pydoc-ngram", input="x")


def test_bodies_that_are_no_requests(service: str) -> None:
    with httpx.Client(base_url=service, trust_env=False) as http:
        assert http.post("/v1/chat/completions", content=b"{").status_code == 400
        assert http.post("/v1/chat/completions", content=b"[" * 100_000).status_code == 400
        assert http.post("/v1/chat/completions", content=b"[]").status_code == 400
        half = b'{"model": "all-MiniLM-L6-v2", "input": "\\ud800"}'
        assert http.post("/v1/embeddings", content=half).status_code == 400
        assert http.post("/v1/embeddings", content=b" " * (3 << 20)).status_code == 413
        assert http.post("/v1/embeddings", content=iter([b"{}"])).status_code == 411
        assert http.get("/v1/chat/completions").status_code == 405
        assert http.post("/health", json={}).status_code == 405
        assert http.get("/nothing").status_code == 404
        assert http.head("/health").content == b""


def test_what_is_no_http_ends_the_connection_and_nothing_else(service: str) -> None:
    host, port = service.removeprefix("http://").split(":")
    for sent in (b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"POST /v1/embeddings HTTP/1.1\r\nContent-Length: 9\r\n\r\n{}"):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    assert httpx.get(f"{service}/health", trust_env=False).json() == {"status": "ok"}


def test_many_at_once_all_get_their_answer(client: openai.OpenAI) -> None:
    def ask(seed: int) -> str:
        answer = client.chat.completions.create(model="pydoc-ngram", messages=QUESTION, seed=seed, temperature=1.5)
        return str(answer.choices[0].message.content)

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(ask, range(8)))
    assert together == [ask(seed) for seed in range(8)]
