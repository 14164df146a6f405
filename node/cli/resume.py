"""`gpunode resume`: take jobs again."""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli.control import act
from node.cli.options import JsonOption, LaneOption, SettingsOption


def resume(
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Also take over a queue place or run that the journal did not ask for.")
    ] = False,
    lane: LaneOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take jobs again after `drain` or `pause`.

    A degraded lane is checked anew.

    JSON: `lanes` (`lane`, `node`, `market`, `phase`, `reason`, `since` ...) as they then are.
    """
    act(settings, lambda client: client.adopt(lane) if adopt else client.resume(lane), as_json)
