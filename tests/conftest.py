"""What tests of several rooms share: an embedded chain in this process."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator

import hypothesis
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
