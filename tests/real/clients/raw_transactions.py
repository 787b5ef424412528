#!/usr/bin/env python3
"""Facts about producers and transactions as the bytes on the wire tell them. usage: raw_transactions.py BOOTSTRAP PREFIX

Producer ids are told by the order in which they first come up: P1, P2 …; errors are the protocol's numbers.
"""

import struct
import time

from facts import Facts, until
from wirecodec import Connection, batch, family, headers

PARTITIONS = "topics [name:s partitions [i32]]"
RESULTS = "topics [name:s partitions [index:i32 error:i16]]"
OWN = "pid:i64 epoch:i16"

# The transaction before is being ended still.
CONCURRENT = 51


family("Init", 22, {0: False, 1: False, 2: True, 3: True, 4: True, 5: True}, ["id:ns timeout:i32", (3, OWN)], ["throttle:i32 error:i16", OWN])
family("Add", 24, {0: False, 1: False, 2: False, 3: True}, ["id:s", OWN, PARTITIONS], ["throttle:i32", RESULTS])
family("Add", 24, {4: True, 5: True}, [f"transactions [id:s {OWN} verify:bool {PARTITIONS}]"], [f"throttle:i32 error:i16 results [id:s {RESULTS}]"])
family("AddOffsets", 25, {0: False, 1: False, 2: False, 3: True, 4: True}, ["id:s", OWN, "group:s"], ["throttle:i32 error:i16"])
family("End", 26, {0: False, 1: False, 2: False, 3: True, 4: True, 5: True}, ["id:s", OWN, "commit:bool"], ["throttle:i32 error:i16", (5, OWN)])
family("Markers", 27, {1: True}, [f"markers [{OWN} commit:bool {PARTITIONS} coordinator:i32]"], [f"markers [pid:i64 {RESULTS}]"])
family("CommitOffsets", 28, {0: False, 1: False}, ["id:s group:s", OWN, "topics [name:s partitions [index:i32 offset:i64 metadata:ns]]"], ["throttle:i32", RESULTS])
family("CommitOffsets", 28, {2: False}, ["id:s group:s", OWN, "topics [name:s partitions [index:i32 offset:i64 leader_epoch:i32 metadata:ns]]"],
       ["throttle:i32", RESULTS])
family("CommitOffsets", 28, {3: True, 4: True, 5: True}, ["id:s group:s", OWN, "generation:i32 member:s instance:ns "
       "topics [name:s partitions [index:i32 offset:i64 leader_epoch:i32 metadata:ns]]"], ["throttle:i32", RESULTS])
family("Producers", 61, {0: True}, [PARTITIONS], ["throttle:i32 topics [name:s partitions [index:i32 error:i16 message:ns "
       "producers [pid:i64 epoch:i32 sequence:i32 time:i64 coordinator:i32 start:i64]]]"])
family("Describe", 65, {0: True}, ["ids [s]"], ["throttle:i32 states [error:i16 id:s state:s timeout:i32 start:i64", OWN, PARTITIONS + "]"])
family("List", 66, {0: True, 1: True, 2: True}, ["states [s] pids [i64]", (1, "duration:i64"), (2, "pattern:ns")],
       ["throttle:i32 error:i16 unknown [s] states [id:s pid:i64 state:s]"])
family("FindOne", 10, {1: False, 3: True}, ["key:s kind:i8"], ["throttle:i32 error:i16 message:ns node:i32 host:s port:i32"])
family("Committed", 9, {7: True}, ["group:s", PARTITIONS, "stable:bool"],
       ["throttle:i32 topics [name:s partitions [index:i32 offset:i64 leader_epoch:i32 metadata:ns error:i16]] error:i16"])
# From version 10 on a refusal may come with the leader in tags; version 13 names the topic by its id.
family("Produce", 0, {10: True, 11: True, 12: True}, ["txn:ns acks:i16 timeout:i32 topics [name:s partitions [index:i32 records:nb]]"],
       ["topics [name:s partitions [index:i32 error:i16 base:i64 time:i64 start:i64 record_errors [at:i32 message:ns] message:ns]] throttle:i32"])

TRANSACTIONAL, CONTROL = 16, 32
COMMIT, ABORT = True, False
NOBODY = (-1, -1)


class Transactions(Facts):
    def __init__(self):
        super().__init__()
        self.connection = Connection(self.bootstrap)
        self.known = {}

    def __call__(self, name, *values):
        try:
            return self.connection.ask(name, *values)
        except (ConnectionError, TimeoutError) as error:
            self.connection.close()
            self.connection = Connection(self.bootstrap)
            return {"error": "no answer" if isinstance(error, TimeoutError) else "closed", "topics": [], "states": [], "results": []}

    def who(self, pid):
        return pid if pid < 0 else self.known.setdefault(pid, f"P{len(self.known) + 1}")

    def topic(self, name, partitions=1, **configs):
        configs = [[k.replace("_", "."), v] for k, v in configs.items()]
        said = self("CreateTopics", [[self.name(name), partitions, 1, [], configs]], 10_000, False)["topics"][0]
        assert said["error"] == 0, said
        # Kafka answers before the broker knows of it.
        until(lambda: all(self.offset(name, index=index) == [0, 0] for index in range(partitions)))

    # Answers, short.
    def init(self, id, timeout=60_000, own=NOBODY, version=5):
        """[error, producer, epoch] and the producer to go on with."""
        said = self(f"Init{version}", None if id is None else self.name(id) if id else "", timeout, *(own if version >= 3 else ()))
        return [said["error"], self.who(said["pid"]), said["epoch"]], (said["pid"], said["epoch"])

    def start(self, id, **rest):
        """A producer that may write: asks again while an earlier transaction of the id is ending."""
        return until(lambda: self.init(id, **rest), lambda said: said[0][0] != 51)[1]

    def send(self, own, sequence, values=("v",), id=None, topic="t", index=0, version=12, acks=-1, attributes=None):
        """[error, base offset, message]"""
        attributes = (TRANSACTIONAL if id else 0) if attributes is None else attributes
        data = batch([(None, v.encode()) for v in values], time=self.now(), attributes=attributes, producer=(*own, sequence))
        said = self(f"Produce{version}", id and self.name(id), acks, 10_000, [[self.name(topic), [[index, data]]]])
        if "topics" not in said or not said["topics"]:
            return said["error"]
        p = said["topics"][0]["partitions"][0]
        return [p["error"], p["base"], p["message"]]

    @staticmethod
    def now():
        return int(time.time() * 1000) - 1000

    def add(self, id, own, *partitions, version=3, topic="t"):
        said = self(f"Add{version}", self.name(id) if id else "", *own, [[self.name(topic), list(partitions)]])
        return sorted([p["index"], p["error"]] for t in said["topics"] for p in t["partitions"]) or said.get("error")

    def ask_many(self, *asked, version=5):
        """Transactions as brokers ask for them: (id, own, only verify, partitions)."""
        said = self(f"Add{version}", [[self.name(id), *own, verify, [[self.name("t"), list(parts)]]] for id, own, verify, parts in asked])
        results = [[r["id"], sorted([p["index"], p["error"]] for t in r["topics"] for p in t["partitions"])] for r in said["results"]]
        return [said["error"], sorted(results)]

    def end(self, id, own, commit, version=5):
        """[error, producer, epoch] and the producer to go on with."""
        said = self(f"End{version}", self.name(id) if id else "", *own, commit)
        if version < 5:
            return [said["error"]], own
        return [said["error"], self.who(said["pid"]), said["epoch"]], (said["pid"], said["epoch"])

    def fetch(self, topic="t", offset=0, isolation=1, index=0, size=10_000_000, wait=0):
        said = self("Fetch", -1, wait, 1, size, isolation, 0, -1, [[self.name(topic), [[index, -1, offset, -1, size]]]], [], "")
        return said["topics"][0]["partitions"][0]

    def read(self, topic="t", offset=0, isolation=1, index=0, **rest):
        p = self.fetch(topic, offset, isolation, index, **rest)
        aborted = None if p["aborted"] is None else [[self.who(a["producer"]), a["first"]] for a in p["aborted"]]
        return {"error": p["error"], "high": p["high"], "stable": p["stable"], "aborted": aborted,
                "batches": [[h["base"], h["count"], h["producer"], h["transactional"], h["control"]] for h in headers(p["records"] or b"")]}

    def settled(self, topic="t", index=0):
        """Waits until no transaction is open in a partition: markers are written after the answer."""
        return until(lambda: self.fetch(topic, 0, 0, index), lambda p: p["stable"] == p["high"])["stable"]

    def offset(self, topic="t", isolation=0, time=-1, index=0):
        p = self("ListOffsets", -1, isolation, [[self.name(topic), [[index, -1, time]]]])["topics"][0]["partitions"][0]
        return [p["error"], p["offset"]]

    def state(self, *ids):
        said = self("Describe0", [self.name(id) if id else "" for id in ids])["states"]
        return [[s["error"], s["id"], s["state"], s["timeout"], min(s["start"], 1), s["error"] or self.who(s["pid"]), s["epoch"],
                 sorted([t["name"], sorted(t["partitions"])] for t in s["topics"])] for s in said]

    def until_state(self, id, *names):
        return until(lambda: self.state(id)[0], lambda s: s[2] in names)[2]

    def listed(self, states=(), pids=(), duration=-1, pattern=None, version=2):
        extra = ([duration] if version >= 1 else []) + ([pattern] if version >= 2 else [])
        said = self(f"List{version}", list(states), list(pids), *extra)
        if "unknown" not in said:
            return said["error"]
        own = sorted([s["id"], self.who(s["pid"]), s["state"]] for s in said["states"] if s["id"].startswith(self.prefix))
        return [said["error"], sorted(said["unknown"]), own]

    def producers(self, topic="t", *indexes, name=None):
        said = self("Producers0", [[name if name is not None else self.name(topic), list(indexes or [0])]])["topics"]
        return [[p["index"], p["error"], p["message"], sorted([self.who(s["pid"]), s["epoch"], s["sequence"], s["coordinator"], s["start"]]
                                                               for s in p["producers"])] for t in said for p in t["partitions"]]

    def commit_offsets(self, id, own, offset, group="g", version=5, generation=-1, member="", instance=None, topic="t", index=0, metadata=""):
        partition = [index, offset, *([-1] if version >= 2 else []), metadata]
        member = [generation, member, instance] if version >= 3 else []
        said = self(f"CommitOffsets{version}", self.name(id), self.name(group) if group else "", *own, *member, [[self.name(topic), [partition]]])
        return [[p["index"], p["error"]] for t in said["topics"] for p in t["partitions"]] or said.get("error")

    def committed(self, group="g", stable=False, topic="t"):
        said = self("Committed7", self.name(group), [[self.name(topic), [0]]], stable)
        return [said["error"], [[p["offset"], p["leader_epoch"], p["metadata"], p["error"]] for t in said["topics"] for p in t["partitions"]]]

    def markers(self, own, commit, topic="t", index=0, coordinator=0):
        said = self("Markers1", [[*own, commit, [[self.name(topic), [index]]], coordinator]])
        return [[self.who(m["pid"]), [[p["index"], p["error"]] for t in m["topics"] for p in t["partitions"]]] for m in said["markers"]]


def idempotence(f):
    f.topic("once")
    said, own = f.init(None)
    f.say("id for an idempotent producer", said)
    for version in range(5):
        f.say(f"id in version {version}", f.init(None, version=version)[0])
    f.ask("id with an id and no epoch", lambda: f.init(None, own=(own[0], -1))[0])
    f.ask("id with an epoch and no id", lambda: f.init(None, own=(-1, 3))[0])
    f.ask("id with an id and an epoch", lambda: [f.init(None, own=own)[0][k] for k in (0, 2)])

    def send(sequence, *values, own=own, **rest):
        return f.send(own, sequence, values or ("v",), topic="once", **rest)
    f.ask("sequence first", lambda: send(0, "a", "b"))
    f.ask("sequence next", lambda: send(2))
    f.ask("sequence again", lambda: send(2))
    f.ask("sequence of the first again", lambda: send(0, "a", "b"))
    f.ask("sequence again, another length", lambda: send(0, "a"))
    f.ask("sequence gap", lambda: send(4))
    f.ask("sequence back", lambda: send(1))
    for n in range(3, 8):
        f.ask(f"sequence {n}", lambda n=n: send(n))
    f.ask("sequence five back", lambda: send(3))
    f.ask("sequence six back", lambda: send(2))
    f.ask("sequence gap, version 10", lambda: send(99, version=10))
    f.ask("sequence negative", lambda: send(-1))
    f.ask("sequence gap with acks=1", lambda: send(99, acks=1))
    newer = (own[0], own[1] + 1)
    f.ask("new epoch not from 0", lambda: send(5, own=newer))
    f.ask("new epoch from 0", lambda: send(0, own=newer))
    f.ask("old epoch", lambda: send(8))
    f.ask("old epoch again", lambda: send(7))
    _, other = f.init(None)
    f.ask("unknown producer not from 0", lambda: send(7, own=other))
    f.ask("unknown producer next", lambda: send(8, own=other))
    _, wrap = f.init(None)
    f.ask("sequence at the end", lambda: send(2**31 - 2, "y", "z", own=wrap))
    f.ask("sequence wraps to 0", lambda: send(0, own=wrap))
    _, within = f.init(None)
    f.ask("sequence close to the end", lambda: send(2**31 - 1, "a", "b", "c", own=within))
    f.ask("sequence wraps within a batch", lambda: send(2, own=within))
    f.ask("sequence wrapped, again", lambda: send(2**31 - 1, "a", "b", "c", own=within))
    f.ask("an id that nobody has given", lambda: send(0, own=(987_654_321, 0)))
    f.ask("producers of the partition", lambda: f.producers("once"))
    f.ask("producers of an unknown topic", lambda: f.producers("ghost"))
    f.ask("producers of an unknown partition", lambda: f.producers("once", 0, 9))
    f.ask("producers of a bad name", lambda: f.producers(name="a/b"))
    f.ask("transactional batch without an id", lambda: send(0, own=other, attributes=TRANSACTIONAL))
    f.ask("control batch", lambda: send(9, own=other, attributes=CONTROL))


def coordinator(f):
    # The first question makes the topic; Kafka needs a while for it.
    until(lambda: f("Find4", 1, ["a"])["found"][0]["error"], lambda error: error == 0)
    said = f("Find4", 1, [f.name("a"), f.name("b")])["found"]
    f.say("coordinator", [[c["key"], c["node"], c["error"], c["message"]] for c in said])
    for version in (1, 3):
        f.ask(f"coordinator, version {version}", lambda version=version: [f(f"FindOne{version}", f.name("a"), 1)[k] for k in ("node", "error", "message")])
    f.ask("coordinator of nobody", lambda: [[c["key"], c["node"], c["error"]] for c in f("Find4", 1, [""])["found"]])
    f.ask("coordinator of a kind that is none", lambda: f("Find4", 7, ["a"]).get("error", [[c["error"] for c in f("Find4", 7, ["a"])["found"]]]))
    until(lambda: f.init("warm")[0], lambda said: said[0] == 0)
    f.ask("topic of transactions", lambda: sorted([c["name"], c["value"]] for c in f("DescribeConfigs", [[2, "__transaction_state", [
        "cleanup.policy", "compression.type", "min.insync.replicas", "segment.bytes", "unclean.leader.election.enable"]]], False, False)["results"][0]["configs"]))


def starts(f):
    for version in range(6):
        f.say(f"start in version {version}", f.init(f"v{version}", version=version)[0])
    said, own = f.init("start")
    f.say("start", said)
    f.ask("start again", lambda: f.init("start")[0])
    f.ask("start of nobody", lambda: f.init("")[0])
    for timeout in (0, -1, 1, 900_000, 900_001, 2**31 - 1):
        f.ask(f"start with {timeout} ms", lambda timeout=timeout: f.init("timeouts", timeout)[0])
    f.ask("start as the one fenced", lambda: f.init("start", own=own)[0])
    f.ask("start as the one fenced, version 3", lambda: f.init("start", own=own, version=3)[0])
    now = (own[0], own[1] + 1)
    f.ask("start as oneself", lambda: f.init("start", own=now)[0])
    f.ask("start as oneself, the retry", lambda: f.init("start", own=now)[0])
    f.ask("start as somebody else", lambda: f.init("start", own=(own[0] + 500, 2))[0])
    f.ask("start with an epoch to come", lambda: f.init("start", own=(own[0], 9))[0])
    f.ask("start with an id and no epoch", lambda: f.init("start", own=(own[0], -1))[0])
    f.ask("start of a new id as somebody", lambda: f.init("fresh", own=(own[0], 7))[0])
    f.ask("state of one started", lambda: f.state("start"))
    f.ask("state of an unknown one", lambda: f.state("ghost"))
    f.ask("state of nobody", lambda: f.state(""))


def first_protocol(f):
    """Clients that add partitions themselves, and keep their epoch."""
    f.topic("t", 3)
    own = f.start("one")
    f.ask("v1 add before a topic is there", lambda: f.add("one", own, 0, topic="ghost"))
    f.ask("v1 add unknown and known", lambda: f.add("one", own, 0, 9))
    f.ask("v1 state before", lambda: f.state("one"))
    f.ask("v1 end of nothing", lambda: f.end("one", own, COMMIT, 4)[0])
    f.ask("v1 abort of nothing", lambda: f.end("one", own, ABORT, 4)[0])
    f.ask("v1 send before add, version 11", lambda: f.send(own, 0, id="one", version=11))
    f.ask("v1 send before add, version 10", lambda: f.send(own, 0, id="one", version=10))
    for version in range(4):
        f.ask(f"v1 add, version {version}", lambda version=version: f.add("one", own, 0, version=version))
    f.ask("v1 send", lambda: f.send(own, 0, ("a", "b"), "one", version=11))
    f.ask("v1 send next, version 10", lambda: f.send(own, 2, ("c",), "one", version=10))
    f.ask("v1 send again", lambda: f.send(own, 2, ("c",), "one", version=11))
    f.ask("v1 send gap", lambda: f.send(own, 9, ("c",), "one", version=11))
    f.ask("v1 send to a partition that was not added", lambda: f.send(own, 0, ("c",), "one", index=1, version=11))
    f.ask("v1 send without a transaction", lambda: f.send(own, 3, ("c",), version=11))
    f.ask("v1 state", lambda: f.state("one"))
    f.ask("v1 read committed", lambda: f.read())
    f.ask("v1 read uncommitted", lambda: f.read(isolation=0))
    f.ask("v1 end offsets", lambda: [f.offset(isolation=0), f.offset(isolation=1)])
    f.ask("v1 offset by time", lambda: [f.offset(isolation=i, time=1) for i in (0, 1)])
    f.ask("v1 offset of the largest time", lambda: [f.offset(isolation=i, time=-3) for i in (0, 1)])
    f.ask("v1 producers", lambda: f.producers("t", 0, 1))
    f.ask("v1 end by a stranger", lambda: f.end("one", (own[0] + 500, 0), COMMIT, 4)[0])
    f.ask("v1 end of an unknown id", lambda: f.end("ghost", own, COMMIT, 4)[0])
    f.ask("v1 end of nobody", lambda: f.end("", own, COMMIT, 4)[0])
    for version in (0, 1, 2, 4):
        f.ask(f"v1 end with another epoch, version {version}", lambda version=version: f.end("one", (own[0], own[1] + 1), COMMIT, version)[0])
    f.ask("v1 commit", lambda: f.end("one", own, COMMIT, 3)[0])
    f.ask("v1 state after", lambda: f.until_state("one", "CompleteCommit"))
    f.ask("v1 stable", lambda: f.settled())
    f.ask("v1 commit again", lambda: f.end("one", own, COMMIT, 4)[0])
    f.ask("v1 abort after commit", lambda: f.end("one", own, ABORT, 4)[0])
    f.ask("v1 read after", lambda: f.read())
    f.ask("v1 producers after", lambda: f.producers())
    f.ask("v1 send after", lambda: f.send(own, 3, id="one", version=11))
    f.ask("v1 add next", lambda: f.add("one", own, 0, 1))
    f.ask("v1 send next", lambda: [f.send(own, 3, ("x",), "one", version=11), f.send(own, 0, ("x",), "one", index=1, version=11)])
    f.ask("v1 abort", lambda: f.end("one", own, ABORT, 4)[0])
    f.ask("v1 state after abort", lambda: f.until_state("one", "CompleteAbort"))
    f.ask("v1 stable after abort", lambda: [f.settled(), f.settled(index=1)])
    f.ask("v1 abort again", lambda: f.end("one", own, ABORT, 4)[0])
    f.ask("v1 commit after abort", lambda: f.end("one", own, COMMIT, 4)[0])
    f.ask("v1 read after abort", lambda: [f.read(), f.read(index=1)])
    f.ask("v1 read from the aborted one", lambda: f.read(offset=4))
    f.ask("v1 read from its marker", lambda: f.read(offset=5))
    # What librdkafka does after an abort with records that it was to send again: the new one is lost, whoever the broker is.
    f.ask("v1 add after an abort", lambda: f.add("one", own, 0))
    f.ask("v1 send another record with the sequence of an aborted one", lambda: f.send(own, 3, ("y",), "one", version=11))
    f.ask("v1 abort once more", lambda: f.end("one", own, ABORT, 4)[0])
    f.ask("v1 state after it", lambda: f.until_state("one", "CompleteAbort"))
    f.ask("v1 stable after it", lambda: f.settled())
    f.ask("v1 read after it", lambda: f.read(isolation=0))
    f.ask("v1 offset by time after", lambda: [f.offset(isolation=i, time=1) for i in (0, 1)])
    f.ask("v1 offset of the largest time after", lambda: [f.offset(isolation=i, time=-3) for i in (0, 1)])
    f.ask("v1 add of a stranger", lambda: f.add("one", (own[0] + 500, 0), 0))
    for version in (1, 2):
        f.ask(f"v1 add with another epoch, version {version}", lambda version=version: f.add("one", (own[0], 9), 0, version=version))
    f.ask("v1 add of an unknown id", lambda: f.add("ghost", own, 0))
    f.ask("v1 add of nobody", lambda: f.add("", own, 0))
    f.ask("v1 end by the second protocol", lambda: f.end("one", own, ABORT, 5)[0])


def second_protocol(f):
    """KIP-890: partitions are added by sending to them, each transaction has an epoch of its own."""
    f.topic("two", 3)
    own = f.start("two")

    def send(own, sequence, *values, **rest):
        return f.send(own, sequence, values or ("v",), "two", topic="two", **rest)
    f.ask("v2 commit of nothing", lambda: f.end("two", own, COMMIT)[0])
    said, own = f.end("two", own, ABORT)
    f.say("v2 abort of nothing", said)
    f.ask("v2 state after", lambda: f.until_state("two", "CompleteAbort"))
    f.ask("v2 send not from 0", lambda: send(own, 3))
    f.ask("v2 send", lambda: send(own, 0, "a"))
    f.ask("v2 send next", lambda: send(own, 1, "b"))
    f.ask("v2 send to another partition", lambda: send(own, 0, "c", index=1))
    f.ask("v2 state", lambda: f.state("two"))
    f.ask("v2 send to an unknown partition", lambda: send(own, 0, "c", index=9))
    f.ask("v2 send as a stranger", lambda: send((own[0] + 500, 0), 0, index=2))
    f.ask("v2 send with an epoch to come", lambda: send((own[0], own[1] + 5), 0, index=2))
    f.ask("v2 send with an old epoch", lambda: send((own[0], own[1] - 1), 0, index=2))
    f.ask("v2 send with an old epoch to the same partition", lambda: send((own[0], own[1] - 1), 0))
    f.ask("v2 send of an unknown id", lambda: f.send(own, 0, id="ghost", topic="two", index=2))
    f.ask("v2 end with an old epoch", lambda: f.end("two", (own[0], own[1] - 1), COMMIT)[0])
    before = own
    said, own = f.end("two", own, COMMIT)
    f.say("v2 commit", said)
    f.ask("v2 state after commit", lambda: f.until_state("two", "CompleteCommit"))
    f.ask("v2 stable", lambda: [f.settled("two"), f.settled("two", 1)])
    f.ask("v2 commit, the retry", lambda: f.end("two", before, COMMIT)[0])
    f.ask("v2 abort, as a retry of the commit", lambda: f.end("two", before, ABORT)[0])
    f.ask("v2 commit again", lambda: f.end("two", own, COMMIT)[0])
    f.ask("v2 end with an epoch to come", lambda: f.end("two", (own[0], own[1] + 1), ABORT)[0])
    f.ask("v2 end as a stranger", lambda: f.end("two", (own[0] + 500, own[1]), ABORT)[0])
    f.ask("v2 send of the last transaction", lambda: send(before, 2, "late"))
    f.ask("v2 send with the last transaction's sequence", lambda: send(own, 2, "late"))
    f.ask("v2 read", lambda: f.read("two"))
    f.ask("v2 producers", lambda: f.producers("two"))
    f.ask("v2 send of the next transaction", lambda: send(own, 0, "d", "e"))
    said, own = f.end("two", own, ABORT)
    f.say("v2 abort", said)
    f.ask("v2 stable after abort", lambda: f.settled("two"))
    f.ask("v2 read after abort", lambda: f.read("two"))
    f.ask("v2 start as oneself", lambda: f.init("two", own=own)[0])
    f.ask("v2 start", lambda: f.init("two")[0])
    own = f.start("two")
    f.ask("v2 send by version 11", lambda: send(own, 0, version=11))
    f.ask("v2 add", lambda: f.add("two", own, 0, topic="two"))
    f.ask("v2 send by version 11 once added", lambda: send(own, 0, version=11))
    f.ask("v2 end by the first protocol", lambda: f.end("two", own, COMMIT, 4)[0])
    f.ask("v2 stable after it", lambda: f.settled("two"))
    f.ask("v2 read after it", lambda: f.read("two", offset=8))


def overlap(f):
    """Several transactions in one partition: the last stable offset, and who is named as aborted where."""
    f.topic("many")
    a, b, c = (f.start(id) for id in ("many-a", "many-b", "many-c"))
    (_, plain) = f.init(None)

    def send(id, own, sequence, *values):
        return f.send(own, sequence, values, f"many-{id}", topic="many")
    f.ask("overlap send", lambda: [send("a", a, 0, "a0", "a1"), send("b", b, 0, "b0"), send("c", c, 0, "c0"), f.send(plain, 0, ("p",), topic="many")])
    f.ask("overlap open", lambda: f.read("many"))
    said, b = f.end("many-b", b, ABORT)
    f.say("overlap abort of the second", said)
    f.until_state("many-b", "CompleteAbort")
    f.ask("overlap after the second", lambda: f.read("many"))
    said, a = f.end("many-a", a, COMMIT)
    f.until_state("many-a", "CompleteCommit")
    f.ask("overlap after the first", lambda: f.read("many"))
    f.ask("overlap send more", lambda: send("b", b, 0, "b1"))
    said, c = f.end("many-c", c, ABORT)
    f.until_state("many-c", "CompleteAbort")
    f.ask("overlap after the third", lambda: f.read("many"))
    f.end("many-b", b, COMMIT)
    f.ask("overlap stable", lambda: f.settled("many"))
    for offset in range(11):
        f.ask(f"overlap read from {offset}", lambda offset=offset: f.read("many", offset))
    f.ask("overlap read uncommitted", lambda: f.read("many", isolation=0))
    f.ask("overlap read of one batch", lambda: f.read("many", 2, size=1))
    f.ask("overlap producers", lambda: f.producers("many"))


def fencing(f):
    f.topic("fence", 2)
    old = f.start("fence")
    f.ask("fence send", lambda: f.send(old, 0, ("a",), "fence", topic="fence"))
    f.ask("fence start during a transaction", lambda: f.init("fence")[0])
    said, new = until(lambda: f.init("fence"), lambda said: said[0][0] != 51)
    f.say("fence start after it", said)
    f.ask("fence stable", lambda: f.settled("fence"))
    f.ask("fence read", lambda: f.read("fence"))
    f.ask("fence old sends", lambda: f.send(old, 1, ("b",), "fence", topic="fence"))
    f.ask("fence old sends to another partition", lambda: f.send(old, 0, ("b",), "fence", topic="fence", index=1))
    f.ask("fence old sends by version 11", lambda: f.send(old, 0, ("b",), "fence", topic="fence", index=1, version=11))
    f.ask("fence old adds", lambda: f.add("fence", old, 1, topic="fence"))
    f.ask("fence old adds, version 1", lambda: f.add("fence", old, 1, topic="fence", version=1))
    for version in (1, 4, 5):
        f.ask(f"fence old commits, version {version}", lambda version=version: f.end("fence", old, COMMIT, version)[0])
    f.ask("fence old starts as itself", lambda: f.init("fence", own=old)[0])
    f.ask("fence old starts as itself, version 3", lambda: f.init("fence", own=old, version=3)[0])
    f.ask("fence old commits offsets", lambda: f.commit_offsets("fence", old, 1, topic="fence", group="fence"))
    f.ask("fence new sends", lambda: f.send(new, 0, ("c",), "fence", topic="fence"))
    f.ask("fence new commits", lambda: f.end("fence", new, COMMIT)[0])
    f.ask("fence end", lambda: [f.settled("fence"), f.until_state("fence", "CompleteCommit")])


def time_out(f):
    f.topic("late", 1)
    own = f.start("late", timeout=1000)
    f.ask("late send", lambda: f.send(own, 0, ("a",), "late", topic="late"))
    f.ask("late state", lambda: f.until_state("late", "CompleteAbort"))
    f.ask("late description", lambda: f.state("late"))
    f.ask("late read", lambda: f.read("late"))
    f.ask("late send after", lambda: f.send(own, 1, ("b",), "late", topic="late"))
    f.ask("late commit", lambda: f.end("late", own, COMMIT)[0])
    f.ask("late commit by the first protocol", lambda: f.end("late", own, COMMIT, 4)[0])
    f.ask("late start as oneself", lambda: f.init("late", own=own)[0])
    f.ask("late start", lambda: f.init("late")[0])


def offsets(f):
    f.topic("in", 1)
    own = f.start("offsets")
    until(lambda: f("Find4", 0, [f.name("g")])["found"][0]["error"], lambda error: error == 0)
    until(lambda: f.committed(topic="in"), lambda said: said[0] == 0)

    def commit(own, offset, **rest):
        return f.commit_offsets("offsets", own, offset, **{"topic": "in", **rest})

    def committed(**rest):
        return f.committed(topic="in", **rest)
    for version in (0, 2, 3, 4):
        f.ask(f"offsets before they are added, version {version}", lambda version=version: commit(own, 1, version=version))
    for version in range(4):
        f.ask(f"offsets added, version {version}", lambda version=version: f(f"AddOffsets{version}", f.name("offsets"), *own, f.name("g"))["error"])
    f.ask("offsets added by a stranger", lambda: f("AddOffsets3", f.name("offsets"), own[0] + 500, 0, f.name("g"))["error"])
    for version in (1, 2):
        f.ask(f"offsets added with another epoch, version {version}", lambda version=version: f(f"AddOffsets{version}", f.name("offsets"), own[0], 9, f.name("g"))["error"])
    f.ask("offsets added for nobody", lambda: f("AddOffsets3", "", *own, f.name("g"))["error"])
    f.ask("offsets state", lambda: [s[2:3] + [[t for t, _ in s[7]]] for s in f.state("offsets")])
    f.ask("offsets committed, version 3", lambda: commit(own, 5, version=3, metadata="m"))
    f.ask("offsets while open", lambda: [committed(), committed(stable=True)])
    f.ask("offsets of another group while open", lambda: committed(group="other", stable=True))
    f.ask("offsets end", lambda: f.end("offsets", own, COMMIT, 4)[0])
    f.ask("offsets after", lambda: until(lambda: committed(stable=True), lambda said: said[1][0][3] == 0))
    f.ask("offsets committed, version 5", lambda: commit(own, 7))
    f.ask("offsets while the next is open", lambda: [committed(), committed(stable=True)])
    said, own = f.end("offsets", own, ABORT)
    f.say("offsets abort", said)
    f.ask("offsets after abort", lambda: until(lambda: committed(stable=True), lambda said: said[1][0][3] == 0))
    f.ask("offsets with metadata too large", lambda: until(lambda: commit(own, 1, metadata="m" * 5000), lambda said: said != [[0, CONCURRENT]]))
    f.ask("offsets of an unknown topic", lambda: commit(own, 1, topic="ghost"))
    f.ask("offsets of an unknown partition", lambda: commit(own, 1, index=7))
    f.ask("offsets of no group", lambda: commit(own, 1, group=""))
    f.ask("offsets with a generation of no group", lambda: commit(own, 1, group="none", generation=3))
    f.ask("offsets with a member of no group", lambda: commit(own, 1, group="none", member="m"))
    f.ask("offsets with a generation of a group without members", lambda: commit(own, 1, generation=3, member="m"))
    f.ask("offsets with a member of a group without members", lambda: commit(own, 1, member="m"))
    f.ask("offsets by a stranger", lambda: commit((own[0] + 500, 0), 1))
    f.ask("offsets with another epoch", lambda: commit((own[0], own[1] + 3), 1))
    f.ask("offsets with an old epoch, version 3", lambda: commit((own[0], own[1] - 1), 1, version=3))
    f.ask("offsets replaced by a plain commit", lambda: [commit(own, 11), f("Commit8", f.name("g"), -1, "", None, [[f.name("in"), [[0, 20, -1, ""]]]])["topics"][0]["partitions"][0]["error"]])
    f.ask("offsets while both", lambda: [committed(), committed(stable=True)])
    said, own = f.end("offsets", own, COMMIT)
    f.ask("offsets of whom logged last", lambda: until(lambda: committed(stable=True), lambda said: said[1][0][3] == 0))


def between_brokers(f):
    own = f.start("batch")
    other = f.start("batch-2")
    for version in (4, 5):
        f.ask(f"brokers verify, version {version}", lambda version=version: f.ask_many(("batch", own, True, [0]), version=version))
    f.ask("brokers add", lambda: f.ask_many(("batch", own, False, [0, 1])))
    f.ask("brokers verify after", lambda: f.ask_many(("batch", own, True, [0, 2])))
    f.ask("brokers add and verify", lambda: f.ask_many(("batch", own, True, [1]), ("batch-2", other, False, [2])))
    f.ask("brokers verify for strangers", lambda: f.ask_many(("batch", other, True, [1]), ("ghost", other, True, [2])))
    f.ask("brokers verify with another epoch", lambda: f.ask_many(("batch", (own[0], own[1] + 1), True, [1])))
    f.ask("brokers add to an unknown partition", lambda: f.ask_many(("batch", own, False, [0, 9])))
    f.ask("brokers state", lambda: f.state("batch"))
    f.ask("brokers end", lambda: [f.end("batch", own, ABORT)[0], f.end("batch-2", other, ABORT)[0]])


def from_outside(f):
    """What `kafka-transactions abort` sends."""
    f.topic("hang", 2)
    f.start("hang")
    own = f.start("hang")
    f.ask("hang send", lambda: f.send(own, 0, ("a",), "hang", topic="hang"))
    f.ask("hang marker of an unknown partition", lambda: f.markers(own, ABORT, "hang", 7))
    f.ask("hang marker of an old epoch", lambda: f.markers((own[0], own[1] - 1), ABORT, "hang"))
    f.ask("hang marker of no epoch", lambda: f.markers((own[0], -1), ABORT, "hang"))
    f.ask("hang marker", lambda: f.markers(own, ABORT, "hang"))
    f.ask("hang marker again", lambda: f.markers(own, ABORT, "hang"))
    f.ask("hang marker of a later coordinator", lambda: f.markers(own, COMMIT, "hang", coordinator=5))
    f.ask("hang marker of an earlier coordinator", lambda: f.markers(own, COMMIT, "hang", coordinator=4))
    f.ask("hang marker of an unknown producer", lambda: f.markers((own[0] + 500, 3), ABORT, "hang", 1))
    f.ask("no markers", lambda: f("Markers1", [])["markers"])
    f.ask("hang read", lambda: f.read("hang"))
    f.ask("hang producers", lambda: f.producers("hang", 0, 1))
    f.ask("hang state", lambda: f.state("hang"))
    f.ask("hang send after", lambda: f.send(own, 1, ("b",), "hang", topic="hang"))


def lists(f):
    f.topic("list")
    own = f.start("list-1")
    f.start("list-2")
    f.send(own, 0, ("a",), "list-1", topic="list")
    mine = f.prefix + "list-.*"
    for version in range(3):
        f.ask(f"list, version {version}", lambda version=version: [s for s in f.listed(version=version)[2] if "list" in s[0]])
    f.ask("list by pattern", lambda: f.listed(pattern=mine))
    f.ask("list by a part", lambda: f.listed(pattern="list-1"))
    f.ask("list by a broken pattern", lambda: f.listed(pattern="("))
    f.ask("list by an empty pattern", lambda: len(f.listed(pattern="")[2]) > 1)
    f.ask("list ongoing", lambda: f.listed(["Ongoing"], pattern=mine))
    f.ask("list empty ones", lambda: f.listed(["Empty"], pattern=mine))
    f.ask("list two states", lambda: f.listed(["Empty", "Ongoing"], pattern=mine))
    f.ask("list unknown states", lambda: f.listed(["Ongoing", "ongoing", "Dead", "PrepareEpochFence", "x"], pattern=mine))
    f.ask("list by producer", lambda: f.listed(pids=[own[0]], pattern=mine))
    f.ask("list by an unknown producer", lambda: f.listed(pids=[987_654_321]))
    time.sleep(0.3)
    f.ask("list the old", lambda: f.listed(["Ongoing"], duration=200, pattern=mine))
    f.ask("list the very old", lambda: f.listed(["Ongoing"], duration=600_000, pattern=mine))
    f.ask("list end", lambda: f.end("list-1", own, COMMIT)[0])


def main():
    f = Transactions()
    coordinator(f)
    idempotence(f)
    starts(f)
    first_protocol(f)
    second_protocol(f)
    overlap(f)
    offsets(f)
    fencing(f)
    between_brokers(f)
    from_outside(f)
    lists(f)
    time_out(f)


if __name__ == "__main__":
    main()
