#!/usr/bin/env python3
"""Facts about groups as the bytes on the wire tell them: the classic protocol, consumer groups (KIP-848), the way from one
to the other, and offsets. usage: raw_groups.py BOOTSTRAP PREFIX

Each case has groups and topics of its own; those that wait run side by side.
"""

import itertools
import re
import time
import uuid

from raw_case import ASSIGNED, Case, play, until
from wirecodec import MESSAGES, Connection, decode, encode

NIL = uuid.UUID(int=0)
COUNT = itertools.count()
MESSAGES |= {
    "CreateParts": (37, 2, True, "topics [name:s count:i32 assignments [brokers [i32]]] timeout:i32 dry:bool",
                    "throttle:i32 results [name:s error:i16 message:ns]"),
    "GoneTopic": (20, 4, True, "names [s] timeout:i32", "throttle:i32 results [name:s error:i16]"),
    "Join5": (11, 5, False, "group:s session:i32 rebalance:i32 member:s instance:ns kind:s protocols [name:s data:nb]",
              "throttle:i32 error:i16 generation:i32 protocol:s leader:s member:s members [id:s instance:ns data:nb]"),
    "Join3": (11, 3, False, "group:s session:i32 rebalance:i32 member:s kind:s protocols [name:s data:nb]",
              "throttle:i32 error:i16 generation:i32 protocol:s leader:s member:s members [id:s data:nb]"),
    "Leave2": (13, 2, False, "group:s member:s", "throttle:i32 error:i16"),
    "Describe5": (15, 5, True, "groups [s] operations:bool", "throttle:i32 groups [error:i16 id:s state:s kind:s protocol:s "
                  "members [id:s instance:ns client:s host:s data:nb assignment:nb] operations:i32]"),
    "Offsets5": (9, 5, False, "group:s topics [name:s partitions [i32]]",
                 "throttle:i32 topics [name:s partitions [index:i32 offset:i64 epoch:i32 metadata:ns error:i16]] error:i16"),
    "Offsets1": (9, 1, False, "group:s topics [name:s partitions [i32]]", "topics [name:s partitions [index:i32 offset:i64 metadata:ns error:i16]]"),
    "Commit10": (8, 10, True, "group:s generation:i32 member:s instance:ns topics [id:uuid partitions [index:i32 offset:i64 epoch:i32 metadata:ns]]",
                 "throttle:i32 topics [id:uuid partitions [index:i32 error:i16]]"),
    "Offsets10": (9, 10, True, "groups [id:s member:ns epoch:i32 topics [id:uuid partitions [i32]]] stable:bool",
                  "throttle:i32 groups [id:s topics [id:uuid partitions [index:i32 offset:i64 epoch:i32 metadata:ns error:i16]] error:i16]"),
    "Beat0": (68, 0, True, "group:s member:s epoch:i32 instance:ns rack:ns rebalance:i32 names [s] assignor:ns owned [id:uuid partitions [i32]]",
              "throttle:i32 error:i16 message:ns member:ns epoch:i32 interval:i32 assignment {" + ASSIGNED + "}"),
}
SESSION, REBALANCE = 30_000, 60_000


PARTITIONS = "[topic:s partitions [i32]]"


def subscription(*topics, version=1, owned=()):
    """What a classic member of the consumer protocol says of itself when it joins."""
    newer = ["owned " + PARTITIONS] if version >= 1 else []
    return encode(" ".join(["version:i16 topics [s] user:nb", *newer]), version, topics, None, owned)


def assignment(topics):
    """What a leader hands out to a member."""
    return encode(f"version:i16 topics {PARTITIONS} user:nb", 1, list(topics.items()), None)


def partitions_of(data):
    """[version, {topic: partitions}, the rest] of a classic assignment."""
    if not data:
        return None
    said, rest = decode(f"version:i16 topics {PARTITIONS}", data)
    return [said["version"], {t["topic"]: t["partitions"] for t in said["topics"]}, rest.hex()]


class Groups(Case):
    def normal(self, text):
        return re.sub(r'"[\w-]{22}"', '"ID"', super().normal(text))

    def topic(self, name, partitions=1):
        full = self.name(name)
        self("NewTopic", [[full, partitions, 1, [], []]], 10_000, False)
        # Kafka answers before the broker knows of it.
        probe = [[full, [[partitions - 1, 0, -1, ""]]]]
        until(lambda: codes(self("Commit9", self.group("probe"), -1, "", None, probe))[0][1][0][1] == 0)
        # Coordinators are told after it.
        known = Consumer(self, self.group(f"knows-{name}-{next(COUNT)}"), "probe", names=[full])
        known.join()
        until(lambda: (known.beat(), len(known.has()))[1] == partitions)
        known.ask(epoch=-1)
        self("Delete", [known.group])
        time.sleep(0.2)
        return full

    def state(self, group):
        """State, generation-free: what DescribeGroups says, members sorted."""
        (g,) = self("Describe", [group], True)["groups"]
        members = sorted([m["id"], m["instance"], m["client"], m["host"], (m["data"] or b"").hex(), partitions_of(m["assignment"]) if g["kind"] == "consumer" else (m["assignment"] or b"").hex()]
                         for m in g["members"])
        return [g["error"], g["message"], g["state"], g["kind"], g["protocol"], members, g["operations"]]

    def consumers(self, group):
        (g,) = self("ConsumerDescribe", [group], True)["groups"]
        topics = lambda t: sorted([x["name"], sorted(x["partitions"])] for x in t["topics"])
        members = sorted([m["id"], m["instance"], m["rack"], m["epoch"], m["client"], m["host"], sorted(m["names"]), m["regex"], topics(m["has"]), topics(m["target"]), m["type"]]
                         for m in g["members"])
        return [g["error"], g["message"], g["state"], g["epoch"], g["assigned"], g["assignor"], members, g["operations"]]


class Classic:
    """A member of a classic group on a connection of its own."""

    def __init__(self, f, group, instance=None, client="m", protocols=None, kind="consumer", session=SESSION, rebalance=REBALANCE):
        self.f, self.group, self.instance, self.kind = f, group, instance, kind
        self.session, self.rebalance, self.client = session, rebalance, client
        self.protocols = protocols or [["range", subscription(f.name("t"))]]
        self.id, self.generation, self.protocol = "", -1, None
        self.c = Connection(f.bootstrap, client)

    def send_join(self, message="Join", **changed):
        v = {"group": self.group, "session": self.session, "rebalance": self.rebalance, "member": self.id, "instance": self.instance, "kind": self.kind,
             "protocols": self.protocols, "reason": "a reason"} | changed
        self.c.send(message, v)

    def joined(self, message="Join"):
        said = self.c.receive(message)
        self.said = said
        if said["member"]:
            self.id = said["member"]
        if said["error"] == 0:
            self.generation, self.protocol = said["generation"], said["protocol"]
        return said

    def join(self, message="Join", **changed):
        """With the id that it is given, where it must come back with one."""
        self.send_join(message, **changed)
        said = self.joined(message)
        if said["error"] == 79:
            self.send_join(message, **changed)
            said = self.joined(message)
        return said

    def shown(self, said=None):
        said = said or self.said
        return {k: ("me" if v == self.id and v and k in ("leader", "member") else v) for k, v in said.items() if k not in ("members", "throttle")} | {
            "members": sorted([m["id"] == self.id, m.get("instance"), (m["data"] or b"").hex()] for m in said["members"])}

    def send_sync(self, assignments=(), **changed):
        v = {"group": self.group, "generation": self.generation, "member": self.id, "instance": self.instance, "kind": self.kind, "protocol": self.protocol,
             "assignments": list(assignments)} | changed
        self.c.send("Sync", v)

    def synced(self):
        said = self.c.receive("Sync")
        return [said["error"], said["kind"], said["protocol"], partitions_of(said["data"]) if self.kind == "consumer" else said["data"].hex()]

    def sync(self, assignments=(), **changed):
        self.send_sync(assignments, **changed)
        return self.synced()

    def beat(self, **changed):
        v = {"group": self.group, "generation": self.generation, "member": self.id, "instance": self.instance} | changed
        return self.c.ask("Heartbeat", *v.values())["error"]

    def leave(self, *members):
        said = self.c.ask("Leave", self.group, [list(m) for m in members] or [[self.id, self.instance, "done"]])
        return [said["error"], [[m["id"], m["instance"], m["error"]] for m in said["members"]]]

    def commit(self, topic, offset=1, message="Commit9", **changed):
        v = {"group": self.group, "generation": self.generation, "member": self.id, "instance": self.instance, "topics": [[topic, [[0, offset, -1, "meta"]]]]} | changed
        return codes(self.c.ask(message, *v.values()))


def codes(said):
    """Kafka has errors that it finds early before the others."""
    return [[t["name"], sorted([p["index"], p["error"]] for p in t["partitions"])] for t in said["topics"]]


def settle(*members):
    """All members of a group join and sync again; the first that leads hands out nothing."""
    for m in members:
        m.send_join()
    for m in members:
        if m.joined()["error"] == 79:
            m.send_join()
            m.joined()
    for m in members:
        m.send_sync([[n.id, assignment({})] for n in members] if m.said["leader"] == m.id else [])
    return [m.synced()[0] for m in members]


class Consumer:
    """A member of a consumer group that does as it is told."""

    def __init__(self, f, group, member, names=None, regex=None, instance=None, assignor=None, client="m"):
        self.f, self.group, self.id, self.instance = f, group, member, instance
        self.names, self.regex, self.assignor = names, regex, assignor
        self.epoch, self.owned = 0, {}
        self.c = Connection(f.bootstrap, client)

    def ask(self, message="Beat", **changed):
        v = {"group": self.group, "member": self.id, "epoch": self.epoch, "instance": self.instance, "rack": None, "rebalance": -1, "names": None, "regex": None,
             "assignor": None, "owned": None} | changed
        if message == "Beat0":
            del v["regex"]
        return self.c.ask(message, *v.values())

    def take(self, said):
        if said["error"] == 0:
            self.epoch = said["epoch"]
            if said["assignment"] is not None:
                self.owned = {t["id"]: sorted(t["partitions"]) for t in said["assignment"]["topics"]}
        return self.shown(said)

    def shown(self, said):
        has = said["assignment"]
        return [said["error"], said["message"], said["member"], said["epoch"], said["interval"],
                None if has is None else sorted(sorted(t["partitions"]) for t in has["topics"])]

    def join(self, **changed):
        self.epoch, self.owned = 0, {}
        return self.take(self.ask(**({"rebalance": REBALANCE, "names": self.names, "regex": self.regex, "assignor": self.assignor, "owned": []} | changed)))

    def beat(self, **changed):
        return self.take(self.ask(**({"owned": [[t.bytes, p] for t, p in self.owned.items()]} | changed)))

    def has(self):
        return sorted(p for ps in self.owned.values() for p in ps)


def together(*members, wanted=None):
    """Heartbeats of all until the group is stable, or as wanted."""
    def round():
        for m in members:
            m.beat()
        return members[0].f.consumers(members[0].group)
    return until(round, wanted or (lambda said: said[2] == "Stable"))


# --- the classic protocol ---------------------------------------------------------------------------------------------

def joining(f):
    t, g = f.topic("t", 4), f.group("joining")
    m = Classic(f, g)
    f.ask("join without a group", lambda: m.shown(m.join(group="")))
    for session in (5_999, 1_800_001):
        f.ask(f"join with a session of {session}", lambda session=session: m.shown(m.join(session=session)))
    f.ask("join as a member of no group", lambda: m.shown(m.join(member="stranger", group=f.group("nobody"))))
    m.id = ""
    f.ask("join without protocols", lambda: m.shown(m.join(protocols=[])))
    f.ask("a refused join has made the group", lambda: f.state(g))
    f.ask("join without a protocol type", lambda: m.shown(m.join(kind="")))
    m.id = ""
    m.send_join()
    f.ask("join, the id first", lambda: m.shown(m.joined()))
    m.send_join()
    f.ask("join, then with the id", lambda: m.shown(m.joined()))
    f.ask("joined, before the sync", lambda: f.state(g))
    f.ask("commit before the sync", lambda: m.commit(t))
    f.ask("heartbeat before the sync", m.beat)
    f.ask("sync with another generation", lambda: m.sync(generation=7))
    f.ask("sync with another protocol", lambda: m.sync(protocol="sticky"))
    f.ask("sync with another type", lambda: m.sync(kind="connect"))
    f.ask("sync of a stranger", lambda: m.sync(member="stranger"))
    f.ask("sync without a group", lambda: m.sync(group=""))
    f.ask("sync without a protocol", lambda: [m.sync(protocol=None), m.sync(kind=None)])
    f.ask("sync in an unknown group", lambda: m.sync(group=f.group("nobody")))
    f.ask("sync of the leader", lambda: m.sync([[m.id, assignment({t: [0, 1]})]]))
    f.ask("stable", lambda: f.state(g))
    f.ask("sync again", lambda: m.sync())
    f.ask("heartbeat", m.beat)
    f.ask("heartbeat of another generation", lambda: m.beat(generation=9))
    f.ask("heartbeat of a stranger", lambda: m.beat(member="stranger"))
    f.ask("heartbeat in an unknown group", lambda: m.beat(group=f.group("nobody")))
    f.ask("heartbeat without a group", lambda: m.beat(group=""))
    f.ask("commit", lambda: m.commit(t, 7))
    f.ask("commit of another generation", lambda: m.commit(t, 8, generation=9))
    f.ask("commit of a stranger", lambda: m.commit(t, 8, member="stranger"))
    f.ask("commit as nobody in a group with members", lambda: m.commit(t, 8, member="", generation=-1))
    f.ask("commit with a generation in an unknown group", lambda: m.commit(t, 8, group=f.group("nobody")))
    f.ask("the same, older", lambda: m.commit(t, 8, "Commit8", group=f.group("nobody")))
    f.ask("join with a stranger's protocols", lambda: Classic(f, g, protocols=[["other", b""]]).shown(Classic(f, g, protocols=[["other", b""]]).join()))
    f.ask("join with another type", lambda: Classic(f, g).join(kind="connect")["error"])
    f.ask("join as a stranger", lambda: (lambda n: n.shown(n.join(member="stranger")))(Classic(f, g)))
    n = Classic(f, g, client="n")
    n.send_join()
    n.joined()
    n.send_join()
    f.ask("a second member comes", lambda: until(m.beat, lambda e: e == 27))
    f.ask("preparing", lambda: f.state(g)[2:5])
    f.ask("sync while preparing", lambda: m.sync())
    f.ask("commit while preparing", lambda: m.commit(t, 9))
    m.send_join()
    f.ask("the leader's answer", lambda: m.shown(m.joined()))
    f.ask("the follower's answer", lambda: n.shown(n.joined()) | {"leader": n.said["leader"] == m.id})
    f.ask("join again, nothing new", lambda: n.shown(n.join()) | {"leader": n.said["leader"] == m.id})
    n.send_sync()
    f.ask("completing", lambda: f.state(g)[2:5])
    f.ask("assignments", lambda: [m.sync([[m.id, assignment({t: [0, 1]})], [n.id, assignment({t: [2, 3]})]]), n.synced()])
    f.ask("a follower joins again, nothing new", lambda: n.shown(n.join()) | {"leader": n.said["leader"] == m.id})
    f.ask("its heartbeat", n.beat)
    f.ask("listed", lambda: [x for x in f.listed() if x[0] == g])
    f.ask("delete while it lives", lambda: f("Delete", [g])["results"])
    f.ask("forget while it lives", lambda: codes(f("Forget", g, [[t, [[0]]]])))
    f.ask("describe as a consumer group", lambda: f.consumers(g))
    n.send_join(protocols=[["range", subscription(t, version=0)]])
    f.ask("new metadata make a rebalance", lambda: until(m.beat, lambda e: e == 27))
    f.ask("the leader leaves in a rebalance", m.leave)
    f.ask("the other one leads", lambda: n.shown(n.joined()))
    f.ask("leave as a stranger", lambda: n.leave(["stranger", None, None]))
    f.ask("leave in an unknown group", lambda: f("Leave", f.group("nobody"), [["a", None, None], ["b", "i", None]]))
    f.ask("leave without a group", lambda: f("Leave", "", [["a", None, None]]))
    f.ask("leave, older", lambda: n.c.ask("Leave2", g, n.id))
    f.ask("leave, older, as a stranger", lambda: n.c.ask("Leave2", g, n.id))
    f.ask("empty", lambda: f.state(g))
    f.ask("what it had committed", lambda: f("Offsets", [[g, None, -1, None]], False)["groups"])
    f.ask("commit with the last generation", lambda: m.commit(t, 10))
    f.ask("commit as nobody in an empty group", lambda: m.commit(t, 10, member="", generation=-1))
    f.ask("join an empty group as one of its last", lambda: n.shown(n.join()))
    f.ask("describe unknown", lambda: [f.state(f.group("nobody")), f("Describe5", [f.group("nobody")], False)["groups"]])
    f.ask("delete", lambda: sorted(r["error"] for r in f("Delete", [g, f.group("nobody")])["results"]))
    f.ask("deleted", lambda: f.state(g)[:3])


def older(f):
    g = f.group("older")
    m = Classic(f, g)
    f.ask("join of version 3", lambda: (m.send_join("Join3"), m.shown(m.joined("Join3")))[1])
    f.ask("join of version 5, the id first", lambda: (lambda n: (n.send_join("Join5"), n.shown(n.joined("Join5")))[1])(Classic(f, g)))


def choosing(f):
    g = f.group("choosing")
    first = Classic(f, g, protocols=[["range", b""], ["sticky", b"s"], ["only-a", b""]])
    second = Classic(f, g, protocols=[["sticky", b"x"], ["range", b"y"]])
    f.ask("one chooses its first", lambda: [settle(first), first.protocol])
    second.send_join()
    second.joined()
    second.send_join()
    until(first.beat, lambda e: e == 27)
    first.send_join()
    f.ask("as many votes for each of two", lambda: [first.joined()["protocol"], second.joined()["protocol"]])
    f.ask("the leader sees the metadata for it", lambda: first.shown()["members"])
    third = Classic(f, f.group("choosing-3"), protocols=[["zeta", b""], ["roundrobin", b""]])
    fourth = Classic(f, f.group("choosing-3"), protocols=[["roundrobin", b""], ["zeta", b""]])
    settle(third)
    fourth.send_join()
    fourth.joined()
    fourth.send_join()
    until(third.beat, lambda e: e == 27)
    third.send_join()
    f.ask("as many votes for each of two others", lambda: [third.joined()["protocol"], fourth.joined()["protocol"]])


def statics(f):
    t, g = f.topic("t", 4), f.group("static")
    m, n = Classic(f, g, instance="one"), Classic(f, g, client="n")
    m.join()
    f.ask("static: joined at once", lambda: [m.shown(), m.sync([[m.id, assignment({t: [0]})]])])
    n.send_join()
    n.joined()
    n.send_join()
    until(m.beat, lambda e: e == 27)
    m.send_join()
    m.joined(), n.joined()
    n.send_sync()
    m.sync([[m.id, assignment({t: [0, 1]})], [n.id, assignment({t: [2, 3]})]])
    n.synced()
    old = m.id
    back = Classic(f, g, instance="one", client="back")
    f.ask("static: back, it leads on and has nothing to do", lambda: back.shown(back.join()))
    f.ask("static: its assignment", lambda: back.sync())
    f.ask("static: nobody noticed", lambda: [n.beat(), f.state(g)[2]])
    f.ask("static: the old one's heartbeat", m.beat)
    f.ask("static: the old one's sync", lambda: m.sync())
    f.ask("static: the old one's commit", lambda: m.commit(t))
    f.ask("static: the old one's join", lambda: m.shown(m.join(member=old)))
    f.ask("static: the old one leaves", lambda: n.leave([old, "one", None]))
    f.ask("static: an unknown instance", lambda: [n.beat(instance="two"), n.commit(t, instance="two")])
    again = Classic(f, g, instance="one", client="again")
    f.ask("static: back with an older version, and not told that it leads", lambda: (again.send_join("Join5"), again.shown(again.joined("Join5")) | {"leader": again.said["leader"] == back.id})[1])
    f.ask("static: described", lambda: f.state(g))
    changed = Classic(f, g, instance="one", client="changed", protocols=[["range", subscription(t, f.name("u"))]])
    f.ask("static: back with other topics", lambda: changed.shown(changed.join()))
    f.ask("static: still nobody noticed", n.beat)
    f.ask("static: removed by its instance, with others", lambda: n.leave(["", "one", "removed"], ["", "two", None], [n.id, "one", None], [n.id, None, None]))
    f.ask("static: empty", lambda: f.state(g)[2:])


def pending(f):
    """A rebalance waits for who was given an id, until its session is over; dynamic members that don't come are out."""
    g = f.group("pending")
    m = Classic(f, g, session=6_000, rebalance=2_000)
    settle(m)
    p = Classic(f, g, session=6_000)
    p.send_join()
    p.joined()
    m.send_join()
    f.ask("pending: a rebalance waits", lambda: until(lambda: f.state(g)[2], lambda state: state == "PreparingRebalance"))
    begun = time.monotonic()
    f.ask("pending: but not for ever", lambda: m.joined()["error"])
    f.ask("pending: about as long as the rebalance may take", lambda: 1 < time.monotonic() - begun < 5)
    m.sync()
    f.ask("pending: its id is forgotten with its session", lambda: (time.sleep(6), p.send_join(), p.joined()["error"])[2])


def silent(f):
    g = f.group("silent")
    m, n = Classic(f, g, session=6_000, rebalance=20_000), Classic(f, g, session=6_000, rebalance=20_000, instance="s")
    settle(m)
    n.send_join()
    until(m.beat, lambda e: e == 27)
    m.send_join()
    m.joined(), n.joined()
    m.sync(), n.sync()
    f.ask("silent: before", lambda: [f.state(g)[2], len(f.state(g)[5])])
    begun = time.monotonic()
    f.ask("silent: out when the session is over", lambda: until(lambda: n.beat(), lambda e: e != 0, 15))
    f.ask("silent: not before", lambda: time.monotonic() - begun > 5)
    f.ask("silent: its heartbeat", m.beat)


def late(f):
    """Who does not rejoin in the rebalance time-out is out, but for static members; who doesn't sync, too."""
    g = f.group("late")
    m, n, s = (Classic(f, g, rebalance=3_000, instance=i) for i in (None, None, "s"))
    settle(m)
    settle_with(m, n)
    s.send_join()
    until(m.beat, lambda e: e == 27)
    m.send_join(), n.send_join()
    m.joined(), n.joined(), s.joined()
    m.sync(), n.sync(), s.sync()
    x = Classic(f, g, rebalance=3_000, client="x")
    x.send_join()
    x.joined()
    x.send_join()
    until(m.beat, lambda e: e == 27)
    m.send_join()
    f.ask("late: one did not come", lambda: [m.joined()["error"], x.joined()["error"], len(f.state(g)[5])])
    f.ask("late: it is a stranger now", n.beat)
    f.ask("late: the static one has a place, and another generation", lambda: s.beat())
    m.send_sync()
    f.ask("late: nobody but the leader has synced", lambda: [m.synced()[0], f.state(g)[2]])
    f.ask("late: who doesn't sync is out", lambda: until(lambda: len(f.state(g)[5]) < 3))


def settle_with(m, n):
    n.send_join()
    if n.joined()["error"] == 79:
        n.send_join()
    until(m.beat, lambda e: e == 27)
    m.send_join()
    m.joined(), n.joined()
    n.send_sync()
    m.sync()
    n.synced()


# --- consumer groups --------------------------------------------------------------------------------------------------

def invalid(f):
    t, g = f.topic("t", 4), f.group("invalid")
    full = {"rebalance": REBALANCE, "names": [t], "owned": []}
    m = Consumer(f, g, "m")
    for name, changed in {
        "no member": {"member": ""}, "blank member": {"member": " "}, "no group": {"group": ""}, "blank group": {"group": "  "}, "empty instance": {"instance": ""},
        "empty rack": {"rack": " "}, "no rebalance timeout": {"rebalance": -1}, "no owned": {"owned": None}, "something owned": {"owned": [[NIL.bytes, [0]]]},
        "no topics": {"names": None}, "an unknown assignor": {"assignor": "best"}, "a wrong epoch": {"epoch": -3}, "away without an instance": {"epoch": -2},
        **{f"a broken expression {r}": {"names": None, "regex": r} for r in ("(", ")", "[", "*", "a{2,1}", "a\\", "[b-a]", "a**", "(?<", "\\8")},
        "in a group that isn't there": {"epoch": 5}, "leaves a group that isn't there": {"epoch": -1},
    }.items():
        f.ask(f"beat: {name}", lambda changed=changed: m.shown(m.ask(**full | changed)))
    f.ask("beat: none of them has made a group", lambda: [f.state(g), f.consumers(g)])
    f.ask("beat: version 0 is given an id", lambda: (lambda said: [said["error"], len(said["member"] or ""), said["epoch"], said["interval"]])(m.ask("Beat0", **full | {"member": "", "group": f.group("given")})))
    f.ask("beat: consumer describe without a name", lambda: f.consumers(""))


def consuming(f):
    t, g = f.topic("t", 4), f.group("consuming")
    a, b = Consumer(f, g, "member-a", names=[t]), Consumer(f, g, "member-b", names=[t], client="n")
    f.ask("consumer: joins and has all", a.join)
    f.ask("consumer: described", lambda: f.consumers(g))
    f.ask("consumer: described as a classic group", lambda: [f.state(g), f("Describe5", [g], False)["groups"]])
    f.ask("consumer: listed", lambda: [x for x in f.listed() if x[0] == g])
    f.ask("consumer: nothing new", lambda: a.shown(a.ask()))
    f.ask("consumer: says all again, hears all again", lambda: a.shown(a.ask(rebalance=REBALANCE, names=[t], owned=[[i.bytes, p] for i, p in a.owned.items()])))
    f.ask("consumer: a stranger", lambda: Consumer(f, g, "x").shown(Consumer(f, g, "x").ask(epoch=2)))
    f.ask("consumer: ahead", lambda: a.shown(a.ask(epoch=9)))
    f.ask("consumer: behind", lambda: a.shown(a.ask(epoch=1)))
    f.ask("consumer: unknown instance", lambda: a.shown(a.ask(instance="i")))
    f.ask("consumer: leaves as an unknown instance", lambda: a.shown(a.ask(instance="i", epoch=-1)))
    f.ask("consumer: a stranger leaves", lambda: a.shown(a.ask(member="x", epoch=-1)))
    # The target may wait for a second after the last one was made: not that this answer has it, or hasn't, is compared.
    f.ask("consumer: a second comes", lambda: b.join()[:3])
    f.ask("consumer: a new target", lambda: until(lambda: (b.beat(), f.consumers(g))[1], lambda said: said[4] == 3)[2:6])
    f.ask("consumer: the first has to let go", lambda: until(lambda: a.beat(owned=None), lambda said: said[5] is not None))
    f.ask("consumer: reconciling", lambda: f.consumers(g))
    f.ask("consumer: the second waits", lambda: b.beat())
    f.ask("consumer: until it has let go", lambda: [a.beat(), b.beat()])
    f.ask("consumer: stable", lambda: f.consumers(g))
    f.ask("consumer: one epoch behind, with what it has", lambda: a.shown(a.ask(epoch=2, owned=[[i.bytes, p] for i, p in a.owned.items()])))
    f.ask("consumer: one epoch behind, with what it hasn't", lambda: a.shown(a.ask(epoch=2, owned=[[i.bytes, [0, 1, 2, 3]] for i in a.owned])))
    offsets = lambda c, generation, message="Commit9", **ch: codes(f(message, g, generation, ch.get("member", c.id), None, [[t, [[p, 5, -1, ""] for p in ch.get("parts", c.has())]]]))
    f.ask("consumer: commits", lambda: offsets(a, 3))
    f.ask("consumer: commits with an older version", lambda: offsets(a, 3, "Commit8"))
    f.ask("consumer: commits, ahead", lambda: offsets(a, 4))
    f.ask("consumer: commits what it had, behind", lambda: offsets(a, 2))
    f.ask("consumer: commits what it got later, behind", lambda: offsets(b, 2))
    f.ask("consumer: commits another's, behind", lambda: offsets(a, 2, parts=b.has()))
    f.ask("consumer: commits another's", lambda: offsets(a, 3, parts=b.has()))
    f.ask("consumer: a stranger commits", lambda: offsets(a, 3, member="x"))
    f.ask("consumer: nobody commits", lambda: offsets(a, -1, member=""))
    fetched = lambda member, epoch: [[x["error"], [[tt["name"], sorted([p["index"], p["offset"], p["error"]] for p in tt["partitions"])] for tt in x["topics"]]]
                                     for x in f("Offsets", [[g, member, epoch, [[t, [0, 1, 2, 3]]]]], True)["groups"]]
    f.ask("consumer: reads offsets", lambda: fetched(a.id, 3))
    f.ask("consumer: reads them behind", lambda: fetched(a.id, 2))
    f.ask("consumer: a stranger reads them", lambda: fetched("x", 3))
    f.ask("consumer: anybody reads them", lambda: fetched(None, -1))
    f.ask("consumer: forget what is read", lambda: codes(f("Forget", g, [[t, [[0]]]])))
    f.ask("consumer: delete while it lives", lambda: f("Delete", [g])["results"])
    f.ask("consumer: one leaves", lambda: b.shown(b.ask(epoch=-1)))
    f.ask("consumer: its epoch then", lambda: f.consumers(g)[3])
    f.ask("consumer: the other has all again", lambda: together(a, wanted=lambda said: said[2] == "Stable")[2:7])
    f.ask("consumer: other topics", lambda: a.take(a.ask(names=[f.topic("t2", 2)])))
    f.ask("consumer: settled with them", lambda: [together(a)[2:7], a.has()])
    f.ask("consumer: no topics", lambda: a.take(a.ask(names=[])))
    together(a)
    f.ask("consumer: forget what nobody reads", lambda: codes(f("Forget", g, [[t, [[0]]]])))
    f.ask("consumer: the last leaves", lambda: a.shown(a.ask(epoch=-1)))
    f.ask("consumer: empty", lambda: f.consumers(g))
    f.ask("consumer: nobody commits to the empty group", lambda: offsets(a, -1, member="", parts=[0]))
    f.ask("consumer: comes back", a.join)
    a.ask(epoch=-1)
    f.ask("consumer: deleted", lambda: [f("Delete", [g])["results"], f.consumers(g)[:2]])


def consumer_statics(f):
    t, g = f.topic("t", 4), f.group("consumer-static")
    a = Consumer(f, g, "member-a", names=[t], instance="one")
    b = Consumer(f, g, "member-b", names=[t], instance="one")
    f.ask("consumer static: joins", a.join)
    f.ask("consumer static: taken", b.join)
    f.ask("consumer static: fenced", lambda: b.shown(b.ask(epoch=2)))
    f.ask("consumer static: another can't leave for it", lambda: b.shown(b.ask(epoch=-1)))
    f.ask("consumer static: goes away", lambda: a.shown(a.ask(epoch=-2)))
    f.ask("consumer static: away", lambda: f.consumers(g))
    f.ask("consumer static: a heartbeat while away", lambda: a.shown(a.ask()))
    f.ask("consumer static: another is back in its place", b.join)
    f.ask("consumer static: back", lambda: f.consumers(g))
    f.ask("consumer static: the old one", lambda: a.shown(a.ask()))
    f.ask("consumer static: leaves for good", lambda: b.shown(b.ask(epoch=-1)))
    f.ask("consumer static: empty", lambda: f.consumers(g))


def assignors(f):
    t, u = f.topic("t", 4), f.topic("u", 3)
    for name in ("range", "uniform"):
        g = f.group(f"assignor-{name}")
        members = [Consumer(f, g, f"member-{i}", names=[t, u], assignor=name) for i in range(3)]
        for m in members:
            m.join()
        said = together(*members)
        if name == "range":
            f.say("assignor range", said)
        else:
            f.say("assignor uniform", [said[2:6], sorted(len(m.has()) for m in members)])
    g = f.group("assignor-one")
    members = [Consumer(f, g, f"member-{i}", names=[t], assignor="uniform" if i else None) for i in range(3)]
    for m in members:
        m.join()
    f.ask("assignor uniform, one topic", lambda: together(*members))
    f.ask("assignor: one more member", lambda: (members.append(Consumer(f, g, "member-9", names=[t])), members[-1].join(), together(*members)[6])[2])
    f.ask("assignor: two fewer members", lambda: ([m.ask(epoch=-1) for m in members[:2]], together(*members[2:])[6])[1])
    g = f.group("assignor-mixed")
    members = [Consumer(f, g, "member-0", names=[t]), Consumer(f, g, "member-1", names=[t, u]), Consumer(f, g, "member-2", names=[u])]
    for m in members:
        m.join()
    f.ask("assignor uniform, different topics", lambda: (together(*members), sorted(len(m.has()) for m in members))[1])
    g = f.group("assignor-vote")
    members = [Consumer(f, g, f"member-{i}", names=[t], assignor=a) for i, a in enumerate(("range", "uniform", "range"))]
    for m in members:
        m.join()
    f.ask("assignor: most votes", lambda: f.consumers(g)[5])


def expressions(f):
    for name in ("reg-a", "reg-b", "other-reg"):
        f.topic(name, 1)
    g = f.group("expressions")
    m = Consumer(f, g, "member-a", regex=f"{f.prefix}reg-.*")
    f.ask("expression: joins", m.join)
    f.ask("expression: what it stands for", lambda: [until(lambda: (m.beat(), len(m.has()))[1], lambda n: n == 2), f.consumers(g)])
    f.ask("expression: another", lambda: m.take(m.ask(regex=f"{f.prefix}other.*"))[:4])
    f.ask("expression: a broken one", lambda: m.shown(m.ask(regex="[")))
    f.ask("expression: none", lambda: [m.take(m.ask(regex="", names=[f.name("reg-a")]))[:2], until(lambda: (m.beat(), f.consumers(g))[1], lambda said: said[2] == "Stable" and m.has() == [0])[6]])


def growing(f):
    t, g = f.topic("growing", 1), f.group("growing")
    m = Consumer(f, g, "member-a", names=[t, f.name("to-come")])
    f.ask("topics: one of two is there", m.join)
    f("CreateParts", [[t, 3, None]], 10_000, False)
    f.ask("topics: more partitions", lambda: until(lambda: (m.beat(), m.has())[1], lambda has: len(has) == 3))
    f.topic("to-come", 1)
    f.ask("topics: the other comes", lambda: [until(lambda: (m.beat(), len(m.has()))[1], lambda n: n == 4), f.consumers(g)[3:5]])
    f("GoneTopic", [t], 10_000)
    f.ask("topics: one goes", lambda: until(lambda: (m.beat(), m.has())[1], lambda has: len(has) == 1))


# --- from one protocol to the other -----------------------------------------------------------------------------------

def migrating(f):
    t = f.topic("t", 4)
    g = f.group("migrating")
    m = Classic(f, g, protocols=[["range", subscription(t)]])
    m.join()
    m.sync([[m.id, assignment({t: [0, 1, 2, 3]})]])
    c = Consumer(f, g, "member-c", names=[t])
    f.ask("upgrade: a consumer comes to a classic group", c.join)
    f.ask("upgrade: it is a consumer group", lambda: f.consumers(g))
    f.ask("upgrade: listed", lambda: [x for x in f.listed() if x[0] == g])
    f.ask("upgrade: the classic member has to rejoin", lambda: until(m.beat, lambda e: e == 27))
    f.ask("upgrade: its old generation", lambda: m.beat(generation=9))
    f.ask("upgrade: its sync now", lambda: m.sync())
    f.ask("upgrade: it joins and lets go", lambda: m.shown(m.join()))
    f.ask("upgrade: it syncs", lambda: m.sync(kind="consumer"))
    f.ask("upgrade: with another protocol", lambda: m.sync(protocol="other"))

    def rejoin(owned):
        m.protocols = [["range", subscription(t, owned=[(t, owned)])]]
        return m.shown(m.join())
    has = m.sync()[3][1].get(t, [])
    f.ask("upgrade: it has let go and joins again", lambda: rejoin(has))
    f.ask("upgrade: each has its half", lambda: [m.sync(), together(c, wanted=lambda said: said[2] == "Stable")])
    f.ask("upgrade: the classic member's heartbeat", m.beat)
    f.ask("upgrade: its commit", lambda: [m.commit(t, partition) for partition in (1,)])
    f.ask("upgrade: its commit of another generation", lambda: m.commit(t, generation=99))
    f.ask("upgrade: the consumer as a classic member", lambda: [m.beat(member="member-c"), m.sync(member="member-c")])
    n = Classic(f, g, protocols=[["other", subscription(t)]])
    f.ask("upgrade: a classic member without a common protocol", lambda: n.shown(n.join()))
    n = Classic(f, g, kind="connect")
    f.ask("upgrade: a member of another kind", lambda: n.shown(n.join()))
    n = Classic(f, g, protocols=[["range", subscription(t)]], client="n")
    n.send_join()
    f.ask("upgrade: another classic member, the id first", lambda: n.shown(n.joined()))
    n.send_join()
    f.ask("upgrade: then with its id", lambda: n.shown(n.joined())["error"])
    f.ask("upgrade: and it leaves", n.leave)
    f.ask("downgrade: the consumer leaves", lambda: c.shown(c.ask(epoch=-1)))
    f.ask("downgrade: it is a classic group", lambda: [f.consumers(g)[:2], f.state(g)[:5]])
    f.ask("downgrade: the classic member rejoins", lambda: [m.beat(), m.shown(m.join())["error"], m.sync([[m.id, assignment({t: [0]})]])])
    f.ask("downgrade: stable", lambda: f.state(g)[2:5])
    m.leave()
    f.ask("empty classic: a consumer comes", c.join)
    c.ask(epoch=-1)
    f.ask("empty consumer: described", lambda: f.consumers(g)[:6])
    f.ask("empty consumer: a classic member comes", lambda: (lambda x: [x.shown(x.join())["error"], f.state(g)[2:4]])(Classic(f, g)))
    other = Classic(f, f.group("connecting"), kind="connect", protocols=[["default", b""]])
    settle(other)
    f.ask("upgrade: not of another kind of group", lambda: Consumer(f, f.group("connecting"), "member-c", names=[t]).join())
    f.ask("forget in another kind of group", lambda: f("Forget", f.group("connecting"), [[t, [[0]]]]))


# --- offsets ----------------------------------------------------------------------------------------------------------

def offsets(f):
    t, g = f.topic("t", 4), f.group("simple")
    commit = lambda parts, topic=t, group=g: codes(f("Commit9", group, -1, "", None, [[topic, parts]]))
    f.ask("offsets: commit", lambda: commit([[0, 5, 0, "m"], [1, 6, -1, None], [9, 1, -1, ""]]))
    f.ask("offsets: unknown topic", lambda: commit([[0, 1, -1, ""]], topic=f.name("ghost")))
    f.ask("offsets: metadata at the limit and over it", lambda: commit([[2, 7, -1, "x" * 4096], [3, 7, -1, "x" * 4097]]))
    f.ask("offsets: negative", lambda: commit([[2, -1, -1, ""]]))
    f.ask("offsets: without a group", lambda: commit([[0, 1, -1, ""]], group=""))
    f.ask("offsets: the group is simple", lambda: [f.state(g), [x for x in f.listed() if x[0] == g]])
    shown = lambda said: [[x["error"], sorted([y["name"], sorted([p["index"], p["offset"], p["epoch"], p["metadata"][:3] if p["metadata"] else p["metadata"], p["error"]] for p in y["partitions"])] for y in x["topics"])]
                          for x in said["groups"]]
    f.ask("offsets: all", lambda: shown(f("Offsets", [[g, None, -1, None]], False)))
    f.ask("offsets: some", lambda: shown(f("Offsets", [[g, None, -1, [[t, [1, 3, 9]], [f.name("ghost"), [0]]]]], True)))
    f.ask("offsets: several groups", lambda: shown(f("Offsets", [[g, None, -1, [[t, [0]]]], [f.group("nobody"), None, -1, [[t, [0]]]], [f.group("nobody"), None, -1, None]], False)))
    f.ask("offsets: as a member of a simple group", lambda: shown(f("Offsets", [[g, "x", 3, [[t, [0]]]]], False)))
    f.ask("offsets: without a group, read", lambda: shown(f("Offsets", [["", None, -1, None]], False)))
    f.ask("offsets: older", lambda: f("Offsets5", g, [[t, [0, 3]]]))
    f.ask("offsets: older, all", lambda: (lambda s: [s["error"], sorted(p["index"] for x in s["topics"] for p in x["partitions"])])(f("Offsets5", g, None)))
    f.ask("offsets: oldest", lambda: f("Offsets1", g, [[t, [0, 3]]]))
    f.ask("offsets: forget", lambda: codes(f("Forget", g, [[t, [[0], [3], [9]]], [f.name("ghost"), [[0]]]])))
    f.ask("offsets: forget in an unknown group", lambda: f("Forget", f.group("nobody"), [[t, [[0]]]]))
    f.ask("offsets: forget without a group", lambda: f("Forget", "", [[t, [[0]]]]))
    f.ask("offsets: forgotten", lambda: shown(f("Offsets", [[g, None, -1, None]], False)))
    gone = f.topic("gone", 1)
    until(lambda: commit([[0, 1, -1, ""]], topic=gone)[0][1][0][1] == 0)
    f("GoneTopic", [gone], 10_000)
    f.ask("offsets: go with their topic", lambda: until(lambda: [y["name"] for x in f("Offsets", [[g, None, -1, None]], False)["groups"] for y in x["topics"]], lambda names: gone not in names))
    f.ask("offsets: a consumer joins the simple group", lambda: Consumer(f, g, "member-a", names=[t]).join())
    f.ask("offsets: they are still there", lambda: shown(f("Offsets", [[g, None, -1, None]], False)))
    f.ask("groups: delete without a name", lambda: f("Delete", [""])["results"])
    f.ask("groups: describe without a name", lambda: f.state(""))


def topic_ids(f):
    """Offsets of topics that are named by their ids."""
    t, other, g = f.topic("t", 3), f.topic("other", 1), f.group("by-id")
    ids = {x["name"]: x["id"] for x in f("Topics", [[NIL.bytes, t], [NIL.bytes, other]], False, False)["topics"]}
    names = {id: name for name, id in ids.items()}
    ghost = uuid.UUID(int=77)
    codes = lambda said: sorted([names.get(x["id"], str(x["id"])), sorted([p["index"], p["error"]] for p in x["partitions"])] for x in said["topics"])
    commit = lambda topics, group=g, generation=-1, member="": codes(f("Commit10", group, generation, member, None, [[id.bytes, parts] for id, parts in topics]))
    known, rest = [0, 5, 0, "m"], [[1, 6, -1, None], [9, 1, -1, ""]]
    f.ask("ids: commit", lambda: commit([[ids[t], [known, *rest]]]))
    f.ask("ids: commit, an unknown one", lambda: commit([[ghost, [known]], [ids[other], [known]]]))
    f.ask("ids: commit, unknown ones only", lambda: commit([[ghost, [known]], [NIL, [known]]], "nobody", 3, "x"))
    f.ask("ids: commit, metadata over the limit", lambda: commit([[ids[t], [[2, 7, -1, "x" * 4097]]]]))
    f.ask("ids: commit of a stranger", lambda: commit([[ids[t], [known]], [ghost, [known]]], g, 3, "x"))
    f.ask("ids: commit with a generation in an unknown group", lambda: commit([[ids[t], [known]]], f.group("nobody"), 3, "x"))
    f.ask("ids: commit without a group", lambda: commit([[ids[t], [known]]], ""))
    # It would be in every list of groups from now on.
    f.ask("ids: the group without a name is deleted", lambda: [r["error"] for r in f("Delete", [""])["results"]])
    f.ask("ids: commit of nothing", lambda: commit([]))
    shown = lambda said: [[x["error"], [[names.get(y["id"], str(y["id"])), sorted([p["index"], p["offset"], p["epoch"], p["metadata"], p["error"]] for p in y["partitions"])]
                                        for y in sorted(x["topics"], key=lambda y: names.get(y["id"], ""))]] for x in said["groups"]]
    read = lambda topics, group=g, member=None, epoch=-1, stable=False: shown(f("Offsets10", [[group, member, epoch, topics and [[id.bytes, parts] for id, parts in topics]]], stable))
    f.ask("ids: all", lambda: read(None))
    f.ask("ids: some", lambda: read([[ids[t], [1, 2, 9]], [ghost, [0, 4]], [ids[other], [0]]], stable=True))
    f.ask("ids: none", lambda: read([]))
    f.ask("ids: the unknown are last", lambda: [str(x["id"] in names) for x in f("Offsets10", [[g, None, -1, [[ghost.bytes, [0]], [ids[t].bytes, [0]], [NIL.bytes, [0]]]]], False)["groups"][0]["topics"]])
    f.ask("ids: of an unknown group", lambda: [read(None, f.group("nobody")), read([[ids[t], [0]], [ghost, [0]]], f.group("nobody"))])
    f.ask("ids: of no group", lambda: read([[ids[t], [0]]], ""))
    f.ask("ids: as a member of a simple group", lambda: read([[ids[t], [0]]], g, "x", 3))
    f.ask("ids: by name they are the same", lambda: sorted([y["name"], sorted([p["index"], p["offset"]] for p in y["partitions"])]
                                                        for y in f("Offsets", [[g, None, -1, None]], False)["groups"][0]["topics"]))
    member = Consumer(f, f.group("members"), "m", names=[t])
    member.join()
    until(lambda: (member.beat(), len(member.has()))[1] == 3)
    f.ask("ids: a member commits", lambda: commit([[ids[t], [known]], [ghost, [known]]], member.group, member.epoch, "m"))
    f.ask("ids: another member epoch commits", lambda: commit([[ids[t], [known]]], member.group, member.epoch + 1, "m"))
    f.ask("ids: a member reads", lambda: [read([[ids[t], [0]]], member.group, "m", epoch) for epoch in (member.epoch, member.epoch + 1)])
    f.ask("ids: a stranger reads", lambda: read([[ids[t], [0]]], member.group, "x", member.epoch))
    f("GoneTopic", [other], 10_000)
    f.ask("ids: of a topic that is gone", lambda: until(lambda: read([[ids[other], [0]]]), lambda said: said[0][1][0][1][0][4] == 100))
    f.ask("ids: a commit for a topic that is gone", lambda: commit([[ids[other], [known]]]))
    again = f.topic("other", 1)
    f.ask("ids: of a topic of the same name", lambda: [read([[ids[other], [0]]]), shown(f("Offsets10", [[g, None, -1, [[f("Topics", [[NIL.bytes, again]], False, False)["topics"][0]["id"].bytes, [0]]]]], False))[0][1][0][1]])


def filters(f):
    t = f.topic("t", 4)
    for i, kind in enumerate(("classic", "consumer")):
        g = f.group(f"filter-{kind}")
        if i:
            Consumer(f, g, "m", names=[t]).join()
        else:
            m = Classic(f, g)
            m.join(), m.sync()
    codes(f("Commit9", f.group("filter-simple"), -1, "", None, [[t, [[0, 1, -1, ""]]]]))
    only = lambda said: [x for x in said if x[0].startswith(f.name("filter-"))]
    for states, types in ([], []), (["stable"], []), (["Stable", "Empty"], []), ([" empty "], []), (["nonsense"], []), ([], ["consumer"]), ([], ["Classic"]), ([], ["share"]), ([], ["nonsense"]), (["Stable"], ["classic"]):
        f.ask(f"list {states} {types}", lambda states=states, types=types: only(f.listed(states, types)))


CASES = [joining, older, choosing, statics, pending, silent, late, invalid, consuming, consumer_statics, assignors, expressions, growing, migrating, offsets, topic_ids, filters]

if __name__ == "__main__":
    play(CASES, Groups, lambda run: Groups())
