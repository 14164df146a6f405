"""Which port of a container a service's text means."""

from __future__ import annotations

import re

_PORT = re.compile(r"([0-9]{1,5})(?:-[0-9]{1,5})?", re.ASCII)


def served_port(text: str) -> int | None:
    """The port, of a range its first; None where it names none that can exist."""
    found = _PORT.fullmatch(text.strip())
    port = int(found[1]) if found else 0
    return port if 0 < port < 65_536 else None
