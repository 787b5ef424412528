-- WHERE, HAVING, views, WITH, a query in FROM, names of columns.
-- rows: 2
CREATE TABLE t (
  k STRING, ti TINYINT, si SMALLINT, i INT, b BIGINT, f FLOAT, d DOUBLE, x DECIMAL(10, 2), t STRING,
  ts TIMESTAMP(3), da DATE, bo BOOLEAN,
  WATERMARK FOR ts AS ts
) WITH (
  'connector' = 'kafka', 'topic' = 'in', 'properties.bootstrap.servers' = 'localhost:9092',
  'scan.startup.mode' = 'earliest-offset', 'format' = 'json',
  'scan.bounded.mode' = 'latest-offset'
);
CREATE TEMPORARY VIEW known (name, amount, moment) AS SELECT k, COALESCE(i, 0), ts FROM t WHERE k IS NOT NULL;
CREATE TABLE o (name STRING, n BIGINT, total INT, share DOUBLE) WITH ('connector' = 'kafka', 'topic' = 'out', 'properties.bootstrap.servers' = 'localhost:9092', 'format' = 'json');
INSERT INTO o
WITH w AS (SELECT name, amount, window_start AS ws, window_end FROM TABLE(TUMBLE(DATA => TABLE known, TIMECOL => DESCRIPTOR(moment), SIZE => INTERVAL '10' SECOND)))
SELECT UPPER(q.name), COUNT(*) AS n, SUM(amount), CAST(COUNT(*) AS DOUBLE) / 3
FROM (SELECT * FROM w WHERE amount >= -10) AS q
GROUP BY ws, window_end, q.name HAVING COUNT(*) >= 1 AND MAX(amount) < 3000000000;
