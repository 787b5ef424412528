-- ISO 8601 in both directions, and fields that are not there.
-- rows: 3
CREATE TABLE t (a TIMESTAMP(3), b TIMESTAMP_LTZ(3), c TIMESTAMP(6), e TIME, s STRING) WITH ('connector' = 'kafka', 'topic' = 'in', 'properties.bootstrap.servers' = 'localhost:9092',
  'scan.startup.mode' = 'earliest-offset', 'format' = 'json',
  'scan.bounded.mode' = 'latest-offset',
  'json.timestamp-format.standard' = 'ISO-8601');
CREATE TABLE o (a TIMESTAMP(3), b TIMESTAMP_LTZ(3), c TIMESTAMP(6), e TIME, s STRING) WITH ('connector' = 'kafka', 'topic' = 'out',
  'properties.bootstrap.servers' = 'localhost:9092', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601', 'json.encode.ignore-null-fields' = 'true');
INSERT INTO o SELECT * FROM t;
