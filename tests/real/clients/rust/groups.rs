//! Groups: both protocols, static members, cooperative assignment, and offsets.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::facts::{DEADLINE, Facts, Said, error_text, offsets, text, until};

pub(crate) fn tell(f: &Facts) {
    let topic = f.topic("shared", 4, &[]);
    for partition in 0..4 {
        let value = format!("p{partition}");
        f.ask(&format!("send to {partition}"), || {
            f.send("shared", partition, &[&value], &[])
        });
    }
    let kinds: [(&str, &[(&str, &str)]); 4] = [
        ("range", &[("partition.assignment.strategy", "range")]),
        ("round robin", &[("partition.assignment.strategy", "roundrobin")]),
        (
            "cooperative",
            &[("partition.assignment.strategy", "cooperative-sticky")],
        ),
        ("consumer protocol", &[("group.protocol", "consumer")]),
    ];
    for (earlier, (title, config)) in kinds.into_iter().enumerate() {
        // Each kind leaves one record more.
        alone(f, title, config, &topic, 4 + earlier);
        shared(f, title, config, &topic);
        members(f, title, config, &topic);
    }
    committed(f, &topic);
    refused(f, &topic);
}

/// Polls all until each has so many partitions; what was read.
fn polled(members: &[&BaseConsumer], wanted: &[usize]) -> Vec<Value> {
    let mut read = Vec::new();
    until(
        || {
            for member in members {
                match member.poll(Duration::from_millis(50)) {
                    Some(Ok(message)) => read.push(json!([
                        message.partition(),
                        message.offset(),
                        text(message.payload())
                    ])),
                    Some(Err(error)) => read.push(error_text(&error)),
                    None => {}
                }
            }
            members
                .iter()
                .map(|member| member.assignment().map_or(0, |list| list.count()))
                .collect::<Vec<_>>()
        },
        |counts| counts == wanted,
    );
    read.sort_by_key(ToString::to_string);
    read
}

fn has(member: &BaseConsumer) -> Value {
    let list = member.assignment().unwrap();
    let mut partitions: Vec<i32> = list
        .elements()
        .iter()
        .map(rdkafka::topic_partition_list::TopicPartitionListElem::partition)
        .collect();
    partitions.sort_unstable();
    json!(partitions)
}

fn joined(f: &Facts, group: &str, config: &[(&str, &str)], topic: &str) -> Result<BaseConsumer, KafkaError> {
    let member = f.consumer(group, config)?;
    member.subscribe(&[topic])?;
    Ok(member)
}

fn alone(f: &Facts, title: &str, config: &[(&str, &str)], topic: &str, records: usize) {
    f.ask(&format!("{title}: one member"), || {
        let group = format!("{title}-alone").replace(' ', "-");
        let member = joined(f, &group, config, topic)?;
        let mut read = polled(&[&member], &[4]);
        until(
            || {
                match member.poll(Duration::from_millis(100)) {
                    Some(Ok(message)) => read.push(json!([
                        message.partition(),
                        message.offset(),
                        text(message.payload())
                    ])),
                    Some(Err(error)) => read.push(error_text(&error)),
                    None => {}
                }
                read.len()
            },
            |count| *count >= records,
        );
        read.sort_by_key(ToString::to_string);
        member.commit_consumer_state(CommitMode::Sync)?;
        let subscription = offsets(&member.subscription()?);
        let committed = offsets(&member.committed(DEADLINE)?);
        let metadata = member.group_metadata().is_some();
        member.unsubscribe();
        Ok(json!([
            read,
            has(&member),
            subscription,
            committed,
            metadata,
            member.assignment_lost()
        ]))
    });
    f.ask(&format!("{title}: it goes on where it was"), || {
        let group = format!("{title}-alone").replace(' ', "-");
        f.send("shared", 2, &["more"], &[])?;
        let member = joined(f, &group, config, topic)?;
        let mut read = polled(&[&member], &[4]);
        until(
            || {
                if let Some(Ok(message)) = member.poll(Duration::from_millis(100)) {
                    read.push(json!([
                        message.partition(),
                        message.offset() > 0,
                        text(message.payload())
                    ]));
                }
                read.len()
            },
            |count| *count >= 1,
        );
        member.commit_consumer_state(CommitMode::Sync)?;
        let first = read[0].as_array().unwrap();
        Ok(json!([read.len(), first[0], first[2]]))
    });
}

fn shared(f: &Facts, title: &str, config: &[(&str, &str)], topic: &str) {
    f.ask(&format!("{title}: two members, one leaves, one comes"), || {
        let group = format!("{title}-shared").replace(' ', "-");
        let first = joined(f, &group, config, topic)?;
        polled(&[&first], &[4]);
        let second = joined(f, &group, config, topic)?;
        polled(&[&first, &second], &[2, 2]);
        let mut both: Vec<i64> = [has(&first), has(&second)]
            .iter()
            .flat_map(|list| {
                list.as_array()
                    .unwrap()
                    .iter()
                    .map(|p| p.as_i64().unwrap())
                    .collect::<Vec<_>>()
            })
            .collect();
        both.sort_unstable();
        let sizes = [first.assignment()?.count(), second.assignment()?.count()];
        drop(second);
        polled(&[&first], &[4]);
        let alone = has(&first);
        let third = joined(f, &group, config, topic)?;
        polled(&[&first, &third], &[2, 2]);
        Ok(json!([
            sizes,
            both,
            alone,
            first.assignment()?.count(),
            third.assignment()?.count()
        ]))
    });
}

/// Static members: one that comes back within its session finds what it had.
fn members(f: &Facts, title: &str, config: &[(&str, &str)], topic: &str) {
    f.ask(&format!("{title}: a static member comes back"), || {
        let group = format!("{title}-static").replace(' ', "-");
        let one = [config, &[("group.instance.id", "one")]].concat();
        let two = [config, &[("group.instance.id", "two")]].concat();
        let first = joined(f, &group, &one, topic)?;
        let second = joined(f, &group, &two, topic)?;
        polled(&[&first, &second], &[2, 2]);
        let before = has(&second);
        drop(second);
        let again = joined(f, &group, &two, topic)?;
        polled(&[&first, &again], &[2, 2]);
        Ok(json!(before == has(&again)))
    });
    f.ask(&format!("{title}: the group as it is listed"), || {
        let group = f.name(&format!("{title}-static").replace(' ', "-"));
        let found = f.asker.fetch_group_list(Some(&group), DEADLINE)?;
        let shown = found
            .groups()
            .iter()
            .map(|g| json!([g.name(), g.protocol_type()]));
        Ok(shown.collect())
    });
}

fn committed(f: &Facts, topic: &str) {
    let list = |pairs: &[(i32, i64)]| {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in pairs {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
                .unwrap();
        }
        list
    };
    let asked = |group: &str, partitions: &[i32]| -> Said {
        let member = f.consumer(group, &[])?;
        let mut wanted = TopicPartitionList::new();
        for partition in partitions {
            wanted.add_partition(topic, *partition);
        }
        member
            .committed_offsets(wanted, DEADLINE)
            .map(|found| offsets(&found))
    };
    f.ask("committed of nobody", || asked("nobody", &[0, 1]));
    f.ask("commit by hand", || {
        let member = f.consumer("by-hand", &[])?;
        until(
            || {
                member
                    .commit(&list(&[(0, 1), (1, 0)]), CommitMode::Sync)
                    .map_err(|error| error_text(&error))
            },
            Result::is_ok,
        )
        .unwrap();
        asked("by-hand", &[0, 1, 2])
    });
    f.ask("commit back", || {
        f.consumer("by-hand", &[])?
            .commit(&list(&[(0, 0)]), CommitMode::Sync)?;
        asked("by-hand", &[0])
    });
    f.ask("commit beyond the end", || {
        f.consumer("by-hand", &[])?
            .commit(&list(&[(0, 9_999)]), CommitMode::Sync)?;
        asked("by-hand", &[0])
    });
    f.ask("commit with metadata", || {
        let member = f.consumer("by-hand", &[])?;
        let with = list(&[(3, 1)]);
        with.find_partition(topic, 3).unwrap().set_metadata("a note");
        member.commit(&with, CommitMode::Sync)?;
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition(topic, 3);
        let found = member.committed_offsets(wanted, DEADLINE)?;
        let found = found.elements();
        Ok(found
            .iter()
            .map(|one| json!([one.partition(), one.metadata()]))
            .collect())
    });
    f.ask("commit of a partition that isn't there", || {
        f.consumer("by-hand", &[])?
            .commit(&list(&[(9, 1)]), CommitMode::Sync)?;
        Ok(json!(null))
    });
    f.ask("store, then leave", || {
        let member = f.consumer(
            "stored",
            &[
                ("enable.auto.offset.store", "false"),
                ("enable.auto.commit", "true"),
            ],
        )?;
        member.subscribe(&[topic])?;
        polled(&[&member], &[4]);
        member.store_offset(topic, 1, 1)?;
        drop(member);
        asked("stored", &[0, 1])
    });
}

fn refused(f: &Facts, topic: &str) {
    let session = [("session.timeout.ms", "100"), ("max.poll.interval.ms", "200")];
    f.ask("a session too short", || first_error(f, "short", &session, topic));
    f.ask("a session too long", || {
        let long = [
            ("session.timeout.ms", "2000000"),
            ("max.poll.interval.ms", "2000000"),
        ];
        first_error(f, "long", &long, topic)
    });
    f.ask("a topic that isn't there", || {
        let config = [
            ("allow.auto.create.topics", "false"),
            ("topic.metadata.refresh.interval.ms", "500"),
        ];
        first_error(f, "lost", &config, &f.name("ghost"))
    });
    f.ask("two members without a common assignor", || {
        let first = joined(f, "apart", &[("partition.assignment.strategy", "range")], topic)?;
        polled(&[&first], &[4]);
        first_error(
            f,
            "apart",
            &[("partition.assignment.strategy", "roundrobin")],
            topic,
        )
    });
    f.ask("the consumer protocol with an assignor that isn't there", || {
        let config = [
            ("group.protocol", "consumer"),
            ("group.remote.assignor", "nonsense"),
        ];
        first_error(f, "assignor", &config, topic)
    });
    f.ask("a member whose name another has taken", || {
        let named = [("group.instance.id", "same")];
        let first = joined(f, "fenced", &named, topic)?;
        polled(&[&first], &[4]);
        let second = joined(f, "fenced", &named, topic)?;
        let said = until(
            || {
                let _ = second.poll(Duration::from_millis(50));
                match first.poll(Duration::from_millis(50)) {
                    Some(Err(error)) => Some(error_text(&error)),
                    _ => None,
                }
            },
            Option::is_some,
        );
        Ok(json!(said))
    });
}

/// The first error that a member hears of.
fn first_error(f: &Facts, group: &str, config: &[(&str, &str)], topic: &str) -> Said {
    let member = joined(f, group, config, topic)?;
    let said = until(
        || match member.poll(Duration::from_millis(100)) {
            Some(Err(error)) => Some(error_text(&error)),
            _ => None,
        },
        Option::is_some,
    );
    Ok(json!(said))
}
