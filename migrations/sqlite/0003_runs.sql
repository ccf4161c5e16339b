-- Up to when the occurrences of each task were planned.
CREATE TABLE task_cursor (
    task          BLOB PRIMARY KEY,
    at            INTEGER NOT NULL,        -- microseconds since 1970, as all times
    schedule_hash TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Runs that are open, and ended ones until they are reported. Each row is updated a few times and then moved to
-- task_run_history, so the table stays small and is vacuumed often.
CREATE TABLE task_run (
    id                 BLOB PRIMARY KEY,
    tenant             TEXT NOT NULL,
    namespace          TEXT NOT NULL,
    task_name          TEXT NOT NULL,
    task               BLOB NOT NULL,
    trigger_kind       TEXT NOT NULL,
    trigger_json       TEXT NOT NULL,
    scheduled_at       INTEGER NOT NULL,
    due_at             INTEGER NOT NULL,
    state              TEXT NOT NULL,
    executor           TEXT,
    chain              BLOB NOT NULL,
    parameters         TEXT,               -- JSON
    work               TEXT,               -- JSON
    requested_by       TEXT,
    cancelled_by       TEXT,
    attempts           INTEGER NOT NULL DEFAULT 0,
    attempt_started_at INTEGER,            -- of the last attempt
    started_at         INTEGER,            -- of the first attempt
    ended_at           INTEGER,            -- not null if and only if the state is final
    exit_code          INTEGER,
    http_status        INTEGER,
    message            TEXT,
    items              INTEGER,
    errors             INTEGER,
    executed_by        TEXT,
    claimed_by         TEXT,               -- the runner
    lease_until        INTEGER,            -- by the clock of the database
    start_announced    INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX task_run_ready ON task_run (executor, due_at) WHERE state = 'Ready';
CREATE INDEX task_run_running ON task_run (lease_until) WHERE state = 'Running';
CREATE INDEX task_run_requested ON task_run (scheduled_at) WHERE state = 'Requested';
CREATE INDEX task_run_unreported ON task_run (ended_at, id) WHERE ended_at IS NOT NULL;
CREATE INDEX task_run_tenant ON task_run (tenant, scheduled_at, id);
CREATE INDEX task_run_chain ON task_run (chain) WHERE chain <> id;

-- Ended runs that were reported. Rows are inserted once, never updated, and deleted by the retention.
CREATE TABLE task_run_history (
    id           BLOB PRIMARY KEY,
    tenant       TEXT NOT NULL,
    namespace    TEXT NOT NULL,
    task_name    TEXT NOT NULL,
    task         BLOB NOT NULL,
    trigger_kind TEXT NOT NULL,
    trigger_json TEXT NOT NULL,
    scheduled_at INTEGER NOT NULL,
    due_at       INTEGER NOT NULL,
    state        TEXT NOT NULL,
    executor     TEXT,
    chain        BLOB NOT NULL,
    parameters   TEXT,
    requested_by TEXT,
    cancelled_by TEXT,
    attempts     INTEGER NOT NULL,
    started_at   INTEGER,
    ended_at     INTEGER NOT NULL,
    exit_code    INTEGER,
    http_status  INTEGER,
    message      TEXT,
    items        INTEGER,
    errors       INTEGER,
    executed_by  TEXT
) STRICT;

CREATE INDEX task_run_history_tenant ON task_run_history (tenant, scheduled_at, id);
CREATE INDEX task_run_history_task ON task_run_history (tenant, namespace, task_name, scheduled_at, id);
-- Most runs succeed; those are found without an index of the state.
CREATE INDEX task_run_history_state ON task_run_history (tenant, state, scheduled_at, id) WHERE state <> 'Succeeded';
-- Runs that somebody or something requested are few among those of schedules.
CREATE INDEX task_run_history_trigger ON task_run_history (tenant, scheduled_at, id) WHERE trigger_kind <> 'Schedule';
CREATE INDEX task_run_history_chain ON task_run_history (chain) WHERE chain <> id;
CREATE INDEX task_run_history_ended ON task_run_history (ended_at, id);

-- Ended attempts of runs. The running attempt is a part of task_run.
CREATE TABLE task_attempt (
    run         BLOB NOT NULL,
    number      INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER NOT NULL,
    state       TEXT NOT NULL,
    exit_code   INTEGER,
    http_status INTEGER,
    message     TEXT,
    items       INTEGER,
    errors      INTEGER,
    executed_by TEXT,
    log_tail    TEXT,
    PRIMARY KEY (run, number)
) STRICT;

-- Sums over the reported runs of each task.
CREATE TABLE task_statistics (
    task            BLOB PRIMARY KEY,
    succeeded       INTEGER NOT NULL,
    failed          INTEGER NOT NULL,
    timed_out       INTEGER NOT NULL,
    cancelled       INTEGER NOT NULL,
    missed          INTEGER NOT NULL,
    skipped         INTEGER NOT NULL,
    duration        INTEGER NOT NULL,      -- of the succeeded ones, in microseconds
    last_started_at INTEGER,
    last_success_at INTEGER,               -- when the last succeeded one ended
    last_failure_at INTEGER                -- when the last failed or timed out one ended
) STRICT, WITHOUT ROWID;
