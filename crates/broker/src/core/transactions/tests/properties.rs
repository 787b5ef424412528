//! Any interleaving of producers: who reads committed records sees none that was aborted, and all that were committed,
//! in the order in which they were written.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, Copy)]
enum Act {
    /// A producer writes to a partition.
    Write {
        producer: usize,
        partition: i32,
    },
    End {
        producer: usize,
        commit: bool,
    },
    /// A new producer takes over the transactional id.
    Restart {
        producer: usize,
    },
    Kill,
    /// Longer than a transaction may be open.
    Wait,
    /// The leader of partition 1 goes or comes back.
    Leader,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        12 => (0..3usize, 0..2).prop_map(|(producer, partition)| Act::Write { producer, partition }),
        5 => (0..3usize, any::<bool>()).prop_map(|(producer, commit)| Act::End { producer, commit }),
        1 => (0..3usize).prop_map(|producer| Act::Restart { producer }),
        1 => Just(Act::Kill),
        1 => Just(Act::Wait),
        1 => Just(Act::Leader),
    ];
    prop::collection::vec(act, 1..60)
}

/// What a producer knows of itself. The first one speaks the first protocol, the others the second.
struct Client {
    id: String,
    first_protocol: bool,
    own: Producer,
    next_sequence: [i32; 2],
    written: Vec<(i32, String)>,
}

impl Client {
    fn start(bench: &mut Bench, index: usize) -> Self {
        let id = format!("p{index}");
        let own = (0..3).find_map(|_| bench.init(&id).ok());
        Self {
            id,
            first_protocol: index == 0,
            // Nobody while an earlier transaction can't end: it writes nothing then.
            own: own.unwrap_or(super::super::state::NOBODY),
            next_sequence: [0; 2],
            written: Vec::new(),
        }
    }

    fn write(&mut self, bench: &mut Bench, partition: i32, value: &str) {
        if self.own.id < 0 {
            return;
        }
        let version = if self.first_protocol {
            bench.add(&self.id, self.own, partition);
            11
        } else {
            12
        };
        let at = partition as usize;
        let (id, sequence) = (self.id.clone(), self.next_sequence[at]);
        let sent = bench.produce(version, Some(&id), self.own, partition, sequence, &[value]);
        if sent.is_ok() {
            self.next_sequence[at] += 1;
            self.written.push((partition, value.to_owned()));
        }
    }

    /// Says whether what was written is committed.
    fn end(&mut self, bench: &mut Bench, commit: bool) -> bool {
        if self.own.id < 0 {
            return false;
        }
        let version = if self.first_protocol { 4 } else { 5 };
        match bench.end(version, &self.id, self.own, commit) {
            Ok(next) => {
                if !self.first_protocol {
                    self.own = next;
                    self.next_sequence = [0; 2];
                }
                commit
            }
            Err(_) => false,
        }
    }
}

fn led(bench: &mut Bench) -> &mut crate::core::topics::Partition {
    &mut bench.core.topics.get_mut("t").unwrap().partitions[1]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn readers_of_committed_records_see_exactly_those(acts in acts()) {
        let mut bench = Bench::new();
        let mut clients: Vec<Client> = (0..3).map(|index| Client::start(&mut bench, index)).collect();
        let mut committed: Vec<String> = Vec::new();
        let mut log: [Vec<String>; 2] = Default::default();
        for (step, act) in acts.into_iter().enumerate() {
            match act {
                Act::Write { producer, partition } => {
                    let value = format!("{step}");
                    let before = clients[producer].written.len();
                    clients[producer].write(&mut bench, partition, &value);
                    if clients[producer].written.len() > before {
                        log[partition as usize].push(value);
                    }
                }
                Act::End { producer, commit } => {
                    let client = &mut clients[producer];
                    let ended = client.end(&mut bench, commit);
                    let written = std::mem::take(&mut client.written);
                    if ended {
                        committed.extend(written.into_iter().map(|(_, value)| value));
                    } else if !commit || bench.state(&client.id) != Some("Ongoing") {
                        // Aborted, by it or by the coordinator.
                    } else {
                        client.written = written;
                    }
                }
                Act::Restart { producer } => clients[producer] = Client::start(&mut bench, producer),
                Act::Kill => bench = bench.killed(),
                Act::Wait => bench.pass(80_000),
                Act::Leader => {
                    let partition = led(&mut bench);
                    partition.standing.leader = if partition.leader == 1 { -1 } else { 1 };
                }
            }
            for (index, written) in (0..).zip(&log) {
                let is_led = bench.core.topics.get("t").unwrap().partitions[index as usize].leader == 1;
                if is_led {
                    let seen = bench.committed(index);
                    let all: Vec<&String> = written.iter().filter(|value| committed.contains(value)).collect();
                    // What an open transaction holds back comes later, in order.
                    prop_assert!(all.iter().map(|v| v.as_str()).collect::<Vec<_>>().starts_with(
                        &seen.iter().map(String::as_str).collect::<Vec<_>>()), "{seen:?} of {all:?}");
                }
            }
        }
        led(&mut bench).standing.leader = 1;
        bench.pass(80_000);
        for (index, written) in (0..).zip(&log) {
            let all: Vec<String> = written.iter().filter(|value| committed.contains(value)).cloned().collect();
            prop_assert_eq!(bench.committed(index), all);
        }
    }
}
