"""The real node carries the embedded chain's genesis, and is gone when its block ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from solders.keypair import Keypair

from node.chain.addresses import to_address, token_account
from node.chain.rpc import Rpc
from node.market.ledger import Ledger
from tests.realchain.chain import RealChain
from tests.realchain.process import ValidatorFailed, running_validator

pytestmark = pytest.mark.realchain


@pytest.mark.brief
async def test_it_carries_the_genesis_of_the_embedded_chain(real_chain: RealChain) -> None:
    async with Rpc([real_chain.rpc_url]) as rpc:
        market = await Ledger(real_chain.cluster, rpc).market(real_chain.market)
        assert (market.address, market.job_price) == (real_chain.market, 1_000)
        assert market.authority == to_address(real_chain.keys["market-authority"].pubkey())
        poster = token_account(real_chain.cluster, to_address(real_chain.keys["poster"].pubkey()))
        assert await rpc.get_token_amount(poster) == 10**12
        for program in (real_chain.cluster.jobs, real_chain.cluster.staking, real_chain.cluster.rewards):
            account = await rpc.get_account(program)
            assert account is not None
            assert account.owner == "BPFLoaderUpgradeab1e11111111111111111111111"


@pytest.mark.brief
async def test_gifts(real_chain: RealChain) -> None:
    wallet = to_address(Keypair().pubkey())
    for _ in range(2):
        await real_chain.fund(wallet, sol=1.5, nos=2.25)
    async with Rpc([real_chain.rpc_url]) as rpc:
        assert await rpc.get_balance(wallet) == 3 * 10**9
        assert await rpc.get_token_amount(token_account(real_chain.cluster, wallet)) == 4_500_000


async def test_a_node_that_cannot_start_says_why(validator_binary: str) -> None:
    with pytest.raises(ValidatorFailed, match="no-such-option"):
        async with running_validator(["--no-such-option"]):
            pass


async def test_nothing_is_left_behind(validator_binary: str) -> None:
    async with running_validator([]) as node:
        assert node.ledger.is_dir()
    assert not node.ledger.parent.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(node.pid, 0)


STARTER = """
import asyncio
from tests.realchain.process import running_validator

async def main():
    async with running_validator([]) as node:
        print(node.pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.brief
async def test_a_killed_test_run_takes_the_node_with_it(validator_binary: str, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", STARTER),
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert process.stdout is not None
    node = int(await process.stdout.readline())
    os.kill(node, 0)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    async with asyncio.timeout(10):
        while _alive(node):
            await asyncio.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        # A node that ended, and that nobody has waited for, is no longer running.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
