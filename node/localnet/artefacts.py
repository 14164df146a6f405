"""The compiled market programs: package data, checked against their manifest before anything runs them.

`programs/compiled/manifest.json` is written by `programs/build.sh`. It holds the SHA-256 of every compiled program and
one of all their sources, so that a program that was changed without being rebuilt, or the reverse, is noticed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from node.chain.clusters import DEVNET, MAINNET, IdSet
from node.errors import LocalnetError

PROGRAMS = Path(__file__).resolve().parent / "programs"
COMPILED = PROGRAMS / "compiled"
MANIFEST = COMPILED / "manifest.json"

_SOURCE_SUFFIXES = frozenset({".rs", ".toml", ".lock", ".sh"})
_SPL = {
    "token": (
        "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
        "18264f491c7e0ad056dd36f42f8de6d1fedf9f044d1f521e714b4dc6b61594b6",
    ),
    "memo": (
        "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr",
        "f520eaf096361abbb9639ea4dc3e5388a87b9330e121f476607b87c46ef67954",
    ),
}
_INSTALL = "Install the package anew."
_REBUILD = "Rebuild the programs with node/localnet/programs/build.sh, or install the package anew."


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled program as the chain loads it."""

    name: str
    address: str
    """Base58; where the network has deployed the program of that name."""
    elf: bytes
    sha256: str
    """Hex digest of `elf`."""


def load_programs(cluster: IdSet) -> tuple[Program, ...]:
    """The programs jobs, nodes, staking and rewards, compiled for the address set of that cluster.

    Raises LocalnetError if a file or the manifest is missing, or if they disagree.
    """
    ids = MAINNET if cluster == "mainnet" else DEVNET
    addresses = {"jobs": ids.jobs, "nodes": ids.nodes, "staking": ids.staking, "rewards": ids.rewards}
    digests = _digests(cluster)
    return tuple(_program(cluster, name, str(address), digests) for name, address in addresses.items())


def spl_programs() -> dict[Pubkey, bytes]:
    """The SPL programs that stand on every cluster, as they are deployed there (`compiled/spl/README.md`).

    Raises LocalnetError if a file is missing or is another one.
    """
    return {Pubkey.from_string(address): _spl_program(name, digest) for name, (address, digest) in _SPL.items()}


def _spl_program(name: str, digest: str) -> bytes:
    try:
        code = (COMPILED / "spl" / f"{name}.so").read_bytes()
    except OSError as error:
        raise LocalnetError(f"the SPL program {name} cannot be read: {error.strerror}", hint=_INSTALL) from None
    if hashlib.sha256(code).hexdigest() != digest:
        raise LocalnetError(f"the SPL program {name} is not the one that belongs here", hint=_INSTALL)
    return code


def source_hash() -> str:
    """SHA-256 (hex) of the programs' sources, by the rule that `build.sh` writes down.

    Sources are not part of an installed package. Raises LocalnetError where there are none.
    """
    files = {
        path.relative_to(PROGRAMS).as_posix(): path
        for path in PROGRAMS.rglob("*")
        if path.suffix in _SOURCE_SUFFIXES and "target" not in path.relative_to(PROGRAMS).parts and path.is_file()
    }
    if not files:
        raise LocalnetError(
            "the sources of the embedded chain's programs are not here",
            hint="They are part of a clone of the repository, not of an installed package.",
        )
    lines = (f"{_sha256(files[name].read_bytes())}  {name}\n" for name in sorted(files, key=str.encode))
    return _sha256("".join(lines).encode())


def manifest_source_hash() -> str:
    """SHA-256 (hex) of the sources that the compiled programs were built from.

    Raises LocalnetError if the manifest is missing or malformed.
    """
    digest = _manifest().get("sources")
    if not isinstance(digest, str):
        raise LocalnetError("the manifest of the compiled programs is malformed", hint=_REBUILD)
    return digest


def market_admin() -> Keypair:
    """A key that may close every market, run and job on a localnet.

    The programs know the network's own key as well; only its owner has that one, so that this one, derived from a
    public seed, stands in for it.
    """
    return _public_key_pair("market admin")


def network_authority() -> Keypair:
    """A key that audits nodes and governs the first staking settings on a localnet: a stand-in like `market_admin`.

    `init` stores the network's own authority in the settings; as long as it is that, this key may sign in its place.
    """
    return _public_key_pair("network authority")


def _public_key_pair(role: str) -> Keypair:
    return Keypair.from_seed(hashlib.sha256(f"gpunode localnet {role}".encode()).digest())


def _program(cluster: IdSet, name: str, address: str, digests: dict[str, object]) -> Program:
    path = COMPILED / cluster / f"{name}.so"
    try:
        elf = path.read_bytes()
    except OSError as error:
        raise LocalnetError(f"the compiled program {path} cannot be read: {error.strerror}", hint=_REBUILD) from error
    digest = _sha256(elf)
    if digests.get(name) != digest:
        raise LocalnetError(f"the compiled program {path} is not the one its manifest names", hint=_REBUILD)
    return Program(name=name, address=address, elf=elf, sha256=digest)


def _digests(cluster: IdSet) -> dict[str, object]:
    programs = _manifest().get("programs")
    digests = programs.get(cluster) if isinstance(programs, dict) else None
    if not isinstance(digests, dict):
        raise LocalnetError("the manifest of the compiled programs is malformed", hint=_REBUILD)
    return digests


def _manifest() -> dict[str, object]:
    try:
        manifest = json.loads(MANIFEST.read_bytes())
    except OSError as error:
        raise LocalnetError(f"{MANIFEST} cannot be read: {error.strerror}", hint=_REBUILD) from error
    except ValueError as error:
        raise LocalnetError(f"{MANIFEST} is not JSON", hint=_REBUILD) from error
    if not isinstance(manifest, dict):
        raise LocalnetError("the manifest of the compiled programs is malformed", hint=_REBUILD)
    return manifest


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
