//! What runs beside the prompt: consumers in the background through a pseudo-terminal, and the same in a course.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rexpect::session::{PtySession, spawn_command};

/// No screen takes longer to appear.
const PATIENCE_MS: u64 = 60_000;

fn binary(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_streamlings"));
    command
        .env("STREAMLINGS_HOME", home)
        .env("NO_COLOR", "1")
        .env("TERM", "xterm")
        .env_remove("STREAMLINGS_COURSE");
    command
}

fn run(home: &Path, args: &[&str]) -> String {
    let done = binary(home).args(args).output().unwrap();
    let err = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{args:?}\n{err}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// A lab of the test's own.
struct Lab(tempfile::TempDir);

impl Lab {
    fn start() -> Self {
        let lab = Self(tempfile::tempdir().unwrap());
        run(lab.home(), &["up", "--backend", "embedded", "--port", "0"]);
        lab
    }

    fn home(&self) -> &Path {
        self.0.path()
    }

    fn prompt(&self) -> PtySession {
        let mut terminal = spawn_command(binary(self.home()), Some(PATIENCE_MS)).unwrap();
        terminal.exp_string("Enter starts").unwrap();
        terminal
    }

    /// Waits until the group has so many members.
    fn has_members(&self, group: &str, count: usize) {
        let deadline = Instant::now() + Duration::from_millis(PATIENCE_MS);
        loop {
            let asked = binary(self.home())
                .args([
                    "kafka-consumer-groups",
                    "--describe",
                    "--members",
                    "--group",
                    group,
                ])
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&asked.stdout).into_owned();
            if text.lines().filter(|line| line.starts_with(group)).count() == count {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{group} has not {count} members:\n{text}"
            );
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(binary(self.home()).args(["down", "--delete", "--yes"]).output());
    }
}

#[test]
fn consumers_run_side_by_side_and_each_ends_in_its_way() {
    let lab = Lab::start();
    run(
        lab.home(),
        &[
            "kafka-topics",
            "--create",
            "--topic",
            "rides",
            "--partitions",
            "2",
        ],
    );
    let mut prompt = lab.prompt();
    let see = |prompt: &mut PtySession, text: &str| {
        if let Err(error) = prompt.exp_string(text) {
            panic!("waiting for {text:?}: {error}");
        }
    };
    for members in [1, 2] {
        prompt
            .send_line("kafka-console-consumer --topic rides --group map &")
            .unwrap();
        lab.has_members("map", members);
    }
    prompt
        .send_line("kafka-console-producer --topic rides --reader-property parse.key=true --reader-property key.separator=:")
        .unwrap();
    see(&mut prompt, "[K>\r");
    // Each key is in another of the two partitions.
    prompt.send_line("a:first").unwrap();
    see(&mut prompt, " consumer] first");
    prompt.send_line("b:second").unwrap();
    prompt.send_line("c:third").unwrap();
    see(&mut prompt, " consumer] ");
    see(&mut prompt, " consumer] ");
    prompt.send_control('d').unwrap();
    see(&mut prompt, "[Kstreamlings> \r");

    // Ctrl-C at the prompt is for the prompt.
    prompt.send_control('c').unwrap();
    see(&mut prompt, "quit or Ctrl-D leaves");
    prompt.send_line("jobs").unwrap();
    see(&mut prompt, "[1 consumer] running");
    see(&mut prompt, "[2 consumer] running");

    // Who is stopped says good-bye to the group; who is killed does not.
    prompt.send_line("stop 2").unwrap();
    see(&mut prompt, "[2 consumer] stopped");
    lab.has_members("map", 1);
    prompt.send_line("kill 1").unwrap();
    see(&mut prompt, "[1 consumer] killed");
    lab.has_members("map", 1);
    prompt.send_line("stop 2").unwrap();
    see(&mut prompt, "[2 consumer] has ended: stopped");

    // A producer takes lines in the foreground, and goes on with Ctrl-D to its end.
    prompt
        .send_line("kafka-console-producer --topic rides &")
        .unwrap();
    see(&mut prompt, "[3] waits for lines");
    prompt.send_line("fg 3").unwrap();
    see(&mut prompt, "[K>\r");
    prompt.send_line("fourth").unwrap();
    see(&mut prompt, "[K>\r");
    prompt.send_control('d').unwrap();
    see(&mut prompt, "[Kstreamlings> \r");
    prompt
        .send_line("kafka-console-consumer --topic rides --from-beginning &")
        .unwrap();
    prompt.send_line("wait 4 4").unwrap();
    see(&mut prompt, "[4 consumer] ");
    prompt.send_line("logs 4").unwrap();
    see(&mut prompt, "fourth");

    prompt.send_line("txn begin --id fares").unwrap();
    see(&mut prompt, "transaction begun");
    // Ten minutes to look at it, where a producer has one.
    prompt
        .send_line("kafka-transactions describe --transactional-id fares")
        .unwrap();
    see(&mut prompt, "600000");
    prompt.send_line("txn begin").unwrap();
    see(&mut prompt, "producer a has an open transaction");

    prompt.send_line("quit").unwrap();
    see(&mut prompt, "Stopping what runs in the background: [4 consumer]");
    see(&mut prompt, "The open transaction of producer a is aborted");
    see(&mut prompt, "Your progress is kept");
    prompt.exp_eof().unwrap();
}

/// Clients stamp records with the machine's time: to a cluster that is days ahead they are old enough to be deleted.
#[test]
fn an_exercise_that_moves_no_clock_begins_at_the_machines_time() {
    let lab = Lab::start();
    let ahead = || {
        let status: serde_json::Value =
            serde_json::from_str(&run(lab.home(), &["status", "--json"])).unwrap();
        status["clock_ahead_ms"].as_u64().unwrap()
    };
    let mut prompt = lab.prompt();
    let mut see = |keys: &str, text: &str| {
        prompt.send(keys).unwrap();
        prompt.flush().unwrap();
        if let Err(error) = prompt.exp_string(text) {
            panic!("waiting for {text:?} after {keys:?}: {error}");
        }
    };
    see("clock advance 20d\r", "20d further on");
    see(
        "fault add --api Produce --times 1 --drop-answer\r",
        "the next request Produce",
    );
    see("3.4\r", "A fault of another exercise was still in force");
    see("", "Your prediction");
    see("\r", "You said:");
    see("status\r", "20 days ahead");
    assert!(ahead() > 0);
    see("1.1\r", "The cluster's clock was 20 days ahead.");
    see(
        "kafka-topics --create --topic rides --partitions 3\r",
        "Created topic rides",
    );
    assert_eq!(ahead(), 0);
    see("quit\r", "Your progress is kept");
}

#[test]
fn a_lab_that_has_gone_is_said_at_once_and_up_brings_it_back() {
    let lab = Lab::start();
    run(lab.home(), &["kafka-topics", "--create", "--topic", "rides"]);
    let mut prompt = lab.prompt();
    let see = |prompt: &mut PtySession, text: &str| {
        if let Err(error) = prompt.exp_string(text) {
            panic!("waiting for {text:?}: {error}");
        }
    };
    let kill = || {
        let status: serde_json::Value =
            serde_json::from_str(&run(lab.home(), &["status", "--json"])).unwrap();
        let pid = status["pid"].to_string();
        assert!(
            Command::new("kill")
                .args(["-9", &pid])
                .status()
                .unwrap()
                .success()
        );
    };
    kill();
    see(&mut prompt, "The lab has gone. `up` brings it back");
    let asked = Instant::now();
    for line in [
        "kafka-topics --list",
        "kafka-console-consumer --topic rides &",
        "1.1",
        "job list",
    ] {
        prompt.send_line(line).unwrap();
        see(&mut prompt, "next: type up");
    }
    // A tool that waits for brokers gives up after ten seconds, each time.
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    prompt.send_line("kafka-topics --help").unwrap();
    see(&mut prompt, "--create");
    prompt.send_line("up").unwrap();
    see(&mut prompt, "ready in");
    prompt.send_line("kafka-topics --list").unwrap();
    see(&mut prompt, "rides");

    // A tool that is running waits for the cluster, as Kafka's would; the lab says why.
    prompt.send_line("kafka-console-producer --topic rides").unwrap();
    see(&mut prompt, "[K>\r");
    prompt.send_line("first").unwrap();
    see(&mut prompt, "[K>\r");
    prompt.send_control('d').unwrap();
    see(&mut prompt, "[Kstreamlings> \r");
    prompt
        .send_line("kafka-console-consumer --topic rides --from-beginning")
        .unwrap();
    see(&mut prompt, "\nfirst");
    kill();
    see(&mut prompt, "with all its data. Ctrl-C ends the");
    prompt.send_control('c').unwrap();
    see(&mut prompt, "Processed a total of 1 messages");
    prompt.send_line("quit").unwrap();
    see(&mut prompt, "the lab has gone. `streamlings` brings you back");
    prompt.exp_eof().unwrap();
}

const EXERCISE: &str = r#"+++
id = "1.1"
title = "Side by side"
minutes = 5
+++
Why.

## Two share, one dies
Task.

```toml setup
[[topic]]
name = "rides"
partitions = 2
[[topic]]
name = "receipts"
```
```toml check
records = "receipts"
count = 3
```
```toml check
group = "map"
members = 1
```
```hint
h
```
```solution
kafka-console-producer --topic rides --reader-property parse.key=true --reader-property key.separator=:
| a:1
| b:2
worker --from rides --to receipts --group work --commit after --crash-after 2
worker --from rides --to receipts --group work --commit after --max-messages 1
kafka-console-consumer --topic rides --group map --from-beginning --command-property session.timeout.ms=6000 &
kafka-console-consumer --topic rides --group map --from-beginning &
wait 50ms
kill 1
```
```wrong "nobody dies"
kafka-console-consumer --topic rides --group map &
kafka-console-consumer --topic rides --group map &
expect: map has 2 members now, and this step needs 1
```
"#;

#[test]
fn a_course_runs_and_kills_what_it_needs() {
    let home = tempfile::tempdir().unwrap();
    let course = tempfile::tempdir().unwrap();
    let folder = course.path().join("exercises/1.1-side");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("exercise.md"), EXERCISE).unwrap();
    std::fs::write(
        course.path().join("exercises/course.toml"),
        "id = \"t\"\ntitle = \"T\"\n[[module]]\nnumber = 1\ntitle = \"M\"\nexercises = [\"1.1-side\"]\n",
    )
    .unwrap();
    let done = binary(home.path())
        .args(["author", "check"])
        .arg(course.path())
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&done.stdout);
    assert!(
        out.contains("3 plays, all as they have to be"),
        "{out}{}",
        String::from_utf8_lossy(&done.stderr)
    );
}
