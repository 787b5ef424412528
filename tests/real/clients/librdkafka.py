#!/usr/bin/env python3
"""Facts about a cluster as librdkafka sees it. usage: librdkafka.py BOOTSTRAP PREFIX"""

import os
import time

from confluent_kafka import (OFFSET_BEGINNING, OFFSET_END, Consumer, ConsumerGroupTopicPartitions, KafkaError,
                             KafkaException, Producer, TopicCollection, TopicPartition)
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
                                   OffsetSpec)

from facts import DEADLINE_S, Facts, until


class Rdkafka(Facts):
    def __init__(self):
        super().__init__()
        self.common = {"bootstrap.servers": self.bootstrap, "log_level": 0}
        self.admin = AdminClient(self.common)

    @staticmethod
    def error(error):
        if error is None:
            return "no error"
        inner = error.args[0] if isinstance(error, KafkaException) else error
        return f"{inner.name()}: {inner.str()}" if isinstance(inner, KafkaError) else Facts.error(error)

    def result(self, futures):
        """The only future's result."""
        (future,) = futures.values()
        return future.result(DEADLINE_S)

    def create(self, name, partitions=1, replicas=1, config=None, **rest):
        self.result(self.admin.create_topics([NewTopic(self.name(name), partitions, replicas, config=config or {})], **rest))
        # A broker hears of a new topic a moment after the controller.
        if not rest:
            until(lambda: self.name(name) in self.admin.list_topics(timeout=DEADLINE_S).topics)

    def producer(self, **config):
        return Producer({**self.common, "linger.ms": 5, **{k.replace("_", "."): v for k, v in config.items()}})

    def consumer(self, group=None, **config):
        return Consumer({**self.common, "group.id": self.name(group or "nobody"), "enable.auto.commit": False,
                         "auto.offset.reset": "earliest", **{k.replace("_", "."): v for k, v in config.items()}})

    def produce(self, topic, records, partition=-1, **config):
        """Sends (key, value) or a dict of produce()'s arguments; [partition, offset] or the error of each."""
        producer, told = self.producer(**config), []
        for at, record in enumerate(records):
            record = record if isinstance(record, dict) else {"key": record[0], "value": record[1]}
            told.append(None)

            def delivered(error, message, at=at):
                told[at] = self.error(error) if error else [message.partition(), message.offset()]

            producer.produce(self.name(topic), **{"partition": partition, "on_delivery": delivered, **record})
        producer.flush(DEADLINE_S)
        return told

    def read(self, topic, partition=0, offset=OFFSET_BEGINNING, count=None, patience_s=DEADLINE_S, **config):
        """Messages of a partition from an offset to its end."""
        consumer = self.consumer(**{"enable_partition_eof": True, "fetch_wait_max_ms": 50, **config})
        consumer.assign([TopicPartition(self.name(topic), partition, offset)])
        messages, end = [], time.monotonic() + patience_s
        while time.monotonic() < end and (count is None or len(messages) < count):
            message = consumer.poll(0.2)
            if message is None:
                continue
            if message.error():
                if message.error().code() != KafkaError._PARTITION_EOF:
                    messages.append(message.error())
                break
            messages.append(message)
        consumer.close()
        return [self.error(m) if isinstance(m, KafkaError) else m for m in messages]

    def values(self, *args, **kwargs):
        return [m if isinstance(m, str) else [m.offset(), m.value().decode() if m.value() is not None else None]
                for m in self.read(*args, **kwargs)]


def topics(f):
    f.ask("topic create", lambda: f.create("rides", 3))
    f.ask("topic create again", lambda: f.create("rides", 3))
    for title, name in (("slash", "a/b"), ("space", "a b"), ("too long", "x" * 250), ("accent", "réf")):
        f.ask(f"topic create name with {title}", lambda: f.create(name))
    f.ask("topic create name of dots", lambda: f.result(f.admin.create_topics([NewTopic("..", 1, 1)])))
    f.ask("topic create name empty", lambda: f.result(f.admin.create_topics([NewTopic("", 1, 1)])))
    f.ask("topic create name colliding", lambda: [f.create("un.der"), f.create("un_der")])
    f.ask("topic create too many replicas", lambda: f.create("many", 1, 2))
    f.ask("topic create no partitions", lambda: f.create("none", 0))
    f.ask("topic create default partitions", lambda: f.create("default", -1))
    f.ask("topic create bad config value", lambda: f.create("bad", config={"retention.ms": "soon"}))
    f.ask("topic create unknown config", lambda: f.create("bad", config={"retention.mss": "1"}))
    f.ask("topic create config out of range", lambda: f.create("bad", config={"min.insync.replicas": "0"}))
    f.ask("topic create bad policy", lambda: f.create("bad", config={"cleanup.policy": "compress"}))
    f.ask("topic create validate only", lambda: f.create("dry", 2, validate_only=True))
    f.ask("topic create validate only is not there", lambda: "dry" in str(f.admin.list_topics(timeout=DEADLINE_S).topics))
    f.ask("topic create assigned", lambda: f.result(f.admin.create_topics([NewTopic(f.name("assigned"), 2, replica_assignment=[[1], [1]])])))
    f.ask("topic create assigned to nobody", lambda: f.result(f.admin.create_topics([NewTopic(f.name("nobody"), 1, replica_assignment=[[9]])])))
    f.ask("topic create two of which one is bad", lambda: two(f))

    def described(name):
        topic = f.result(f.admin.describe_topics(TopicCollection([f.name(name)]), include_authorized_operations=True))
        return {"internal": topic.is_internal, "operations": sorted(o.name for o in topic.authorized_operations or []),
                "partitions": [[p.id, p.leader.id, [n.id for n in p.replicas], [n.id for n in p.isr]] for p in topic.partitions]}
    f.ask("topic describe", lambda: described("rides"))
    until(lambda: f.name("assigned") in f.admin.list_topics(timeout=DEADLINE_S).topics)
    f.ask("topic describe assigned", lambda: described("assigned"))
    f.ask("topic describe default", lambda: described("default"))
    f.ask("topic describe unknown", lambda: described("ghost"))
    f.ask("topic metadata unknown", lambda: f.error(f.admin.list_topics(f.name("asked"), timeout=DEADLINE_S).topics[f.name("asked")].error))
    f.ask("topic metadata makes a topic", lambda: until(lambda: f.name("asked") in f.admin.list_topics(timeout=DEADLINE_S).topics))

    def grown(name, to, **rest):
        return f.result(f.admin.create_partitions([NewPartitions(f.name(name), to)], **rest))
    f.ask("partitions more", lambda: grown("rides", 5))
    f.ask("partitions as many", lambda: grown("rides", 5))
    f.ask("partitions fewer", lambda: grown("rides", 2))
    f.ask("partitions of an unknown topic", lambda: grown("ghost", 5))
    f.ask("partitions validate only", lambda: grown("rides", 9, validate_only=True))
    f.ask("partitions now", lambda: until(lambda: len(described("rides")["partitions"]), lambda n: n == 5))
    f.ask("topic delete", lambda: f.result(f.admin.delete_topics([f.name("rides")])))
    f.ask("topic delete again", lambda: f.result(f.admin.delete_topics([f.name("rides")])))
    f.ask("topic is gone", lambda: until(lambda: f.name("rides") not in f.admin.list_topics(timeout=DEADLINE_S).topics))
    f.ask("topic create after delete", lambda: f.create("rides", 3))
    f.ask("topics", lambda: sorted(t for t in f.admin.list_topics(timeout=DEADLINE_S).topics if t.startswith(f.prefix)))


def two(f):
    futures = f.admin.create_topics([NewTopic(f.name("good"), 1, 1), NewTopic(f.name("bad*"), 1, 1)])
    return [None if (e := futures[f.name(n)].exception(DEADLINE_S)) is None else f.error(e) for n in ("good", "bad*")]


def cluster(f):
    def described():
        it = f.admin.describe_cluster(include_authorized_operations=True).result(DEADLINE_S)
        return {"nodes": [n.id for n in it.nodes], "controller": it.controller.id, "id is there": bool(it.cluster_id),
                "operations": sorted(o.name for o in it.authorized_operations or [])}
    f.ask("cluster", described)


def configs(f):
    def entries(kind, name):
        return f.result(f.admin.describe_configs([ConfigResource(kind, name)]))

    def entry(name):
        e = entries("topic", f.name("configured"))[name]
        synonyms = [[s.name, s.value, s.source] for s in e.synonyms.values()]
        return [e.value, e.source, e.is_read_only, e.is_sensitive, synonyms]

    def alter(name, value, operation=AlterConfigOpType.SET, topic="configured", **rest):
        change = ConfigEntry(name, value, incremental_operation=operation)
        resource = ConfigResource("topic", f.name(topic), incremental_configs=[change])
        return f.result(f.admin.incremental_alter_configs([resource], **rest))
    f.create("configured", config={"retention.ms": "3600000"})
    f.ask("config names of a topic", lambda: sorted(entries("topic", f.name("configured"))))
    for name, e in sorted(entries("topic", f.name("configured")).items()):
        f.say(f"config {name}", [e.value, e.source, e.is_read_only, e.is_default, e.is_sensitive,
                                 [[s.name, s.value, s.source] for s in e.synonyms.values()]])
    f.ask("config set", lambda: alter("segment.bytes", "2097152"))
    f.ask("config after set", lambda: until(lambda: entry("segment.bytes"), lambda e: e[0] == "2097152"))
    f.ask("config append", lambda: alter("cleanup.policy", "compact", AlterConfigOpType.APPEND))
    f.ask("config after append", lambda: until(lambda: entry("cleanup.policy"), lambda e: "compact" in e[0]))
    f.ask("config subtract", lambda: alter("cleanup.policy", "delete", AlterConfigOpType.SUBTRACT))
    f.ask("config after subtract", lambda: until(lambda: entry("cleanup.policy"), lambda e: "delete" not in e[0]))
    f.ask("config append to no list", lambda: alter("retention.ms", "5", AlterConfigOpType.APPEND))
    f.ask("config delete", lambda: alter("retention.ms", None, AlterConfigOpType.DELETE))
    f.ask("config after delete", lambda: until(lambda: entry("retention.ms"), lambda e: e[0] != "3600000"))
    f.ask("config set bad value", lambda: alter("retention.ms", "soon"))
    f.ask("config set out of range", lambda: alter("min.insync.replicas", "0"))
    f.ask("config set unknown", lambda: alter("retention.mss", "1"))
    f.ask("config set on an unknown topic", lambda: alter("retention.ms", "1", topic="ghost"))
    f.ask("config set validate only", lambda: alter("retention.ms", "77", validate_only=True))
    f.ask("config after validate only", lambda: entry("retention.ms"))
    f.ask("config describe unknown topic", lambda: len(entries("topic", f.name("ghost"))))
    f.ask("config describe unknown broker", lambda: len(f.result(f.admin.describe_configs([ConfigResource("broker", "9")], request_timeout=2))))
    broker = entries("broker", "1")
    for name in ("auto.create.topics.enable", "compression.type", "default.replication.factor", "delete.topic.enable",
                 "group.initial.rebalance.delay.ms", "group.max.session.timeout.ms", "group.min.session.timeout.ms",
                 "log.cleanup.policy", "log.message.timestamp.type", "log.retention.bytes", "log.retention.hours",
                 "log.retention.ms", "log.roll.hours", "log.segment.bytes", "message.max.bytes", "min.insync.replicas", "node.id",
                 "num.partitions", "offsets.retention.minutes", "offsets.topic.num.partitions", "process.roles",
                 "unclean.leader.election.enable"):
        e = broker.get(name)
        f.say(f"config of the broker {name}", e and [e.value, e.source, e.is_read_only, e.is_sensitive])


def produce(f):
    f.create("codecs")
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        f.ask(f"produce {codec}", lambda: f.produce("codecs", [(None, codec * 20 + str(i)) for i in range(3)], compression_type=codec))
    f.ask("read all codecs", lambda: f.values("codecs"))
    f.create("squeezed", config={"compression.type": "gzip"})
    f.ask("produce to a topic with a codec of its own", lambda: f.produce("squeezed", [(None, "v" * 50)] * 2, compression_type="lz4"))
    f.ask("read it", lambda: f.values("squeezed"))
    f.create("keyed", 6)
    f.ask("keys to partitions (consistent)", lambda: f.produce("keyed", [(f"d-{i:02}", "v") for i in range(20)], partitioner="consistent"))
    f.ask("keys to partitions (murmur2)", lambda: f.produce("keyed", [(f"d-{i:02}", "v") for i in range(20)], partitioner="murmur2"))
    for acks in ("0", "1", "all"):
        f.create(f"acks-{acks}")
        f.ask(f"produce acks={acks}", lambda: [len(f.produce(f"acks-{acks}", [(None, "a")] * 5, acks=acks)),
                                               until(lambda: f.values(f"acks-{acks}"), lambda v: len(v) == 5)])
    f.create("once", 2)
    f.ask("produce idempotent", lambda: f.produce("once", [(None, str(i)) for i in range(50)], 1, enable_idempotence=True))
    f.ask("produce idempotent, another session", lambda: f.produce("once", [(None, "more")], 1, enable_idempotence=True))
    f.ask("read it", lambda: len(f.values("once", 1)))
    f.create("headers")
    f.ask("produce headers", lambda: f.produce("headers", [{"value": "v", "headers": [("a", b"1"), ("a", b"2"), ("empty", b""), ("null", None)]}]))
    f.ask("read headers", lambda: [m.headers() for m in f.read("headers")])
    f.create("times", config={"retention.ms": "-1"})
    f.ask("produce timestamps", lambda: f.produce("times", [{"value": "v", "timestamp": t} for t in (1_000_000, 1_772_388_000_000)]))
    f.ask("read timestamps", lambda: [list(m.timestamp()) for m in f.read("times")])
    f.create("stamped", config={"message.timestamp.type": "LogAppendTime"})
    f.ask("produce to a topic that stamps", lambda: f.produce("stamped", [{"value": "v", "timestamp": 1_000_000}]))
    f.ask("read stamps", lambda: [[m.timestamp()[0], abs(m.timestamp()[1] / 1000 - time.time()) < 60] for m in f.read("stamped")])
    f.ask("produce from the future", lambda: f.produce("times", [{"value": "v", "timestamp": int(time.time() * 1000) + 7_200_000}]))
    f.create("strict", config={"retention.ms": "-1", "message.timestamp.before.max.ms": "3600000"})
    f.ask("produce from the past", lambda: f.produce("strict", [{"value": "v", "timestamp": 1_000_000}]))
    f.create("compacted", config={"cleanup.policy": "compact"})
    f.ask("produce without a key to a compacted topic", lambda: f.produce("compacted", [(None, "v")]))
    f.ask("produce tombstones", lambda: f.produce("compacted", [("k", "v"), ("k", None), ("k", "")]))
    f.ask("read tombstones", lambda: f.values("compacted"))
    f.create("small", config={"max.message.bytes": "2000"})
    f.ask("produce a message that fits", lambda: f.produce("small", [(None, os.urandom(1500))]))
    f.ask("produce a message too large for the topic", lambda: f.produce("small", [(None, os.urandom(3000))]))
    f.ask("produce a message too large for the broker", lambda: f.produce("codecs", [(None, os.urandom(1_500_000))], message_max_bytes=4_000_000))
    f.ask("produce a message of 900 kB", lambda: f.produce("codecs", [(None, os.urandom(900_000))]))
    f.create("wary", config={"min.insync.replicas": "2"})
    f.ask("produce with too few replicas in sync", lambda: f.produce("wary", [(None, "v")], acks="all", message_send_max_retries=0))
    f.ask("produce with acks=1 all the same", lambda: f.produce("wary", [(None, "v")], acks="1"))
    f.ask("produce to an unknown partition", lambda: f.produce("codecs", [(None, "v")], 7))
    f.ask("produce makes a topic", lambda: f.produce("auto", [(None, "v")], message_timeout_ms=15000))
    f.ask("produce to a bad name", lambda: f.produce("a/b", [(None, "v")], message_timeout_ms=3000))
    f.ask("produce an empty and a null value", lambda: f.produce("auto", [(None, ""), (None, None), ("", "")]))
    f.ask("read them", lambda: [[m.key() and m.key().decode(), m.value() and m.value().decode()] for m in f.read("auto")])


def consume(f):
    f.create("numbers", 2, config={"retention.ms": "-1"})
    f.produce("numbers", [{"value": f"n{i}", "timestamp": 1_700_000_000_000 + i * 1000} for i in range(10)], 0)
    f.ask("read from 7", lambda: f.values("numbers", 0, 7))
    f.ask("read from the end", lambda: f.values("numbers", 0, OFFSET_END))
    f.ask("read an empty partition", lambda: f.values("numbers", 1))
    f.ask("read the last two", lambda: f.values("numbers", 0, 8))
    f.ask("read beyond the end, no reset", lambda: f.values("numbers", 0, 99, auto_offset_reset="error"))
    f.ask("read beyond the end, reset to the start", lambda: f.values("numbers", 0, 99, count=2, auto_offset_reset="earliest"))
    f.ask("read an unknown partition", lambda: f.values("numbers", 5, patience_s=3))
    f.ask("read an unknown topic", lambda: f.values("ghost", 0, patience_s=3))
    f.ask("read committed", lambda: len(f.values("numbers", isolation_level="read_committed")))
    f.ask("read with small fetches", lambda: len(f.values("numbers", fetch_max_bytes=1000, message_max_bytes=1000)))
    f.ask("read with checksums", lambda: len(f.values("numbers", check_crcs=True)))
    f.ask("leader epoch of a message", lambda: f.read("numbers")[0].leader_epoch())
    c = f.consumer()
    f.ask("watermarks", lambda: c.get_watermark_offsets(TopicPartition(f.name("numbers"), 0), timeout=DEADLINE_S))
    f.ask("watermarks of an empty partition", lambda: c.get_watermark_offsets(TopicPartition(f.name("numbers"), 1), timeout=DEADLINE_S))
    f.ask("watermarks of an unknown topic", lambda: c.get_watermark_offsets(TopicPartition(f.name("ghost"), 0), timeout=5))
    for title, t in (("before all", 1), ("of the fourth", 1_700_000_003_000), ("between", 1_700_000_003_001), ("after all", 1_800_000_000_000)):
        f.ask(f"offset for the time {title}", lambda: c.offsets_for_times([TopicPartition(f.name("numbers"), 0, t)], timeout=DEADLINE_S)[0].offset)
    c.close()
    for title, spec in (("earliest", OffsetSpec.earliest()), ("latest", OffsetSpec.latest()), ("max timestamp", OffsetSpec.max_timestamp()),
                        ("time", OffsetSpec.for_timestamp(1_700_000_005_500))):
        def listed(partition):
            it = f.result(f.admin.list_offsets({TopicPartition(f.name("numbers"), partition): spec}))
            return [it.offset, it.timestamp, it.leader_epoch]
        f.ask(f"list offsets {title}", lambda: listed(0))
        f.ask(f"list offsets {title} of an empty partition", lambda: listed(1))
    f.ask("list offsets of an unknown partition",
          lambda: f.result(f.admin.list_offsets({TopicPartition(f.name("numbers"), 9): OffsetSpec.latest()}, request_timeout=5)).offset)


def delete_records(f):
    f.create("trimmed")
    f.produce("trimmed", [(None, str(i)) for i in range(10)])

    def trim(offset, topic="trimmed", **rest):
        return f.result(f.admin.delete_records([TopicPartition(f.name(topic), 0, offset)], **rest)).low_watermark
    f.ask("delete records before 4", lambda: trim(4))
    f.ask("what is left", lambda: f.values("trimmed"))
    f.ask("read what was deleted, no reset", lambda: f.values("trimmed", 0, 1, auto_offset_reset="error"))
    f.ask("delete records before 2", lambda: trim(2))
    f.ask("delete records beyond the end", lambda: trim(99))
    f.ask("delete all records", lambda: trim(OFFSET_END))
    f.ask("what is left of all", lambda: f.values("trimmed"))
    f.ask("the next offset", lambda: f.produce("trimmed", [(None, "next")]))
    f.ask("delete records of an unknown topic", lambda: trim(1, "ghost", request_timeout=5))
    f.ask("delete records of a compacted topic", lambda: trim(1, "compacted"))


def polled(consumers, wanted):
    """Polls all until every one has as many partitions as wanted; sorted counts."""
    def counts():
        for consumer in consumers:
            consumer.poll(0.05)
        return [len(consumer.assignment()) for consumer in consumers]
    return until(counts, lambda c: sorted(c) == sorted(wanted))


def assigned(consumer):
    return sorted([p.topic, p.partition] for p in consumer.assignment())


def groups(f):
    admin = f.admin
    f.create("shared", 4)
    f.produce("shared", [{"value": str(i), "partition": i % 4} for i in range(20)])
    topic = f.name("shared")

    def described(group):
        it = f.result(admin.describe_consumer_groups([f.name(group)], request_timeout=DEADLINE_S))
        return {"state": it.state.name, "type": it.type.name, "assignor": it.partition_assignor, "simple": it.is_simple_consumer_group,
                "coordinator": it.coordinator.id, "members": sorted([m.client_id, m.group_instance_id, m.host,
                                          sorted([p.topic, p.partition] for p in m.assignment.topic_partitions)] for m in it.members)}

    def listed():
        return sorted([g.group_id, g.state.name, g.type.name, g.is_simple_consumer_group]
                      for g in admin.list_consumer_groups().result(DEADLINE_S).valid if g.group_id.startswith(f.prefix))

    def committed(group):
        it = f.result(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(f.name(group))]))
        return sorted([p.topic, p.partition, p.offset, p.metadata or "", f.error(p.error) if p.error else None] for p in it.topic_partitions)

    def alter(group, partition, offset):
        ask = ConsumerGroupTopicPartitions(f.name(group), [TopicPartition(topic, partition, offset)])
        return [[p.partition, p.offset, f.error(p.error) if p.error else None] for p in f.result(admin.alter_consumer_group_offsets([ask])).topic_partitions]

    def delete(group):
        return f.result(admin.delete_consumer_groups([f.name(group)]))
    f.ask("group unknown: describe", lambda: described("ghost"))
    f.ask("group unknown: offsets", lambda: committed("ghost"))
    f.ask("group unknown: delete", lambda: delete("ghost"))
    for strategy in ("range", "roundrobin", "cooperative-sticky"):
        a = f.consumer(strategy, partition_assignment_strategy=strategy, client_id="a")
        a.subscribe([topic])
        f.ask(f"group {strategy}: one member", lambda: polled([a], [4]))
        b = f.consumer(strategy, partition_assignment_strategy=strategy, client_id="b")
        b.subscribe([topic])
        f.ask(f"group {strategy}: two members", lambda: polled([a, b], [2, 2]))
        f.ask(f"group {strategy}: stable", lambda: until(lambda: described(strategy), lambda d: d["state"] == "STABLE" and all(m[3] for m in d["members"])) if strategy == "range" else [described(strategy)[k] for k in ("state", "assignor")])
        f.ask(f"group {strategy}: in the list", lambda: [g for g in listed() if g[0].endswith(strategy)])
        f.ask(f"group {strategy}: delete while it lives", lambda: delete(strategy))
        if strategy == "range":
            f.ask("group range: move offsets while it lives", lambda: alter(strategy, 0, 1))
            f.ask("group range: commit", lambda: [[p.partition, p.offset] for p in a.commit(offsets=[TopicPartition(topic, 0, 3)], asynchronous=False)])
            f.ask("group range: committed", lambda: [[p.partition, p.offset] for p in a.committed([TopicPartition(topic, n) for n in range(4)], timeout=DEADLINE_S)])
        b.close()
        f.ask(f"group {strategy}: one has left", lambda: polled([a], [4]))
        a.close()
        f.ask(f"group {strategy}: empty", lambda: until(lambda: described(strategy), lambda d: d["state"] == "EMPTY"))
    f.ask("group list", listed)
    f.ask("group offsets", lambda: committed("range"))
    f.ask("group offsets move", lambda: alter("range", 1, 4))
    f.ask("group offsets move beyond the end", lambda: alter("range", 2, 999))
    f.ask("group offsets now", lambda: committed("range"))
    f.ask("group offsets of a new group", lambda: alter("fresh", 0, 2))
    f.ask("group made by its offsets", lambda: described("fresh"))
    f.ask("group offsets of an unknown topic", lambda: [p.error and f.error(p.error) for p in f.result(admin.alter_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(f.name("fresh"), [TopicPartition(f.name("ghost"), 0, 1)])])).topic_partitions])
    f.ask("group delete", lambda: delete("range"))
    f.ask("group is gone", lambda: described("range"))
    f.ask("group goes on from its offset", lambda: resumed(f, topic))
    simple(f, topic, described)
    static(f, topic, described)
    evicted(f, topic, described)
    f.ask("group of a topic that comes later", lambda: later(f))
    f.ask("group by pattern", lambda: pattern(f))


def simple(f, topic, described):
    """Offsets committed with the assignment made by hand."""
    c = f.consumer("byhand")
    c.assign([TopicPartition(topic, 0, 0)])
    f.ask("group by hand: commit with metadata", lambda: [[p.offset, p.metadata] for p in c.commit(offsets=[TopicPartition(topic, 0, 2, "note")], asynchronous=False)])
    f.ask("group by hand: committed", lambda: [[p.offset, p.metadata] for p in c.committed([TopicPartition(topic, 0)], timeout=DEADLINE_S)])
    f.ask("group by hand: metadata too long", lambda: [[p.offset, p.error and f.error(p.error)] for p in c.commit(offsets=[TopicPartition(topic, 0, 2, "x" * 5000)], asynchronous=False)])
    f.ask("group by hand: commit for an unknown topic", lambda: [[p.offset, p.error and f.error(p.error)] for p in c.commit(offsets=[TopicPartition(f.name("ghost"), 0, 2)], asynchronous=False)])
    f.ask("group by hand: described", lambda: described("byhand"))
    c.close()


def served(f):
    """Consumer groups (KIP-848), and the way from the classic protocol to them and back."""
    f.create("served", 4)
    f.produce("served", [{"value": str(i), "partition": i % 4} for i in range(20)])
    topic = f.name("served")

    def listed(group):
        return sorted([g.group_id, g.state.name, g.type.name] for g in f.admin.list_consumer_groups().result(DEADLINE_S).valid if g.group_id == f.name(group))

    def member(group, client, **config):
        c = f.consumer(group, client_id=client, **config)
        c.subscribe([topic])
        return c
    a = member("served", "a", group_protocol="consumer")
    f.ask("served: one member", lambda: polled([a], [4]))
    f.ask("served: listed", lambda: until(lambda: listed("served"), lambda g: g and g[0][1] == "STABLE"))
    b = member("served", "b", group_protocol="consumer", group_remote_assignor="range")
    f.ask("served: two members", lambda: polled([a, b], [2, 2]))
    f.ask("served: commit", lambda: [[p.partition, p.offset] for p in a.commit(offsets=[TopicPartition(topic, assigned(a)[0][1], 3)], asynchronous=False)][0][1:])
    f.ask("served: committed", lambda: sorted(p.offset for p in a.committed([TopicPartition(topic, n) for n in range(4)], timeout=DEADLINE_S)))
    b.close()
    f.ask("served: one has left", lambda: polled([a], [4]))
    a.close()
    f.ask("served: empty", lambda: until(lambda: listed("served"), lambda g: g and g[0][1] == "EMPTY"))
    c = member("served", "c", partition_assignment_strategy="range")
    f.ask("served: a classic member in the empty group", lambda: [polled([c], [4]), until(lambda: listed("served"), lambda g: g and g[0][1] == "STABLE")])
    d = member("served", "d", group_protocol="consumer")
    f.ask("served: a consumer beside it", lambda: [polled([c, d], [2, 2]), until(lambda: listed("served"), lambda g: g and g[0][1] == "STABLE")])
    d.close()
    f.ask("served: the classic member alone", lambda: [polled([c], [4]), until(lambda: listed("served"), lambda g: g and g[0][1] == "STABLE")])
    c.close()
    e = f.consumer("served-by-pattern", group_protocol="consumer")
    e.subscribe(["^" + f.prefix + "serve.*"])
    f.ask("served: by an expression", lambda: polled([e], [4]))
    e.close()


def resumed(f, topic):
    got = []
    for _ in range(2):
        c = f.consumer("resumed")
        c.subscribe([topic])
        while len(got) % 5 != 4 or not got:
            m = c.poll(DEADLINE_S)
            if m is None or m.error():
                got.append(str(m and m.error()))
                continue
            got.append([m.partition(), m.value().decode()])
        got.append("--")
        c.commit(asynchronous=False)
        c.close()
    return [len(got), len({str(g) for g in got})]


def static(f, topic, described):
    def member(instance):
        c = f.consumer("static", group_instance_id=instance, session_timeout_ms=30000, client_id=instance)
        c.subscribe([topic])
        return c
    a, b = member("i-a"), member("i-b")
    polled([a, b], [2, 2])
    before = assigned(a), assigned(b)
    f.ask("static: two members", lambda: [before[0], before[1]])
    a.close()
    f.ask("static: a member that left is still one", lambda: described("static"))
    a = member("i-a")
    polled([a, b], [2, 2])
    f.ask("static: it comes back to its partitions", lambda: [assigned(a) == before[0], assigned(b) == before[1]])
    other = member("i-a")
    polled([other, b], [2, 2])
    f.ask("static: the same instance twice, the first is fenced", lambda: fenced(f, a))
    for c in (other, b, a):
        c.close()


def fenced(f, consumer):
    def polled_error():
        m = consumer.poll(0.5)
        return m is not None and m.error() and f.error(m.error()) or None
    try:
        return until(polled_error)
    except KafkaException as error:
        return f.error(error)


def evicted(f, topic, described):
    # A member that dies without a word: a process that is killed.
    import subprocess, sys
    code = ("import sys; from confluent_kafka import Consumer; c = Consumer({'bootstrap.servers': sys.argv[1], 'group.id': sys.argv[2],"
            "'session.timeout.ms': 6000, 'heartbeat.interval.ms': 1000}); c.subscribe([sys.argv[3]])\n"
            "while not c.assignment(): c.poll(0.1)\n"
            "print('joined', flush=True); sys.stdin.read()")
    child = subprocess.Popen([sys.executable, "-c", code, f.bootstrap, f.name("evicted"), topic], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
    child.kill()
    child.wait()
    f.ask("a member that was killed is still there", lambda: described("evicted")["state"])
    f.ask("and is put out after its session", lambda: until(lambda: described("evicted")["state"], lambda s: s == "EMPTY"))


def later(f):
    c = f.consumer("later", topic_metadata_refresh_interval_ms=300, allow_auto_create_topics=False)
    c.subscribe([f.name("comes-later")])
    c.poll(1)
    f.create("comes-later", 2)
    got = polled([c], [2])
    c.close()
    return got


def transactions(f):
    f.create("ledger", 2)
    f.create("orders")
    f.produce("orders", [(None, f"o{i}") for i in range(6)])

    def started(id, **config):
        producer = f.producer(transactional_id=f.name(id), **config)
        producer.init_transactions(DEADLINE_S)
        return producer

    def send(producer, *values, partition=0):
        for value in values:
            producer.produce(f.name("ledger"), value, partition=partition)
        return producer.flush(DEADLINE_S)

    def committed(partition=0):
        return f.values("ledger", partition, isolation_level="read_committed")

    def everything(partition=0):
        return f.values("ledger", partition, isolation_level="read_uncommitted")
    one = started("one")
    one.begin_transaction()
    f.ask("txn send", lambda: [send(one, "a", "b"), send(one, "c", partition=1)])
    f.ask("txn read while open", lambda: [committed(), everything()])
    f.ask("txn commit", lambda: one.commit_transaction(DEADLINE_S))
    f.ask("txn read committed", lambda: until(lambda: [committed(), committed(1)], lambda v: len(v[0]) == 2 and len(v[1]) == 1))
    one.begin_transaction()
    f.ask("txn send more", lambda: send(one, "x", "y"))
    f.ask("txn abort", lambda: one.abort_transaction(DEADLINE_S))
    one.begin_transaction()
    f.ask("txn send after abort", lambda: send(one, "d"))
    f.ask("txn commit after abort", lambda: one.commit_transaction(DEADLINE_S))
    f.ask("txn read after abort", lambda: [until(committed, lambda v: len(v) == 3), everything()])
    one.begin_transaction()
    f.ask("txn commit of nothing", lambda: one.commit_transaction(DEADLINE_S))
    one.begin_transaction()
    f.ask("txn abort of nothing", lambda: one.abort_transaction(DEADLINE_S))

    def group_metadata(group):
        consumer = f.consumer(group, isolation_level="read_committed")
        consumer.subscribe([f.name("orders")])
        got = until(lambda: consumer.poll(0.5), lambda m: m is not None and not m.error())
        return consumer, got

    def offset(group, stable=True):
        futures = f.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(f.name(group))], require_stable=stable)
        return sorted([p.topic, p.partition, p.offset] for p in f.result(futures).topic_partitions)

    def moved(end, group):
        consumer, message = group_metadata(group)
        one.begin_transaction()
        send(one, message.value().decode())
        one.send_offsets_to_transaction([TopicPartition(f.name("orders"), 0, message.offset() + 1)], consumer.consumer_group_metadata(), DEADLINE_S)
        end(DEADLINE_S)
        consumer.close()
        return offset(group)
    f.ask("txn offsets committed", lambda: moved(one.commit_transaction, "mover"))
    f.ask("txn offsets aborted", lambda: moved(one.abort_transaction, "mover"))
    f.ask("txn offsets after both", lambda: offset("mover"))
    f.ask("txn read with offsets", lambda: until(committed, lambda v: len(v) == 4))

    def zombie():
        old = started("fenced")
        old.begin_transaction()
        send(old, "zombie")
        new = started("fenced")
        try:
            old.commit_transaction(DEADLINE_S)
        except KafkaException as error:
            said = [error.args[0].name(), error.args[0].fatal()]
        else:
            said = "committed"
        new.begin_transaction()
        send(new, "alive")
        new.commit_transaction(DEADLINE_S)
        return said
    f.ask("txn of a zombie", zombie)
    f.ask("txn read after the zombie", lambda: until(committed, lambda v: len(v) == 5))
    f.ask("txn with a timeout too long", lambda: started("slow", transaction_timeout_ms=2_000_000))

    def unfinished():
        producer = started("left")
        producer.begin_transaction()
        send(producer, "left behind")
        del producer
        started("left")
        return [v for _, v in committed()]
    f.ask("txn of a producer that went away", unfinished)
    f.ask("txn everything in the end", everything)


def pattern(f):
    f.create("pat-1", 1)
    f.create("pat-2", 2)
    c = f.consumer("pattern", topic_metadata_refresh_interval_ms=300)
    c.subscribe(["^" + f.prefix + "pat-.*"])
    polled([c], [3])
    got = assigned(c)
    c.close()
    return got


if __name__ == "__main__":
    facts = Rdkafka()
    for part in (cluster, topics, configs, produce, consume, delete_records, groups, served, transactions):
        part(facts)
