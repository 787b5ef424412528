//! `job = …`: what a running job says about itself.

use super::wording::count;
use super::{AskError, CheckContext, Finding, JobFacts};
use crate::course::checks::{JobCheck, JobState};
use crate::course::located::did_you_mean;

pub(super) fn look(check: &JobCheck, context: &mut CheckContext) -> Result<Finding, AskError> {
    let name = &check.job;
    let jobs = context.jobs()?;
    let Some(job) = jobs.iter().rev().find(|job| job.name == *name) else {
        return Ok(missing(name, jobs));
    };
    let failed = state(check, job)
        .or_else(|| late(check, job))
        .or_else(|| windows(check, job))
        .or_else(|| watermark(check, job));
    Ok(failed.unwrap_or_else(|| Finding::pass(format!("{name} is {}", job.state))))
}

fn missing(name: &str, jobs: &[JobFacts]) -> Finding {
    let finding = Finding::fail(format!("there is no job '{name}' yet"));
    match did_you_mean(name, jobs.iter().map(|job| job.name.as_str())) {
        Some(near) => finding.advise(format!(
            "You have '{near}': a job has the name of the table that it inserts into."
        )),
        None => finding.advise("Start it: sql FILE, with an INSERT INTO in the file."),
    }
}

fn state(check: &JobCheck, job: &JobFacts) -> Option<Finding> {
    let wanted = check.state?;
    if job.state == wanted.word() {
        return None;
    }
    let finding = Finding::fail(format!(
        "{} is {}, and this step needs it {}",
        job.name,
        job.state,
        wanted.word()
    ));
    Some(match (&job.error, wanted) {
        (Some(error), _) => finding.advise(format!("It says: {}", crate::ui::visible(error))),
        (None, JobState::Running) if job.state != "created" => finding.advise("Start it again: sql FILE"),
        (None, JobState::Stopped) => finding.advise(format!("Stop it: job stop {}", job.name)),
        _ => finding,
    })
}

fn late(check: &JobCheck, job: &JobFacts) -> Option<Finding> {
    let wanted = check.late.filter(|wanted| *wanted != job.late)?;
    let finding = Finding::fail(format!(
        "{} has dropped {}, and this step needs {wanted}",
        job.name,
        count(job.late, "late record")
    ));
    Some(if job.late < wanted {
        finding.advise("A record is late when the window that it belongs to is closed: see `job show`.")
    } else {
        finding
    })
}

fn windows(check: &JobCheck, job: &JobFacts) -> Option<Finding> {
    let wanted = check
        .windows_open
        .filter(|wanted| *wanted != job.windows_open as u64)?;
    let finding = Finding::fail(format!(
        "{} has {}, and this step needs {wanted}",
        job.name,
        count(job.windows_open as u64, "open window")
    ));
    Some(if job.windows_open as u64 > wanted {
        finding
            .advise("A window closes when the watermark passes its end: an event of a later time moves it.")
    } else {
        finding.advise("A window opens with the first event of its time.")
    })
}

fn watermark(check: &JobCheck, job: &JobFacts) -> Option<Finding> {
    let wanted = check.watermark_at_least.as_ref()?;
    // Loading has seen that it is a time.
    let wanted_ms = wanted.parse::<jiff::Timestamp>().ok()?.as_millisecond();
    let has = job.watermark_ms;
    if has.is_some_and(|has| has >= wanted_ms) {
        return None;
    }
    let shown = has
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| "none yet".to_string(), |time| time.to_string());
    Some(
        Finding::fail(format!(
            "the watermark of {} is {shown}, and this step needs {wanted}",
            job.name
        ))
        .advise("The slowest partition decides: each one needs an event of that time (see `job show`)."),
    )
}
