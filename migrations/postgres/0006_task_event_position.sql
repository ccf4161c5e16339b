-- Up to where the events of topics were planned that tasks run for.
CREATE TABLE task_event_position (
    task         uuid    NOT NULL,
    topic        text COLLATE "C" NOT NULL, -- KafkaCluster/Kafka topic
    partition_id bigint  NOT NULL,
    topic_id     text COLLATE "C" NOT NULL, -- Kafka's id of the topic: a topic that is created again is another one
    next_offset  bigint  NOT NULL,
    PRIMARY KEY (task, topic, partition_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
