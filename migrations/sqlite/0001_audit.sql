-- Where each log ends. Whoever writes a log locks its row.
CREATE TABLE audit_head (
    log          TEXT PRIMARY KEY,
    size         INTEGER NOT NULL,       -- records, those that were dropped included
    first        INTEGER NOT NULL,       -- the first record that is there
    first_chain  BLOB NOT NULL,          -- the chain up to it
    chain        BLOB NOT NULL,          -- the chain up to the last record
    range_hashes BLOB NOT NULL,          -- the compact range of all records, 32 bytes a hash
    earliest     INTEGER,                -- times of the records since the last node of level 8
    latest       INTEGER
) STRICT, WITHOUT ROWID;

-- The records: canonical JSON, its hashes, and the values it is searched by.
CREATE TABLE audit_record (
    log       TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    id        BLOB NOT NULL,
    time      INTEGER NOT NULL,             -- microseconds since 1970
    actor     TEXT NOT NULL,
    action    TEXT NOT NULL,
    kind      TEXT,
    namespace TEXT,
    name      TEXT,
    outcome   TEXT NOT NULL,
    completes BLOB,
    hash      BLOB NOT NULL,
    chain     BLOB NOT NULL,
    body      TEXT NOT NULL,
    PRIMARY KEY (log, seq)
) STRICT;

CREATE UNIQUE INDEX audit_record_id ON audit_record (log, id);
CREATE INDEX audit_record_actor ON audit_record (log, actor, seq);
CREATE INDEX audit_record_action ON audit_record (log, action, seq);
CREATE INDEX audit_record_name ON audit_record (log, name, seq) WHERE name IS NOT NULL;
CREATE INDEX audit_record_namespace ON audit_record (log, namespace, seq) WHERE namespace IS NOT NULL;
-- Nearly all records are about topics; those are found without an index.
CREATE INDEX audit_record_kind ON audit_record (log, kind, seq) WHERE kind <> 'EventTopic';
CREATE INDEX audit_record_outcome ON audit_record (log, outcome, seq) WHERE outcome IN ('Denied', 'Failed');
CREATE INDEX audit_record_completes ON audit_record (log, completes) WHERE completes IS NOT NULL;

-- Nodes of each log's Merkle tree, of the levels 8, 16, 24 and so on.
CREATE TABLE audit_node (
    log      TEXT NOT NULL,
    level    INTEGER NOT NULL,
    idx      INTEGER NOT NULL,
    hash     BLOB NOT NULL,
    earliest INTEGER,                       -- of level 8: times of the records below
    latest   INTEGER,
    PRIMARY KEY (log, level, idx)
) STRICT, WITHOUT ROWID;

-- Signed checkpoints.
CREATE TABLE audit_checkpoint (
    log  TEXT NOT NULL,
    size INTEGER NOT NULL,
    note TEXT   NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (log, size)
) STRICT, WITHOUT ROWID;
