//! Streaming jobs on Kafka: the stream engine's sources and sinks by librdkafka, and the jobs that run.

pub mod command;
pub mod status;

mod cluster;
mod display;
mod manager;
mod runner;
mod select;
mod shared;
mod sink;
mod source;
mod store;

pub use cluster::DEFAULT_ADDRESSES;
pub use command::problem_of;
pub use manager::JobManager;
