//! The quiz: bank, draw, attempt, grade, and the badge that follows.
//!
//! The bank is course data (`quizzes/`), so it is untrusted: everything is read through [`crate::course::files::Files`]
//! and shown through the course's own rendering. The format is documented in `docs/AUTHORING.md`.

pub mod answers;
pub mod attempt;
pub mod award;
pub(crate) mod badges;
pub mod bank;
pub mod command;
pub mod draw;
pub mod grade;
pub mod keys;
mod lint;
mod report;
mod screens;

pub use attempt::{Attempt, Attempts};
pub use bank::{Bank, Question};
pub use draw::{Drawn, DrawnQuestion, draw};
pub use grade::{Graded, grade};
pub use lint::lint;
