//! Transactions: commit, abort, fencing, offsets, and what may not be done.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer;
use rdkafka::{Message, Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::facts::{DEADLINE, Facts, Said, Sender, error_text, offsets, send, text, until};

pub(crate) fn tell(f: &Facts) {
    let topic = f.topic("ledger", 2, &[]);
    ends(f, &topic);
    copies(f, &topic);
    fences(f, &topic);
    misuse(f, &topic);
    in_the_end(f);
}

fn started(f: &Facts, id: &str, more: &[(&str, &str)]) -> Result<Sender, KafkaError> {
    let id = f.name(id);
    let producer = f.producer(&[&[("transactional.id", id.as_str())], more].concat())?;
    producer.init_transactions(DEADLINE)?;
    Ok(producer)
}

fn done(result: Result<(), KafkaError>) -> Value {
    result.map_or_else(|error| error_text(&error), |()| json!("done"))
}

fn committed(f: &Facts, partition: i32) -> Value {
    f.read(
        "ledger",
        partition,
        Offset::Beginning,
        &[("isolation.level", "read_committed")],
    )
    .unwrap()
}

fn everything(f: &Facts, partition: i32) -> Value {
    f.read(
        "ledger",
        partition,
        Offset::Beginning,
        &[("isolation.level", "read_uncommitted")],
    )
    .unwrap()
}

fn count(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

fn ends(f: &Facts, topic: &str) {
    let producer = started(f, "ends", &[]).unwrap();
    let within = |values: &[&str], end: fn(&Sender) -> Result<(), KafkaError>| -> Said {
        producer.begin_transaction()?;
        let told = send(&producer, topic, 0, values)?;
        Ok(json!([told, done(end(&producer))]))
    };
    let commit: fn(&Sender) -> _ = |p| p.commit_transaction(DEADLINE);
    let abort: fn(&Sender) -> _ = |p| p.abort_transaction(DEADLINE);
    f.ask("commit", || within(&["a", "b"], commit));
    f.ask("read the committed", || {
        Ok(until(|| committed(f, 0), |found| count(found) == 2))
    });
    f.ask("abort", || within(&["x"], abort));
    f.ask("commit after it", || within(&["c"], commit));
    f.ask("read past the aborted", || {
        let seen = until(|| committed(f, 0), |found| count(found) == 3);
        Ok(json!([seen, everything(f, 0)]))
    });
    f.ask("commit of nothing", || within(&[], commit));
    f.ask("abort of nothing", || within(&[], abort));
    f.ask("two partitions", || {
        producer.begin_transaction()?;
        let told = [
            send(&producer, topic, 0, &["d"])?,
            send(&producer, topic, 1, &["e"])?,
        ];
        let open = json!([count(&committed(f, 0)), count(&committed(f, 1))]);
        let end = done(commit(&producer));
        let after = until(
            || [count(&committed(f, 0)), count(&committed(f, 1))],
            |found| *found == [4, 1],
        );
        Ok(json!([told, open, end, after]))
    });
    f.ask("the last stable offset of an open transaction", || {
        producer.begin_transaction()?;
        send(&producer, topic, 1, &["open"])?;
        let ends = [committed(f, 1), everything(f, 1)].map(|seen| count(&seen));
        Ok(json!([ends, done(abort(&producer))]))
    });
}

/// One record that is read, written elsewhere, and its offset committed in the same transaction.
fn copies(f: &Facts, topic: &str) {
    let source = f.topic("source", 1, &[]);
    f.ask("send what is copied", || {
        f.send("source", 0, &["1", "2", "3", "4"], &[])
    });
    let producer = started(f, "copies", &[]).unwrap();
    let mover = |group: &str| -> Result<(BaseConsumer, i64, String), KafkaError> {
        let consumer = f.consumer(group, &[("isolation.level", "read_committed")])?;
        consumer.subscribe(&[&source])?;
        let (at, value) = until(
            || match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => Some((message.offset(), text(message.payload()).unwrap())),
                _ => None,
            },
            Option::is_some,
        )
        .unwrap();
        Ok((consumer, at, value))
    };
    let next = |at: i64| {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&source, 0, Offset::Offset(at + 1))
            .unwrap();
        list
    };
    let seen = |group: &str| -> Said {
        let consumer = f.consumer(group, &[])?;
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition(&source, 0);
        consumer
            .committed_offsets(wanted, DEADLINE)
            .map(|found| offsets(&found))
    };
    let turn = |end: fn(&Sender) -> Result<(), KafkaError>| -> Said {
        let (consumer, at, value) = mover("movers")?;
        producer.begin_transaction()?;
        send(&producer, topic, 0, &[&format!("copy of {value}")])?;
        let metadata = consumer.group_metadata().unwrap();
        let sent = done(producer.send_offsets_to_transaction(&next(at), &metadata, DEADLINE));
        let end = done(end(&producer));
        drop(consumer);
        Ok(json!([value, sent, end, seen("movers")?]))
    };
    f.ask("offsets in an aborted transaction", || {
        turn(|p| p.abort_transaction(DEADLINE))
    });
    f.ask("offsets in a committed transaction", || {
        turn(|p| p.commit_transaction(DEADLINE))
    });
    f.ask("offsets of the next one", || {
        turn(|p| p.commit_transaction(DEADLINE))
    });
    f.ask("offsets by a member that has left", || {
        let (consumer, at, _) = mover("left")?;
        let metadata = consumer.group_metadata().unwrap();
        drop(consumer);
        producer.begin_transaction()?;
        let sent = done(producer.send_offsets_to_transaction(&next(at), &metadata, DEADLINE));
        Ok(json!([
            sent,
            done(producer.abort_transaction(DEADLINE)),
            seen("left")?
        ]))
    });
}

fn fences(f: &Facts, topic: &str) {
    f.ask("a zombie commits", || {
        let old = started(f, "fenced", &[])?;
        old.begin_transaction()?;
        send(&old, topic, 1, &["zombie"])?;
        let new = started(f, "fenced", &[])?;
        let said = done(old.commit_transaction(DEADLINE));
        new.begin_transaction()?;
        send(&new, topic, 1, &["alive"])?;
        Ok(json!([said, done(new.commit_transaction(DEADLINE))]))
    });
    f.ask("a zombie sends", || {
        let old = started(f, "fenced", &[])?;
        old.begin_transaction()?;
        send(&old, topic, 1, &["zombie"])?;
        let new = started(f, "fenced", &[])?;
        let told = send(&old, topic, 1, &["late"]);
        let said = done(old.commit_transaction(DEADLINE));
        Ok(json!([
            told.unwrap_or_else(|error| error_text(&error)),
            said,
            done(new.begin_transaction())
        ]))
    });
    f.ask("a transaction that timed out", || {
        let producer = started(f, "late", &[("transaction.timeout.ms", "1000")])?;
        producer.begin_transaction()?;
        send(&producer, topic, 1, &["too late"])?;
        f.send("ledger", 1, &["behind it"], &[])?;
        // A reader of what is committed gets past it once it has ended; the coordinator looks every ten seconds.
        let seen = until(|| committed(f, 1).to_string().contains("behind it"), |seen| *seen);
        Ok(json!([seen, done(producer.commit_transaction(DEADLINE))]))
    });
}

fn misuse(f: &Facts, topic: &str) {
    f.ask("a time-out too long", || {
        started(
            f,
            "long",
            &[
                ("transaction.timeout.ms", "2000000"),
                ("message.timeout.ms", "2000000"),
            ],
        )?;
        Ok(json!("started"))
    });
    f.ask("begin without a start", || {
        let id = f.name("idle");
        let producer = f.producer(&[("transactional.id", &id)])?;
        Ok(done(producer.begin_transaction()))
    });
    f.ask("begin twice, commit twice, send outside", || {
        let producer = started(f, "misuse", &[])?;
        producer.begin_transaction()?;
        let twice = done(producer.begin_transaction());
        let first = done(producer.commit_transaction(DEADLINE));
        let again = done(producer.commit_transaction(DEADLINE));
        let outside = send(&producer, topic, 0, &["outside"]).unwrap_or_else(|error| error_text(&error));
        Ok(json!([twice, first, again, outside]))
    });
    f.ask("transactions without an id", || {
        Ok(done(f.producer(&[])?.init_transactions(DEADLINE)))
    });
    f.ask("a record that can't be sent aborts", || {
        let producer = started(f, "broken", &[])?;
        producer.begin_transaction()?;
        f.topic("tiny", 1, &[("max.message.bytes", "100")]);
        let long = "x".repeat(500);
        let told = send(&producer, &f.name("tiny"), 0, &[&long])?;
        let commit = done(producer.commit_transaction(DEADLINE));
        let abort = done(producer.abort_transaction(DEADLINE));
        producer.begin_transaction()?;
        send(&producer, topic, 0, &["and on"])?;
        Ok(json!([
            told,
            commit,
            abort,
            done(producer.commit_transaction(DEADLINE))
        ]))
    });
}

fn in_the_end(f: &Facts) {
    for partition in 0..2 {
        f.ask(&format!("everything in {partition} in the end"), || {
            Ok(everything(f, partition))
        });
    }
}
