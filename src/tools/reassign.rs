//! `kafka-reassign-partitions`: partitions move to other brokers, or get more or fewer replicas.

mod assign;
mod plan;
mod throttle;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::kafka::{Admin, KafkaError, Reassignment, TopicPartition, Wire};

use super::flags::{Args, BOOTSTRAP, COMMAND_CONFIG, Flag, HELP, Syntax, Takes, VERSION, flag};
use super::io::{Failure, Ran, admin, wire};
use super::{Framed, Tool, ToolIo, java, properties};
use plan::{Dirs, Plan, Replicas, joined, named};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-reassign-partitions",
    about: "Move partitions to other brokers: plan, execute, verify or cancel.",
    examples: &[
        "--generate --topics-to-move-json-file topics.json --broker-list 1,2,3",
        "--execute --reassignment-json-file plan.json",
        "--verify --reassignment-json-file plan.json",
        "--list",
    ],
    syntax: Syntax::Jopt,
    flags: &FLAGS,
    run,
    frame: |message| Framed {
        on_stdout: true,
        text: format!("Error: {message}\n"),
        exit: 1,
    },
};

static FLAGS: [Flag; 20] = [
    flag(
        "generate",
        Takes::Nothing,
        "Print a plan for --topics-to-move-json-file and --broker-list; nothing is moved.",
    ),
    flag(
        "execute",
        Takes::Nothing,
        "Start what --reassignment-json-file says.",
    ),
    flag(
        "verify",
        Takes::Nothing,
        "Is it done? Then throttles are taken away too.",
    ),
    flag("cancel", Takes::Nothing, "Call it off."),
    flag("list", Takes::Nothing, "Print what is being moved."),
    flag(
        "reassignment-json-file",
        Takes::Text("file"),
        "The plan: {\"version\": 1, \"partitions\": [{\"topic\": \"rides\", \"partition\": 0, \"replicas\": [1, 2]}]}.",
    ),
    flag(
        "topics-to-move-json-file",
        Takes::Text("file"),
        "With --generate: {\"version\": 1, \"topics\": [{\"topic\": \"rides\"}]}.",
    ),
    flag(
        "broker-list",
        Takes::Text("1,2,3"),
        "With --generate: the brokers that the topics are spread over.",
    ),
    flag(
        "disable-rack-aware",
        Takes::Nothing,
        "With --generate: don't look at the brokers' racks.",
    ),
    flag(
        "additional",
        Takes::Nothing,
        "With --execute: also while other partitions are being moved.",
    ),
    flag(
        "disallow-replication-factor-change",
        Takes::Nothing,
        "With --execute: refuse a plan with more or fewer replicas than now.",
    ),
    flag(
        "throttle",
        Takes::Number("bytes/s"),
        "With --execute: copy between brokers no faster than this.",
    ),
    flag(
        "replica-alter-log-dirs-throttle",
        Takes::Number("bytes/s"),
        "With --execute: copy between folders of one broker no faster than this.",
    ),
    flag(
        "preserve-throttles",
        Takes::Nothing,
        "With --verify and --cancel: leave throttles as they are.",
    ),
    flag(
        "timeout",
        Takes::Number("ms"),
        "How long a move between log folders may take to begin (10000).",
    ),
    flag(
        "bootstrap-controller",
        Takes::Text("host:port"),
        "Not known here: any broker passes on what only the controller can do.",
    ),
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
];

/// How often a move between log folders is asked for again until its replica is there.
const MOVE_AGAIN: Duration = Duration::from_millis(100);
const MOVE_TIMEOUT_MS: u64 = 10_000;

/// The actions, with the flags that each needs and those that it also takes.
const ACTIONS: [(&str, &[&str], &[&str]); 5] = [
    (
        "generate",
        &["topics-to-move-json-file", "broker-list"],
        &["disable-rack-aware"],
    ),
    (
        "execute",
        &["reassignment-json-file"],
        &[
            "additional",
            "throttle",
            "replica-alter-log-dirs-throttle",
            "timeout",
            "disallow-replication-factor-change",
        ],
    ),
    ("verify", &["reassignment-json-file"], &["preserve-throttles"]),
    (
        "cancel",
        &["reassignment-json-file"],
        &["preserve-throttles", "timeout"],
    ),
    ("list", &[], &[]),
];

fn run(args: &Args, io: &mut ToolIo<'_>) -> Ran {
    let action = action(args)?;
    let target = properties::target(args, io)?;
    let text = |flag: &str, io: &ToolIo<'_>| io.files.read(args.one(flag)?.unwrap_or_default());
    let mut tool = Reassigning {
        args,
        admin: admin(&target)?,
        wire: wire(&target)?,
    };
    match action {
        "generate" => {
            let topics = text("topics-to-move-json-file", io)?;
            tool.generate(&topics, io)
        }
        "list" => tool.list(io),
        _ => {
            let plan = Plan::parse(&text("reassignment-json-file", io)?)?;
            match action {
                "execute" => tool.execute(&plan, io),
                "verify" => tool.verify(&plan, io),
                _ => tool.cancel(&plan, io),
            }
        }
    }
}

/// The one action, once all its flags fit.
fn action(args: &Args) -> Result<&'static str, Failure> {
    let given: Vec<_> = ACTIONS.iter().filter(|(name, ..)| args.has(name)).collect();
    let [(action, required, permitted)] = given.as_slice() else {
        let all: Vec<String> = ACTIONS.iter().map(|(name, ..)| format!("--{name}")).collect();
        return Err(Failure::Usage(format!(
            "Command must include exactly one action: {}",
            all.join(", ")
        )));
    };
    if args.has("bootstrap-controller") {
        return Err(Failure::Usage(
            "--bootstrap-controller is not known here: leave it out, any broker passes on what only the controller can do"
                .into(),
        ));
    }
    args.require(required)?;
    for flag in FLAGS.iter().map(|flag| flag.name) {
        let fits = flag == *action || required.contains(&flag) || permitted.contains(&flag);
        if args.has(flag) && !fits && !["bootstrap-server", "command-config"].contains(&flag) {
            return Err(Failure::Usage(format!(
                "Option \"[{flag}]\" can't be used with action \"[{action}]\""
            )));
        }
    }
    Ok(action)
}

/// Told on stdout without a frame.
fn terse(text: &str, io: &mut ToolIo<'_>) -> Failure {
    match writeln!(io.stdout, "{}", crate::ui::visible(text)) {
        Ok(()) => Failure::Exit(1),
        Err(error) => Failure::Io(error),
    }
}

/// `s` where there are not exactly one.
fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn failures<'a>(results: impl Iterator<Item = &'a (TopicPartition, Result<(), KafkaError>)>) -> Vec<String> {
    results
        .filter_map(|(place, result)| {
            let error = result.as_ref().err()?;
            Some(format!("{}: {}", named(place), java::message(error)))
        })
        .collect()
}

struct Reassigning<'a> {
    args: &'a Args,
    admin: Admin,
    wire: Wire,
}

impl Reassigning<'_> {
    fn generate(&mut self, topics: &str, io: &mut ToolIo<'_>) -> Ran {
        let brokers = plan::brokers(self.args.one("broker-list")?.unwrap_or_default())?;
        let topics = plan::topics(topics)?;
        let current = self.of_topics(&topics)?;
        let dirs = self.dirs(&current)?;
        let racks = self.wire.racks();
        let rack_aware = !self.args.has("disable-rack-aware");
        let usable: Vec<(i32, Option<String>)> = racks
            .into_iter()
            .filter(|(id, _)| brokers.contains(id))
            .map(|(id, rack)| (id, rack.filter(|_| rack_aware)))
            .collect();
        let proposed = assign::propose(&current, &usable)?;
        writeln!(
            io.stdout,
            "Current partition replica assignment\n{}\n",
            plan::json(&current, &dirs)
        )?;
        writeln!(
            io.stdout,
            "Proposed partition reassignment configuration\n{}",
            plan::json(&proposed, &Dirs::new())
        )?;
        Ok(())
    }

    /// Where the partitions of these topics are.
    fn of_topics(&self, topics: &BTreeSet<String>) -> Result<Replicas, Failure> {
        let names: Vec<String> = topics.iter().cloned().collect();
        let found = self.admin.describe_topics(&names)?;
        if let Some(missing) = topics
            .iter()
            .find(|name| found.iter().all(|topic| topic.name != **name))
        {
            return Err(Failure::Error(format!(
                "org.apache.kafka.common.errors.UnknownTopicOrPartitionException: Topic {missing} not found."
            )));
        }
        let places = found.into_iter().flat_map(|topic| {
            let name = topic.name;
            topic
                .partitions
                .into_iter()
                .map(move |partition| ((name.clone(), partition.id), partition.replicas))
        });
        Ok(places.collect())
    }

    /// The log folders of these replicas, as far as their brokers are up.
    fn dirs(&mut self, replicas: &Replicas) -> Result<Dirs, Failure> {
        let brokers: BTreeSet<i32> = replicas.values().flatten().copied().collect();
        let mut dirs = Dirs::new();
        for broker in self.wire.brokers().into_iter().filter(|id| brokers.contains(id)) {
            for dir in self.wire.log_dirs(broker)? {
                for (place, log) in dir.replicas {
                    if !log.is_future {
                        dirs.insert((broker, place), dir.path.clone());
                    }
                }
            }
        }
        Ok(dirs)
    }

    fn execute(&mut self, plan: &Plan, io: &mut ToolIo<'_>) -> Ran {
        let proposed = plan.to_execute()?;
        let moving = self.wire.reassignments()?;
        if !self.args.has("additional") && !moving.is_empty() {
            return Err(terse(
                "Cannot execute because there is an existing partition assignment.  Use --additional to override this \
                 and create a new partition assignment in addition to the existing one. The --additional flag can also \
                 be used to change the throttle by resubmitting the current reassignment.",
                io,
            ));
        }
        let known = self.wire.brokers();
        let brokers: BTreeSet<i32> = proposed.values().flatten().copied().collect();
        if let Some(unknown) = brokers.iter().find(|id| !known.contains(id)) {
            return Err(Failure::Error(format!("Unknown broker id {unknown}")));
        }
        let current = self.current(&proposed)?;
        let dirs = self.dirs(&current)?;
        writeln!(
            io.stdout,
            "Current partition replica assignment\n\n{}\n\nSave this to use as the --reassignment-json-file option during rollback",
            plan::json(&current, &dirs)
        )?;
        self.throttle(plan, &proposed, &current, &moving, io)?;
        let wanted: Vec<_> = proposed
            .iter()
            .map(|(place, replicas)| (place.clone(), Some(replicas.clone())))
            .collect();
        let same_factor = self.args.has("disallow-replication-factor-change");
        let results = self.wire.reassign(&wanted, !same_factor)?;
        let failed = failures(results.iter());
        if !failed.is_empty() {
            let text = format!("Error reassigning partition(s):\n{}", failed.join("\n"));
            return Err(terse(&text, io));
        }
        writeln!(
            io.stdout,
            "Successfully started partition reassignment{} for {}",
            plural(proposed.len()),
            joined(proposed.keys().map(named), ",")
        )?;
        self.move_dirs(plan.dirs.clone(), io)
    }

    fn throttle(
        &self,
        plan: &Plan,
        proposed: &Replicas,
        current: &Replicas,
        moving: &BTreeMap<TopicPartition, Reassignment>,
        io: &mut ToolIo<'_>,
    ) -> Ran {
        let rate = |flag: &str| -> Result<Option<i64>, Failure> {
            Ok(self.args.number::<i64>(flag)?.filter(|rate| *rate >= 0))
        };
        let between = rate("throttle")?;
        let inside = rate("replica-alter-log-dirs-throttle")?;
        if between.is_none() && inside.is_none() {
            return Ok(());
        }
        writeln!(
            io.stdout,
            "Warning: You must run --verify periodically, until the reassignment completes, to ensure the throttle is removed."
        )?;
        if let Some(rate) = between {
            let moves = throttle::moves(moving, proposed, current);
            throttle::between_brokers(&self.admin, &moves, rate)?;
            writeln!(io.stdout, "The inter-broker throttle limit was set to {rate} B/s")?;
        }
        if let Some(rate) = inside {
            let brokers: BTreeSet<i32> = plan.dirs.keys().map(|(broker, _)| *broker).collect();
            throttle::inside_brokers(&self.admin, &brokers, rate)?;
            writeln!(
                io.stdout,
                "The replica-alter-dir throttle limit was set to {rate} B/s"
            )?;
        }
        Ok(())
    }

    /// Where the partitions of the plan are now.
    fn current(&self, proposed: &Replicas) -> Result<Replicas, Failure> {
        let topics = proposed.keys().map(|(topic, _)| topic.clone()).collect();
        let mut current = self.of_topics(&topics)?;
        current.retain(|place, _| proposed.contains_key(place));
        let missing: Vec<String> = proposed
            .keys()
            .filter(|place| !current.contains_key(place))
            .map(named)
            .collect();
        if missing.is_empty() {
            return Ok(current);
        }
        Err(Failure::Error(format!(
            "org.apache.kafka.common.errors.UnknownTopicOrPartitionException: Unable to find partition: {}",
            missing.join(", ")
        )))
    }

    /// Asks for the moves between log folders; a replica that just moves to its broker is not there at once.
    fn move_dirs(&mut self, mut pending: Dirs, io: &mut ToolIo<'_>) -> Ran {
        let patience = self.args.number("timeout")?.unwrap_or(MOVE_TIMEOUT_MS);
        let end = Instant::now() + Duration::from_millis(patience);
        while !pending.is_empty() {
            for ((broker, place), dir) in pending.clone() {
                match self.wire.move_log(broker, &place, &dir) {
                    Ok(()) => {
                        // Kafka's own line ends with a space.
                        writeln!(
                            io.stdout,
                            "Successfully started moving log directory to {dir} for replica {} with broker {broker} ",
                            named(&place)
                        )?;
                        pending.remove(&(broker, place));
                    }
                    Err(error) if error.code == rdkafka::error::RDKafkaErrorCode::ReplicaNotAvailable => {}
                    Err(_) => {
                        return Err(Failure::Error(format!(
                            "Failed to alter dir for {}-{broker}",
                            named(&place)
                        )));
                    }
                }
            }
            if pending.is_empty() {
                break;
            }
            if Instant::now() >= end || io.cancel.is_cancelled() {
                let left = pending
                    .keys()
                    .map(|(broker, place)| format!("{}-{broker}", named(place)));
                let text = format!(
                    "Timed out before log directory move{} could be started for: {}",
                    plural(pending.len()),
                    joined(left, ",")
                );
                return Err(terse(&text, io));
            }
            std::thread::park_timeout(MOVE_AGAIN);
        }
        Ok(())
    }

    fn verify(&mut self, plan: &Plan, io: &mut ToolIo<'_>) -> Ran {
        let moving = self.wire.reassignments()?;
        writeln!(io.stdout, "Status of partition reassignment:")?;
        let names: BTreeSet<String> = plan.partitions.iter().map(|(place, _)| place.0.clone()).collect();
        let names: Vec<String> = names.into_iter().collect();
        let topics = self.admin.describe_topics(&names)?;
        let targets: Replicas = plan.partitions.iter().cloned().collect();
        for (place, wanted) in &targets {
            let shown = named(place);
            if moving.contains_key(place) {
                writeln!(
                    io.stdout,
                    "Reassignment of partition {shown} is still in progress."
                )?;
                continue;
            }
            let now = topics
                .iter()
                .filter(|topic| topic.name == place.0)
                .flat_map(|topic| &topic.partitions)
                .find(|partition| partition.id == place.1)
                .map_or(&[][..], |partition| &partition.replicas);
            if now == wanted.as_slice() {
                writeln!(io.stdout, "Reassignment of partition {shown} is completed.")?;
            } else {
                writeln!(
                    io.stdout,
                    "There is no active reassignment of partition {shown}, but replica set is {} rather than {}.",
                    joined(now, ","),
                    joined(wanted, ",")
                )?;
            }
        }
        let dirs_done = self.verify_dirs(plan, io)?;
        if moving.is_empty() && dirs_done && !self.args.has("preserve-throttles") {
            self.clear_throttles(&targets, io)?;
        }
        Ok(())
    }

    /// Where a replica's log is, and where it is being copied to.
    fn log_of(
        &mut self,
        broker: i32,
        place: &TopicPartition,
    ) -> Result<(Option<String>, Option<String>), Failure> {
        let (mut current, mut future) = (None, None);
        if self.wire.brokers().contains(&broker) {
            for dir in self.wire.log_dirs(broker)? {
                for (found, log) in &dir.replicas {
                    if found == place {
                        let which = if log.is_future { &mut future } else { &mut current };
                        *which = Some(dir.path.clone());
                    }
                }
            }
        }
        Ok((current, future))
    }

    /// Tells of the moves between log folders; are they done?
    fn verify_dirs(&mut self, plan: &Plan, io: &mut ToolIo<'_>) -> Result<bool, Failure> {
        let mut done = true;
        let mut told = Vec::new();
        for ((broker, place), wanted) in &plan.dirs {
            let (replica, shown) = (format!("{}-{broker}", named(place)), named(place));
            let (current, future) = self.log_of(*broker, place)?;
            done &= current.is_some() && future.is_none();
            told.push(match (current, future) {
                (None, _) => format!(
                    "Partition {shown} is not found in any live log dir on broker {broker}. There is likely an offline log directory on the broker."
                ),
                (Some(_), Some(future)) if future == *wanted => {
                    format!("Reassignment of replica {replica} is still in progress.")
                }
                (Some(_), Some(future)) => format!(
                    "Partition {shown} on broker {broker} is being moved to log dir {future} instead of {wanted}."
                ),
                (Some(current), None) if current == *wanted => {
                    format!("Reassignment of replica {replica} completed successfully.")
                }
                (Some(current), None) => format!(
                    "Partition {shown} on broker {broker} is not being moved from log dir {current} to {wanted}."
                ),
            });
        }
        writeln!(io.stdout, "{}", told.join("\n"))?;
        Ok(done)
    }

    fn clear_throttles(&self, targets: &Replicas, io: &mut ToolIo<'_>) -> Ran {
        let mut brokers: BTreeSet<i32> = self.wire.brokers().into_iter().collect();
        brokers.extend(targets.values().flatten());
        writeln!(
            io.stdout,
            "Clearing broker-level throttles on broker{} {}",
            plural(brokers.len()),
            joined(&brokers, ",")
        )?;
        throttle::clear_brokers(&self.admin, &brokers)?;
        let topics: BTreeSet<&String> = targets.keys().map(|(topic, _)| topic).collect();
        writeln!(
            io.stdout,
            "Clearing topic-level throttles on topic{} {}",
            plural(topics.len()),
            joined(&topics, ",")
        )?;
        throttle::clear_topics(&self.admin, topics.into_iter())
    }

    fn cancel(&mut self, plan: &Plan, io: &mut ToolIo<'_>) -> Ran {
        let targets: Replicas = plan.partitions.iter().cloned().collect();
        let moving = self.wire.reassignments()?;
        let active: Vec<(TopicPartition, Option<Vec<i32>>)> = targets
            .keys()
            .filter(|place| {
                moving
                    .get(*place)
                    .is_some_and(|found| !found.adding.is_empty() || !found.removing.is_empty())
            })
            .map(|place| (place.clone(), None))
            .collect();
        if active.is_empty() {
            writeln!(
                io.stdout,
                "None of the specified partition reassignments are active."
            )?;
        } else {
            let results = self.wire.reassign(&active, true)?;
            let failed = failures(results.iter());
            if !failed.is_empty() {
                let s = plural(failed.len());
                let text = format!(
                    "Error cancelling partition reassignment{s} for:\n{}",
                    failed.join("\n")
                );
                return Err(terse(&text, io));
            }
            writeln!(
                io.stdout,
                "Successfully cancelled partition reassignment{} for: {}",
                plural(active.len()),
                joined(active.iter().map(|(place, _)| named(place)), ",")
            )?;
        }
        let mut back = Dirs::new();
        for (broker, place) in plan.dirs.keys() {
            if let (Some(current), Some(_)) = self.log_of(*broker, place)? {
                back.insert((*broker, place.clone()), current);
            }
        }
        if back.is_empty() {
            // Kafka's own: without the end of the line.
            write!(io.stdout, "None of the specified partition moves are active.")?;
        } else {
            self.move_dirs(back, io)?;
        }
        if !self.args.has("preserve-throttles") {
            self.clear_throttles(&targets, io)?;
        }
        Ok(())
    }

    fn list(&mut self, io: &mut ToolIo<'_>) -> Ran {
        let moving = self.wire.reassignments()?;
        if moving.is_empty() {
            writeln!(io.stdout, "No partition reassignments found.")?;
            return Ok(());
        }
        writeln!(io.stdout, "Current partition reassignments:")?;
        for (place, found) in &moving {
            let some = |word: &str, ids: &[i32]| {
                if ids.is_empty() {
                    String::new()
                } else {
                    format!(" {word}: {}.", joined(ids, ","))
                }
            };
            writeln!(
                io.stdout,
                "{}: replicas: {}.{}{}",
                named(place),
                joined(&found.replicas, ","),
                some("adding", &found.adding),
                some("removing", &found.removing)
            )?;
        }
        Ok(())
    }
}
