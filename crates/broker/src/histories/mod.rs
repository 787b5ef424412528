//! Random histories against a model: whatever brokers, processes and connections do, what was acknowledged holds.
//!
//! A history is made from its seed alone: producers, transactional producers, groups and readers take turns with
//! whatever can go wrong, and all of it goes through [`Core::step`](crate::core::Core::step) as bytes. The logs are real
//! files, and so is what a kill leaves of them. `HISTORIES=N` plays N of them, with `HISTORIES_FROM=SEED` those from that
//! seed on; `HISTORY=SEED` plays one, in full detail.

mod clients;
mod files;
mod groups;
mod kill;
mod model;
mod power;
mod shares;
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
use shares::ShareMember;
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
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    /// Acknowledged values; transactions committed, aborted, unknown; acknowledged commits.
    counts: [usize; 5],
    /// Records that members of the share group have accepted or rejected.
    shared: usize,
    /// Ends of the process between two steps, and in one.
    kills: usize,
    cut_short: usize,
    stops: usize,
    /// Power cuts.
    cuts: usize,
}

impl Tally {
    fn add(&mut self, one: &Self) {
        for (total, count) in self.counts.iter_mut().zip(one.counts) {
            *total += count;
        }
        self.shared += one.shared;
        self.kills += one.kills;
        self.cut_short += one.cut_short;
        self.stops += one.stops;
        self.cuts += one.cuts;
    }
}

/// What may take more than the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Power {
    /// Nothing: the page cache stays.
    On,
    /// All brokers lose their power at once; every record is forced to the disk before it is acknowledged.
    CutWhenForced,
    /// One of three brokers loses its power, with the default settings but `min.insync.replicas=2`.
    CutOfOne,
    /// All brokers lose their power at once, with the default settings: once, at the end.
    CutAtTheEnd,
}

impl Power {
    /// Settings with which a short history has all that a long one has: several segments, indexes, compaction.
    const SHORT: [(&str, &str); 4] = [
        ("log.roll.ms", "8000"),
        ("log.index.interval.bytes", "100"),
        ("log.cleaner.min.cleanable.ratio", "0.01"),
        ("log.cleaner.backoff.ms", "5000"),
    ];

    fn settings(self) -> Vec<(&'static str, &'static str)> {
        let mut all = Self::SHORT.to_vec();
        match self {
            Self::On => all.clear(),
            Self::CutWhenForced => all.push(("log.flush.interval.messages", "1")),
            Self::CutOfOne | Self::CutAtTheEnd => {}
        }
        all
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
    sharers: Vec<ShareMember>,
    power: Power,
    /// The broker that was killed or lost its power, and is not known to be in sync everywhere again. With the default
    /// settings nothing is promised where there are two.
    weak: Option<i32>,
    kills: usize,
    stops: usize,
    cuts: usize,
}

impl History {
    fn new(seed: u64, power: Power) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let alone = rng.random_bool(0.3) && power != Power::CutOfOne;
        let brokers = if alone { 1 } else { 3 };
        let mut sim = Sim::with(brokers, power != Power::On, &power.settings(), seed);
        if power == Power::CutOfOne {
            sim.set_everywhere("min.insync.replicas", "2");
        }
        sim.create(TOPIC, PARTITIONS, brokers as i16);
        for (name, value) in [
            ("share.auto.offset.reset", "earliest".to_owned()),
            ("share.record.lock.duration.ms", shares::LOCK_MS.to_string()),
            ("share.delivery.count.limit", shares::DELIVERIES.to_string()),
        ] {
            sim.set_group(shares::GROUP, name, &value);
        }
        let partitions = || 0..PARTITIONS;
        let pipelined = rng.random_bool(0.2) && power == Power::On;
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
            sharers: ["share-a", "share-b", "share-c"].map(ShareMember::new).into(),
            world: World::new(sim, rng),
            power,
            weak: None,
            kills: 0,
            stops: 0,
            cuts: 0,
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
        if self.power == Power::CutAtTheEnd {
            self.end_by_cut()?;
        } else {
            self.heal()?;
            self.check()?;
        }
        if self.power != Power::On {
            files::read_logs(self.world.sim.data())?;
        }
        Ok(Tally {
            counts: self.world.model.counts(),
            shared: self.world.shares.settled,
            kills: self.kills,
            cut_short: self.world.sim.cut_short,
            stops: self.stops,
            cuts: self.cuts,
        })
    }

    fn turn(&mut self) -> Result<(), String> {
        let world = &mut self.world;
        match world.rng.random_range(0..112) {
            100.. => {
                let at = world.rng.random_range(0..self.sharers.len());
                for _ in 0..world.rng.random_range(1..=4) {
                    self.sharers[at].act(world)?;
                }
                Ok(())
            }
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

    /// Is every broker trusted: the one that was not is in sync everywhere again.
    fn all_are_trusted(&mut self) -> bool {
        if let Some(weak) = self.weak
            && self.world.sim.is_in_sync(weak)
        {
            self.weak = None;
        }
        self.weak.is_none()
    }

    /// A power cut in the place of a kill, where this history has some; says whether it was one.
    fn cut_something(&mut self, chance: i32) -> bool {
        let seed = self.world.rng.random();
        match (self.power, chance) {
            (Power::CutWhenForced, 0..=1) => {
                self.cuts += 1;
                self.world.tell(|| format!("CUT {seed}"));
                self.world.sim.cut(seed);
            }
            (Power::CutWhenForced, 10) => {
                self.cuts += 1;
                let writes = self.world.rng.random_range(0..20);
                self.world.tell(|| format!("CUT {seed} after {writes} writes"));
                self.world.sim.cut_in(writes, seed);
            }
            (Power::CutOfOne, 0 | 2..=4 | 11) => {
                let live = self.world.sim.live();
                if live.len() > 1 && self.all_are_trusted() {
                    let broker = live[self.world.rng.random_range(0..live.len())];
                    self.cuts += 1;
                    self.weak = Some(broker);
                    self.world.sim.spare();
                    self.world.tell(|| format!("CUT {broker} {seed}"));
                    self.world.sim.cut_broker(broker, seed);
                } else if live.len() > 1 {
                    let broker = live[self.world.rng.random_range(0..live.len())];
                    self.stops += 1;
                    self.world.tell(|| format!("STOP {broker}, clean"));
                    self.world.sim.stop_broker(broker, true);
                }
            }
            // A process that is killed counts for all of its brokers.
            (Power::CutOfOne, 1 | 10) => return !self.all_are_trusted(),
            _ => return false,
        }
        true
    }

    /// All power is cut, with nothing forced that nobody asked for. What the disk had of each leader's log, from its start to the
    /// first batch that was not forced, is there, and the cluster works.
    fn end_by_cut(&mut self) -> Result<(), String> {
        let seed = self.world.rng.random();
        self.world.tell(|| format!("CUT {seed}"));
        let sim = &mut self.world.sim;
        let (before, forced) = (files::read_logs(sim.data())?, sim.forced());
        sim.cut(seed);
        self.cuts += 1;
        let after = files::read_logs(sim.data())?;
        for (name, had) in before {
            let on_disk = forced.get(&name).cloned().unwrap_or_default();
            // What comes after a batch that the disk had not goes with it: a log has no holes.
            let both: Vec<_> = had
                .into_iter()
                .take_while(|batch| on_disk.contains(batch))
                .collect();
            let now = after.get(&name).cloned().unwrap_or_default();
            if self.world.leads(&name)
                && let Some(lost) = files::lost(&both, &now)
            {
                return Err(format!(
                    "{}: {lost:?} was on the disk, and is lost",
                    name.display()
                ));
            }
        }
        let mut lane = Lane::new("after".to_owned(), 0, 1);
        self.world.sim.pass(120_000);
        for round in 0..HEALING_ROUNDS {
            lane.act(&mut self.world, round < 20)?;
            if round >= 20 && lane.is_idle() {
                return Ok(());
            }
            self.world.sim.pass(1_000);
        }
        let leader = self.world.leader(0);
        Err(format!(
            "nothing can be produced after a power cut; partition 0 is led by {leader:?}"
        ))
    }

    fn break_something(&mut self) {
        if self.power == Power::On {
            return self.break_more(None);
        }
        let chance = self.world.rng.random_range(0..12);
        if !self.cut_something(chance) {
            self.break_more(Some(chance));
        }
    }

    fn break_more(&mut self, chance: Option<i32>) {
        let world = &mut self.world;
        let (live, stopped) = (world.sim.live(), world.sim.stopped());
        let range = if self.pipelined { 5..7 } else { 0..12 };
        let chance = chance.unwrap_or_else(|| world.rng.random_range(range));
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
        self.world.model.check(&logs[0], &logs[1])?;
        self.check_shares(&logs[0])
    }

    /// Every record is given to somebody in the end, unless it is accepted or rejected, or was given too often.
    fn check_shares(&mut self, logs: &BTreeMap<i32, Records>) -> Result<(), String> {
        let all = logs
            .iter()
            .flat_map(|(partition, records)| records.iter().map(|(offset, _)| (*partition, *offset)));
        let mut left: Vec<(i32, i64)> = all.collect();
        let mut last = ShareMember::new("share-last");
        let unseen = self.world.shares.unseen;
        for _ in 0..HEALING_ROUNDS {
            left.retain(|place| !self.world.shares.is_settled(*place));
            if left.is_empty() {
                return Ok(());
            }
            last.finish(&mut self.world)?;
            // These many more are no excuse.
            self.world.shares.unseen = unseen;
            self.world.sim.pass(1_000);
        }
        Err(format!("{left:?} are given to no member of the share group"))
    }
}

/// How many histories a test run plays without being told.
const HISTORIES: u64 = 250;

/// Plays histories of one kind; says what they were made of.
fn play_all(default: u64, power: impl Fn(u64) -> Power + Sync) -> (u64, Tally) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let from = number("HISTORIES_FROM").unwrap_or(0);
    let several = number("HISTORIES").map_or(default, |wanted| wanted * default / HISTORIES);
    let seeds = number("HISTORY").map_or(from..from + several, |seed| seed..seed + 1);
    let (next, sum) = (AtomicU64::new(seeds.start), Mutex::new(Tally::default()));
    let play = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let tally = History::new(seed, power(seed)).play().unwrap_or_else(|why| {
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
    let (count, sum) = (seeds.end - seeds.start, sum.into_inner().unwrap());
    println!("{count} histories: {sum:?}");
    (count, sum)
}

#[test]
fn a_history_is_made_from_its_seed_alone() {
    for power in [
        Power::On,
        Power::CutWhenForced,
        Power::CutOfOne,
        Power::CutAtTheEnd,
    ] {
        for seed in 0..4 {
            let [first, second] = [(); 2].map(|()| {
                let mut history = History::new(seed, power);
                let tally = history.play().unwrap();
                let sim = &history.world.sim;
                (tally, sim.requests(), sim.elapsed_ms())
            });
            assert_eq!(first, second, "{power:?}, HISTORY={seed}");
        }
    }
}

#[test]
fn what_was_acknowledged_holds_in_random_histories() {
    let (count, sum) = play_all(HISTORIES, |_| Power::On);
    // Histories in which nothing happens would prove nothing.
    let happened = sum
        .counts
        .into_iter()
        .chain([sum.shared, sum.kills, sum.cut_short, sum.stops]);
    assert!(count < 100 || happened.min() > Some(0), "{sum:?}");
}

#[test]
fn what_was_acknowledged_survives_power_cuts() {
    let (count, sum) = play_all(HISTORIES * 3 / 5, |seed| match seed % 3 {
        0 => Power::CutWhenForced,
        1 => Power::CutOfOne,
        _ => Power::CutAtTheEnd,
    });
    let happened = sum
        .counts
        .into_iter()
        .chain([sum.shared, sum.cut_short, sum.stops, sum.cuts]);
    assert!(count < 100 || happened.min() > Some(0), "{sum:?}");
}
