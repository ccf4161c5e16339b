-- An inverted index of the log, in segments of 1,024 records. The rows of a segment are written together once it is complete,
-- and each new one behind the last; an index of single records would change pages all over its tree for each of them.
CREATE TABLE audit_posting (
    log     text COLLATE "C" NOT NULL,
    segment bigint NOT NULL,
    field   text COLLATE "C" NOT NULL,      -- a column of audit_record
    value   text COLLATE "C" NOT NULL,
    places  text COLLATE "C" NOT NULL,      -- counted from the first record of the segment, with commas between; * where many
    PRIMARY KEY (log, segment, field, value)
);

-- How many segments of each log are in the index.
CREATE TABLE audit_indexed (
    log      text COLLATE "C" PRIMARY KEY,
    segments bigint NOT NULL
);

DROP INDEX audit_record_actor;
DROP INDEX audit_record_action;
DROP INDEX audit_record_name;
DROP INDEX audit_record_namespace;
DROP INDEX audit_record_kind;
DROP INDEX audit_record_outcome;
