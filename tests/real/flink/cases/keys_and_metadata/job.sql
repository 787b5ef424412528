-- Keys in their own format, and what a record has besides key and value; the sink sets key and timestamp.
-- rows: 3
CREATE TABLE t (id STRING, v INT, stamp TIMESTAMP_LTZ(3) METADATA FROM 'timestamp', `partition` INT METADATA VIRTUAL,
  pos BIGINT METADATA FROM 'offset' VIRTUAL, kind STRING METADATA FROM 'timestamp-type' VIRTUAL) WITH (
  'connector' = 'kafka', 'topic' = 'in', 'properties.bootstrap.servers' = 'localhost:9092',
  'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset',
  'key.format' = 'raw', 'key.fields' = 'id', 'value.format' = 'json', 'value.fields-include' = 'EXCEPT_KEY');
CREATE TABLE o (id STRING, n INT, v INT, stamp TIMESTAMP_LTZ(3), p INT, pos BIGINT, kind STRING, t TIMESTAMP_LTZ(3) METADATA FROM 'timestamp') WITH (
  'connector' = 'kafka', 'topic' = 'out', 'properties.bootstrap.servers' = 'localhost:9092',
  'key.format' = 'json', 'key.fields' = 'id;n', 'value.format' = 'json', 'value.json.timestamp-format.standard' = 'ISO-8601');
INSERT INTO o SELECT id, v + 1, v, stamp, `partition`, pos, kind, stamp FROM t;
