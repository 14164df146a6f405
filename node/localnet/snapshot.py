"""The chain in one file: saved when it stops, loaded when it starts again.

The file is a ZIP archive: `chain.json` (slots, blockhashes, keys), `accounts.json`, `ledger.json`, and one member
per stored content below `content/`. It holds secret keys, so its mode is 0600. Programs that the package brings are
not in it. Loading takes every account as finalized: what was in flight when the chain stopped is either in it or
gone, as on a restarted cluster.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solders.account import Account
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from node.chain.clusters import IdSet
from node.errors import LocalnetError
from node.localnet.ledger import Record
from node.localnet.slots import Block
from node.localnet.validator import Validator

FORMAT = 1
_MEMBERS = ("chain.json", "accounts.json", "ledger.json")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of a chain but its programs."""

    ids: IdSet
    empty: bool
    """Whether the chain began with programs only."""
    ahead: int
    """Nanoseconds by which its clock is ahead of the machine's."""
    genesis_hash: Hash
    keys: Mapping[str, Keypair]
    market: str | None
    transaction_count: int
    incomplete_upto: int
    """The newest slot of which a transaction was forgotten, -1 if none."""
    blocks: tuple[Block, ...]
    """Oldest first."""
    blockhashes: tuple[tuple[Hash, int, tuple[bytes, ...]], ...]
    accounts: tuple[tuple[Pubkey, Account], ...]
    records: Sequence[Record]


def take(
    validator: Validator,
    *,
    ids: IdSet,
    empty: bool,
    ahead: int,
    keys: Mapping[str, Keypair],
    market: str | None,
    standing: Collection[Pubkey],
) -> Snapshot:
    """The chain as it is now, but for the accounts `standing`: those of programs that every chain begins with."""
    return Snapshot(
        ids=ids,
        empty=empty,
        ahead=ahead,
        genesis_hash=validator.genesis_hash,
        keys=dict(keys),
        market=market,
        transaction_count=validator.transaction_count,
        incomplete_upto=validator.ledger.incomplete_upto,
        blocks=tuple(validator.slots.remembered()),
        blockhashes=tuple(validator.blockhashes.rows()),
        accounts=tuple(entry for entry in validator.bank.dump() if entry[0] not in standing),
        records=validator.ledger.records(),
    )


def save(path: Path, snapshot: Snapshot, content: Path) -> None:
    """Write the file whole or not at all. Raises LocalnetError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with (
                os.fdopen(handle, "wb") as file,
                zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            ):
                for member, pieces in _members(snapshot):
                    with archive.open(member, "w") as target:
                        for piece in pieces:
                            target.write(piece.encode())
                for stored in sorted(content.iterdir()):
                    archive.write(stored, f"content/{stored.name}")
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _unsaved(path, error) from None


def require_place(path: Path) -> None:
    """See that the file could be saved, while nothing is lost yet. Raises LocalnetError where it could not."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        os.close(handle)
        Path(name).unlink()
    except OSError as error:
        raise _unsaved(path, error) from None


def _unsaved(path: Path, error: OSError) -> LocalnetError:
    return LocalnetError(
        f"the chain cannot be saved to {path}: {error.strerror or error}",
        hint="Choose a file in a folder you may write to.",
    )


def load(path: Path, content: Path) -> Snapshot:
    """Read the file and unpack the stored content. Raises LocalnetError for a file that is no saved chain."""
    try:
        with zipfile.ZipFile(path) as archive:
            chain, accounts, ledger = (json.loads(archive.read(member)) for member in _MEMBERS)
            if chain["format"] != FORMAT:
                raise LocalnetError(
                    f"{path} was saved in format {chain['format']}, this release reads {FORMAT}",
                    hint="Name another file.",
                )
            snapshot = _snapshot(chain, accounts, ledger)
            for name in archive.namelist():
                leaf = name.removeprefix("content/")
                if name.startswith("content/") and leaf.isalnum():
                    (content / leaf).write_bytes(archive.read(name))
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise LocalnetError(
            f"{path} is not a saved chain: {error}",
            hint="Name a file that a localnet saved, or one that does not exist yet.",
        ) from None
    return snapshot


def _members(snapshot: Snapshot) -> Iterator[tuple[str, Iterable[str]]]:
    """The members in JSON, in pieces: as one text each they would take more memory than the chain has."""
    chain = {
        "format": FORMAT,
        "ids": snapshot.ids,
        "empty": snapshot.empty,
        "ahead": snapshot.ahead,
        "genesis_hash": str(snapshot.genesis_hash),
        "keys": {name: list(bytes(key)) for name, key in snapshot.keys.items()},
        "market": snapshot.market,
        "transaction_count": snapshot.transaction_count,
        "incomplete_upto": snapshot.incomplete_upto,
        "blocks": [
            [block.slot, block.height, block.parent, str(block.blockhash), block.time] for block in snapshot.blocks
        ],
        "blockhashes": [
            [str(key), height, [_text(message) for message in messages]]
            for key, height, messages in snapshot.blockhashes
        ],
    }
    accounts = (
        [str(key), account.lamports, _text(account.data), str(account.owner), account.executable]
        for key, account in snapshot.accounts
    )
    ledger = (_record_row(record) for record in snapshot.records)
    return zip(_MEMBERS, ([_json(chain)], _array(accounts), _array(ledger)), strict=True)


def _array(rows: Iterable[Any]) -> Iterator[str]:
    before = "["
    for row in rows:
        yield before + _json(row)
        before = ",\n"
    yield "[]" if before == "[" else "]"


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _record_row(record: Record) -> dict[str, Any]:
    return {
        "signature": record.signature,
        "slot": record.slot,
        "height": record.height,
        "time": record.time,
        "wire": _text(record.wire),
        "error": record.error,
        "logs": list(record.logs),
        "meta": record.meta.decode(),
        "memo": record.memo,
        "accounts": [str(key) for key in record.accounts],
    }


def _snapshot(chain: dict[str, Any], accounts: list[Any], ledger: list[Any]) -> Snapshot:
    return Snapshot(
        ids=chain["ids"],
        # Earlier releases wrote neither; their chains had a market, and kept the machine's time.
        empty=chain.get("empty", False),
        ahead=chain.get("ahead", 0),
        genesis_hash=Hash.from_string(chain["genesis_hash"]),
        keys={name: Keypair.from_bytes(bytes(raw)) for name, raw in chain["keys"].items()},
        market=chain["market"],
        transaction_count=chain["transaction_count"],
        incomplete_upto=chain["incomplete_upto"],
        blocks=tuple(
            Block(slot, height, parent, Hash.from_string(text), time)
            for slot, height, parent, text, time in chain["blocks"]
        ),
        blockhashes=tuple(
            (Hash.from_string(text), height, tuple(_bytes(entry) for entry in messages))
            for text, height, messages in chain["blockhashes"]
        ),
        accounts=tuple(
            (Pubkey.from_string(key), Account(lamports, _bytes(data), Pubkey.from_string(owner), any(executable)))
            for key, lamports, data, owner, *executable in accounts
        ),
        records=tuple(_record(row) for row in ledger),
    )


def _record(row: dict[str, Any]) -> Record:
    return Record(
        signature=row["signature"],
        slot=row["slot"],
        height=row["height"],
        time=row["time"],
        wire=_bytes(row["wire"]),
        error=row["error"],
        logs=tuple(row["logs"]),
        meta=row["meta"].encode(),
        memo=row["memo"],
        accounts=tuple(Pubkey.from_string(key) for key in row["accounts"]),
    )


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
