#!/usr/bin/env python3
"""Facts about a cluster as the bytes on the wire tell them, without a client between. usage: wire.py BOOTSTRAP PREFIX"""

import re
import time
import uuid

from facts import Facts, until
from wirecodec import MESSAGES, Connection, batch, headers, record

TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = range(4)
LATEST, EARLIEST, MAX_TIME, LOCAL_EARLIEST, TIERED, LOCAL_NEXT = -1, -2, -3, -4, -5, -6
NIL = bytes(16)
# Records' time: an hour ago, so that it is no append time, and retention leaves them alone.
NOW = int(time.time() * 1000) - 3_600_000


class Closed(Exception):
    """The broker has closed the connection, or says nothing."""


class Wire(Facts):
    def __init__(self):
        super().__init__()
        self.marks = 0
        self.connection = Connection(self.bootstrap)

    def __call__(self, name, *values):
        """One question; where the connection was closed, the next question gets a new one."""
        try:
            return self.connection.ask(name, *values)
        except (ConnectionError, TimeoutError) as error:
            self.connection.close()
            self.connection = Connection(self.bootstrap)
            raise Closed("no answer" if isinstance(error, TimeoutError) else "closed") from error

    @staticmethod
    def error(error):
        return str(error) if isinstance(error, Closed) else Facts.error(error)

    def normal(self, text):
        """Times of this script's own records as what they are after NOW."""
        def shown(found):
            ahead = int(found[0]) - NOW
            return f"NOW+{ahead}" if 0 <= ahead < 1000 else found[0]
        return super().normal(re.sub(r"\b\d{13}\b", shown, text))

    def settle(self):
        """Waits until the broker knows of all that was changed: Kafka answers when its controller does."""
        self.marks += 1
        mark = str(45_000 + self.marks % 10_000)
        self.incremental(GROUP, self.name("settled"), [("consumer.session.timeout.ms", SET, mark)])
        until(lambda: self.described(GROUP, self.name("settled"))["consumer.session.timeout.ms"][0] == mark)
        # Those who apply it are told one after the other.
        time.sleep(0.005)

    # Short forms; topics and groups get the prefix.
    def create(self, name, partitions=1, replicas=1, configs=(), assignments=(), dry=False, message="CreateTopics"):
        said = self(message, [[self.name(name), partitions, replicas, assignments, list(configs)]], 10_000, dry)["topics"][0]
        if "configs" not in said:
            return [said["error"], said["message"]]
        return [said["error"], said["message"], said["partitions"], said["replicas"], said["id"] != uuid.UUID(int=0),
                sorted([c["name"], c["value"], c["source"]] for c in said["configs"] or [] if c["source"] != 5)]

    def topic(self, name, **configs):
        """A new topic with these configs (dots for underscores); its full name."""
        said = self.create(name, configs=[(k.replace("_", "."), v) for k, v in configs.items()])
        assert said[0] == 0, said
        # Kafka answers before the broker knows of it.
        until(lambda: self.offset(self.name(name), LATEST)[0] == 0)
        return self.name(name)

    def incremental(self, kind, name, changes, dry=False):
        said = self("IncrementalAlterConfigs", [[kind, name, [[n, op, v] for n, op, v in changes]]], dry)
        return [[r["error"], r["message"]] for r in said["results"]]

    def alter(self, kind, name, configs, dry=False):
        return [[r["error"], r["message"]] for r in self("AlterConfigs", [[kind, name, list(configs)]], dry)["results"]]

    def described(self, kind, name, keys=None, synonyms=True, docs=False, message="DescribeConfigs"):
        flags = [synonyms] if message == "DescribeConfigs1" else [synonyms, docs]
        (result,) = self(message, [[kind, name, keys]], *flags)["results"]
        if result["error"]:
            return [result["error"], result["message"]]
        return {c["name"]: [c["value"], c["source"], c["read_only"], c["sensitive"], [[s["name"], s["value"], s["source"]] for s in c["synonyms"]],
                            c.get("type"), *([c["docs"]] if docs else [])] for c in result["configs"]}

    def value(self, kind, name, key):
        """What is in force now, and why."""
        self.settle()
        said = self.described(kind, name, [key])
        return said[key][:5] if isinstance(said, dict) and key in said else said

    def produce(self, topic, data, acks=-1, index=0, timeout=10_000):
        """What a produce of ready bytes is answered."""
        said = self("Produce", None, acks, timeout, [[topic, [[index, data]]]])
        (p,) = said["topics"][0]["partitions"]
        return {k: v for k, v in p.items() if k in ("error", "base", "time", "start", "record_errors", "message")}

    def fetch(self, topic, offset=0, index=0, size=10_000_000, isolation=0, leader_epoch=-1, wait=100):
        said = self("Fetch", -1, wait, 1, size, isolation, 0, -1, [[topic, [[index, leader_epoch, offset, -1, size]]]], [], "")
        return said["topics"][0]["partitions"][0]

    def headers(self, topic, offset=0):
        return headers(until(lambda: self.fetch(topic, offset)["records"] or b"", deadline_s=5))

    def offset(self, topic, time, message="ListOffsets", index=0, leader_epoch=-1):
        said = self(message, -1, 0, [[topic, [[index, leader_epoch, time]]]], *([1000] if message == "ListOffsets10" else []))
        (p,) = said["topics"][0]["partitions"]
        return [p["error"], p["time"], p["offset"]]

    def delete_records(self, topic, offset, index=0):
        (p,) = self("DeleteRecords", [[topic, [[index, offset]]]], 10_000)["topics"][0]["partitions"]
        return [p["low"], p["error"]]


def versions(f):
    said = f("ApiVersions", "wire", "1.0")
    keys = {k["key"]: [k["min"], k["max"]] for k in said["keys"]}
    for key in sorted({key for key, *_ in MESSAGES.values()}):
        f.say(f"versions of {key}", keys.get(key))
    for key in (4, 5, 6, 7, 52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 80, 81, 82, 93):
        f.say(f"not offered {key}", keys.get(key))
    f.say("versions, tags", sorted(said.get("tags", {})))
    f.ask("versions 3", lambda: len(f("ApiVersions3", "wire", "1.0")["keys"]) == len(keys))
    f.ask("versions 0", lambda: sorted([k["key"], k["min"]] for k in f("ApiVersions0")["keys"] if k["key"] < 4))
    for name, version in (("", "1"), ("a b", "1"), ("a", ""), ("-a", "1"), ("a.", "1"), ("a", "v_1"), ("a" * 300, "1")):
        f.ask(f"versions, client {name[:5]!r} {version!r}", lambda name=name, version=version: [f("ApiVersions", name, version)[k] for k in ("error", "throttle")])

    def unknown_version():
        c = Connection(f.bootstrap)
        c.send("ApiVersions", ["a", "1"], version=99)
        said = c.receive("ApiVersions0")
        return [said["error"], sorted([k["key"], k["min"]] for k in said["keys"] if k["key"] in (0, 18))]
    f.ask("versions of version 99", unknown_version)


def validation(f):
    for name in ("", ".", "..", "a b", "ü", "a/b", "a" * 250, "a" * 249):
        f.ask(f"create name {name[:6]!r} {len(name)}", lambda name=name: [f("CreateTopics", [[name, 1, 1, [], []]], 1000, True)["topics"][0][k]
                                                                        for k in ("error", "message", "partitions", "replicas")])
    f.ask("create", lambda: f.create("plain", 2))
    f.settle()
    f.ask("create again", lambda: f.create("plain", 2))
    f.ask("create again, bad config", lambda: f.create("plain", 2, configs=[("nonsense", "1")]))
    f.ask("create again, version 2", lambda: f.create("plain", 2, message="CreateTopics2"))
    f.ask("create dry", lambda: f.create("dry", 3, dry=True))
    f.ask("create dry, defaults", lambda: f.create("dry", -1, -1, dry=True))
    f.ask("create dry left nothing", lambda: f.described(TOPIC, f.name("dry")))
    for partitions, replicas in ((0, 1), (-2, 1), (1, 0), (1, -2), (1, 2), (1, 30), (-1, 3), (0, 0), (0, 2)):
        f.ask(f"create {partitions} partitions, {replicas} replicas", lambda p=partitions, r=replicas: f.create("sizes", p, r))
    f.ask("create dots", lambda: f.create("d.o_t", 1))
    for name in ("d.o.t", "d_o_t", "d_o.t", "d.o_t"):
        f.ask(f"create collides {name}", lambda name=name: f.create(name, 1))
    by_hand = {"one": [[0, [1]]], "two partitions": [[0, [1]], [1, [1]]], "unordered": [[1, [1]], [0, [1]]], "no such broker": [[0, [7]]], "twice": [[0, [1, 1]]],
               "none": [[0, []]], "gap": [[0, [1]], [2, [1]]], "not from 0": [[1, [1]]], "same index": [[0, [1]], [0, [1]]], "uneven": [[0, [1]], [1, [1, 7]]],
               "negative broker": [[0, [-1]]], "negative index": [[-1, [1]]]}
    for name, assignment in by_hand.items():
        f.ask(f"create by hand {name}", lambda a=assignment, n=name: f.create("hand-" + n.replace(" ", "-"), -1, -1, assignments=a))
    f.ask("create by hand with partitions", lambda: f.create("hand-p", 1, -1, assignments=[[0, [1]]]))
    f.ask("create by hand with replicas", lambda: f.create("hand-r", -1, 1, assignments=[[0, [1]]]))
    f.ask("create by hand with both", lambda: f.create("hand-b", 1, 1, assignments=[[0, [1]]]))
    f.ask("create twice at once", lambda: [[t["error"], t["message"]] for t in f("CreateTopics", [[f.name("x2"), 1, 1, [], []], [f.name("x2"), 2, 1, [], []]],
                                                                                1000, False)["topics"]])
    f.ask("create two, one bad", lambda: sorted([t["name"], t["error"]] for t in f("CreateTopics", [[f.name("ok1"), 1, 1, [], []], [f.name("b/d"), 1, 1, [], []]],
                                                                                  1000, False)["topics"]))
    f.ask("create internal", lambda: [f("CreateTopics", [["__cluster_metadata", 1, 1, [], []]], 1000, True)["topics"][0][k] for k in ("error", "message")])
    configs = [("retention.ms", "5"), ("retention.ms", "-1"), ("retention.ms", "-2"), ("retention.ms", ""), ("retention.ms", None), ("retention.ms", "1.5"),
               ("retention.ms", " 7 "), ("retention.bytes", "-2"), ("retention.bytes", "99999999999999999999"), ("segment.bytes", "1048576"),
               ("segment.bytes", "1048575"), ("segment.bytes", "14"), ("segment.bytes", "3000000000"), ("segment.ms", "0"), ("segment.ms", "1"), ("segment.ms", "-1"),
               ("segment.jitter.ms", "-1"), ("segment.index.bytes", "3"), ("segment.index.bytes", "4"), ("index.interval.bytes", "-1"),
               ("max.message.bytes", "-1"), ("max.message.bytes", "0"), ("min.insync.replicas", "0"), ("min.insync.replicas", "2"), ("min.insync.replicas", "1"),
               ("cleanup.policy", "delete"), ("cleanup.policy", "compact"), ("cleanup.policy", "compact,delete"), ("cleanup.policy", "delete,compact"),
               ("cleanup.policy", "delete,delete"), ("cleanup.policy", ""), ("cleanup.policy", "none"), ("cleanup.policy", "Delete"), ("cleanup.policy", " compact , delete "),
               ("cleanup.policy", "compact,"), ("compression.type", "zstd"), ("compression.type", "gzip"), ("compression.type", "none"), ("compression.type", "producer"),
               ("compression.type", "uncompressed"), ("compression.type", "GZIP"), ("compression.type", ""), ("compression.gzip.level", "0"), ("compression.gzip.level", "9"),
               ("compression.gzip.level", "10"), ("compression.gzip.level", "-1"), ("compression.zstd.level", "23"), ("compression.zstd.level", "22"),
               ("compression.zstd.level", "-131073"), ("compression.lz4.level", "0"), ("compression.lz4.level", "17"), ("compression.lz4.level", "18"),
               ("message.timestamp.type", "LogAppendTime"), ("message.timestamp.type", "logappendtime"), ("message.timestamp.type", "CreateTime"),
               ("message.timestamp.before.max.ms", "-1"), ("message.timestamp.after.max.ms", "-1"), ("message.timestamp.difference.max.ms", "1"),
               ("message.format.version", "3.0"), ("message.downconversion.enable", "true"), ("delete.retention.ms", "-1"), ("file.delete.delay.ms", "-1"),
               ("flush.messages", "0"), ("flush.messages", "1"), ("flush.ms", "-1"), ("flush.ms", "0"), ("min.cleanable.dirty.ratio", "1.1"),
               ("min.cleanable.dirty.ratio", "-0.1"), ("min.cleanable.dirty.ratio", "0.5"), ("min.cleanable.dirty.ratio", "x"), ("min.cleanable.dirty.ratio", "NaN"),
               ("min.compaction.lag.ms", "-1"), ("max.compaction.lag.ms", "0"), ("max.compaction.lag.ms", "1"), ("preallocate", "yes"), ("preallocate", "TRUE"),
               ("preallocate", "false"), ("unclean.leader.election.enable", "maybe"), ("unclean.leader.election.enable", "true"), ("remote.storage.enable", "true"),
               ("remote.storage.enable", "false"), ("remote.log.copy.disable", "true"), ("remote.log.delete.on.disable", "true"), ("local.retention.ms", "-3"), ("local.retention.ms", "-2"),
               ("local.retention.bytes", "-3"), ("local.retention.ms", "99999999999"), ("leader.replication.throttled.replicas", "*"), ("leader.replication.throttled.replicas", "0:1,1:1"),
               ("leader.replication.throttled.replicas", "0"), ("leader.replication.throttled.replicas", "a:b"), ("follower.replication.throttled.replicas", ""),
               ("follower.replication.throttled.replicas", "none"), ("nonsense", "1"), ("Retention.ms", "1"), ("", "1"), ("num.partitions", "1"), ("log.retention.ms", "1")]
    for name, value in configs:
        f.ask(f"create config {name}={value}", lambda n=name, v=value: f.create("config", configs=[(n, v)], dry=True))
    pairs = {"lags": [("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")], "lags equal": [("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "10")],
             "two bad": [("retention.ms", "x"), ("segment.bytes", "y")], "two unknown": [("a", "x"), ("b", "y")], "two null": [("retention.ms", None), ("segment.bytes", None)],
             "same twice": [("retention.ms", "1"), ("retention.ms", "2")], "bad and unknown": [("retention.ms", "x"), ("b", "y")],
             "compact and remote": [("cleanup.policy", "compact"), ("remote.storage.enable", "true")],
             "retention below local": [("retention.ms", "5"), ("local.retention.ms", "6")], "bytes below local": [("retention.bytes", "5"), ("local.retention.bytes", "6")]}
    for name, both in pairs.items():
        f.ask(f"create configs {name}", lambda b=both: f.create("config", configs=b, dry=True))

    def delete(name=None, id=NIL):
        return [[t["error"], t["message"], t["name"], t["id"].int != 0] for t in f("DeleteTopics", [[name, id]], 1000)["topics"]]
    f.ask("delete", lambda: delete(f.name("ok1")))
    f.ask("delete again", lambda: delete(f.name("ok1")))
    f.ask("delete unknown id", lambda: delete(None, b"x" * 16))
    f.ask("delete nothing", lambda: delete(None, NIL))
    f.ask("delete name and id", lambda: delete(f.name("plain"), b"x" * 16))
    f.ask("delete bad name", lambda: delete("a/b"))
    f.ask("delete empty name", lambda: delete(""))
    f.ask("delete twice at once", lambda: sorted([t["error"], t["message"]] for t in f("DeleteTopics", [[f.name("plain"), NIL], [f.name("plain"), NIL]], 1000)["topics"]))
    f.ask("delete by version 4", lambda: [[t["name"], t["error"]] for t in f("DeleteTopics4", [f.name("ghost")], 1000)["topics"]])
    f.ask("delete none", lambda: f("DeleteTopics", [], 1000)["topics"])

    def grow(name, count, assignments=None, dry=False):
        return [[r["error"], r["message"]] for r in f("CreatePartitions", [[f.name(name), count, assignments]], 1000, dry)["results"]]
    f.topic("grow")
    f.ask("grow", lambda: grow("grow", 3))
    for count in (3, 2, 0, -1):
        f.ask(f"grow to {count}", lambda count=count: grow("grow", count))
    f.ask("grow unknown", lambda: grow("ghost", 3))
    f.ask("grow dry", lambda: [grow("grow", 9, dry=True), grow("grow", 4, dry=True)])
    for name, assignment in {"one": [[[1]]], "two": [[[1]], [[1]]], "none": [], "unknown broker": [[[7]]], "two replicas": [[[1, 1]]], "empty": [[[]]]}.items():
        f.ask(f"grow by hand {name}", lambda a=assignment: grow("grow", 4, a, True))
    f.ask("grow twice at once", lambda: [[r["error"], r["message"]] for r in f("CreatePartitions", [[f.name("grow"), 5, None], [f.name("grow"), 6, None]], 1000,
                                                                               True)["results"]])


def topic_configs(f):
    name = f.topic("conf", retention_ms="100000", cleanup_policy="compact")
    for message in ("DescribeConfigs1", "DescribeConfigs3", "DescribeConfigs"):
        for key, said in sorted(f.described(TOPIC, name, message=message).items()):
            f.say(f"topic config {message[15:] or 4} {key}", said)
    f.ask("topic config without synonyms", lambda: f.described(TOPIC, name, ["retention.ms"], synonyms=False))
    f.ask("topic configs none asked", lambda: f.described(TOPIC, name, []))
    f.ask("topic configs unknown asked", lambda: f.described(TOPIC, name, ["nonsense", "retention.ms"]))
    f.ask("topic config docs", lambda: {k: v[-1] for k, v in f.described(TOPIC, name, docs=True).items()})
    for bad in ("ghost", "a/b", ""):
        f.ask(f"topic configs of {bad!r}", lambda bad=bad: f.described(TOPIC, bad and (f.name(bad) if "/" not in bad else bad)))
    changes = {"set": [("retention.ms", SET, "7")], "set bad": [("retention.ms", SET, "x")], "set unknown": [("nonsense", SET, "1")], "set null": [("retention.ms", SET, None)],
               "delete": [("retention.ms", DELETE, None)], "delete with value": [("retention.ms", DELETE, "5")], "delete what is not set": [("segment.ms", DELETE, None)],
               "delete unknown": [("nonsense", DELETE, None)], "append": [("cleanup.policy", APPEND, "delete")], "append again": [("cleanup.policy", APPEND, "delete")],
               "subtract": [("cleanup.policy", SUBTRACT, "compact")], "subtract what is not there": [("cleanup.policy", SUBTRACT, "compact")],
               "subtract all": [("cleanup.policy", SUBTRACT, "delete")], "append to a number": [("retention.ms", APPEND, "1")], "subtract from a number": [("retention.ms", SUBTRACT, "1")],
               "append bad": [("cleanup.policy", APPEND, "foo")], "append null": [("cleanup.policy", APPEND, None)], "append two": [("leader.replication.throttled.replicas", APPEND, "0:1,1:1")],
               "append to unknown": [("nonsense", APPEND, "1")], "operation 9": [("retention.ms", 9, "1")], "twice": [("retention.ms", SET, "1"), ("retention.ms", SET, "2")],
               "nothing": [], "empty": [("retention.ms", SET, "")], "two": [("retention.ms", SET, "9"), ("segment.ms", SET, "99999")], "lags": [("min.compaction.lag.ms", SET, "10"),
               ("max.compaction.lag.ms", SET, "5")], "remote": [("remote.storage.enable", SET, "true")], "min.insync 2": [("min.insync.replicas", SET, "2")],
               "min.insync back": [("min.insync.replicas", DELETE, None)], "spaces": [("retention.bytes", SET, " 77 ")], "list spaces": [("cleanup.policy", SET, " compact , delete ")],
               "list empty": [("cleanup.policy", SET, "")], "list back": [("cleanup.policy", SET, "delete")]}
    for what, change in changes.items():
        f.ask(f"topic change {what}", lambda c=change: f.incremental(TOPIC, name, c))
        for key in dict.fromkeys(k for k, *_ in change):
            f.ask(f"topic change {what}, then {key}", lambda k=key: f.value(TOPIC, name, k))
        f.ask(f"topic change {what}, dry", lambda c=change: f.incremental(TOPIC, name, c, True))
    f.ask("topic change unknown topic", lambda: f.incremental(TOPIC, f.name("ghost"), [("retention.ms", SET, "1")]))
    f.ask("topic change bad topic", lambda: f.incremental(TOPIC, "a/b", [("retention.ms", SET, "1")]))
    f.ask("topic change no topic", lambda: f.incremental(TOPIC, "", [("retention.ms", SET, "1")]))
    f.ask("topic change same topic twice", lambda: [[r["error"], r["message"]] for r in f("IncrementalAlterConfigs", [[TOPIC, name, [["retention.ms", SET, "1"]]],
                                                                                        [TOPIC, name, [["retention.ms", SET, "2"]]]], False)["results"]])
    f.ask("change of kind 99", lambda: f.incremental(99, "x", [("a", SET, "1")]))
    f.ask("change of kind 0", lambda: f.incremental(0, "x", [("a", SET, "1")]))
    f.ask("topic replace", lambda: f.alter(TOPIC, name, [("segment.ms", "1234")]))
    f.settle()
    f.ask("topic replace, then", lambda: {k: v[0] for k, v in f.described(TOPIC, name).items() if v[1] == 1})
    f.ask("topic replace bad", lambda: f.alter(TOPIC, name, [("segment.ms", "x")]))
    f.ask("topic replace unknown", lambda: f.alter(TOPIC, name, [("nonsense", "x")]))
    f.ask("topic replace null", lambda: f.alter(TOPIC, name, [("segment.ms", None)]))
    f.ask("topic replace twice", lambda: f.alter(TOPIC, name, [("segment.ms", "1"), ("segment.ms", "2")]))
    f.ask("topic replace unknown topic", lambda: f.alter(TOPIC, f.name("ghost"), []))
    f.ask("topic replace nothing", lambda: f.alter(TOPIC, name, []))
    f.settle()
    f.ask("topic replace nothing, then", lambda: {k: v[0] for k, v in f.described(TOPIC, name).items() if v[1] == 1})


def broker_configs(f):
    for key, said in sorted(f.described(BROKER, "1").items()):
        # Where it listens and keeps its files is another one's business; so is what must differ when it is started.
        f.say(f"broker config {key}", said if key not in ("listeners", "advertised.listeners", "log.dirs", "log.dir", "controller.quorum.voters", "controller.listener.names",
                                                          "listener.security.protocol.map") else said[1:4])
    f.ask("broker config docs", lambda: {k: v[-1] for k, v in f.described(BROKER, "1", docs=True).items()})
    f.ask("all brokers", lambda: f.described(BROKER, ""))
    for bad in ("2", "x", "-1"):
        f.ask(f"broker configs of {bad!r}", lambda bad=bad: f.described(BROKER, bad))
    f.ask("broker configs of '01'", lambda: sorted(f.described(BROKER, "01")) == sorted(f.described(BROKER, "1")))
    try:
        for broker in ("1", ""):
            who = "broker" if broker else "all"
            changes = {"set": [("log.retention.ms", SET, "1000000")], "set bad": [("log.retention.ms", SET, "x")], "set unknown": [("nonsense", SET, "1")],
                       "read only": [("num.network.threads.x", SET, "1"), ("broker.id", SET, "5")], "read only too": [("zookeeper.connect", SET, "/x"), ("node.id", SET, "9")],
                       "null": [("log.retention.ms", SET, None)], "min": [("log.cleaner.threads", SET, "-1")], "threads": [("num.io.threads", SET, "9")],
                       "threads too many": [("num.io.threads", SET, "99")], "threads too few": [("num.io.threads", SET, "1")], "policy": [("log.cleanup.policy", APPEND, "compact")],
                       "policy bad": [("log.cleanup.policy", SET, "foo")], "bytes": [("message.max.bytes", SET, "2000000")], "bytes bad": [("message.max.bytes", SET, "-1")],
                       "number append": [("message.max.bytes", APPEND, "1")], "delete": [("log.retention.ms", DELETE, None)], "delete unset": [("log.retention.ms", DELETE, None)],
                       "back": [("log.cleanup.policy", DELETE, None), ("message.max.bytes", DELETE, None), ("num.io.threads", DELETE, None), ("nonsense", DELETE, None)],
                       "hours": [("log.retention.hours", SET, "5")], "min.insync": [("min.insync.replicas", SET, "2")], "min.insync bad": [("min.insync.replicas", SET, "0")],
                       "unclean": [("unclean.leader.election.enable", SET, "true")], "unclean back": [("unclean.leader.election.enable", DELETE, None)],
                       "listeners": [("advertised.listeners", SET, "nonsense")], "connections": [("max.connections", SET, "500")], "connections back": [("max.connections", DELETE, None)],
                       "twice": [("max.connections", SET, "5"), ("max.connections", SET, "6")], "operation 9": [("max.connections", 9, "5")], "auto": [("auto.create.topics.enable", SET, "false")],
                       "partitions": [("num.partitions", SET, "3")], "throttle": [("leader.replication.throttled.rate", SET, "5")],
                       "throttle back": [("leader.replication.throttled.rate", DELETE, None)], "password": [("ssl.keystore.password", SET, "secret")],
                       "password back": [("ssl.keystore.password", DELETE, None)], "producer ids": [("producer.id.expiration.ms", SET, "5000")],
                       "producer ids back": [("producer.id.expiration.ms", DELETE, None)], "nothing": []}
            for what, change in changes.items():
                f.ask(f"{who} change {what}", lambda c=change: f.incremental(BROKER, broker, c))
                for key in dict.fromkeys(k for k, *_ in change):
                    f.ask(f"{who} change {what}, then {key}", lambda k=key: f.value(BROKER, "1", k))
                f.ask(f"{who} change {what}, dry", lambda c=change: f.incremental(BROKER, broker, c, True))
            f.settle()
            f.ask(f"{who} now", lambda: {k: v for k, v in f.described(BROKER, broker).items() if v[1] in (2, 3)})
            f.ask(f"{who} replace", lambda: f.alter(BROKER, broker, [("log.retention.ms", "123456789")]))
            f.settle()
            f.ask(f"{who} replace, then", lambda: {k: v for k, v in f.described(BROKER, broker).items() if v[1] in (2, 3)})
            f.ask(f"{who} topic default", lambda: f.value(TOPIC, f.name("conf"), "retention.ms"))
            f.ask(f"{who} replace read only", lambda: f.alter(BROKER, broker, [("log.dirs", "x")]))
            f.ask(f"{who} replace nothing", lambda: f.alter(BROKER, broker, []))
    finally:
        f.incremental(BROKER, "1", [("log.retention.ms", DELETE, None)])
        f.incremental(BROKER, "", [("log.retention.ms", DELETE, None), ("min.insync.replicas", SET, "1")])
    for bad in ("2", "x", "-1", "01"):
        f.ask(f"broker change of {bad!r}", lambda bad=bad: f.incremental(BROKER, bad, [("max.connections", SET, "5")]))
        f.ask(f"broker replace of {bad!r}", lambda bad=bad: f.alter(BROKER, bad, []))


def other_configs(f):
    group = f.name("group")
    f.ask("group configs", lambda: f.described(GROUP, group))
    f.ask("group configs of nobody", lambda: f.described(GROUP, ""))
    f.ask("group config docs", lambda: {k: v[-1] for k, v in f.described(GROUP, group, docs=True).items()})
    changes = {"set": [("consumer.session.timeout.ms", SET, "50000")], "too small": [("consumer.session.timeout.ms", SET, "1")], "too large": [("consumer.session.timeout.ms", SET, "99999999")],
               "no number": [("consumer.session.timeout.ms", SET, "x")], "heartbeat": [("consumer.heartbeat.interval.ms", SET, "6000")], "heartbeat too small": [("consumer.heartbeat.interval.ms", SET, "1")],
               "heartbeat over session": [("consumer.heartbeat.interval.ms", SET, "14999"), ("consumer.session.timeout.ms", SET, "45000")], "unknown": [("nonsense", SET, "1")],
               "append": [("consumer.session.timeout.ms", APPEND, "1")], "delete": [("consumer.session.timeout.ms", DELETE, None)], "share": [("share.isolation.level", SET, "read_committed")],
               "share bad": [("share.isolation.level", SET, "read")], "reset": [("share.auto.offset.reset", SET, "earliest")], "reset by time": [("share.auto.offset.reset", SET, "by_duration:PT1H")],
               "reset bad": [("share.auto.offset.reset", SET, "x")], "lock": [("share.record.lock.duration.ms", SET, "20000")], "lock too small": [("share.record.lock.duration.ms", SET, "1")],
               "standby": [("streams.num.standby.replicas", SET, "1")], "standby many": [("streams.num.standby.replicas", SET, "100")], "null": [("consumer.session.timeout.ms", SET, None)], "nothing": []}
    for what, change in changes.items():
        f.ask(f"group change {what}", lambda c=change: f.incremental(GROUP, group, c))
        for key in dict.fromkeys(k for k, *_ in change):
            f.ask(f"group change {what}, then {key}", lambda k=key: f.value(GROUP, group, k))
    f.ask("group change of nobody", lambda: f.incremental(GROUP, "", [("consumer.session.timeout.ms", SET, "50000")]))
    f.ask("group replace", lambda: f.alter(GROUP, group, [("consumer.session.timeout.ms", "51000")]))
    f.settle()
    f.ask("group replace, then", lambda: {k: v[0] for k, v in f.described(GROUP, group).items() if v[1] != 5})
    metrics = f.name("metrics")
    f.ask("metrics configs of nobody", lambda: f.described(METRICS, ""))
    f.ask("metrics configs of unknown", lambda: f.described(METRICS, metrics))
    changes = {"set": [("interval.ms", SET, "1000")], "metrics": [("metrics", SET, "org.apache.kafka.producer.")], "match": [("match", SET, "client_id=a,client_software_name=b.*")],
               "interval small": [("interval.ms", SET, "99")], "interval large": [("interval.ms", SET, "3600001")], "interval no number": [("interval.ms", SET, "x")],
               "match bad": [("match", SET, "nonsense")], "match unknown": [("match", SET, "a=b")], "match pattern": [("match", SET, "client_id=[")], "unknown": [("nonsense", SET, "1")],
               "append": [("metrics", APPEND, "x,y")], "subtract": [("metrics", SUBTRACT, "x")], "delete": [("interval.ms", DELETE, None)], "null": [("interval.ms", SET, None)]}
    for what, change in changes.items():
        f.ask(f"metrics change {what}", lambda c=change: f.incremental(METRICS, metrics, c))
        f.settle()
        f.ask(f"metrics change {what}, then", lambda: f.described(METRICS, metrics))
    f.ask("metrics change of nobody", lambda: f.incremental(METRICS, "", [("interval.ms", SET, "1000")]))
    f.ask("resources, metrics", lambda: [r for r in f("ListConfigResources0")["resources"] if r["name"].startswith(f.prefix)])
    f.ask("resources, all kinds", lambda: sorted({r["type"] for r in f("ListConfigResources", [])["resources"]}))
    for kinds in ([TOPIC], [BROKER], [LOGGER], [METRICS], [GROUP], [METRICS, GROUP], [0], [99], [TOPIC, 99]):
        f.ask(f"resources {kinds}", lambda kinds=kinds: [(s := f("ListConfigResources", kinds))["error"], sorted([r["name"], r["type"]] for r in s["resources"]
                                                         if r["name"].startswith(f.prefix + ("group", "metrics", "conf")[0]) or r["name"].startswith(metrics) or r["name"] == "1")])
    f.ask("metrics delete all", lambda: f.alter(METRICS, metrics, []))
    f.ask("group delete all", lambda: f.alter(GROUP, group, []))
    f.settle()
    f.ask("resources after", lambda: [[r["name"], r["type"]] for r in f("ListConfigResources", [METRICS, GROUP])["resources"] if r["name"].startswith(f.prefix) and r["name"] != f.name("settled")])
    logger = "org.apache.kafka.clients.NetworkClient"
    f.ask("logger root", lambda: f.described(LOGGER, "1", ["root"])["root"][1:])
    f.ask("logger names of 2", lambda: f.described(LOGGER, "2"))
    f.ask("logger names of nobody", lambda: f.described(LOGGER, ""))
    for what, change in {"set": [("root", SET, "DEBUG")], "bad level": [("root", SET, "LOUD")], "lower case": [("root", SET, "debug")], "unknown": [("no.such.logger", SET, "INFO")],
                         "delete root": [("root", DELETE, None)], "append": [("root", APPEND, "INFO")], "back": [("root", SET, "WARN")], "null": [("root", SET, None)],
                         "nothing": []}.items():
        f.ask(f"logger change {what}, dry", lambda c=change: f.incremental(LOGGER, "1", c, True))
        if what not in ("set", "lower case"):
            f.ask(f"logger change {what}", lambda c=change: f.incremental(LOGGER, "1", c))
    f.ask("logger change of 2", lambda: f.incremental(LOGGER, "2", [("root", SET, "INFO")]))
    f.ask("logger change of nobody", lambda: f.incremental(LOGGER, "", [("root", SET, "INFO")]))
    f.ask("logger replace", lambda: f.alter(LOGGER, "1", [(logger, "INFO")]))
    f.ask("configs of kind 99", lambda: f.described(99, "x"))
    f.ask("configs of kind 0", lambda: f.described(0, "x"))


def quotas(f):
    user, client = f.name("user"), f.name("client")

    def alter(entity, ops, dry=False):
        said = f("AlterClientQuotas", [[entity, [[k, v, remove] for k, v, remove in ops]]], dry)
        return [[e["error"], e["message"], e["entity"]] for e in said["entries"]]

    def told(components, strict=False):
        said = f("DescribeClientQuotas", components, strict)
        return [said["error"], said["message"], sorted([[e["entity"], sorted([v["key"], v["value"]] for v in e["values"])] for e in said["entries"] or []
                                                        if any((c["name"] or "").startswith(f.prefix) for c in e["entity"])], key=str)]
    for what, entity, ops in (
            ("user", [["user", user]], [("producer_byte_rate", 1e7, False)]), ("client", [["client-id", client]], [("consumer_byte_rate", 2e7, False), ("request_percentage", 150.5, False)]),
            ("both", [["user", user], ["client-id", client]], [("controller_mutation_rate", 10.5, False)]), ("user and default", [["user", user], ["client-id", None]],
            [("producer_byte_rate", 3e7, False)]), ("ip", [["ip", "127.9.9.9"]], [("connection_creation_rate", 100.0, False)]), ("ip name", [["ip", f.name("no host")]], [("connection_creation_rate", 100.0, False)]),
            ("ip and user", [["ip", "127.9.9.9"], ["user", user]], [("connection_creation_rate", 100.0, False)]), ("unknown key", [["user", user]], [("nonsense", 1.0, False)]),
            ("key of ip", [["user", user]], [("connection_creation_rate", 1.0, False)]), ("negative", [["user", user]], [("producer_byte_rate", -1.0, False)]),
            ("zero", [["user", user]], [("producer_byte_rate", 0.0, False)]), ("fraction", [["user", user]], [("producer_byte_rate", 1.5, False)]),
            ("unknown type", [["planet", "x"]], [("producer_byte_rate", 1.0, False)]), ("empty name", [["user", ""]], [("producer_byte_rate", 1.0, False)]), ("no entity", [], [("producer_byte_rate", 1.0, False)]),
            ("twice", [["user", user], ["user", user]], [("producer_byte_rate", 1.0, False)]), ("remove", [["client-id", client]], [("consumer_byte_rate", 0.0, True)]), ("too large", [["user", user]],
            [("producer_byte_rate", 1e30, False)]), ("connection fraction", [["ip", "127.9.9.9"]], [("connection_creation_rate", 1.5, False)]), ("remove unset", [["client-id", client]], [("consumer_byte_rate", 0.0, True)]),
            ("remove unknown", [["client-id", client]], [("nonsense", 0.0, True)]), ("nothing", [["client-id", client]], [])):
        f.ask(f"quota {what}, dry", lambda e=entity, o=ops: alter(e, o, True))
        f.ask(f"quota {what}", lambda e=entity, o=ops: alter(e, o))
    f.settle()
    for what, components, strict in (
            ("all", [], False), ("all, strict", [], True), ("user", [["user", 0, user]], False), ("user, strict", [["user", 0, user]], True), ("any user", [["user", 2, None]], False),
            ("user and client", [["user", 0, user], ["client-id", 0, client]], True), ("user and default", [["user", 0, user], ["client-id", 1, None]], True), ("any client", [["client-id", 2, None]], True),
            ("default user", [["user", 1, None]], True), ("unknown type", [["planet", 0, "x"]], False), ("match 9", [["user", 9, "x"]], False), ("twice", [["user", 0, user], ["user", 0, "b"]], False),
            ("null name", [["user", 0, None]], False), ("default with name", [["user", 1, "x"]], False), ("any with name", [["user", 2, "x"]], False), ("ip and user", [["ip", 2, None], ["user", 2, None]], False),
            ("empty type", [["", 0, "x"]], False)):
        f.ask(f"quotas of {what}", lambda c=components, s=strict: told(c, s))
    f.ask("quotas of ips", lambda: f("DescribeClientQuotas", [["ip", 2, None]], True)["entries"])
    for entity, keys in (([["user", user]], ["producer_byte_rate"]), ([["client-id", client]], ["request_percentage"]), ([["user", user], ["client-id", client]], ["controller_mutation_rate"]),
                         ([["user", user], ["client-id", None]], ["producer_byte_rate"]), ([["ip", "127.9.9.9"]], ["connection_creation_rate"])):
        f.ask(f"quota gone {entity[-1][0]} {len(entity)} {keys[0]}", lambda e=entity, k=keys: alter(e, [(key, 0.0, True) for key in k]))
    f.settle()
    f.ask("quotas after", lambda: told([]))


def scram(f):
    user = f.name("scram")

    def alter(deletions=(), upsertions=()):
        return sorted([r["user"], r["error"], r["message"]] for r in f("AlterUserScramCredentials", list(deletions), list(upsertions))["results"])

    def told(users):
        f.settle()
        said = f("DescribeUserScramCredentials", users)
        return [said["error"], said["message"], [[r["user"], r["error"], r["message"], sorted([c["mechanism"], c["iterations"]] for c in r["credentials"])]
                                                  for r in said["results"] if users or r["user"].startswith(f.prefix)]]
    salt, password = b"s" * 16, b"p" * 32
    for what, deletions, upsertions in (
            ("new", [], [[user, 1, 4096, salt, password]]), ("second mechanism", [], [[user, 2, 8192, salt, b"p" * 64]]), ("few iterations", [], [[user, 1, 10, salt, password]]),
            ("many iterations", [], [[user, 1, 16385, salt, password]]), ("unknown mechanism", [], [[user, 9, 4096, salt, password]]), ("mechanism 0", [], [[user, 0, 4096, salt, password]]),
            ("no name", [], [["", 1, 4096, salt, password]]), ("same twice", [], [[user, 1, 4096, salt, password], [user, 1, 4096, salt, password]]),
            ("delete", [[user, 2]], []), ("delete again", [[user, 2]], []), ("delete unknown user", [[f.name("nobody"), 1]], []), ("delete and set", [[user, 1]], [[user, 1, 4096, salt, password]]),
            ("delete mechanism 9", [[user, 9]], []), ("delete no name", [["", 1]], []), ("nothing", [], []), ("two users", [[f.name("nobody"), 1]], [[user, 2, 4096, salt, password]])):
        f.ask(f"scram {what}", lambda d=deletions, u=upsertions: alter(d, u))
        f.ask(f"scram {what}, then", lambda: told([[user]]))
    f.ask("scram of all", lambda: told(None))
    f.ask("scram of none", lambda: told([]))
    f.ask("scram of unknown", lambda: told([[f.name("nobody")]]))
    f.ask("scram of twice", lambda: told([[user], [user]]))
    f.ask("scram of no name", lambda: told([[""]]))
    f.ask("scram gone, both at once", lambda: alter([[user, 1], [user, 2]]))
    f.ask("scram gone", lambda: [alter([[user, mechanism]]) for mechanism in (1, 2)])
    f.ask("scram after", lambda: told(None))


def security(f):
    for pattern in (1, 2, 3, 4):
        f.ask(f"acls {pattern}", lambda p=pattern: f("DescribeAcls", 1, None, p, None, None, 1, 1))
    f.ask("acls of nothing known", lambda: f("DescribeAcls", 0, None, 0, None, None, 0, 0))
    f.ask("acl create", lambda: f("CreateAcls", [[2, f.name("t"), 3, "User:a", "*", 3, 3], [2, "", 3, "x", "", 1, 1]]))
    f.ask("acl create none", lambda: f("CreateAcls", []))
    f.ask("acl delete", lambda: f("DeleteAcls", [[2, f.name("t"), 3, None, None, 1, 1], [1, None, 1, None, None, 1, 1]]))
    f.ask("acl delete none", lambda: f("DeleteAcls", []))
    for mechanism in ("PLAIN", "SCRAM-SHA-256", "", "nonsense"):
        f.ask(f"sasl {mechanism}", lambda m=mechanism: f("SaslHandshake", m))
        f.ask(f"sasl 0 {mechanism}", lambda m=mechanism: f("SaslHandshake0", m))
    f.ask("sasl authenticate", lambda: f("SaslAuthenticate", b"\0a\0b"))
    f.ask("connection goes on", lambda: f("ListConfigResources", [BROKER])["error"])
    f.ask("token create", lambda: f("CreateDelegationToken", None, None, [["User", "a"]], -1))
    f.ask("token create for other", lambda: f("CreateDelegationToken", "User", "b", [], 1000))
    f.ask("token create renewer", lambda: f("CreateDelegationToken", None, None, [["Group", "a"]], -1))
    f.ask("token renew", lambda: f("RenewDelegationToken", b"x", 1000))
    f.ask("token expire", lambda: f("ExpireDelegationToken", b"x", 1000))
    f.ask("token describe", lambda: f("DescribeDelegationToken", None))
    f.ask("token describe of none", lambda: f("DescribeDelegationToken", []))
    f.ask("token describe of one", lambda: f("DescribeDelegationToken", [["User", "a"]]))


def cluster(f):
    def shown(said):
        return {**said, "client": said["client"].int != 0, "subscription": said["subscription"] != 0}
    f.ask("telemetry first", lambda: shown(f("GetTelemetrySubscriptions", NIL)))
    f.ask("telemetry with id", lambda: (said := f("GetTelemetrySubscriptions", b"y" * 16)) and [said["error"], said["client"] == uuid.UUID(bytes=b"y" * 16), said["interval"], said["max"], said["codecs"]])
    f.ask("telemetry too soon", lambda: f("GetTelemetrySubscriptions", b"y" * 16)["error"])
    f.ask("telemetry push, wrong subscription", lambda: f("PushTelemetry", b"y" * 16, 5, False, 0, b"m"))
    f.ask("telemetry push, no id", lambda: f("PushTelemetry", NIL, 5, False, 0, b"m"))
    f.ask("telemetry push, codec 9", lambda: f("PushTelemetry", b"z" * 16, 5, False, 9, b"m"))
    f.ask("telemetry push, unknown client", lambda: f("PushTelemetry", b"z" * 16, 5, False, 0, b"m"))
    f.ask("telemetry push, last", lambda: f("PushTelemetry", b"q" * 16, 5, True, 0, b""))
    f.ask("telemetry with id 1", lambda: f("GetTelemetrySubscriptions", bytes(15) + b"\1")["error"])

    def feature(name, level, upgrade=1, dry=True, message="UpdateFeatures"):
        said = f(message, 10_000, [[name, level, upgrade]], dry)
        return {k: v for k, v in said.items() if k != "throttle"}
    for message in ("UpdateFeatures", "UpdateFeatures1"):
        for name, level, upgrade in (("metadata.version", 30, 1), ("metadata.version", 31, 1), ("metadata.version", 29, 1), ("metadata.version", 29, 2), ("metadata.version", 29, 3),
                                     ("metadata.version", 3, 1), ("metadata.version", 0, 1), ("metadata.version", 0, 2), ("metadata.version", 30, 0), ("metadata.version", 30, 9), ("nonsense", 1, 1),
                                     ("nonsense", 0, 2), ("", 1, 1), ("metadata.version", -1, 1)):
            f.ask(f"{message} {name} {level} {upgrade}", lambda n=name, l=level, u=upgrade, m=message: feature(n, l, u, message=m))
    f.ask("features nothing", lambda: f("UpdateFeatures", 1000, [], True))
    f.ask("features same twice", lambda: f("UpdateFeatures", 1000, [["metadata.version", 30, 1], ["metadata.version", 30, 1]], True))
    f.ask("feature as it is", lambda: feature("metadata.version", 30, 1, False))

    def quorum(said):
        for t in said["topics"]:
            for p in t["partitions"]:
                p["voters"] = [[v["id"], v.get("directory", NIL) not in (NIL, None), v["end"] > -1, v.get("fetched", 1) > 0] for v in p["voters"]]
                p.update(epoch=p["epoch"] > 0, high=p["high"] > 0)
        for n in said.get("nodes", []):
            n["listeners"] = len(n["listeners"])
        return said
    for message in ("DescribeQuorum", "DescribeQuorum0"):
        f.ask(f"{message}", lambda m=message: quorum(f(m, [["__cluster_metadata", [[0]]]])))
    f.ask("quorum of partition 1", lambda: f("DescribeQuorum", [["__cluster_metadata", [[1]]]]))
    f.ask("quorum of other topic", lambda: f("DescribeQuorum", [[f.name("t"), [[0]]]]))
    f.ask("quorum of none", lambda: f("DescribeQuorum", []))
    f.ask("unregister 99", lambda: f("UnregisterBroker", 99))
    f.ask("unregister -1", lambda: f("UnregisterBroker", -1))

    name = f.topic("dirs")
    f.produce(name, batch([(b"k", b"v" * 100)], time=NOW))
    ours = f("DescribeLogDirs", [[name, [0]]])["dirs"][0]["dir"]

    def dirs(topics, message="DescribeLogDirs"):
        said = f(message, topics)
        return [said.get("error"), [[d["error"], bool(d["dir"]), d.get("total", 1) > 0, d.get("usable", 1) > 0,
                                     [t for t in d["topics"] if t["name"].startswith(name)]] for d in said["dirs"]]]
    for message in ("DescribeLogDirs", "DescribeLogDirs1"):
        f.ask(f"{message} of all", lambda m=message: dirs(None, m))
        f.ask(f"{message} of one", lambda m=message: dirs([[name, [0]]], m))
        f.ask(f"{message} of unknown", lambda m=message: dirs([[f.name("ghost"), [0]]], m))
        f.ask(f"{message} of partition 9", lambda m=message: dirs([[name, [9]]], m))
        f.ask(f"{message} of none", lambda m=message: dirs([], m))
    for what, path, topic, index in (("same", ours, name, 0), ("elsewhere", "/no/such/dir", name, 0), ("unknown topic", ours, f.name("ghost"), 0), ("partition 9", ours, name, 9),
                                     ("relative", "dir", name, 0)):
        f.ask(f"move replica {what}", lambda p=path, t=topic, i=index: f("AlterReplicaLogDirs", [[p, [[t, [i]]]]])["results"])
    f.ask("move nothing", lambda: f("AlterReplicaLogDirs", [])["results"])


def produce(f):
    name = f.topic("produce")
    good = [(b"k", b"v" * 300), (None, b"w" * 300)]
    f.ask("produce", lambda: f.produce(name, batch(good, time=NOW)))
    for codec in range(5):
        f.ask(f"produce codec {codec}", lambda c=codec: f.produce(name, batch(good, c, NOW)))
    good_crc = batch(good, time=NOW)
    bad = {"crc": batch(good, time=NOW, crc=1), "magic 3": batch(good, time=NOW, magic=3), "magic 1": batch(good, time=NOW, magic=1), "magic 0": batch(good, time=NOW, magic=0),
           "codec 5": batch(good, raw=b"x" * 20, time=NOW, codec=5), "codec 7": batch(good, raw=b"x" * 20, time=NOW, codec=7), "count": batch(good, time=NOW, count=3),
           "count 0": batch(good, time=NOW, count=0), "count -1": batch(good, time=NOW, count=-1), "last": batch(good, time=NOW, last=5), "last 0": batch(good, time=NOW, last=0),
           "last -1": batch(good, time=NOW, last=-1), "no records": batch([], time=NOW), "two batches": good_crc + good_crc, "torn": good_crc[:-5], "garbage": b"\xff" * 70, "short": b"abc",
           "gzip garbage": batch(good, 1, NOW, raw=b"not gzip at all"), "snappy garbage": batch(good, 2, NOW, raw=b"\xff" * 20), "lz4 garbage": batch(good, 3, NOW, raw=b"not lz4 at all"),
           "zstd garbage": batch(good, 4, NOW, raw=b"not zstd at all"), "record garbage": batch(good, time=NOW, raw=b"\x01\x02\x03"), "offsets": batch([record(0, b"k", b"v"), record(0, b"k", b"v")], time=NOW),
           "offsets down": batch([record(1, b"k", b"v"), record(0, b"k", b"v")], time=NOW), "offset gap": batch([record(0, b"k", b"v"), record(2, b"k", b"v")], time=NOW, last=2),
           "control": batch([record(0, b"\0\0\0\1", b"\0\0\0\0\0\0")], time=NOW, attributes=32),
           "base 5": batch(good, time=NOW, base=5), "leader epoch": batch(good, time=NOW, leader_epoch=7), "append time": batch(good, time=NOW, attributes=8),
           "producer without sequence": batch(good, time=NOW, producer=(5, 0, -1)), "length": batch(good, time=NOW, length=10), "length big": batch(good, time=NOW, length=10_000)}
    for what, data in bad.items():
        f.ask(f"produce {what}", lambda d=data: f.produce(name, d))
    f.ask("produce empty", lambda: f.produce(name, b""))
    f.ask("produce header", lambda: f.produce(name, batch([record(0, b"k", b"v", headers=[(b"h", b"x"), (b"h", None)])], time=NOW)))
    f.ask("produce unknown", lambda: f.produce(f.name("a/b"), good_crc))
    f.ask("produce partition 9", lambda: f.produce(name, good_crc, index=9))
    f.ask("produce partition -1", lambda: f.produce(name, good_crc, index=-1))
    for acks in (0, 1, 2, -2, -1):
        if acks:
            f.ask(f"produce acks {acks}", lambda a=acks: f.produce(name, good_crc, acks=a))
    f.ask("produced", lambda: f.headers(name))
    for mixed in ("retention", "time"):
        f.ask(f"produce end after {mixed}", lambda: f.offset(name, LATEST))
    limited = f.topic("limited", max_message_bytes="1000")
    for size in (900, 931, 932, 933, 1000, 5000):
        f.ask(f"produce {size} bytes", lambda s=size: f.produce(limited, batch([(None, b"v" * s)], time=NOW)))
    f.ask("produce small when zipped", lambda: f.produce(limited, batch([(None, b"v" * 50_000)], 1, NOW)))
    f.incremental(TOPIC, limited, [("max.message.bytes", SET, "100000")])
    f.ask("produce large now", lambda: until(lambda: f.produce(limited, batch([(None, b"v" * 5000)], time=NOW)), lambda r: r["error"] == 0, 5))
    f.incremental(BROKER, "", [("message.max.bytes", SET, "3000")])
    f.incremental(TOPIC, limited, [("max.message.bytes", DELETE, None)])
    f.ask("produce larger than the brokers' limit", lambda: until(lambda: f.produce(limited, batch([(None, b"v" * 5000)], time=NOW)), lambda r: r["error"], 5))
    f.incremental(BROKER, "", [("message.max.bytes", DELETE, None)])
    isr = f.topic("isr", min_insync_replicas="2")
    f.ask("produce below min.insync", lambda: f.produce(isr, good_crc))
    f.ask("produce below min.insync, acks 1", lambda: f.produce(isr, good_crc, acks=1))
    compacted = f.topic("compacted", cleanup_policy="compact")
    f.ask("compacted without key", lambda: f.produce(compacted, batch([(b"k", b"v"), (None, b"v")], time=NOW)))
    f.ask("compacted without keys", lambda: f.produce(compacted, batch([(None, b"v")] * 30, time=NOW)))
    f.ask("compacted with key", lambda: f.produce(compacted, batch([(b"k", b"v"), (b"", None)], time=NOW)))
    for kind in ("uncompressed", "gzip", "snappy", "lz4", "zstd", "producer"):
        topic = f.topic(f"to-{kind}", compression_type=kind)
        for codec in range(5):
            f.ask(f"recompress {codec} to {kind}", lambda c=codec, t=topic: f.produce(t, batch(good, c, NOW)))
        f.ask(f"recompressed to {kind}", lambda t=topic: [[h["codec"], h["count"], h["base"]] for h in f.headers(t)])


def times(f):
    name = f.topic("times")
    for at, when in enumerate((NOW, NOW + 5, NOW + 3, NOW + 9, NOW + 9, NOW + 1)):
        f.produce(name, batch([(b"k", b"%d" % at)], time=when))
    f.produce(name, batch([record(0, b"a", b"b", 0), record(1, b"a", b"b", 20), record(2, b"a", b"b", 10)], time=NOW + 10, max_time=NOW + 30))
    for what, when in (("latest", LATEST), ("earliest", EARLIEST), ("max", MAX_TIME), ("local earliest", LOCAL_EARLIEST), ("0", 0), ("first", NOW), ("between", NOW + 4), ("nine", NOW + 9),
                       ("in batch", NOW + 25), ("last", NOW + 30), ("after", NOW + 31), ("-7", -7)):
        f.ask(f"offset {what}", lambda t=when: f.offset(name, t))
    for what, when, message in (("tiered", TIERED, "ListOffsets9"), ("local next", LOCAL_NEXT, "ListOffsets10"), ("tiered 10", TIERED, "ListOffsets10"), ("max 10", MAX_TIME, "ListOffsets10"),
                                ("tiered 7", TIERED, "ListOffsets"), ("local 7", LOCAL_EARLIEST, "ListOffsets"), ("local 9", LOCAL_EARLIEST, "ListOffsets9"), ("next 9", LOCAL_NEXT, "ListOffsets9")):
        f.ask(f"offset {what}", lambda t=when, m=message: f.offset(name, t, m))
    f.ask("offset of unknown", lambda: f.offset(f.name("ghost"), LATEST))
    f.ask("offset of partition 9", lambda: f.offset(name, LATEST, index=9))
    f.ask("offset of epoch 9", lambda: f.offset(name, LATEST, leader_epoch=9))
    f.ask("offset of epoch 0", lambda: f.offset(name, LATEST, leader_epoch=0))
    empty = f.topic("empty")
    for when in (LATEST, EARLIEST, MAX_TIME, 0, NOW):
        f.ask(f"offset of empty {when if when < 1 else 'now'}", lambda t=when: f.offset(empty, t))
    f.produce(empty, batch([(b"k", b"v")], time=-1))
    f.ask("no time, max", lambda: f.offset(empty, MAX_TIME))
    f.ask("no time, 0", lambda: f.offset(empty, 0))
    f.ask("no time, header", lambda: f.headers(empty))
    appended = f.topic("appended", message_timestamp_type="LogAppendTime")
    f.ask("append time", lambda: {**(said := f.produce(appended, batch([(b"k", b"v"), (b"k", b"w")], time=5))), "time": said["time"] > NOW})
    time.sleep(0.005)
    f.ask("append time, zipped", lambda: {**(said := f.produce(appended, batch([(b"k", b"v" * 300), (b"k", b"w")], 1, 5))), "time": said["time"] > NOW})
    time.sleep(0.005)
    f.ask("append time, no time", lambda: {**(said := f.produce(appended, batch([(b"k", b"v")], time=-1))), "time": said["time"] > NOW})
    f.ask("append time, header", lambda: [{**h, "max_time": h["max_time"] > NOW} for h in f.headers(appended)])
    f.ask("append time, lookup", lambda: [f.offset(appended, NOW)[2], f.offset(appended, MAX_TIME)[2]])
    f.incremental(TOPIC, appended, [("message.timestamp.type", SET, "CreateTime")])
    f.ask("create time again", lambda: until(lambda: f.produce(appended, batch([(b"k", b"v")], time=NOW)), lambda r: r["time"] == -1, 5)["error"])
    limits = f.topic("limits", message_timestamp_before_max_ms="1000", message_timestamp_after_max_ms="1000")
    f.ask("time too old", lambda: strip_time(f.produce(limits, batch([(b"k", b"v")] * 2, time=NOW))))
    f.ask("time one too old", lambda: strip_time(f.produce(limits, batch([record(0, b"k", b"v")], time=5))))
    f.ask("time too new", lambda: strip_time(f.produce(limits, batch([(b"k", b"v")], time=NOW * 2))))
    f.ask("time none", lambda: strip_time(f.produce(limits, batch([(b"k", b"v")], time=-1))))
    f.ask("time default too new", lambda: strip_time(f.produce(name, batch([(b"k", b"v")], time=NOW * 2))))
    f.ask("time max wrong", lambda: f.produce(name, batch([(b"k", b"v")], time=NOW, max_time=NOW + 5)))
    f.ask("time header", lambda: f.headers(name)[-1])
    f.incremental(TOPIC, limits, [("message.timestamp.before.max.ms", SET, str(2**63 - 1))])
    f.ask("time old enough now", lambda: until(lambda: f.produce(limits, batch([(b"k", b"v")], time=NOW)), lambda r: r["error"] == 0, 5)["error"])


def strip_time(said):
    """Messages that say what the time is, without it."""
    return {k: re.sub(r"\d{12,}", "N", str(v)) if k in ("message", "record_errors") else v for k, v in said.items()}


def deleting(f):
    name = f.topic("deleting")
    for at in range(10):
        f.produce(name, batch([(b"k", b"%d" % at)], time=NOW + at))
    for offset in (3, 3, 2, 0, -2, 11, 10 + 2**40):
        f.ask(f"delete records before {offset}", lambda o=offset: f.delete_records(name, o))
    f.ask("deleted, earliest", lambda: f.offset(name, EARLIEST))
    f.ask("deleted, by time", lambda: f.offset(name, NOW))
    f.ask("deleted, fetch 0", lambda: {k: v for k, v in f.fetch(name, 0).items() if k != "records"})
    f.ask("deleted, fetch 3", lambda: headers(f.fetch(name, 3)["records"])[0]["base"])
    f.ask("deleted, fetch 11", lambda: {k: v for k, v in f.fetch(name, 11).items() if k != "records"})
    f.ask("delete records, all", lambda: f.delete_records(name, -1))
    f.ask("delete records, all again", lambda: f.delete_records(name, -1))
    f.ask("delete records, partition 9", lambda: f.delete_records(name, 1, 9))
    f.ask("delete records, unknown", lambda: f.delete_records(f.name("ghost"), 1))
    f.ask("deleted, latest", lambda: [f.offset(name, LATEST), f.offset(name, EARLIEST), f.offset(name, MAX_TIME)])
    f.ask("deleted, produce", lambda: f.produce(name, batch([(b"k", b"v")], time=NOW)))
    compacted = f.topic("del-compact", cleanup_policy="compact")
    f.produce(compacted, batch([(b"k", b"v")], time=NOW))
    f.ask("delete records, compacted", lambda: f.delete_records(compacted, 1))
    both = f.topic("del-both", cleanup_policy="compact,delete")
    f.produce(both, batch([(b"k", b"v")], time=NOW))
    f.ask("delete records, both", lambda: f.delete_records(both, 1))
    none = f.create("del-none", configs=[("cleanup.policy", "")])
    if none[0] == 0:
        f.produce(f.name("del-none"), batch([(b"k", b"v")], time=NOW))
        f.ask("delete records, neither", lambda: f.delete_records(f.name("del-none"), 1))
    f.ask("fetch epoch 9", lambda: f.fetch(name, 10, leader_epoch=9)["error"])
    f.ask("fetch epoch 0", lambda: f.fetch(name, 10, leader_epoch=0)["error"])
    f.ask("fetch unknown", lambda: f.fetch(f.name("ghost"))["error"])
    f.ask("fetch partition 9", lambda: f.fetch(name, index=9)["error"])


def main():
    f = Wire()
    for part in (versions, validation, topic_configs, broker_configs, other_configs, quotas, scram, security, cluster, produce, times, deleting):
        try:
            part(f)
        except Exception as error:  # a part that can't go on is a fact as well, and the other parts are asked
            f.say(f"{part.__name__} ended", f.error(error))
            f.connection = Connection(f.bootstrap)


main()
