"""Known escapes: the list, the order of versions, what is installed, and what follows."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from node.agent.escapes import software
from node.agent.escapes.catalog import GIVEN, Component, catalog, parse_catalog
from node.agent.escapes.gate import EscapeGate, Sources, hindered
from node.agent.escapes.judgement import Judgement, judge
from node.agent.escapes.report import rows
from node.agent.escapes.software import Installed, Machine, System, survey
from node.agent.escapes.versions import Version, is_package_version, package_key
from node.agent.isolation import relaxations
from node.agent.lane import Lane, LaneServices
from node.container.docker import DockerEngine
from node.container.engine import EngineInfo, EnginePart
from node.container.profile import create_request
from node.errors import EngineUnavailable, GpunodeError, LaneDegraded
from node.records import Gpu, HealthState, LanePhase
from node.settings import Settings
from node.settings_security import SecuritySettings
from tests.agent.clock import FakeClock
from tests.agent.doubles import GPU, MARKET
from tests.agent.world import World
from tests.container.operations import operation

NOWHERE = System()
BOOKWORM = System("debian", "12", "Debian GNU/Linux 12 (bookworm)")
REAL = replace(GPU, provider="nvidia", driver="580.159.03")
ENGINE = EngineInfo(
    name="docker",
    version="28.5.1",
    api_version="1.51",
    storage_driver="overlay2",
    cgroup_version="2",
    cpus=8,
    memory_bytes=1 << 36,
    runtimes=("runc",),
    security_options=(),
    root_dir="/var/lib/docker",
    parts=(
        EnginePart("Engine", "28.5.1", "f8215cc"),
        EnginePart("containerd", "v1.7.28", "b98a3aace656320842a23f4a392a33f46af97866"),
        EnginePart("runc", "1.3.3", "v1.3.3-0-gd842d771"),
    ),
)


def installed(component: str, version: str | None, package: str = "", fixes: frozenset[str] | None = None) -> Installed:
    return Installed(Component(component), None if version is None else Version(version), "a test", package, fixes)


def judged(*parts: Installed, system: System = NOWHERE, accept: frozenset[str] = frozenset()) -> tuple[Judgement, ...]:
    return judge(catalog(), parts, system, accept)


def blocking(*parts: Installed, system: System = NOWHERE) -> set[str]:
    return {entry.id for each in judged(*parts, system=system) for entry in each.blocking}


# --- the list ---


def test_the_list_says_what_the_advisories_say() -> None:
    known = catalog()
    fixed = {entry.id: [each.below for each in entry.affected] for entry in known.entries}
    assert fixed["CVE-2024-0132"] == ["1.16.2"]
    assert fixed["CVE-2025-23359"] == ["1.17.4"]
    assert fixed["CVE-2025-23266"] == fixed["CVE-2025-23267"] == ["1.17.8"]
    assert fixed["CVE-2024-21626"] == ["1.1.12"]
    assert fixed["CVE-2025-31133"] == ["1.2.8", "1.3.3", "1.4.0-rc.3"]
    assert all(entry.why and entry.sources and entry.title for entry in known.entries)
    assert known.date >= date(2026, 8, 4)


def test_what_an_escape_needs_is_what_containers_have_not() -> None:
    """Where the profile comes to give one of these, GIVEN has to say so, and the entries begin to block."""
    assert frozenset() == GIVEN
    request = create_request(operation("image:1", "node", ["a"]).container)
    config = request["HostConfig"]
    assert request["Tty"] is False  # console
    assert not {"Binds", "Mounts", "VolumesFrom"} & config.keys()  # shared-volume
    assert config["Privileged"] is False
    assert config["NetworkMode"].startswith("gpn")  # host-network
    assert not [name for name in dir(DockerEngine) if "archive" in name or "copy" in name]  # archive-copy
    assert {"CHOWN"} <= set(config["CapAdd"]) <= {
        "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "schema: 2",
        "schema: 1\ndate: 2026-01-01\nsources: []\nentries: []",
        "schema: 1\ndate: 2026-01-01\nsources: []\nentries: [{id: x}]",
        "a: &a [*a",
        "schema: 1\ndate: 2026-01-01\nsources: []\nentries:\n- {id: CVE-2024-0001, component: runc, title: t, "
        "severity: low, score: 1, why: w, sources: [s]}",
        "!!python/object/apply:os.system ['true']",
    ],
)
def test_a_broken_list_is_an_error_of_ours(text: str) -> None:
    with pytest.raises(GpunodeError, match="cannot be read"):
        parse_catalog(text)


# --- versions ---


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.17.7", "1.17.8"),
        ("1.9.0", "1.10.0"),
        ("1.0.0-rc6", "1.0.0-rc93"),
        ("1.0.0-rc93", "1.0.0"),
        ("1.4.0-rc.2", "1.4.0-rc.3"),
        ("v1.16.1", "1.16.2"),
        ("580.95.05", "580.126.09"),
        ("570.211.01", "580.65.06"),
        ("1.1.11", "1.1.12"),
    ],
)
def test_order_of_releases(older: str, newer: str) -> None:
    assert Version(older) < Version(newer)
    assert Version(newer) > Version(older)


@pytest.mark.parametrize(
    ("one", "same"), [("1.17", "1.17.0"), ("v1.1.5+ds1", "1.1.5"), ("1.17.8-1", "1.17.8"), ("2:1.2.3", "1.2.3")]
)
def test_what_a_packager_adds_does_not_count(one: str, same: str) -> None:
    assert Version(one) == Version(same)
    assert hash(Version(one)) == hash(Version(same))


@pytest.mark.parametrize("text", ["", "x", "-1", "unknown", "v", "1" * 5000, "1." * 99])
def test_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="is no version"):
        Version(text)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("1.1.5+ds1-1+deb12u1", True),
        ("1.3.3-0ubuntu1~22.04.2", True),
        ("1.6.20~ds1-1+deb12u3", True),
        ("v1.1.12-0-g51d5e946", False),
        ("05044ec0a9a75232cad458027ca83437aae3f4da", False),
        ("1.4.0-rc.2", False),
        ("1.3.3", False),
        ("", False),
    ],
)
def test_which_revisions_are_packages(text: str, is_one: bool) -> None:
    assert is_package_version(text) is is_one


NUMBERS = (
    "1.1.5+ds1-1+deb12u1", "1.1.5+ds1-1", "1.1.5+ds1-1+deb12u1+b2", "1.1.5+ds1-1~bpo11+1", "1.0.0~rc93+ds1-5+deb11u3",
    "1.1.7-0ubuntu1~22.04.2", "1.1.7-0ubuntu1~22.04.10", "2:1.0-1", "1.0", "1.0~", "1.0a", "1.0+", "1.0-0", "1.0-1.1",
)  # fmt: skip


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="no dpkg to compare with")
def test_order_of_packages_is_dpkg_s() -> None:
    for one, other in itertools.combinations(NUMBERS, 2):
        said = subprocess.run(["dpkg", "--compare-versions", one, "lt", other], check=False).returncode == 0
        assert (package_key(one) < package_key(other)) is said, (one, other)


@given(st.text(alphabet="0123456789.~+-:abcrv \n²٣", max_size=120))
def test_any_text_is_a_version_or_is_not(text: str) -> None:
    assert isinstance(package_key(text), tuple)
    is_package_version(text)
    try:
        version = Version(text)
    except ValueError:
        return
    assert version <= version
    assert judged(installed("runc", text)) == judged(installed("runc", text))


# --- what follows from a version ---


@pytest.mark.parametrize(
    ("version", "open_to"),
    [
        ("1.16.1", {"CVE-2024-0132", "CVE-2024-0133", "CVE-2024-0134", "CVE-2024-0135", "CVE-2025-23359"}),
        ("1.16.2", {"CVE-2024-0134", "CVE-2024-0135", "CVE-2025-23359"}),
        ("1.17.3", {"CVE-2025-23359"}),
        ("1.17.4", set()),
    ],
)
def test_toolkit(version: str, open_to: set[str]) -> None:
    later = {"CVE-2025-23266", "CVE-2025-23267", "CVE-2026-24260"}
    assert blocking(installed("toolkit", version)) == open_to | later


@pytest.mark.parametrize(("version", "count"), [("1.17.7", 3), ("1.17.8", 1), ("1.19.0", 1), ("1.19.1", 0), ("2.0", 0)])
def test_newer_toolkits(version: str, count: int) -> None:
    assert len(blocking(installed("toolkit", version))) == count


@pytest.mark.parametrize(
    ("version", "open_to"),
    [
        ("595.71.05", set()),
        ("600.10", set()),
        ("580.159.03", set()),
        ("535.309.01", set()),
        ("580.126.09", {"NVIDIA-5821"}),
        ("595.58.03", {"NVIDIA-5821"}),
        ("590.48.01", {"NVIDIA-5821"}),  # a branch between those with a fix has none
        ("570.211.01", {"NVIDIA-5821"}),
        ("575.64", {"NVIDIA-5821", "NVIDIA-5747", "NVIDIA-5703"}),
        ("580.95.05", {"NVIDIA-5821", "NVIDIA-5747"}),
        ("470.256.02", {"NVIDIA-5821", "NVIDIA-5747", "NVIDIA-5703", "NVIDIA-5630", "NVIDIA-5614"}),
    ],
)
def test_driver(version: str, open_to: set[str]) -> None:
    assert blocking(installed("driver", version)) == open_to


@pytest.mark.parametrize(
    ("version", "package", "open_to"),
    [
        ("1.1.11", "", {"CVE-2024-21626"}),
        ("1.1.12", "", set()),
        ("1.0.0-rc6", "", {"CVE-2019-5736"}),
        ("1.0.0-rc92", "", set()),
        ("1.1.5+ds1", "1.1.5+ds1-1+deb12u1", set()),
        ("1.1.5+ds1", "1.1.5+ds1-1+deb12u1+b1", set()),
        ("1.1.5+ds1", "1.1.5+ds1-1", {"CVE-2024-21626"}),
    ],
)
def test_runc_and_its_package_in_debian_12(version: str, package: str, open_to: set[str]) -> None:
    assert blocking(installed("runc", version, package), system=BOOKWORM) == open_to


def test_a_package_that_the_list_does_not_know_tells_by_its_changelog() -> None:
    elsewhere = System("linuxmint", "21", "")
    number = "1.1.5-3mint7"
    fixed = frozenset({"CVE-2024-21626"})
    assert blocking(installed("runc", "1.1.5", number, fixed), system=elsewhere) == set()
    assert blocking(installed("runc", "1.1.5", number, frozenset()), system=elsewhere) == {"CVE-2024-21626"}
    (unknown,) = judged(installed("runc", "1.1.5", number, None), system=elsewhere)
    assert (unknown.blocking, [entry.id for entry in unknown.unknown]) == ((), ["CVE-2024-21626"])


def test_what_needs_more_than_a_job_has_is_told_and_does_not_block() -> None:
    (judgement,) = judged(installed("runc", "1.2.7"))
    assert judgement.blocking == ()
    assert {entry.id for entry in judgement.out_of_reach} == {
        "CVE-2025-31133",
        "CVE-2025-52565",
        "CVE-2025-52881",
        "CVE-2026-41579",
    }
    (judgement,) = judged(installed("runc", "1.3.6"))
    assert judgement.out_of_reach == ()
    (judgement,) = judged(installed("docker", "28.5.2"))
    assert (judgement.blocking, len(judgement.out_of_reach)) == ((), 3)


@pytest.mark.parametrize(
    ("version", "open_to"), [("2.1.0", {"CVE-2025-47290"}), ("2.1.1", set()), ("1.6.20", set()), ("2.3.5", set())]
)
def test_containerd(version: str, open_to: set[str]) -> None:
    assert blocking(installed("containerd", version)) == open_to


def test_what_is_not_known_does_not_block() -> None:
    assert blocking(installed("toolkit", None), installed("runc", None), installed("driver", None)) == set()


def test_accepted_by_name() -> None:
    part = installed("toolkit", "1.17.7")
    some = frozenset({"CVE-2025-23266", "CVE-2026-24260"})
    (judgement,) = judged(part, accept=some)
    assert [entry.id for entry in judgement.blocking] == ["CVE-2025-23267"]
    assert {entry.id for entry in judgement.accepted} == some
    assert hindered(judged(part, accept=some | {"CVE-2025-23267"})) is None


def test_a_bulletin_is_accepted_by_its_number_or_by_all_of_its_cves() -> None:
    part = installed("driver", "580.126.09")
    (entry,) = judged(part)[0].blocking
    assert hindered(judged(part, accept=frozenset({"NVIDIA-5821"}))) is None
    assert hindered(judged(part, accept=frozenset(entry.cves))) is None
    assert hindered(judged(part, accept=frozenset(entry.cves[1:]))) is not None


def test_the_hindrance_says_what_and_from_which_release_on_all_is_well() -> None:
    trouble = hindered(judged(installed("toolkit", "1.16.1"), installed("driver", "570.86.15")))
    assert trouble is not None
    assert "NVIDIA Container Toolkit 1.16.1 is open to CVE-2024-0132, CVE-2025-23266" in trouble.message
    assert "and 4 more" in trouble.message
    assert "update NVIDIA Container Toolkit to 1.19.1 or newer" in trouble.hint
    assert "update NVIDIA driver to 595.71.05 or newer" in trouble.hint
    assert "security.accept: [NVIDIA-5821, NVIDIA-5747, NVIDIA-5703, NVIDIA-5630]" in trouble.hint


# --- what is installed ---


class Host:
    """A root of files and a folder of programs."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        (self.root / "etc").mkdir(parents=True)
        self.machine = Machine(self.root, f"{self.bin}:/usr/bin:/bin")

    def program(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def os_release(self, text: str) -> None:
        (self.root / "etc/os-release").write_text(text)

    def changelog(self, package: str, text: str, name: str = "changelog.Debian.gz") -> None:
        folder = self.root / "usr/share/doc" / package
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(gzip.compress(text.encode()))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path)
    for name in ("dpkg-query", "rpm"):
        made.program(name, "exit 1")
    return made


async def find(host: Host, engine: EngineInfo = ENGINE, *gpus: Gpu) -> dict[str, Installed]:
    found = await survey(engine, gpus, ["runc"], host.machine)
    return {each.component.value: each for each in found}


HOOK = 'echo "NVIDIA Container Runtime Hook version {0}"; echo "commit: f202b80a9b9d0db00d9b1d73c0128c8962c55f4d"'
CTK = 'echo "NVIDIA Container Toolkit CLI version {0}"; echo "commit: f202b80a9b9d0db00d9b1d73c0128c8962c55f4d"'
CLI = 'echo "cli-version: {0}"; echo "lib-version: {0}"; echo "build date: 2025-05-30T13:47+00:00"'


async def test_the_oldest_part_of_the_toolkit_counts(host: Host) -> None:
    host.program("nvidia-container-runtime-hook", HOOK.format("1.19.1"))
    host.program("nvidia-ctk", CTK.format("1.19.1"))
    host.program("nvidia-container-cli", CLI.format("1.17.4"))
    found = await find(host, ENGINE, REAL)
    assert (str(found["toolkit"].version), found["toolkit"].told_by) == ("1.17.4", "nvidia-container-cli")
    assert str(found["driver"].version) == "580.159.03"
    assert str(found["runc"].version) == "1.3.3"


async def test_a_toolkit_whose_programs_do_not_answer_is_known_by_its_package(host: Host) -> None:
    host.program("nvidia-ctk", "exit 1")
    host.program("dpkg-query", 'case "$4" in libnvidia-container1) echo "installed 1.17.7-1";; *) exit 1;; esac')
    assert str((await find(host, ENGINE, REAL))["toolkit"].version) == "1.17.7-1"
    host.program("dpkg-query", "exit 1")
    host.program(
        "rpm", 'case "$4" in nvidia-container-toolkit) echo "1.18.0-1";; *) echo "not installed"; exit 1;; esac'
    )
    assert str((await find(host, ENGINE, REAL))["toolkit"].version) == "1.18.0-1"


async def test_without_a_real_gpu_neither_driver_nor_toolkit_is_looked_at(host: Host) -> None:
    host.program("nvidia-ctk", CTK.format("1.16.0"))
    assert set(await find(host, ENGINE, GPU)) == {"runc", "containerd", "docker"}


@pytest.mark.parametrize(
    "script", ["exit 1", "echo nonsense", "sleep 60", "kill -9 $$", "echo version 99999999999999999999.x", "yes"]
)
async def test_a_program_that_says_nothing_of_use(host: Host, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "ASK_SECONDS", 0.3)
    for name in software.TOOLKIT_PROGRAMS:
        host.program(name, script)
    toolkit = (await find(host, ENGINE, REAL))["toolkit"]
    assert toolkit.version is None
    (row,) = [row for row in rows(catalog(), judged(toolkit), frozenset(), date(2026, 9, 1)) if "Toolkit" in row.name]
    assert row.ok is None
    assert "cannot be told" in row.seen


async def test_the_oldest_driver_of_several_gpus_counts(host: Host) -> None:
    older = replace(REAL, driver="570.86.15")
    assert str((await find(host, ENGINE, REAL, older))["driver"].version) == "570.86.15"
    assert (await find(host, ENGINE, replace(REAL, driver=None)))["driver"].version is None


DEBIAN = replace(
    ENGINE,
    parts=(EnginePart("runc", "1.1.5+ds1", "1.1.5+ds1-1+deb12u1"), EnginePart("containerd", "1.6.20~ds1", "x")),
    operating_system="Debian GNU/Linux 12 (bookworm)",
)


async def test_a_distribution_s_build_is_known_by_the_engine_alone(host: Host) -> None:
    runc = (await find(host, DEBIAN))["runc"]
    assert (str(runc.version), runc.package_version, runc.fixes) == ("1.1.5+ds1", "1.1.5+ds1-1+deb12u1", None)
    assert blocking(runc, system=BOOKWORM) == set()


async def test_the_package_s_changelog_is_read_where_the_engine_runs_it(host: Host) -> None:
    host.os_release('ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    host.program("dpkg-query", 'echo "installed 1.1.5+ds1-1+deb12u1"')
    host.changelog("runc", "runc (1.1.5+ds1-1+deb12u1)\n  * CVE-2024-21626: several breakouts\n")
    host.changelog("runc", "runc (1.1.5+ds1-1+deb12u1+b9)\n  * Rebuild\n", "changelog.Debian.amd64.gz")
    runc = (await find(host, DEBIAN))["runc"]
    assert runc.fixes == {"CVE-2024-21626"}
    assert host.machine.system() == BOOKWORM
    # What is installed here says nothing of an engine that runs something else, or elsewhere.
    other = replace(DEBIAN, parts=(EnginePart("runc", "1.1.4", "v1.1.4-0-g5fd4c4d1"),))
    runc = (await find(host, other))["runc"]
    assert (runc.package_version, runc.fixes) == ("", None)
    runc = (await find(host, replace(DEBIAN, operating_system="Ubuntu 24.04.1 LTS")))["runc"]
    assert runc.fixes is None


async def test_a_changelog_of_rpm_s(host: Host) -> None:
    host.program("rpm", 'case "$2" in --qf) echo 1.1.5-2.el9;; --changelog) echo "- fix CVE-2024-21626";; esac')
    engine = replace(ENGINE, parts=(EnginePart("runc", "1.1.5", "abc"),))
    runc = (await find(host, engine))["runc"]
    assert (runc.package_version, runc.fixes) == ("1.1.5-2.el9", {"CVE-2024-21626"})
    assert blocking(runc) == set()


async def test_runc_that_the_engine_does_not_name_is_asked_itself(host: Host) -> None:
    host.program("runc", 'echo "runc version 1.1.5+ds1"; echo "commit: 1.1.5+ds1-1+deb12u1"; echo "spec: 1.0.2-dev"')
    found = (await find(host, replace(ENGINE, parts=(EnginePart("nvidia", "1.17.8", "x"),))))["runc"]
    assert (str(found.version), found.package_version) == ("1.1.5+ds1", "1.1.5+ds1-1+deb12u1")
    assert found.told_by == "runc --version"


async def test_an_engine_that_does_not_name_its_parts(host: Host) -> None:
    for name in ("runc", "containerd"):
        host.program(name, "exit 1")
    found = await find(host, replace(ENGINE, parts=(), version=""))
    assert {each.version for each in found.values()} == {None}


@pytest.mark.parametrize(
    "data", [b"", b"no gzip", gzip.compress(b"CVE-2024-21626")[:-4]], ids=["empty", "other", "cut"]
)
def test_a_changelog_that_cannot_be_read(host: Host, data: bytes) -> None:
    folder = host.root / "usr/share/doc/runc"
    folder.mkdir(parents=True)
    (folder / "changelog.Debian.gz").write_bytes(data)
    assert host.machine.changelog("runc") is None


@pytest.mark.docker
async def test_this_machine_s_engine_names_its_parts() -> None:
    engine = DockerEngine(Path("/var/run/docker.sock"))
    try:
        info = await engine.info()
    except EngineUnavailable as error:
        pytest.skip(str(error))
    finally:
        await engine.aclose()
    found = {each.component: each for each in await survey(info, (), ["runc"], Machine())}
    assert re.match(r"\d+\.\d+", str(found[Component.RUNC].version))
    assert re.match(r"v?\d+\.\d+", str(found[Component.CONTAINERD].version))


# --- the gate ---


class Changing:
    """A host whose software is upgraded."""

    def __init__(self) -> None:
        self.engine = ENGINE
        self.error: GpunodeError | None = None
        self.asked = 0

    async def info(self) -> EngineInfo:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.engine

    async def gpus(self) -> tuple[Gpu, ...]:
        return (GPU,)


def gate(changing: Changing, host: Host, clock: FakeClock, accepted: frozenset[str] = frozenset()) -> EscapeGate:
    sources = Sources(changing.info, changing.gpus)
    return EscapeGate(sources, frozenset(["runc"]), accepted, clock, machine=host.machine)


OLD = replace(ENGINE, parts=(EnginePart("runc", "1.1.11", "v1.1.11-0-g4bccb38c"),))


async def test_a_lane_is_kept_out_until_the_upgrade(host: Host) -> None:
    changing, clock = Changing(), FakeClock()
    changing.engine = OLD
    closed = gate(changing, host, clock)
    with pytest.raises(LaneDegraded, match=r"runc 1\.1\.11 is open to CVE-2024-21626"):
        await closed.require()
    look = await closed.look()
    assert (look.state, "update runc to 1.1.12" in look.hint) == (HealthState.FAILING, True)
    assert changing.asked == 1  # versions do not change by the second
    changing.engine = ENGINE
    await clock.advance(61)
    await closed.require()
    assert (await closed.look()).state is HealthState.OK


async def test_a_lane_of_the_agent_behind_the_gate(host: Host, tmp_path: Path) -> None:
    world, changing = World(tmp_path / "world"), Changing()
    world.folder.mkdir()
    changing.engine = OLD
    closed = gate(changing, host, world.clock)
    async with world.open_journal():
        services = LaneServices(
            world.services(), check=closed.require, gpus=world._gpus, health=world.health, fence=world._fence
        )
        lane = Lane("main", MARKET, services)
        await lane.start()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(lane.run())
            await world.phase(lane, LanePhase.DEGRADED)
            assert "runc 1.1.11 is open to CVE-2024-21626" in lane.status.reason
            assert "security.accept: [CVE-2024-21626]" in lane.status.reason
            await world.clock.advance(300)
            assert world.chain.sent == []
            changing.engine = ENGINE
            await world.phase(lane, LanePhase.QUEUED, limit=200)
            assert world.chain.sent == ["work"]
            task.cancel()


async def test_a_gate_that_was_opened_by_name(host: Host) -> None:
    changing = Changing()
    changing.engine = OLD
    await gate(changing, host, FakeClock(), frozenset({"CVE-2024-21626"})).require()


async def test_jobs_under_another_runtime_do_not_meet_runc(host: Host) -> None:
    changing = Changing()
    changing.engine = OLD
    sources = Sources(changing.info, changing.gpus)
    await EscapeGate(sources, frozenset(["runsc"]), frozenset(), FakeClock(), machine=host.machine).require()


async def test_an_engine_that_does_not_answer_is_unknown_and_not_open(host: Host) -> None:
    changing = Changing()
    changing.error = EngineUnavailable("the engine does not answer")
    closed = gate(changing, host, FakeClock())
    assert (await closed.look()).state is HealthState.UNKNOWN
    with pytest.raises(EngineUnavailable):
        await closed.require()
    changing.error = None
    assert (await closed.look()).state is HealthState.OK


# --- doctor ---


def test_rows() -> None:
    known = catalog()
    found = judged(installed("runc", "1.1.11"), installed("toolkit", "1.19.1"), installed("driver", None))
    by_name = {row.name: row for row in rows(known, found, frozenset(), date(2026, 9, 1))}
    assert by_name["known escapes"].ok is True
    assert by_name["escapes: runc"].ok is False
    assert "security.accept: [CVE-2024-21626]" in by_name["escapes: runc"].fix
    assert by_name["escapes: NVIDIA Container Toolkit"].ok is True
    assert by_name["escapes: NVIDIA driver"].ok is None


def test_what_is_accepted_is_shown_and_a_strange_name_too() -> None:
    accepted = frozenset({"CVE-2024-21626", "CVE-1999-0001"})
    found = judged(installed("runc", "1.1.11"), accept=accepted)
    by_name = {row.name: row for row in rows(catalog(), found, accepted, date(2026, 9, 1))}
    assert by_name["escapes: runc"].ok is True
    assert "accepted: CVE-2024-21626" in by_name["escapes: runc"].seen
    assert "CVE-1999-0001" in by_name["security.accept"].seen


def test_an_old_list_is_pointed_out() -> None:
    (row,) = [row for row in rows(catalog(), (), frozenset(), date(2028, 1, 1)) if row.name == "known escapes"]
    assert row.ok is None
    assert "update gpunode" in row.fix


def test_what_the_settings_let_go_is_a_relaxation() -> None:
    tree = {"cluster": "localnet", "host": {"country": "NL"}, "lanes": [{"wallet": "w.json", "market": MARKET}]}
    assert relaxations(Settings.model_validate(tree)) == ()
    loose = {"security": {"accept": ["cve-2025-23266"]}, "gpu": {"capabilities": ["compute", "graphics"]}}
    found = {each.setting: each.meaning for each in relaxations(Settings.model_validate(tree | loose))}
    assert "CVE-2025-23266" in found["security.accept"]
    assert "graphics" in found["gpu.capabilities"]


@pytest.mark.parametrize("names", [["everything"], ["CVE"], [""]])
def test_only_names_of_advisories_are_accepted(names: list[str]) -> None:
    with pytest.raises(ValidationError, match="must be CVE numbers"):
        SecuritySettings(accept=tuple(names))
