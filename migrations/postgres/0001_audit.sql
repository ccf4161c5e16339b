-- Where each log ends. Whoever writes a log locks its row.
CREATE TABLE audit_head (
    log          text COLLATE "C" PRIMARY KEY,
    size         bigint NOT NULL,          -- records, those that were dropped included
    first        bigint NOT NULL,          -- the first record that is there
    first_chain  bytea  NOT NULL,          -- the chain up to it
    chain        bytea  NOT NULL,          -- the chain up to the last record
    range_hashes bytea  NOT NULL,          -- the compact range of all records, 32 bytes a hash
    earliest     bigint,                   -- times of the records since the last node of level 8
    latest       bigint
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- The records: canonical JSON, its hashes, and the values it is searched by.
CREATE TABLE audit_record (
    log       text COLLATE "C" NOT NULL,
    seq       bigint NOT NULL,
    id        uuid   NOT NULL,
    time      bigint NOT NULL,             -- microseconds since 1970
    actor     text COLLATE "C" NOT NULL,
    action    text COLLATE "C" NOT NULL,
    kind      text COLLATE "C",
    namespace text COLLATE "C",
    name      text COLLATE "C",
    outcome   text COLLATE "C" NOT NULL,
    completes uuid,
    hash      bytea NOT NULL,
    chain     bytea NOT NULL,
    body      text COLLATE "C" NOT NULL,
    PRIMARY KEY (log, seq)
);

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
    log      text COLLATE "C" NOT NULL,
    level    bigint NOT NULL,
    idx      bigint NOT NULL,
    hash     bytea  NOT NULL,
    earliest bigint,                       -- of level 8: times of the records below
    latest   bigint,
    PRIMARY KEY (log, level, idx)
);

-- Signed checkpoints.
CREATE TABLE audit_checkpoint (
    log  text COLLATE "C" NOT NULL,
    size bigint NOT NULL,
    note text   NOT NULL,
    time bigint NOT NULL,
    PRIMARY KEY (log, size)
);
