"""Settings of the lanes: which GPUs, which key, which market."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from node.settings_section import Section, parse_address

_LAST_ACCOUNT = 255


class _Market(Section):
    wallet: Path
    """Key file, mode 0600: Solana id.json, or encrypted by `gpunode wallet encrypt`; with `account` the file of a seed:
    BIP-39 words, or what `gpunode wallet new --seed` made."""
    passphrase_file: Path | None = None
    """File (mode 0600) with the passphrase of an encrypted key, where no systemd credential has it."""
    market: str
    """Address of the market to join."""
    payout: str | None = None
    """NOS token account, or owner of one, that `finish` pays; by default the wallet's own."""

    @field_validator("market", "payout")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return None if value is None else parse_address(value)


class LaneSettings(_Market):
    """One GPU or set of GPUs, one key, at most one job at a time."""

    name: str = Field(default="main", pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    account: int | None = Field(default=None, ge=0, le=_LAST_ACCOUNT)
    """Which key of the seed in `wallet`: m/44'/501'/account'/0'; null: `wallet` holds one key."""
    gpus: Literal["all"] | tuple[str, ...] = "all"
    """`all`, or the UUIDs this lane offers: of whole GPUs or of MIG devices."""

    @property
    def key(self) -> tuple[Path, int | None]:
        """What names its key."""
        return self.wallet.expanduser(), self.account


class LaneGroupSettings(_Market):
    """Lanes of one seed, one for each GPU. A GPU keeps its lane's name and account for good."""

    name: str = Field(default="gpu", pattern=r"^[a-z0-9][a-z0-9-]{0,26}$")
    """The lanes are called so, with a dash and the account behind it."""
    first_account: int = Field(default=0, ge=0, le=_LAST_ACCOUNT)
    """Accounts of the seed are given out from here on; hosts that share a seed need ranges of their own."""
    gpus: Literal["each"] | tuple[str, ...] = "each"
    """`each`: every GPU that no other lane names, and every MIG device of one that is divided; or some UUIDs."""


def require_apart(lanes: Sequence[LaneSettings]) -> None:
    """Raise ValueError where two lanes share a name, a GPU or a key."""
    names: set[str] = set()
    keys: dict[tuple[Path, int | None], str] = {}
    gpus: dict[str, str] = {}
    for lane in lanes:
        if lane.name in names:
            raise ValueError(f"two lanes have the same name: {lane.name}")
        names.add(lane.name)
        other = keys.setdefault(lane.key, lane.name)
        if other != lane.name:
            raise ValueError(f"lanes {other} and {lane.name} use the same wallet; each needs a key of its own")
        if lane.gpus == "all" and len(lanes) > 1:
            raise ValueError(f"lane {lane.name} has all GPUs, and there are other lanes: give each its own in `gpus`")
        for uuid in lane.gpus if lane.gpus != "all" else ():
            other = gpus.setdefault(uuid.lower(), lane.name)
            if other != lane.name:
                raise ValueError(f"lanes {other} and {lane.name} share GPU {uuid}")
