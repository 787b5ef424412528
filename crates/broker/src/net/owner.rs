//! The one owner of the core: lets in one event at a time, carries out effects, wakes the core when it wants.
//!
//! A connection whose event finds the core free steps it on its own task, which spares two changes of thread; one that
//! doesn't leaves its event in the queue. The queue and the core's deadlines are for a thread of their own, [`run`].

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use crate::api::Response;
use crate::clock::LabClock;
use crate::core::{Core, Effect, Event, Refusal, RequestId};

/// Who waits for what comes of an event.
pub(crate) enum Waiting {
    /// A connection, and how long it is to be held back.
    Client(oneshot::Sender<Answered>, i64),
    /// The owner of the cluster.
    Owner(std::sync::mpsc::Sender<Result<(), Refusal>>),
}

/// What comes of a request.
pub(crate) struct Answered {
    /// Nothing, where no answer is wanted.
    pub(crate) response: Option<Response>,
    /// For so long nothing more is read from the client.
    pub(crate) mute_ms: i64,
}

/// An event, and who waits for its answer.
pub(crate) struct Envelope {
    pub(crate) event: Event,
    pub(crate) reply: Option<(RequestId, Waiting)>,
}

/// The core, and the ways to it.
pub(crate) struct Owner {
    owned: Mutex<Owned>,
    queue: mpsc::Sender<Envelope>,
    clock: LabClock,
    /// The core wants to be woken earlier than [`run`] knows.
    earlier: Notify,
}

struct Owned {
    /// None once the cluster has ended.
    core: Option<Core>,
    waiting: HashMap<RequestId, Waiting>,
    /// When [`run`] wakes the core.
    alarm_ms: Option<i64>,
}

impl Owner {
    /// Takes a core over; the queue is for [`run`].
    pub(crate) fn new(core: Core, clock: LabClock, length: usize) -> (Self, mpsc::Receiver<Envelope>) {
        let (queue, receiver) = mpsc::channel(length);
        let owned = Owned {
            core: Some(core),
            waiting: HashMap::new(),
            alarm_ms: None,
        };
        let owner = Self {
            owned: Mutex::new(owned),
            queue,
            clock,
            earlier: Notify::new(),
        };
        (owner, receiver)
    }

    /// Leaves an event for [`run`], which empties the queue: where it is full, there is room soon.
    ///
    /// # Errors
    /// Nobody empties it any more.
    pub(crate) fn enqueue(&self, mut envelope: Envelope) -> Result<(), Gone> {
        loop {
            match self.queue.try_send(envelope) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(back)) => envelope = back,
                Err(mpsc::error::TrySendError::Closed(_)) => return Err(Gone),
            }
            std::thread::yield_now();
        }
    }

    /// Has the core take a client's request.
    ///
    /// # Errors
    /// Nobody will answer: the cluster ends, or the core wants the connection closed.
    pub(crate) async fn ask(&self, request: RequestId, event: Event) -> Result<Answered, Gone> {
        let (sender, receiver) = oneshot::channel();
        let envelope = Envelope {
            reply: Some((request, Waiting::Client(sender, 0))),
            event,
        };
        if let Some(envelope) = self.step_if_free(envelope)? {
            self.queue.send(envelope).await.map_err(|_| Gone)?;
        }
        receiver.await.map_err(|_| Gone)
    }

    /// Has the core take an event that nobody wants an answer to.
    ///
    /// # Errors
    /// The cluster ends.
    pub(crate) async fn tell(&self, event: Event) -> Result<(), Gone> {
        if let Some(envelope) = self.step_if_free(Envelope { event, reply: None })? {
            self.queue.send(envelope).await.map_err(|_| Gone)?;
        }
        Ok(())
    }

    /// Gives the event back where the core is busy.
    fn step_if_free(&self, envelope: Envelope) -> Result<Option<Envelope>, Gone> {
        let mut owned = match self.owned.try_lock() {
            Ok(owned) => owned,
            Err(TryLockError::WouldBlock) => return Ok(Some(envelope)),
            Err(TryLockError::Poisoned(_)) => return Err(Gone),
        };
        owned.step(&self.clock, envelope);
        let wanted = owned.core.as_ref().ok_or(Gone)?.deadline_ms();
        let is_earlier = wanted.is_some_and(|at| owned.alarm_ms.is_none_or(|alarm| at < alarm));
        if is_earlier {
            owned.alarm_ms = wanted;
            drop(owned);
            self.earlier.notify_one();
        }
        Ok(None)
    }

    /// Nothing of a core that has panicked can be relied on.
    fn lock(&self) -> Result<MutexGuard<'_, Owned>, Gone> {
        self.owned.lock().map_err(|_| Gone)
    }

    fn end(&self) {
        let mut owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        owned.core = None;
        owned.waiting.clear();
    }
}

/// There is no core that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// Lets the core take what is in the queue and wakes it at its deadlines, until a shutdown. The core ends with it.
pub(crate) async fn run(owner: &Owner, mut queue: mpsc::Receiver<Envelope>) {
    if keep(owner, &mut queue).await == Err(Gone) {
        tracing::error!("the cluster's core has panicked");
    }
    owner.end();
}

async fn keep(owner: &Owner, queue: &mut mpsc::Receiver<Envelope>) -> Result<(), Gone> {
    loop {
        let alarm = async {
            let deadline = {
                let mut owned = owner.lock()?;
                owned.alarm_ms = owned.core.as_ref().and_then(Core::deadline_ms);
                owned.alarm_ms
            };
            match deadline {
                Some(at_ms) => {
                    let wait = u64::try_from(at_ms - owner.clock.now_ms()).unwrap_or(0);
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                None => std::future::pending().await,
            }
            Ok(())
        };
        let envelope = tokio::select! {
            biased;
            envelope = queue.recv() => envelope,
            () = owner.earlier.notified() => continue,
            rung = alarm => {
                rung?;
                Some(Envelope { event: Event::Tick, reply: None })
            }
        };
        let Some(envelope) = envelope else { return Ok(()) };
        let ends = matches!(envelope.event, Event::Shutdown { .. });
        owner.lock()?.step(&owner.clock, envelope);
        if ends {
            return Ok(());
        }
    }
}

impl Owned {
    fn step(&mut self, clock: &LabClock, envelope: Envelope) {
        let Some(core) = &mut self.core else { return };
        if let Some((request, sender)) = envelope.reply {
            self.waiting.insert(request, sender);
        }
        for effect in core.step(clock.now_ms(), envelope.event) {
            // Who has hung up does not need the answer.
            match effect {
                Effect::Reply { to, response } => answer(self.waiting.remove(&to), Some(response)),
                Effect::NoReply { to } => answer(self.waiting.remove(&to), None),
                Effect::Mute { to, for_ms } => {
                    if let Some(Waiting::Client(_, mute_ms)) = self.waiting.get_mut(&to) {
                        *mute_ms = for_ms.max(*mute_ms);
                    }
                }
                // Its connection ends when nobody is left to answer it.
                Effect::Hangup { to } => drop(self.waiting.remove(&to)),
                Effect::Managed { id, result } => {
                    if let Some(Waiting::Owner(sender)) = self.waiting.remove(&id) {
                        let _ = sender.send(result);
                    }
                }
            }
        }
    }
}

fn answer(who: Option<Waiting>, response: Option<Response>) {
    if let Some(Waiting::Client(sender, mute_ms)) = who {
        let _ = sender.send(Answered { response, mute_ms });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, RwLock};
    use std::time::Instant;

    use super::*;
    use crate::core::brokers::Command;
    use crate::core::configs::Overrides;
    use crate::core::ports::TopicRules;
    use crate::core::timers::Timer;

    fn owner(folder: &tempfile::TempDir) -> (Owner, mpsc::Receiver<Envelope>) {
        let clock = LabClock::default();
        let nodes = BTreeMap::from([(1, crate::core::Node::local(9092))]);
        let rules = Arc::new(RwLock::new(TopicRules::default()));
        let core = crate::cluster::open_core(
            folder.path(),
            &nodes,
            &Overrides::new(),
            rules,
            clock.now_ms(),
            |outside| outside,
        )
        .unwrap();
        Owner::new(core, clock, 4)
    }

    fn resume() -> Event {
        Event::Manage {
            id: 7,
            broker: 1,
            command: Command::ResumeReplication,
        }
    }

    #[test]
    fn a_busy_core_gets_its_events_from_the_queue() {
        let folder = tempfile::tempdir().unwrap();
        let (owner, mut queue) = owner(&folder);
        let envelope = |event| Envelope { event, reply: None };
        assert!(matches!(owner.step_if_free(envelope(Event::Tick)), Ok(None)));
        let busy = owner.lock().unwrap();
        assert!(matches!(owner.step_if_free(envelope(Event::Tick)), Ok(Some(_))));
        drop(busy);
        let (sender, said) = std::sync::mpsc::channel();
        let reply = Some((7, Waiting::Owner(sender)));
        let sent = owner.enqueue(Envelope {
            event: resume(),
            reply,
        });
        assert!(sent.is_ok());
        assert!(owner.enqueue(envelope(Event::Shutdown { keep: true })).is_ok());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(keep(&owner, &mut queue)).unwrap();
        assert_eq!(said.recv().unwrap(), Ok(()));
        owner.end();
        assert!(matches!(owner.step_if_free(envelope(Event::Tick)), Err(Gone)));
        assert_eq!(runtime.block_on(owner.ask(1, Event::Tick)).err(), Some(Gone));
    }

    #[test]
    fn an_earlier_deadline_wakes_the_keeper() {
        let folder = tempfile::tempdir().unwrap();
        let (owner, mut queue) = owner(&folder);
        let begun = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .unwrap();
                runtime.block_on(keep(&owner, &mut queue)).unwrap();
            });
            // The keeper sleeps until the first housekeeping, half a minute from now.
            while owner.lock().unwrap().alarm_ms.is_none() {
                std::thread::yield_now();
            }
            let soon = owner.clock.now_ms() + 20;
            owner
                .lock()
                .unwrap()
                .core
                .as_mut()
                .unwrap()
                .timers
                .set(soon, Timer::Acks);
            let tick = Envelope {
                event: Event::Tick,
                reply: None,
            };
            assert!(owner.step_if_free(tick).is_ok());
            let fired = || {
                let owned = owner.lock().unwrap();
                owned
                    .core
                    .as_ref()
                    .unwrap()
                    .deadline_ms()
                    .is_some_and(|at| at > soon)
            };
            while !fired() {
                assert!(begun.elapsed() < Duration::from_secs(20), "nobody wakes the core");
                std::thread::yield_now();
            }
            let end = Envelope {
                event: Event::Shutdown { keep: false },
                reply: None,
            };
            assert!(owner.enqueue(end).is_ok());
        });
    }
}
