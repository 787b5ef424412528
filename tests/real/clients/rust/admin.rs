//! Topics, partitions, configurations, records and groups by the admin client, and what the metadata says of them.

use rdkafka::admin::{
    AdminOptions, AlterConfig, NewPartitions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::facts::{DEADLINE, Facts, Said, code_text, error_text, offsets, outcomes, until, wait};

pub(crate) fn tell(f: &Facts) {
    creation(f);
    growth(f);
    metadata(f);
    configs(f);
    records(f);
    deletion(f);
}

fn create(f: &Facts, topics: &[NewTopic<'_>], options: &AdminOptions) -> Said {
    wait(f.admin.create_topics(topics, options)).map(outcomes)
}

fn creation(f: &Facts) {
    let options = AdminOptions::new().operation_timeout(Some(DEADLINE));
    let one = |name: &str, partitions, replicas, config: Option<(&str, &str)>| {
        let name = f.name(name);
        let mut new = NewTopic::new(&name, partitions, TopicReplication::Fixed(replicas));
        if let Some((key, value)) = config {
            new = new.set(key, value);
        }
        create(f, &[new], &options)
    };
    f.ask("create", || one("admin", 3, 1, None));
    f.ask("create again", || one("admin", 3, 1, None));
    for name in ["a/b", "a b", "ü"] {
        f.ask(&format!("create {name}"), || one(name, 1, 1, None));
    }
    f.ask("create with a long name", || one(&"x".repeat(250), 1, 1, None));
    f.ask("create with two replicas", || one("two", 1, 2, None));
    f.ask("create without replicas", || one("none", 1, 0, None));
    f.ask("create without partitions", || one("none", 0, 1, None));
    f.ask("create with the broker's defaults", || {
        one("default", -1, -1, None)
    });
    for (key, value) in [
        ("retention.ms", "5"),
        ("retention.ms", "soon"),
        ("retention.mss", "1"),
        ("cleanup.policy", "compress"),
        ("min.insync.replicas", "0"),
        ("compression.type", "zstd"),
    ] {
        f.ask(&format!("create with {key}={value}"), || {
            one(&format!("with-{key}-{value}"), 1, 1, Some((key, value)))
        });
    }
    let name = f.name("assigned");
    for (title, assignment) in [
        ("assigned", &[&[1][..], &[1]][..]),
        ("assigned to nobody", &[&[9]]),
        ("assigned twice", &[&[1, 1]]),
        ("assigned to none", &[&[]]),
    ] {
        f.ask(&format!("create {title}"), || {
            let new = NewTopic::new(
                &name,
                assignment.len() as i32,
                TopicReplication::Variable(assignment),
            );
            create(f, &[new], &options)
        });
    }
    f.ask("create two, one of them bad", || {
        let (good, bad) = (f.name("good"), f.name("b/d"));
        let new = [&good, &bad].map(|name| NewTopic::new(name, 1, TopicReplication::Fixed(1)));
        create(f, &new, &options)
    });
    f.ask("create to try", || {
        let name = f.name("tried");
        let new = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
        create(f, &[new], &AdminOptions::new().validate_only(true))
    });
    f.ask("create nothing", || create(f, &[], &options));
}

fn growth(f: &Facts) {
    let grow = |name: &str, to, options: &AdminOptions| {
        let name = f.name(name);
        wait(
            f.admin
                .create_partitions(&[NewPartitions::new(&name, to)], options),
        )
        .map(outcomes)
    };
    let options = AdminOptions::new();
    f.ask("grow", || grow("admin", 5, &options));
    f.ask("grow to as many", || grow("admin", 5, &options));
    f.ask("grow to fewer", || grow("admin", 2, &options));
    f.ask("grow a topic that isn't there", || grow("ghost", 2, &options));
    f.ask("grow to try", || {
        grow("admin", 7, &AdminOptions::new().validate_only(true))
    });
    f.ask("grow by hand", || {
        let name = f.name("admin");
        let new = NewPartitions::new(&name, 6).assign(&[&[1]]);
        wait(f.admin.create_partitions(&[new], &options)).map(outcomes)
    });
    f.ask("grow by hand to nobody", || {
        let name = f.name("admin");
        let new = NewPartitions::new(&name, 7).assign(&[&[9]]);
        wait(f.admin.create_partitions(&[new], &options)).map(outcomes)
    });
}

fn metadata(f: &Facts) {
    f.ask("metadata of a topic", || {
        let name = f.name("admin");
        Ok(until(
            || {
                let found = f.asker.fetch_metadata(Some(&name), DEADLINE).unwrap();
                let topic = &found.topics()[0];
                let mut partitions: Vec<Value> = topic
                    .partitions()
                    .iter()
                    .map(|p| json!([p.id(), p.leader(), p.replicas(), p.isr(), p.error().is_some()]))
                    .collect();
                partitions.sort_by_key(ToString::to_string);
                json!([topic.name(), topic.error().is_some(), partitions])
            },
            |shown| shown[2].as_array().is_some_and(|all| all.len() == 6),
        ))
    });
    f.ask("metadata of all", || {
        let found = f.asker.fetch_metadata(None, DEADLINE)?;
        let brokers: Vec<Value> = found
            .brokers()
            .iter()
            .map(|b| json!([b.id(), b.host()]))
            .collect();
        let mut topics: Vec<&str> = found
            .topics()
            .iter()
            .map(rdkafka::metadata::MetadataTopic::name)
            .collect();
        let own = f.name("");
        topics.retain(|name| name.starts_with(&own));
        topics.sort_unstable();
        Ok(json!([brokers, topics]))
    });
    f.ask("the cluster has an id", || {
        Ok(json!(
            f.asker.client().fetch_cluster_id(DEADLINE).map(|id| id.len())
        ))
    });
    f.ask("watermarks of an empty partition", || {
        let found = f.asker.fetch_watermarks(&f.name("admin"), 0, DEADLINE)?;
        Ok(json!(found))
    });
    f.ask("watermarks of a partition that isn't there", || {
        let found = f.asker.fetch_watermarks(&f.name("admin"), 99, DEADLINE)?;
        Ok(json!(found))
    });
}

fn configs(f: &Facts) {
    let options = AdminOptions::new();
    let described = |what: ResourceSpecifier<'_>| {
        let results = wait(f.admin.describe_configs(&[what], &options))?;
        let shown = results.into_iter().map(|result| match result {
            Ok(resource) => {
                let mut entries: Vec<Value> = resource
                    .entries
                    .iter()
                    .map(|e| {
                        json!([
                            e.name,
                            e.value,
                            format!("{:?}", e.source),
                            e.is_read_only,
                            e.is_default,
                            e.is_sensitive
                        ])
                    })
                    .collect();
                entries.sort_by_key(ToString::to_string);
                entries.into()
            }
            Err(code) => json!(code_text(code)),
        });
        Ok(shown.collect::<Value>())
    };
    let name = f.topic(
        "configured",
        1,
        &[("retention.ms", "3600000"), ("cleanup.policy", "compact")],
    );
    f.ask("configurations of a topic", || {
        described(ResourceSpecifier::Topic(&name))
    });
    f.ask("configurations of a topic that isn't there", || {
        described(ResourceSpecifier::Topic(&f.name("ghost")))
    });
    f.ask("configurations of a broker, how many", || {
        Ok(json!(
            described(ResourceSpecifier::Broker(1))?[0]
                .as_array()
                .is_some_and(|all| all.len() > 100)
        ))
    });
    f.ask("configurations of a group", || {
        described(ResourceSpecifier::Group(&f.name("some")))
    });
    let alter = |name: &str, pairs: &[(&str, &str)], options: &AdminOptions| {
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(name));
        for (key, value) in pairs {
            change = change.set(key, value);
        }
        let results = wait(f.admin.alter_configs(&[change], options))?;
        let shown = results.into_iter().map(|result| match result {
            Ok(_) => json!(null),
            Err((OwnedResourceSpecifier::Topic(name), code)) => json!([name, code_text(code)]),
            Err((_, code)) => json!(code_text(code)),
        });
        Ok(shown.collect::<Value>())
    };
    let set = || {
        let results = wait(
            f.admin
                .describe_configs(&[ResourceSpecifier::Topic(&name)], &options),
        )?;
        let resource = results.into_iter().next().unwrap().unwrap();
        let mut own: Vec<String> = resource
            .entries
            .iter()
            .filter(|e| !e.is_default)
            .map(|e| format!("{}={}", e.name, e.value.as_deref().unwrap_or("null")))
            .collect();
        own.sort();
        Ok::<_, rdkafka::error::KafkaError>(own)
    };
    f.ask("alter replaces all of them", || {
        let said = alter(&name, &[("segment.bytes", "2097152")], &options)?;
        let now = until(
            || set().unwrap(),
            |own| own.iter().any(|line| line.starts_with("segment.bytes=")),
        );
        Ok(json!([said, now]))
    });
    f.ask("alter to try", || {
        let said = alter(
            &name,
            &[("segment.bytes", "4194304")],
            &AdminOptions::new().validate_only(true),
        )?;
        Ok(json!([said, set()?]))
    });
    f.ask("alter to a bad value", || {
        alter(&name, &[("segment.bytes", "x")], &options)
    });
    f.ask("alter what is unknown", || {
        alter(&name, &[("segment.bites", "1")], &options)
    });
    f.ask("alter a topic that isn't there", || {
        alter(&f.name("ghost"), &[("segment.bytes", "2097152")], &options)
    });
}

fn records(f: &Facts) {
    let topic = f.topic("cut", 2, &[("retention.ms", "-1")]);
    let values = ["a", "b", "c", "d"];
    f.ask("records to delete", || f.send("cut", 0, &values, &[]));
    let cut = |partition, before| {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, partition, before)?;
        wait(f.admin.delete_records(&list, &AdminOptions::new())).map(|done| offsets(&done))
    };
    f.ask("delete records", || cut(0, Offset::Offset(2)));
    f.ask("delete records again", || cut(0, Offset::Offset(1)));
    f.ask("delete records beyond the end", || cut(0, Offset::Offset(99)));
    f.ask("watermarks then", || {
        Ok(json!(f.asker.fetch_watermarks(&topic, 0, DEADLINE)?))
    });
    f.ask("read from the start then", || {
        f.read("cut", 0, Offset::Beginning, &[])
    });
    f.ask("read what was deleted", || {
        f.read("cut", 0, Offset::Offset(0), &[])
    });
    f.ask("read what was deleted, without a reset", || {
        f.read("cut", 0, Offset::Offset(0), &[("auto.offset.reset", "error")])
    });
    f.ask("delete records to the end", || cut(0, Offset::End));
    f.ask("delete records of an empty partition", || cut(1, Offset::End));
}

fn deletion(f: &Facts) {
    let options = AdminOptions::new().operation_timeout(Some(DEADLINE));
    let delete = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| f.name(name)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        wait(f.admin.delete_topics(&names, &options)).map(outcomes)
    };
    f.ask("delete a topic", || delete(&["good"]));
    f.ask("delete it again", || delete(&["good"]));
    f.ask("delete two, one of them unknown", || {
        delete(&["default", "ghost"])
    });
    let forget = |group: &str| {
        let group = f.name(group);
        let results = wait(f.admin.delete_groups(&[&group], &options))?;
        let shown = results.into_iter().map(|result| match result {
            Ok(name) => json!([name, null]),
            Err((name, code)) => json!([name, code_text(code)]),
        });
        Ok(shown.collect::<Value>())
    };
    f.ask("delete a group that isn't there", || forget("nobody"));
    f.ask("delete a group", || {
        let consumer = f.consumer("gone", &[])?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&f.name("cut"), 0, Offset::Offset(3))?;
        // The first question finds a coordinator that may still be loading.
        until(
            || {
                consumer
                    .commit(&list, rdkafka::consumer::CommitMode::Sync)
                    .map_err(|error| error_text(&error))
            },
            Result::is_ok,
        )
        .unwrap();
        drop(consumer);
        forget("gone")
    });
}
