-- Up to where the events of topics were planned that tasks run for.
CREATE TABLE task_event_position (
    task         BLOB    NOT NULL,
    topic        TEXT    NOT NULL,         -- KafkaCluster/Kafka topic
    partition_id INTEGER NOT NULL,
    topic_id     TEXT    NOT NULL,         -- Kafka's id of the topic: a topic that is created again is another one
    next_offset  INTEGER NOT NULL,
    PRIMARY KEY (task, topic, partition_id)
) STRICT, WITHOUT ROWID;
