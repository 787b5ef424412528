//! Whatever a peer can ask, in any order, against the real core and its logs: what `fuzz/fuzz_targets/requests.rs` drives,
//! and what a test plays again.
//!
//! An input is a row of choices, a byte each: a request of this API key and version, a broker that stops, time that
//! passes, a process that dies. The fields of a request come from its shape, and each has a role ([`roles`]): a
//! transactional id is mostly one that there is, so that an input gets behind the first check. Requests go in as frames, by the
//! way of a connection; answers come out as bytes. A promise that does not hold is a panic.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a promise that does not hold ends the run"
)]

mod choices;
mod frames;
mod rig;
mod roles;
#[cfg(test)]
mod tests;

use choices::Choices;
use rig::Rig;

use crate::core::brokers::Command;

/// How many turns an input has at most, so that a long one is not a slow one.
const MAX_TURNS: usize = 60;
/// Steps of the clock, in milliseconds.
const STEPS_MS: [i64; 6] = [10, 500, 6_000, 11_000, 70_000, 3_700_000];
/// A step after which all has expired; it takes long, and is taken rarely.
const WEEK_MS: i64 = 8 * 86_400_000;

/// Plays an input.
///
/// # Panics
/// Where a request has no answer, two, or one that its version can't carry; and wherever the crate itself does.
pub fn requests(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut rig = Rig::new(1 + choices.below(2) as i32);
    for _ in 0..MAX_TURNS {
        if choices.is_over() {
            break;
        }
        turn(&mut rig, &mut choices);
    }
    rig.finish();
}

fn turn(rig: &mut Rig, choices: &mut Choices) {
    match choices.byte() {
        0..=219 => {
            let broker = choices.below(rig.brokers());
            let frame = frames::frame(choices, rig.known());
            rig.deliver(broker as i32 + 1, frame);
        }
        220..=236 => rig.pass(STEPS_MS[choices.below(STEPS_MS.len())]),
        237 => rig.pass(WEEK_MS),
        238..=251 => {
            let command = match choices.below(6) {
                0 => Command::Stop,
                1 => Command::Kill,
                2 => Command::PauseReplication,
                3 => Command::ResumeReplication,
                _ => Command::Start,
            };
            let broker = choices.below(rig.brokers()) as i32 + 1;
            rig.manage(broker, command);
        }
        252.. => rig.restart(choices.below(2) == 0),
    }
}
