"""What a node earned and spent by the ledger alone: python -m tests.money.audit RPC JOBS-PROGRAM MINT NODE ACCOUNT...

Reads every transaction that names the node or one of its token ACCOUNTs, over JSON-RPC, with the standard library and
nothing of this product. Prints micro-NOS and lamports, as one JSON object:

- `pay`: what reached the token accounts in transactions of the jobs program, and `pays` by the job they name
- `fees`: of transactions that the node paid for; `failed`: how many of them came to nothing
- `out`: lamports that left the node in transactions that it signed, and in those of the jobs program; gifts are neither
- `rent`: `out` less `fees`
"""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any

PAGE = 1000


def call(url: str, method: str, *params: Any) -> Any:
    """One JSON-RPC answer."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        found = json.load(answer)
    if "error" in found:
        raise SystemExit(f"{method}: {found['error']}")
    return found["result"]


def signatures(url: str, address: str) -> set[str]:
    """Of all transactions that name an address."""
    found: set[str] = set()
    before: str | None = None
    while True:
        options = {"limit": PAGE, "commitment": "finalized", **({"before": before} if before else {})}
        page = call(url, "getSignaturesForAddress", address, options)
        found.update(entry["signature"] for entry in page)
        if len(page) < PAGE:
            return found
        before = page[-1]["signature"]


def audit(url: str, program: str, mint: str, node: str, accounts: list[str]) -> dict[str, Any]:
    """The sums, of what is final."""
    sums: dict[str, Any] = {"transactions": 0, "failed": 0, "fees": 0, "out": 0, "pay": 0, "pays": {}}
    every = set().union(*(signatures(url, address) for address in (node, *accounts)))
    for signature in sorted(every):
        options = {"encoding": "json", "commitment": "finalized", "maxSupportedTransactionVersion": 0}
        add(sums, call(url, "getTransaction", signature, options), program, mint, node, accounts)
    return {**sums, "rent": sums["out"] - sums["fees"], "balance": call(url, "getBalance", node)["value"]}


def add(sums: dict[str, Any], found: Any, program: str, mint: str, node: str, accounts: list[str]) -> None:
    """One transaction."""
    message, meta = found["transaction"]["message"], found["meta"]
    keys = message["accountKeys"]
    signers = keys[: message["header"]["numRequiredSignatures"]]
    ours = [each for each in message["instructions"] if keys[each["programIdIndex"]] == program]
    if node in signers or ours:
        sums["transactions"] += 1
        if node in keys:
            at = keys.index(node)
            sums["out"] += meta["preBalances"][at] - meta["postBalances"][at]
    if signers[0] == node:
        sums["fees"] += meta["fee"]
        sums["failed"] += meta["err"] is not None
    if not ours:
        return
    gained = 0
    for side, sign in (("preTokenBalances", -1), ("postTokenBalances", 1)):
        for entry in meta[side]:
            if entry["mint"] == mint and keys[entry["accountIndex"]] in accounts:
                gained += sign * int(entry["uiTokenAmount"]["amount"])
    if gained:
        job = keys[ours[0]["accounts"][0]]
        sums["pay"] += gained
        sums["pays"][job] = sums["pays"].get(job, 0) + gained


if __name__ == "__main__":
    rpc, jobs, nos, owner, *tokens = sys.argv[1:]
    print(json.dumps(audit(rpc, jobs, nos, owner, tokens)))
