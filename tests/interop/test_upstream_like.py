"""A suite as a program's own authors would write it (mocha, anchor, SPL token library), on a chain of programs only."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from solders.account import Account
from solders.keypair import Keypair

from node.chain.addresses import to_key
from node.localnet import spl
from node.localnet.app import Localnet
from node.localnet.options import LocalnetOptions
from tests.interop.flows import drivers

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

SUITE_SECONDS = 240


async def test_a_suite_from_outside_passes(clients: Path, tmp_path: Path) -> None:
    wallet = Keypair()
    options = LocalnetOptions(rpc_port=0, content_port=0, slot_ms=50, empty=True)
    async with Localnet.start(options) as net:
        # Its authors hold the key of the mint's address and make it; here it is put in place, theirs to mint.
        mint = spl.mint_bytes(wallet.pubkey(), decimals=6)
        net.validator.place(to_key(net.mint), Account(10_000_000, mint, spl.TOKEN_PROGRAM, False))
        report = await mocha(drivers(clients), net, wallet, tmp_path)
    failures = [f"{one['fullTitle']}: {one['err'].get('stack', one['err'])}" for one in report["failures"]]
    assert not failures, "\n\n".join(failures)
    assert report["stats"]["passes"] >= 16


async def mocha(folder: Path, net: Localnet, wallet: Keypair, place: Path) -> dict[str, Any]:
    """Run the suite as `anchor test` would, on a chain that is there; mocha's own report."""
    key = place / "wallet.json"
    key.write_text(json.dumps(list(bytes(wallet))))
    cluster = net.cluster
    ids = {
        "mint": cluster.nos_mint,
        "authority": str(net.keys["network-authority"].pubkey()),
        **{name: getattr(cluster, name) for name in ("jobs", "nodes", "staking", "rewards")},
    }
    program = folder.parent / "node_modules" / "mocha" / "bin" / "mocha.js"
    process = await asyncio.create_subprocess_exec(
        *("node", str(program), "--timeout", "60000", "--exit", "--reporter", "json", "suite/*.spec.mjs"),
        cwd=folder,
        env={
            **os.environ,
            "ANCHOR_PROVIDER_URL": net.rpc_url,
            "ANCHOR_WALLET": str(key),
            "SUITE_IDS": json.dumps(ids),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SUITE_SECONDS):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = out.decode()
    assert "{" in text, err.decode()[-3000:]
    report: dict[str, Any] = json.loads(text[text.index("{") :])
    return report
