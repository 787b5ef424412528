//! What an instructor uses: `author new|check|preview|schema`.

pub mod check;
pub mod command;
pub mod labs;
pub mod new;
pub mod play;
pub mod player;
pub mod preview;
pub mod schedule;
pub mod schema;
