"""Settings of what is brought to this host for jobs: images and remote data."""

from __future__ import annotations

from pydantic import Field

from node.settings_section import Section


class TransferSettings(Section):
    """How transfers of all lanes share the line."""

    parallel: int = Field(default=3, ge=1, le=64)
    """Image pulls and downloads at a time, over all lanes, which take turns. One that has lasted a minute no longer
    counts, so that a huge one keeps no small one waiting; with those, at most four times as many go on."""
