#!/usr/bin/env python3
"""Facts about fetch sessions (KIP-227) as the bytes on the wire tell them. usage: raw_sessions.py BOOTSTRAP PREFIX

Each case is asked by names (version 11) and by ids (version 17) of topics.
"""

import time
import uuid

from facts import Facts, until
from raw_case import MESSAGES
from wirecodec import Connection, batch

NIL = uuid.UUID(int=0)
NAMES, IDS = "Fetch", "Fetch17"
MESSAGES |= {
    "Fetch17": (1, 17, True, "wait:i32 min:i32 max:i32 isolation:i8 session:i32 epoch:i32 topics [id:uuid partitions "
                             "[index:i32 leader_epoch:i32 offset:i64 last:i32 start:i64 max:i32]] forgotten [id:uuid partitions [i32]] rack:s",
                "throttle:i32 error:i16 session:i32 topics [id:uuid partitions [index:i32 error:i16 high:i64 stable:i64 start:i64 "
                "aborted [producer:i64 first:i64] preferred:i32 records:nb]]"),
}


class Sessions(Facts):
    def __init__(self):
        super().__init__()
        self.connection = Connection(self.bootstrap)
        self.ids, self.names = {}, {NIL: "nil"}

    def __call__(self, message, *values):
        return self.connection.ask(message, *values)

    def topic(self, name, partitions=1):
        full = self.name(name)
        self("CreateTopics", [[full, partitions, 1, [], []]], 10_000, False)
        probe = lambda: self("ListOffsets", -1, 0, [[full, [[partitions - 1, -1, -1]]]])["topics"][0]["partitions"][0]["error"]
        until(probe, lambda error: error == 0)
        self.learn(full)
        return full

    def learn(self, full):
        id = self("Topics", [[NIL.bytes, full]], False, False)["topics"][0]["id"]
        self.ids[full], self.names[id] = id, full

    def produce(self, topic, index=0, value=b"v"):
        said = self("Produce", None, -1, 10_000, [[topic, [[index, batch([(None, value)], time=int(time.time() * 1000))]]]])
        assert said["topics"][0]["partitions"][0]["error"] == 0, said


class Reader:
    """A client with a session; `version` is a message's name."""

    def __init__(self, f, version, epoch=0, id=0):
        self.f, self.version, self.epoch, self.id = f, version, epoch, id
        self.c = Connection(f.bootstrap)

    def send(self, topics=(), forgotten=(), wait=0, min=1, size=1_000_000, session=None, epoch=None):
        """topics: [name or id, [[partition, offset] …]]"""
        f, ids = self.f, self.version == IDS
        key = lambda topic: (f.ids.get(topic, topic) if isinstance(topic, str) else topic).bytes if ids else topic
        part = lambda index, offset, most=size: [index, -1, offset, *([-1] if ids else []), -1, most]
        values = [] if ids else [-1]
        values += [wait, min, 50_000_000, 0, self.id if session is None else session, self.epoch if epoch is None else epoch]
        values += [[[key(t), [part(*p) for p in parts]] for t, parts in topics], [[key(t), parts] for t, parts in forgotten], ""]
        self.c.send(self.version, values)

    def receive(self):
        return self.c.receive(self.version)

    def shown(self, said):
        """Every field; a session as new, the same, none or another."""
        f = self.f
        session = "none" if not said["session"] else "same" if said["session"] == self.id else "new"
        topics = [[f.names.get(t["id"], str(t["id"])) if "id" in t else t["name"],
                   [[p["index"], p["error"], p["high"], p["stable"], p["start"], p["aborted"], p["preferred"], p["records"] and len(p["records"])] for p in t["partitions"]]]
                  for t in said["topics"]]
        return [said["throttle"], said["error"], session, topics]

    def fetch(self, *args, go_on=True, **kwargs):
        self.send(*args, **kwargs)
        said = self.receive()
        shown = self.shown(said)
        if go_on and not said["error"]:
            self.epoch = self.epoch + 1 if said["session"] else 0
            self.id = said["session"]
        return shown


def changes(f, version):
    a, b, c = f.topic(f"a-{version}", 2), f.topic(f"b-{version}"), f.topic(f"c-{version}")
    for t in (a, b, c):
        f.produce(t)
    ask = lambda what, question: f.ask(f"{version}: {what}", question)
    me = Reader(f, version)
    ask("a session begins", lambda: me.fetch([[a, [[0, 0], [1, 0]]], [b, [[0, 1]]], [c, [[0, 1]]]]))
    ask("told again: what has records", lambda: me.fetch())
    ask("read on: nothing", lambda: me.fetch([[a, [[0, 1]]]]))
    ask("nothing new", lambda: me.fetch())
    f.produce(c)
    f.produce(a, 1)
    ask("two have something", lambda: me.fetch())
    f.produce(b)
    ask("those that had something come last", lambda: me.fetch())
    ask("and in their new order", lambda: me.fetch())
    ask("all read, but one", lambda: me.fetch([[a, [[1, 1]]], [b, [[0, 2]]]]))
    ask("one is forgotten", lambda: me.fetch([], [[c, [0]]]))
    f.produce(c)
    ask("it is told no more", lambda: me.fetch())
    ask("it comes back, with another", lambda: me.fetch([[c, [[0, 2]]], [a, [[0, 0]]]]))
    ask("a new one has nothing", lambda: me.fetch([[a, [[0, 1], [1, 1]]], [c, [[0, 3]]], [b, [[0, 2]]]]))
    f("DeleteRecords", [[b, [[0, 1]]]], 10_000)
    ask("the start of the log has moved", lambda: me.fetch())
    ask("that is told once", lambda: me.fetch())
    ask("out of range", lambda: [me.fetch([[b, [[0, 99]]]]), me.fetch(), me.fetch([[b, [[0, 2]]]]), me.fetch()])
    ask("a partition that isn't there", lambda: [me.fetch([[b, [[7, 0]]]]), me.fetch(), me.fetch([], [[b, [7]]]), me.fetch()])
    ask("forgotten and wanted at once", lambda: [me.fetch([[b, [[0, 2]]]], [[b, [0]]]), me.fetch()])
    ask("forgotten without being known", lambda: me.fetch([], [[b, [0, 9]], [f.name("ghost") if version == NAMES else uuid.UUID(int=5), [0]]]))
    me.send(wait=8_000)
    time.sleep(0.3)
    f.produce(a)
    begun = time.monotonic()
    ask("one that waits is woken", lambda: [me.shown(me.receive()), time.monotonic() - begun < 4])
    me.epoch += 1
    ask("one that waits in vain", lambda: me.fetch([[a, [[0, 2]]]], wait=300))
    ask("everything is forgotten", lambda: me.fetch([], [[a, [0, 1]], [c, [0]]]))
    ask("and the session is over", lambda: [me.id, me.epoch])


def refusals(f, version):
    t = f.topic(f"refused-{version}")
    f.produce(t)
    ask = lambda what, question: f.ask(f"{version}: {what}", question)
    want = [[t, [[0, 1]]]]
    me = Reader(f, version)
    me.fetch(want)
    id, epoch = me.id, me.epoch
    ask("an unknown session", lambda: Reader(f, version, 1, id ^ 1).fetch())
    ask("an unknown session, with topics", lambda: Reader(f, version, 5, 77).fetch(want))
    ask("an epoch that is to come", lambda: Reader(f, version, epoch + 1, id).fetch())
    ask("an epoch that is to come, with topics", lambda: Reader(f, version, epoch + 1, id).fetch(want))
    ask("an epoch of the other kind", lambda: Reader(f, version, -5, id).fetch())
    other = IDS if version == NAMES else NAMES
    ask("topics of the other kind", lambda: Reader(f, other, epoch, id).fetch())
    ask("the session is still there", lambda: me.fetch())
    ask("an epoch that is over", lambda: Reader(f, version, epoch, id).fetch())
    ask("no session, an epoch", lambda: Reader(f, version, 1, 0).fetch(want))
    ask("no session wanted", lambda: Reader(f, version, -1, 0).fetch(want))
    ask("the session ends", lambda: me.fetch(want, epoch=-1, go_on=False))
    ask("it has ended", lambda: me.fetch())
    me = Reader(f, version)
    me.fetch(want)
    old = me.id
    ask("a new one instead", lambda: [me.fetch(want, epoch=0, go_on=False), Reader(f, version, 1, old).fetch()])
    me = Reader(f, version)
    ask("a session of nothing", lambda: [me.fetch([]), me.fetch([])])
    me = Reader(f, version)
    ask("a session of nothing grows", lambda: [me.fetch([]), me.fetch(want), me.fetch()])
    me, twin = Reader(f, version), Reader(f, version)
    me.fetch(want)
    me.send(wait=1_500)
    time.sleep(0.3)
    twin.id, twin.epoch = me.id, me.epoch + 1
    ask("the next request, while one waits", lambda: twin.fetch())
    ask("the one that waits", lambda: me.shown(me.receive()))
    ask("the session goes on", lambda: twin.fetch())


def unknown(f, version):
    t = f.topic(f"known-{version}")
    f.produce(t)
    ghost = f.name(f"ghost-{version}")
    key = ghost if version == NAMES else uuid.UUID(int=9)
    f.names[uuid.UUID(int=9)] = "ghost"
    ask = lambda what, question: f.ask(f"{version}: {what}", question)
    me = Reader(f, version)
    ask("a topic that isn't there", lambda: me.fetch([[key, [[0, 0]]], [t, [[0, 1]]]]))
    ask("told each time", lambda: me.fetch())
    took = lambda reader, *wanted: (lambda begun: [reader.fetch(*wanted, wait=1_000, epoch=-1, go_on=False)[1:3], time.monotonic() - begun > 0.7])(time.monotonic())
    ask("a request with it and another waits", lambda: took(Reader(f, version), [[key, [[0, 0]]], [t, [[0, 1]]]]))
    ask("a request with it alone does not", lambda: took(Reader(f, version), [[key, [[0, 0]]]]))
    ask("nor one that is out of range", lambda: took(Reader(f, version), [[t, [[0, 99]]]]))
    ask("nothing but it", lambda: Reader(f, version).fetch([[key, [[0, 0]]]]))
    if version == NAMES:
        f.topic(f"ghost-{version}")
        ask("it is there", lambda: [me.fetch(), me.fetch()])
    gone = f.topic(f"gone-{version}")
    f.produce(gone)
    me = Reader(f, version)
    me.fetch([[gone, [[0, 1]]], [t, [[0, 1]]]])
    f("DeleteTopics", [[gone, bytes(16)]], 10_000)
    seen = until(lambda: me.fetch(), lambda said: said[1] or said[3] and said[3][0][1][0][1])
    f.say(f"{version}: a topic that is gone", seen)
    ask("a topic that is gone, again", lambda: me.fetch())
    f("CreateTopics", [[gone, 1, 1, [], []]], 10_000, False)
    until(lambda: f("ListOffsets", -1, 0, [[gone, [[0, -1, -1]]]])["topics"][0]["partitions"][0]["error"], lambda error: error == 0)
    ask("another of its name", lambda: [me.fetch(), me.fetch()])


if __name__ == "__main__":
    facts = Sessions()
    for version in (NAMES, IDS):
        for part in (changes, refusals, unknown):
            try:
                part(facts, version)
            except Exception as error:  # a part that can't go on is a fact as well, and the other parts are asked
                facts.say(f"{version}: {part.__name__} ended", Facts.error(error))
