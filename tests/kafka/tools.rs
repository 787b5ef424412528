//! Kafka's command-line tools say what Apache Kafka's own say: the recorded cases, played on the embedded broker.
//!
//! `tests/tools/recorded.txt` is what Kafka's tools said (`tests/real/tools/compare --record`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use regex::Regex;
use streamlings::cancel::Cancel;
use streamlings::kafka::{Admin, Target};
use streamlings::tools::{self, ToolFiles, ToolIo};

const PATIENCE: Duration = Duration::from_secs(20);
/// How long a command may take, as in `tests/real/tools/compare`: a consumer that waits for a record that never comes is ended.
const LONGEST: Duration = Duration::from_secs(120);

const RECORDED: &str = include_str!("../tools/recorded.txt");

/// One recorded command, or what happens between two.
#[derive(Debug, Default)]
struct Case {
    kind: char,
    text: String,
    stdin: String,
    stdout: String,
    stderr: Vec<String>,
    exit: i32,
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in RECORDED.lines() {
        let (mark, text) = line.split_once(' ').unwrap_or((line, ""));
        if ["$", "%"].contains(&mark) {
            cases.push(Case {
                kind: mark.chars().next().unwrap(),
                text: text.to_owned(),
                ..Case::default()
            });
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        match mark {
            "|" => writeln!(case.stdin, "{text}").unwrap(),
            ">" => writeln!(case.stdout, "{text}").unwrap(),
            "!" => case.stderr.push(text.to_owned()),
            "=" => case.exit = text.parse().unwrap(),
            "\\" => drop(case.stdout.pop()),
            _ => {}
        }
    }
    cases
}

/// Takes out what differs from run to run, keeping the width of columns.
fn normal(text: &str, bootstrap: &str) -> String {
    let replace = |text: &str, pattern: &str, with: &str| {
        Regex::new(pattern).unwrap().replace_all(text, with).into_owned()
    };
    let text = replace(text, r"TopicId: \S{22}", &format!("TopicId: {}", "A".repeat(22)));
    let text = replace(
        &text,
        "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "00000000-0000-0000-0000-000000000000",
    );
    let text = replace(&text, r"(CreateTime|LogAppendTime):\d{13}", "${1}:1700000000000");
    let address = regex::escape(bootstrap);
    let spare = " ".repeat(bootstrap.len().saturating_sub("127.0.0.1:9092".len()));
    let text = replace(
        &text,
        &format!(r"{address}(  \(\d+\))"),
        &format!("127.0.0.1:9092${{1}}{spare}"),
    );
    // Files of a log, and what is another in each of them.
    let text = replace(&text, r"(?:DATA|/\S*)/(t0-[^/\s]+-\d+/)", "$1");
    let text = replace(&text, r"((?:Time|imestamp): )\d{13}", "${1}1700000000000");
    let text = replace(&text, r"((?:crc|producerId): )\d+", "${1}N");
    let text = replace(&text, r#"("\w+Timestamp":)\d{13}"#, "${1}1700000000000");
    let id = format!("${{1}}\"{}\"", "A".repeat(22));
    let text = replace(&text, r#"("topicId":)"[\w-]{22}""#, &id);
    let text = replace(&text, "Reading payloads from: .*", "Reading payloads from: FILE");
    let text = speeds(&text);
    // Log folders in JSON.
    let text = replace(&text, "\"/[^\"]*\"", "\"/DATA\"");
    text.replace(bootstrap, "127.0.0.1:9092")
}

/// The lines of the perf test, without the numbers, and without those of the intervals.
fn speeds(text: &str) -> String {
    let number = Regex::new(r"\d+\.\d+|\d+( ms)").unwrap();
    let interval = |line: &&str| line.contains(" records sent, ") && line.ends_with(" max latency.");
    let lines = text.split('\n').filter(|line| !interval(line)).map(|line| {
        if line.contains(" records sent, ") {
            number.replace_all(line, "N$1").into_owned()
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Partitions are read in any order, and groups are listed in any.
fn sorted(words: &[String], text: &str) -> String {
    let has = |word: &str| words.iter().any(|given| given == word);
    let reads = words[0].starts_with("kafka-console-consumer") && !has("--partition");
    let any_order = has("--list") || (reads && text.ends_with('\n'));
    if !any_order {
        return text.to_owned();
    }
    let mut lines: Vec<&str> = text.lines().collect();
    let from = usize::from(lines.first().is_some_and(|line| line.starts_with("GROUP")));
    lines[from..].sort_unstable();
    lines.push("");
    lines.join("\n")
}

/// Java prints some lists in the order of a hash set.
fn unordered(line: &str) -> Vec<&str> {
    let mut words: Vec<&str> = line
        .split([' ', ',', '[', ']'])
        .filter(|word| !word.is_empty())
        .collect();
    words.sort_unstable();
    words
}

fn run(target: &Target, words: &[String], stdin: &str) -> (i32, String, String) {
    run_in(target, ToolFiles::default(), words, stdin)
}

fn run_in(target: &Target, files: ToolFiles, words: &[String], stdin: &str) -> (i32, String, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let cancel = Cancel::default();
    let mut io = ToolIo {
        target,
        files,
        stdin: Box::new(Cursor::new(stdin.to_owned().into_bytes())),
        stdin_is_terminal: false,
        stdout: &mut stdout,
        stdout_is_terminal: false,
        stderr: &mut stderr,
        cancel: cancel.clone(),
        hints: false,
    };
    let (done, ended) = mpsc::channel::<()>();
    let (exit, late) = std::thread::scope(|scope| {
        let watch = scope.spawn(move || {
            let late = ended.recv_timeout(LONGEST) == Err(RecvTimeoutError::Timeout);
            if late {
                cancel.cancel();
            }
            late
        });
        let exit = tools::run(words, &mut io);
        drop(done);
        (exit, watch.join().unwrap())
    });
    assert!(!late, "{words:?} has not ended in {LONGEST:?}");
    (
        exit,
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

/// A member of a group that reads nothing, once it has partitions.
fn join(target: &Target, group: &str, topic: &str) -> BaseConsumer {
    let consumer: BaseConsumer = target
        .client_config()
        .set("group.id", group)
        .set("client.id", "live")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while consumer.assignment().unwrap().count() == 0 {
        assert!(Instant::now() < deadline, "{group} got no partitions of {topic}");
        drop(consumer.poll(Duration::from_millis(50)));
    }
    consumer
}

/// A transaction that stays open: id, topic and the values of its records.
fn begin(target: &Target, words: &[String]) -> BaseProducer {
    let mut config = target.client_config();
    config
        .set("transactional.id", &words[0])
        .set("transaction.timeout.ms", "600000");
    let producer: BaseProducer = config.create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    for value in &words[2..] {
        let record = BaseRecord::<str, str>::to(&words[1]).partition(0).payload(value);
        producer.send(record).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    producer
}

/// What Apache Kafka's share coordinator writes of a group that takes the first of three records and releases the second: a
/// snapshot, then an update of it (`tests/real/tools/compare` has it done). The embedded cluster writes snapshots alone.
fn share(target: &Target, group: &str, states: &str) {
    let key = |kind: i16| {
        let length = u16::try_from(group.len()).unwrap().to_be_bytes();
        let topic = [7; 16];
        [
            &kind.to_be_bytes()[..],
            &length,
            group.as_bytes(),
            &topic,
            &[0; 4],
        ]
        .concat()
    };
    let version = 0i16.to_be_bytes();
    let (epoch, state_epoch) = (0i32.to_be_bytes(), 2i32.to_be_bytes());
    let (none, first) = ((-1i64).to_be_bytes(), 0i64.to_be_bytes());
    let time = 1_700_000_000_000i64.to_be_bytes();
    let batch = |offset: i64, state: u8| {
        let offset = offset.to_be_bytes();
        // Delivered once; no tagged fields.
        [&offset[..], &offset, &[state, 0, 1, 0]].concat()
    };
    let (acknowledged, available) = (batch(0, 2), batch(1, 0));
    // One tagged field: of number 0, 4 bytes, one delivery is complete.
    let complete = [1, 0, 4, 0, 0, 0, 1];
    let snapshot: &[&[u8]] = &[
        &version,
        &epoch,
        &state_epoch,
        &epoch,
        &none,
        &time,
        &time,
        &[1, 0],
    ];
    let update: &[&[u8]] = &[
        &version,
        &epoch,
        &epoch,
        &first,
        &[3],
        &acknowledged,
        &available,
        &complete,
    ];
    let producer: BaseProducer = target.client_config().create().unwrap();
    for (kind, value) in [(0, snapshot), (1, update)] {
        let (key, value) = (key(kind), value.concat());
        let record = BaseRecord::to(states).partition(0).key(&key).payload(&value);
        producer.send(record).unwrap();
        producer.flush(PATIENCE).unwrap();
    }
}

fn put(path: &Path, text: &str) {
    std::fs::File::create(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

/// Tables with tabs, without the numbers that are others in each run; the widths stay.
fn tables(text: &str) -> String {
    const VARYING: [&str; 5] = [
        "ProducerId",
        "LastTimestamp",
        "CurrentTransactionStartTimeMs",
        "TransactionDurationMs",
        "Duration(min)",
    ];
    let mut headers: Vec<String> = Vec::new();
    let mut told = Vec::new();
    for line in text.split('\n') {
        let cells: Vec<&str> = line.split('\t').collect();
        if line.contains("ProducerId") && cells.len() > 2 {
            headers = cells.iter().map(|cell| cell.trim().to_owned()).collect();
        } else if cells.len() == headers.len() {
            let number = |cell: &str| cell.trim().bytes().all(|byte| byte.is_ascii_digit());
            let cells = cells.iter().zip(&headers).map(|(cell, name)| {
                if VARYING.contains(&name.as_str()) && number(cell) {
                    format!("{:width$}", "N", width = cell.len())
                } else {
                    (*cell).to_owned()
                }
            });
            told.push(cells.collect::<Vec<_>>().join("\t"));
            continue;
        }
        told.push(line.to_owned());
    }
    told.join("\n")
}

fn forget(target: &Target, prefixes: &[&str]) {
    let admin = Admin::new(target, Duration::from_secs(20)).unwrap();
    for group in admin.groups().unwrap() {
        if prefixes.iter().any(|prefix| group.name.starts_with(prefix)) {
            drop(admin.delete_group(&group.name));
        }
    }
    for topic in admin.topics().unwrap() {
        if prefixes.iter().any(|prefix| topic.name.starts_with(prefix)) {
            admin.delete_topic(&topic.name).unwrap();
        }
    }
}

/// What is different on purpose; empty when nothing is.
fn difference(case: &Case, words: &[String], got: &(i32, String, String), bootstrap: &str) -> String {
    let (exit, stdout, stderr) = got;
    let stdout = sorted(words, &tables(&normal(stdout, bootstrap)));
    let wanted = sorted(words, &case.stdout);
    let stderr = normal(stderr, bootstrap);
    let mut said = stderr.lines().map(unordered);
    let mut wanted_lines = case.stderr.iter().filter(|line| !line.is_empty());
    let missing = wanted_lines.find(|line| !said.any(|other| other == unordered(line)));
    let mut text = String::new();
    if *exit != case.exit {
        writeln!(text, "exit {exit}, not {}", case.exit).unwrap();
    }
    if stdout != wanted {
        writeln!(text, "stdout:\n{stdout}not:\n{wanted}").unwrap();
    }
    if let Some(line) = missing {
        writeln!(text, "stderr lacks {line:?}:\n{stderr}").unwrap();
    }
    text
}

fn play(target: &Target) -> Vec<String> {
    let mut member = None;
    let mut open = BTreeMap::new();
    let folder = tempfile::tempdir().unwrap();
    let mut differences = Vec::new();
    for case in cases() {
        // Paths begin in the log folders of the brokers.
        let words = shell_words::split(&case.text.replace("DATA/", "")).unwrap();
        if case.kind == '%' {
            match words[0].as_str() {
                "join" => member = Some(join(target, &words[1], &words[2])),
                "leave" => member = None,
                "file" => put(&folder.path().join(&words[1]), &case.stdin),
                "begin" => drop(open.insert(words[1].clone(), begin(target, &words[1..]))),
                "commit" => open[&words[1]].commit_transaction(PATIENCE).unwrap(),
                "abort" => open[&words[1]].abort_transaction(PATIENCE).unwrap(),
                "share" => share(target, &words[1], &words[3]),
                "forget" => forget(target, &["console-consumer-"]),
                other => panic!("{other}: no such step"),
            }
            continue;
        }
        let got = run_in(target, ToolFiles::of(folder.path()), &words, &case.stdin);
        let difference = difference(&case, &words, &got, &target.bootstrap);
        if !difference.is_empty() {
            differences.push(format!("$ {}\n{difference}", case.text));
        }
    }
    drop(member);
    differences
}

#[test]
fn the_recorded_cases_are_the_same() {
    let cluster = crate::Cluster::start();
    let target = cluster.target();
    forget(&target, &["t0-", "console-consumer-"]);
    let differences = play(&target);
    forget(&target, &["t0-", "console-consumer-"]);
    assert!(
        differences.is_empty(),
        "{} differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

#[test]
fn kafkas_own_topics_are_printed_as_json() {
    let cluster = crate::Cluster::start();
    let target = cluster.target();
    let create = "kafka-topics --create --topic journeys --partitions 1";
    assert_eq!(run(&target, &words(create), "").0, 0);
    let write = words("kafka-console-producer --topic journeys");
    assert_eq!(run(&target, &write, "one\n").0, 0);
    let read = "kafka-console-consumer --topic journeys --group atlas --from-beginning --max-messages 1";
    assert_eq!(run(&target, &words(read), "").0, 0);
    drop(begin(&target, &words("fares journeys two")));
    let printed = |topic: &str, formatter: &str| {
        let line = format!(
            "kafka-console-consumer --topic {topic} --from-beginning --timeout-ms 4000 \
             --formatter org.apache.kafka.tools.consumer.{formatter}"
        );
        run(&target, &words(&line), "").1
    };
    let offsets = printed("__consumer_offsets", "OffsetsMessageFormatter");
    assert!(
        offsets.contains(r#"{"key":{"type":1,"data":{"group":"atlas","topic":"journeys","partition":0}},"value":{"version":4,"data":{"offset":1,"#),
        "{offsets}"
    );
    let transactions = printed("__transaction_state", "TransactionLogMessageFormatter");
    assert!(
        transactions.contains(r#"{"key":{"type":0,"data":{"transactionalId":"fares"}},"value":{"version":1,"data":{"producerId":"#),
        "{transactions}"
    );
    let (exit, _, told) = run(
        &target,
        &words("kafka-console-consumer --topic journeys --formatter Nonsense"),
        "",
    );
    assert_eq!(exit, 1);
    assert!(told.contains("OffsetsMessageFormatter"), "{told}");
    forget(&target, &["journeys", "atlas"]);
}

fn words(line: &str) -> Vec<String> {
    shell_words::split(line).unwrap()
}

#[test]
fn a_terminal_gets_a_prompt_and_never_a_control_character_of_a_record() {
    let cluster = crate::Cluster::start();
    let target = cluster.target();
    assert_eq!(
        run(
            &target,
            &words("kafka-topics --create --topic screen --partitions 1"),
            ""
        )
        .0,
        0
    );
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut io = ToolIo {
        target: &target,
        files: ToolFiles::default(),
        stdin: Box::new(Cursor::new(b"\x1b[2Jgone\nhere\n".to_vec())),
        stdin_is_terminal: true,
        stdout: &mut stdout,
        stdout_is_terminal: true,
        stderr: &mut stderr,
        cancel: Cancel::default(),
        hints: true,
    };
    assert_eq!(
        tools::run(&words("kafka-console-producer --topic screen"), &mut io),
        0
    );
    let read = words("kafka-console-consumer --topic screen --partition 0 --offset 0 --max-messages 2");
    assert_eq!(tools::run(&read, &mut io), 0);
    assert_eq!(String::from_utf8(stdout).unwrap(), ">>>\n^[[2Jgone\nhere\n");
    assert_eq!(
        String::from_utf8(stderr).unwrap(),
        "Processed a total of 2 messages\n"
    );
    let (_, raw, _) = run(&target, &read, "");
    assert_eq!(raw, "\u{1b}[2Jgone\nhere\n", "a pipe gets the bytes as they are");
    forget(&target, &["screen"]);
}

#[test]
fn ctrl_c_ends_a_consumer_with_its_count() {
    let cluster = crate::Cluster::start();
    let target = cluster.target();
    assert_eq!(
        run(
            &target,
            &words("kafka-topics --create --topic endless --partitions 1"),
            ""
        )
        .0,
        0
    );
    let cancel = Cancel::default();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut io = ToolIo {
        target: &target,
        files: ToolFiles::default(),
        stdin: Box::new(Cursor::new(Vec::new())),
        stdin_is_terminal: false,
        stdout: &mut stdout,
        stdout_is_terminal: false,
        stderr: &mut stderr,
        cancel: cancel.clone(),
        hints: false,
    };
    cancel.cancel();
    assert_eq!(
        tools::run(&words("kafka-console-consumer --topic endless"), &mut io),
        130
    );
    assert_eq!(
        String::from_utf8(stderr).unwrap(),
        "Processed a total of 0 messages\n"
    );
    forget(&target, &["endless"]);
}

#[test]
fn a_wrong_name_or_flag_gets_a_question() {
    let cluster = crate::Cluster::start();
    let target = cluster.target();
    let ask = |line: &str| {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut io = ToolIo {
            target: &target,
            files: ToolFiles::default(),
            stdin: Box::new(Cursor::new(Vec::new())),
            stdin_is_terminal: false,
            stdout: &mut stdout,
            stdout_is_terminal: false,
            stderr: &mut stderr,
            cancel: Cancel::default(),
            hints: true,
        };
        tools::run(&words(line), &mut io);
        String::from_utf8(stderr).unwrap()
    };
    ask("kafka-topics --create --topic voyages --partitions 1");
    assert_eq!(
        ask("kafka-topics --describe --topic voyagse"),
        "hint: Did you mean 'voyages'?\n"
    );
    assert!(ask("kafka-get-offsets --topic voyagse").starts_with("hint: Did you mean 'voyages'?\n"));
    assert_eq!(
        ask("kafka-topics --creat"),
        "creat is not a recognized option\nDid you mean --create?\nRun kafka-topics --help for its flags.\n"
    );
    forget(&target, &["voyages"]);
}
