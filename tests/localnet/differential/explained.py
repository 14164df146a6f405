"""Differences that stay, each with its reason.

Everything that is not listed here is equal on both chains, word by word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Explained:
    """Differences at a path of the answers to some requests; both are regular expressions that fit the whole."""

    request: str
    path: str
    reason: str

    def covers(self, request: str, path: str) -> bool:
        """Whether this difference is the one explained."""
        return bool(re.fullmatch(self.request, request) and re.fullmatch(self.path, path))


EXPLAINED = (
    Explained(
        r"(get)?(supply|Supply).*( alone| without| with .*| short)",
        r"\.result\.value\.(total|circulating|nonCirculatingAccounts)",
        "The real node stakes lamports of its own, and lists accounts of the public clusters that do not exist here.",
    ),
    Explained(
        r"(getLargestAccounts|largest (circulating|all)).*",
        r"\.result\.value.*",
        "The real node's own accounts and its faucet are among the largest, and it pays a fee for each vote.",
    ),
    Explained(
        r"(getVoteAccounts|votes) .*",
        r"\.result\.current\[0\]\.(epochCredits.*|lastVote|rootSlot)",
        "They count slots; the embedded chain does not vote, and says what a node that votes for every block would.",
    ),
    Explained(
        r"getClusterNodes .*",
        r"\.result\[0\]\.(gossip|tvu|tpu.*|serveRepair|rpc|pubsub|shredVersion)",
        "Ports differ; the embedded chain has no gossip, and takes transactions by RPC only.",
    ),
    Explained(
        r"(getBlockProduction|production) .*",
        r"\.result\.value\.byIdentity\.<identity>\[[01]\]",
        "They count slots.",
    ),
    Explained(
        r"commitment of .*",
        r"\.result\.commitment",
        "Whether a slot is still among the recent ones depends on the moment.",
    ),
    Explained(
        r"getHighestSnapshotSlot .*",
        r"\.(error|result)",
        "The embedded chain makes no snapshots that another node could start from.",
    ),
    Explained(
        r"(getRecentPerformanceSamples|samples) .*",
        r"\.result.*",
        "There is a sample for each full minute that a chain has run.",
    ),
    Explained(
        r"text member twice",
        r"\.(error|result)|\.id",
        "A node refuses a member that stands twice; here the last one counts, as in most readers of JSON.",
    ),
    Explained(
        r"transaction fund .*",
        r"\.result\.meta\.(pre|post)Balances\[0\]",
        "The faucet of the embedded chain has paid for what stands in genesis; the real one starts full.",
    ),
    Explained(
        r"block .*",
        r"\.result\.rewards",
        "Nobody is paid for making blocks on the embedded chain.",
    ),
    Explained(
        r"account sysvar .*",
        r"\.result\.value\.(lamports|rentEpoch)",
        "The virtual machine keeps sysvars with one lamport.",
    ),
    Explained(
        r"account sysvar (recent-blockhashes|slot-hashes|slot-history|stake-history)",
        r"\.result\.value\.(space|data\.(space|parsed\.info.*))",
        "They hold slots and hashes of the chain; the virtual machine keeps the newest blockhash only, no slot history "
        "and no stakes, which no program here reads.",
    ),
    Explained(
        r"(account|balance) config( .*)?",
        r"\.result\.value",
        "The virtual machine has no Config program; nothing of this network uses it.",
    ),
    Explained(
        r"account (native-mint|stake-config) .*",
        r"\.result\.value\.rentEpoch",
        "Both stand in genesis, with a rent epoch that no account made later has.",
    ),
    Explained(
        r"account associated jsonParsed",
        r"\.result\.value\.data\[0\]",
        "Another build of the same program, of the same length and behaviour.",
    ),
    Explained(
        r"transaction (newer-mint|stake) .*|history .*",
        r"\.result\.meta\.(computeUnitsConsumed|costUnits|logMessages\[\d+\])",
        "Token-2022 and the stake program are other builds in the virtual machine: some percent of compute units.",
    ),
    Explained(
        r"transaction (table|old-table|empty-table) .*",
        r"\.result\.(meta\.(computeUnitsConsumed|costUnits|logMessages\[\d+\])"
        r"|transaction\.message\.instructions\[0\]\.(data|parsed\.info\.bumpSeed))",
        "A table's address is derived from a slot, and costs as many tries as it takes.",
    ),
    Explained(
        r"account (nonce|table|old-table) base64",
        r"\.result\.value\.data\[0\]",
        "They hold a blockhash, or slots. Parsed, these accounts are compared member by member.",
    ),
)


def unexplained(request: str, found: Iterable[tuple[str, Any, Any]]) -> list[tuple[str, Any, Any]]:
    """The differences that nothing explains."""
    return [row for row in found if not any(entry.covers(request, row[0]) for entry in EXPLAINED)]
