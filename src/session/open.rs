//! Opening a step, and taking an exercise back to its beginning.

use std::time::Duration;

use console::Term;

use super::screen::Screen;
use super::watch::Watched;
use crate::check::setup;
use crate::course::{Course, Exercise, Need, Progress, Step, WorkFolder};
use crate::home::Home;
use crate::kafka::{Admin, Target};
use crate::lab::{BackendKind, BrokerVerb, LabClient};
use crate::problem::{Exit, Outcome, Problem};
use crate::ui;

/// Whether this lab can do what the exercise needs.
pub fn fits(exercise: &Exercise, lab: &LabClient) -> Outcome<()> {
    let can_have_brokers = lab.backend() != BackendKind::External;
    if can_have_brokers && lab.brokers_configured() < exercise.brokers as usize {
        return Err(Problem::new(format!(
            "{} needs {} brokers, and this lab has {}",
            exercise.id,
            exercise.brokers,
            lab.brokers_configured()
        ))
        .next(format!(
            "type up --brokers {}: it restarts the lab with so many",
            exercise.brokers
        )));
    }
    let needs: Vec<&str> = exercise.needs.iter().map(|need| need.word()).collect();
    let missing: Vec<String> = lab
        .capabilities()
        .missing(&needs)
        .into_iter()
        .map(|need| need.replace('_', " "))
        .collect();
    if missing.is_empty() && lab.brokers_configured() >= exercise.brokers as usize {
        return Ok(());
    }
    let brokers = match exercise.brokers {
        0 | 1 => String::new(),
        count => format!(" --brokers {count}"),
    };
    let what = match (missing.is_empty(), lab.backend()) {
        (true, _) => format!("it needs {} brokers", exercise.brokers),
        (false, _) => format!("this one ({}) can't {}", lab.backend(), missing.join(", ")),
    };
    Err(
        Problem::new(format!("{} needs another lab: {what}", exercise.id)).next(format!(
            "quit, then `streamlings down` and `streamlings up --backend embedded{brokers}`"
        )),
    )
}

/// Asks before the lab is restarted with another number of brokers.
pub fn confirm_restart(lab: &LabClient, brokers: u16, screen: &Screen) -> Outcome<bool> {
    let topics = match lab.backend() {
        BackendKind::Embedded => "Its topics and jobs stay.",
        BackendKind::Docker => {
            "A docker lab of another size has topics of its own; those of this one come back with this size."
        }
        BackendKind::External => {
            return Err(Problem::new(
                "the number of brokers of an external cluster is its owner's matter",
            ));
        }
    };
    let plural = if brokers == 1 { "" } else { "s" };
    screen.say(&ui::indented(
        &format!("The lab is restarted with {brokers} broker{plural}. {topics}"),
        0,
        0,
        ui::width(),
    ));
    Ok(ui::confirm(&Term::stderr(), "Restart it?", true).unwrap_or(false))
}

/// How far the cluster's clock is ahead, where the exercise needs it to be the machine's: clients stamp their records
/// with the machine's time, and to a cluster that is days ahead they are old enough for retention.
pub fn clock_in_the_way(exercise: &Exercise, lab: &LabClient) -> Option<String> {
    if needs(exercise, Need::AdvanceClock) {
        return None;
    }
    lab.status().ok().and_then(|status| status.clock_ahead())
}

/// Ends the faults that another exercise has left in force; whether there were any.
pub fn heal(exercise: &Exercise, lab: &LabClient) -> bool {
    lab.capabilities().faults
        && !needs(exercise, Need::Faults)
        && lab.faults().is_ok_and(|faults| !faults.is_empty())
        && lab.clear_faults().is_ok()
}

/// Undoes what the exercise has had the learner do to the lab: faults, stopped brokers, followers that don't copy.
fn mend(exercise: &Exercise, lab: &LabClient) -> Outcome<()> {
    let can = lab.capabilities();
    if can.faults {
        lab.clear_faults()?;
    }
    if !can.start_broker || !needs(exercise, Need::StartBroker) {
        return Ok(());
    }
    for broker in lab.status()?.brokers {
        if !broker.up {
            lab.broker(broker.id, BrokerVerb::Start)?;
        }
        if can.pause_replication {
            lab.broker(broker.id, BrokerVerb::ResumeReplication)?;
        }
    }
    Ok(())
}

/// Whether the exercise, or a step of it, needs this of the lab.
fn needs(exercise: &Exercise, wanted: Need) -> bool {
    let of_steps = exercise.steps.iter().flat_map(|step| &step.setup.needs);
    exercise.needs.iter().chain(of_steps).any(|need| *need == wanted)
}

/// Why this lab can only show a step: a sentence, or nothing.
pub fn only_shown(step: &Step, lab: &LabClient) -> Option<String> {
    let needs: Vec<&str> = step.setup.needs.iter().map(|need| need.word()).collect();
    let missing: Vec<String> = lab
        .capabilities()
        .missing(&needs)
        .into_iter()
        .map(|need| need.replace('_', " "))
        .collect();
    (!missing.is_empty()).then(|| {
        format!(
            "This lab ({}) can't do that: {}. So this step is to read: what it shows follows. To do it yourself: \
             quit, `streamlings down`, `streamlings up --backend embedded`.",
            lab.backend(),
            missing.join(", ")
        )
    })
}

/// How long the question for the cluster's id may take.
const CLUSTER_LIMIT: Duration = Duration::from_secs(2);

/// Plays the setup of the step's exercise up to this step, unless it was played already on this cluster and its topics
/// are there: a learner who has spoilt one deletes it. Says it when the exercise was begun on another cluster.
pub fn set_up(
    course: &Course,
    watched: &Watched,
    progress: &Progress,
    target: &Target,
    screen: &Screen,
) -> Outcome<()> {
    let exercise = &watched.exercise;
    let admin = Admin::new(target, CLUSTER_LIMIT).ok();
    let here = admin
        .as_ref()
        .and_then(Admin::cluster_id)
        .map(|id| format!("{id}/{}", target.prefix));
    let deleted = |step: &Step| {
        admin.as_ref().is_some_and(|admin| {
            let mut topics = step.setup.topic.iter();
            topics.any(|topic| matches!(admin.topic(&topic.name), Ok(None)))
        })
    };
    let (mut unsaved, mut moved) = (None, false);
    for step in &exercise.steps[..=watched.index] {
        let record = progress.step(exercise, step);
        // A cluster that doesn't answer, and a record from before clusters were noted, tell nothing.
        let elsewhere = record.cluster.is_some() && here.is_some() && record.cluster != here;
        moved |= elsewhere;
        let played = step.setup.is_empty()
            || (!elsewhere && record.set_up.as_ref() == Some(&step.proof_hash) && !deleted(step));
        if !played {
            screen.say("Preparing the cluster for this step …\n");
            setup::run(course, exercise, step, target)?;
        }
        if played && (here.is_none() || record.cluster == here) {
            continue;
        }
        let saved = progress.update(exercise, step, |record| {
            record.set_up = Some(step.proof_hash.clone());
            record.cluster.clone_from(&here);
        });
        unsaved = unsaved.or(saved.err());
    }
    if moved {
        let text = format!(
            "This is not the cluster on which you began {0}: what you made there is not here. `reset` begins {0} anew.",
            exercise.id
        );
        screen.say(&ui::indented(&text, 0, 0, ui::width()));
        screen.say("\n");
    }
    if let Some(problem) = unsaved {
        // The cluster is as the step needs it, and this session knows.
        screen.say(&problem.render());
    }
    Ok(())
}

/// Asks before anything is deleted.
pub fn confirm_reset(exercise: &Exercise, screen: &Screen) -> Outcome<bool> {
    let used = setup::names(exercise);
    let mut text = format!("Reset takes {} back to its beginning:\n", exercise.id);
    for (what, names) in [
        ("stops the job", &used.jobs),
        ("deletes the topic", &used.topics),
        ("deletes the group", &used.groups),
    ] {
        if !names.is_empty() {
            let plural = if names.len() == 1 { "" } else { "s" };
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            text.push_str(&ui::indented(
                &format!("- {what}{plural} {}", names.join(", ")),
                2,
                4,
                ui::width(),
            ));
        }
    }
    if !exercise.work_files.is_empty() {
        text.push_str(&ui::indented(
            "- puts your files back as they came; a changed one is kept beside as .yours-1",
            2,
            4,
            ui::width(),
        ));
    }
    screen.say(&text);
    let sure = ui::confirm(&Term::stderr(), "Reset?", false).unwrap_or(false);
    if !sure {
        screen.say("Nothing was changed.\n");
    }
    Ok(sure)
}

/// Takes an exercise back to its beginning: jobs, topics, groups, files, progress.
pub fn reset(
    home: &Home,
    course: &Course,
    exercise: &Exercise,
    progress: &Progress,
    lab: &LabClient,
    screen: &Screen,
) -> Outcome<()> {
    let used = setup::names(exercise);
    for job in &used.jobs {
        // A job that never ran needs no stop.
        drop(lab.stop_job(job)?);
    }
    mend(exercise, lab)?;
    let busy = setup::clean(&used, lab.target())?;
    if !busy.is_empty() {
        screen.say(&format!(
            "Still there, because a consumer is in it: group {}\n",
            busy.join(", group ")
        ));
    }
    for kept in WorkFolder::of(home, exercise).reset(course, exercise)? {
        screen.say(&format!("Your version is kept: {}\n", kept.display()));
    }
    progress.reset(exercise)
}

/// Said when the lab's process has ended, and not by `down` at this prompt.
pub const LAB_GONE: &str = "The lab has gone. `up` brings it back with all its data.";

/// The same as the problem of a command that needs the lab.
pub fn lab_gone() -> Problem {
    Problem::new("the lab has gone")
        .next("type up: it brings the lab back with all its data")
        .exit(Exit::NoLab)
}

/// Said when the lab is there and none of its brokers answers.
pub fn no_broker(backend: BackendKind) -> &'static str {
    match backend {
        BackendKind::Docker => {
            "No broker answers: Kafka's container has ended, or starts. `up` starts it again."
        }
        BackendKind::Embedded => "No broker is up. `broker list` shows them, `broker start 1` starts one.",
        BackendKind::External => "The cluster does not answer. `status` says where it should be.",
    }
}

/// Said when the boxes can't be asked.
pub fn no_answer(lab: &LabClient) -> String {
    let text = match LabHealth::of(lab) {
        LabHealth::Fine => "The cluster takes long to answer; the boxes follow.",
        LabHealth::NoBroker => no_broker(lab.backend()),
        LabHealth::NoLab => LAB_GONE,
    };
    ui::indented(text, 2, 2, ui::width())
}

/// The badges that were issued on this machine.
pub fn badges_text(home: &Home) -> String {
    let files = crate::quiz::badges::newest_first(home);
    let Some(newest) = files.first() else {
        return "No badge yet: the quiz issues one when you pass. `quiz` starts it.\n".to_string();
    };
    let mut text = String::from("Your badges, the newest first (each also as .svg and .png):\n");
    for file in &files {
        text.push_str(&format!("  {}\n", file.display()));
    }
    text.push_str(&format!(
        "Anyone can check one:\n  streamlings badge verify {}\n",
        newest.with_extension("png").display()
    ));
    ui::visible(&text).into_owned()
}

enum LabHealth {
    Fine,
    NoBroker,
    NoLab,
}

impl LabHealth {
    fn of(lab: &LabClient) -> Self {
        match lab.status() {
            Ok(status) if status.reachable() => Self::Fine,
            Ok(_) => Self::NoBroker,
            Err(_) => Self::NoLab,
        }
    }
}

/// `status` at the prompt.
pub fn status_text(lab: &LabClient) -> String {
    match lab.status() {
        Err(_) => no_answer(lab),
        Ok(status) => {
            let up = status.brokers.iter().filter(|broker| broker.up).count();
            let count = status.brokers.len();
            let mut text = format!("Lab   {}, {up} of {count} brokers up", status.backend);
            if count == 1 {
                text.push_str(&format!(", bootstrap {}", status.bootstrap));
            }
            text.push('\n');
            for broker in status.brokers.iter().filter(|_| count > 1) {
                let down = if broker.up { "" } else { "  down" };
                text.push_str(&format!(
                    "      broker {}  {}:{}{down}\n",
                    broker.id, broker.host, broker.port
                ));
            }
            if up == 0 {
                text.push_str(&ui::indented(no_broker(status.backend), 6, 6, ui::width()));
            }
            if !status.prefix.is_empty() {
                text.push_str(&format!(
                    "      other clients see your topics and groups with the prefix {}\n",
                    status.prefix
                ));
            }
            if let Some(ahead) = status.clock_ahead() {
                text.push_str(&format!("Clock {ahead} ahead of this machine's\n"));
            }
            for job in &status.jobs {
                text.push_str(&format!("Job   {} {} {}\n", job.id, job.name, job.state.word()));
            }
            // One address is enough to begin with, and three would break the lines.
            let address = match status.brokers.iter().find(|broker| broker.up) {
                Some(broker) if count > 1 && status.backend != BackendKind::External => {
                    format!("{}:{}", broker.host, broker.port)
                }
                _ => status.bootstrap.clone(),
            };
            text.push_str(&format!(
                "Other clients, in another terminal:\n      kcat -b {address} -L\n      \
                 kafka-topics.sh --bootstrap-server {address} --list\n"
            ));
            text
        }
    }
}
