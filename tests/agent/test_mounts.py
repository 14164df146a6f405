"""A file system that is read-only, and one that is shown so to a hardened service alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.agent.health.mounts import is_read_only

SEEN_BY_A_SERVICE = """\
21 1 254:0 / / ro,relatime shared:1 - ext4 /dev/vda rw,errors=remount-ro
30 21 254:0 /var/lib/gpunode /var/lib/gpunode rw,relatime - ext4 /dev/vda rw,errors=remount-ro
31 21 254:16 / /srv/engine ro,noatime master:3 - xfs /dev/vdb ro,attr2,prjquota
32 21 254:32 / /srv/with\\040space ro - xfs /dev/vdc rw,attr2
33 21 0:99 / /over ro - tmpfs tmpfs ro
34 21 0:98 / /over ro - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("/var/lib/docker", False),
        ("/srv/engine", True),
        ("/srv/engine/docker", True),
        ("/srv/engineer", False),
        ("/srv/with space/docker", False),
        ("/over/x", False),
    ],
)
def test_the_file_system_counts_and_not_the_view(tmp_path: Path, folder: str, expected: bool) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(SEEN_BY_A_SERVICE)
    assert is_read_only(Path(folder), mounts) is expected


def test_what_cannot_be_told_is_taken_for_the_worse(tmp_path: Path) -> None:
    assert is_read_only(Path("/"), tmp_path / "none")
    assert not is_read_only(tmp_path)
