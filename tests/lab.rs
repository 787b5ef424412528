//! The lab's process from outside: start, share, kill, find again, stop.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Message, Offset, TopicPartitionList};
use serde_json::Value;
use streamlings::kafka::Target;

const EMBEDDED: [&str; 5] = ["up", "--backend", "embedded", "--port", "0"];
/// Much longer than anything here takes; what is waited for ends the wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// A home folder whose lab ends with it.
struct Home {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // People have such folders.
        let path = folder.path().join("my lab's home");
        Self {
            _folder: folder,
            path,
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_streamlings"));
        command
            .args(args)
            .env("STREAMLINGS_HOME", &self.path)
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs what must succeed, and gives its stdout.
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs what must fail with this code, and gives its stderr.
    fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{args:?}: results only");
        stderr(&output)
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.ok(&["status", "--json"])).unwrap()
    }

    fn up(&self) -> Value {
        let mut args = EMBEDDED.to_vec();
        args.push("--json");
        serde_json::from_str(&self.ok(&args)).unwrap()
    }

    fn state(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.path.join("lab/state.json")).unwrap()).unwrap()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.run(&["down", "--delete", "--yes"]);
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn bootstrap(status: &Value) -> &str {
    status["bootstrap"].as_str().unwrap()
}

fn port(status: &Value) -> u16 {
    status["brokers"][0]["port"].as_u64().unwrap().try_into().unwrap()
}

/// Writes values to partition 0 of a topic and waits until they are acknowledged.
fn produce(bootstrap: &str, topic: &str, values: &[&str]) {
    let producer: BaseProducer = Target::new(bootstrap).client_config().create().unwrap();
    for value in values {
        producer
            .send(BaseRecord::<(), str>::to(topic).partition(0).payload(value))
            .unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    assert_eq!(producer.in_flight_count(), 0);
}

/// Reads that many values of partition 0 from its beginning.
fn consume(bootstrap: &str, topic: &str, count: usize) -> Vec<String> {
    let mut config = Target::new(bootstrap).client_config();
    config.set("group.id", "test").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions
        .add_partition_offset(topic, 0, Offset::Beginning)
        .unwrap();
    consumer.assign(&partitions).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut values = Vec::new();
    while values.len() < count {
        assert!(Instant::now() < deadline, "got only {values:?}");
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            values.push(String::from_utf8_lossy(message.payload().unwrap()).into_owned());
        }
    }
    values
}

#[test]
fn a_second_up_finds_the_lab_of_the_first() {
    let home = Home::new();
    let first = home.up();
    assert!(first["ready_ms"].is_u64(), "{first}");
    let second = home.up();
    assert_eq!(first["pid"], second["pid"]);
    assert!(second["ready_ms"].is_null(), "{second}");
    let line = home.ok(&["up"]);
    assert!(
        line.starts_with("embedded cluster, 1 broker at 127.0.0.1:"),
        "{line}"
    );
    assert!(line.contains("running already"), "{line}");

    let other = home.fails(2, &["up", "--bootstrap", "127.0.0.1:1"]);
    assert!(
        other.contains("another lab runs already") && other.contains("streamlings down"),
        "{other}"
    );
    assert_eq!(home.status()["pid"], first["pid"]);
}

#[test]
fn two_ups_at_once_start_one_lab() {
    let home = Home::new();
    let start = || {
        let mut command = home.command(&EMBEDDED);
        command
            .arg("--json")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let both = [start(), start()].map(|child| child.wait_with_output().unwrap());
    let pids = both.map(|output| {
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["pid"].clone()
    });
    assert_eq!(pids[0], pids[1]);
    assert_eq!(home.status()["pid"], pids[0]);
}

#[test]
fn the_status_has_the_documented_shape() {
    let home = Home::new();
    home.up();
    let status = home.status();
    let names: Vec<&str> = status.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "backend",
            "bootstrap",
            "prefix",
            "brokers",
            "jobs",
            "capabilities",
            "pid",
            "started",
            "data",
            "reason",
            "clock_ahead_ms"
        ]
    );
    assert_eq!(status["backend"], "embedded");
    assert_eq!(status["brokers"][0]["host"], "127.0.0.1");
    assert_eq!(status["brokers"][0]["up"], true);
    assert_eq!(status["brokers"].as_array().unwrap().len(), 1);
    assert_eq!(bootstrap(&status), format!("127.0.0.1:{}", port(&status)));
    assert!(Path::new(status["data"].as_str().unwrap()).starts_with(&home.path));
    assert_eq!(status["capabilities"]["jobs"], true);
}

#[test]
fn killed_without_warning_it_loses_nothing_and_the_next_up_goes_on() {
    let home = Home::new();
    let first = home.up();
    produce(bootstrap(&first), "rides", &["r-001", "r-002"]);
    let pid = Pid::from_raw(first["pid"].as_i64().unwrap().try_into().unwrap());
    kill(pid, Signal::SIGKILL).unwrap();

    let again = home.up();
    assert_ne!(again["pid"], first["pid"]);
    assert_eq!(
        bootstrap(&again),
        bootstrap(&first),
        "clients that were left open find it again"
    );
    assert_eq!(consume(bootstrap(&again), "rides", 2), ["r-001", "r-002"]);
}

#[test]
fn down_keeps_the_records_and_down_delete_does_not() {
    let home = Home::new();
    produce(bootstrap(&home.up()), "rides", &["r-001"]);
    let said = home.ok(&["down"]);
    assert!(said.contains("kept for the next"), "{said}");
    assert!(home.fails(3, &["status"]).contains("streamlings up"));
    assert_eq!(home.ok(&["down"]), "No lab is running.\n");

    let again = home.up();
    assert_eq!(consume(bootstrap(&again), "rides", 1), ["r-001"]);
    home.ok(&["down", "--delete", "--yes"]);
    assert!(!home.path.join("lab").exists(), "no lock, log or record stays");

    let empty = home.up();
    let admin: BaseConsumer = {
        let mut config = Target::new(bootstrap(&empty)).client_config();
        config.set("group.id", "test").create().unwrap()
    };
    let topics = admin.fetch_metadata(None, PATIENCE).unwrap();
    assert!(topics.topics().iter().all(|topic| topic.name() != "rides"));
}

#[test]
fn a_port_that_is_taken_is_said_and_last_times_port_is_only_a_wish() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let wanted = taken.local_addr().unwrap().port().to_string();
    let said = home.fails(3, &["up", "--backend", "embedded", "--port", &wanted]);
    assert!(said.contains(&wanted) && said.contains("--port"), "{said}");

    let before = port(&home.up());
    home.ok(&["down"]);
    let _taken = TcpListener::bind(("127.0.0.1", before)).unwrap();
    assert_ne!(port(&home.up()), before);
}

#[test]
fn the_control_interface_wants_the_token_and_bounds_what_it_reads() {
    use std::os::unix::fs::PermissionsExt;
    /// `REQUEST_LIMIT_BYTES` of the control interface.
    const LIMIT_BYTES: usize = 1024 * 1024;
    let home = Home::new();
    home.up();
    let token_file = home.path.join("lab/token");
    assert_eq!(
        std::fs::metadata(&token_file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let token = format!("Bearer {}", std::fs::read_to_string(token_file).unwrap());
    let address = format!("http://127.0.0.1:{}/v1", home.state()["control_port"]);
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .new_agent();
    let get = |headers: &[(&str, &str)]| {
        let mut request = agent.get(format!("{address}/lab"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.call().unwrap().status().as_u16()
    };
    assert_eq!(get(&[("authorization", &token)]), 200);
    assert_eq!(get(&[]), 401);
    assert_eq!(get(&[("authorization", "Bearer wrong")]), 401);
    assert_eq!(get(&[("authorization", &token), ("host", "evil.example")]), 403);
    assert_eq!(
        get(&[("authorization", &token), ("origin", "https://evil.example")]),
        403
    );

    let post = |body: &str| {
        let request = agent
            .post(format!("{address}/jobs"))
            .header("authorization", &token);
        request
            .header("content-type", "application/json")
            .send(body)
            .unwrap()
            .status()
            .as_u16()
    };
    // One byte over the limit: the lab has read all of it when it refuses, so its answer always arrives.
    let large = format!("{{\"sql\": \"{}", "x".repeat(LIMIT_BYTES));
    assert_eq!(post(&large[..=LIMIT_BYTES]), 413);
    assert_eq!(post("{ half"), 400);
    assert_eq!(home.status()["backend"], "embedded", "it goes on");
}

#[test]
fn without_docker_auto_is_embedded_with_the_reason_and_docker_is_an_error_with_a_way_out() {
    let home = Home::new();
    let said = home.fails(3, &["up", "--backend", "docker"]);
    assert!(
        said.contains("no engine answers") && said.contains("--backend embedded"),
        "{said}"
    );
    let line = home.ok(&["up", "--backend", "auto", "--port", "0"]);
    assert!(
        line.contains("embedded cluster") && line.contains("no Docker engine answered"),
        "{line}"
    );
    home.ok(&["down"]);
    assert!(home.ok(&["up"]).contains("as last time"));
}

#[test]
fn an_external_cluster_is_used_under_a_prefix_and_its_going_away_is_said() {
    let class = Home::new();
    let cluster = class.up();
    let home = Home::new();
    home.ok(&["up", "--bootstrap", bootstrap(&cluster), "--prefix", "ann-"]);
    let status = home.status();
    assert_eq!(status["backend"], "external");
    assert_eq!(status["prefix"], "ann-");
    assert_eq!(status["data"], Value::Null);
    assert_eq!(status["capabilities"]["kill_broker"], false);
    home.ok(&["down"]);
    home.ok(&["up"]);
    assert_eq!(home.status()["prefix"], "ann-", "remembered");

    class.ok(&["down"]);
    let output = home.run(&["status", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["brokers"][0]["up"], false);
    assert!(stderr(&output).contains("doesn't answer"), "{}", stderr(&output));
}

#[test]
fn wrong_requests_are_refused_with_what_to_write_and_start_nothing() {
    let home = Home::new();
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let said = home.fails(3, &["up", "--bootstrap", &nobody]);
    assert!(said.contains(&nobody) && said.contains("refused"), "{said}");

    let file = home.path.join("client.properties");
    std::fs::create_dir_all(&home.path).unwrap();
    std::fs::File::create(&file).unwrap();
    let config = |text: &str| {
        streamlings::home::write_atomic(&file, text.as_bytes(), streamlings::home::Readers::Owner).unwrap();
        home.fails(2, &["up", "--config", file.to_str().unwrap()])
    };
    let said = config("bootstrap.servers=127.0.0.1:1\nsasl.jaas.config=x password=\"hunter2\";\n");
    assert!(
        said.contains("client.properties:2") && said.contains("sasl.username"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
    assert!(config("client.id=ann\n").contains("no bootstrap.servers"));
    assert!(
        home.fails(2, &["up", "--config", "/nonexistent"])
            .contains("can't be read")
    );
    assert!(
        home.fails(2, &["up", "--bootstrap", "localhost"])
            .contains("no port")
    );
    assert!(home.fails(2, &["up", "--prefix", "ann-"]).contains("external"));
    assert!(
        home.fails(2, &["up", "--backend", "cloud"])
            .contains("possible values")
    );
    assert!(home.fails(3, &["status"]).contains("no lab is running"));
}

#[test]
fn a_home_that_cannot_be_written_is_said_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    std::fs::File::create(&file).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_streamlings"))
        .args(EMBEDDED)
        .env("STREAMLINGS_HOME", file.join("home"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = stderr(&output);
    assert!(
        said.contains("can't write to") && said.contains("STREAMLINGS_HOME"),
        "{said}"
    );
}

#[test]
fn damaged_state_stops_nobody() {
    let home = Home::new();
    let lab = home.path.join("lab");
    for name in ["state.json", "choice.json", "token"] {
        streamlings::home::write_atomic(&lab.join(name), b"{ half", streamlings::home::Readers::Anyone)
            .unwrap();
    }
    assert!(home.fails(3, &["status"]).contains("no lab is running"));
    home.up();
    assert_eq!(home.status()["backend"], "embedded");
}

#[test]
fn completions_are_printed_for_the_usual_shells() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = home.ok(&["completions", shell]);
        assert!(
            script.contains("streamlings") && script.contains("bootstrap"),
            "{shell}"
        );
    }
    home.fails(2, &["completions", "tcsh"]);
}
