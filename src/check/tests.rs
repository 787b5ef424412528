//! Every kind of check against a cluster, with the sentences that a learner gets.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::*;
use crate::course::Files;
use crate::course::checks::Isolation;
use crate::course::model::Course;
use crate::home::{Readers, write_atomic};
use crate::kafka::{Admin, NewTopic, Target};

/// A course of one exercise with this setup and these checks.
fn course(setup: &str, checks: &[&str], data: &str) -> (tempfile::TempDir, Course) {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        write_atomic(&folder.path().join(name), text.as_bytes(), Readers::Anyone).unwrap();
    };
    put(
        "exercises/course.toml",
        "id = \"t\"\ntitle = \"T\"\n[[module]]\nnumber = 1\ntitle = \"M\"\nexercises = [\"1.1\"]\n",
    );
    let mut text = format!(
        "+++\nid = \"1.1\"\ntitle = \"T\"\nminutes = 1\n+++\nWhy.\n\n## Step\nTask.\n\n```toml setup\n{setup}\n```\n"
    );
    for check in checks {
        writeln!(text, "```toml check\n{check}\n```").unwrap();
    }
    text.push_str("```hint\nh\n```\n```solution\nanswer 1\n```\n");
    put("exercises/1.1/exercise.md", &text);
    put("exercises/1.1/data/rides.jsonl", data);
    let course = Course::from_files(&Files::folder(folder.path()).unwrap());
    let course = course.unwrap_or_else(|problem| panic!("{}", problem.render()));
    (folder, course)
}

const RIDES: &str = "{\"driver\":\"d-17\",\"time\":\"2026-03-01T18:00:00Z\",\"minutes\":12}\n\
                     {\"driver\":\"d-2\",\"time\":\"2026-03-01T18:00:01Z\",\"minutes\":5}\n\
                     {\"driver\":\"d-17\",\"time\":\"2026-03-01T18:00:02Z\",\"minutes\":7}\n\
                     {\"driver\":\"d-9\",\"time\":\"2026-03-01T18:00:03Z\",\"minutes\":3}\n";

const SETUP: &str = "[[topic]]\nname = \"rides\"\npartitions = 3\n\
    [[produce]]\ntopic = \"rides\"\nfile = \"data/rides.jsonl\"\nkey = \"driver\"\ntime = \"time\"\n\
    [[topic]]\nname = \"loose\"\npartitions = 2\n\
    [[produce]]\ntopic = \"loose\"\nfile = \"data/rides.jsonl\"\n\
    [[topic]]\nname = \"ridse\"\n\
    [[commit]]\ngroup = \"map\"\ntopic = \"loose\"\noffsets = [2, 1]\n";

/// An embedded cluster and how it is reached; `STREAMLINGS_TEST_BOOTSTRAP` names another one, to compare.
pub(crate) fn cluster() -> (Option<streamlings_broker::Cluster>, Target) {
    let prefix = format!("course-{}-", uuid::Uuid::new_v4());
    let (cluster, bootstrap) = if let Ok(bootstrap) = std::env::var("STREAMLINGS_TEST_BOOTSTRAP") {
        (None, bootstrap)
    } else {
        let cluster = streamlings_broker::Cluster::builder().start().unwrap();
        let bootstrap = cluster.bootstrap().to_string();
        (Some(cluster), bootstrap)
    };
    (
        cluster,
        Target {
            prefix,
            ..Target::new(bootstrap)
        },
    )
}

fn told(results: &[CheckResult]) -> String {
    let lines = results.iter().map(|result| {
        let mark = if result.passed { 'x' } else { ' ' };
        format!("[{mark}] {}", result.text())
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn each_mistake_gets_an_answer_about_itself() {
    let checks = [
        "topic = \"rides\"\npartitions = 3",
        "topic = \"rides\"\npartitions = 4",
        "topic = \"rides\"\npartitions = 1",
        "topic = \"rides\"\nconfig = { \"retention.ms\" = \"1000\" }",
        "topic = \"rides\"\nexists = false",
        "topic = \"rides\"\nreplicas = 3",
        "topic = \"lose\"",
        "records = \"rides\"\ncount = 4\nkeyed = true\nkey-partition = \"one\"",
        "records = \"rides\"\ncount = 10",
        "records = \"rides\"\ncount = 2",
        "records = \"rides\"\ncount = 2\nwhere = { driver = \"d-17\" }",
        "records = \"rides\"\nat-least = 1\nkey = \"d-99\"",
        "records = \"rides\"\npartitions-used = 9",
        "records = \"ridse\"\nat-least = 5\nkeyed = true",
        "records = \"loose\"\nkeyed = true",
        "records = \"loose\"\nkey-partition = \"one\"\nwhere = { minutes = 12 }",
        "records = \"loose\"\nkey-partition = \"one\"",
        "records = \"loose\"\nat-least = 1\nkey = \"d-17\"",
        "group = \"map\"\ntopic = \"loose\"\nread = 3",
        "group = \"map\"\ntopic = \"loose\"\nread = 4",
        "group = \"map\"\ntopic = \"loose\"\nlag = 1",
        "group = \"map\"\ntopic = \"loose\"\nlag = 0",
        "group = \"map\"\ntopic = \"loose\"\ncommitted = { \"0\" = 2, \"1\" = 0 }",
        "group = \"map\"\nmembers = 0",
        "group = \"map\"\nmembers = 2",
        "group = \"mpa\"\nmembers = 1",
        "rows = \"rides\"\ncontains = [ { driver = \"d-2\", minutes = 5 } ]",
        "rows = \"rides\"\ncontains = [ { driver = \"d-2\", minutes = 6 } ]",
        "rows = \"ridse\"\ncount = 1\ntip = \"Send one more ride.\"",
        "job = \"rides_per_minute\"\nstate = \"running\"",
        "answer = \"How many?\"\naccept = [\"4\"]",
        "answer = \"Which?\"\naccept = [\"4\"]\nwrong = { \"3\" = \"That is the number of partitions.\" }",
        "answer = \"Where is d-17?\"\nfrom = { partition-of-key = \"d-17\", topic = \"rides\" }",
        "broker = 1\nup = true",
        "broker = 1\nup = false",
        "broker = 7\nup = true",
        "topic = \"rides\"\nin-sync = 1",
        "topic = \"rides\"\nin-sync = 2",
        "topic = \"loose\"\nstarts = { \"0\" = 0 }\nends = { \"0\" = 2, \"1\" = 2 }",
        "topic = \"loose\"\nstarts = { \"0\" = 1 }",
        "topic = \"loose\"\nends = { \"1\" = 7 }",
        "records = \"rides\"\ncount = 1\ntombstones = true\nanew = true",
        "records = \"rides\"\ncount = 4\nisolation = \"read_uncommitted\"",
        "topic = \"rides\"\nleaders = { \"0\" = 1, \"2\" = 1 }",
        "topic = \"rides\"\nleaders = { \"0\" = 3 }",
        "topic = \"rides\"\nleaders = { \"9\" = 1 }",
        "records = \"rides\"\ndistinct-keys = 3\ndistinct-values = 4",
        "records = \"rides\"\ndistinct-keys = 4",
        "records = \"rides\"\nwhere = { driver = \"d-17\" }\ndistinct-values = 1",
        "group = \"map\"\nstate = \"Empty\"",
        "group = \"map\"\nstate = \"Stable\"",
        "group = \"map\"\nassigned = { anna = 1 }",
        "group = \"map\"\ntopic = \"loose\"\nreaders = { \"0\" = \"anna\" }",
        "transaction = \"payouts\"\nstate = \"Ongoing\"",
    ];
    let (_folder, course) = course(SETUP, &checks, RIDES);
    let exercise = course.exercise("1.1").unwrap();
    let step = &exercise.steps[0];
    let (_cluster, target) = cluster();
    setup::run(&course, exercise, step, &target).unwrap();
    let mut context = CheckContext::new(&target, None).unwrap();
    context.set_answer("Which?", "3");
    context.set_answer("Where is d-17?", "7");
    let first = told(&evaluate_all(&step.checks, &mut context));
    insta::assert_snapshot!(first);
    assert_eq!(
        told(&evaluate_all(&step.checks, &mut context)),
        first,
        "a check only looks"
    );

    // Once more: nothing is written twice, and what the group committed stays.
    setup::run(&course, exercise, step, &target).unwrap();
    assert_eq!(told(&evaluate_all(&step.checks, &mut context)), first);

    let names = setup::names(exercise);
    assert_eq!(setup::clean(&names, &target).unwrap(), Vec::<String>::new());
    let after = evaluate_all(&step.checks, &mut context);
    assert_eq!(after[0].found, "there is no topic 'rides'");
    assert!(after[4].passed, "{after:?}");
    assert!(after[18].found.contains("no group 'map'"), "{:?}", after[18]);
}

/// Consumers of one group, polled until each has its partitions.
fn join(target: &Target, clients: &[&str]) -> Vec<BaseConsumer> {
    let consumers: Vec<BaseConsumer> = clients
        .iter()
        .map(|client| {
            let mut config = target.client_config();
            config
                .set("group.id", target.real("map"))
                .set("client.id", *client)
                .set("heartbeat.interval.ms", "200")
                .set("partition.assignment.strategy", "range");
            let consumer: BaseConsumer = config.create().unwrap();
            consumer.subscribe(&[&target.real("rides")]).unwrap();
            consumer
        })
        .collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    let held = || consumers.iter().map(|one| one.assignment().unwrap().count());
    // All three partitions are given away, and nobody has all of them.
    while held().sum::<usize>() != 3 || held().any(|count| count == 3) {
        assert!(Instant::now() < deadline, "nobody divides the partitions");
        for consumer in &consumers {
            drop(consumer.poll(Duration::from_millis(50)));
        }
    }
    consumers
}

#[test]
fn who_has_which_partitions_is_seen() {
    let checks = [
        "group = \"map\"\nstate = \"Stable\"\nassigned = { anna = 2, ben = 1 }",
        "group = \"map\"\ntopic = \"rides\"\nreaders = { \"0\" = \"anna\", \"2\" = \"ben\" }",
        "group = \"map\"\nassigned = { ben = 0 }",
        "group = \"map\"\nassigned = { dora = 0 }",
        "group = \"map\"\ntopic = \"rides\"\nreaders = { \"0\" = \"ben\" }",
        "group = \"map\"\ntopic = \"loose\"\nreaders = { \"0\" = \"ben\" }",
        "group = \"map\"\nstate = \"Empty\"",
    ];
    let (_folder, course) = course(SETUP, &checks, RIDES);
    let exercise = course.exercise("1.1").unwrap();
    let (_cluster, target) = cluster();
    setup::run(&course, exercise, &exercise.steps[0], &target).unwrap();
    let mut context = CheckContext::new(&target, None).unwrap();
    let _consumers = join(&target, &["anna", "ben"]);
    insta::assert_snapshot!(told(&evaluate_all(&exercise.steps[0].checks, &mut context)), @"
    [x] group map is Stable, has 2 partitions with anna and has 1 partition with ben: 2 members now
    [x] group map has partition 0 with anna and has partition 2 with ben: 2 members now
    [ ] group map has no partition with ben: ben has 1 partition, and this step needs 0
    [ ] group map has no partition with dora: map has no member dora. A consumer gets its name by --command-property client.id=dora
    [ ] group map has partition 0 with ben: anna has partition 0, and this step needs ben there
    [ ] group map has partition 0 with ben: no member has partition 0, and this step needs ben there
    [ ] group map is Empty: map is Stable, and this step needs Empty
    ");
}

#[test]
fn how_the_last_transaction_stands_is_seen() {
    const LIMIT: Duration = Duration::from_secs(30);
    let checks = [
        "transaction = \"payouts\"\nstate = \"Empty\"",
        "transaction = \"payouts\"\nstate = \"Ongoing\"",
        "transaction = \"payouts\"\nstate = \"CompleteAbort\"",
        "transaction = \"payouts\"\nstate = \"CompleteCommit\"",
    ];
    let (_folder, course) = course(SETUP, &checks, RIDES);
    let exercise = course.exercise("1.1").unwrap();
    let (_cluster, target) = cluster();
    setup::run(&course, exercise, &exercise.steps[0], &target).unwrap();
    let mut context = CheckContext::new(&target, None).unwrap();
    let mut passing = || {
        let results = evaluate_all(&exercise.steps[0].checks, &mut context);
        let passed = results
            .iter()
            .zip(["Empty", "Ongoing", "CompleteAbort", "CompleteCommit"]);
        let passed: Vec<&str> = passed
            .filter(|(result, _)| result.passed)
            .map(|(_, state)| state)
            .collect();
        (passed.join(" "), told(&results))
    };
    let producer: BaseProducer = target
        .client_config()
        .set("transactional.id", target.real("payouts"))
        .create()
        .unwrap();
    producer.init_transactions(LIMIT).unwrap();
    assert_eq!(passing().0, "Empty");
    producer.begin_transaction().unwrap();
    let rides = target.real("rides");
    producer
        .send(BaseRecord::<(), _>::to(&rides).payload("x"))
        .unwrap();
    producer.flush(LIMIT).unwrap();
    let (open, told) = passing();
    assert_eq!(open, "Ongoing");
    insta::assert_snapshot!(told, @"
    [ ] the last transaction of payouts is not begun (Empty): the last transaction of payouts is open (Ongoing), and this step needs it not begun (Empty)
    [x] the last transaction of payouts is open (Ongoing): open (Ongoing)
    [ ] the last transaction of payouts is aborted (CompleteAbort): the last transaction of payouts is open (Ongoing), and this step needs it aborted (CompleteAbort). It ends with: txn abort
    [ ] the last transaction of payouts is committed (CompleteCommit): the last transaction of payouts is open (Ongoing), and this step needs it committed (CompleteCommit). It ends with: txn commit
    ");
    producer.abort_transaction(LIMIT).unwrap();
    // The markers are written after the answer.
    let deadline = Instant::now() + LIMIT;
    while passing().0 != "CompleteAbort" {
        assert!(Instant::now() < deadline, "{}", passing().1);
    }
}

#[test]
fn a_seed_is_where_java_would_put_it() {
    // The partitions are those that the console producer of Apache Kafka 4.3.1 chose for these keys.
    let rides = ["d-17", "d-2", "d-3", "d-4", "d-5"]
        .map(|key| format!("{{\"driver\":\"{key}\",\"time\":\"2026-03-01T18:00:00Z\"}}"));
    let (_folder, course) = course(SETUP, &["topic = \"rides\""], &rides.join("\n"));
    let exercise = course.exercise("1.1").unwrap();
    let (_cluster, target) = cluster();
    setup::run(&course, exercise, &exercise.steps[0], &target).unwrap();
    let mut context = CheckContext::new(&target, None).unwrap();
    let by_key: BTreeMap<_, _> = context
        .records("rides", Isolation::ReadCommitted, false)
        .unwrap()
        .seen
        .iter()
        .map(|seen| {
            (
                String::from_utf8(seen.key.clone().unwrap()).unwrap(),
                seen.partition,
            )
        })
        .collect();
    insta::assert_debug_snapshot!(by_key, @r#"
    {
        "d-17": 2,
        "d-2": 2,
        "d-3": 2,
        "d-4": 0,
        "d-5": 1,
    }
    "#);
}

#[test]
fn a_topic_that_is_in_the_way_is_said() {
    let (_cluster, target) = cluster();
    let admin = Admin::new(&target, Duration::from_secs(10)).unwrap();
    let new = NewTopic {
        name: "rides".into(),
        partitions: Some(1),
        replicas: Some(1),
        ..NewTopic::default()
    };
    admin.create_topic(&new).unwrap();
    let (_folder, course) = course(SETUP, &["topic = \"rides\""], RIDES);
    let exercise = course.exercise("1.1").unwrap();
    let problem = setup::run(&course, exercise, &exercise.steps[0], &target).unwrap_err();
    assert!(problem.what.contains("is there with 1 partition,"), "{problem}");
    assert!(problem.next.unwrap().contains("reset"));
}

/// A lab whose embedded cluster is asked what it has seen.
struct Seeing(streamlings_broker::Witnessed);

impl LabSource for Seeing {
    fn jobs(&self) -> Result<Vec<JobFacts>, String> {
        Ok(Vec::new())
    }

    fn clock_ahead_ms(&self) -> Result<u64, String> {
        Ok(86_400_000)
    }

    fn witnessed(&self, topic: &str) -> Result<crate::lab::Witnessed, String> {
        assert!(topic.ends_with("-rides"), "asked by its name on the cluster");
        Ok(self.0.into())
    }
}

#[test]
fn what_has_happened_to_records_is_asked_of_the_lab() {
    let checks = [
        "topic = \"rides\"\nunanswered = 1",
        "topic = \"rides\"\nrecognised = 1",
        "topic = \"rides\"\nrefused = 1\npartitions = 3",
        "topic = \"rides\"\nlost = 3",
        "records = \"rides\"\nolder-than = \"1d\"\ncount = 4",
        "records = \"rides\"\nolder-than = \"20000d\"\ncount = 4",
    ];
    let setup = format!("needs = [\"witness\"]\n{SETUP}");
    let (_folder, course) = course(&setup, &checks, RIDES);
    let exercise = course.exercise("1.1").unwrap();
    let (_cluster, target) = cluster();
    setup::run(&course, exercise, &exercise.steps[0], &target).unwrap();
    let told_of = |seen: streamlings_broker::Witnessed| {
        let mut context = CheckContext::new(&target, Some(Box::new(Seeing(seen)))).unwrap();
        told(&evaluate_all(&exercise.steps[0].checks, &mut context))
    };
    insta::assert_snapshot!(told_of(streamlings_broker::Witnessed::default()), @"
    [ ] topic rides has 1 write without an answer: rides: every write to it was answered. First the fault, then the producer: fault add --api Produce --times 1 --drop-answer
    [ ] topic rides has 1 recognised retry: rides: no retry to it was recognised. It takes an answer that is lost, and then a producer with --command-property enable.idempotence=true.
    [ ] topic rides has 3 partitions and 1 refused write: rides: no write to it was refused. Only acks=all is held to min.insync.replicas: --request-required-acks all
    [ ] topic rides has 3 lost records: rides: none of its records is lost. Pause the followers, send with acks=1, kill the leader: once another leads and the old one is back, it cuts the record off.
    [x] 4 records older than 1d in rides: 4 records
    [ ] 4 records older than 20000d in rides: rides has 4 records, and none older than 20000d
    ");
    let some = streamlings_broker::Witnessed {
        unanswered: 1,
        recognised: 2,
        refused: 1,
        lost: 1,
    };
    insta::assert_snapshot!(told_of(some), @"
    [x] topic rides has 1 write without an answer: rides has 3 partitions
    [x] topic rides has 1 recognised retry: rides has 3 partitions
    [x] topic rides has 3 partitions and 1 refused write: rides has 3 partitions
    [ ] topic rides has 3 lost records: 1 of 3 so far. Pause the followers, send with acks=1, kill the leader: once another leads and the old one is back, it cuts the record off.
    [x] 4 records older than 1d in rides: 4 records
    [ ] 4 records older than 20000d in rides: rides has 4 records, and none older than 20000d
    ");
    let mut without = CheckContext::new(&target, None).unwrap();
    let result = &evaluate_all(&exercise.steps[0].checks, &mut without)[0];
    assert!(
        result.unknown && result.found.contains("can't tell"),
        "{result:?}"
    );
}
