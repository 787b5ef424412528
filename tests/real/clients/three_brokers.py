#!/usr/bin/env python3
"""Facts about a cluster of three brokers, which are stopped, killed and started. usage: three_brokers.py BOOTSTRAP PREFIX [PART ...]

needs: KAFKA_HOME, STREAMLINGS_BIN, and CONTROL, the folder of provision/kafka-cluster.sh or the home of a lab. Broker 1 is never stopped:
it is Kafka's controller.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from confluent_kafka import Consumer, ElectionType, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import three_failures
import three_shares
from facts import DEADLINE_S, Facts, until
from jvm import Tools
from three_failures import GROUP, asked, coordinator_of

CLUSTER = Path(__file__).resolve().parent.parent / "provision" / "kafka-cluster.sh"


class Three(Facts):
    def __init__(self):
        super().__init__()
        self.control = Path(os.environ["CONTROL"])
        self.common = {"bootstrap.servers": self.bootstrap, "log_level": 0, "topic.metadata.refresh.interval.ms": 500}
        self.admin = AdminClient(self.common)
        self.tools = Tools(os.environ["KAFKA_HOME"])

    def normal(self, text):
        for at, broker in enumerate(self.bootstrap.split(",")):
            text = text.replace(broker, f"BROKER{at + 1}").replace(broker.rsplit(":", 1)[1], f"PORT{at + 1}")
        return super().normal(text)

    @staticmethod
    def error(error):
        inner = error.args[0] if isinstance(error, KafkaException) else error
        return f"{inner.name()}: {inner.str()}" if isinstance(inner, KafkaError) else Facts.error(error)

    def broker(self, what, id):
        """Stops, kills or starts a broker: the lab's by its command, Kafka's by its process."""
        lab = (self.control / "lab").exists()
        command = [os.environ["STREAMLINGS_BIN"], "broker", what, str(id)] if lab else [CLUSTER, self.control, what, str(id)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "STREAMLINGS_HOME": str(self.control)})

    def create(self, name, assignment=None, partitions=1, replicas=3, config=None):
        new = (NewTopic(self.name(name), len(assignment), replica_assignment=assignment, config=config or {}) if assignment
               else NewTopic(self.name(name), partitions, replicas, config=config or {}))
        (future,) = self.admin.create_topics([new]).values()
        future.result(DEADLINE_S)
        until(lambda: self.name(name) in self.admin.list_topics(timeout=DEADLINE_S).topics)

    def shape(self, name):
        """[partition, leader, replicas, sorted ISR] of each."""
        topic = self.admin.list_topics(self.name(name), timeout=DEADLINE_S).topics[self.name(name)]
        return [[p.id, p.leader, p.replicas, sorted(p.isrs)] for p in sorted(topic.partitions.values(), key=lambda p: p.id)]

    def settled(self, name, wanted):
        return until(lambda: self.shape(name), lambda shape: [[p[1], p[3]] for p in shape] == wanted)

    def produce(self, topic, values, partition=0, patience_ms=DEADLINE_S * 1000, **config):
        producer, told = Producer({**self.common, "message.timeout.ms": patience_ms, **{k.replace("_", "."): v for k, v in config.items()}}), []
        for value in values:
            producer.produce(self.name(topic), value, partition=partition,
                             on_delivery=lambda error, m: told.append(self.error(error) if error else m.offset()))
        producer.flush(DEADLINE_S)
        return told

    def read(self, topic, count, patience_s=DEADLINE_S, **config):
        consumer = Consumer({**self.common, "group.id": self.name("nobody"), "enable.auto.commit": False, "auto.offset.reset": "earliest",
                             **{k.replace("_", "."): v for k, v in config.items()}})
        consumer.assign([TopicPartition(self.name(topic), 0, 0)])
        got = []
        until(lambda: got.extend(m for m in consumer.consume(100, 0.2) if not m.error()) or len(got), lambda n: n >= count, patience_s)
        consumer.close()
        return [[m.offset(), m.value().decode(), m.leader_epoch()] for m in got]

    def error_of(self, question):
        """The error that it ends with, or nothing."""
        try:
            question()
        except KafkaException as error:
            return self.error(error)

    @staticmethod
    def with_file(text, question):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(text)
            file.flush()
            return question(file.name)

    def tool(self, tool, *words):
        # kafka-cluster and kafka-transactions have subcommands, kafka-cluster's before all flags.
        at = 1 if tool == "kafka-cluster" else 0
        code, out, err = self.tools.run(tool, [*words[:at], "--bootstrap-server", self.bootstrap, *words[at:]])

        def lines(text):
            # Folders, and the order of an ISR, aren't facts.
            text = re.sub(r"(?<=Isr: )[\d,]+", lambda m: ",".join(sorted(m[0].split(","))), re.sub(r'"/[^"]+"', '"FOLDER"', text))
            return [re.sub(r"TopicId: \S{22}", "TopicId: ID", re.sub(r"\s+", " ", line)).strip() for line in text.splitlines()
                    if line.strip() and not re.match(r"^\s+at |^NOTE|^\[?\d{4}-|^\d\d:\d\d:\d\d|^WARNING", line)]
        return [code, lines(out), lines(err)[:1]]


def placement(f):
    f.ask("brokers", lambda: sorted(f.admin.list_topics(timeout=DEADLINE_S).brokers))
    f.create("spread", partitions=6)
    # Each broker learns of a topic in its own time.
    shape = until(lambda: f.shape("spread"), lambda shape: len(shape) == 6)
    f.say("each leads two of six", sorted(p[1] for p in shape))
    f.say("each is a replica of all", [sorted(p[2]) for p in shape])
    f.say("all are in sync", [p[3] for p in shape])
    f.say("leaders are the first replicas", [p[1] == p[2][0] for p in shape])
    f.ask("four replicas of three brokers", lambda: f.create("four", replicas=4))
    f.ask("a broker that isn't there", lambda: f.create("nobody", [[1, 9]]))
    f.ask("one twice", lambda: f.create("twice", [[1, 1]]))
    f.ask("as many of each", lambda: f.create("uneven", [[1, 2], [1]]))
    f.create("two", [[2, 3, 1]], config={"min.insync.replicas": "2"})
    f.create("one", [[2, 3]])
    f.create("pair", [[2, 3]], config={"unclean.leader.election.enable": "true"})
    f.ask("as assigned", lambda: [f.shape(n) for n in ("two", "one")])
    f.ask("described by kafka-topics", lambda: f.tool("kafka-topics", "--describe", "--topic", f.name("two")))


def stops(f):
    f.ask("acks=all, all in sync", lambda: f.produce("two", ["a", "b"], acks="all"))
    f.produce("one", ["a"], acks="all")
    f.broker("stop", 2)
    f.say("a leader stopped: the next one leads", f.settled("two", [[3, [1, 3]]]))
    f.ask("described, one stopped", lambda: f.tool("kafka-topics", "--describe", "--topic", f.name("two")))
    f.ask("under-replicated", lambda: f.tool("kafka-topics", "--describe", "--topic", f.name("two"), "--under-replicated-partitions"))
    f.ask("at the least", lambda: f.tool("kafka-topics", "--describe", "--topic", f.name("two"), "--at-min-isr-partitions"))
    f.ask("brokers, one stopped", lambda: until(lambda: sorted(f.admin.list_topics(timeout=DEADLINE_S).brokers), lambda b: b == [1, 3]))
    f.ask("acks=all, two in sync", lambda: f.produce("two", ["c"], acks="all"))
    f.ask("read, each with its epoch", lambda: f.read("two", 3))
    f.ask("a topic of three replicas, one stopped", lambda: f.create("later", [[3, 1, 2]]))
    f.ask("its ISR", lambda: f.shape("later"))
    f.broker("stop", 3)
    f.say("two stopped: the last one leads", f.settled("two", [[1, [1]]]))
    f.ask("described, two stopped", lambda: f.tool("kafka-topics", "--describe", "--topic", f.name("two")))
    f.ask("below the least", lambda: f.tool("kafka-topics", "--describe", "--topic", f.name("two"), "--under-min-isr-partitions"))
    f.ask("acks=all, one in sync of two that must be", lambda: f.produce("two", ["never"], acks="all", message_send_max_retries=0))
    f.ask("acks=1, one in sync", lambda: f.produce("two", ["d"], acks="1"))
    f.ask("no leader", lambda: until(lambda: f.shape("one"), lambda s: s[0][1] == -1))
    f.ask("unavailable", lambda: f.tool("kafka-topics", "--describe", "--topic", f.name("one"), "--unavailable-partitions"))
    f.ask("produce without a leader", lambda: f.produce("one", ["never"], patience_ms=3000))
    f.ask("three replicas, two stopped", lambda: f.create("three-of-one"))
    f.broker("start", 3)
    f.say("one is back", f.settled("two", [[1, [1, 3]]]))
    f.broker("start", 2)
    f.say("all are back", f.settled("two", [[1, [1, 2, 3]]]))
    f.ask("described, all back", lambda: f.tool("kafka-topics", "--describe", "--topic", f.name("two")))
    f.ask("read all", lambda: f.read("two", 4))
    f.ask("what was without a leader has one", lambda: [until(lambda: f.shape("one"), lambda s: s[0][1] == 3 and len(s[0][3]) == 2), f.read("one", 1)])


def elections(f):
    def elect(partition=0, kind=ElectionType.PREFERRED, topic="two"):
        done = f.admin.elect_leaders(kind, [TopicPartition(f.name(topic), partition)]).result(DEADLINE_S)
        return [None if e is None else f.error(e) for e in done.values()]
    f.ask("elect the preferred", elect)
    f.say("it leads", f.settled("two", [[2, [1, 2, 3]]]))
    f.ask("elect it again", elect)
    f.ask("elect for a partition that isn't there", lambda: elect(9))
    f.ask("elect anybody where one leads", lambda: elect(kind=ElectionType.UNCLEAN))
    f.ask("kafka-leader-election", lambda: f.tool("kafka-leader-election", "--election-type", "preferred", "--topic", f.name("two"), "--partition", "0"))


def moves(f):
    f.create("moved", [[1, 2]])
    f.produce("moved", ["a", "b", "c"], acks="all")

    def reassign(to, *words):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"version": 1, "partitions": [{"topic": f.name("moved"), "partition": 0, "replicas": to, "log_dirs": ["any"] * len(to)}]}, file)
            file.flush()
            return f.tool("kafka-reassign-partitions", "--reassignment-json-file", file.name, *words)
    f.ask("reassign", lambda: reassign([3, 1], "--execute"))
    f.ask("it has moved", lambda: until(lambda: f.shape("moved"), lambda s: s[0][2] == [3, 1] and s[0][3] == [1, 3]))
    f.ask("reassign verify", lambda: reassign([3, 1], "--verify"))
    f.ask("reassign list", lambda: f.tool("kafka-reassign-partitions", "--list"))
    f.ask("reassign to a broker that isn't there", lambda: reassign([9], "--execute"))
    f.ask("reassign cancel nothing", lambda: reassign([3, 1], "--cancel"))
    f.ask("read what has moved", lambda: f.read("moved", 3))


def groups(f):
    f.produce("spread", [str(i) for i in range(4)], acks="all")
    topic = f.name("spread")

    # Each broker leads its share again, of the offsets topic too.
    f.admin.elect_leaders(ElectionType.PREFERRED, None).result(DEADLINE_S)

    # By bytes: while a coordinator goes, librdkafka's administration of groups may end with an assertion of its own (rd_kafka_enq_once).
    coordinator = lambda group: coordinator_of(f, GROUP, group)

    def committed(group):
        said = asked(f, until(lambda: coordinator(group)), "Offsets", [[f.name(group), None, -1, [[topic, [0]]]]], True)["groups"][0]
        return said["error"] or [p["error"] or p["offset"] for t in said["topics"] for p in t["partitions"]]

    def commit(group, offset):
        consumer = Consumer({**f.common, "group.id": f.name(group), "enable.auto.commit": False})
        def committing():
            try:
                return [p.offset for p in consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)]
            except KafkaException as error:
                return f.error(error)
        try:
            # A coordinator that has just become one refuses until it has loaded the group.
            return until(committing, lambda told: "COORDINATOR" not in str(told))
        finally:
            consumer.close()
    commit("first", 1)
    # A group that broker 2 or 3 coordinates: broker 1 isn't stopped.
    group = next(g for g in (f"g{n}" for n in range(50)) if commit(g, 2) and coordinator(g) != 1)
    at = coordinator(group)
    f.broker("stop", at)

    f.ask("another broker coordinates the group", lambda: until(lambda: coordinator(group) not in (None, at), deadline_s=60))
    f.ask("its offsets are kept", lambda: until(lambda: committed(group), lambda o: o == [2]))
    f.ask("and go on", lambda: [commit(group, 3), committed(group)])
    f.ask("records are read on", lambda: [m[1] for m in f.read("spread", 4)])
    f.broker("start", at)
    f.ask("all in sync again", lambda: until(lambda: [p[3] for p in f.shape("spread")], lambda isr: isr == [[1, 2, 3]] * 6))
    f.ask("its offsets, later", lambda: committed(group))


PARTS = (placement, stops, elections, moves, groups, *three_failures.PARTS, *three_shares.PARTS)

if __name__ == "__main__":
    facts = Three()
    three_shares.coordinators(facts)
    for part in PARTS:
        if len(sys.argv) < 4 or part.__name__ in ("placement", *sys.argv[3:]):
            part(facts)
    facts.tools.close()
