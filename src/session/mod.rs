//! The guided prompt.
//!
//! Three threads share one terminal: the session's own edits lines ([`editor`], [`guide`]), a command runs beside it
//! ([`runner`]), and a watcher asks the step's checks and ticks boxes ([`watch`]). All that they say goes through one
//! [`screen`].

pub mod aid;
pub mod command;
pub mod editor;
pub mod feed;
pub mod guide;
pub mod open;
pub mod runner;
pub mod screen;
pub mod view;
pub mod watch;
pub mod words;
