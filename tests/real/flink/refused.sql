CREATE TABLE t (i INT, s STRING, ts TIMESTAMP(3), plain TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'kafka', 'topic' = 'in', 'properties.bootstrap.servers' = 'localhost:9092', 'scan.startup.mode' = 'earliest-offset', 'format' = 'json');
CREATE TABLE o (i INT, n BIGINT)
WITH ('connector' = 'kafka', 'topic' = 'out', 'properties.bootstrap.servers' = 'localhost:9092', 'format' = 'json');
-- refused: unknown column
SELECT nope FROM t;
-- refused: unknown table
SELECT i FROM tt;
-- refused: unknown function
SELECT NOPE(i) FROM t;
-- refused: a text in arithmetic
SELECT s + 1 FROM t;
-- refused: the sum of a text
SELECT SUM(s) FROM t;
-- refused: a column that is not grouped
SELECT i, COUNT(*) FROM t GROUP BY s;
-- refused: no event time
SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(plain), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end;
-- refused: too few columns
INSERT INTO o SELECT i FROM t;
-- refused: a narrower type
INSERT INTO o SELECT n, n FROM (SELECT CAST(i AS BIGINT) AS n FROM t);
-- refused: a text for a number
INSERT INTO o SELECT s, 1 FROM t;
-- refused: a changing result into a topic
INSERT INTO o SELECT i, COUNT(*) FROM t GROUP BY i;
-- refused: unknown option
CREATE TABLE u (i INT) WITH ('connector' = 'kafka', 'topic' = 'in', 'properties.bootstrap.servers' = 'localhost:9092', 'format' = 'json', 'scan.start' = 'earliest');
SELECT i FROM u;
-- refused: unknown startup mode
CREATE TABLE u (i INT) WITH ('connector' = 'kafka', 'topic' = 'in', 'properties.bootstrap.servers' = 'localhost:9092', 'format' = 'json', 'scan.startup.mode' = 'earliest');
SELECT i FROM u;
-- refused: a watermark on a text
CREATE TABLE u (s STRING, WATERMARK FOR s AS s) WITH ('connector' = 'kafka', 'topic' = 'in', 'format' = 'json');
-- refused: a size that is no multiple of the slide
SELECT COUNT(*) FROM TABLE(HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '40' SECOND, INTERVAL '1' MINUTE)) GROUP BY window_start, window_end;
-- refused: a primary key of a topic that only grows
CREATE TABLE u (i INT, PRIMARY KEY (i) NOT ENFORCED) WITH ('connector' = 'kafka', 'topic' = 'in', 'properties.bootstrap.servers' = 'localhost:9092', 'format' = 'json', 'scan.startup.mode' = 'earliest-offset');
SELECT i FROM u;
-- refused: a reserved word as a column
CREATE TABLE u (at BIGINT) WITH ('connector' = 'kafka', 'topic' = 'in', 'format' = 'json');
