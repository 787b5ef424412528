//! The lab: everything of the `streamlings` command that is not a crate of its own.
//!
//! Rooms, and which may call which: `docs/ARCHITECTURE.md`.

pub mod author;
pub mod cancel;
pub mod check;
pub mod cli;
pub mod course;
pub mod home;
pub mod jobs;
pub mod kafka;
pub mod lab;
pub mod problem;
pub mod quiz;
pub mod session;
pub mod tools;
pub mod ui;
