"""What can be chosen when an embedded chain is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from node.chain.clusters import IdSet
from node.localnet.faults.kinds import Fault
from node.localnet.slots import SkipRule
from node.localnet.validator import History
from node.records import Address
from node.retry import Clock, SystemClock

DEFAULT_RPC_PORT = 8899
DEFAULT_CONTENT_PORT = 8901
"""The port after the RPC port is the socket's, so the next one is the first that is free."""
ENDPOINT_STEP = 10
"""From one endpoint's RPC port to the next one's."""


@dataclass(frozen=True, slots=True)
class LocalnetOptions:
    """How the chain runs. Ports: 0 means any free one (the socket's second port is always RPC port + 1)."""

    rpc_port: int = DEFAULT_RPC_PORT
    content_port: int = DEFAULT_CONTENT_PORT
    host: str = "127.0.0.1"
    state: Path | None = None
    """File the chain is loaded from at start, if it exists, and saved to from time to time and at stop."""
    keys: Path | None = None
    """Folder for the key files; keys already there are used."""
    ids: IdSet = "devnet"
    """Which of the network's published address sets the programs stand at."""
    empty: bool = False
    """Programs, their interfaces and the faucet only: no NOS mint, no market, no named wallets."""
    programs: Mapping[Address, Path] = field(default_factory=dict)
    """Further compiled programs by address; one at the address of the network's own takes its place."""
    accounts: tuple[Path, ...] = ()
    """JSON files, or folders of such, with accounts to put in place when the chain is made."""
    save_seconds: float = 60.0
    """How often the state is saved while the chain runs, if anything was sent since; 0: only at stop."""
    endpoints: int = 1
    """How many endpoints the chain has; each has ports of its own (every tenth, or any) and can have its own faults."""
    faults: tuple[Fault, ...] = ()
    """Faults that are set when the chain is ready."""
    slot_ms: int = 400
    """Milliseconds of one slot; 0: time stands still until `Localnet.advance` is called."""
    market_price: int = 1_000
    """Micro-NOS per second of the market that exists from genesis."""
    skip: SkipRule = field(default_factory=SkipRule)
    history: History = field(default_factory=History)
    clock: Clock = field(default_factory=SystemClock)
