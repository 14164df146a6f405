"""Logging in at image registries with a job's own login, and saying nothing of it."""

from __future__ import annotations

import base64
import json

from node.errors import ImagePullFailed
from node.logins import DockerLogin

HEADER = "X-Registry-Auth"
_REFUSALS = ("unauthorized", "denied", "authentication required", "no basic auth credentials")


def auth_headers(login: DockerLogin | None) -> dict[str, str]:
    """What a pull sends along (Docker Engine API: base64url of JSON)."""
    if login is None:
        return {}
    body = {"username": login.username, "password": login.password}
    body |= {"email": login.email} if login.email else {}
    body |= {"serveraddress": login.server} if login.server else {}
    return {HEADER: base64.urlsafe_b64encode(json.dumps(body).encode("utf-8", "replace")).decode("ascii")}


def basic(login: DockerLogin) -> str:
    """The value of an Authorization header."""
    pair = f"{login.username}:{login.password}".encode("utf-8", "replace")
    return f"Basic {base64.b64encode(pair).decode('ascii')}"


def discreet(reference: str, error: ImagePullFailed) -> ImagePullFailed:
    """The error of a pull with a login, in words of our own: engines and registries repeat what they were told, the
    user's name for one, and a registry that wants to can repeat the password."""
    said, status = error.message.lower(), error.status
    if status in (401, 403) or any(word in said for word in _REFUSALS):
        # Engines call it an error of theirs (500), which would be worth another try.
        reason, status = "the registry does not accept the job's login for it", status if status == 403 else 401
    elif status == 404 or "not found" in said or "manifest unknown" in said:
        reason, status = "the registry does not know it", 404
    elif status == 429 or "toomanyrequests" in said:
        reason = "the registry limits pulls"
    elif "no space left" in said:
        reason = "this host's disk is full"
    elif any(word in said for word in ("no such host", "dial tcp", "timeout", "connection", "no progress")):
        reason = "the registry could not be reached"
    else:
        reason = "the registry or the engine refused"
    text = f"image {reference} cannot be pulled with the job's login: {reason}"
    return ImagePullFailed(text, status=status, hint="check the image's name and the login that the job gives")
