"""What the clients offer, what of it a chain is not asked for, and where two chains may differ."""

from __future__ import annotations

from collections.abc import Mapping

from node.chain.clusters import IdSet

FLOWS: tuple[tuple[str, IdSet], ...] = (
    ("kit", "devnet"),
    ("kit", "mainnet"),
    ("sdk", "devnet"),
    ("programs", "devnet"),
    ("web3", "devnet"),
)
"""Each flow with the addresses it is run with; `kit` with both, because it completes jobs of the main network only."""

PACKAGES = {
    "kit": "@nosana/kit 2.1.8",
    "sdk": "@nosana/sdk 0.4.69",
    "programs": "@nosana/jobs-program and @nosana/stake-program 2.1.6",
    "web3": "@solana/web3.js 1.99.0 and @solana/spl-token 0.4.15",
}

_WEB = "asks a public web service, no chain"
_INNER = "a part of confirmTransaction"

NOT_ASKED: Mapping[str, Mapping[str, str]] = {
    "sdk": {
        "deployments.create": _WEB,
        "deployments.get": _WEB,
        "deployments.list": _WEB,
        "deployments.pipe": _WEB,
        "ipfs.api": "the HTTP client that pin and pinFile use",
        "solana.getNosPrice": _WEB,
        "swap.requestQuote": _WEB,
        "swap.requestTransaction": _WEB,
        "swap.swapToNos": _WEB,
    },
    "web3": {
        "connection.confirmTransactionUsingBlockHeightExceedanceStrategy": _INNER,
        "connection.confirmTransactionUsingDurableNonceStrategy": _INNER,
        "connection.confirmTransactionUsingLegacyTimeoutStrategy": _INNER,
        "connection.getCancellationPromise": _INNER,
        "connection.getTransactionConfirmationPromise": _INNER,
    },
}
"""Functions of the clients that no flow calls, by flow, with the reason."""

DIFFERENCES: Mapping[str, str] = {}
"""Calls whose outcome differs between a localnet and a real validator, as `flow call`, with the reason."""
