//! The quiz and its badge, through the library and through the binary.
#![allow(clippy::unwrap_used, missing_docs)]

mod bank;
mod commands;
mod course;
mod terminal;
