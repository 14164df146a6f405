"""The packet filter's text and settings, without a kernel."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from node.container.egress import bridges, ranges
from node.container.egress.ruleset import Rules
from node.errors import FilterError
from node.job.plan import network_name
from node.records import Address, Egress, NetworkUse
from node.settings import Settings
from node.settings_network import NetworkSettings, parse_place

ROUTES = """Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	0101A8C0	0003	0	0	0	00000000	0	0	0
tun0	00000000	00000000	0001	0	0	0	00000080	0	0	0
eth0	0001A8C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
eth1	20450251	00000000	0001	0	0	0	F0FFFFFF	0	0	0
tun0	00001B5B	0500080A	0003	0	0	0	0000FFFF	0	0	0
gpn0a	0000A85D	00000000	0001	0	0	0	0000FFFF	0	0	0
lo	00004E5D	00000000	0201	0	0	0	0000FFFF	0	0	0
"""


@given(st.ip_addresses(v=4))
def test_every_address_that_is_not_public_is_closed(address: ipaddress.IPv4Address) -> None:
    closed = any(address in network for network in ranges.closed_networks())
    # Python knows the registry too; beyond it, multicast and what clouds keep at public addresses are closed.
    assert closed or (address.is_global and not address.is_multicast)


@pytest.mark.parametrize("text", [text for text, _ in ranges.CLOSED])
def test_closed_ranges_are_not_public(text: str) -> None:
    network = ipaddress.IPv4Network(text)
    special = {"168.63.129.16/32", "192.88.99.0/24", "224.0.0.0/4"}
    assert text in special or not network.is_global


def test_routes_of_the_host_are_closed(tmp_path: Path) -> None:
    """Public networks that the host stands in or tunnels to; not the default route, not jobs', not what is closed."""
    file = tmp_path / "route"
    file.write_text(ROUTES)
    found = ranges.neighbours(bridges.JOB_PREFIX, file)
    assert [str(network) for network in found] == ["81.2.69.32/28", "91.27.0.0/16"]


def test_routes_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(FilterError, match="routes"):
        ranges.neighbours("gpn", tmp_path / "none")


def test_equal_rules_have_equal_texts_and_others_have_not() -> None:
    one, same = Rules(resolvers=("9.9.9.9",)), Rules(resolvers=("9.9.9.9",))
    other = Rules(resolvers=("9.9.9.9",), deny=(ipaddress.IPv4Network("5.5.5.0/24"),))
    assert one.table() == same.table()
    assert one.digest != other.digest
    assert f"sha256:{other.digest[:32]}" in other.table()


def test_one_transaction_whether_the_table_is_there_or_not() -> None:
    lines = Rules().script().splitlines()
    assert lines[:3] == ["add table inet gpunode", "delete table inet gpunode", "table inet gpunode {"]
    assert "flush" not in Rules().script()


@given(st.text(alphabet="123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", min_size=32, max_size=44))
def test_bridges_tell_what_a_job_may_reach(job: str) -> None:
    network = network_name(Address(job))
    names = {egress: bridges.bridge_name(network, egress) for egress in Egress}
    assert names[Egress.OPEN] == network
    assert all(len(name) <= 15 and name.startswith(bridges.JOB_PREFIX) for name in names.values())
    for prefix, owner in ((bridges.SEALED_PREFIX, Egress.NONE), (bridges.LISTED_PREFIX, Egress.LIST)):
        assert [egress for egress, name in names.items() if name.startswith(prefix)] == [owner]


def test_what_crossed_a_bridge(tmp_path: Path) -> None:
    file = tmp_path / "dev"
    header = "Inter-|   Receive  |  Transmit\n face |bytes    packets\n"
    file.write_text(
        f"{header}gpn01:     984      18    0    0    0     0          0         0      830  9 0 0 0 0 0 0\n"
    )
    assert bridges.network_use("gpn01", file) == NetworkUse(received=830, sent=984)
    assert bridges.network_use("gpn0", file) is None
    assert bridges.network_use("gpn01", tmp_path / "none") is None


@pytest.mark.parametrize(
    ("text", "place", "port"),
    [
        ("93.184.216.0/24", ipaddress.IPv4Network("93.184.216.0/24"), None),
        ("1.2.3.4:443", ipaddress.IPv4Network("1.2.3.4/32"), 443),
        ("Example.ORG:80", "example.org", 80),
        ("a-b.example.org", "a-b.example.org", None),
    ],
)
def test_places(text: str, place: object, port: int | None) -> None:
    assert parse_place(text) == (place, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.2.3.4/8",
        "1.2.3",
        "host:0",
        "example.org:65536",
        "example.org:x",
        "localhost",
        "a b.org",
        "::1",
        "x.org; drop",
        "1.2.3.4 } accept",
        "-a.org",
        "1.2.3.4:\N{ARABIC-INDIC DIGIT FOUR}",
        "a.org:",
        "a" * 64 + ".org",
    ],
)
def test_places_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        parse_place(text)


def test_filter_off_is_a_word_also_where_yaml_reads_a_truth() -> None:
    assert NetworkSettings.model_validate({"filter": False}).filter == "off"
    with pytest.raises(ValidationError):
        NetworkSettings.model_validate({"filter": True})


def test_settings_that_could_not_work_are_refused() -> None:
    with pytest.raises(ValidationError, match="filter is off"):
        NetworkSettings.model_validate({"filter": "off", "egress": "list"})
    for resolver in ("192.168.1.1", "127.0.0.1", "224.0.0.1"):
        with pytest.raises(ValidationError, match="not public"):
            NetworkSettings.model_validate({"resolvers": [resolver]})
        NetworkSettings.model_validate({"filter": "off", "resolvers": [resolver]})
    with pytest.raises(ValidationError):
        NetworkSettings.model_validate({"resolvers": ["dns.example"]})


def test_a_rule_that_only_the_packet_filter_could_keep() -> None:
    tree = {
        "cluster": "localnet",
        "host": {"country": "NL"},
        "lanes": [{"wallet": "w.json", "market": "11111111111111111111111111111111"}],
        "policy": {"isolation": [{"egress": "list"}]},
    }
    Settings.model_validate(tree)
    with pytest.raises(ValidationError, match=r"policy\.isolation"):
        Settings.model_validate(tree | {"network": {"filter": "off"}})
