"""The host card: a signed list of a host's GPUs and measured facts, which the NodeAccount has no room for.

Everything in it is stated by the node; the signature and the memo fix who said it and when, not that it is so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError
from solders.pubkey import Pubkey

from node.errors import ProofError
from node.proof.envelope import Sign, seal, unseal
from node.records import Address, Gpu

PREDICATE_TYPE = "urn:gpunode:host:1"
NAME = "gpunode"


@dataclass(frozen=True, slots=True)
class HostMeasures:
    """What was found on the host itself."""

    machine: str
    """The kernel's name of the processor architecture."""
    cpus: int
    memory_bytes: int
    storage_bytes: int
    iops: int | None
    """Random 4 KiB reads a second; None if not measured."""
    iops_direct: bool
    """Whether the page cache was bypassed."""
    measured_at: float
    """Unix seconds."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class CardGpu(_Part):
    """A GPU as the host's provider reports it."""

    provider: StrictStr
    index: StrictInt
    uuid: StrictStr
    name: StrictStr
    vram_bytes: StrictInt | None = Field(alias="vramBytes")
    driver: StrictStr | None
    cuda: StrictStr | None
    compute_capability: StrictStr | None = Field(alias="computeCapability")
    power_limit_milliwatts: StrictInt | None = Field(alias="powerLimitMilliwatts")


class CardHost(_Part):
    """The host's measures; `measured_ms` is unix milliseconds."""

    machine: StrictStr
    cpus: StrictInt
    memory_bytes: StrictInt = Field(alias="memoryBytes")
    storage_bytes: StrictInt = Field(alias="storageBytes")
    iops: StrictInt | None
    iops_direct: StrictBool = Field(alias="iopsDirect")
    measured_ms: StrictInt = Field(alias="measuredMs")


class HostCard(_Part):
    """A host card's fields."""

    agent: StrictStr
    node: StrictStr
    gpus: tuple[CardGpu, ...]
    host: CardHost

    def lists(self, gpus: Sequence[Gpu]) -> bool:
        """Whether the card lists exactly these GPUs as they are now; if not, it is time for a new card."""
        return [gpu.model_dump(by_alias=True) for gpu in self.gpus] == [_gpu(gpu) for gpu in gpus]


def build_card(node: Address, gpus: Sequence[Gpu], host: HostMeasures, *, agent_version: str, sign: Sign) -> bytes:
    """The signed host card, as the bytes of its file. Raises ProofError if `sign` signs with another key."""
    predicate = {
        "agent": f"{NAME}/{agent_version}",
        "node": node,
        "gpus": [_gpu(gpu) for gpu in gpus],
        "host": {
            "machine": host.machine,
            "cpus": host.cpus,
            "memoryBytes": host.memory_bytes,
            "storageBytes": host.storage_bytes,
            "iops": host.iops,
            "iopsDirect": host.iops_direct,
            "measuredMs": round(host.measured_at * 1000),
        },
    }
    return seal(node, sign, subject=[_subject(node)], predicate_type=PREDICATE_TYPE, predicate=predicate)


def _subject(node: Address) -> dict[str, Any]:
    try:
        key = bytes(Pubkey.from_string(node)).hex()
    except ValueError:
        raise ProofError(f"{node!r} is no address") from None
    return {"name": node, "digest": {"ed25519": key}}


def _gpu(gpu: Gpu) -> dict[str, Any]:
    return {
        "provider": gpu.provider,
        "index": gpu.index,
        "uuid": gpu.uuid,
        "name": gpu.name,
        "vramBytes": gpu.vram_bytes,
        "driver": gpu.driver,
        "cuda": gpu.cuda,
        "computeCapability": gpu.compute_capability,
        "powerLimitMilliwatts": None if gpu.power_limit_watts is None else round(gpu.power_limit_watts * 1000),
    }


def verify_card(envelope: bytes, node: Address) -> HostCard:
    """The fields of a host card that this node's key signed. Raises ProofError that says what is wrong."""
    statement = unseal(envelope, node, PREDICATE_TYPE)
    try:
        card = HostCard.model_validate(statement.predicate)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ProofError(f"the host card's {place} is malformed: {first['msg']}") from None
    if card.node != node:
        raise ProofError(f"the host card names node {card.node}, not {node}")
    if list(statement.subject) != [_subject(node)]:
        raise ProofError("the host card's subject is not its node")
    return card
