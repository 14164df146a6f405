PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time REAL NOT NULL,
    lane TEXT NOT NULL,
    job TEXT NOT NULL,
    level TEXT NOT NULL,
    text TEXT NOT NULL
);
INSERT INTO "events" VALUES(1,1700000000.0,'main','','info','checking: checking host, wallet and market');
INSERT INTO "events" VALUES(2,1700000000.0,'main','','info','joining: joining the market');
INSERT INTO "events" VALUES(3,1700000000.0,'main','','info','queued: place 1 of 1 in the queue');
INSERT INTO "events" VALUES(4,1700000000.0,'main','A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','info','working: fetch: job A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx');
INSERT INTO "events" VALUES(5,1700000000.0,'main','A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','info','working: admit: job A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx');
INSERT INTO "events" VALUES(6,1700000000.0,'main','A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','info','working: run: job A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx');
INSERT INTO "events" VALUES(7,1700000000.0,'main','A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','info','working: report: job A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx');
INSERT INTO "events" VALUES(8,1700000000.0,'main','A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','info','working: settle: job A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx');
INSERT INTO "events" VALUES(9,1700000000.0,'main','A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','info','job A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx settled (finish, paid 0.000120 NOS)');
INSERT INTO "events" VALUES(10,1700000000.0,'main','','info','joining: joining the market');
INSERT INTO "events" VALUES(11,1700000000.0,'main','','info','queued: place 1 of 1 in the queue');
INSERT INTO "events" VALUES(12,1700000000.0,'main','A3eaxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','info','working: fetch: job A3eaxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx');
INSERT INTO "events" VALUES(13,1700000000.0,'main','A3eaxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','info','working: admit: job A3eaxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx');
INSERT INTO "events" VALUES(14,1700000000.0,'main','A3eaxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','info','working: run: job A3eaxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx');
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
INSERT INTO "jobs" VALUES('A7d1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','main','AAA2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','AAA1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','AAA3xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','QmW5GREog52duzpQbHQ2da8NCQSkL218TWW9hQzsR11bGM',10,3600,1700000000,'done','completed','',1700000000.0);
INSERT INTO "jobs" VALUES('A7d2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','A3eaxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','main','AAA2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','AAA1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','AAA3xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','QmW5GREog52duzpQbHQ2da8NCQSkL218TWW9hQzsR11bGM',10,3600,1700000000,'run',NULL,'',1700000000.0);
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
INSERT INTO "lanes" VALUES('main','AAA2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','AAA1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','working','run: job A3eaxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',1700000000.0,'',NULL,NULL);
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "meta" VALUES('created','1700000000.0');
CREATE TABLE operations (
    run TEXT NOT NULL REFERENCES jobs (run),
    position INTEGER NOT NULL,
    state TEXT NOT NULL,
    written REAL NOT NULL,
    PRIMARY KEY (run, position)
);
INSERT INTO "operations" VALUES('A7d1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',0,'{"record":"OperationState","value":{"command_hash":null,"container_id":null,"ended_ms":1700000000000,"engine_state":null,"errors":[],"exit_code":0,"group":"group","id":"op","image_digest":null,"index":0,"log":null,"started_ms":1700000000000,"starts":1,"status":"success"},"version":1}',1700000000.0);
INSERT INTO "operations" VALUES('A7d2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',0,'{"record":"OperationState","value":{"command_hash":null,"container_id":null,"ended_ms":null,"engine_state":null,"errors":[],"exit_code":null,"group":"group","id":"op","image_digest":null,"index":0,"log":null,"started_ms":1700000000000,"starts":1,"status":"running"},"version":1}',1700000000.0);
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
CREATE TABLE receipts (
    run TEXT PRIMARY KEY REFERENCES jobs (run),
    lane TEXT NOT NULL,
    seq INTEGER NOT NULL,
    receipt_cid TEXT NOT NULL,
    result_cid TEXT NOT NULL,
    settle_signature TEXT,
    UNIQUE (lane, seq)
);
INSERT INTO "receipts" VALUES('A7d1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','main',1,'QmVJCNmJ4RFTq5wvbSeyDAYc4ig2biHYuRSiDKyu6Weut5','QmcfTkVkfhsoPw1ehfUX6zDuadrujEQUKaEXBifTyNAmfs','finish-A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx');
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
INSERT INTO "settlements" VALUES('A7d1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','finish','finish-A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',9,120,'AAA2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','',5000,1700000000.0);
CREATE TABLE spending (
    id INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    lane TEXT NOT NULL,
    purpose TEXT NOT NULL,
    lamports INTEGER NOT NULL
);
CREATE TABLE stage_records (
    run TEXT NOT NULL REFERENCES jobs (run),
    stage TEXT NOT NULL,
    record TEXT NOT NULL,
    written REAL NOT NULL,
    PRIMARY KEY (run, stage)
);
INSERT INTO "stage_records" VALUES('A7d1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','assigned','{"record":"Assignment","value":{"blockhash":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","job":{"address":"A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","definition_cid":"QmW5GREog52duzpQbHQ2da8NCQSkL218TWW9hQzsR11bGM","market":"AAA1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","node":"11111111111111111111111111111111","payer":"AAA3xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","price":10,"project":"AAA3xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","result_cid":null,"state":0,"time_end":0,"time_start":0,"timeout":3600},"lane":"main","run":{"address":"A7d1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","job":"A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","node":"AAA2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","payer":"AAA2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","state":0,"time":1700000000},"seen_at":1700000000.5,"slot":7},"version":1}',1700000000.0);
INSERT INTO "stage_records" VALUES('A7d1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','fetch','{"record":"FetchedDefinition","value":{"body":"aW1hZ2U=","cid":"QmW5GREog52duzpQbHQ2da8NCQSkL218TWW9hQzsR11bGM","source":"fake"},"version":1}',1700000000.0);
INSERT INTO "stage_records" VALUES('A7d1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','admit','{"record":"Plan","value":{"gpus":[{"compute_capability":null,"cuda":null,"driver":null,"index":0,"name":"Simulated","power_limit_watts":null,"provider":"simulated","uuid":"GPU-sim-0","vram_bytes":null}],"job":"A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","network":"gpn0","notes":[],"operations":[{"container":{"aliases":[],"command":["run"],"entrypoint":null,"env":[],"gpu_uuids":["GPU-sim-0"],"image":"image","labels":[["gpunode.job","A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]],"limits":{"cpus":1.0,"disk_bytes":null,"log_bytes":1,"memory_bytes":1,"open_files":1,"pids":1,"shm_bytes":1},"name":"A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-0","network":"gpn0","profile":"standard","runtime":"runc","work_dir":null},"group":"group","id":"op","index":0,"results":[]}]},"version":1}',1700000000.0);
INSERT INTO "stage_records" VALUES('A7d1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','run','{"record":"Outcome","value":{"cause":"completed","end_blockhash":"headhash","end_slot":77,"ended_ms":1700000000000,"energy":{"joules":1.0,"samples":0,"samples_root":null,"source":"simulated","utilisation_mean":null},"job":"A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","operations":[{"command_hash":null,"container_id":null,"ended_ms":1700000000000,"engine_state":null,"errors":[],"exit_code":0,"group":"group","id":"op","image_digest":null,"index":0,"log":null,"started_ms":1700000000000,"starts":1,"status":"success"}],"started_ms":1700000000000,"violations":[]},"version":1}',1700000000.0);
INSERT INTO "stage_records" VALUES('A7d1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','report','{"record":"Report","value":{"job":"A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","receipt_bytes":103,"receipt_cid":"QmVJCNmJ4RFTq5wvbSeyDAYc4ig2biHYuRSiDKyu6Weut5","result_bytes":63,"result_cid":"QmcfTkVkfhsoPw1ehfUX6zDuadrujEQUKaEXBifTyNAmfs","stores":["fake"]},"version":1}',1700000000.0);
INSERT INTO "stage_records" VALUES('A7d1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','settle','{"record":"Settlement","value":{"fee":5000,"job":"A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","kind":"finish","pay":120,"payout":"AAA2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","reason":"","signature":"finish-A3e9xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","slot":9},"version":1}',1700000000.0);
INSERT INTO "stage_records" VALUES('A7d2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','assigned','{"record":"Assignment","value":{"blockhash":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","job":{"address":"A3eaxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","definition_cid":"QmW5GREog52duzpQbHQ2da8NCQSkL218TWW9hQzsR11bGM","market":"AAA1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","node":"11111111111111111111111111111111","payer":"AAA3xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","price":10,"project":"AAA3xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","result_cid":null,"state":0,"time_end":0,"time_start":0,"timeout":3600},"lane":"main","run":{"address":"A7d2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","job":"A3eaxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","node":"AAA2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","payer":"AAA2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","state":0,"time":1700000000},"seen_at":1700000000.5,"slot":7},"version":1}',1700000000.0);
INSERT INTO "stage_records" VALUES('A7d2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','fetch','{"record":"FetchedDefinition","value":{"body":"aW1hZ2U=","cid":"QmW5GREog52duzpQbHQ2da8NCQSkL218TWW9hQzsR11bGM","source":"fake"},"version":1}',1700000000.0);
INSERT INTO "stage_records" VALUES('A7d2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','admit','{"record":"Plan","value":{"gpus":[{"compute_capability":null,"cuda":null,"driver":null,"index":0,"name":"Simulated","power_limit_watts":null,"provider":"simulated","uuid":"GPU-sim-0","vram_bytes":null}],"job":"A3eaxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","network":"gpn0","notes":[],"operations":[{"container":{"aliases":[],"command":["run"],"entrypoint":null,"env":[],"gpu_uuids":["GPU-sim-0"],"image":"image","labels":[["gpunode.job","A3eaxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]],"limits":{"cpus":1.0,"disk_bytes":null,"log_bytes":1,"memory_bytes":1,"open_files":1,"pids":1,"shm_bytes":1},"name":"A3eaxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-0","network":"gpn0","profile":"standard","runtime":"runc","work_dir":null},"group":"group","id":"op","index":0,"results":[]}]},"version":1}',1700000000.0);
CREATE TABLE stage_times (
    run TEXT NOT NULL REFERENCES jobs (run),
    stage TEXT NOT NULL,
    entered REAL NOT NULL,
    PRIMARY KEY (run, stage)
) WITHOUT ROWID;
INSERT INTO "stage_times" VALUES('A7d1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','admit',1700000000.0);
INSERT INTO "stage_times" VALUES('A7d1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','done',1700000000.0);
INSERT INTO "stage_times" VALUES('A7d1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','fetch',1700000000.0);
INSERT INTO "stage_times" VALUES('A7d1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','report',1700000000.0);
INSERT INTO "stage_times" VALUES('A7d1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','run',1700000000.0);
INSERT INTO "stage_times" VALUES('A7d1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','settle',1700000000.0);
INSERT INTO "stage_times" VALUES('A7d2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','admit',1700000000.0);
INSERT INTO "stage_times" VALUES('A7d2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','fetch',1700000000.0);
INSERT INTO "stage_times" VALUES('A7d2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','run',1700000000.0);
CREATE INDEX jobs_by_job ON jobs (job);
CREATE INDEX jobs_by_lane ON jobs (lane, stage);
CREATE INDEX jobs_by_time ON jobs (created);
CREATE INDEX outbox_by_lane ON outbox (lane);
CREATE INDEX spending_by_time ON spending (lane, time);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',14);
COMMIT;
