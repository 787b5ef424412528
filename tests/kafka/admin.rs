//! Administration and the scanner, with names of a lab that shares its cluster.

use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use streamlings::kafka::{
    Admin, At, ConfigChange, ConfigSource, GroupState, NewTopic, Resource, Scanner, Target, Watermarks,
};

const PATIENCE: Duration = Duration::from_secs(20);

fn shared(target: &Target, prefix: &str) -> Target {
    Target {
        prefix: prefix.to_owned(),
        ..target.clone()
    }
}

fn topic(name: &str, partitions: i32) -> NewTopic {
    NewTopic {
        name: name.to_owned(),
        partitions: Some(partitions),
        ..NewTopic::default()
    }
}

fn produce(target: &Target, topic: &str, partition: i32, values: &[&str]) {
    let producer: BaseProducer = target.client_config().create().unwrap();
    let real = target.real(topic);
    for value in values {
        producer
            .send(
                BaseRecord::<str, str>::to(&real)
                    .partition(partition)
                    .payload(value),
            )
            .unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

#[test]
fn topics_are_the_labs_own_and_errors_are_kafkas() {
    let cluster = crate::Cluster::start();
    let target = shared(&cluster.target(), "ann1-");
    let admin = Admin::new(&target, PATIENCE).unwrap();
    let other = Admin::new(&shared(&cluster.target(), "bob1-"), PATIENCE).unwrap();
    admin.create_topic(&topic("rides", 3)).unwrap();
    let again = admin.create_topic(&topic("rides", 3)).unwrap_err();
    assert_eq!(
        (again.name.as_str(), again.message.as_str()),
        ("TOPIC_ALREADY_EXISTS", "Topic 'rides' already exists.")
    );
    let found = admin.topic("rides").unwrap().unwrap();
    assert_eq!((found.partitions.len(), found.internal), (3, false));
    assert!(
        found
            .partitions
            .iter()
            .all(|partition| partition.leader.is_some() && partition.isr.len() == 1)
    );
    assert!(admin.topics().unwrap().iter().any(|topic| topic.name == "rides"));
    assert!(
        other
            .topics()
            .unwrap()
            .iter()
            .all(|topic| !topic.name.contains("rides"))
    );
    assert_eq!(admin.topic("nothing").unwrap(), None);
    assert!(admin.delete_topic("nothing").unwrap_err().is_unknown_topic());
    let fewer = admin.create_partitions("rides", 2).unwrap_err();
    assert_eq!(
        fewer.message,
        "The topic rides currently has 3 partition(s); 2 would not be an increase."
    );
    admin.create_partitions("rides", 4).unwrap();
    assert_eq!(admin.topic("rides").unwrap().unwrap().partitions.len(), 4);
    admin.delete_topic("rides").unwrap();
    assert_eq!(admin.topic("rides").unwrap(), None);
}

#[test]
fn one_configuration_is_changed_and_the_others_stay() {
    let cluster = crate::Cluster::start();
    let admin = Admin::new(&shared(&cluster.target(), "ann2-"), PATIENCE).unwrap();
    let rides = Resource::Topic("rides".into());
    let mut new = topic("rides", 1);
    new.config.insert("cleanup.policy".into(), "compact".into());
    admin.create_topic(&new).unwrap();
    let set = |name: &str, value: &str| [ConfigChange::Set(name.into(), value.into())];
    admin
        .alter_configs(&rides, &set("retention.ms", "60000"))
        .unwrap();
    let own = || -> Vec<String> {
        let entries = admin.configs(&rides).unwrap();
        let own = entries
            .iter()
            .filter(|entry| entry.source == ConfigSource::DynamicTopic);
        let mut own: Vec<String> = own
            .map(|entry| format!("{}={}", entry.name, entry.value.as_deref().unwrap()))
            .collect();
        own.sort();
        own
    };
    assert_eq!(own(), ["cleanup.policy=compact", "retention.ms=60000"]);
    admin
        .alter_configs(&rides, &[ConfigChange::Delete("retention.ms".into())])
        .unwrap();
    assert_eq!(own(), ["cleanup.policy=compact"]);
    let wrong = admin
        .alter_configs(&rides, &set("retention.ms", "soon"))
        .unwrap_err();
    assert_eq!(wrong.name, "INVALID_CONFIG");
    admin.delete_topic("rides").unwrap();
}

#[test]
fn offsets_of_a_group_are_read_moved_and_forgotten() {
    let cluster = crate::Cluster::start();
    let target = shared(&cluster.target(), "ann3-");
    let admin = Admin::new(&target, PATIENCE).unwrap();
    admin.create_topic(&topic("rides", 2)).unwrap();
    produce(&target, "rides", 1, &["a", "b", "c"]);
    assert_eq!(
        admin.watermarks("rides", 1).unwrap(),
        Watermarks { low: 0, high: 3 }
    );
    assert_eq!(
        admin.offsets("rides", &[0, 1], At::Latest).unwrap(),
        [(0, Some(0)), (1, Some(3))]
    );
    assert_eq!(
        admin.offsets("rides", &[0, 1], At::Timestamp(0)).unwrap(),
        [(0, None), (1, Some(0))]
    );
    let place = |partition| ("rides".to_owned(), partition);
    assert_eq!(admin.group("map").unwrap(), None);
    assert!(admin.committed("map").unwrap().is_empty());
    admin
        .alter_committed("map", &[(place(0), 0), (place(1), 2)])
        .unwrap();
    assert_eq!(
        admin.committed("map").unwrap(),
        [(place(0), 0), (place(1), 2)].into()
    );
    assert_eq!(admin.group("map").unwrap().unwrap().state, GroupState::Empty);
    assert_eq!(
        admin
            .groups()
            .unwrap()
            .iter()
            .map(|group| group.name.as_str())
            .collect::<Vec<_>>(),
        ["map"]
    );
    admin.delete_committed("map", &[place(1)]).unwrap();
    assert_eq!(admin.committed("map").unwrap(), [(place(0), 0)].into());
    admin.delete_group("map").unwrap();
    assert_eq!(admin.group("map").unwrap(), None);
    admin.delete_topic("rides").unwrap();
}

#[test]
fn a_scan_that_met_an_open_transaction_gets_its_records_when_it_is_committed() {
    let cluster = crate::Cluster::start();
    let target = cluster.target();
    let topic = format!("payouts-{}", std::process::id());
    let mut config = target.client_config();
    let producer: BaseProducer = config.set("transactional.id", &topic).create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    producer
        .send(BaseRecord::<str, str>::to(&topic).partition(0).payload("42.00"))
        .unwrap();
    producer.flush(PATIENCE).unwrap();
    let mut scanner = Scanner::new(&target, &topic, PATIENCE).unwrap();
    assert_eq!(scanner.scan(100, |_| ()).unwrap().records, 0, "it is open");
    producer.commit_transaction(PATIENCE).unwrap();
    assert_eq!(scanner.scan(100, |_| ()).unwrap().records, 1, "it is committed");
}

#[test]
fn a_scan_hands_out_what_is_new_and_notices_another_topic_of_the_name() {
    let cluster = crate::Cluster::start();
    let target = shared(&cluster.target(), "ann4-");
    let admin = Admin::new(&target, PATIENCE).unwrap();
    let mut scanner = Scanner::new(&target, "rides", PATIENCE).unwrap();
    assert!(!scanner.scan(100, |_| ()).unwrap().exists);
    admin.create_topic(&topic("rides", 2)).unwrap();
    produce(&target, "rides", 0, &["a", "b"]);
    produce(&target, "rides", 1, &["c"]);
    let read = |scanner: &mut Scanner, max: usize| {
        let mut values = Vec::new();
        let scanned = scanner
            .scan(max, |record| {
                values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
            })
            .unwrap();
        values.sort();
        (values, scanned)
    };
    let (values, scanned) = read(&mut scanner, 100);
    assert_eq!(values, ["a", "b", "c"]);
    assert!(scanned.complete && scanned.exists && !scanned.restarted);
    produce(&target, "rides", 1, &["d", "e"]);
    let (first, scanned) = read(&mut scanner, 1);
    assert!(!scanned.complete);
    let (second, scanned) = read(&mut scanner, 100);
    assert_eq!([first, second].concat(), ["d", "e"]);
    assert!(scanned.complete);
    assert_eq!(read(&mut scanner, 100).0, Vec::<String>::new());
    scanner.rewind();
    assert_eq!(read(&mut scanner, 100).0.len(), 5);

    admin.delete_topic("rides").unwrap();
    admin.create_topic(&topic("rides", 1)).unwrap();
    produce(&target, "rides", 0, &["new"]);
    let (values, scanned) = read(&mut scanner, 100);
    assert_eq!(values, ["new"]);
    assert!(scanned.restarted && scanned.complete);
    admin.delete_topic("rides").unwrap();
}

#[test]
fn a_cluster_that_is_not_there_is_a_timeout() {
    // Port 1 of loopback: nothing listens there.
    let admin = Admin::new(&Target::new("127.0.0.1:1"), Duration::from_millis(300)).unwrap();
    assert!(admin.topics().unwrap_err().is_timeout());
    assert!(admin.group("map").unwrap_err().is_timeout());
}
