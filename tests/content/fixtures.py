"""Fixtures for tests with a real IPFS node; a conftest imports those it wants."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.content.kubo import ABSENT, KuboNode, find_kubo, kubo_node


@pytest.fixture(scope="session")
def kubo_binary() -> Path:
    """The IPFS node's binary; skips the test where there is none."""
    found = find_kubo()
    if found is None:
        pytest.skip(ABSENT)
    return found


@pytest.fixture(scope="module")
def kubo(kubo_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KuboNode]:
    """A running, empty, offline node."""
    with kubo_node(kubo_binary, tmp_path_factory.mktemp("kubo")) as node:
        yield node
