-- Types, overflow, NULLs and printing of every aggregate.
-- rows: 3
CREATE TABLE t (
  k STRING, ti TINYINT, si SMALLINT, i INT, b BIGINT, f FLOAT, d DOUBLE, x DECIMAL(10, 2), t STRING,
  ts TIMESTAMP(3), da DATE, bo BOOLEAN,
  WATERMARK FOR ts AS ts
) WITH (
  'connector' = 'kafka', 'topic' = 'in', 'properties.bootstrap.servers' = 'localhost:9092',
  'scan.startup.mode' = 'earliest-offset', 'format' = 'json',
  'scan.bounded.mode' = 'latest-offset'
);
CREATE TABLE o (k STRING, n BIGINT, nt BIGINT, nd BIGINT, nf BIGINT, sum_ti TINYINT, sum_si SMALLINT, sum_i INT, sum_b BIGINT, sum_f FLOAT, sum_d DOUBLE, sum_x DECIMAL(38, 2), avg_ti TINYINT, avg_si SMALLINT, avg_i INT, avg_b BIGINT, avg_f FLOAT, avg_d DOUBLE, avg_x DECIMAL(38, 6), min_ti TINYINT, min_si SMALLINT, min_i INT, min_b BIGINT, min_f FLOAT, min_d DOUBLE, min_x DECIMAL(10, 2), min_ts TIMESTAMP(3), min_da DATE, max_ti TINYINT, max_si SMALLINT, max_i INT, max_b BIGINT, max_f FLOAT, max_d DOUBLE, max_x DECIMAL(10, 2), max_ts TIMESTAMP(3), max_da DATE) WITH ('connector' = 'kafka', 'topic' = 'out', 'properties.bootstrap.servers' = 'localhost:9092', 'format' = 'json');
INSERT INTO o SELECT k, COUNT(*), COUNT(t), COUNT(DISTINCT bo), COUNT(*) FILTER (WHERE i > 0),
  SUM(ti), SUM(si), SUM(i), SUM(b), SUM(f), SUM(d), SUM(x),
  AVG(ti), AVG(si), AVG(i), AVG(b), AVG(f), AVG(d), AVG(x),
  MIN(ti), MIN(si), MIN(i), MIN(b), MIN(f), MIN(d), MIN(x), MIN(ts), MIN(da),
  MAX(ti), MAX(si), MAX(i), MAX(b), MAX(f), MAX(d), MAX(x), MAX(ts), MAX(da)
FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR)) GROUP BY window_start, window_end, k;
