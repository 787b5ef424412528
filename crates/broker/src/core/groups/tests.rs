use super::*;

const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;

/// A group with a manual clock: timers are kept and fire when time is said to pass.
struct Lab {
    group: Group,
    now_ms: i64,
    timers: Vec<(i64, Timer)>,
    joined: Vec<(RequestId, Joined)>,
    synced: Vec<(RequestId, Synced)>,
    saves: usize,
}

impl Lab {
    fn new() -> Self {
        Self {
            group: Group::new("g", 0),
            now_ms: 0,
            timers: Vec::new(),
            joined: Vec::new(),
            synced: Vec::new(),
            saves: 0,
        }
    }

    fn act<T>(&mut self, act: impl FnOnce(&mut Group, i64, &mut Vec<Out>) -> T) -> T {
        let mut out = Vec::new();
        let result = act(&mut self.group, self.now_ms, &mut out);
        for wish in out {
            match wish {
                Out::Joined(to, joined) => self.joined.push((to, joined)),
                Out::Synced(to, synced) => self.synced.push((to, synced)),
                Out::Timer(at, timer) => self.timers.push((at, timer)),
                Out::Save => self.saves += 1,
            }
        }
        result
    }

    fn pass_to(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        while let Some(at) = self.timers.iter().position(|(due, _)| *due <= now_ms) {
            let (_, timer) = self.timers.remove(at);
            self.act(|group, now, out| match &timer {
                Timer::Member { member, .. } => group.member_timer(now, member, out),
                Timer::Rebalance { round, .. } => group.rebalance_timer(now, *round, out),
                Timer::Sync { generation, .. } => group.sync_timer(now, *generation, out),
                _ => {}
            });
        }
    }

    fn join(&mut self, request: RequestId, member: &str, protocols: &[&str]) {
        self.join_as(request, member, None, protocols);
    }

    fn join_as(&mut self, request: RequestId, member: &str, instance: Option<&str>, protocols: &[&str]) {
        let join = Join {
            request,
            member: if self.group.member(member).is_some() {
                member.to_owned()
            } else {
                String::new()
            },
            instance: instance.map(str::to_owned),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: REBALANCE_MS,
            protocol_type: "consumer".to_owned(),
            protocols: protocols
                .iter()
                .map(|p| ((*p).to_owned(), Bytes::from_static(b"m")))
                .collect(),
            fresh_id: member.to_owned(),
            ..Join::default()
        };
        self.act(|group, now, out| group.join(now, join, 0, out));
        self.pass_to(self.now_ms);
    }

    fn sync(&mut self, request: RequestId, member: &str, assignments: &[(&str, &'static str)]) {
        let sync = Sync {
            request,
            member: member.to_owned(),
            generation: self.group.generation,
            assignments: assignments
                .iter()
                .map(|(id, a)| ((*id).to_owned(), Bytes::from_static(a.as_bytes())))
                .collect(),
            ..Sync::default()
        };
        self.act(|group, now, out| group.sync(now, sync, out));
    }

    fn heartbeat(&mut self, member: &str) -> Option<ResponseError> {
        let generation = self.group.generation;
        self.act(|group, now, out| group.heartbeat(now, member, None, generation, out))
    }

    /// Two members, settled.
    fn pair() -> Self {
        let mut lab = Self::new();
        lab.join(1, "a", &["range"]);
        lab.sync(2, "a", &[("a", "all")]);
        lab.join(3, "b", &["range"]);
        assert_eq!(lab.heartbeat("a"), Some(ResponseError::RebalanceInProgress));
        lab.join(4, "a", &["range"]);
        lab.sync(5, "b", &[]);
        lab.sync(6, "a", &[("a", "half"), ("b", "rest")]);
        assert_eq!(lab.group.state, State::Stable);
        lab
    }
}

#[test]
fn the_first_member_leads_and_the_second_makes_a_rebalance() {
    let lab = Lab::pair();
    let (_, first) = &lab.joined[0];
    assert_eq!(
        (first.generation, first.leader.as_str(), first.members.len()),
        (1, "a", 1)
    );
    let of = |request| &lab.joined.iter().find(|(to, _)| *to == request).unwrap().1;
    assert_eq!(
        (of(3).generation, of(3).members.len()),
        (2, 0),
        "only the leader gets the members"
    );
    assert_eq!((of(4).generation, of(4).members.len()), (2, 2));
    let assignment = |request| {
        &lab.synced
            .iter()
            .find(|(to, _)| *to == request)
            .unwrap()
            .1
            .assignment
    };
    assert_eq!(&assignment(5)[..], b"rest");
    assert_eq!(&assignment(6)[..], b"half");
    assert_eq!(lab.saves, 2);
}

#[test]
fn a_silent_member_is_out_when_its_session_is_over_and_not_before() {
    let mut lab = Lab::pair();
    lab.pass_to(9_000);
    assert_eq!(lab.heartbeat("a"), None);
    lab.pass_to(9_999);
    assert_eq!(lab.group.members.len(), 2);
    lab.pass_to(10_000);
    assert_eq!(
        lab.group
            .members
            .iter()
            .map(|m| m.id.as_str())
            .collect::<Vec<_>>(),
        ["a"]
    );
    assert_eq!(lab.group.state, State::PreparingRebalance);
    lab.join(7, "a", &["range"]);
    assert_eq!(
        (lab.group.generation, lab.group.state),
        (3, State::CompletingRebalance)
    );
}

#[test]
fn who_does_not_rejoin_in_time_is_left_out() {
    let mut lab = Lab::pair();
    lab.join(7, "c", &["range"]);
    lab.join(8, "a", &["range"]);
    lab.now_ms = 9_000;
    assert_eq!(lab.heartbeat("b"), Some(ResponseError::RebalanceInProgress));
    for now_ms in (9_000..=60_000).step_by(1_000) {
        lab.pass_to(now_ms);
        if lab.group.member("b").is_some() {
            lab.heartbeat("b");
        }
    }
    assert!(lab.group.member("b").is_none());
    assert_eq!(
        (lab.group.generation, lab.group.state),
        (3, State::CompletingRebalance)
    );
}

#[test]
fn the_last_member_leaves_an_empty_group_of_the_next_generation() {
    let mut lab = Lab::new();
    lab.join(1, "a", &["range"]);
    lab.sync(2, "a", &[("a", "all")]);
    assert_eq!(lab.act(|group, now, out| group.leave(now, "a", None, out)), None);
    assert_eq!((lab.group.state, lab.group.generation), (State::Empty, 2));
    assert_eq!(
        lab.act(|group, now, out| group.leave(now, "a", None, out)),
        Some(ResponseError::UnknownMemberId)
    );
}

#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    let mut lab = Lab::new();
    lab.join_as(1, "a", Some("i"), &["range"]);
    lab.sync(2, "a", &[("a", "all")]);
    lab.join_as(3, "a2", Some("i"), &["range"]);
    assert_eq!(lab.group.state, State::Stable);
    let (_, back) = lab.joined.last().unwrap();
    assert_eq!(
        (back.generation, back.member.as_str(), back.error),
        (1, "a2", None)
    );
    let fenced = lab.act(|group, now, out| group.heartbeat(now, "a", Some("i"), 1, out));
    assert_eq!(fenced, Some(ResponseError::FencedInstanceId));
}

#[test]
fn members_without_a_common_protocol_are_refused() {
    let mut lab = Lab::new();
    lab.join(1, "a", &["range"]);
    lab.join(2, "b", &["sticky"]);
    assert_eq!(
        lab.joined.last().unwrap().1.error,
        Some(ResponseError::InconsistentGroupProtocol)
    );
}

#[test]
fn a_commit_needs_the_current_generation() {
    let mut lab = Lab::pair();
    let mut commit =
        |member: &str, generation| lab.act(|g, now, out| g.commit_error(now, member, None, generation, out));
    assert_eq!(commit("a", 2), None);
    assert_eq!(commit("a", 1), Some(ResponseError::IllegalGeneration));
    assert_eq!(commit("x", 2), Some(ResponseError::UnknownMemberId));
    assert_eq!(commit("", -1), Some(ResponseError::UnknownMemberId));
}

#[test]
fn a_client_of_kip_394_is_given_its_id_first() {
    let mut lab = Lab::new();
    let join = |request, member: &str| Join {
        request,
        member: member.to_owned(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), Bytes::new())],
        id_required: true,
        fresh_id: "fresh".to_owned(),
        ..Join::default()
    };
    lab.act(|group, now, out| group.join(now, join(1, ""), 0, out));
    assert_eq!(lab.joined[0].1.error, Some(ResponseError::MemberIdRequired));
    lab.act(|group, now, out| group.join(now, join(2, "fresh"), 0, out));
    lab.pass_to(0);
    assert_eq!((lab.joined[1].1.error, lab.group.generation), (None, 1));
}
