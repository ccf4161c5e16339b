-- Events about runs that are not published yet, in their order. Rows are inserted and deleted.
CREATE TABLE task_event (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    event    TEXT NOT NULL  -- a CloudEvent as JSON
) STRICT;
