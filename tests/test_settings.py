"""The settings tree: defaults, weight of sources, and messages that name file, key, value and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import SettingsError
from node.settings import Settings
from node.settings_section import GIB, parse_size
from node.settings_source import load_settings

EXAMPLE = Path(__file__).parents[1] / "node.example.yaml"
MARKET = "7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41"


def load(**overrides: Any) -> Settings:
    return load_settings(EXAMPLE, environment={}, overrides=overrides)


def test_example_names_every_setting_with_its_default() -> None:
    """The example is documentation: a key it lacks, or a default it misstates, is a bug."""
    example = load_settings(EXAMPLE, environment={})
    least = load_settings(
        None,
        environment={},
        overrides={
            "cluster": "localnet",
            "host.country": "NL",
            "lanes.0.wallet": str(example.lanes[0].wallet),
            "lanes.0.market": MARKET,
        },
    )
    shown, default = example.model_dump(), least.model_dump()
    shown.pop("content"), default.pop("content")
    assert shown == default
    text = EXAMPLE.read_text()

    def walk(model: type[Any]) -> None:
        for name, field in model.model_fields.items():
            assert f"{name}:" in text, f"{name} is not in the example"
            if isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields"):
                walk(field.annotation)

    walk(Settings)


def test_environment_outweighs_file_and_overrides_outweigh_environment() -> None:
    environment = {
        "GPUNODE_HOST__COUNTRY": "us",
        "GPUNODE_LANES__0__MARKET": MARKET[::-1].replace("0", "1"),
        "GPUNODE_RPC__TIMEOUT": "3",
    }
    settings = load_settings(
        EXAMPLE, environment=environment | {"GPUNODE_LANES__0__MARKET": MARKET}, overrides={"rpc.timeout": 4}
    )
    assert (settings.host.country, settings.host.country_number) == ("US", 840)
    assert settings.rpc.timeout == 4


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text(EXAMPLE.read_text())
    assert load_settings(file, environment={}).lanes[0].wallet == tmp_path / "keys/main.json"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"host.country": "XX"}, "host.country: 'XX': must be an ISO 3166-1"),
        ({"lanes.0.market": "abc"}, "lanes.0.market: 'abc': must be a Solana address"),
        ({"foo": 1}, "foo: no such setting"),
        ({"rpc.foo": 1}, "rpc.foo: no such setting"),
        ({"limits.memory": "9 zb"}, "limits.memory: '9 zb': must be a number of bytes"),
        ({"cluster": "main"}, "cluster: 'main': Input should be 'localnet', 'devnet' or 'mainnet'"),
        ({"rpc.urls": ["ftp://x"]}, "rpc.urls: ['ftp://x']: must be http"),
        ({"lanes.0.gpus": "one"}, "lanes.0.gpus: 'one': Input should be 'all'"),
        ({"limits.pids": 0}, "limits.pids: 0: Input should be greater than 0"),
    ],
)
def test_a_wrong_setting_is_one_line_naming_file_key_value_and_what_is_allowed(
    overrides: dict[str, Any], expected: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(**overrides)
    assert f"{EXAMPLE}: {expected}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a: [", "not valid YAML"), ("- 1", "must hold keys and values"), ("", "cluster: is required")],
)
def test_a_broken_file_is_one_line(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "node.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=expected):
        load_settings(file, environment={})


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path / "none.yaml", environment={})
    assert "gpunode init" in caught.value.hint


def two(**second: Any) -> Settings:
    """Settings of two lanes, of which the first has GPU-a."""
    lane = {"name": "two", "wallet": "other.json", "market": MARKET, "gpus": ["GPU-b"], **second}
    return load(**{"lanes.0.gpus": ["GPU-a", "MIG-1"], "lanes.1": lane})


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({"wallet": load().lanes[0].wallet}, "main and two use the same wallet"),
        ({"wallet": "keys/../keys/main.json", "account": 0}, None),
        ({"name": "main"}, "two lanes have the same name: main"),
        ({"gpus": ["GPU-b", "gpu-A"]}, "main and two share GPU gpu-A"),
        ({"gpus": ["MIG-1"]}, "main and two share GPU MIG-1"),
        ({"gpus": "all"}, "lane two has all GPUs, and there are other lanes"),
        ({}, None),
    ],
)
def test_lanes_may_share_no_key_name_or_gpu(second: dict[str, Any], said: str | None) -> None:
    if said is None:
        assert len(two(**second).lanes) == 2
        return
    with pytest.raises(SettingsError, match=said):
        two(**second)


@given(st.integers(0, 10**6))
def test_sizes(number: int) -> None:
    assert parse_size(f"{number} GiB") == parse_size(f"{number}gib") == number * GIB
    assert parse_size(number) == parse_size(str(number)) == number


@pytest.mark.parametrize("value", ["-1", -1, "9" * 400, "1e308 GiB", "nan", "inf", "8 bits", 1 << 63, True])
def test_sizes_that_are_none(value: object) -> None:
    with pytest.raises(ValueError, match="must be a number of bytes"):
        parse_size(value)  # type: ignore[arg-type]
