"""The compiled programs, their manifest, and their sources belong together."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from node.chain.clusters import DEVNET, MAINNET, IdSet
from node.errors import LocalnetError
from node.localnet import artefacts

CLUSTERS: tuple[IdSet, ...] = ("devnet", "mainnet")
ADDRESSES = (artefacts.PROGRAMS / "common" / "src" / "cluster.rs").read_text(encoding="utf-8")
MANIFEST = json.loads(artefacts.MANIFEST.read_text(encoding="utf-8"))


def constant(name: str, cluster: str = "") -> str:
    """An address compiled into the programs; those of a cluster follow its feature."""
    part = ADDRESSES.split(f'#[cfg(feature = "{cluster}")]')[1].split("#[cfg(")[0] if cluster else ADDRESSES
    found = re.search(rf'\b{name} = "(\w+)"', part)
    assert found, name
    return found[1]


def test_the_compiled_programs_were_built_from_these_sources() -> None:
    assert artefacts.source_hash() == artefacts.manifest_source_hash(), "run node/localnet/programs/build.sh"


def test_the_source_hash_is_what_the_build_script_computes(tmp_path: Path) -> None:
    script = (artefacts.PROGRAMS / "build.sh").read_text(encoding="utf-8")
    found = re.search(r"^sources=\$\((.*?)\)\n", script, re.DOTALL | re.MULTILINE)
    assert found
    shell = subprocess.run(["bash", "-c", found[1]], cwd=artefacts.PROGRAMS, capture_output=True, text=True, check=True)
    assert shell.stdout.strip() == artefacts.source_hash()


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_programs_load_with_address_and_hash(cluster: IdSet) -> None:
    programs = {program.name: program for program in artefacts.load_programs(cluster)}
    ids = MAINNET if cluster == "mainnet" else DEVNET
    assert {name: program.address for name, program in programs.items()} == {
        "jobs": ids.jobs,
        "nodes": ids.nodes,
        "staking": ids.staking,
        "rewards": ids.rewards,
    }
    for name, program in programs.items():
        assert program.sha256 == hashlib.sha256(program.elf).hexdigest() == MANIFEST["programs"][cluster][name]
        assert program.elf[:4] == b"\x7fELF"


def test_the_builds_differ_where_the_clusters_do() -> None:
    digests = MANIFEST["programs"]
    assert digests["devnet"]["jobs"] != digests["mainnet"]["jobs"]
    assert digests["devnet"]["staking"] != digests["mainnet"]["staking"]
    assert digests["devnet"]["rewards"] != digests["mainnet"]["rewards"]


def test_no_path_of_the_building_machine_is_in_a_program() -> None:
    for cluster in CLUSTERS:
        for program in artefacts.load_programs(cluster):
            assert not re.search(rb"/(?:home|root|work|Users|tmp)/", program.elf)


def test_addresses_in_the_programs() -> None:
    for ids in (DEVNET, MAINNET):
        assert constant("JOBS", ids.name) == ids.jobs
        assert constant("NOS", ids.name) == ids.nos_mint
    assert constant("NODES") == DEVNET.nodes
    assert constant("STAKING") == DEVNET.staking
    assert constant("REWARDS") == DEVNET.rewards
    assert constant("METAPLEX") == DEVNET.metadata


def test_the_administrators_keys_come_from_a_public_seed() -> None:
    assert constant("LOCAL_MARKET_ADMIN") == str(artefacts.market_admin().pubkey())
    assert constant("LOCAL_NETWORK_AUTHORITY") == str(artefacts.network_authority().pubkey())


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Compiled programs and manifest of our own, to spoil."""
    for cluster in CLUSTERS:
        (tmp_path / cluster).mkdir()
        for program in artefacts.load_programs(cluster):
            (tmp_path / cluster / f"{program.name}.so").write_bytes(program.elf)
    (tmp_path / "manifest.json").write_bytes(artefacts.MANIFEST.read_bytes())
    monkeypatch.setattr(artefacts, "COMPILED", tmp_path)
    monkeypatch.setattr(artefacts, "MANIFEST", tmp_path / "manifest.json")
    return tmp_path


def refused() -> LocalnetError:
    with pytest.raises(LocalnetError) as caught:
        artefacts.load_programs("devnet")
    assert "build.sh" in caught.value.hint
    return caught.value


def test_a_changed_program_is_refused(copy: Path) -> None:
    with (copy / "devnet" / "staking.so").open("ab") as file:
        file.write(b"\0")
    assert "staking.so" in refused().message
    assert artefacts.load_programs("mainnet")


def test_a_missing_program_is_refused(copy: Path) -> None:
    (copy / "devnet" / "jobs.so").unlink()
    assert "jobs.so" in refused().message


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"programs": {"devnet": 5}}'])
def test_a_broken_manifest_is_refused(copy: Path, manifest: str) -> None:
    (copy / "manifest.json").write_text(manifest, encoding="utf-8")
    assert "manifest" in refused().message
    with pytest.raises(LocalnetError):
        artefacts.manifest_source_hash()


def test_an_installed_package_has_no_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "compiled").mkdir()
    (tmp_path / "compiled" / "manifest.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(artefacts, "PROGRAMS", tmp_path)
    with pytest.raises(LocalnetError):
        artefacts.source_hash()
