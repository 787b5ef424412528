//! What the parts share: a fact is one line `name<TAB>value` on stdout.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};
use regex::Regex;
use serde_json::{Value, json};

/// Long, for a busy machine: nothing waits for it in a good run.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) type Said = Result<Value, KafkaError>;

/// What became of each record that was sent, by its number.
#[derive(Default)]
pub(crate) struct Told(Mutex<Vec<(usize, Value)>>);

impl Told {
    /// What was told since the last time, in the order of the records.
    pub(crate) fn take(&self) -> Value {
        let mut told = std::mem::take(&mut *self.0.lock().unwrap());
        told.sort_by_key(|(at, _)| *at);
        told.into_iter().map(|(_, value)| value).collect()
    }
}

impl ClientContext for Told {}

impl ProducerContext for Told {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, at: usize) {
        let value = match result {
            Ok(message) => json!([message.partition(), message.offset()]),
            Err((error, _)) => error_text(error),
        };
        self.0.lock().unwrap().push((at, value));
    }
}

pub(crate) type Sender = BaseProducer<Told>;

pub(crate) struct Facts {
    bootstrap: String,
    prefix: String,
    pub(crate) admin: AdminClient<DefaultClientContext>,
    /// Asks for metadata and watermarks, and never joins a group.
    pub(crate) asker: BaseConsumer,
}

impl Facts {
    pub(crate) fn new(bootstrap: &str, prefix: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap);
        Self {
            bootstrap: bootstrap.to_owned(),
            prefix: prefix.to_owned(),
            admin: config.create().unwrap(),
            asker: config.set("group.id", format!("{prefix}asker")).create().unwrap(),
        }
    }

    /// A topic's, a group's or a transactional id's name on the cluster.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(crate) fn config(&self, more: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        for (name, value) in more {
            config.set(*name, *value);
        }
        config
    }

    pub(crate) fn producer(&self, more: &[(&str, &str)]) -> Result<Sender, KafkaError> {
        self.config(&[("linger.ms", "5")])
            .extend_with(more)
            .create_with_context(Told::default())
    }

    pub(crate) fn consumer(&self, group: &str, more: &[(&str, &str)]) -> Result<BaseConsumer, KafkaError> {
        let group = self.name(group);
        self.config(&[
            ("group.id", &group),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "earliest"),
            ("fetch.wait.max.ms", "50"),
        ])
        .extend_with(more)
        .create()
    }

    /// A topic of this script's own; waits until the broker knows of it.
    pub(crate) fn topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> String {
        let full = self.name(name);
        let mut new = NewTopic::new(&full, partitions, TopicReplication::Fixed(1));
        for (name, value) in configs {
            new = new.set(name, value);
        }
        wait(self.admin.create_topics(&[new], &AdminOptions::new())).unwrap();
        until(
            || self.partitions(&full),
            |found| *found == usize::try_from(partitions).unwrap(),
        );
        full
    }

    fn partitions(&self, topic: &str) -> usize {
        let found = self.asker.fetch_metadata(None, DEADLINE);
        found.map_or(0, |all| {
            let topic = all.topics().iter().find(|found| found.name() == topic);
            topic.map_or(0, |topic| topic.partitions().len())
        })
    }

    /// Sends values to a partition of a topic; `[partition, offset]` or the error of each.
    pub(crate) fn send(&self, topic: &str, partition: i32, values: &[&str], more: &[(&str, &str)]) -> Said {
        let producer = self.producer(more)?;
        send(&producer, &self.name(topic), partition, values)
    }

    /// `[offset, value]` of a partition's records from an offset to its end.
    pub(crate) fn read(&self, topic: &str, partition: i32, from: Offset, more: &[(&str, &str)]) -> Said {
        self.read_as(topic, partition, from, more, |message| {
            json!([message.offset(), text(message.payload())])
        })
    }

    pub(crate) fn read_as(
        &self,
        topic: &str,
        partition: i32,
        from: Offset,
        more: &[(&str, &str)],
        shown: impl Fn(&rdkafka::message::BorrowedMessage<'_>) -> Value,
    ) -> Said {
        let consumer = self.consumer("reader", &[&[("enable.partition.eof", "true")], more].concat())?;
        let mut assigned = TopicPartitionList::new();
        assigned.add_partition_offset(&self.name(topic), partition, from)?;
        consumer.assign(&assigned)?;
        let (mut found, end) = (Vec::new(), Instant::now() + DEADLINE);
        while Instant::now() < end {
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => found.push(shown(&message)),
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(found.into()),
                Some(Err(error)) => {
                    found.push(error_text(&error));
                    return Ok(found.into());
                }
                None => {}
            }
        }
        Ok(json!("SCRIPT the partition's end never came"))
    }

    /// Prints a fact.
    pub(crate) fn say(&self, name: &str, value: &Value) {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        println!("{name}\t{}", self.normal(&text));
    }

    /// Prints what the question was answered, or its error: an error is an answer too.
    pub(crate) fn ask(&self, name: &str, question: impl FnOnce() -> Said) {
        let begun = Instant::now();
        let value = question().unwrap_or_else(|error| error_text(&error));
        if std::env::var_os("FACTS_SLOW").is_some() && begun.elapsed() > Duration::from_secs(1) {
            eprintln!("{:.1} s: {name}", begun.elapsed().as_secs_f64());
        }
        self.say(name, &value);
    }

    fn normal(&self, text: &str) -> String {
        let port = self.bootstrap.rsplit(':').next().unwrap();
        text.replace(&self.prefix, "")
            .replace(&self.bootstrap, "HOST:PORT")
            .replace(port, "PORT")
    }
}

/// More properties on top.
pub(crate) trait ExtendWith {
    fn extend_with(self, more: &[(&str, &str)]) -> Self;
}

impl ExtendWith for ClientConfig {
    fn extend_with(mut self, more: &[(&str, &str)]) -> Self {
        for (name, value) in more {
            self.set(*name, *value);
        }
        self
    }
}

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    futures::executor::block_on(future)
}

/// Sends values with a producer, and waits for what became of them.
pub(crate) fn send(producer: &Sender, topic: &str, partition: i32, values: &[&str]) -> Said {
    for (at, value) in values.iter().enumerate() {
        let record = BaseRecord::<(), str, usize>::with_opaque_to(topic, at)
            .partition(partition)
            .payload(value);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(DEADLINE)?;
    Ok(producer.context().take())
}

/// Asks until the answer is as wanted, and gives the last answer.
pub(crate) fn until<T>(mut question: impl FnMut() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        let value = question();
        if wanted(&value) || Instant::now() > end {
            return value;
        }
        // A pause between two questions, for which the cluster has no event.
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

pub(crate) fn text(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// An error as its kind and code; a transaction's with what librdkafka says may be done about it.
pub(crate) fn error_text(error: &KafkaError) -> Value {
    match error {
        KafkaError::Transaction(error) => json!(format!(
            "{}: {}{}{}{}",
            error.name(),
            without_numbers(&error.string()),
            if error.is_fatal() { ", fatal" } else { "" },
            if error.is_retriable() { ", retriable" } else { "" },
            if error.txn_requires_abort() { ", abort" } else { "" },
        )),
        error => match error.rdkafka_error_code() {
            Some(code) => json!(code_text(code)),
            None => json!(error.to_string()),
        },
    }
}

/// A text without producers' ids, and without how long it took.
fn without_numbers(text: &str) -> String {
    let numbers = Regex::new(r"(PID\{Id:|\(after )\d+").unwrap();
    numbers.replace_all(text, "${1}N").into_owned()
}

/// The outcome for each topic or group, by its name.
pub(crate) fn outcomes(results: Vec<TopicResult>) -> Value {
    let shown = results.into_iter().map(|result| match result {
        Ok(name) => json!([name, null]),
        Err((name, code)) => json!([name, code_text(code)]),
    });
    shown.collect()
}

pub(crate) fn code_text(code: RDKafkaErrorCode) -> String {
    code.to_string()
}

/// `[topic, partition, offset, error]` of each.
pub(crate) fn offsets(list: &TopicPartitionList) -> Value {
    let mut shown: Vec<Value> = list
        .elements()
        .iter()
        .map(|found| {
            let error = found.error().err().map(|error| error_text(&error));
            json!([
                found.topic(),
                found.partition(),
                format!("{:?}", found.offset()),
                error
            ])
        })
        .collect();
    shown.sort_by_key(ToString::to_string);
    shown.into()
}
