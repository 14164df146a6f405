"""Addresses for networks beyond those that the engine has pools for."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from docker.errors import APIError

from node.container.subnets import RESERVE, free_subnets, routes, with_addresses

ROUTES = """Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	0100A8C0	0003	0	0	100	00000000	0	0	0
eth0	0000A8C0	00000000	0001	0	0	100	00FFFFFF	0	0	0
vpn0	0000D50A	00000000	0001	0	0	0	00C0FFFF	0	0	0
down	0000000A	00000000	0000	0	0	0	000000FF	0	0	0
"""


def test_routes_of_the_kernel() -> None:
    assert [str(each) for each in routes(ROUTES)] == ["192.168.0.0/24", "10.213.0.0/18"]


def test_what_is_taken_is_left_alone() -> None:
    taken = [*routes(ROUTES), ipaddress.IPv4Network("10.213.64.64/26")]
    free = list(free_subnets(taken))
    assert [str(each) for each in free[:2]] == ["10.213.64.0/26", "10.213.64.128/26"]
    assert len(free) == 1024 - 256 - 1
    assert not list(free_subnets([RESERVE]))


class Engine:
    """Has no pool left, and somebody who takes a network at the same moment."""

    def __init__(self, errors: list[str]) -> None:
        self.errors = errors
        self.made: list[str | None] = []

    def create(self, **request: Any) -> None:
        pool = request.get("ipam")
        if self.errors:
            raise APIError("no", explanation=self.errors.pop(0))
        self.made.append(None if pool is None else pool["Config"][0]["Subnet"])

    def networks(self) -> list[dict[str, Any]]:
        return [{"IPAM": {"Config": [{"Subnet": "10.213.0.0/26"}, {"Subnet": "fd00::/64"}]}}, {"IPAM": None}]


@pytest.mark.parametrize(
    ("errors", "made"),
    [
        ([], None),
        (["could not find an available, non-overlapping IPv4 address pool among the defaults"], "10.213.0.64/26"),
        (["all predefined address pools have been fully subnetted"], "10.213.0.64/26"),
        (["all predefined address pools have been fully subnetted", "Pool overlaps with other one"], "10.213.0.128/26"),
    ],
)
def test_the_reserve_is_for_when_the_engine_has_none(errors: list[str], made: str | None) -> None:
    engine = Engine(errors)
    with_addresses(engine.create, engine.networks)
    assert engine.made == [made]


def test_other_errors_are_told() -> None:
    engine = Engine(["network a already exists"])
    with pytest.raises(APIError, match="already exists"):
        with_addresses(engine.create, engine.networks)
