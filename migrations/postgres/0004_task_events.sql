-- Events about runs that are not published yet, in their order. Rows are inserted and deleted.
CREATE TABLE task_event (
    sequence bigserial PRIMARY KEY,
    event    text COLLATE "C" NOT NULL  -- a CloudEvent as JSON
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
