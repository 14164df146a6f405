"""Lanes of a group: a GPU keeps its name and its account, whatever comes and goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from node.agent.lane_groups import require_no_shared_part, with_group_lanes
from node.errors import SettingsError
from node.lane_groups import FILE, grown, read_places, with_lanes, write_places
from node.records import Gpu
from node.settings import Settings
from node.settings_source import load_settings

MARKET = "7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41"


def settings(
    folder: Path, *groups: dict[str, Any], lanes: list[dict[str, Any]] | None = None, gpus: int = 1
) -> Settings:
    file = folder / "node.yaml"
    tree = {
        "cluster": "localnet",
        "host": {"country": "NL"},
        "gpu": {"provider": "simulated", "simulated": gpus},
        "paths": {"data": str(folder / "data")},
        "lanes": lanes or [],
        "lane_groups": [{"wallet": "seed.txt", "market": MARKET, **group} for group in groups],
    }
    file.write_text(json.dumps(tree))
    return load_settings(file, environment={})


def lanes_of(one: Settings) -> dict[str, tuple[str, ...]]:
    return {lane.name: tuple(lane.gpus) for lane in one.lanes}


def test_a_new_gpu_changes_no_other_lane(tmp_path: Path) -> None:
    one = settings(tmp_path, {"name": "gpu"})
    first = grown(one, ["b", "c"], {})
    assert first == {"gpu": {"b": 0, "c": 1}}
    # One came in an earlier slot, and one is gone.
    second = grown(one, ["a", "c"], first)
    assert second == {"gpu": {"b": 0, "c": 1, "a": 2}}
    write_places(one.locations.data, second)
    again = settings(tmp_path, {"name": "gpu"})
    assert lanes_of(again) == {"gpu-0": ("b",), "gpu-1": ("c",), "gpu-2": ("a",)}
    assert {lane.account for lane in again.lanes} == {0, 1, 2}
    assert again.lanes[0].wallet == tmp_path / "seed.txt"
    # What was made of groups is theirs still: reading them again takes nothing from them.
    assert grown(again, ["a", "b", "c"], second) == second
    assert with_lanes(again, second) == again


def test_what_others_name_is_not_taken(tmp_path: Path) -> None:
    own = {"name": "mine", "wallet": "seed.txt", "account": 1, "market": MARKET, "gpus": ["a"]}
    one = settings(tmp_path, {"name": "x"}, {"name": "y", "gpus": ["d"]}, lanes=[own])
    assert grown(one, ["a", "b", "c", "d"], {}) == {"x": {"b": 0, "c": 2}, "y": {"d": 3}}


def test_ranges_of_a_seed_end(tmp_path: Path) -> None:
    one = settings(tmp_path, {"first_account": 254})
    assert grown(one, ["a", "b"], {}) == {"gpu": {"a": 254, "b": 255}}
    with pytest.raises(SettingsError, match="no account left"):
        grown(one, ["a", "b", "c"], {})


@pytest.mark.parametrize(
    "text", ["", "{", "{}", '{"groups": 1}', '{"groups": {"gpu": {"a": -1}}}', '{"groups": {"gpu": {"a": "1"}}}']
)
def test_a_damaged_file_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(SettingsError, match="damaged"):
        read_places(tmp_path)


def test_neither_lanes_nor_groups(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="name at least one"):
        settings(tmp_path)


async def test_the_agent_makes_one_lane_for_each_gpu(tmp_path: Path) -> None:
    made = await with_group_lanes(settings(tmp_path, {}, gpus=3))
    assert [lane.name for lane in made.lanes] == ["gpu-0", "gpu-1", "gpu-2"]
    more = await with_group_lanes(settings(tmp_path, {}, gpus=64))
    assert more.lanes[:3] == made.lanes
    assert len({lane.gpus for lane in more.lanes}) == len({lane.account for lane in more.lanes}) == 64


def test_a_mig_device_and_its_whole_are_one_gpu(tmp_path: Path) -> None:
    def lane(name: str, *gpus: str) -> dict[str, Any]:
        return {"name": name, "wallet": f"{name}.json", "market": MARKET, "gpus": list(gpus)}

    whole = Gpu("nvidia", 0, "GPU-1", "A100", None, None, None, None, mig=True)
    parts = [Gpu("nvidia", i, f"MIG-{i}", "A100", None, None, None, None, parent="GPU-1") for i in (1, 2)]
    apart = settings(tmp_path, lanes=[lane("a", "MIG-1"), lane("b", "MIG-2")])
    require_no_shared_part(apart.lanes, (whole, *parts))
    shared = settings(tmp_path, lanes=[lane("a", "GPU-1"), lane("b", "MIG-2")])
    with pytest.raises(SettingsError, match="b has MIG device MIG-2, which is a part of GPU GPU-1 of lane a"):
        require_no_shared_part(shared.lanes, (whole, *parts))
