"""The real node for tests; `tests/conftest.py` offers these everywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.realchain.binary import MISSING, find_validator
from tests.realchain.chain import FAST_TICKS, RealChain
from tests.realchain.either import EitherChain


@pytest.fixture(scope="session")
def validator_binary() -> str:
    """Path of the real node's binary; skips the test where there is none."""
    found = find_validator()
    if found is None:
        pytest.skip(MISSING)
    return str(found)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def real_chain(validator_binary: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RealChain]:
    """A real node with the embedded chain's genesis and slots of 50 ms, for all tests of a session.

    Its methods work from a test's own event loop.
    """
    async with RealChain.start(tmp_path_factory.mktemp("genesis"), ticks_per_slot=FAST_TICKS) as chain:
        yield chain


@pytest.fixture(params=["localnet", pytest.param("real", marks=pytest.mark.realchain)])
def either_chain(request: pytest.FixtureRequest) -> EitherChain:
    """The test runs twice: on an embedded chain of its own, and (marked `realchain`) on the session's real node."""
    found: EitherChain = request.getfixturevalue("localnet" if request.param == "localnet" else "real_chain")
    return found
