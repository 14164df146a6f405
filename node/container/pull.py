"""Image pulls: the engine's progress lines added up, its error lines made errors."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from node.container.engine import PullProgress
from node.container.reference import is_reference, split_reference
from node.container.registry_auth import auth_headers, discreet
from node.container.transport import EngineTransport, json_lines
from node.errors import EngineRejected, EngineUnavailable, ImagePullFailed
from node.logins import DockerLogin

QUIET_LIMIT = 600.0
"""Seconds without any progress before a pull counts as failed (unpacking a large layer is silent for a while)."""

_DONE = frozenset({"Pull complete", "Already exists"})
_FETCHED = frozenset({"Download complete", "Verifying Checksum", "Extracting"})
_STATUS = re.compile(r"\b(?:HTTP code|status code|response status code)\D{0,3}(\d{3})\b|\b([45]\d\d) [A-Z][a-z]")


class PullTally:
    """Adds up the layers of one pull."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._layers: dict[str, tuple[int, int, bool]] = {}

    def add(self, line: dict[str, Any]) -> PullProgress | None:
        """Take one progress line; the new sum, or None if the line says nothing of a layer."""
        layer, status = line.get("id"), line.get("status")
        if not isinstance(layer, str) or not isinstance(status, str) or status.startswith("Pulling from"):
            return None
        done, total, complete = self._layers.get(layer, (0, 0, False))
        detail = line.get("progressDetail")
        if status == "Downloading" and isinstance(detail, dict):
            total = max(total, _count(detail.get("total")))
            done = min(_count(detail.get("current")), total)
        elif status in _FETCHED:
            done = total
        elif status in _DONE:
            done, complete = total, True
        self._layers[layer] = (done, total, complete)
        return self.progress()

    def progress(self) -> PullProgress:
        """The sum so far."""
        layers = self._layers.values()
        return PullProgress(
            image=self._image,
            layers_done=sum(complete for _, _, complete in layers),
            layers_total=len(self._layers),
            bytes_done=sum(done for done, _, _ in layers),
            bytes_total=sum(total for _, total, _ in layers),
        )


async def pull_image(
    transport: EngineTransport,
    prefix: str,
    reference: str,
    on_progress: Callable[[PullProgress], None],
    login: DockerLogin | None = None,
) -> None:
    """Pull `reference` through the engine API under `prefix`; raises ImagePullFailed or EngineUnavailable."""
    try:
        await _pull(transport, prefix, reference, on_progress, auth_headers(login))
    except ImagePullFailed as error:
        if login is None:
            raise
        raise discreet(reference, error) from None


async def _pull(
    transport: EngineTransport,
    prefix: str,
    reference: str,
    on_progress: Callable[[PullProgress], None],
    headers: Mapping[str, str],
) -> None:
    if not is_reference(reference):
        raise failed(reference, "invalid reference format", 400)
    repository, tag = split_reference(reference)
    params = {"fromImage": repository, "tag": tag}
    try:
        async with transport.stream(
            "POST", f"{prefix}/images/create", params, quiet=QUIET_LIMIT, headers=headers
        ) as chunks:
            await _consume(reference, json_lines(chunks), on_progress)
    except EngineRejected as error:
        raise failed(reference, error.message, error.status) from error
    except EngineUnavailable as error:
        if "ReadTimeout" in type(error.__cause__).__name__:
            raise failed(reference, f"no progress for {QUIET_LIMIT:.0f} s", None) from error
        raise


async def _consume(
    reference: str, lines: AsyncIterator[dict[str, Any]], on_progress: Callable[[PullProgress], None]
) -> None:
    tally = PullTally(reference)
    async for line in lines:
        detail = line.get("errorDetail")
        if "error" in line or detail:
            message = str(line.get("error") or (detail or {}).get("message") or "no reason given")
            code = detail.get("code") if isinstance(detail, dict) else None
            raise failed(reference, message, code if isinstance(code, int) else None)
        progress = tally.add(line)
        if progress is not None:
            on_progress(progress)


def failed(reference: str, reason: str, status: int | None) -> ImagePullFailed:
    """The error for an image that cannot be had; the status in the text counts where the engine gave none."""
    if status is None or status < 400:
        match = _STATUS.search(reason)
        status = int(match.group(1) or match.group(2)) if match else None
    lower = reason.lower()
    if "invalid reference" in lower:
        hint = "check how the image's name is written"
    elif "not found" in lower or "manifest unknown" in lower or "access denied" in lower:
        hint = "check the image's name and tag, and that it is public"
    elif "no such host" in lower or "dial tcp" in lower or "timeout" in lower or "connection" in lower:
        hint = "check this host's network and DNS: the registry could not be reached"
    elif "no space left" in lower:
        hint = "free disk space on the engine's data folder"
    elif "toomanyrequests" in lower or "rate limit" in lower:
        hint = "the registry limits pulls: log the engine in or wait"
    else:
        hint = "try `docker pull` of the same image by hand"
    return ImagePullFailed(f"image {reference} cannot be pulled: {reason}", status=status, hint=hint)


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
