"""Settings files as they were shipped with older versions: they are taken, or what to change is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.errors import SettingsError
from node.settings_source import load_settings

OLD = Path(__file__).parent / "settings_old"
"""`node.example.yaml` of versions from the first on, which names every setting of its time."""
FIRST, *LATER = sorted(OLD.glob("*.yaml"))


def of_its_time(file: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "node.yaml"
    copy.write_text(file.read_text())
    copy.chmod(0o640)
    return copy


@pytest.mark.parametrize("file", LATER, ids=lambda file: file.stem)
def test_it_is_taken(file: Path, tmp_path: Path) -> None:
    assert load_settings(of_its_time(file, tmp_path), environment={}).lanes


def test_the_one_that_is_not_says_what_to_change(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(of_its_time(FIRST, tmp_path), environment={})
    # It was a number of seconds once.
    assert "shutdown.keep_queue_place: 300: Input should be a valid boolean" in caught.value.message
    assert "node.example.yaml" in caught.value.hint
