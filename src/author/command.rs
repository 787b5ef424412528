//! `author new|check|preview|schema`.

use std::path::PathBuf;

use clap::Subcommand;

use super::{check, new, preview, schema};
use crate::problem::{Exit, Outcome};

/// The instructor's commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an exercise that passes `author check`, to be filled
    New {
        /// Its folder: 1.4-my-exercise
        name: String,
        /// The course: a folder that holds exercises/ (it is made if it is not there)
        #[arg(long, value_name = "FOLDER", env = "STREAMLINGS_COURSE", default_value = ".")]
        course: PathBuf,
    },
    /// Play every exercise: the start fails, the solution passes, each wrong solution gets its message
    Check(check::Check),
    /// Show an exercise as the learner will see it, again whenever its file changes
    Preview {
        /// Its id or its folder: 1.4
        exercise: String,
        /// The course: a folder that holds exercises/
        folder: Option<PathBuf>,
        /// Show it once
        #[arg(long)]
        once: bool,
    },
    /// Print the JSON Schema of the course files, or write one file for each into a folder
    Schema {
        /// The folder to write them into
        folder: Option<PathBuf>,
    },
}

/// Runs one of them.
pub fn run(command: Command) -> Outcome<Exit> {
    match command {
        Command::New { name, course } => new::run(&name, &course),
        Command::Check(options) => check::run(&options),
        Command::Preview {
            exercise,
            folder,
            once,
        } => preview::run(&exercise, folder.as_deref(), once),
        Command::Schema { folder } => schema::run(folder.as_deref()),
    }
}
