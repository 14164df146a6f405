"""What tests of several rooms share: an embedded chain in this process."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator

import hypothesis
import pytest
import pytest_asyncio

from node.localnet.app import Localnet
from node.localnet.options import LocalnetOptions
from tests.realchain.fixtures import either_chain, real_chain, validator_binary

__all__ = ["either_chain", "localnet", "real_chain", "still_localnet", "validator_binary"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it puts in the background with Ctrl-C ignored; children inherit that, tests send it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The machine's own packet filter is not a test's to change; tests/container/test_egress.py has one of its own.
os.environ.setdefault("GPUNODE_NETWORK__FILTER", "off")

# A slow machine is no error of what is tested.
hypothesis.settings.register_profile("gpunode", deadline=None)
hypothesis.settings.register_profile("brief", deadline=None, max_examples=30)  # deploy/test.sh has ten minutes
hypothesis.settings.load_profile("gpunode")


MATRIX = 12
"""Cases of one test from which on they are a matrix, of which `--slice` takes a part."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--slice N`: of tests with many cases, each Nth case."""
    parser.addoption("--slice", type=int, default=1, metavar="N", help="of tests with many cases, each Nth case")


@pytest.hookimpl(trylast=True)  # after what -m leaves out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out all but each Nth case of the tests that have many."""
    step = config.getoption("--slice")
    if step <= 1:
        return
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    left_out = {item for found in cases.values() if len(found) >= MATRIX for at, item in enumerate(found) if at % step}
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]


@pytest_asyncio.fixture
async def localnet() -> AsyncIterator[Localnet]:
    """A fresh chain on free ports with 50 ms slots; `localnet.endow(address, sol=1, nos=2)` fills a wallet."""
    async with Localnet.start(LocalnetOptions(rpc_port=0, content_port=0, slot_ms=50)) as net:
        yield net


@pytest_asyncio.fixture
async def still_localnet() -> AsyncIterator[Localnet]:
    """The same, but slots pass only when the test calls `still_localnet.advance(slots)`."""
    async with Localnet.start(LocalnetOptions(rpc_port=0, content_port=0, slot_ms=0)) as net:
        yield net
