//! A streaming engine for Flink SQL jobs on one machine: event time, windows, state, checkpoints.
//!
//! The same text runs unchanged on Apache Flink 2.2, with equal rows; what this engine does not have is refused by name.
//! It knows neither Kafka nor threads nor the time of day: a caller reads records, hands them to a [`Job`] with the
//! processing time, and writes what comes out.
//!
//! ```
//! use streamlings_stream::{Executed, Message, Script, Session};
//!
//! let sql = "
//!   CREATE TABLE rides (driver STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
//!   WITH ('connector' = 'kafka', 'topic' = 'rides', 'format' = 'json', 'scan.startup.mode' = 'earliest-offset',
//!         'scan.watermark.emit.strategy' = 'on-event');
//!   SELECT window_start, COUNT(*) AS rides
//!   FROM TABLE(TUMBLE(TABLE rides, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
//!   GROUP BY window_start, window_end;";
//! let mut executed = Session::default().run(&Script::parse(sql)?)?;
//! let Some(Executed::Query(plan)) = executed.pop() else { unreachable!() };
//! let mut job = plan.build();
//! let mut results = Vec::new();
//! job.add_split(0, 0);
//! for (offset, time) in ["18:00:54", "18:01:05"].iter().enumerate() {
//!     let value = format!(r#"{{"driver":"d-17","ts":"2026-03-01 {time}"}}"#);
//!     let message = Message {
//!         split: 0, topic: "rides", partition: 0, offset: offset as i64, timestamp_ms: None,
//!         log_append_time: false, key: None, value: Some(value.as_bytes()),
//!     };
//!     job.on_message(&message, 0, &mut results)?;
//! }
//! // The watermark is 18:01:00 now, five seconds behind the last event, and closes the window of 18:00.
//! assert_eq!(results.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decimal;
mod error;
mod expr;
mod format;
mod job;
mod operator;
mod plan;
mod session;
mod sql;
mod time;
mod types;
mod watermark;
mod window;

pub use decimal::Decimal;
pub use error::{Place, RunError, SqlError, SqlResult};
pub use expr::Env;
pub use expr::cast::print_value;
pub use job::{Job, JobInsides, JobPlan, Message, SinkRecord, Snapshot};
pub use operator::{Insides, OpenWindow, Operator, OperatorState};
pub use plan::TableKind;
pub use plan::options::{Bounded, Connector, Format, JsonOptions, KafkaOptions, Startup};
pub use session::{Executed, Script, Session};
pub use time::Timestamp;
pub use types::{DataType, Field, Record, Role, RowKind, Value};
pub use watermark::{Emit, PartitionWatermark, SourceWatermarks};
pub use window::{Window, WindowAssigner};
