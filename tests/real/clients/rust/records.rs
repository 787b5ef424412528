//! Records: how they are sent, and how they are read.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::{Message, Offset, Timestamp, TopicPartitionList};
use serde_json::{Value, json};

use crate::facts::{DEADLINE, Facts, Said, offsets, text, until};

pub(crate) fn tell(f: &Facts) {
    acknowledged(f);
    shapes(f);
    refused(f);
    positions(f);
    times(f);
}

const THREE: [&str; 3] = ["one", "two", "three"];

fn acknowledged(f: &Facts) {
    for acks in ["0", "1", "all"] {
        let topic = format!("acks-{acks}");
        f.topic(&topic, 1, &[]);
        f.ask(&format!("send with acks={acks}"), || {
            let said = f.send(&topic, 0, &THREE, &[("acks", acks)])?;
            // Without acks nobody says which offset it was.
            Ok(if acks == "0" {
                json!(said.as_array().map(Vec::len))
            } else {
                said
            })
        });
        f.ask(&format!("read what was sent with acks={acks}"), || {
            Ok(until(
                || f.read(&topic, 0, Offset::Beginning, &[]).unwrap(),
                |found| found.as_array().is_some_and(|all| all.len() == 3),
            ))
        });
    }
    f.topic("once", 2, &[]);
    for session in ["first", "second"] {
        f.ask(&format!("send idempotent, {session} session"), || {
            f.send("once", 1, &THREE, &[("enable.idempotence", "true")])
        });
    }
    f.ask("idempotent with acks=1", || {
        f.send(
            "once",
            1,
            &THREE,
            &[("enable.idempotence", "true"), ("acks", "1")],
        )
    });
    f.topic("codecs", 1, &[]);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let long = codec.repeat(40);
        f.ask(&format!("send {codec}"), || {
            f.send("codecs", 0, &[&long, &long], &[("compression.type", codec)])
        });
    }
    f.ask("read all codecs", || {
        f.read("codecs", 0, Offset::Beginning, &[("check.crcs", "true")])
    });
    f.topic("again", 1, &[("compression.type", "zstd")]);
    f.ask("send gzip to a topic of zstd", || {
        f.send("again", 0, &THREE, &[("compression.type", "gzip")])
    });
    f.ask("read it", || f.read("again", 0, Offset::Beginning, &[]));
}

fn whole(message: &BorrowedMessage<'_>) -> Value {
    let headers: Vec<Value> = message
        .headers()
        .map(|all| all.iter().map(|h| json!([h.key, text(h.value)])).collect())
        .unwrap_or_default();
    let time = match message.timestamp() {
        Timestamp::CreateTime(at) => json!(["create", at]),
        Timestamp::LogAppendTime(at) => json!(["append", at > 1_600_000_000_000]),
        Timestamp::NotAvailable => json!(null),
    };
    json!([
        message.offset(),
        text(message.key()),
        text(message.payload()),
        headers,
        time
    ])
}

fn shapes(f: &Facts) {
    let send = |topic: &str, records: Vec<BaseRecord<'_, str, str, usize>>| {
        let producer = f.producer(&[])?;
        let count = records.len();
        for record in records {
            producer.send(record).map_err(|(error, _)| error)?;
        }
        producer.flush(DEADLINE)?;
        let said = producer.context().take();
        assert_eq!(said.as_array().unwrap().len(), count, "{topic}");
        Ok(said)
    };
    let topic = f.topic("shapes", 1, &[("retention.ms", "-1")]);
    f.ask("send shapes", || {
        let to = |at| {
            BaseRecord::<str, str, usize>::with_opaque_to(&topic, at).timestamp(1_700_000_000_000 + at as i64)
        };
        let headers = OwnedHeaders::new()
            .insert(Header {
                key: "a",
                value: Some("1"),
            })
            .insert(Header {
                key: "a",
                value: Some("2"),
            })
            .insert(Header {
                key: "empty",
                value: Some(""),
            })
            .insert(Header::<&str> {
                key: "null",
                value: None,
            });
        send(
            "shapes",
            vec![
                to(0),
                to(1).key("k"),
                to(2).key("").payload(""),
                to(3).key("ключ").payload("значение"),
                to(4).payload("v").headers(headers),
                to(5).payload("long ago").timestamp(1),
            ],
        )
    });
    f.ask("read shapes", || {
        f.read_as("shapes", 0, Offset::Beginning, &[], whole)
    });
    let topic = f.topic("stamped", 1, &[("message.timestamp.type", "LogAppendTime")]);
    f.ask("send to a topic that stamps", || {
        let old = BaseRecord::<str, str, usize>::with_opaque_to(&topic, 0)
            .payload("v")
            .timestamp(1000);
        send("stamped", vec![old])
    });
    f.ask("read stamps", || {
        f.read_as("stamped", 0, Offset::Beginning, &[], whole)
    });
    f.topic("spread", 6, &[]);
    for partitioner in ["consistent", "murmur2", "fnv1a"] {
        f.ask(&format!("partitions of keys by {partitioner}"), || {
            let producer = f.producer(&[("partitioner", partitioner)])?;
            let topic = f.name("spread");
            let keys: Vec<String> = (0..12).map(|n| format!("driver-{n}")).collect();
            for (at, key) in keys.iter().enumerate() {
                let record = BaseRecord::<str, str, usize>::with_opaque_to(&topic, at)
                    .key(key)
                    .payload("v");
                producer.send(record).map_err(|(error, _)| error)?;
            }
            producer.flush(DEADLINE)?;
            let told = producer.context().take();
            Ok(told
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one[0].clone())
                .collect())
        });
    }
}

fn refused(f: &Facts) {
    f.topic("small", 1, &[("max.message.bytes", "2000")]);
    let long = noise(3000);
    f.ask("send a record too large for the topic", || {
        f.send("small", 0, &[&long], &[])
    });
    f.ask("send one that fits", || f.send("small", 0, &[&noise(1500)], &[]));
    f.ask("send one too large for the client", || {
        f.send("small", 0, &[&long], &[("message.max.bytes", "1000")])
    });
    f.topic("keyed", 1, &[("cleanup.policy", "compact")]);
    f.ask("send without a key to a compacted topic", || {
        f.send("keyed", 0, &THREE, &[])
    });
    f.topic(
        "strict",
        1,
        &[
            ("retention.ms", "-1"),
            ("message.timestamp.before.max.ms", "1000"),
        ],
    );
    f.ask("send from the past", || {
        let producer = f.producer(&[])?;
        let topic = f.name("strict");
        let old = BaseRecord::<str, str, usize>::with_opaque_to(&topic, 0)
            .payload("v")
            .timestamp(1_600_000_000_000);
        producer.send(old).map_err(|(error, _)| error)?;
        producer.flush(DEADLINE)?;
        Ok(producer.context().take())
    });
    let short = [
        ("message.timeout.ms", "4000"),
        ("allow.auto.create.topics", "false"),
    ];
    f.ask("send to a partition that isn't there", || {
        f.send("small", 9, &["v"], &short)
    });
    f.ask("send to a name that can't be", || {
        f.send("a/b", 0, &["v"], &short)
    });
    f.topic("safe", 1, &[]);
    f.ask("send, and read at once", || {
        f.send("safe", 0, &["v"], &[])?;
        f.read("safe", 0, Offset::OffsetTail(1), &[])
    });
}

/// Text that no codec makes shorter by much.
fn noise(bytes: usize) -> String {
    let mut state = 7_u32;
    (0..bytes)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'!' + (state >> 24) as u8 % 90)
        })
        .collect()
}

fn next(consumer: &BaseConsumer) -> Value {
    let said = until(|| consumer.poll(Duration::from_millis(200)), Option::is_some);
    match said {
        Some(Ok(message)) => json!([message.partition(), message.offset(), text(message.payload())]),
        Some(Err(KafkaError::PartitionEOF(partition))) => json!(["end", partition]),
        Some(Err(error)) => crate::facts::error_text(&error),
        None => json!("SCRIPT nothing came"),
    }
}

fn positions(f: &Facts) {
    let topic = f.topic("positions", 2, &[]);
    let values: Vec<String> = (0..6).map(|n| format!("v{n}")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    f.ask("send six", || f.send("positions", 0, &values, &[]));
    for (title, from) in [
        ("the start", Offset::Beginning),
        ("the end", Offset::End),
        ("4", Offset::Offset(4)),
        ("the last two", Offset::OffsetTail(2)),
        ("beyond the end", Offset::Offset(99)),
        ("a committed offset that isn't there", Offset::Stored),
    ] {
        f.ask(&format!("read from {title}"), || {
            f.read("positions", 0, from, &[])
        });
    }
    f.ask("watermarks", || {
        Ok(json!(f.asker.fetch_watermarks(&topic, 0, DEADLINE)?))
    });
    let turn = || -> Said {
        let consumer = f.consumer("positions", &[("enable.partition.eof", "true")])?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, Offset::Offset(1))?;
        consumer.assign(&list)?;
        let mut said = vec![next(&consumer), next(&consumer), offsets(&consumer.position()?)];
        consumer.seek(&topic, 0, Offset::Offset(5), DEADLINE)?;
        said.push(next(&consumer));
        said.push(next(&consumer));
        let mut paused = TopicPartitionList::new();
        paused.add_partition(&topic, 0);
        consumer.pause(&paused)?;
        consumer.seek(&topic, 0, Offset::Beginning, DEADLINE)?;
        said.push(json!(consumer.poll(Duration::from_millis(300)).is_none()));
        consumer.resume(&paused)?;
        said.push(next(&consumer));
        let mut both = TopicPartitionList::new();
        both.add_partition_offset(&topic, 1, Offset::Beginning)?;
        consumer.incremental_assign(&both)?;
        said.push(offsets(&consumer.assignment()?));
        consumer.incremental_unassign(&both)?;
        said.push(json!(consumer.assignment()?.count()));
        consumer.unassign()?;
        said.push(json!(consumer.assignment()?.count()));
        Ok(said.into())
    };
    f.ask("position, seek, pause, resume, assign more", turn);
}

fn times(f: &Facts) {
    let topic = f.topic("times", 2, &[("retention.ms", "-1")]);
    let begin = 1_700_000_000_000;
    f.ask("send at times", || {
        let producer = f.producer(&[])?;
        for (at, time) in [0, 10, 10, 30, 20].into_iter().enumerate() {
            let record = BaseRecord::<str, str, usize>::with_opaque_to(&topic, at)
                .partition(0)
                .payload("v")
                .timestamp(begin + time);
            producer.send(record).map_err(|(error, _)| error)?;
        }
        producer.flush(DEADLINE)?;
        Ok(producer.context().take())
    });
    for ahead in [-1, 0, 5, 10, 11, 25, 30, 31] {
        f.ask(&format!("offset of the time {ahead}"), || {
            let mut list = TopicPartitionList::new();
            for partition in 0..2 {
                list.add_partition_offset(&topic, partition, Offset::Offset(begin + ahead))?;
            }
            f.asker
                .offsets_for_times(list, DEADLINE)
                .map(|found| offsets(&found))
        });
    }
    f.ask("offset of a time in a partition that isn't there", || {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 9, Offset::Offset(begin))?;
        f.asker
            .offsets_for_times(list, DEADLINE)
            .map(|found| offsets(&found))
    });
}
