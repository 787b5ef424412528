-- How many rides end in each minute?
-- Two places are yours to complete: they are marked ___.

CREATE TABLE finished_rides (
  ride STRING,
  driver STRING,
  euros DOUBLE,
  ride_time TIMESTAMP(3),
  -- 1: rides may come up to 5 seconds out of order
  WATERMARK FOR ride_time AS ___
) WITH (
  'connector' = 'kafka',
  'topic' = 'finished_rides',
  'properties.bootstrap.servers' = 'localhost:9092',
  'scan.startup.mode' = 'earliest-offset',
  'scan.watermark.emit.strategy' = 'on-event',
  'format' = 'json'
);

CREATE TABLE rides_per_minute (
  window_start TIMESTAMP(3),
  window_end TIMESTAMP(3),
  rides BIGINT
) WITH (
  'connector' = 'kafka',
  'topic' = 'rides_per_minute',
  'properties.bootstrap.servers' = 'localhost:9092',
  'format' = 'json'
);

INSERT INTO rides_per_minute
SELECT window_start, window_end, COUNT(*) AS rides
FROM TABLE(
  -- 2: windows of one minute
  TUMBLE(TABLE finished_rides, DESCRIPTOR(ride_time), ___)
)
GROUP BY window_start, window_end;
