//! The course as data: files, loading with errors at file and line, progress.
//!
//! The format is documented in `docs/AUTHORING.md`.

pub mod checks;
pub mod exercise;
pub mod files;
pub mod load;
pub mod located;
pub mod model;
pub mod progress;
pub mod script;
pub mod work;

pub use checks::{Check, CheckKind};
pub use files::Files;
pub use model::{Course, Exercise, Module, Need, Predict, Setup, Step, Wrong};
pub use progress::{Progress, StepRecord};
pub use script::{Command, Script, Stdin};
pub use work::WorkFolder;
