"""Starts that go wrong: each says in one line what is wrong and what to do, and loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from node.agent.wiring import run_agent
from node.chain.wallet import Wallet
from node.errors import GpuError, WalletError
from node.settings import Settings
from tests.e2e.market_place import MarketPlace, market_place, settings_tree, until

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MarketPlace]:
    async with market_place(tmp_path_factory.mktemp("bad-start")) as made:
        yield made


@asynccontextmanager
async def lane_of(
    shared: MarketPlace, folder: Path, *, sol: float = 1.0, **changes: Any
) -> AsyncIterator[dict[str, Any]]:
    """The lane of an agent with a wallet of its own, as its status shows it once it has a reason to complain."""
    wallet = Wallet.create(folder / "node.json")
    if sol:
        await shared.give(wallet.address, sol, 0)
    settings = Settings.model_validate(settings_tree(shared.net, folder) | changes)
    place = replace(shared, folder=folder, settings=settings, node=wallet.address)
    async with place.agent() as agent:

        async def complaint() -> dict[str, Any] | None:
            lane: dict[str, Any] = (await agent.status())["lanes"][0]
            return lane if lane["phase"] == "degraded" or lane["reason"].startswith("waiting") else None

        lane = await until(complaint)
        assert lane is not None
        yield lane


@pytest.mark.long
async def test_an_unreachable_endpoint_is_waited_for(shared: MarketPlace, tmp_path: Path) -> None:
    async with lane_of(shared, tmp_path, rpc={"urls": ["http://127.0.0.1:1"], "timeout": 1}) as lane:
        assert lane["phase"] == "checking"
        assert "127.0.0.1:1" in lane["reason"]


async def test_an_engine_that_does_not_answer_is_waited_for(shared: MarketPlace, tmp_path: Path) -> None:
    async with lane_of(shared, tmp_path, engine={"socket": str(tmp_path / "no.sock")}) as lane:
        assert lane["phase"] == "checking"
        assert "does not answer" in lane["reason"]


async def test_an_unknown_market(shared: MarketPlace, tmp_path: Path) -> None:
    lanes = [{"wallet": str(tmp_path / "node.json"), "market": str(shared.net.mint)}]
    async with lane_of(shared, tmp_path, lanes=lanes) as lane:
        assert lane["phase"] == "degraded"
        assert str(shared.net.mint) in lane["reason"]


async def test_too_little_sol_is_told_as_a_sum(shared: MarketPlace, tmp_path: Path) -> None:
    async with lane_of(shared, tmp_path, sol=0.001) as lane:
        assert lane["phase"] == "degraded"
        for part in ("lacks", "run account", "stake account", "NOS token account", "fees"):
            assert part in lane["reason"]


async def test_a_missing_stake_that_may_not_be_made(shared: MarketPlace, tmp_path: Path) -> None:
    async with lane_of(shared, tmp_path, stake={"create": False}) as lane:
        assert lane["phase"] == "degraded"
        assert "gpunode stake create" in lane["reason"]


async def test_a_gpu_that_is_not_there(shared: MarketPlace, tmp_path: Path) -> None:
    lanes = [{"wallet": str(tmp_path / "node.json"), "market": shared.net.market, "gpus": ["GPU-nowhere"]}]
    async with lane_of(shared, tmp_path, lanes=lanes) as lane:
        assert lane["phase"] == "degraded"
        assert "GPU-nowhere" in lane["reason"]


async def test_a_wallet_that_others_may_read(shared: MarketPlace, tmp_path: Path) -> None:
    Wallet.create(tmp_path / "node.json")
    (tmp_path / "node.json").chmod(0o644)
    with pytest.raises(WalletError, match="0600") as raised:
        await run_agent(Settings.model_validate(settings_tree(shared.net, tmp_path)))
    assert "chmod" in raised.value.hint


async def test_simulated_gpus_are_refused_on_another_cluster(shared: MarketPlace, tmp_path: Path) -> None:
    Wallet.create(tmp_path / "node.json")
    tree = settings_tree(shared.net, tmp_path) | {
        "cluster": "devnet",
        "rpc": {"urls": ["http://127.0.0.1:1"], "timeout": 1},
        "gpu": {"provider": "simulated"},
    }
    with pytest.raises(GpuError, match="devnet") as raised:
        async with asyncio.timeout(60):
            await run_agent(Settings.model_validate(tree))
    assert raised.value.hint
