-- When the leader noticed that a task was deleted. From then on the retention counts for all of its rows.
CREATE TABLE task_deletion (
    task       uuid   PRIMARY KEY,
    deleted_at bigint NOT NULL
);
