//! `wait`: for a while, until a job has ended, or until it has said so many lines.

use std::time::{Duration, Instant};

use super::{Background, LOOK};
use crate::cancel::Cancel;
use crate::problem::{Outcome, Problem};

/// The longest that a prompt waits by the clock.
const LONGEST: Duration = Duration::from_secs(600);

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// A length of time.
    Time(Duration),
    /// A job's end.
    End(usize),
    /// So many lines of a job since its start.
    Lines(usize, u64),
}

impl Wait {
    /// The words after `wait`.
    pub fn of(words: &[String], background: &Background) -> Outcome<Self> {
        let usage = |what: String| {
            Problem::new(what)
                .next("wait 2s, wait N (until it has ended), wait N LINES (until it has said so many)")
        };
        match words {
            [time] if time.ends_with(|c: char| c.is_ascii_alphabetic()) => {
                let span: jiff::SignedDuration = time
                    .parse()
                    .map_err(|_| usage(format!("'{time}' is no length of time")))?;
                let time = Duration::try_from(span)
                    .ok()
                    .filter(|time| *time <= LONGEST)
                    .ok_or_else(|| usage(format!("a wait of '{time}' is too long")))?;
                Ok(Self::Time(time))
            }
            [job] => Ok(Self::End(background.find(Some(job))?)),
            [job, lines] => {
                let lines = lines
                    .parse()
                    .map_err(|_| usage(format!("'{lines}' is no number of lines")))?;
                Ok(Self::Lines(background.find(Some(job))?, lines))
            }
            _ => Err(usage("wait for what?".into())),
        }
    }

    /// Waits, but not past the deadline; Ctrl-C ends it.
    pub fn run(self, background: &Background, deadline: Option<Instant>, cancel: &Cancel) -> Outcome<()> {
        match self {
            Self::Time(time) => {
                let end = Instant::now() + time;
                while Instant::now() < end && !cancel.is_cancelled() {
                    std::thread::park_timeout(LOOK.min(end.saturating_duration_since(Instant::now())));
                }
            }
            Self::End(id) => drop(background.wait(id, None, deadline, cancel)?),
            Self::Lines(id, lines) => drop(background.wait(id, Some(lines), deadline, cancel)?),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_time_has_a_unit_and_a_job_has_to_be_there() {
        let none = Background::new(Arc::new(|_: &str| {}));
        let of = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            Wait::of(&words, &none).map_err(|problem| problem.what)
        };
        assert_eq!(of(&["2s"]), Ok(Wait::Time(Duration::from_secs(2))));
        assert_eq!(of(&["soons"]).unwrap_err(), "'soons' is no length of time");
        assert_eq!(of(&["7"]).unwrap_err(), "there is no background command '7'");
        assert_eq!(of(&[]).unwrap_err(), "wait for what?");
    }
}
