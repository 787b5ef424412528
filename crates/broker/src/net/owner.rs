//! The one owner of the core: takes events from the queue, carries out effects, wakes the core when it wants.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::api::Response;
use crate::clock::LabClock;
use crate::core::{Core, Effect, Event, Refusal, RequestId};

/// Who waits for what comes of an event.
pub(crate) enum Waiting {
    /// A connection; `None` is "no answer".
    Client(oneshot::Sender<Option<Response>>),
    /// The owner of the cluster.
    Owner(std::sync::mpsc::Sender<Result<(), Refusal>>),
}

/// An event, and who waits for its answer.
pub(crate) struct Envelope {
    pub(crate) event: Event,
    pub(crate) reply: Option<(RequestId, Waiting)>,
}

/// Runs the core until a shutdown or until nobody can send events any more.
pub(crate) async fn run(mut core: Core, mut events: mpsc::Receiver<Envelope>, clock: LabClock) {
    let mut waiting: HashMap<RequestId, Waiting> = HashMap::new();
    loop {
        let envelope = match core.deadline_ms() {
            None => events.recv().await,
            Some(at_ms) => {
                let wait = Duration::from_millis(u64::try_from(at_ms - clock.now_ms()).unwrap_or(0));
                match tokio::time::timeout(wait, events.recv()).await {
                    Ok(envelope) => envelope,
                    Err(_) => Some(Envelope {
                        event: Event::Tick,
                        reply: None,
                    }),
                }
            }
        };
        let Some(envelope) = envelope else { return };
        let ends = matches!(envelope.event, Event::Shutdown { .. });
        if let Some((request, sender)) = envelope.reply {
            waiting.insert(request, sender);
        }
        for effect in core.step(clock.now_ms(), envelope.event) {
            // Who has hung up does not need the answer.
            match effect {
                Effect::Reply { to, response } => answer(waiting.remove(&to), Some(response)),
                Effect::NoReply { to } => answer(waiting.remove(&to), None),
                // Its connection ends when nobody is left to answer it.
                Effect::Hangup { to } => drop(waiting.remove(&to)),
                Effect::Managed { id, result } => {
                    if let Some(Waiting::Owner(sender)) = waiting.remove(&id) {
                        let _ = sender.send(result);
                    }
                }
            }
        }
        if ends {
            return;
        }
    }
}

fn answer(who: Option<Waiting>, response: Option<Response>) {
    if let Some(Waiting::Client(sender)) = who {
        let _ = sender.send(response);
    }
}
