"""The doctor's rows on the machine and its GPUs, over folders that show what a machine would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from node.agent.doctor_gpu import DriverFiles, card_findings, driver_finding, toolkit_finding
from node.agent.doctor_host import HostRows
from node.agent.escapes.software import Machine
from node.agent.finding import Finding
from node.records import Gpu

RELEASE = "6.1.0-30-amd64"


def put(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


SOUND = {
    "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "proc/self/status": "Name:\tx\nSeccomp:\t2\n",
    "proc/filesystems": "nodev\tsysfs\nnodev\toverlay\n",
    "proc/swaps": "Filename Type Size Used Priority\n",
    "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids\n",
    f"lib/modules/{RELEASE}/modules.dep": "",
}


def rows(root: Path, release: str = RELEASE) -> HostRows:
    return HostRows(root, release)


def test_a_sound_host(tmp_path: Path) -> None:
    host = rows(put(tmp_path, SOUND))
    found = [host.system(), host.kernel(), host.control_groups(), host.swap(), host.reboot()]
    assert [row.ok for row in found] == [True] * 5
    assert "Debian GNU/Linux 12" in found[0].seen


WRONG: list[tuple[dict[str, str], str, Callable[[HostRows], Finding], bool | None, str]] = [
    ({}, "5.15.167.4-microsoft-standard-WSL2", HostRows.system, False, "not supported"),
    ({"proc/filesystems": "ext4"}, RELEASE, HostRows.kernel, None, "no overlay"),
    ({"proc/self/status": "Name: x"}, RELEASE, HostRows.kernel, None, "no seccomp"),
    ({}, "4.19.0-1", HostRows.kernel, None, "no security updates"),
    ({"sys/fs/cgroup/cgroup.controllers": "cpu pids"}, RELEASE, HostRows.control_groups, None, "without memory"),
    ({"proc/swaps": "head\n/dev/sda2 partition 2097152 0 -2\n"}, RELEASE, HostRows.swap, None, "2.0 GiB on /dev/sda2"),
    ({"proc/swaps": "head\n/dev/zram0 partition 2097152 0 -2\n"}, RELEASE, HostRows.swap, True, "in memory"),
    (
        {"proc/swaps": "head\n/dev/dm-1 partition 2097152 0 -2\n", "sys/block/dm-1/dm/uuid": "CRYPT-LUKS2-ab-swap"},
        RELEASE,
        HostRows.swap,
        True,
        "encrypted",
    ),
    ({"run/reboot-required": ""}, RELEASE, HostRows.reboot, None, "an update asks for it"),
    ({}, "6.1.0-31-amd64", HostRows.reboot, None, "are gone"),
]


@pytest.mark.parametrize(("files", "release", "look", "ok", "seen"), WRONG)
def test_what_is_not_as_it_should_be(
    tmp_path: Path, files: dict[str, str], release: str, look: Callable[[HostRows], Finding], ok: bool | None, seen: str
) -> None:
    row = look(rows(put(tmp_path, SOUND | files), release))
    assert row.ok is ok
    assert seen in row.seen
    assert row.fix or ok is True


def test_control_groups_of_the_first_version_and_none(tmp_path: Path) -> None:
    host = rows(tmp_path)
    assert host.control_groups().ok is False
    put(tmp_path, {f"sys/fs/cgroup/{each}/tasks": "" for each in ("cpu", "memory", "pids")})
    assert host.control_groups().ok is None


SHOWS = "LoadState={}\nUnitFileState={}\nActiveState={}\nNRestarts={}\n"


@pytest.mark.parametrize(
    ("states", "ok", "seen", "fix"),
    [
        (("loaded", "enabled", "active", "0"), True, "enabled, active", ""),
        (("loaded", "enabled", "active", "4"), True, "started anew 4 times", ""),
        (("loaded", "disabled", "inactive", "0"), None, "disabled", "systemctl enable"),
        (("loaded", "enabled", "failed", "0"), False, "failed", "journalctl"),
        (("not-found", "", "inactive", "0"), None, "not installed", "install.sh"),
    ],
)
async def test_the_service(tmp_path: Path, states: tuple[str, ...], ok: bool | None, seen: str, fix: str) -> None:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    systemctl = put(tmp_path, {"bin/systemctl": f"#!/bin/sh\ncat <<X\n{SHOWS.format(*states)}X\n"}) / "bin/systemctl"
    systemctl.chmod(0o755)
    row = await HostRows(tmp_path, RELEASE, Machine(tmp_path, path=f"{tmp_path}/bin:/usr/bin:/bin")).service()
    assert row.ok is ok
    assert seen in row.seen
    assert fix in row.fix
    (tmp_path / "run/systemd/system").rmdir()
    assert (await rows(tmp_path).service()).ok is None


# --- the driver's two halves ---------------------------------------------------------------------------------------

MODULE = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (root@x)  Sun Jul 27\n"
CARD = {"sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n", "sys/bus/pci/devices/0000:01:00.0/class": "0x030000\n"}
SOUND_CARD = {"sys/bus/pci/devices/0000:01:00.1/vendor": "0x10de\n", "sys/bus/pci/devices/0000:01:00.1/class": "0x0403"}


def library(root: Path, version: str) -> None:
    folder = root / "usr/lib/x86_64-linux-gnu"
    folder.mkdir(parents=True)
    (folder / f"libnvidia-ml.so.{version}").write_text("")
    (folder / "libnvidia-ml.so.1").symlink_to(f"libnvidia-ml.so.{version}")


def test_a_driver_of_two_versions_is_a_mismatch(tmp_path: Path) -> None:
    put(tmp_path, CARD | {"proc/driver/nvidia/version": MODULE, "dev/nvidia-uvm": ""})
    library(tmp_path, "580.95.05")
    row = driver_finding(DriverFiles(tmp_path), False)
    assert row.ok is False
    assert "Driver/library version mismatch: the kernel has 580.65.06, libnvidia-ml is 580.95.05" in row.seen
    assert "reboot" in row.fix


def test_a_driver_that_is_whole(tmp_path: Path) -> None:
    put(tmp_path, CARD | SOUND_CARD | {"proc/driver/nvidia/version": MODULE, "dev/nvidia-uvm": ""})
    library(tmp_path, "580.65.06")
    assert DriverFiles(tmp_path).devices() == 1
    assert driver_finding(DriverFiles(tmp_path), False).ok is True
    (tmp_path / "dev/nvidia-uvm").unlink()
    assert "nvidia-modprobe" in driver_finding(DriverFiles(tmp_path), False).fix


def test_a_driver_that_is_not(tmp_path: Path) -> None:
    files = DriverFiles(tmp_path)
    assert driver_finding(files, True).ok is True
    assert driver_finding(files, False).ok is False
    put(tmp_path, CARD)
    assert "no driver is loaded" in driver_finding(files, True).seen
    (tmp_path / "sys/module/nouveau").mkdir(parents=True)
    assert "held by nouveau" in driver_finding(files, True).seen
    put(tmp_path, {"proc/driver/nvidia/version": MODULE})
    assert "no libnvidia-ml" in driver_finding(files, True).seen


GPU = Gpu("nvidia", 0, "GPU-1", "NVIDIA GeForce RTX 4090", 24 << 30, "580.65.06", "13.0", "8.9")


async def test_the_toolkit(tmp_path: Path) -> None:
    put(tmp_path, {"nvidia-ctk": '#!/bin/sh\necho "NVIDIA Container Toolkit CLI version 1.19.1"\n'})
    (tmp_path / "nvidia-ctk").chmod(0o755)
    row = await toolkit_finding(Machine(tmp_path, path=str(tmp_path)), [GPU])
    assert (row.ok, "1.19.1" in row.seen) == (True, True)
    nothing = Machine(tmp_path, path=str(tmp_path / "empty"))
    assert (await toolkit_finding(nothing, [GPU])).ok is False
    assert (await toolkit_finding(nothing, [])).ok is True


def test_how_cards_are_fitted() -> None:
    def seen(**facts: object) -> dict[str, Finding]:
        return {row.name: row for row in card_findings([replace(GPU, **facts)])}  # type: ignore[arg-type]

    riser = seen(pcie_width_most=1, pcie_generation_most=3)["PCIe of GPU 0"]
    assert (riser.ok, "16 s to load" in riser.seen, "riser" in riser.seen) == (None, True, True)
    assert seen(pcie_width_most=16, pcie_generation_most=4)["PCIe of GPU 0"].ok is True
    low = seen(power_limit_watts=200.0, power_default_watts=450.0)["power limit of GPU 0"]
    assert (low.ok, "200 W of the default 450 W" in low.seen) == (None, True)
    assert seen(power_limit_watts=450.0, power_default_watts=450.0)["power limit of GPU 0"].ok is True
    assert seen(compute_mode="prohibited")["settings of GPU 0"].ok is False
    assert seen(persistence=False, compute_mode="default")["settings of GPU 0"].ok is None
    # What a card does not tell makes no row, and neither does a partition or a simulated one.
    assert seen() == {}
    assert seen(parent="GPU-0", power_limit_watts=100.0) == {}
    assert seen(provider="simulated", power_limit_watts=100.0) == {}
