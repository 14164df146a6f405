"""What a job may reach, and who sees to it: the settings `network`."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from node.records import Egress
from node.settings_section import Section

_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


class NetworkSettings(Section):
    """How a job is kept away from this host and from the network that it stands in."""

    filter: Literal["required", "off"] = "required"
    """`required`: no job without the packet filter in place. `off`: jobs reach whatever this host reaches."""
    egress: Egress = Egress.OPEN
    """`open`: the internet, and never the home; `none`: nothing; `list`: what `allow` names."""
    allow: tuple[str, ...] = ()
    """With `list`: networks, addresses or names, each with a port where only that one is meant."""
    deny: tuple[str, ...] = ()
    """Public networks that no job may reach, besides those that this host is in or has routes to."""
    resolvers: tuple[str, ...] = Field(default=("9.9.9.9", "1.1.1.1"), min_length=1, max_length=3)
    """Public name servers (IPv4) that jobs ask."""
    connections: int = Field(default=8192, gt=0, le=1_000_000)
    """Connections to the outside that a job may have at once: this host's table of connections serves others too."""

    @field_validator("filter", mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return "off" if value is False else value  # YAML reads a bare `off` as false

    @field_validator("allow")
    @classmethod
    def _places(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            parse_place(value)
        return values

    @field_validator("deny")
    @classmethod
    def _networks(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            _network(value)
        return values

    @field_validator("resolvers")
    @classmethod
    def _addresses(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            try:
                ipaddress.IPv4Address(value)
            except ValueError:
                raise ValueError("must be IPv4 addresses") from None
        return values

    @model_validator(mode="after")
    def _fits_together(self) -> NetworkSettings:
        if self.filter == "off":
            if self.egress is Egress.LIST:
                raise ValueError("egress: list is the packet filter's work, and filter is off")
            return self
        for value in self.resolvers:
            address = ipaddress.IPv4Address(value)
            if not address.is_global or address.is_multicast:
                raise ValueError(f"resolvers: {value} is not public, and jobs reach public addresses only")
        return self


def parse_place(text: str) -> tuple[ipaddress.IPv4Network | str, int | None]:
    """A network or a name, and the port where one is named: `203.0.113.0/24`, `203.0.113.7:443`, `example.org:443`.
    Raises ValueError."""
    place, colon, digits = text.partition(":")
    port = int(digits) if digits.isascii() and digits.isdigit() else None
    if colon and (port is None or not 0 < port < 65_536):
        raise ValueError("must be networks, addresses or names, with a port from 1 to 65535 after a colon or without")
    if _NAME.fullmatch(place.lower()):
        return place.lower(), port
    return _network(place), port


def _network(text: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError:
        raise ValueError("must be IPv4 networks such as 203.0.113.0/24, or addresses") from None
