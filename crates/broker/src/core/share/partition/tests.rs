use kafka_protocol::ResponseError;

use super::*;
use crate::core::Refusal;

const LOCK_MS: i64 = 30_000;
const RULES: AckRules = AckRules {
    renewed_until_ms: 50_000,
    may_renew: true,
    max_deliveries: 5,
};

fn fresh() -> State {
    State::new(2, -1, 0)
}

fn partition() -> SharePartition {
    SharePartition::load((1, 0), &fresh(), 0)
}

fn heads(spans: &[(i64, i64)]) -> Vec<Head> {
    spans
        .iter()
        .map(|(first, last)| Head {
            first: *first,
            last: *last,
        })
        .collect()
}

fn how(member: &str, max_records: i64) -> Acquire {
    Acquire {
        member: member.into(),
        record_limit: false,
        batch_size: 500,
        max_records,
        fetch_offset: 0,
        locked_until_ms: LOCK_MS,
        max_deliveries: 5,
        max_in_flight: 200,
    }
}

/// Reads on from where the partition wants, out of a log of these batches.
fn fetch(partition: &mut SharePartition, how: &Acquire, log: &[(i64, i64)]) -> Vec<(i64, i64, i16)> {
    let how = Acquire {
        fetch_offset: partition.next_fetch_offset(),
        ..how.clone()
    };
    if !partition.can_acquire(how.max_in_flight) {
        return Vec::new();
    }
    let read: Vec<(i64, i64)> = log
        .iter()
        .copied()
        .filter(|(_, last)| *last >= how.fetch_offset)
        .collect();
    let acquired = partition.acquire(&how, &heads(&read));
    acquired
        .into_iter()
        .map(|of| (of.first, of.last, of.delivery_count))
        .collect()
}

fn say(
    partition: &mut SharePartition,
    member: &str,
    first: i64,
    last: i64,
    types: &[i8],
) -> Result<bool, Refusal> {
    let ack = Ack {
        first,
        last,
        types: types.to_vec(),
    };
    let changed = partition.acknowledge(member, &[ack], &RULES)?;
    partition.advance();
    Ok(changed)
}

fn why(result: Result<bool, Refusal>) -> (ResponseError, String) {
    let refusal = result.unwrap_err();
    (refusal.error, refusal.message.unwrap())
}

#[test]
fn records_are_given_once_until_they_come_back() {
    let mut p = partition();
    let log = [(0, 4), (5, 9)];
    assert_eq!(fetch(&mut p, &how("a", 5), &log), [(0, 4, 1)]);
    assert_eq!(fetch(&mut p, &how("b", 5), &log), [(5, 9, 1)]);
    assert_eq!(fetch(&mut p, &how("c", 5), &log), []);
    say(&mut p, "b", 5, 9, &[2]).unwrap();
    assert_eq!(p.next_fetch_offset(), 5);
    assert_eq!(fetch(&mut p, &how("c", 5), &log), [(5, 9, 2)]);
}

#[test]
fn the_start_moves_past_what_is_done() {
    let mut p = partition();
    fetch(&mut p, &how("a", 10), &[(0, 4), (5, 9)]);
    say(&mut p, "a", 5, 9, &[1]).unwrap();
    assert_eq!((p.start(), p.complete()), (0, 5));
    say(&mut p, "a", 0, 2, &[1]).unwrap();
    assert_eq!(p.start(), 3);
    say(&mut p, "a", 3, 4, &[3]).unwrap();
    assert_eq!((p.start(), p.complete(), p.next_fetch_offset()), (10, 0, 10));
    assert!(p.batches.is_empty());
}

#[test]
fn each_record_can_have_its_own_word() {
    let mut p = partition();
    fetch(&mut p, &how("a", 10), &[(0, 4)]);
    say(&mut p, "a", 0, 4, &[1, 0, 2, 3, 2]).unwrap();
    assert_eq!(p.start(), 2);
    assert_eq!(fetch(&mut p, &how("b", 10), &[(0, 4)]), [(2, 2, 2), (4, 4, 2)]);
}

/// A history with a power cut found this: what was taken before ran beyond the smaller part, which then ended before it began.
#[test]
fn a_record_that_came_back_often_is_left_for_the_next_when_others_were_taken_before_it() {
    let mut p = partition();
    let log = [(0, 3)];
    assert_eq!(fetch(&mut p, &how("a", 10), &log), [(0, 3, 1)]);
    say(&mut p, "a", 0, 1, &[2]).unwrap();
    assert_eq!(fetch(&mut p, &how("b", 10), &log), [(0, 1, 2)]);
    for count in 2..=3 {
        say(&mut p, "a", 2, 3, &[2]).unwrap();
        assert_eq!(fetch(&mut p, &how("a", 10), &log), [(2, 3, count)]);
    }
    say(&mut p, "a", 2, 3, &[2]).unwrap();
    say(&mut p, "b", 0, 1, &[2]).unwrap();
    assert_eq!(fetch(&mut p, &how("c", 10), &log), [(0, 1, 3)]);
}

#[test]
fn only_who_has_a_record_may_speak_of_it() {
    let mut p = partition();
    fetch(&mut p, &how("a", 10), &[(0, 4)]);
    let not_found = "Batch record not found. The";
    let (error, message) = why(say(&mut p, "b", 0, 4, &[1]));
    assert_eq!(error, ResponseError::InvalidRecordState);
    assert_eq!(message, "Member is not the owner of batch record");
    let (error, message) = why(say(&mut p, "a", 0, 9, &[1]));
    assert_eq!(error, ResponseError::InvalidRequest);
    assert_eq!(
        message,
        format!("{not_found} last offset in request is past acquired records.")
    );
    let (error, message) = why(say(&mut p, "a", 7, 9, &[1]));
    assert_eq!(error, ResponseError::InvalidRequest);
    assert_eq!(
        message,
        format!("{not_found} first offset in request is past acquired records.")
    );
    say(&mut p, "a", 1, 2, &[1]).unwrap();
    let (error, message) = why(say(&mut p, "a", 1, 1, &[1]));
    assert_eq!(error, ResponseError::InvalidRecordState);
    assert_eq!(
        message,
        "The offset cannot be acknowledged. The offset is not acquired."
    );
    let mut empty = partition();
    let (error, message) = why(say(&mut empty, "a", 0, 0, &[1]));
    assert_eq!(error, ResponseError::InvalidRecordState);
    assert_eq!(
        message,
        format!("{not_found} request batch offsets are not found in the cache.")
    );
    assert!(say(&mut p, "a", 3, 3, &[9]).is_err());
}

#[test]
fn what_is_delivered_too_often_is_archived() {
    let mut p = partition();
    let log = [(0, 0)];
    for delivery in 1..=5 {
        assert_eq!(fetch(&mut p, &how("a", 10), &log), [(0, 0, delivery)]);
        say(&mut p, "a", 0, 0, &[2]).unwrap();
    }
    assert_eq!(p.start(), 1);
    assert_eq!(fetch(&mut p, &how("a", 10), &log), []);
}

#[test]
fn a_record_that_fails_again_and_again_comes_in_ever_smaller_company() {
    let mut p = partition();
    let log = [(0, 7)];
    let mut sizes = Vec::new();
    for _ in 0..5 {
        let got = fetch(&mut p, &how("a", 100), &log);
        sizes.push(got.iter().map(|(first, last, _)| last - first + 1).sum::<i64>());
        let last = got.last().unwrap().1;
        say(&mut p, "a", got[0].0, last, &[2]).unwrap();
    }
    assert_eq!(sizes, [8, 8, 8, 4, 1]);
}

#[test]
fn a_lock_ends_with_its_time_and_can_be_renewed() {
    let mut p = partition();
    let log = [(0, 4)];
    fetch(&mut p, &how("a", 10), &log);
    assert_eq!(p.next_lock_ms(), Some(LOCK_MS));
    assert!(!p.end_locks(LOCK_MS - 1, 5));
    assert!(
        !say(&mut p, "a", 0, 4, &[4]).unwrap(),
        "nothing of it must survive"
    );
    assert!(!p.end_locks(LOCK_MS, 5));
    assert!(p.end_locks(50_000, 5));
    assert_eq!(fetch(&mut p, &how("b", 10), &log), [(0, 4, 2)]);
    let forbidden = AckRules {
        may_renew: false,
        ..RULES
    };
    let ack = [Ack {
        first: 0,
        last: 4,
        types: vec![4],
    }];
    let (error, message) = why(p.acknowledge("b", &ack, &forbidden));
    assert_eq!(error, ResponseError::InvalidRecordState);
    assert_eq!(
        message,
        "Renewing acquisition locks is not enabled for the group."
    );
}

#[test]
fn a_session_that_ends_gives_back_what_it_has() {
    let mut p = partition();
    let log = [(0, 4), (5, 9)];
    fetch(&mut p, &how("a", 5), &log);
    fetch(&mut p, &how("b", 5), &log);
    assert!(p.release("a", 5));
    assert!(!p.release("a", 5));
    assert_eq!(fetch(&mut p, &how("c", 100), &log), [(0, 4, 2)]);
    assert!(p.release("c", 2), "it was the last time");
    assert_eq!(fetch(&mut p, &how("c", 100), &log), []);
}

#[test]
fn so_many_records_are_in_flight_and_no_more() {
    let mut p = partition();
    let log = [(0, 149), (150, 299)];
    let wide = how("a", 1000);
    assert_eq!(fetch(&mut p, &wide, &log[..1]), [(0, 149, 1)]);
    // A batch is not cut: there may be some more.
    assert_eq!(fetch(&mut p, &wide, &log), [(150, 299, 1)]);
    assert!(!p.can_acquire(200));
    say(&mut p, "a", 20, 20, &[2]).unwrap();
    assert!(p.can_acquire(200), "what comes back has its place");
    assert_eq!(fetch(&mut p, &wide, &log), [(20, 20, 2)]);
}

#[test]
fn acquired_records_come_in_batches_of_the_wanted_size() {
    let mut p = partition();
    let small = Acquire {
        batch_size: 4,
        ..how("a", 100)
    };
    let log = [(0, 2), (3, 5), (6, 8), (9, 9)];
    assert_eq!(fetch(&mut p, &small, &log), [(0, 5, 1), (6, 9, 1)]);
}

#[test]
fn with_a_limit_of_records_a_batch_is_cut() {
    let mut p = partition();
    let exact = Acquire {
        record_limit: true,
        ..how("a", 3)
    };
    let log = [(0, 9)];
    assert_eq!(fetch(&mut p, &exact, &log), [(0, 2, 1)]);
    assert_eq!(p.next_fetch_offset(), 3);
    assert_eq!(fetch(&mut p, &exact, &log), [(3, 5, 1)]);
}

/// A history with share consumers found this: accepted records were given again.
#[test]
fn what_is_done_of_a_batch_is_not_given_with_the_rest() {
    let mut p = partition();
    let exact = |member| Acquire {
        record_limit: true,
        ..how(member, 1)
    };
    let log = [(0, 2), (3, 5)];
    for offset in 0..2 {
        assert_eq!(fetch(&mut p, &exact("a"), &log), [(offset, offset, 1)]);
        say(&mut p, "a", offset, offset, &[1]).unwrap();
    }
    // Another leader goes on in the middle of the batch.
    let state = p.save(&fresh(), 0);
    let mut next = SharePartition::load((2, 1), &state, state.start_offset);
    assert_eq!(next.start(), 2);
    for offset in 2..6 {
        let got = fetch(&mut next, &exact("b"), &log);
        assert_eq!(got, [(offset, offset, 1)]);
        say(&mut next, "b", offset, offset, &[1]).unwrap();
    }
}

#[test]
fn what_the_log_no_longer_has_is_passed_over() {
    let mut p = partition();
    fetch(&mut p, &how("a", 10), &[(0, 4), (5, 9)]);
    say(&mut p, "a", 0, 9, &[2]).unwrap();
    p.move_start(7);
    assert_eq!((p.start(), p.next_fetch_offset()), (7, 7));
    p.move_start(20);
    assert_eq!((p.start(), p.next_fetch_offset()), (20, 20));
    // Compaction has taken a whole batch.
    let mut p = partition();
    fetch(&mut p, &how("a", 4), &[(0, 4)]);
    fetch(&mut p, &how("a", 4), &[(5, 9)]);
    say(&mut p, "a", 0, 4, &[2]).unwrap();
    say(&mut p, "a", 5, 9, &[2]).unwrap();
    assert_eq!(fetch(&mut p, &how("a", 10), &[(5, 9)]), [(5, 9, 2)]);
    say(&mut p, "a", 5, 9, &[1]).unwrap();
    assert_eq!(p.start(), 10);
}

#[test]
fn what_is_done_does_not_come_back_when_the_start_is_amid_a_batch_of_the_log() {
    let mut p = partition();
    let log = [(0, 5)];
    fetch(&mut p, &how("a", 100), &log);
    say(&mut p, "a", 0, 2, &[1]).unwrap();
    let state = p.save(&fresh(), 7);
    let mut next = SharePartition::load((2, 1), &state, state.start_offset);
    assert_eq!(fetch(&mut next, &how("b", 100), &log), [(3, 5, 1)]);
    say(&mut next, "b", 3, 3, &[1]).unwrap();
    say(&mut next, "b", 4, 5, &[2]).unwrap();
    assert_eq!(fetch(&mut next, &how("b", 100), &log), [(4, 5, 2)]);
}

#[test]
fn aborted_records_are_given_to_nobody() {
    let mut p = partition();
    let acquired = p.acquire(&how("a", 100), &heads(&[(0, 2), (3, 5), (6, 8)]));
    let left = p.drop_aborted(acquired, &heads(&[(3, 5)]));
    let left: Vec<(i64, i64)> = left.iter().map(|of| (of.first, of.last)).collect();
    assert_eq!(left, [(0, 2), (6, 8)]);
    say(&mut p, "a", 0, 2, &[1]).unwrap();
    assert_eq!(p.start(), 6);
}

#[test]
fn what_is_saved_is_where_another_leader_goes_on() {
    let mut p = partition();
    let log = [(0, 4), (5, 9), (10, 14)];
    fetch(&mut p, &how("a", 100), &log);
    say(&mut p, "a", 5, 9, &[1]).unwrap();
    say(&mut p, "a", 10, 10, &[2]).unwrap();
    let state = p.save(&fresh(), 7);
    assert_eq!((state.start_offset, state.complete, state.written_ms), (0, 5, 7));
    let mut next = SharePartition::load((2, 1), &state, 0);
    assert_eq!((next.start(), next.next_fetch_offset()), (0, 0));
    // What was acquired is given anew, what was released for the second time.
    let got = fetch(&mut next, &how("b", 100), &log);
    assert_eq!(got, [(0, 4, 1), (10, 10, 2), (11, 14, 1)]);
    let again = next.save(&state, 8);
    assert_eq!((again.snapshot_epoch, again.leader_epoch), (2, 1));
    assert_eq!(again.batches, state.batches);
}
