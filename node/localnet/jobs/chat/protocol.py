"""Requests and answers as OpenAI's API has them: what is understood of them, and what is refused."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHAT_MODEL = "pydoc-ngram"
EMBEDDING_MODEL = "all-MiniLM-L6-v2"
DIMENSIONS = 384
ROLES = ("system", "developer", "user", "assistant", "tool")
MOST_INPUTS = 256
MOST_MESSAGES = 256
MOST_CHOICES = 8
MOST_TOKENS = 2048
USUAL_TOKENS = 256
MOST_STOPS = 4


class Refused(Exception):
    """A request that is not answered, with what the client is told."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message, self.param, self.code, self.status = message, param, code, status

    def document(self) -> dict[str, Any]:
        """The body of the error's answer."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


@dataclass(frozen=True)
class ChatRequest:
    """A request for a completion; `messages` are (role, text)."""

    messages: tuple[tuple[str, str], ...]
    tokens: int
    temperature: float
    top_p: float
    seed: int | None
    stops: tuple[str, ...]
    choices: int
    stream: bool
    stream_usage: bool


@dataclass(frozen=True)
class EmbeddingRequest:
    """A request for vectors; `encoded` asks for base64 instead of numbers."""

    texts: tuple[str, ...]
    encoded: bool


def read_chat(body: Any) -> ChatRequest:
    """A chat request. Raises Refused."""
    fields = _fields(body, CHAT_MODEL)
    for name in ("tools", "functions", "logprobs"):
        if fields.get(name):
            raise Refused(f"{CHAT_MODEL} has no {name}", param=name, code="unsupported_parameter")
    if fields.get("response_format") not in (None, {"type": "text"}):
        raise Refused(f"{CHAT_MODEL} answers in text only", param="response_format", code="unsupported_value")
    newer = fields.get("max_completion_tokens")
    name = "max_tokens" if newer is None else "max_completion_tokens"
    options = fields.get("stream_options") or {}
    return ChatRequest(
        messages=_messages(fields.get("messages")),
        tokens=_whole(fields, name, USUAL_TOKENS, 1, MOST_TOKENS),
        temperature=_number(fields, "temperature", 1.0, 0.0, 2.0),
        top_p=_number(fields, "top_p", 1.0, 0.0, 1.0),
        seed=None if fields.get("seed") is None else _whole(fields, "seed", 0, 0, 2**63 - 1),
        stops=_stops(fields.get("stop")),
        choices=_whole(fields, "n", 1, 1, MOST_CHOICES),
        stream=bool(fields.get("stream")),
        stream_usage=isinstance(options, dict) and bool(options.get("include_usage")),
    )


def read_embedding(body: Any) -> EmbeddingRequest:
    """An embedding request. Raises Refused."""
    fields = _fields(body, EMBEDDING_MODEL)
    given = fields.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts:
        raise Refused("input must be a text or a list of texts", param="input")
    if len(texts) > MOST_INPUTS:
        raise Refused(f"input has {len(texts)} texts; at most {MOST_INPUTS} go together", param="input")
    if not all(isinstance(text, str) and text for text in texts):
        raise Refused("input must hold texts that are not empty; token numbers are not understood", param="input")
    if fields.get("dimensions") not in (None, DIMENSIONS):
        raise Refused(f"{EMBEDDING_MODEL} has {DIMENSIONS} dimensions and no others", param="dimensions")
    form = fields.get("encoding_format") or "float"
    if form not in ("float", "base64"):
        raise Refused("encoding_format must be float or base64", param="encoding_format")
    return EmbeddingRequest(tuple(texts), form == "base64")


def embedding_document(vectors: NDArray[np.float32], *, encoded: bool, tokens: int) -> dict[str, Any]:
    """The answer with one vector per text."""
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector.astype("<f4").tobytes()).decode() if encoded else vector.tolist(),
        }
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": EMBEDDING_MODEL, "usage": usage}


def usage_document(prompt: int, completion: int) -> dict[str, int]:
    """Tokens of a chat."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _fields(body: Any, model: str) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Refused("the body must be a JSON object")
    wanted = body.get("model")
    if not isinstance(wanted, str):
        raise Refused("model must be named", param="model")
    if wanted != model:
        told = f"the model {wanted!r} does not exist here, or does something else; this is answered by {model}"
        raise Refused(told, param="model", code="model_not_found", status=404)
    return body


def _messages(given: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(given, list) or not given:
        raise Refused("messages must be a list with at least one message", param="messages")
    if len(given) > MOST_MESSAGES:
        raise Refused(f"{len(given)} messages; at most {MOST_MESSAGES} are read", param="messages")
    return tuple(_message(message, f"messages[{number}]") for number, message in enumerate(given))


def _message(given: Any, where: str) -> tuple[str, str]:
    if not isinstance(given, dict) or given.get("role") not in ROLES:
        raise Refused(f"{where} must have a role, one of {', '.join(ROLES)}", param=where)
    content = given.get("content")
    if isinstance(content, str):
        return given["role"], content
    if content is None and given["role"] == "assistant":
        return given["role"], ""
    if isinstance(content, list) and all(_is_text(part) for part in content):
        return given["role"], "".join(part["text"] for part in content)
    raise Refused(f"{where}.content must be a text, or parts of type text", param=where)


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _stops(given: Any) -> tuple[str, ...]:
    stops: Sequence[Any] = [] if given is None else [given] if isinstance(given, str) else given
    if not isinstance(stops, list) or len(stops) > MOST_STOPS or not all(isinstance(s, str) and s for s in stops):
        raise Refused(f"stop must be a text or at most {MOST_STOPS} of them", param="stop")
    return tuple(stops)


def _number(fields: dict[str, Any], name: str, usual: float, least: float, most: float) -> float:
    given = fields.get(name)
    if given is None:
        return usual
    if isinstance(given, bool) or not isinstance(given, int | float) or not least <= given <= most:
        raise Refused(f"{name} must be a number from {least:g} to {most:g}", param=name)
    return float(given)


def _whole(fields: dict[str, Any], name: str, usual: int, least: int, most: int) -> int:
    given = fields.get(name)
    if given is None:
        return usual
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
        raise Refused(f"{name} must be a whole number from {least} to {most}", param=name)
    return given
