"""Facts about share groups on three brokers (three_brokers.py): the leader of what is read, the coordinator of the group and that of
its shares go, one by one and all at once."""

import time
import uuid

from confluent_kafka import ElectionType

from facts import DEADLINE_S, Facts, until
from raw_shares import Member, Shares, encoded
from three_failures import GROUP, all_back, asked
from wirecodec import batch

SHARE = 2
ACCEPT, RELEASE, REJECT = 1, 2, 3
MOVING = (14, 15, 16)
NOT_LEADER = 6


class Home(Shares):
    """A topic of one partition and a group that reads it, looked after by the brokers that are wanted. Its facts start with its name."""

    def __init__(self, f, name, leader, shares, coordinator):
        super().__init__()
        self.f, self.title = f, name
        f.create(name, [[leader, leader % 3 + 1, (leader + 1) % 3 + 1]])
        self.t = self.name(name)
        self.ids[self.t] = self.known()["id"]
        names = [self.name(f"{name}-{n}") for n in range(150)]
        places = lambda: zip(names, self.found(GROUP, names), self.found(SHARE, map(self.share, names)))
        def placed():
            # Each broker leads its share again, of the internal topics too, as soon as it is in sync in all of them.
            f.admin.elect_leaders(ElectionType.PREFERRED, None).result(DEADLINE_S)
            return next((group for group, *at in places() if at == [coordinator, shares]), None)
        self.g = until(placed)
        self("IncrementalAlterConfigs", [[32, self.g, [["share.auto.offset.reset", 0, "earliest"]]]], False)
        self.beats, self.readers = None, []

    def normal(self, text):
        return self.f.normal(text.replace(self.g, "GROUP"))

    def say(self, name, value):
        Facts.say(self, f"{self.title}: {name}", value)

    def __call__(self, message, *values):
        """Questions about the group go to its coordinator."""
        if message not in ("ShareDescribe", "Starts"):
            return super().__call__(message, *values)
        ready = lambda said: said["groups"][0]["error"] not in MOVING
        return until(lambda: asked(self.f, self.coordinator() or 1, message, *values), ready)

    def known(self):
        """What the cluster knows of the topic."""
        return until(lambda: self("Topics", [[bytes(16), self.t]], False, False)["topics"][0], lambda t: t["error"] == 0)

    def leader(self):
        return self.known()["partitions"][0]["leader"]

    def share(self, group):
        """The key of a group's share of the partition."""
        return f"{group}:{encoded(self.ids[self.t])}:0"

    def found(self, kind, keys):
        """The brokers that coordinate; None where nobody does."""
        keys = list(keys)
        found = {x["key"]: x["node"] if x["error"] == 0 else None for x in self("Find6", kind, keys)["found"]}
        return [found[key] for key in keys]

    def coordinator(self):
        return self.found(GROUP, [self.g])[0]

    def member(self, broker):
        return Member(self, self.g, "m", names=[self.t], at=self.bootstrap.split(",")[broker - 1])

    def produce(self, *values):
        """One batch, of now."""
        data = batch([(None, v.encode()) for v in values], time=int(time.time() * 1000))
        def error():
            said = asked(self.f, self.leader(), "Produce", None, -1, 10_000, [[self.t, [[0, data]]]])
            return said["topics"][0]["partitions"][0]["error"]
        return until(error, lambda error: error == 0)

    def offsets(self):
        """Where the group is, as soon as the leader can be asked for its end."""
        return until(lambda: self.starts(self.g), lambda said: all(p[4] != NOT_LEADER for t in said[2] for p in t[2]))

    def join(self):
        def joined():
            self.beats = self.member(until(self.coordinator))
            return self.beats.join()
        until(joined, lambda said: said[0] not in MOVING)
        until(lambda: self.beats.beat() and self.beats.owned)

    def first(self):
        """What is acquired first, by a session of its own at who leads now, and knows it."""
        def opened():
            # Earlier ones stay connected: Kafka may take the end of an old connection for the end of the member's next session.
            self.readers.append(self.member(self.leader()))
            return self.reader.first(self.t)
        return until(opened, lambda said: said[0] or said[3][0][1] != NOT_LEADER)

    @property
    def reader(self):
        return self.readers[-1]

    def got(self, *acks, **changed):
        return self.reader.got(self.t, acks, **changed)

    def word(self, *acks):
        """What is answered to words about records: [first, last, word]."""
        return self.reader.say(self.t, *([first, last, [word]] for first, last, word in acks))

    def moved(self):
        """The first heartbeat to the next coordinator that it answers."""
        epoch = self.beats.epoch
        self.beats = self.member(until(self.coordinator))
        self.beats.epoch = epoch
        return until(self.beats.beat, lambda said: said[0] not in MOVING)

    def gone(self, broker, how="stop"):
        """A broker goes; what it looked after is with others then."""
        self.f.broker(how, broker)
        away = lambda at: not {None, -1, broker} & set(at)
        until(lambda: [self.leader(), self.coordinator(), *self.found(SHARE, [self.share(self.g)])], away)

    def back(self, broker):
        self.f.broker("start", broker)
        all_back(self.f, self.title)


def share_leaders(f):
    """The leader goes: what was said of a record is known to the next one; what was acquired there nobody has any more."""
    for how, leader in (("stop", 2), ("kill", 3)):
        h = Home(f, f"share-leader-{how}", leader, shares=1, coordinator=1)
        h.ask("produced", lambda: h.produce(*"abcdef"))
        h.join()
        h.ask("read", h.first)
        h.ask("said", lambda: h.word([0, 0, ACCEPT], [1, 1, RELEASE], [2, 2, REJECT]))
        h.ask("read again", h.got)
        h.ask("released again", lambda: h.word([1, 1, RELEASE]))
        h.ask("read a third time", h.got)
        h.ask("offsets before", h.offsets)
        h.gone(leader, how)
        h.ask("offsets", h.offsets)
        h.ask("read of the next", lambda: [h.first(), h.got()])
        h.ask("said to the next", lambda: h.word([1, 1, ACCEPT], [3, 3, ACCEPT], [4, 5, RELEASE]))
        h.ask("read again of the next", h.got)
        h.ask("the member beats on", h.beats.beat)
        h.ask("described", lambda: h.shown(h.g))
        h.ask("offsets then", h.offsets)
        h.back(leader)
        h.ask("elected", lambda: f.admin.elect_leaders(ElectionType.PREFERRED, None).result(DEADLINE_S) and until(h.leader, lambda at: at == leader) == leader)
        hints = lambda said: [[p["error"], p["message"], p["ack_error"], p["ack_message"], p["leader"]] for t in said["topics"] for p in t["partitions"]]
        h.ask("read of who leads no more", lambda: until(lambda: hints(h.reader.read(h.t))))
        h.ask("said to who leads no more", lambda: h.word([4, 4, ACCEPT]))
        h.ask("read of who leads again", h.first)
        h.ask("all is accepted", lambda: [h.word([4, 5, ACCEPT]), h.got()])
        h.ask("offsets in the end", h.offsets)


def share_coordinators(f):
    """The coordinator of the shares goes: what was said is kept, and what is said now too."""
    for how, shares in (("stop", 3), ("kill", 2)):
        h = Home(f, f"share-coordinator-{how}", 1, shares, coordinator=1)
        h.produce(*"abcdef")
        h.join()
        h.ask("read", h.first)
        h.ask("said", lambda: h.word([0, 0, ACCEPT], [1, 1, RELEASE]))
        h.gone(shares, how)
        h.ask("offsets", h.offsets)
        h.ask("said to the same leader", lambda: h.word([2, 2, ACCEPT], [3, 3, RELEASE]))
        h.ask("read again", h.got)
        h.ask("accepted", lambda: h.word([1, 1, ACCEPT], [3, 5, ACCEPT]))
        h.produce(*"gh")
        h.ask("read on", h.got)
        h.ask("described", lambda: h.shown(h.g))
        h.back(shares)
        h.ask("accepted, all are back", lambda: h.word([6, 7, ACCEPT]))
        h.ask("offsets in the end", h.offsets)


def share_groups(f):
    """The group's coordinator goes: its members stay, and read on meanwhile."""
    for how, coordinator in (("stop", 2), ("kill", 3)):
        h = Home(f, f"share-group-{how}", 1, shares=1, coordinator=coordinator)
        h.produce(*"abcd")
        h.join()
        h.ask("read", h.first)
        h.ask("described before", lambda: h.shown(h.g))
        h.gone(coordinator, how)
        h.ask("read meanwhile", lambda: [h.word([0, 1, ACCEPT]), h.got()])
        h.ask("the member beats on", h.moved)
        h.ask("beats where nobody coordinates", lambda: h.member(({1, 2, 3} - {coordinator, h.coordinator()}).pop()).beat(epoch=h.beats.epoch))
        h.ask("described", lambda: h.shown(h.g))
        h.ask("offsets", h.offsets)
        h.ask("it leaves", lambda: [h.beats.beat(epoch=-1), h.shown(h.g)[:3]])
        h.back(coordinator)
        h.ask("it joins again", lambda: [h.join(), h.beats.has()])
        h.ask("what it had not said comes back", lambda: [h.got(epoch=-1), h.first()])
        h.ask("offsets in the end", h.offsets)


def share_all(f):
    """Leader and coordinators are one broker, and it goes."""
    for how, broker in (("stop", 3), ("kill", 2)):
        h = Home(f, f"share-all-{how}", broker, broker, broker)
        h.produce(*"abcdef")
        h.join()
        h.ask("read", h.first)
        h.ask("said", lambda: h.word([0, 1, ACCEPT], [2, 2, RELEASE], [4, 4, REJECT]))
        h.gone(broker, how)
        h.ask("offsets", h.offsets)
        h.ask("read of the next", h.first)
        h.ask("the member beats on", h.moved)
        h.ask("described", lambda: h.shown(h.g))
        h.ask("accepted", lambda: h.word([2, 3, ACCEPT], [5, 5, ACCEPT]))
        h.back(broker)
        h.ask("offsets in the end", h.offsets)


def coordinators(f):
    """The internal topics of groups are made while all brokers are there to have a replica of them."""
    for kind, key in ((GROUP, f.name("any")), (SHARE, f"{f.name('any')}:{encoded(uuid.UUID(int=1))}:0")):
        until(lambda: asked(f, 1, "Find6", kind, [key])["found"][0]["error"] == 0)


PARTS = (share_leaders, share_coordinators, share_groups, share_all)
