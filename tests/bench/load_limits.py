"""What the localnet's parts can do by themselves on this machine: the limits to compare its figures with.

Each limit is measured in a child process on the server's core, where the localnet itself runs in the same bench.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time

from aiohttp import web
from solders.hash import Hash
from solders.keypair import Keypair
from solders.litesvm import LiteSVM

from tests.bench.load_transactions import Mix


def svm_rate(count: int) -> float:
    """Transactions of the mix that LiteSVM alone takes per second of processor time, signatures checked once."""
    svm = LiteSVM().with_blockhash_check(False).with_transaction_history(0)
    mix = Mix([Keypair() for _ in range(4)])
    for payer in mix.payers:
        svm.airdrop(payer.pubkey(), 10**15)
    transactions = [mix.make(Hash.new_unique()) for _ in range(count)]
    began = time.process_time()
    for transaction in transactions:
        svm.send_transaction(transaction)
    return count / (time.process_time() - began)


async def serve_bare() -> None:
    """An aiohttp server that reads the request, parses it, and answers a constant: prints its port, runs until told."""

    async def answer(request: web.Request) -> web.Response:
        json.loads(await request.read())
        return web.Response(text='{"jsonrpc":"2.0","result":"x","id":1}', content_type="application/json")

    application = web.Application()
    application.router.add_post("/", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await runner.cleanup()


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["svm", "aiohttp"])
    parser.add_argument("--count", type=int, default=10_000)
    options = parser.parse_args()
    if options.what == "svm":
        print(json.dumps(svm_rate(options.count)))
    else:
        asyncio.run(serve_bare())
    sys.stdout.flush()


if __name__ == "__main__":
    main()
