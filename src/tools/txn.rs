//! `txn`: transactional producers that the prompt holds open, so that a transaction can be looked at while it is
//! open, and a second producer can fence the first. Real producers of the client library; a word a call of its.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use crate::kafka::{KafkaError, Target};
use crate::problem::{Exit, Outcome, Problem};

use super::flags::nearest;
use super::java;

/// No call waits longer for the coordinator.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long an abort may take when the prompt is left.
const FAREWELL: Duration = Duration::from_secs(3);
/// How long a transaction may stay open where `--timeout-ms` isn't given: a learner reads and types between two words,
/// and the producers' default of a minute would abort it meanwhile. Brokers allow 15 minutes by default.
const OPEN_MS: i32 = 600_000;
/// The producer that is meant where none is named.
const USUAL: &str = "a";
/// Producers of one prompt.
const MOST: usize = 8;

/// The usage, a line a word.
pub const USAGE: &str = "txn begin --id ID [--as NAME] [--timeout-ms N], txn send TOPIC VALUE [--key KEY] \
                         [--partition N] [--as NAME], txn commit|abort|close [--as NAME], txn list";

/// Where a record is: its partition and offset.
type Placed = Result<(i32, i64), ClientError>;

/// What became of the last record.
#[derive(Clone, Default)]
struct Delivery(Arc<Mutex<Option<Placed>>>);

impl ClientContext for Delivery {}

impl ProducerContext for Delivery {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let outcome = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.clone()),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }
}

struct Held {
    producer: BaseProducer<Delivery>,
    delivery: Delivery,
    id: String,
    open: bool,
    sent: usize,
}

/// What comes after `txn`.
const VERBS: [&str; 6] = ["begin", "send", "commit", "abort", "close", "list"];

/// The transactional producers of one prompt, by the names that it gave them.
#[derive(Default)]
pub struct TxnDesk {
    held: BTreeMap<String, Held>,
}

/// The words after `txn VERB`: what stands alone, and what flags name.
struct Words<'a> {
    plain: Vec<&'a str>,
    flags: BTreeMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    fn of(words: &'a [String], known: &[&str]) -> Outcome<Self> {
        let (mut plain, mut flags) = (Vec::new(), BTreeMap::new());
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--") else {
                plain.push(word);
                continue;
            };
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (name, words.next()),
            };
            let value = value
                .filter(|_| known.contains(&name))
                .ok_or_else(|| usage(&format!("txn can't take --{name} here")))?;
            flags.insert(name, value);
        }
        Ok(Self { plain, flags })
    }

    fn name(&self) -> &'a str {
        self.flags.get("as").copied().unwrap_or(USUAL)
    }

    fn number(&self, flag: &str) -> Outcome<Option<i32>> {
        let Some(value) = self.flags.get(flag) else {
            return Ok(None);
        };
        let number = value.parse().ok().filter(|number| *number >= 0);
        number
            .map(Some)
            .ok_or_else(|| usage(&format!("'{value}' is no number")))
    }
}

fn usage(what: &str) -> Problem {
    Problem::new(what).next(USAGE)
}

impl TxnDesk {
    /// Runs one line, `txn` included.
    pub fn run(&mut self, words: &[String], target: &Target, out: &mut dyn Write) -> Outcome<()> {
        let verb = words.get(1).map_or("list", String::as_str);
        let rest = words.get(2..).unwrap_or_default();
        let text = match verb {
            "begin" => self.begin(&Words::of(rest, &["id", "as", "timeout-ms"])?, target)?,
            "send" => self.send(&Words::of(rest, &["key", "partition", "as"])?, target)?,
            "commit" | "abort" => self.end(verb, &Words::of(rest, &["as"])?)?,
            "close" => self.close(Words::of(rest, &["as"])?.name())?,
            "list" => self.list(),
            _ => {
                let problem = usage(&format!("txn can't '{verb}'"));
                return Err(match nearest(verb, VERBS.into_iter()) {
                    Some(meant) => problem.next(format!("did you mean txn {meant}?")),
                    None => problem,
                });
            }
        };
        // Whoever reads has gone, or has it.
        drop(out.write_all(crate::ui::visible(&text).as_bytes()));
        Ok(())
    }

    fn begin(&mut self, words: &Words<'_>, target: &Target) -> Outcome<String> {
        let name = words.name();
        if let Some(held) = self.held.get_mut(name) {
            if words.flags.get("id").is_some_and(|id| *id != held.id) {
                return Err(
                    Problem::new(format!("producer {name} has the transactional.id {}", held.id)).next(
                        format!("give the other one a name: --as b, or txn close --as {name}"),
                    ),
                );
            }
            if held.open {
                return Err(Problem::new(format!("producer {name} has an open transaction"))
                    .next("txn commit or txn abort ends it; another producer is made with --as b"));
            }
        } else {
            let id = words.flags.get("id").ok_or_else(|| {
                Problem::new("which transactional.id?").next("for example: txn begin --id fares-1")
            })?;
            if self.held.len() >= MOST {
                return Err(
                    Problem::new(format!("this prompt holds {MOST} producers already")).next("txn close"),
                );
            }
            let held = Held::new(id, words.number("timeout-ms")?.unwrap_or(OPEN_MS), target)?;
            self.held.insert(name.to_owned(), held);
        }
        let begun = match self.held.get_mut(name) {
            Some(held) => held.producer.begin_transaction(),
            None => Ok(()),
        };
        self.settle(name, begun)?;
        let id = self.held.get_mut(name).map_or_else(String::new, |held| {
            held.open = true;
            held.sent = 0;
            held.id.clone()
        });
        Ok(format!(
            "producer {name}: transaction begun, transactional.id {id}\n"
        ))
    }

    fn held(&mut self, name: &str) -> Outcome<&mut Held> {
        self.held.get_mut(name).ok_or_else(|| {
            Problem::new(format!("there is no producer {name} here")).next("txn begin --id ID makes one")
        })
    }

    fn send(&mut self, words: &Words<'_>, target: &Target) -> Outcome<String> {
        let (topic, value) = match words.plain.as_slice() {
            [topic, rest @ ..] if !rest.is_empty() => (*topic, rest.join(" ")),
            _ => return Err(usage("send takes a topic and a value")),
        };
        let name = words.name();
        let held = self.held(name)?;
        if !held.open {
            return Err(
                Problem::new(format!("producer {name} has no open transaction")).next("txn begin opens one")
            );
        }
        let real = target.real(topic);
        let mut record: BaseRecord<'_, str, str> = BaseRecord::to(&real).payload(&value);
        record.key = words.flags.get("key").copied();
        record.partition = words.number("partition")?;
        let sent = held.send(record);
        let (partition, offset) = self.settle(name, sent)?;
        self.held(name)?.sent += 1;
        Ok(format!(
            "producer {name}: sent to {topic}-{partition}, offset {offset}; not committed yet\n"
        ))
    }

    fn end(&mut self, verb: &str, words: &Words<'_>) -> Outcome<String> {
        let name = words.name();
        let held = self.held(name)?;
        if !held.open {
            return Err(
                Problem::new(format!("producer {name} has no open transaction")).next("txn begin opens one")
            );
        }
        let (ended, done) = if verb == "commit" {
            (held.producer.commit_transaction(PATIENCE), "committed")
        } else {
            (held.producer.abort_transaction(PATIENCE), "aborted")
        };
        let sent = held.sent;
        self.settle(name, ended)?;
        self.held(name)?.open = false;
        let records = if sent == 1 { "record" } else { "records" };
        Ok(format!("producer {name}: {done}, {sent} {records}\n"))
    }

    /// Lets go of a producer that can do no more, and words why.
    fn settle<T>(&mut self, name: &str, outcome: Result<T, ClientError>) -> Outcome<T> {
        let error = match outcome {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let abortable = matches!(&error, ClientError::Transaction(inner) if inner.txn_requires_abort());
        let fatal = matches!(&error, ClientError::Transaction(inner) if inner.is_fatal());
        let held = self.held.get(name);
        let client_is_dead = held.is_some_and(|held| held.producer.client().fatal_error().is_some());
        let told = held
            .and_then(|held| held.producer.client().fatal_error())
            .map_or_else(|| KafkaError::from(error), |(code, _)| KafkaError::of(code));
        let problem =
            Problem::new(format!("producer {name}: {}", java::with_class(&told))).exit(Exit::NotYet);
        if fatal || client_is_dead {
            self.held.remove(name);
            return Err(problem.next(format!(
                "producer {name} can do no more and is closed; what it sent was not committed"
            )));
        }
        Err(if abortable {
            problem.next(format!(
                "this transaction can only be aborted: txn abort --as {name}"
            ))
        } else {
            problem
        })
    }

    fn close(&mut self, name: &str) -> Outcome<String> {
        let open = self.held(name)?.open;
        self.held.remove(name);
        Ok(if open {
            format!(
                "producer {name} has gone, and its transaction is open: the coordinator aborts it when it times out\n"
            )
        } else {
            format!("producer {name} has gone\n")
        })
    }

    fn list(&self) -> String {
        if self.held.is_empty() {
            return "No transactional producer is held here. txn begin --id ID makes one.\n".to_owned();
        }
        let line = |(name, held): (&String, &Held)| {
            let state = match (held.open, held.sent) {
                (false, _) => "no transaction".to_owned(),
                (true, sent) => format!("transaction open, {sent} sent"),
            };
            format!("producer {name}  transactional.id {}  {state}\n", held.id)
        };
        self.held.iter().map(line).collect()
    }

    /// Aborts what is open, as a program that ends in order does; the names of those producers.
    pub fn end_all(&mut self) -> Vec<String> {
        let held = std::mem::take(&mut self.held);
        held.into_iter()
            .filter(|(_, held)| held.open)
            .map(|(name, held)| {
                // A transaction that can't be aborted now times out.
                drop(held.producer.abort_transaction(FAREWELL));
                name
            })
            .collect()
    }
}

impl Held {
    fn new(id: &str, timeout_ms: i32, target: &Target) -> Outcome<Self> {
        let delivery = Delivery::default();
        let unmade = |error: ClientError| {
            let error = KafkaError::from(error);
            Problem::new(format!(
                "no transactional producer {id}: {}",
                java::with_class(&error)
            ))
            .exit(Exit::NotYet)
        };
        let mut config = target.client_config();
        config
            .set("client.id", "txn")
            .set("transactional.id", target.real(id))
            .set("partitioner", "murmur2_random")
            .set("transaction.timeout.ms", timeout_ms.to_string())
            .set("linger.ms", "0");
        let producer: BaseProducer<Delivery> =
            config.create_with_context(delivery.clone()).map_err(unmade)?;
        producer.init_transactions(PATIENCE).map_err(unmade)?;
        Ok(Self {
            producer,
            delivery,
            id: id.to_owned(),
            open: false,
            sent: 0,
        })
    }

    /// Sends a record and waits until the partition's leader has it.
    fn send(&self, record: BaseRecord<'_, str, str>) -> Result<(i32, i64), ClientError> {
        let take = || {
            self.delivery
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
        };
        take();
        self.producer.send(record).map_err(|(error, _)| error)?;
        self.producer.flush(PATIENCE)?;
        take().unwrap_or(Err(ClientError::Flush(
            rdkafka::error::RDKafkaErrorCode::RequestTimedOut,
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(desk: &mut TxnDesk, line: &str) -> Result<String, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut out = Vec::new();
        let target = Target::new("127.0.0.1:1");
        desk.run(&words, &target, &mut out)
            .map_err(|problem| match problem.next {
                Some(next) if next.starts_with("did you") => format!("{}: {next}", problem.what),
                _ => problem.what,
            })
            .map(|()| String::from_utf8(out).unwrap_or_default())
    }

    #[test]
    fn words_that_make_no_sense_are_told_before_anything_is_asked() {
        let mut desk = TxnDesk::default();
        assert!(run(&mut desk, "txn list").is_ok_and(|text| text.starts_with("No transactional")));
        assert_eq!(
            run(&mut desk, "txn begin").unwrap_err(),
            "which transactional.id?"
        );
        assert_eq!(run(&mut desk, "txn fly").unwrap_err(), "txn can't 'fly'");
        assert_eq!(
            run(&mut desk, "txn comit").unwrap_err(),
            "txn can't 'comit': did you mean txn commit?"
        );
        assert_eq!(
            run(&mut desk, "txn commit").unwrap_err(),
            "there is no producer a here"
        );
        assert_eq!(
            run(&mut desk, "txn send t v --colour red").unwrap_err(),
            "txn can't take --colour here"
        );
    }
}
