"""`gpunode drain`: finish the job at hand and take no more."""

from __future__ import annotations

from node.cli.control import act
from node.cli.options import JsonOption, LaneOption, SettingsOption


def drain(lane: LaneOption = None, settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Finish the job at hand and take no more, until `resume`.

    JSON: `lanes` (`lane`, `node`, `market`, `phase`, `reason`, `since` ...) as they then are.
    """
    act(settings, lambda client: client.drain(lane), as_json)
