"""The journal's tables, as a list of migrations; PRAGMA user_version counts those applied.

A migration that has been released is never edited: a change is a new entry at the end.
"""

from __future__ import annotations

import sqlite3

from node.errors import JournalError

_FIRST = """
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- phase and reason are what was last shown; wish is what the operator asked for and survives restarts.
CREATE TABLE lanes (
    name TEXT PRIMARY KEY,
    node TEXT NOT NULL,
    market TEXT NOT NULL,
    phase TEXT NOT NULL,
    reason TEXT NOT NULL,
    since REAL NOT NULL,
    wish TEXT NOT NULL DEFAULT '' CHECK (wish IN ('', 'drain', 'pause')),
    paused_until REAL,
    queued_since REAL
) WITHOUT ROWID;

-- One row per run address: the same job may come twice, each time as another run.
CREATE TABLE jobs (
    run TEXT PRIMARY KEY,
    job TEXT NOT NULL,
    lane TEXT NOT NULL,
    node TEXT NOT NULL,
    market TEXT NOT NULL,
    poster TEXT NOT NULL,
    definition_cid TEXT NOT NULL,
    price INTEGER NOT NULL,
    timeout INTEGER NOT NULL,
    run_time INTEGER NOT NULL,
    stage TEXT NOT NULL,
    cause TEXT,
    refusal TEXT NOT NULL DEFAULT '',
    created REAL NOT NULL
);
CREATE INDEX jobs_by_job ON jobs (job);
CREATE INDEX jobs_by_lane ON jobs (lane, stage);
CREATE INDEX jobs_by_time ON jobs (created);

CREATE TABLE stage_times (
    run TEXT NOT NULL REFERENCES jobs (run),
    stage TEXT NOT NULL,
    entered REAL NOT NULL,
    PRIMARY KEY (run, stage)
) WITHOUT ROWID;

-- The record a stage made; NULL-free, so a row is the proof that the stage is over.
CREATE TABLE stage_records (
    run TEXT NOT NULL REFERENCES jobs (run),
    stage TEXT NOT NULL,
    record TEXT NOT NULL,
    written REAL NOT NULL,
    PRIMARY KEY (run, stage)
);

CREATE TABLE operations (
    run TEXT NOT NULL REFERENCES jobs (run),
    position INTEGER NOT NULL,
    state TEXT NOT NULL,
    written REAL NOT NULL,
    PRIMARY KEY (run, position)
);

CREATE TABLE outbox (
    key TEXT PRIMARY KEY,
    lane TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    wire BLOB NOT NULL,
    signature TEXT NOT NULL,
    last_valid_block_height INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    created_at REAL NOT NULL,
    slot INTEGER,
    fee INTEGER NOT NULL,
    error TEXT NOT NULL,
    recipe BLOB NOT NULL
);
CREATE INDEX outbox_by_lane ON outbox (lane);

CREATE TABLE settlements (
    run TEXT PRIMARY KEY REFERENCES jobs (run),
    kind TEXT NOT NULL,
    signature TEXT,
    slot INTEGER,
    pay INTEGER NOT NULL,
    payout TEXT,
    reason TEXT NOT NULL,
    fee INTEGER NOT NULL,
    settled REAL NOT NULL
);

-- Each lane's chain of receipts: a receipt names the one before it by CID and settle signature.
CREATE TABLE receipts (
    run TEXT PRIMARY KEY REFERENCES jobs (run),
    lane TEXT NOT NULL,
    seq INTEGER NOT NULL,
    receipt_cid TEXT NOT NULL,
    result_cid TEXT NOT NULL,
    settle_signature TEXT,
    UNIQUE (lane, seq)
);

CREATE TABLE spending (
    id INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    lane TEXT NOT NULL,
    purpose TEXT NOT NULL,
    lamports INTEGER NOT NULL
);
CREATE INDEX spending_by_time ON spending (lane, time);

CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time REAL NOT NULL,
    lane TEXT NOT NULL,
    job TEXT NOT NULL,
    level TEXT NOT NULL,
    text TEXT NOT NULL
);
"""

_LIVES = """
-- Unix seconds at which lives of the agent began to work on the run; a life that ended as it should is taken out.
ALTER TABLE jobs ADD COLUMN lives TEXT NOT NULL DEFAULT '[]';
"""

_IMAGES = """
-- Images that the agent pulled; those that the host had before are in no row. An empty id: the pull is under way, and
-- before holds the ids (JSON) of the images that were there when it began.
CREATE TABLE images (
    reference TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    used REAL NOT NULL,
    before TEXT NOT NULL
) WITHOUT ROWID;
"""

_UPLOADS = """
-- Documents that a store has not taken yet; they are kept in the content folder.
CREATE TABLE uploads (
    cid TEXT NOT NULL,
    store TEXT NOT NULL,
    name TEXT NOT NULL,
    job TEXT NOT NULL,
    created REAL NOT NULL,
    tried INTEGER NOT NULL,
    due REAL NOT NULL,
    PRIMARY KEY (cid, store)
) WITHOUT ROWID;
CREATE INDEX uploads_by_store ON uploads (store, due);
CREATE INDEX events_by_time ON events (time);
"""

_GPU_STATES = """
-- What a lane's GPUs were like before the job that was given them; a row stays until they were looked at after it.
CREATE TABLE gpu_states (
    lane TEXT NOT NULL,
    uuid TEXT NOT NULL,
    run TEXT NOT NULL,
    taken REAL NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (lane, uuid)
) WITHOUT ROWID;
"""

_PRIVATE_IMAGES = """
-- 1: pulled with a job's login, so that no other job is given it unasked.
ALTER TABLE images ADD COLUMN private INTEGER NOT NULL DEFAULT 0;
"""

_REVEALS = """
-- Salts and values of the commitments in a confidential job's receipt, as JSON; written before its owner or the receipt
-- has any of it, and never changed.
CREATE TABLE reveals (
    run TEXT PRIMARY KEY REFERENCES jobs (run),
    openings TEXT NOT NULL
) WITHOUT ROWID;
"""

MIGRATIONS: tuple[str, ...] = (_FIRST, _LIVES, _IMAGES, _UPLOADS, _GPU_STATES, _PRIVATE_IMAGES, _REVEALS)


def version_of(connection: sqlite3.Connection) -> int:
    """How many migrations the file has seen."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check_version(version: int) -> None:
    """Raise JournalError when the file was written by a newer gpunode."""
    if version > len(MIGRATIONS):
        raise JournalError(
            f"the journal has schema {version}; this gpunode knows {len(MIGRATIONS)}",
            hint="update gpunode, or point paths.data at another folder",
        )


def migrate(connection: sqlite3.Connection, migrations: tuple[str, ...] = MIGRATIONS) -> int:
    """Apply what is missing, each migration in a transaction of its own; returns how many were applied."""
    version = version_of(connection)
    for number in range(version, len(migrations)):
        # executescript commits what is open, so the transaction is spelled out inside the script.
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{migrations[number]}\nPRAGMA user_version = {number + 1};\nCOMMIT;"
        )
    return len(migrations) - version
