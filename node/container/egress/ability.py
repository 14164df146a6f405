"""Whether this user could keep the packet filter in place at all, for whoever writes a settings file."""

from __future__ import annotations

from node.container.egress.nft import Nft
from node.errors import FilterError


def why_not(nft: Nft | None = None) -> str:
    """Why the packet filter cannot be seen to by this user on this host; empty: it can. Changes nothing."""
    try:
        (nft or Nft()).tables()
    except FilterError as error:
        return error.message
    return ""
