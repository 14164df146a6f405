"""Settings of metrics: figures for a monitoring system that reads them over HTTP."""

from __future__ import annotations

import ipaddress

from pydantic import field_validator

from node.settings_section import Section


class MetricsSettings(Section):
    """Where figures are to be had in Prometheus' text format."""

    listen: str | None = None
    """`ADDRESS:PORT` of this machine, such as `127.0.0.1:9464`; null: nowhere. A loopback address, since nobody is
    asked who he is: another machine reads it through a proxy or tunnel of its operator's."""

    @field_validator("listen")
    @classmethod
    def _loopback(cls, value: str | None) -> str | None:
        if value is not None:
            address_of(value)
        return value


def address_of(text: str) -> tuple[str, int]:
    """Address and port. Raises ValueError, in words for whoever wrote it."""
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        raise ValueError("is ADDRESS:PORT, such as 127.0.0.1:9464") from None
    if not address.is_loopback:
        raise ValueError("must be an address of this machine alone, such as 127.0.0.1")
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535):
        raise ValueError("needs a port from 1 to 65535")
    return str(address), int(port)
