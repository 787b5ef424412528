-- Every type, read and written again.
-- rows: 9
CREATE TABLE t (
  k STRING, ti TINYINT, si SMALLINT, i INT, b BIGINT, f FLOAT, d DOUBLE, x DECIMAL(10, 2), t STRING,
  ts TIMESTAMP(3), da DATE, bo BOOLEAN,
  WATERMARK FOR ts AS ts
) WITH (
  'connector' = 'kafka', 'topic' = 'in', 'properties.bootstrap.servers' = 'localhost:9092',
  'scan.startup.mode' = 'earliest-offset', 'format' = 'json',
  'scan.bounded.mode' = 'latest-offset'
);
CREATE TABLE o (k STRING, ti TINYINT, si SMALLINT, i INT, b BIGINT, f FLOAT, d DOUBLE, x DECIMAL(10, 2), t STRING,
  ts TIMESTAMP(3), da DATE, bo BOOLEAN) WITH ('connector' = 'kafka', 'topic' = 'out', 'properties.bootstrap.servers' = 'localhost:9092', 'format' = 'json');
INSERT INTO o SELECT * FROM t;
