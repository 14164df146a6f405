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


_MONEY = """
-- What is booked of one transaction is found again by its signature: once, however often it is looked at. A null fee:
-- an older gpunode booked fee and rent as one figure. certain 0: no record of the ledger, only the fee of its bytes.
ALTER TABLE spending ADD COLUMN signature TEXT;
ALTER TABLE spending ADD COLUMN fee INTEGER;
ALTER TABLE spending ADD COLUMN priority INTEGER;
ALTER TABLE spending ADD COLUMN certain INTEGER NOT NULL DEFAULT 1;
CREATE UNIQUE INDEX spending_by_signature ON spending (signature) WHERE signature IS NOT NULL;
CREATE INDEX spending_by_purpose ON spending (purpose);

-- What is left of bookings that were pruned: sums by quarter of an hour, from which the days of every time zone can be
-- made, and by run (empty: not of one job that this host ran).
CREATE TABLE spending_sums (
    quarter INTEGER NOT NULL,
    lane TEXT NOT NULL,
    run TEXT NOT NULL,
    kind TEXT NOT NULL,
    count INTEGER NOT NULL,
    lamports INTEGER NOT NULL,
    fee INTEGER,
    priority INTEGER,
    certain INTEGER NOT NULL,
    PRIMARY KEY (quarter, lane, run, kind)
) WITHOUT ROWID;

-- What of a run's records is money, or needed to judge it; it stays when they are pruned.
CREATE TABLE job_work (
    run TEXT PRIMARY KEY REFERENCES jobs (run),
    queued_since REAL,
    gpus TEXT NOT NULL DEFAULT '[]',
    started_ms INTEGER,
    ended_ms INTEGER,
    metered_ms INTEGER,
    millijoules INTEGER,
    source TEXT
) WITHOUT ROWID;
INSERT INTO job_work (run) SELECT run FROM jobs;
UPDATE job_work SET gpus = COALESCE(
    (SELECT (SELECT json_group_array(json_extract(gpu.value, '$.uuid')) FROM json_each(r.record, '$.value.gpus') AS gpu)
     FROM stage_records r
     WHERE r.run = job_work.run AND r.stage = 'admit' AND json_extract(r.record, '$.record') = 'Plan'), '[]');
UPDATE job_work SET (started_ms, ended_ms, millijoules, source) = (
    SELECT json_extract(r.record, '$.value.started_ms'), json_extract(r.record, '$.value.ended_ms'),
           CAST(round(json_extract(r.record, '$.value.energy.joules') * 1000) AS INTEGER),
           json_extract(r.record, '$.value.energy.source')
    FROM stage_records r WHERE r.run = job_work.run AND json_extract(r.record, '$.record') = 'Outcome' LIMIT 1);

ALTER TABLE settlements ADD COLUMN source TEXT NOT NULL DEFAULT 'balances';
ALTER TABLE settlements ADD COLUMN returned INTEGER NOT NULL DEFAULT 0;
UPDATE settlements SET source = 'account' WHERE reason LIKE '%pay by the job''s account%';
UPDATE settlements SET source = 'unknown' WHERE reason LIKE '%pay unknown%';
"""

_WORK = """
-- GPU work proofs. A row is there before the work begins, with the most it can cost, so that no end loses count of it;
-- ended NULL: under way, or cut off with the agent. root is there before its memo is sent.
CREATE TABLE work_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    lane TEXT NOT NULL,
    gpu TEXT NOT NULL,
    engine TEXT NOT NULL,
    began REAL NOT NULL,
    ended REAL,
    joules REAL NOT NULL,
    outcome TEXT NOT NULL DEFAULT '',
    root TEXT
);
CREATE INDEX work_runs_by_time ON work_runs (began);

-- Those that were anchored and opened; the documents are in the content folder.
CREATE TABLE work_proofs (
    run INTEGER PRIMARY KEY REFERENCES work_runs (id),
    lane TEXT NOT NULL,
    gpu TEXT NOT NULL,
    engine TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    cid TEXT NOT NULL,
    root TEXT NOT NULL,
    signature TEXT NOT NULL,
    made_ms INTEGER NOT NULL,
    size INTEGER NOT NULL,
    rounds INTEGER NOT NULL,
    document_bytes INTEGER NOT NULL,
    milliseconds INTEGER NOT NULL,
    joules REAL NOT NULL,
    metered INTEGER NOT NULL,
    seed_slot INTEGER NOT NULL,
    seed_time INTEGER,
    anchor_slot INTEGER NOT NULL,
    anchor_time INTEGER
);
CREATE INDEX work_proofs_by_lane ON work_proofs (lane, made_ms);

CREATE TABLE ladders (
    digest TEXT PRIMARY KEY,
    gpu TEXT NOT NULL,
    measured_ms INTEGER NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID;

-- SHA-256 of the work proof and of the ladder that the receipt names.
ALTER TABLE receipts ADD COLUMN work TEXT;
ALTER TABLE receipts ADD COLUMN ladder TEXT;
"""

_SETTLE_WIRE = """
-- The signed transaction that settled the run, for bundles: the outbox forgets it once it is final. NULL: not ours.
ALTER TABLE settlements ADD COLUMN wire BLOB;
"""

_LATENCY = """
-- When a run came to each point of its way (unix milliseconds): written once. Of older runs, what other tables tell.
CREATE TABLE moments (
    run TEXT NOT NULL REFERENCES jobs (run),
    moment TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (run, moment)
) WITHOUT ROWID;
INSERT INTO moments SELECT run, 'assigned', run_time * 1000 FROM jobs WHERE run_time > 0;
INSERT INTO moments SELECT run, 'picked_up', CAST(round(created * 1000) AS INTEGER) FROM jobs;
INSERT INTO moments SELECT run, 'queued', CAST(round(queued_since * 1000) AS INTEGER) FROM job_work
    WHERE queued_since IS NOT NULL;
INSERT INTO moments SELECT run, 'exited', ended_ms FROM job_work WHERE ended_ms > started_ms;
INSERT INTO moments SELECT t.run, 'uploaded', CAST(round(t.entered * 1000) AS INTEGER) FROM stage_times t
    JOIN receipts r ON r.run = t.run WHERE t.stage = 'settle';
INSERT INTO moments SELECT run, 'settled', CAST(round(settled * 1000) AS INTEGER) FROM settlements;
"""

MIGRATIONS: tuple[str, ...] = (
    _FIRST,
    _LIVES,
    _IMAGES,
    _UPLOADS,
    _GPU_STATES,
    _PRIVATE_IMAGES,
    _REVEALS,
    _MONEY,
    _WORK,
    _SETTLE_WIRE,
    _LATENCY,
)


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
