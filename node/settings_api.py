"""Whom the owner's API answers, and how much: the settings `api`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from node.settings_section import Section

LONGEST_MESSAGE = 256
"""Characters of one accepted message."""


class ApiSettings(Section):
    """What the owner of a job on this host may ask over the network."""

    auth: Literal["compatible", "bound"] = "compatible"
    """`compatible`: the messages that the network's clients sign. `bound`: only those that name the job, so that a
    captured header is useless for any other. Clients that sign a fixed text are then refused."""
    messages: tuple[str, ...] | Literal["any"] = ("Hello Nosana Node!", "NosanaApiAuthentication")
    """With `compatible`: texts that an owner may have signed, besides the job's address and its definition's CID;
    `any`: every text."""
    requests: float = Field(default=20.0, gt=0)
    """A second from one client in the long run; three times as many at once. All together: ten times as many."""
    streams: int = Field(default=32, gt=0)
    """Event streams and sockets that may be open for one job."""
    clients: int = Field(default=256, gt=0)
    """Requests, streams and sockets under way at once, for all jobs together."""

    @field_validator("messages", mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        if isinstance(value, str) and value != "any":
            raise ValueError("must be a list of texts, or the word any")
        return value

    @field_validator("messages")
    @classmethod
    def _texts(cls, value: tuple[str, ...] | Literal["any"]) -> tuple[str, ...] | Literal["any"]:
        for message in () if value == "any" else value:
            if not message or ":" in message or len(message) > LONGEST_MESSAGE:
                raise ValueError(f"must be texts without a colon, of at most {LONGEST_MESSAGE} characters")
        return value
