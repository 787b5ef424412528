//! SELECT on the terminal: a job without a sink, whose changelog is printed as Flink's SQL client prints it.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use streamlings_stream::{DataType, Field, JobPlan, Record, print_value};

use super::cluster::target_of;
use super::shared::now_ms;
use super::source::{Polled, Source, find_splits};
use crate::cancel::Cancel;
use crate::kafka::Target;
use crate::problem::{Exit, Outcome, Problem};
use crate::ui;

const TICK: Duration = Duration::from_millis(200);

/// Reads until Ctrl-C, or until bounded sources end, and prints every row of the result.
pub(super) fn select(
    plan: &JobPlan,
    lab: &Target,
    out: &mut dyn Write,
    err: &mut dyn Write,
    cancel: &Cancel,
) -> Outcome<Exit> {
    let options = plan
        .source()
        .ok_or_else(|| Problem::new("the query has no source"))?;
    let target = target_of(options, lab);
    let failed = |why: String| Problem::new(why).exit(Exit::NotYet);
    let splits = find_splits(options, &target).map_err(|error| {
        let exit = if error.is_transient() {
            Exit::NoLab
        } else {
            Exit::Usage
        };
        Problem::new(error.to_string()).exit(exit)
    })?;
    let mut job = plan.build();
    let mut results = Vec::new();
    for (index, split) in splits.iter().enumerate() {
        job.add_split(index as i32, now_ms());
        if split.ended {
            job.end_split(index as i32, now_ms(), &mut results)
                .map_err(|error| failed(error.to_string()))?;
        }
    }
    let (mut source, _) =
        Source::open(options, &target, splits).map_err(|error| failed(error.to_string()))?;
    let mut table = Table::new(plan);
    let mut tick_at = Instant::now() + TICK;
    let closed = |error: io::Error| match error.kind() {
        io::ErrorKind::BrokenPipe => None,
        _ => Some(failed(format!("the result can't be printed: {error}"))),
    };
    loop {
        let wait = tick_at
            .saturating_duration_since(Instant::now())
            .min(Duration::from_millis(50));
        let polled = source
            .poll(wait, |message| job.on_message(message, now_ms(), &mut results))
            .map_err(|error| failed(error.to_string()))?;
        let ended = match polled {
            Polled::Nothing => Vec::new(),
            Polled::Record => source.take_ended(),
            Polled::Ended(splits) => splits,
            Polled::Trouble(text) => {
                // Nothing can be done about a terminal that takes no messages.
                drop(writeln!(err, "{text}"));
                Vec::new()
            }
        };
        let run = ended
            .into_iter()
            .try_for_each(|split| job.end_split(split as i32, now_ms(), &mut results));
        run.map_err(|error| failed(error.to_string()))?;
        if Instant::now() >= tick_at {
            job.on_tick(now_ms(), &mut results)
                .map_err(|error| failed(error.to_string()))?;
            tick_at = Instant::now() + TICK;
        }
        let done = source.is_ended() || job.is_done() || cancel.is_cancelled();
        let printed = table
            .rows(out, results.drain(..))
            .and_then(|()| if done { table.end(out) } else { out.flush() });
        if let Err(error) = printed {
            return closed(error).map_or(Ok(Exit::Done), Err);
        }
        if done {
            return Ok(Exit::Done);
        }
    }
}

/// The table on the terminal: a header before the first row, a line after the last.
struct Table<'a> {
    plan: &'a JobPlan,
    widths: Vec<usize>,
    begun: bool,
    rows: u64,
}

impl<'a> Table<'a> {
    fn new(plan: &'a JobPlan) -> Self {
        let widths = plan
            .fields()
            .iter()
            .map(|field| width(field).max(field.name.chars().count()))
            .collect();
        Self {
            plan,
            widths,
            begun: false,
            rows: 0,
        }
    }

    fn rule(&self) -> String {
        let columns: Vec<String> = self.widths.iter().map(|width| "-".repeat(width + 2)).collect();
        format!("+----+{}+\n", columns.join("+"))
    }

    fn line(&self, op: &str, values: impl IntoIterator<Item = String>) -> String {
        let mut line = format!("| {op} |");
        for (value, width) in values.into_iter().zip(&self.widths) {
            line.push_str(&format!(" {value:>width$} |"));
        }
        line.push('\n');
        line
    }

    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let names = self.plan.fields().iter().map(|field| field.name.clone());
        let header = format!("{0}{1}{0}", self.rule(), self.line("op", names));
        out.write_all(ui::visible(&header).as_bytes())
    }

    fn rows(&mut self, out: &mut dyn Write, records: impl Iterator<Item = Record>) -> io::Result<()> {
        self.begin(out)?;
        for record in records {
            let values = record.row.iter().zip(self.plan.fields());
            let values = values
                .map(|(value, field)| one_line(&print_value(value, &field.data_type, self.plan.zone())));
            let line = self.line(record.kind.symbol(), values);
            out.write_all(ui::visible(&line).as_bytes())?;
            self.rows += 1;
        }
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let rows = if self.rows == 1 {
            "1 row".to_owned()
        } else {
            format!("{} rows", self.rows)
        };
        writeln!(out, "{}Received a total of {rows}", self.rule())?;
        out.flush()
    }
}

fn one_line(text: &str) -> String {
    text.replace('\n', "\\n").replace('\t', "\\t")
}

/// What most values of a type need; a longer one pushes its row to the right.
fn width(field: &Field) -> usize {
    match &field.data_type {
        DataType::Timestamp(0) | DataType::TimestampLtz(0) => 19,
        DataType::Timestamp(p) | DataType::TimestampLtz(p) => 20 + usize::from(*p),
        DataType::BigInt | DataType::Double | DataType::Date => 10,
        DataType::Decimal(p, _) => (usize::from(*p) + 1).min(12),
        DataType::String => 12,
        _ => 6,
    }
}
