"""The chat job: an OpenAI-compatible HTTP service of two small models, on the CPU.

GET /health, GET /v1/models, GET /v1/models/ID, POST /v1/embeddings, POST /v1/chat/completions. It asks for no key: who
may reach a job's service is for the poster to arrange.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from answers import Models, Piece
from protocol import (
    CHAT_MODEL,
    ChatRequest,
    Refused,
    embedding_document,
    read_chat,
    read_embedding,
    usage_document,
)

HERE = Path(__file__).resolve().parent
PORT = 8000
LARGEST_BODY = 2 * 1024 * 1024
IDLE_SECONDS = 60
MOST_AT_ONCE = 32
"""Requests answered at the same time; one more is told to come again."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "pydoc-ngram"
    sys_version = ""
    timeout = IDLE_SECONDS
    server: Service

    def do_GET(self) -> None:
        """The service's health and its models."""
        path = self.path.partition("?")[0]
        listed = self.server.models.listed()
        one = next((model for model in listed if path == f"/v1/models/{model['id']}"), None)
        if path in ("/", "/health"):
            self._answer({"status": "ok"})
        elif path == "/v1/models":
            self._answer({"object": "list", "data": listed})
        elif one is not None:
            self._answer(one)
        else:
            self._refuse(_unknown(path, ("/v1/embeddings", "/v1/chat/completions"), "POST"))

    def do_HEAD(self) -> None:
        """As GET, without the body."""
        self.do_GET()

    def do_POST(self) -> None:
        """What the models do."""
        path = self.path.partition("?")[0]
        with self.server.place() as free:
            try:
                body = self._body()
                if not free:
                    raise Refused("too much to do at the moment, try again", code="overloaded", status=503)
                if path == "/v1/embeddings":
                    self._embeddings(body)
                elif path == "/v1/chat/completions":
                    self._chat(body)
                else:
                    raise _unknown(path, ("/health", "/v1/models"), "GET")
            except Refused as refusal:
                self._refuse(refusal)

    def _body(self) -> Any:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            raise Refused("the body's Content-Length must be given", status=411)
        if int(length) > LARGEST_BODY:
            self.close_connection = True
            raise Refused(f"the body is larger than {LARGEST_BODY} bytes", status=413)
        raw = self.rfile.read(int(length))
        try:
            body = json.loads(raw)
            # Half of a surrogate pair can be escaped in JSON, but is no text.
            json.dumps(body, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            raise Refused("the body is not JSON, or holds texts that are none") from None
        return body

    def _embeddings(self, body: Any) -> None:
        request = read_embedding(body)
        vectors, tokens = self.server.models.embed(request.texts)
        self._answer(embedding_document(vectors, encoded=request.encoded, tokens=tokens))

    def _chat(self, body: Any) -> None:
        request = read_chat(body)
        completion = Completion(self.server.models, request)
        if request.stream:
            self._stream(completion.chunks())
        else:
            self._answer(completion.document())

    def _answer(self, document: Any, status: int = HTTPStatus.OK) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.send_header("Retry-After", "1")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _stream(self, chunks: Iterator[dict[str, Any]]) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in chunks:
            self._event(json.dumps(chunk))
        self._event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, text: str) -> None:
        data = f"data: {text}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _refuse(self, refusal: Refused) -> None:
        self._answer(refusal.document(), refusal.status)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Not of looks at the health, which come every few seconds for as long as the job runs."""
        if getattr(self, "path", None) != "/health":  # a request that could not be read has none
            super().log_request(code, size)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class names it so
        """One line per request, without what was asked."""
        line = f"{self.address_string()} {format % arguments}"
        say("".join(char if char.isprintable() else "?" for char in line))


class Completion:
    """One answer to a chat request, as one document or in chunks."""

    def __init__(self, models: Models, request: ChatRequest) -> None:
        self._models = models
        self._request = request
        self._prompt = models.prompt_tokens(request)
        self._leaning = models.leaning(request)
        self._common = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": CHAT_MODEL,
            "system_fingerprint": models.fingerprint,
        }

    def _pieces(self, choice: int) -> Iterator[Piece]:
        return self._models.write(self._request, self._leaning, choice)

    def document(self) -> dict[str, Any]:
        """All choices at once."""
        choices, tokens = [], 0
        for index in range(self._request.choices):
            pieces = list(self._pieces(index))
            message = {"role": "assistant", "content": "".join(piece.text for piece in pieces), "refusal": None}
            last = pieces[-1]
            tokens += last.tokens
            choices.append({"index": index, "message": message, "logprobs": None, "finish_reason": last.reason})
        usage = usage_document(self._prompt, tokens)
        return {**self._common, "object": "chat.completion", "choices": choices, "usage": usage}

    def chunks(self) -> Iterator[dict[str, Any]]:
        """The choices one after the other, piece by piece; the tokens in a last chunk if asked for."""
        tokens = 0
        for index in range(self._request.choices):
            yield self._chunk(index, {"role": "assistant", "content": ""}, None)
            for piece in self._pieces(index):
                if piece.text:
                    yield self._chunk(index, {"content": piece.text}, None)
                if piece.reason is not None:
                    tokens += piece.tokens
                    yield self._chunk(index, {}, piece.reason)
        if self._request.stream_usage:
            usage = usage_document(self._prompt, tokens)
            yield {**self._common, "object": "chat.completion.chunk", "choices": [], "usage": usage}

    def _chunk(self, index: int, delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        more = {"usage": None} if self._request.stream_usage else {}
        return {**self._common, "object": "chat.completion.chunk", "choices": [choice], **more}


class Place:
    """One of the places for requests, while it is held; true if there was one."""

    def __init__(self, places: threading.Semaphore) -> None:
        self._places = places
        self._held = False

    def __enter__(self) -> bool:
        self._held = self._places.acquire(blocking=False)
        return self._held

    def __exit__(self, *_: object) -> None:
        if self._held:
            self._places.release()


class Service(ThreadingHTTPServer):
    """The server, with the models and the places for requests."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, models: Models) -> None:
        super().__init__(("", PORT), Handler)
        self.models = models
        self._places = threading.Semaphore(MOST_AT_ONCE)

    def place(self) -> Place:
        """A place for one request."""
        return Place(self._places)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nothing to tell; anything else is."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _unknown(path: str, others: tuple[str, ...], method: str) -> Refused:
    if path in others:
        return Refused(f"{path} is asked with {method}", status=405)
    return Refused(f"there is no {path} here", code="not_found", status=404)


def main() -> None:
    """Serve until told to stop."""
    began = time.perf_counter()
    models = Models(HERE)
    service = Service(models)
    # The first process of a container gets no signal that it does not ask for.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=service.shutdown).start())
    for model in models.listed():
        say(f"model: {model['id']}, {model['description']}")
    say(f"device: CPU; this image holds no GPU code. Loaded in {time.perf_counter() - began:.2f} s")
    say(f"serving on port {PORT}")
    service.serve_forever()
    say("told to stop: done")


if __name__ == "__main__":
    main()
