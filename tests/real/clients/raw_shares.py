#!/usr/bin/env python3
"""Facts about share groups (KIP-932) as the bytes on the wire tell them: members and assignments, share sessions, what is
acquired and what becomes of it, and offsets. usage: raw_shares.py BOOTSTRAP PREFIX

Each case has groups and topics of its own, and they run side by side.
"""

import time
import uuid

from raw_case import ASSIGNED, DESCRIBED, Case, play, until
from wirecodec import MESSAGES, Connection, batch, headers

ACKS = "acks [first:i64 last:i64 types [i8]]"
READ = "throttle:i32 error:i16 message:ns lock:i32 topics [id:uuid partitions [index:i32 error:i16 message:ns ack_error:i16 ack_message:ns " \
       "leader (id:i32 epoch:i32) records:nb acquired [first:i64 last:i64 count:i16]]] nodes [id:i32 host:s port:i32 rack:ns]"
SAID = "topics [id:uuid partitions [index:i32 error:i16 message:ns leader (id:i32 epoch:i32)]] nodes [id:i32 host:s port:i32 rack:ns]"
OFFSETS = "throttle:i32 groups [id:s topics [name:s id:uuid partitions [index:i32 start:i64 epoch:i32 {}error:i16 message:ns]] error:i16 message:ns]"
MESSAGES |= {
    "ShareBeat": (76, 1, True, "group:s member:s epoch:i32 rack:ns names [s]",
                  "throttle:i32 error:i16 message:ns member:ns epoch:i32 interval:i32 assignment {" + ASSIGNED + "}"),
    "ShareDescribe": (77, 1, True, "groups [s] operations:bool",
                      "throttle:i32 groups [error:i16 message:ns id:s state:s epoch:i32 assigned:i32 assignor:s members [id:s rack:ns epoch:i32 "
                      f"client:s host:s names [s] has ({DESCRIBED})] operations:i32]"),
    "Read1": (78, 1, True, "group:ns member:ns epoch:i32 wait:i32 min:i32 max:i32 records:i32 size:i32 "
              f"topics [id:uuid partitions [index:i32 {ACKS}]] forget [id:uuid partitions [i32]]", READ),
    "Read": (78, 2, True, "group:ns member:ns epoch:i32 wait:i32 min:i32 max:i32 records:i32 size:i32 mode:i8 renew:bool "
             f"topics [id:uuid partitions [index:i32 {ACKS}]] forget [id:uuid partitions [i32]]", READ),
    "Say1": (79, 1, True, f"group:ns member:ns epoch:i32 topics [id:uuid partitions [index:i32 {ACKS}]]", "throttle:i32 error:i16 message:ns " + SAID),
    "Say": (79, 2, True, f"group:ns member:ns epoch:i32 renew:bool topics [id:uuid partitions [index:i32 {ACKS}]]",
            "throttle:i32 error:i16 message:ns lock:i32 " + SAID),
    "Starts0": (90, 0, True, "groups [id:s topics [name:s partitions [i32]]]", OFFSETS.format("")),
    "Starts": (90, 1, True, "groups [id:s topics [name:s partitions [i32]]]", OFFSETS.format("lag:i64 ")),
    "Alter": (91, 0, True, "group:s topics [name:s partitions [index:i32 start:i64]]",
              "throttle:i32 error:i16 message:ns topics [name:s id:uuid partitions [index:i32 error:i16 message:ns]]"),
    "ForgetStarts": (92, 0, True, "group:s topics [name:s]", "throttle:i32 error:i16 message:ns topics [name:s id:uuid error:i16 message:ns]"),
}


class Shares(Case):
    def __init__(self, case=""):
        super().__init__(case)
        self.ids = {}
        self.admin.socket.settimeout(60)

    def topic(self, name, partitions=1, **configs):
        full = self.name(name)
        self("NewTopic", [[full, partitions, 1, [], [[k.replace("_", "."), v] for k, v in configs.items()]]], 10_000, False)
        known = lambda: self("Topics", [[bytes(16), full]], False, False)["topics"][0]
        found = until(known, lambda t: t["error"] == 0 and all(p["error"] == 0 for p in t["partitions"]))
        self.ids[full] = found["id"]
        return full

    def group(self, name, **configs):
        full = super().group(name)
        if configs:
            self("IncrementalAlterConfigs", [[32, full, [[k.replace("_", "."), 0, v] for k, v in configs.items()]]], False)
            wanted = {k.replace("_", "."): v for k, v in configs.items()}
            read = lambda: {c["name"]: c["value"] for c in self("DescribeConfigs", [[32, full, None]], False, False)["results"][0]["configs"]}
            until(lambda: wanted.items() <= read().items())
        return full

    def produce(self, topic, *values, **how):
        """One batch, of now: retention takes older ones away in the middle of a case."""
        how = {"time": int(time.time() * 1000)} | how
        said = self("Produce", None, -1, 10_000, [[topic, [[0, batch([(None, v.encode()) for v in values], **how)]]]])
        return said["topics"][0]["partitions"][0]["error"]

    def shown(self, group):
        (g,) = self("ShareDescribe", [group], True)["groups"]
        has = lambda m: sorted([t["name"], sorted(t["partitions"])] for t in m["has"]["topics"])
        members = sorted([m["id"], m["rack"], m["epoch"], m["client"], m["host"], sorted(m["names"]), has(m)] for m in g["members"])
        return [g["error"], g["message"], g["state"], g["epoch"], g["assigned"], g["assignor"], members, g["operations"]]

    def starts(self, group, topics=None, message="Starts"):
        (g,) = self(message, [[group, topics]])["groups"]
        part = lambda p: [p["index"], p["start"], p["epoch"], p.get("lag"), p["error"], p["message"]]
        return [g["error"], g["message"], sorted([t["name"], t["id"].int == 0, sorted(part(p) for p in t["partitions"])] for t in g["topics"])]


class Member:
    """A member of a share group, on a connection of its own."""

    def __init__(self, f, group, member="m", names=None, at=None):
        self.f, self.group, self.id, self.names = f, group, member, names
        self.epoch, self.session, self.owned = 0, 0, {}
        self.c = Connection(at or f.bootstrap, "m")
        self.c.socket.settimeout(60)

    def ask(self, **changed):
        v = {"group": self.group, "member": self.id, "epoch": self.epoch, "rack": None, "names": None} | changed
        return self.c.ask("ShareBeat", *v.values())

    def told(self, said):
        has = said["assignment"]
        if said["error"] == 0:
            self.epoch = said["epoch"]
            if has is not None:
                self.owned = {t["id"]: sorted(t["partitions"]) for t in has["topics"]}
        return [said["error"], said["message"], said["member"], said["epoch"], said["interval"], None if has is None else sorted(sorted(t["partitions"]) for t in has["topics"])]

    def join(self, **changed):
        return self.told(self.ask(**({"epoch": 0, "names": self.names} | changed)))

    def beat(self, **changed):
        return self.told(self.ask(**changed))

    def has(self):
        return sorted(p for ps in self.owned.values() for p in ps)

    def topics(self, topic, acks=(), index=0):
        return [[self.f.ids[topic].bytes, [[index, [list(a) for a in acks]]]]]

    def read(self, topic, acks=(), message="Read", **changed):
        v = {"group": self.group, "member": self.id, "epoch": self.session, "wait": 300, "min": 1, "max": 1 << 20, "records": 500, "size": 500, "mode": 0, "renew": False,
             "topics": self.topics(topic, acks), "forget": []} | changed
        if message == "Read1":
            del v["mode"], v["renew"]
        said = self.c.ask(message, *v.values())
        self.session = v["epoch"] + 1 if said["error"] == 0 else self.session
        return said

    def got(self, *asked, **changed):
        """What a fetch gives: the error, or of each partition what was acquired and the batches that came with it."""
        said = self.read(*asked, **changed)
        part = lambda p: [p["index"], p["error"], p["message"], p["ack_error"], p["ack_message"], [[a["first"], a["last"], a["count"]] for a in p["acquired"]],
                          [[h["base"], h["last"]] for h in headers(p["records"] or b"")]]
        return [said["error"], said["message"], said["lock"], [part(p) for t in said["topics"] for p in t["partitions"]]]

    def first(self, topic, **changed):
        """What the first fetch gives that gives something: leaders learn of a group's state behind the first."""
        return until(lambda: self.got(topic, **changed), lambda said: said[0] or (said[3] and (said[3][0][1] or said[3][0][5])))

    def say(self, topic, *acks, message="Say", **changed):
        v = {"group": self.group, "member": self.id, "epoch": self.session, "renew": False, "topics": self.topics(topic, acks)} | changed
        if message == "Say1":
            del v["renew"]
        said = self.c.ask(message, *v.values())
        self.session = v["epoch"] + 1 if said["error"] == 0 else self.session
        return [said["error"], said["message"], said.get("lock"), [[p["index"], p["error"], p["message"]] for t in said["topics"] for p in t["partitions"]]]


def settled(*members):
    """Heartbeats of all until every member has something."""
    until(lambda: [m.beat() for m in members] and time.sleep(0.2) is None and all(m.owned for m in members))


def in_force(f, group, *members):
    """Heartbeats of all until every member has what the group's newest epoch gives it."""
    def epochs():
        for m in members:
            m.beat()
        return {*f.shown(group)[3:5], *(m.epoch for m in members)}
    until(epochs, lambda known: len(known) == 1)


def subscribe(f, group, topic):
    """Somebody joins, so that the group reads the topic; with the assignment the states of its partitions are there."""
    m = Member(f, group, "x", names=[topic])
    m.join()
    settled(m)


# --- groups -----------------------------------------------------------------------------------------------------------

def joining(f):
    t, g = f.topic("t", 2), f.group("joining")
    m = Member(f, g, "member-a", names=[t])
    f.ask("join without a group", lambda: m.join(group=""))
    f.ask("join without a member id", lambda: m.join(member=""))
    f.ask("join with a long member id", lambda: [m.join(member="x" * 37)[:2], m.join(member="x" * 37, group="")[:2]])
    f.ask("join with a blank rack", lambda: m.join(rack=" "))
    f.ask("join without topics", lambda: [m.join(names=None), m.join(names=[])])
    f.ask("beat of an invalid epoch", lambda: m.beat(epoch=-2))
    f.ask("beat in an unknown group", lambda: m.beat(epoch=1))
    f.ask("leave an unknown group", lambda: m.beat(epoch=-1))
    f.ask("describe an unknown group", lambda: f.shown(g))
    f.ask("describe without a name", lambda: f.shown(""))
    f.ask("join", m.join)
    f.ask("joined", lambda: f.shown(g)[:3])
    settled(m)
    f.ask("settled", lambda: [m.has(), f.shown(g)])
    f.ask("beat", m.beat)
    f.ask("beat with topics", lambda: m.beat(names=[t]))
    f.ask("beat of the epoch before", lambda: m.ask(epoch=m.epoch - 1)["error"])
    f.ask("beat of a later epoch", lambda: m.ask(epoch=m.epoch + 5)["message"])
    f.ask("beat of an older epoch", lambda: m.ask(epoch=1)["message"])
    f.ask("beat of a stranger", lambda: m.ask(member="stranger", epoch=3)["message"])
    f.ask("leave as a stranger", lambda: m.ask(member="stranger", epoch=-1)["message"])
    f.ask("rejoin", m.join)
    f.ask("listed", f.listed)
    f.ask("listed by type", lambda: [f.listed([], ["share"]), f.listed([], ["consumer"]), f.listed(["stable"], ["Share"]), f.listed(["dead"])])
    f.ask("delete with members", lambda: f("Delete", [g])["results"])
    n = Member(f, g, "member-b", names=[t])
    # Its epoch and assignment come with this answer or with a later one: `group.share.assignment.interval.ms` after the last.
    f.ask("a second member", lambda: n.join()[:3])
    settled(m, n)
    f.ask("two members", lambda: until(lambda: (m.beat(), n.beat(), sorted(m.has() + n.has()))[2], lambda all: all == [0, 1]))
    k = Member(f, g, "member-c", names=[t])
    k.join()
    f.ask("three members of two partitions", lambda: (in_force(f, g, m, n, k), sorted(len(x.has()) for x in (m, n, k)))[1])
    k.beat(epoch=-1)
    f.ask("a second member leaves", lambda: n.beat(epoch=-1))
    f.ask("alone again", lambda: until(lambda: (m.beat(), m.has())[1], lambda all: all == [0, 1]))
    f.ask("an unknown topic", lambda: (m.beat(names=[f.name("ghost")])[:2], until(lambda: (m.beat(), m.has())[1], lambda all: not all)))
    f.ask("leave", lambda: m.beat(epoch=-1))
    f.ask("empty", lambda: [f.shown(g)[:3], f.listed()])
    f.ask("delete", lambda: [f("Delete", [g])["results"], f.shown(g)[:2], f.listed()])


def mixing(f):
    t, g = f.topic("t"), f.group("mixing")
    m = Member(f, g, "m", names=[t])
    m.join()
    c = lambda: f("Beat", g, "c", 0, None, None, 60_000, [t], None, None, [])
    f.ask("a consumer comes to a share group", lambda: [c()["error"], c()["message"]])
    f.ask("a classic member comes to a share group", lambda: f("Join", g, 30_000, 30_000, "", None, "consumer", [["range", b""]], None))
    f.ask("classic requests to a share group", lambda: [f("Sync", g, 1, "x", None, None, None, [])["error"], f("Heartbeat", g, 1, "x", None)["error"],
                                                       f("Leave", g, [["x", None, None]])])
    f.ask("describe a share group as others", lambda: [f("Describe", [g], False)["groups"], f("ConsumerDescribe", [g], False)["groups"]])
    f.ask("commit in a share group", lambda: [f("Commit9", g, -1, "", None, [[t, [[0, 1, -1, ""]]]])["topics"], f("Commit8", g, -1, "", None, [[t, [[0, 1, -1, ""]]]])["topics"]])
    f.ask("offsets of a share group", lambda: [f("Offsets", [[g, None, -1, None]], False)["groups"], f("Forget", g, [[t, [[0]]]])])
    f.group("a-consumer")
    o = f.name("a-consumer")
    f("Beat", o, "c", 0, None, None, 60_000, [t], None, None, [])
    s = Member(f, o, "m", names=[t])
    f.ask("a share member comes to a consumer group", lambda: [s.join(), s.beat(epoch=1), s.beat(epoch=-1)])
    f.ask("describe a consumer group as a share group", lambda: f.shown(o))
    f.ask("offsets of a consumer group as a share group", lambda: [f.starts(o), f("Alter", o, [[t, [[0, 0]]]])["message"], f("ForgetStarts", o, [[t]])["message"]])
    m.beat(epoch=-1)
    f.ask("a consumer comes to an empty share group", lambda: [c()["error"], c()["message"]])
    f.ask("a classic member comes to an empty share group", lambda: f("Join", g, 30_000, 30_000, "", None, "consumer", [["range", b""]], None)["error"])


# --- sessions and records ---------------------------------------------------------------------------------------------

def sessions(f):
    t = f.topic("t")
    g = f.group("sessions", share_auto_offset_reset="earliest")
    f.produce(t, "a", "b", "c")
    subscribe(f, g, t)
    who = lambda name: Member(f, g, name)
    f.ask("read without a group", lambda: who("m").got(t, group=None))
    f.ask("read without a member", lambda: [who("m").got(t, member=None), who("m").got(t, member=""), who("m").got(t, member="x" * 37)])
    f.ask("read in no session", lambda: who("m").got(t, epoch=1))
    f.ask("close no session", lambda: who("m").got(t, epoch=-1))
    f.ask("say in no session", lambda: [who("m").say(t, [0, 0, [1]], epoch=e) for e in (0, 1, -1)])
    f.ask("open a session with something to say", lambda: who("m").got(t, [[0, 0, [1]]]))
    m = who("m")
    f.ask("read", lambda: m.first(t))
    f.ask("read again, nothing", lambda: m.got(t))
    f.ask("read in another epoch", lambda: m.got(t, epoch=9))
    f.ask("say in another epoch", lambda: m.say(t, [0, 0, [1]], epoch=9))
    f.ask("say", lambda: m.say(t, [0, 0, [1]]))
    f.ask("say with the next read", lambda: m.got(t, [[1, 2, [2]]]))
    f.ask("read older", lambda: m.got(t, message="Read1", topics=[]))
    f.ask("an unknown partition", lambda: m.got(t, topics=[[f.ids[t].bytes, [[9, []]]]]))
    f.ask("forgotten", lambda: m.got(t, topics=[], forget=[[f.ids[t].bytes, [9]]]))
    f.ask("say of an unknown partition", lambda: m.say(t, topics=[[f.ids[t].bytes, [[9, [[0, 0, [1]]]]]]]))
    f.ask("say of an unknown topic", lambda: m.say(t, topics=[[uuid.UUID(int=7).bytes, [[0, [[0, 0, [1]]]]]]]))
    unknown = [[uuid.UUID(int=7).bytes, [[0, []]]]]
    f.ask("read an unknown topic", lambda: (lambda x: [x.got(t, topics=unknown), x.got(t, epoch=1, topics=[]), x.got(t, epoch=2, forget=[[unknown[0][0], [0]]])])(who("u")))
    f.ask("say nothing", lambda: [m.say(t), m.say(t, topics=[])])
    f.ask("close", lambda: m.got(t, [[1, 1, [1]]], epoch=-1))
    f.ask("closed", lambda: m.got(t, epoch=3))
    n = who("n")
    f.ask("what was not said comes back", lambda: n.got(t))
    f.ask("close by saying", lambda: [n.say(t, epoch=-1, topics=[]), n.say(t, epoch=-1, topics=[])])
    k = who("k")
    f.ask("once more", lambda: k.got(t))
    k.c.close()
    f.ask("a connection ends", lambda: until(lambda: who(f"w{time.monotonic_ns() % 1000}").got(t, wait=0), lambda said: said[3] and said[3][0][5]))


def words(f):
    t = f.topic("t")
    g = f.group("words", share_auto_offset_reset="earliest")
    subscribe(f, g, t)
    f.produce(t, *"abcde")
    f.produce(t, *"fghij")
    m, n = Member(f, g, "m"), Member(f, g, "n")
    f.ask("one batch of two", lambda: m.first(t, records=3))
    f.ask("the other", lambda: n.got(t, records=3))
    f.ask("of another's batch", lambda: n.say(t, [0, 4, [1]]))
    f.ask("of a part of another's batch", lambda: n.say(t, [1, 2, [1]]))
    f.ask("of more than there is", lambda: [m.say(t, [0, 99, [1]]), m.say(t, [50, 99, [1]])])
    f.ask("of what both have", lambda: m.say(t, [3, 6, [1]]))
    f.ask("backwards", lambda: [m.say(t, [2, 1, [1]]), m.say(t, [2, 3, [1]], [0, 1, [1]])])
    f.ask("with no word, and with too many", lambda: [m.say(t, [0, 0, []]), m.say(t, [0, 1, [1, 1, 1]])])
    f.ask("with an unknown word", lambda: [m.say(t, [0, 0, [9]]), m.say(t, [0, 0, [-1]]), m.say(t, [0, 0, [4]])])
    f.ask("each its own word", lambda: m.say(t, [0, 4, [1, 2, 3, 0, 2]]))
    f.ask("the same once more", lambda: m.say(t, [1, 1, [1]]))
    f.ask("what came back", lambda: m.got(t))
    f.ask("accepted", lambda: m.say(t, [1, 1, [1]], [4, 4, [1]]))
    f.ask("accepted already", lambda: m.say(t, [1, 1, [1]]))
    f.ask("where the group is", lambda: f.starts(g))
    f.ask("renew", lambda: n.say(t, [5, 6, [4]], renew=True))
    f.ask("renew by reading", lambda: [n.got(t, [[5, 6, [4]]], renew=True), n.got(t, [[5, 6, [4]]], renew=True, wait=0, min=0, max=0, records=0)])
    f.ask("older words", lambda: n.say(t, [5, 9, [1]], message="Say1"))
    f.ask("all is done", lambda: f.starts(g))
    h = f.group("no-renewal", share_auto_offset_reset="earliest", share_renew_acknowledge_enable="false")
    subscribe(f, h, t)
    k = Member(f, h, "k")
    k.first(t)
    f.ask("renew where that is not allowed", lambda: k.say(t, [0, 4, [4]], renew=True))


def modes(f):
    t = f.topic("t")
    g = f.group("modes", share_auto_offset_reset="earliest")
    subscribe(f, g, t)
    for start in range(0, 12, 3):
        f.produce(t, *(str(i) for i in range(start, start + 3)))
    m = Member(f, g, "m")
    f.ask("batches of a size", lambda: m.first(t, size=5))
    f.ask("all back", lambda: m.got(t, epoch=-1))
    m.session = 0
    f.ask("so many records", lambda: m.got(t, mode=1, records=4))
    f.ask("the rest of the batch", lambda: m.got(t, mode=1, records=4))
    f.ask("and what is left", lambda: m.got(t))
    f.ask("an unknown mode", lambda: (lambda n: [n.got(t, mode=7), n.got(t, epoch=1)])(Member(f, g, "n")))
    f.ask("no records", lambda: Member(f, g, "k").got(t, records=0, wait=0))


def deliveries(f):
    t = f.topic("t")
    g = f.group("deliveries", share_auto_offset_reset="earliest")
    subscribe(f, g, t)
    f.produce(t, *"abcdefgh")
    m = Member(f, g, "m")

    def again():
        said = m.first(t) if not m.session else m.got(t)
        acquired = said[3][0][5] if said[3] else []
        if acquired:
            m.say(t, *[[first, last, [2]] for first, last, _ in acquired])
        return acquired
    for delivery in range(1, 8):
        f.ask(f"delivery {delivery}", again)
    f.ask("given up", lambda: f.starts(g))


def locks(f):
    t = f.topic("t")
    g = f.group("locks", share_auto_offset_reset="earliest", share_record_lock_duration_ms="15000")
    subscribe(f, g, t)
    f.produce(t, "a", "b")
    m, n = Member(f, g, "m"), Member(f, g, "n")
    f.ask("locked", lambda: m.first(t))
    f.ask("nothing for others", lambda: n.got(t))
    begun = time.monotonic()
    f.ask("until the lock is over", lambda: until(lambda: n.got(t, wait=2_000)[3], deadline_s=30))
    f.ask("which takes its time", lambda: 12 < time.monotonic() - begun < 20)
    f.ask("too late", lambda: m.say(t, [0, 1, [1]]))


def resets(f):
    t = f.topic("t")
    f.produce(t, "a", "b", time=int(time.time() * 1000))
    for reset in ("latest", "earliest", "by_duration:PT1H"):
        g = f.group(f"reset-{reset[:4]}", share_auto_offset_reset=reset)
        subscribe(f, g, t)
        m = Member(f, g, "m")
        f.ask(f"reset {reset}", lambda: m.got(t, wait=1_000) if reset == "latest" else m.first(t))
    g = f.group("no-reset")
    subscribe(f, g, t)
    m = Member(f, g, "m")
    f.ask("without a reset", lambda: m.got(t, wait=1_000))
    f.produce(t, "c", time=int(time.time() * 1000))
    f.ask("and what comes then", lambda: m.got(t, wait=5_000))
    f.ask("a group that nobody is in", lambda: Member(f, f.group("ghosts", share_auto_offset_reset="earliest"), "m").first(t))


def starts(f):
    t, u = f.topic("t", 2), f.topic("u")
    g = f.group("starts", share_auto_offset_reset="earliest")
    f.ask("starts of an unknown group", lambda: [f.starts(g), f.starts(g, message="Starts0")])
    f.ask("starts of an unknown topic", lambda: f.starts(g, [[f.name("ghost"), [0]]]))
    f.ask("starts of a group that has none", lambda: f.starts(g, [[t, [0, 9]]]))
    f.ask("starts without a group", lambda: f.starts(""))
    f.ask("alter without a group", lambda: f("Alter", "", [[t, [[0, 1]]]]))
    f.ask("forget in an unknown group", lambda: f("ForgetStarts", g, [[t]]))
    f.ask("forget without a group", lambda: f("ForgetStarts", "", [[t]]))
    n = f.group("made", share_auto_offset_reset="earliest")
    f.ask("alter nothing in an unknown group", lambda: [f("Alter", n, []), f.shown(n)])
    f.ask("alter in an unknown group", lambda: [f("Alter", n, [[t, [[0, 1]]]]), f.shown(n), f.listed([], ["share"]), f.starts(n)])
    f.ask("alter an unknown topic in it", lambda: [f("Alter", n, [[f.name("ghost"), [[0, 1]]]])["topics"][0]["partitions"], f.shown(n)[3:5]])
    f.ask("and somebody joins", lambda: Member(f, n, "y", names=[t]).join())
    m = Member(f, g, "x", names=[t])
    m.join()
    settled(m)
    f.ask("nobody has read", lambda: [f.starts(g), f.starts(g, [[t, [0, 7]], [u, [0]], [f.name("ghost"), [0]]]), f.starts(g, message="Starts0")])
    f.produce(t, *"abcd")
    m.first(t)
    f.ask("somebody has read", lambda: f.starts(g))
    m.say(t, [0, 0, [1]], [2, 2, [3]])
    f.ask("somebody has said something", lambda: f.starts(g))
    f.ask("alter with members", lambda: f("Alter", g, [[t, [[0, 1]]]]))
    f.ask("forget with members", lambda: f("ForgetStarts", g, [[t]]))
    m.beat(epoch=-1)
    m.got(t, epoch=-1)
    m.c.close()
    epoch = f.shown(g)[3]
    shown = lambda said: [said["error"], said["message"], sorted([x["name"], x["id"].int == 0, [[p["index"], p["error"], p["message"]] for p in x["partitions"]]] for x in said["topics"])]
    f.ask("alter nothing", lambda: shown(f("Alter", g, [])))
    f.ask("alter", lambda: shown(f("Alter", g, [[t, [[0, 3], [9, 1]]], [f.name("ghost"), [[0, 1]]]])))
    f.ask("the epoch after it", lambda: f.shown(g)[3] - epoch)
    f.ask("altered", lambda: f.starts(g))
    f.ask("alter a topic that was not read", lambda: [shown(f("Alter", g, [[u, [[0, 0]]]])), f.starts(g)])
    f.ask("read from there", lambda: Member(f, g, "y").first(t))
    gone = lambda said: [said["error"], said["message"], sorted([x["name"], x["id"].int == 0, x["error"], x["message"]] for x in said["topics"])]
    f.ask("forget nothing", lambda: gone(f("ForgetStarts", g, [])))
    f.ask("forget", lambda: gone(f("ForgetStarts", g, [[t], [f.name("ghost")]])))
    f.ask("forgotten", lambda: f.starts(g))
    f.ask("forget once more", lambda: gone(f("ForgetStarts", g, [[t]])))
    f.ask("the coordinator of a share partition", lambda: [[x["error"], x["message"]] for x in f("Find6", 2, [f"{g}:{encoded(f.ids[t])}:0", "nonsense", f"{g}:x:0"])["found"]])


def encoded(topic):
    import base64
    return base64.urlsafe_b64encode(topic.bytes).decode().rstrip("=")


CASES = [joining, mixing, sessions, words, modes, deliveries, locks, resets, starts]

if __name__ == "__main__":
    play(CASES, Shares, lambda run: Shares(f"{run.__name__}-"))
