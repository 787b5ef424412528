//! Random histories against a model: whatever brokers, processes and connections do, what was acknowledged holds.
//!
//! A history is made from its seed alone: producers, transactional producers, groups and readers take turns with
//! whatever can go wrong, and all of it goes through [`Core::step`](crate::core::Core::step) as bytes. The logs are real
//! files, and so is what a kill leaves of them. `HISTORIES=N` plays N of them, `HISTORY=SEED` one, in full detail.

mod clients;
mod groups;
mod kill;
mod model;
mod sim;
mod wire;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use clients::{Lane, Reader, Transactional, World};
use groups::{Committer, Member, read_commit};
use model::Records;
use sim::Sim;

/// The topic of all histories.
const TOPIC: &str = "rides";
/// Its partitions.
const PARTITIONS: i32 = 2;
/// Turns in a history.
const TURNS: usize = 120;
/// Rounds that a healed cluster gets to answer everything.
const HEALING_ROUNDS: usize = 200;

/// What a history was made of, to know that it was one.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    /// Acknowledged values; transactions committed, aborted, unknown; acknowledged commits.
    counts: [usize; 5],
    /// Ends of the process between two steps, and in one.
    kills: usize,
    cut_short: usize,
    stops: usize,
}

impl Tally {
    fn add(&mut self, one: &Self) {
        for (total, count) in self.counts.iter_mut().zip(one.counts) {
            *total += count;
        }
        self.kills += one.kills;
        self.cut_short += one.cut_short;
        self.stops += one.stops;
    }
}

struct History {
    /// Do producers have several batches in flight. Then no broker starts again: a snapshot of producers, as Kafka writes
    /// it, holds only the last batch of each, so that after a start an older one is not known any more, in Kafka as here.
    pipelined: bool,
    world: World,
    lanes: Vec<Lane>,
    transactional: Vec<Transactional>,
    committers: Vec<Committer>,
    members: Vec<Member>,
    readers: Vec<Reader>,
    kills: usize,
    stops: usize,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let brokers = if rng.random_bool(0.3) { 1 } else { 3 };
        let mut sim = Sim::new(brokers);
        sim.create(TOPIC, PARTITIONS, brokers as i16);
        let partitions = || 0..PARTITIONS;
        let pipelined = rng.random_bool(0.2);
        let in_flight = if pipelined { 3 } else { 1 };
        Self {
            pipelined,
            lanes: partitions()
                .flat_map(|p| (0..2).map(move |n| Lane::new(format!("lane-{p}-{n}"), p, in_flight)))
                .chain(partitions().map(|p| Lane::plain(format!("plain-{p}"), p)))
                .collect(),
            transactional: (0..2)
                .map(|n| Transactional::new(format!("txn-{n}"), n == 1))
                .collect(),
            committers: partitions()
                .map(|p| Committer::new(format!("group-{p}"), p))
                .collect(),
            members: (0..2)
                .map(|n| Member::new(format!("member-{n}"), "group".to_owned()))
                .collect(),
            readers: partitions()
                .flat_map(|p| [Reader::new(p, false), Reader::new(p, true)])
                .collect(),
            world: World::new(sim, rng),
            kills: 0,
            stops: 0,
        }
    }

    fn play(&mut self) -> Result<Tally, String> {
        for _ in 0..TURNS {
            self.turn()?;
            if let Some(key) = self.world.sim.stuck {
                return Err(format!(
                    "a request of API key {key} had no answer within a minute"
                ));
            }
        }
        self.heal()?;
        self.check()?;
        Ok(Tally {
            counts: self.world.model.counts(),
            kills: self.kills,
            cut_short: self.world.sim.cut_short,
            stops: self.stops,
        })
    }

    fn turn(&mut self) -> Result<(), String> {
        let world = &mut self.world;
        match world.rng.random_range(0..100) {
            0..=32 => {
                let at = world.rng.random_range(0..self.lanes.len());
                self.lanes[at].act(world, true)
            }
            33..=59 => {
                let at = world.rng.random_range(0..self.transactional.len());
                self.transactional[at].act(world);
                Ok(())
            }
            60..=64 => {
                let at = world.rng.random_range(0..self.committers.len());
                self.committers[at].act(world)
            }
            65..=71 => {
                let at = world.rng.random_range(0..self.members.len());
                for _ in 0..world.rng.random_range(1..=4) {
                    self.members[at].act(world)?;
                }
                Ok(())
            }
            72..=81 => {
                let at = world.rng.random_range(0..self.readers.len());
                self.readers[at].act(world).map(|_| ())
            }
            82..=85 => {
                let groups = world.model.groups();
                if groups.is_empty() {
                    return Ok(());
                }
                let (group, partition) = &groups[world.rng.random_range(0..groups.len())];
                read_commit(world, group, *partition).map(|_| ())
            }
            86..=87 => {
                world.deliver_late();
                Ok(())
            }
            88..=92 => {
                let ms = match world.rng.random_range(0..10) {
                    0 => 50_000,
                    1..=3 => 5_000,
                    _ => 50,
                };
                world.tell(|| format!("TIME {ms}"));
                world.sim.pass(ms);
                Ok(())
            }
            _ => {
                self.break_something();
                Ok(())
            }
        }
    }

    fn break_something(&mut self) {
        let world = &mut self.world;
        let (live, stopped) = (world.sim.live(), world.sim.stopped());
        let chance = world.rng.random_range(if self.pipelined { 5..7 } else { 0..12 });
        match chance {
            0 => {
                self.kills += 1;
                let torn: Vec<u8> = (0..world.rng.random_range(1..90))
                    .map(|_| world.rng.random())
                    .collect();
                let partition = format!("{TOPIC}-{}", world.rng.random_range(0..PARTITIONS));
                let torn = world.rng.random_bool(0.5).then_some((&*partition, &torn[..]));
                world.tell(|| format!("KILL, torn: {}", torn.is_some()));
                world.sim.kill_and_restart(torn);
            }
            1 => {
                self.kills += 1;
                world.tell(|| "RESTART".to_owned());
                world.sim.restart();
            }
            10 => {
                let (writes, seed) = (world.rng.random_range(0..20), world.rng.random());
                world.tell(|| format!("KILL after {writes} writes"));
                world.sim.kill_in(writes, seed);
            }
            2..=4 if !live.is_empty() && live.len() + stopped.len() > 1 => {
                self.stops += 1;
                let broker = live[world.rng.random_range(0..live.len())];
                let clean = world.rng.random_bool(0.5);
                world.tell(|| format!("STOP {broker}, clean: {clean}"));
                world.sim.stop_broker(broker, clean);
            }
            5..=6 if !live.is_empty() => {
                let broker = live[world.rng.random_range(0..live.len())];
                let pause = world.rng.random_bool(0.4);
                world.tell(|| format!("REPLICATE {broker}: {}", !pause));
                world.sim.replicate(broker, !pause);
            }
            _ if !stopped.is_empty() => {
                let broker = stopped[world.rng.random_range(0..stopped.len())];
                world.tell(|| format!("START {broker}"));
                world.sim.start_broker(broker);
            }
            _ => {}
        }
    }

    /// Everything runs again, and every request gets its answer.
    fn heal(&mut self) -> Result<(), String> {
        self.world.sim.spare();
        self.world.deliver_late();
        for broker in self.world.sim.stopped() {
            self.world.sim.start_broker(broker);
        }
        for broker in self.world.sim.live() {
            self.world.sim.replicate(broker, true);
        }
        // Transactions that nobody ends are aborted for being too old.
        self.world.sim.pass(120_000);
        for _ in 0..HEALING_ROUNDS {
            for lane in &mut self.lanes {
                lane.act(&mut self.world, false)?;
            }
            if self.lanes.iter().all(Lane::is_idle) {
                return Ok(());
            }
            self.world.sim.pass(1_000);
        }
        Err("a producer gets no answer from a cluster that is whole again".to_owned())
    }

    fn check(&mut self) -> Result<(), String> {
        for (group, partition) in self.world.model.groups() {
            let mut read = false;
            for _ in 0..HEALING_ROUNDS {
                read = read_commit(&mut self.world, &group, partition)?;
                if read {
                    break;
                }
                self.world.sim.pass(1_000);
            }
            if !read {
                return Err(format!("the committed offset of {group} can't be read"));
            }
        }
        for reader in &mut self.readers {
            while reader.act(&mut self.world)? {}
        }
        let mut logs: [BTreeMap<i32, Records>; 2] = [BTreeMap::new(), BTreeMap::new()];
        for partition in 0..PARTITIONS {
            let mut ends = Vec::new();
            for committed in [false, true] {
                let mut reader = Reader::new(partition, committed);
                while reader.act(&mut self.world)? {}
                ends.push(reader.position());
                logs[usize::from(committed)].insert(partition, reader.read);
            }
            if ends[0] != ends[1] {
                return Err(format!(
                    "a transaction hangs: partition {partition} ends at {}, at read_committed at {}",
                    ends[0], ends[1]
                ));
            }
        }
        // Who has read all along has got the same.
        for reader in &self.readers {
            let log = &logs[usize::from(reader.committed)][&reader.partition];
            if reader.read != *log {
                return Err(format!(
                    "partition {}, read_committed: {}: a reader was given {:?} in its time, and it is {log:?}",
                    reader.partition, reader.committed, reader.read
                ));
            }
        }
        self.world.model.check(&logs[0], &logs[1])
    }
}

/// How many histories a test run plays without being told.
const HISTORIES: u64 = 250;

#[test]
fn what_was_acknowledged_holds_in_random_histories() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("HISTORY") {
        Some(seed) => seed..seed + 1,
        None => 0..number("HISTORIES").unwrap_or(HISTORIES),
    };
    let whole = seeds.end - seeds.start >= 100;
    let (next, sum) = (AtomicU64::new(seeds.start), Mutex::new(Tally::default()));
    let play = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let tally = History::new(seed).play().unwrap_or_else(|why| {
                next.store(seeds.end, Ordering::Relaxed);
                panic!("HISTORY={seed}: {why}")
            });
            sum.lock().unwrap().add(&tally);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(play);
        }
    });
    let sum = sum.into_inner().unwrap();
    println!("{} histories: {sum:?}", seeds.end - seeds.start);
    // Histories in which nothing happens would prove nothing.
    let happened = sum
        .counts
        .into_iter()
        .chain([sum.kills, sum.cut_short, sum.stops]);
    assert!(!whole || happened.min() > Some(0), "{sum:?}");
}
