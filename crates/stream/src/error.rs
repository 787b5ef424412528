//! What can go wrong: in the text of the SQL, and while a job runs.

use std::fmt;

use sqlparser::tokenizer::{Location, Span};

/// A place in the SQL text; line and column count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

impl Place {
    pub(crate) fn of(location: Location) -> Option<Self> {
        (location.line > 0).then_some(Self {
            line: location.line,
            column: location.column,
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The SQL is wrong, or asks for something that this engine doesn't do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// Where, when it is known.
    pub place: Option<Place>,
}

/// The result of everything that reads SQL.
pub type SqlResult<T> = Result<T, SqlError>;

impl SqlError {
    /// An error without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            place: None,
        }
    }

    /// Something of Flink's that this engine doesn't have.
    pub(crate) fn unsupported(what: impl fmt::Display) -> Self {
        Self::new(format!("{what} is not supported by the lab's engine"))
    }

    /// Says what to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Names the place; the first place named wins, because it is the innermost.
    #[must_use]
    pub(crate) fn at(mut self, span: Span) -> Self {
        if self.place.is_none() {
            self.place = Place::of(span.start);
        }
        self
    }

    /// Suggests the nearest of `names`, or lists them when they are few.
    #[must_use]
    pub(crate) fn did_you_mean<'a>(self, word: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<&str> = names.into_iter().collect();
        let best = names
            .iter()
            .map(|name| {
                (
                    strsim::damerau_levenshtein(&word.to_lowercase(), &name.to_lowercase()),
                    *name,
                )
            })
            .min_by_key(|(distance, _)| *distance);
        match best {
            Some((distance, name)) if distance <= word.chars().count().div_ceil(3).max(1) => {
                self.help(format!("did you mean {name}?"))
            }
            _ if !names.is_empty() && names.len() <= 12 => {
                self.help(format!("there are: {}", names.join(", ")))
            }
            _ => self,
        }
    }
}

/// A record or a state that a running job can't go on with. It fails the job, as in Flink.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// A value that an expression can't be computed for.
    #[error("{0}")]
    Expression(String),
    /// A record that its format can't read or write.
    #[error("{what} (partition {partition}, offset {offset})")]
    Record {
        /// What is wrong with it.
        what: String,
        /// Its partition.
        partition: i32,
        /// Its offset.
        offset: i64,
    },
    /// A row that the sink table can't take.
    #[error("{0}")]
    Sink(String),
    /// A checkpoint that does not fit the job.
    #[error("the checkpoint does not fit the job: {0}")]
    State(String),
}
