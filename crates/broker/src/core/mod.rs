//! The cluster's state and its one owner.
//!
//! [`Core::step`] takes the time and an event and gives effects. Nothing in here has a clock, a random source, a socket
//! or a file: logs, journal and ids are [`ports`]. What an API key does is in [`crate::api`]; what the cluster *is* is
//! here, one module each: [`topics`], [`configs`], [`groups`], [`share`], [`offsets`], [`producers`], [`transactions`],
//! [`fetches`], and for
//! several brokers [`standing`] (leaders and replicas in sync), [`replication`] (followers), [`brokers`] (stop and start) and
//! [`produces`] (acks=all).

pub(crate) mod admin;
pub(crate) mod brokers;
pub(crate) mod client_metrics;
mod config_changes;
mod config_table;
pub(crate) mod configs;
pub(crate) mod coordinator;
pub(crate) mod features;
pub(crate) mod fetch_sessions;
pub(crate) mod fetches;
pub(crate) mod group_configs;
mod group_log;
pub(crate) mod groups;
mod internal_topics;
pub(crate) mod journal;
pub(crate) mod loggers;
mod maintenance;
pub(crate) mod offsets;
mod placement;
pub(crate) mod ports;
pub(crate) mod producers;
pub(crate) mod produces;
pub(crate) mod quotas;
mod reassign;
pub(crate) mod replication;
pub(crate) mod scram;
pub(crate) mod share;
pub(crate) mod standing;
pub(crate) mod telemetry;
#[cfg(test)]
mod tests;
pub(crate) mod throttles;
pub(crate) mod timers;
pub(crate) mod topics;
pub(crate) mod transactions;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kafka_protocol::ResponseError;

use crate::api::{Answer, Body, Response};
use crate::witness::Witness;
use brokers::{Broker, Command};
use configs::Configs;
use fetches::ParkedFetches;
use groups::Groups;
use ports::{Ids, Journal, SharedRules, Storage};
use producers::ProducerIds;
use produces::ParkedProduces;
use replication::Key;
use timers::{Timer, Timers};
use topics::Topics;
use transactions::Transactions;

/// A request that the cluster refuses: Kafka's code, and the message that goes with it where there is one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) error: ResponseError,
    pub(crate) message: Option<String>,
}

impl Refusal {
    /// With a message.
    pub(crate) fn new(error: ResponseError, message: impl Into<String>) -> Self {
        Self {
            error,
            message: Some(message.into()),
        }
    }

    /// The protocol's number.
    pub(crate) fn code(&self) -> i16 {
        self.error.code()
    }
}

impl From<ResponseError> for Refusal {
    fn from(error: ResponseError) -> Self {
        Self { error, message: None }
    }
}

/// Which request an answer belongs to.
pub(crate) type RequestId = u64;

/// Who asks, and whom.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The request to answer.
    pub(crate) request: RequestId,
    /// The broker that was asked.
    pub(crate) broker: i32,
    /// The connection that the request came on.
    pub(crate) connection: u64,
    /// The request's version.
    pub(crate) version: i16,
    /// The client's name for itself.
    pub(crate) client_id: Arc<str>,
    /// The client's address, as Kafka shows it: `/127.0.0.1`.
    pub(crate) host: Arc<str>,
    /// A fault made on purpose keeps the answer from the client.
    pub(crate) answer_is_lost: bool,
}

/// What happens to the core.
pub(crate) enum Event {
    /// A request, decoded and checked as far as that needs no state.
    Request {
        caller: Caller,
        api: &'static crate::api::Api,
        body: Body,
    },
    /// The cluster's owner wants something done with a broker.
    Manage {
        id: RequestId,
        broker: i32,
        command: Command,
    },
    /// A connection is closed.
    Closed { connection: u64 },
    /// Time has passed.
    Tick,
    /// The cluster ends; its logs are closed for the next start, unless they go with it.
    Shutdown { keep: bool },
}

/// What the core wants done.
pub(crate) enum Effect {
    /// Send this answer.
    Reply { to: RequestId, response: Response },
    /// Nothing more is read from the request's client for so long after its answer (KIP-219).
    Mute { to: RequestId, for_ms: i64 },
    /// The request gets no answer, as a produce with acks=0.
    NoReply { to: RequestId },
    /// What the owner wanted is done, or refused.
    Managed {
        id: RequestId,
        result: Result<(), Refusal>,
    },
    /// The request is none that Kafka makes sense of: its connection is closed.
    Hangup { to: RequestId },
}

/// A broker as clients see it.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Node {
    /// A broker of this machine.
    pub(crate) fn local(port: u16) -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port,
        }
    }
}

/// The ports that a core works with.
pub(crate) struct Outside {
    /// One folder of logs per broker.
    pub(crate) storage: BTreeMap<i32, Box<dyn Storage>>,
    pub(crate) journal: Box<dyn Journal>,
    pub(crate) ids: Box<dyn Ids>,
    pub(crate) rules: SharedRules,
}

/// The cluster's state.
pub(crate) struct Core {
    pub(crate) cluster_id: String,
    /// Every broker of the cluster, also those that are stopped.
    pub(crate) nodes: BTreeMap<i32, Node>,
    pub(crate) brokers: BTreeMap<i32, Broker>,
    pub(crate) now_ms: i64,
    pub(crate) topics: Topics,
    pub(crate) configs: Configs,
    pub(crate) groups: Groups,
    pub(crate) producers: ProducerIds,
    pub(crate) transactions: Transactions,
    pub(crate) fetches: ParkedFetches,
    pub(crate) fetch_sessions: fetch_sessions::FetchSessions,
    produces: ParkedProduces,
    /// Partitions whose followers, ISR or high watermark may have to move.
    unsettled: Vec<Key>,
    balance_is_watched: bool,
    /// New logs whose folders are to be made: partitions, and the broker of each.
    folderless: VecDeque<(Key, i32)>,
    pub(crate) timers: Timers,
    pub(crate) quotas: quotas::Quotas,
    pub(crate) throttles: throttles::Throttles,
    pub(crate) scram: scram::ScramCredentials,
    pub(crate) telemetry: telemetry::Telemetry,
    pub(crate) loggers: loggers::Loggers,
    pub(crate) shares: share::Shares,
    /// How often `flush.ms` is looked at; none where no topic has it.
    pub(crate) flush_every_ms: Option<i64>,
    /// When the next deleted file is to be removed.
    next_sweep_ms: Option<i64>,
    /// The checkpoints name a topic that is gone: one with its name must not find them at the next start.
    stale_checkpoints: bool,
    /// How many metadata records there have been: the end of what Kafka calls `__cluster_metadata`.
    pub(crate) journalled: i64,
    /// There are some that the disk may not have.
    pub(crate) journal_waits: bool,
    /// What has happened to records, for the cluster's owner.
    pub(crate) witness: Witness,
    pub(crate) outside: Outside,
    effects: Vec<Effect>,
    /// Where the next partition's first replica goes.
    pub(crate) next_replica: usize,
}

/// How often retention and expiry are looked at, in lab time.
const HOUSEKEEPING_MS: i64 = 60_000;
/// When they are looked at first, as Kafka's `log.initial.task.delay.ms`.
const FIRST_HOUSEKEEPING_MS: i64 = 30_000;

impl Core {
    /// An empty cluster; [`restore`](admin) fills it from the journal.
    pub(crate) fn new(
        cluster_id: String,
        nodes: BTreeMap<i32, Node>,
        configs: Configs,
        outside: Outside,
    ) -> Self {
        Self {
            cluster_id,
            brokers: nodes.keys().map(|id| (*id, Broker::UP)).collect(),
            nodes,
            now_ms: 0,
            topics: Topics::default(),
            configs,
            groups: Groups::default(),
            producers: ProducerIds::default(),
            transactions: Transactions::default(),
            fetches: ParkedFetches::default(),
            fetch_sessions: fetch_sessions::FetchSessions::default(),
            produces: ParkedProduces::default(),
            unsettled: Vec::new(),
            balance_is_watched: false,
            folderless: VecDeque::new(),
            timers: Timers::default(),
            quotas: quotas::Quotas::default(),
            throttles: throttles::Throttles::default(),
            scram: scram::ScramCredentials::default(),
            telemetry: telemetry::Telemetry::default(),
            loggers: loggers::Loggers::default(),
            shares: share::Shares::default(),
            flush_every_ms: None,
            next_sweep_ms: None,
            stale_checkpoints: false,
            journalled: 0,
            journal_waits: false,
            witness: Witness::default(),
            outside,
            effects: Vec::new(),
            next_replica: 0,
        }
    }

    /// Takes one event at `now_ms` and says what is to be done.
    pub(crate) fn step(&mut self, now_ms: i64, event: Event) -> Vec<Effect> {
        self.now_ms = now_ms;
        match event {
            Event::Request { caller, api, body } => self.request(&caller, api, body),
            Event::Manage { id, broker, command } => {
                let result = self.command(broker, command);
                self.effects.push(Effect::Managed { id, result });
            }
            Event::Closed { connection } => self.connection_closed(connection),
            Event::Tick | Event::Shutdown { keep: false } => {}
            Event::Shutdown { keep: true } => self.close_logs(),
        }
        self.settle_all();
        self.fire_due(now_ms);
        if std::mem::take(&mut self.stale_checkpoints) {
            self.checkpoint();
        }
        self.answer_what_is_safe();
        self.sweep();
        self.force_journal();
        std::mem::take(&mut self.effects)
    }

    /// What was decided is on the disk before anybody is told of it, as in Kafka's controller.
    fn force_journal(&mut self) {
        if std::mem::take(&mut self.journal_waits)
            && let Err(error) = self.outside.journal.force()
        {
            tracing::error!(%error, "the disk may lack the last changes of the cluster's metadata");
        }
    }

    fn request(&mut self, caller: &Caller, api: &'static crate::api::Api, body: Body) {
        let to = caller.request;
        // A broker may have ended between the socket and here.
        let answer = if self.brokers.get(&caller.broker).is_some_and(|b| b.running) {
            (api.handle)(self, caller, body)
        } else {
            Answer::Silent
        };
        self.answer(to, answer);
    }

    /// Lets followers copy and transactions go on, until nothing changes.
    pub(crate) fn settle_all(&mut self) {
        self.settle();
        while self.settle_transactions() {
            self.settle();
        }
    }

    /// Fires what is due, in the order of its time and each at its time: what happens at 10 s may set a timer for 20 s, and
    /// a clock that was put forward by a minute has seen both. What comes again and again is not repeated for all the
    /// time that was left out (a week has 60,000 looks for open transactions): after the first time once more, at the
    /// end. Upkeep of the logs happens at the end alone.
    fn fire_due(&mut self, now_ms: i64) {
        const UPKEEP_FROM: usize = 3;
        let recurring = [
            Timer::Balance,
            Timer::OpenTransactions,
            Timer::TransactionalIds,
            Timer::Housekeeping,
            Timer::Clean,
            Timer::Flush,
        ];
        let (mut fired, mut left) = ([false; 6], [false; 6]);
        while let Some((at_ms, timer)) = self.timers.due(now_ms) {
            match recurring.iter().position(|known| *known == timer) {
                Some(at) if at >= UPKEEP_FROM || fired[at] => left[at] = true,
                known => {
                    if let Some(at) = known {
                        fired[at] = true;
                    }
                    self.now_ms = at_ms;
                    self.fire(timer);
                    self.settle_all();
                }
            }
        }
        self.now_ms = now_ms;
        for (timer, _) in recurring.into_iter().zip(left).filter(|(_, left)| *left) {
            self.fire(timer);
            self.settle_all();
        }
    }

    /// When the core wants a [`Event::Tick`] at the latest.
    pub(crate) fn deadline_ms(&self) -> Option<i64> {
        if self.unsettled.is_empty() {
            self.timers.next_ms()
        } else {
            // A follower has more to copy.
            Some(self.now_ms)
        }
    }

    /// Answers a request that was left waiting.
    pub(crate) fn reply(&mut self, to: RequestId, response: Response) {
        self.effects.push(Effect::Reply { to, response });
    }

    /// Answers a request with what its handler gives.
    pub(crate) fn answer(&mut self, to: RequestId, answer: Answer) {
        match answer {
            Answer::Now(response) => self.reply(to, response),
            Answer::Silent => self.effects.push(Effect::NoReply { to }),
            Answer::Hangup => self.effects.push(Effect::Hangup { to }),
            Answer::Later => {}
        }
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Fetch(request) => self.finish_fetch(request),
            Timer::Housekeeping => self.housekeeping(),
            Timer::Folders => self.make_folders(),
            Timer::Clean => self.clean_logs(),
            Timer::Flush => self.flush_logs(),
            // It is done at the end of every step.
            Timer::Sweep => self.next_sweep_ms = None,
            Timer::Produce(request) => self.finish_produce(request),
            Timer::Lag { topic, partition } => self.unsettled.push((topic, partition)),
            Timer::Fence { broker, life } => self.fence_vanished(broker, life),
            Timer::Balance => self.balance(),
            // What has waited long enough is found when everything settles, right after this.
            Timer::Acks => {}
            Timer::OpenTransactions => self.abort_timed_out(),
            Timer::TransactionalIds => self.expire_transactional_ids(),
            Timer::Group { group, wake } => self.wake_group(&group, &wake),
            Timer::ShareFetch(request) => self.finish_share_fetch(request),
            Timer::ShareLocks(key) => self.end_share_locks(&key),
        }
    }

    /// Retention and expiry come when the cluster has been up for a while: its start waits for no disk.
    pub(crate) fn keep_house_later(&mut self) {
        self.timers
            .set(self.now_ms + FIRST_HOUSEKEEPING_MS, Timer::Housekeeping);
    }

    /// Retention and expiry, then again later.
    pub(crate) fn housekeeping(&mut self) {
        let now_ms = self.now_ms;
        for replica in self.topics.replicas_mut() {
            if let Err(error) = replica.log.enforce_retention(now_ms, replica.high_watermark) {
                tracing::warn!(%error, "retention failed");
            }
        }
        self.expire_offsets();
        self.prune_states();
        self.checkpoint();
        self.timers.set(now_ms + HOUSEKEEPING_MS, Timer::Housekeeping);
    }
}
