-- Endless: the slower partition holds the windows of the faster one.
-- rows: 2
CREATE TABLE rides (
  driver STRING, minutes INT, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH (
  'connector' = 'kafka', 'topic' = 'in', 'properties.bootstrap.servers' = 'localhost:9092',
  'scan.startup.mode' = 'earliest-offset', 'format' = 'json',
  'scan.watermark.emit.strategy' = 'on-event'
);
CREATE TABLE counts (window_start TIMESTAMP(3), window_end TIMESTAMP(3), driver STRING, n BIGINT, minutes INT)
WITH ('connector' = 'kafka', 'topic' = 'out', 'properties.bootstrap.servers' = 'localhost:9092', 'format' = 'json');
INSERT INTO counts
SELECT window_start, window_end, driver, COUNT(*), SUM(minutes)
FROM TABLE(TUMBLE(TABLE rides, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end, driver;
