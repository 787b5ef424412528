-- What can't be read: no JSON is skipped, a wrong field is NULL.
-- rows: 7
CREATE TABLE t (i INT, d DOUBLE, b BOOLEAN, s STRING, x DECIMAL(5, 2), ts TIMESTAMP(3)) WITH ('connector' = 'kafka', 'topic' = 'in', 'properties.bootstrap.servers' = 'localhost:9092',
  'scan.startup.mode' = 'earliest-offset', 'format' = 'json',
  'scan.bounded.mode' = 'latest-offset',
  'json.ignore-parse-errors' = 'true');
CREATE TABLE o (i INT, d DOUBLE, b BOOLEAN, s STRING, x DECIMAL(5, 2), ts TIMESTAMP(3)) WITH ('connector' = 'kafka', 'topic' = 'out', 'properties.bootstrap.servers' = 'localhost:9092', 'format' = 'json');
INSERT INTO o SELECT * FROM t;
