"""`gpunode pause`: take no jobs for a while."""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli import amounts
from node.cli.control import act
from node.cli.options import JsonOption, LaneOption, SettingsOption


def pause(
    length: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", help="Join again after 90s, 15m, 2h ...; default: until `resume`."),
    ] = None,
    lane: LaneOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Finish the job at hand and take no more for a while.

    JSON: `lanes` (`lane`, `node`, `market`, `phase`, `reason`, `since` ...) as they then are.
    """
    seconds = None if length is None else float(amounts.parse_duration(length))
    act(settings, lambda client: client.pause(lane, seconds), as_json)
