-- A window of windows: minutes, then the busiest minute of five.
-- rows: 1
CREATE TABLE rides (
  driver STRING, minutes INT, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH (
  'connector' = 'kafka', 'topic' = 'in', 'properties.bootstrap.servers' = 'localhost:9092',
  'scan.startup.mode' = 'earliest-offset', 'format' = 'json',
  'scan.bounded.mode' = 'latest-offset',
  'scan.watermark.emit.strategy' = 'on-event'
);
CREATE TEMPORARY VIEW per_minute AS
SELECT window_time AS t, driver, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE rides, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end, window_time, driver;
CREATE TABLE o (ws TIMESTAMP(3), n BIGINT, busiest BIGINT) WITH ('connector' = 'kafka', 'topic' = 'out', 'properties.bootstrap.servers' = 'localhost:9092', 'format' = 'json');
INSERT INTO o SELECT window_start, SUM(n), MAX(n) FROM TABLE(TUMBLE(TABLE per_minute, DESCRIPTOR(t), INTERVAL '5' MINUTE)) GROUP BY window_start, window_end;
