"""How services of jobs, and the owner's API, are reached from outside: the settings `service`."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from node.settings_section import Section, Size, parse_size

DOMAINS = {"mainnet": "node.k8s.prd.nos.ci", "devnet": "node.k8s.dev.nos.ci", "localnet": "localhost"}
"""Below which services have their names, by cluster (Nosana node)."""
_DOMAIN = re.compile(r"(?=.{1,190}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


class FrpSettings(Section):
    """The tunnel by frp, which the network's clients expect."""

    binary: str = "frpc"
    """Program, by name or path; version 0.52 or newer."""
    image: str = ""
    """Image that holds it, to run it in a container instead of `binary`."""
    server: str = ""
    """Host name of the frp server; empty: the domain."""
    port: int = Field(default=7000, gt=0, lt=65_536)
    token_file: Path | None = None
    """File (mode 0600) with the server's token, where it asks for one."""


class ServiceSettings(Section):
    """Whether and how jobs may expose services."""

    tunnel: Literal["off", "direct", "frp"] = "off"
    """`direct`: this host's own proxy, for a public address and for a localnet; `frp`: through the network's server."""
    host: str = "127.0.0.1"
    """Address that the proxy listens on; another than this machine's own only with `direct`."""
    port: int = Field(default=5001, ge=0, lt=65_536)
    """0: any free one."""
    public: str | None = None
    """`https://DOMAIN[:PORT]` below which services are found; by default the cluster's."""
    frp: FrpSettings = FrpSettings()
    connections: int = Field(default=1024, gt=0, le=100_000)
    """Open at once, of all clients together."""
    per_service: int = Field(default=256, gt=0, le=100_000)
    per_client: int = Field(default=64, gt=0, le=100_000)
    """From one address outside this machine; a tunnel's clients come from this machine and are not counted so."""
    head: Size = "32 KiB"
    """Longest head of a request."""
    patience: float = Field(default=60.0, gt=0)
    """Seconds without progress after which a client that sends or reads too slowly is cut off."""

    @field_validator("tunnel", mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return "off" if value is False else value  # YAML reads a bare `off` as false

    @field_validator("host")
    @classmethod
    def _host(cls, value: str) -> str:
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            raise ValueError("must be an IP address such as 127.0.0.1 or 0.0.0.0") from None

    @field_validator("public")
    @classmethod
    def _public(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        try:
            port = parts.port
        except ValueError:
            port = -1
        whole = parts.scheme in ("http", "https") and not (parts.path.strip("/") or parts.query or parts.fragment)
        if not whole or port == -1 or "@" in parts.netloc or not _DOMAIN.fullmatch(parts.hostname or ""):
            raise ValueError("must be http:// or https:// and a domain, with a port or without")
        return value.rstrip("/").lower()

    @field_validator("head")
    @classmethod
    def _head(cls, value: Size) -> int:
        size = parse_size(value)
        if not 1024 <= size <= 1 << 20:
            raise ValueError("must be from 1 KiB to 1 MiB")
        return size

    @model_validator(mode="after")
    def _fits_together(self) -> ServiceSettings:
        if self.tunnel != "direct" and not ipaddress.ip_address(self.host).is_loopback:
            raise ValueError("host: only with tunnel: direct may it be another than this machine's own (127.0.0.1)")
        return self

    @property
    def head_bytes(self) -> int:
        """Longest head of a request, in bytes."""
        return parse_size(self.head)

    def public_url(self, cluster: str, port: int | None = None) -> str:
        """What every service's URL is made of: `scheme://domain[:port]`. `port`: the one listened on, where known."""
        if self.public is not None:
            return self.public
        if cluster == "localnet" and self.tunnel != "frp":
            return f"http://{DOMAINS[cluster]}:{port or self.port}"
        return f"https://{DOMAINS[cluster]}"

    def domain(self, cluster: str) -> str:
        """The domain below which services have their names, without a port."""
        return urlsplit(self.public_url(cluster)).hostname or ""
