-- Up to when the occurrences of each task were planned.
CREATE TABLE task_cursor (
    task          uuid   PRIMARY KEY,
    at            bigint NOT NULL,         -- microseconds since 1970, as all times
    schedule_hash text COLLATE "C" NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Runs that are open, and ended ones until they are reported. Each row is updated a few times and then moved to
-- task_run_history, so the table stays small and is vacuumed often.
CREATE TABLE task_run (
    id                 uuid   PRIMARY KEY,
    tenant             text COLLATE "C" NOT NULL,
    namespace          text COLLATE "C" NOT NULL,
    task_name          text COLLATE "C" NOT NULL,
    task               uuid   NOT NULL,
    trigger_kind       text COLLATE "C" NOT NULL,
    trigger_json       text COLLATE "C" NOT NULL,
    scheduled_at       bigint NOT NULL,
    due_at             bigint NOT NULL,
    state              text COLLATE "C" NOT NULL,
    executor           text COLLATE "C",
    chain              uuid   NOT NULL,
    parameters         text COLLATE "C",   -- JSON
    work               text COLLATE "C",   -- JSON
    requested_by       text COLLATE "C",
    cancelled_by       text COLLATE "C",
    attempts           bigint NOT NULL DEFAULT 0,
    attempt_started_at bigint,             -- of the last attempt
    started_at         bigint,             -- of the first attempt
    ended_at           bigint,             -- not null if and only if the state is final
    exit_code          bigint,
    http_status        bigint,
    message            text COLLATE "C",
    items              bigint,
    errors             bigint,
    executed_by        text COLLATE "C",
    claimed_by         text COLLATE "C",   -- the runner
    lease_until        bigint,             -- by the clock of the database
    start_announced    boolean NOT NULL DEFAULT false
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX task_run_ready ON task_run (executor, due_at) WHERE state = 'Ready';
CREATE INDEX task_run_running ON task_run (lease_until) WHERE state = 'Running';
CREATE INDEX task_run_requested ON task_run (scheduled_at) WHERE state = 'Requested';
CREATE INDEX task_run_unreported ON task_run (ended_at, id) WHERE ended_at IS NOT NULL;
CREATE INDEX task_run_tenant ON task_run (tenant, scheduled_at, id);
CREATE INDEX task_run_chain ON task_run (chain) WHERE chain <> id;

-- Ended runs that were reported. Rows are inserted once, never updated, and deleted by the retention.
CREATE TABLE task_run_history (
    id           uuid   PRIMARY KEY,
    tenant       text COLLATE "C" NOT NULL,
    namespace    text COLLATE "C" NOT NULL,
    task_name    text COLLATE "C" NOT NULL,
    task         uuid   NOT NULL,
    trigger_kind text COLLATE "C" NOT NULL,
    trigger_json text COLLATE "C" NOT NULL,
    scheduled_at bigint NOT NULL,
    due_at       bigint NOT NULL,
    state        text COLLATE "C" NOT NULL,
    executor     text COLLATE "C",
    chain        uuid   NOT NULL,
    parameters   text COLLATE "C",
    requested_by text COLLATE "C",
    cancelled_by text COLLATE "C",
    attempts     bigint NOT NULL,
    started_at   bigint,
    ended_at     bigint NOT NULL,
    exit_code    bigint,
    http_status  bigint,
    message      text COLLATE "C",
    items        bigint,
    errors       bigint,
    executed_by  text COLLATE "C"
);

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
    run         uuid   NOT NULL,
    number      bigint NOT NULL,
    started_at  bigint NOT NULL,
    ended_at    bigint NOT NULL,
    state       text COLLATE "C" NOT NULL,
    exit_code   bigint,
    http_status bigint,
    message     text COLLATE "C",
    items       bigint,
    errors      bigint,
    executed_by text COLLATE "C",
    log_tail    text COLLATE "C",
    PRIMARY KEY (run, number)
);

-- Sums over the reported runs of each task.
CREATE TABLE task_statistics (
    task            uuid   PRIMARY KEY,
    succeeded       bigint NOT NULL,
    failed          bigint NOT NULL,
    timed_out       bigint NOT NULL,
    cancelled       bigint NOT NULL,
    missed          bigint NOT NULL,
    skipped         bigint NOT NULL,
    duration        bigint NOT NULL,       -- of the succeeded ones, in microseconds
    last_started_at bigint,
    last_success_at bigint,                -- when the last succeeded one ended
    last_failure_at bigint                 -- when the last failed or timed out one ended
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
