"""More facts about three brokers (three_brokers.py): killed leaders, elections of replicas that aren't in sync, moves in flight,
transactions whose coordinator or leader goes, and what the logs say of leaders' epochs."""

import json
import re

from confluent_kafka import Consumer, ElectionType, KafkaError, KafkaException, Producer, TopicPartition

from facts import DEADLINE_S, until
from wirecodec import MESSAGES, Connection

MESSAGES |= {
    "Reassign": (45, 0, True, "timeout:i32 topics [name:s partitions [index:i32 replicas [i32]]]",
                 "throttle:i32 error:i16 message:ns topics [name:s partitions [index:i32 error:i16 message:ns]]"),
    "Reassign1": (45, 1, True, "timeout:i32 growth:bool topics [name:s partitions [index:i32 replicas [i32]]]",
                  "throttle:i32 growth:bool error:i16 message:ns topics [name:s partitions [index:i32 error:i16 message:ns]]"),
    "Moving": (46, 0, True, "timeout:i32 topics [name:s partitions [i32]]",
               "throttle:i32 error:i16 message:ns topics [name:s partitions [index:i32 replicas [i32] adding [i32] removing [i32]]]"),
    "EpochEnd": (23, 4, True, "replica:i32 topics [name:s partitions [index:i32 current:i32 epoch:i32]]",
                 "throttle:i32 topics [name:s partitions [error:i16 index:i32 epoch:i32 end:i64]]"),
    "Elect": (43, 2, True, "kind:i8 topics [name:s partitions [i32]] timeout:i32",
              "throttle:i32 error:i16 topics [name:s partitions [index:i32 error:i16 message:ns]]"),
}
GROUP, TRANSACTION = 0, 1


def asked(f, broker, message, *values):
    """One question to one broker."""
    connection = Connection(f.bootstrap.split(",")[broker - 1])
    try:
        return connection.ask(message, *values)
    finally:
        connection.close()


def coordinator_of(f, kind, name):
    """The broker that coordinates a group or a transaction, as broker 1 says; None as long as none does."""
    found = asked(f, 1, "Find4", kind, [f.name(name)])["found"][0]
    return found["node"] if found["error"] == 0 else None


def epoch_ends(f, topic, broker, epochs):
    """[epoch asked for, error, epoch, end offset] as the broker sees it."""
    said = asked(f, broker, "EpochEnd", -1, [[f.name(topic), [[0, -1, epoch] for epoch in epochs]]])
    partitions = said["topics"][0]["partitions"]
    return [[epoch, p["error"], p["epoch"], p["end"]] for epoch, p in zip(epochs, partitions)]


def watermarks(f, topic):
    consumer = Consumer({**f.common, "group.id": f.name("watermarks")})
    try:
        return list(consumer.get_watermark_offsets(TopicPartition(f.name(topic), 0), timeout=DEADLINE_S))
    finally:
        consumer.close()


def known_watermarks(f, topic):
    """None as long as a new leader does not know yet what may be read (KIP-207)."""
    try:
        return watermarks(f, topic)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.OFFSET_NOT_AVAILABLE:
            raise
        return None


def all_back(f, *topics):
    return until(lambda: [[len(p[3]) for p in f.shape(topic)] for topic in topics], lambda sizes: all(n == len(p[2]) for t, s in zip(topics, sizes) for n, p in zip(s, f.shape(t))))


def kills(f):
    """A leader that dies as in a power cut: the others notice when its session has ended."""
    f.create("killed", [[2, 3, 1]], config={"min.insync.replicas": "2"})
    f.create("killed-one", [[2, 3, 1]])
    f.ask("kill: acks=all before", lambda: f.produce("killed", ["a", "b", "c"], acks="all"))
    f.ask("kill: acks=1 before", lambda: f.produce("killed-one", [str(n) for n in range(20)], acks="1"))
    f.ask("kill: epochs before", lambda: epoch_ends(f, "killed", 2, [0, 1]))
    f.broker("kill", 2)
    f.say("kill: the next one leads", f.settled("killed", [[3, [1, 3]]]))
    f.ask("kill: acks=all after", lambda: f.produce("killed", ["d"], acks="all", enable_idempotence="true"))
    f.ask("kill: nothing of acks=all is lost", lambda: f.read("killed", 4))

    def prefix():
        f.settled("killed-one", [[3, [1, 3]]])
        sent = [str(n) for n in range(20)]
        low, high = until(lambda: known_watermarks(f, "killed-one"))
        kept = [m[1] for m in f.read("killed-one", high)] if high else []
        return [low, kept == sent[:len(kept)]]
    f.ask("kill: of acks=1 a beginning is left", prefix)
    f.ask("kill: epochs after", lambda: epoch_ends(f, "killed", 3, [0, 1, 2, 9, -1]))
    f.ask("kill: epochs asked of a follower", lambda: epoch_ends(f, "killed", 1, [0]))
    f.ask("kill: described", lambda: f.tool("kafka-topics", "--describe", "--topic", f.name("killed")))
    f.ask("kill: endpoints", lambda: f.tool("kafka-cluster", "list-endpoints"))
    f.ask("kill: endpoints, fenced ones too", lambda: f.tool("kafka-cluster", "list-endpoints", "--include-fenced-brokers"))
    f.ask("kill: log dirs of who is there", lambda: log_dirs(f, "killed"))
    f.broker("start", 2)
    f.say("kill: it is back", f.settled("killed", [[3, [1, 2, 3]]]))
    f.ask("kill: log dirs of all", lambda: until(lambda: log_dirs(f, "killed"), lambda said: len(said[1]) == 3))
    f.ask("kill: log dirs of two", lambda: log_dirs(f, "killed", "--broker-list", "1,3"))
    f.ask("kill: elect the preferred", lambda: elect(f, "killed", ElectionType.PREFERRED))
    f.say("kill: it leads again", f.settled("killed", [[2, [1, 2, 3]]]))
    f.ask("kill: read all, each with its epoch", lambda: f.read("killed", 4))
    f.ask("kill: epochs in the end", lambda: epoch_ends(f, "killed", 2, [0, 1, 2, 3]))


def log_dirs(f, topic, *words):
    """[exit code, [broker, error, [partition, has bytes, lag, is future]] of each broker]"""
    code, lines, _ = f.tool("kafka-log-dirs", "--describe", "--topic-list", f.name(topic), *words)
    found = next((line for line in lines if line.startswith("{")), None)
    return [code, found and sorted([b["broker"], [d["error"] for d in b["logDirs"]],
                                    [[p["partition"], p["size"] > 0, p["offsetLag"], p["isFuture"]] for d in b["logDirs"] for p in d["partitions"]]]
                                   for b in json.loads(found)["brokers"])]


def elect(f, topic, kind, partition=0):
    done = f.admin.elect_leaders(kind, [TopicPartition(f.name(topic), partition)]).result(DEADLINE_S)
    return [None if e is None else f.error(e) for e in done.values()]


def unclean(f):
    """A replica that was not in sync leads: by hand, or by the topic's configuration. What it doesn't have is lost."""
    f.create("safe", [[2, 3]])
    f.create("risky", [[2, 3]], config={"unclean.leader.election.enable": "true"})
    both = ("safe", "risky")
    for topic in both:
        f.ask(f"unclean: {topic}, on both", lambda: f.produce(topic, ["a", "b"], acks="all"))
    f.broker("stop", 3)
    for topic in both:
        f.say(f"unclean: {topic}, one in sync", f.settled(topic, [[2, [2]]]))
        f.ask(f"unclean: {topic}, on one only", lambda: f.produce(topic, ["c"], acks="all"))
    f.broker("stop", 2)
    for topic in both:
        f.say(f"unclean: {topic}, nobody leads", f.settled(topic, [[-1, []]]))
    f.ask("unclean: described", lambda: f.tool("kafka-topics", "--describe", "--topic", f.name("safe")))
    f.ask("unclean: elect the preferred of nobody", lambda: elect(f, "safe", ElectionType.PREFERRED))
    f.ask("unclean: elect anybody of nobody", lambda: elect(f, "safe", ElectionType.UNCLEAN))
    f.broker("start", 3)
    f.say("unclean: risky, the other leads", f.settled("risky", [[3, [3]]]))
    f.say("unclean: safe, still nobody", f.shape("safe"))
    f.ask("unclean: risky, what is left", lambda: f.read("risky", 2))
    f.ask("unclean: safe, elect the preferred", lambda: elect(f, "safe", ElectionType.PREFERRED))
    f.ask("unclean: safe, elect by the tool", lambda: f.tool("kafka-leader-election", "--election-type", "unclean", "--topic", f.name("safe"), "--partition", "0"))
    f.say("unclean: safe, the other leads", f.settled("safe", [[3, [3]]]))
    f.ask("unclean: safe, what is left", lambda: f.read("safe", 2))
    for topic in both:
        f.ask(f"unclean: {topic}, goes on", lambda: f.produce(topic, ["d"], acks="all"))
    f.broker("start", 2)
    for topic in both:
        f.say(f"unclean: {topic}, both in sync", f.settled(topic, [[3, [2, 3]]]))
        f.ask(f"unclean: {topic}, its preferred leads", lambda: [elect(f, topic, ElectionType.PREFERRED), f.settled(topic, [[2, [2, 3]]])])
        f.ask(f"unclean: {topic}, read of it", lambda: f.read(topic, 3))
        f.ask(f"unclean: {topic}, its epochs", lambda: epoch_ends(f, topic, 2, [0, 1, 2, 3]))


def few(f):
    """Fewer in sync than must be: what may be written, and what may be read of it (KIP-966)."""
    f.create("few", [[1, 3]], config={"min.insync.replicas": "2"})
    f.ask("few: both in sync", lambda: f.produce("few", ["a"], acks="all"))
    f.broker("stop", 3)
    f.say("few: one in sync", f.settled("few", [[1, [1]]]))
    f.ask("few: acks=all", lambda: f.produce("few", ["never"], acks="all", message_send_max_retries=2))
    f.ask("few: one batch, asked directly", lambda: direct(f, "few"))
    f.ask("few: acks=1", lambda: f.produce("few", ["b"], acks="1"))
    f.ask("few: acks=0", lambda: len(f.produce("few", ["c"], acks="0")))
    f.ask("few: what may be read", lambda: watermarks(f, "few"))
    f.ask("few: described", lambda: f.tool("kafka-topics", "--describe", "--topic", f.name("few")))
    f.broker("start", 3)
    f.say("few: both again", f.settled("few", [[1, [1, 3]]]))
    f.ask("few: what may be read then", lambda: until(lambda: watermarks(f, "few"), lambda ends: ends == [0, 3]))


def direct(f, topic):
    from wirecodec import batch
    said = asked(f, 1, "Produce", None, -1, 1000, [[f.name(topic), [[0, batch([(b"k", b"v")], time=1_700_000_000_000)]]]])
    p = said["topics"][0]["partitions"][0]
    return [p["error"], p["base"], p["message"]]


def in_flight(f):
    """A move that can't end, because its new broker is away: listed, cancelled, asked for again, and done."""
    f.create("slow", [[1, 2], [2, 1]])
    f.produce("slow", ["a", "b"], acks="all")
    f.broker("stop", 3)
    until(lambda: sorted(f.admin.list_topics(timeout=DEADLINE_S).brokers), lambda brokers: brokers == [1, 2])

    def reassign(*partitions, message="Reassign"):
        extra = [True] if message == "Reassign1" else []
        said = asked(f, 1, message, 10_000, *extra, [[f.name("slow"), [list(p) for p in partitions]]])
        return [said["error"], said["message"], sorted([p["index"], p["error"], p["message"]] for t in said["topics"] for p in t["partitions"])]

    def moving():
        said = asked(f, 1, "Moving", 10_000, [[f.name("slow"), [0, 1]]])
        return [said["error"], sorted([p["index"], p["replicas"], p["adding"], p["removing"]] for t in said["topics"] for p in t["partitions"])]
    plan = json.dumps({"version": 1, "partitions": [{"topic": f.name("slow"), "partition": 0, "replicas": [3, 1], "log_dirs": ["any", "any"]}]})
    f.ask("move: to who is away", lambda: reassign((0, [3, 1])))
    f.ask("move: in flight", moving)
    f.ask("move: shape in flight", lambda: f.shape("slow"))
    f.ask("move: described in flight", lambda: f.tool("kafka-topics", "--describe", "--topic", f.name("slow")))
    f.ask("move: those that are being moved", lambda: f.tool("kafka-topics", "--describe", "--topic", f.name("slow"), "--under-replicated-partitions"))
    f.ask("move: listed by the tool", lambda: f.tool("kafka-reassign-partitions", "--list"))
    f.ask("move: verified by the tool", lambda: f.with_file(plan, lambda path: f.tool("kafka-reassign-partitions", "--reassignment-json-file", path, "--verify", "--preserve-throttles")))
    f.ask("move: executed by the tool, with a broker away", lambda: f.with_file(plan, lambda path: f.tool("kafka-reassign-partitions", "--reassignment-json-file", path, "--execute")))
    f.ask("move: more while in flight", lambda: [reassign((1, [2, 3])), moving()])
    f.ask("move: another way in flight", lambda: [reassign((0, [2, 1, 3]), message="Reassign1"), moving()])
    f.ask("move: cancelled by the tool", lambda: f.with_file(plan, lambda path: f.tool("kafka-reassign-partitions", "--reassignment-json-file", path, "--cancel", "--preserve-throttles")))
    f.ask("move: after the cancel", lambda: [moving(), f.shape("slow")])
    f.ask("move: cancelled by hand", lambda: [reassign((1, None)), moving(), f.shape("slow")])
    f.ask("move: cancelled again", lambda: reassign((1, None)))
    f.ask("move: of a partition that isn't there", lambda: reassign((9, [1, 2])))
    f.ask("move: to nobody", lambda: reassign((0, [])))
    f.ask("move: one twice", lambda: reassign((0, [1, 1])))
    f.ask("move: to more, where as many must be", lambda: asked_growth(f, "slow"))
    f.ask("move: once more", lambda: reassign((0, [3, 1])))
    f.broker("start", 3)
    f.ask("move: done", lambda: until(lambda: f.shape("slow"), lambda shape: shape[0][2] == [3, 1] and shape[0][3] == [1, 3])[0])
    f.ask("move: nothing in flight", lambda: until(moving, lambda said: not said[1]))
    f.ask("move: read of it", lambda: f.read("slow", 2))


def asked_growth(f, topic):
    said = asked(f, 1, "Reassign1", 10_000, False, [[f.name(topic), [[0, [1, 2, 3]]]]])
    return [said["error"], sorted([p["index"], p["error"], p["message"]] for t in said["topics"] for p in t["partitions"])]


def transactions(f):
    """A transaction outlives its coordinator, and its partition's leader."""
    f.create("paid", [[1, 2, 3]])
    f.create("paid-elsewhere", [[2, 3, 1]])

    coordinator = lambda id: coordinator_of(f, TRANSACTION, id)

    def producer(id):
        it = Producer({**f.common, "transactional.id": f.name(id), "transaction.timeout.ms": 900_000})
        it.init_transactions(DEADLINE_S)
        return it

    def send(it, topic, *values):
        told = []
        for value in values:
            it.produce(f.name(topic), value, partition=0, on_delivery=lambda error, m: told.append(f.error(error) if error else m.offset()))
        it.flush(DEADLINE_S)
        return told

    def committed(topic):
        return [m[1] for m in f.read(topic, 99, patience_s=2, isolation_level="read_committed")]
    producer("first")
    # Each broker leads its share of the coordinators again.
    f.admin.elect_leaders(ElectionType.PREFERRED, None).result(DEADLINE_S)
    id = next(id for id in (f"txn-{n}" for n in range(60)) if until(lambda: coordinator(id), lambda at: at is not None) == 3)
    one = producer(id)
    one.begin_transaction()
    f.ask("txn: sent", lambda: send(one, "paid", "a", "b"))
    f.broker("stop", 3)
    f.ask("txn: another coordinates", lambda: until(lambda: coordinator(id), lambda at: at in (1, 2)) in (1, 2))
    f.ask("txn: goes on", lambda: send(one, "paid", "c"))
    f.ask("txn: commit", lambda: one.commit_transaction(DEADLINE_S))
    f.ask("txn: read", lambda: until(lambda: committed("paid"), lambda values: len(values) == 3))
    one.begin_transaction()
    f.ask("txn: sent again", lambda: send(one, "paid", "lost"))
    f.broker("start", 3)
    f.ask("txn: all in sync", lambda: until(lambda: [p[3] for p in f.shape("paid")], lambda isr: isr == [[1, 2, 3]]))
    f.ask("txn: abort", lambda: one.abort_transaction(DEADLINE_S))
    one.begin_transaction()
    f.ask("txn: to two leaders", lambda: [send(one, "paid", "d"), send(one, "paid-elsewhere", "e")])
    f.broker("kill", 2)
    f.say("txn: one leader is gone", f.settled("paid-elsewhere", [[3, [1, 3]]]))
    f.ask("txn: sent to the next one", lambda: send(one, "paid-elsewhere", "f"))
    f.ask("txn: commit to both", lambda: one.commit_transaction(DEADLINE_S))
    f.ask("txn: read of both", lambda: until(lambda: [committed("paid"), committed("paid-elsewhere")], lambda found: [len(v) for v in found] == [4, 2]))
    f.ask("txn: a second one with the id", lambda: [producer(id) and None, f.error_of(lambda: zombie(f, one))])
    f.broker("start", 2)
    f.ask("txn: all in sync again", lambda: until(lambda: [p[3] for p in f.shape("paid-elsewhere")], lambda isr: isr == [[1, 2, 3]]))
    f.ask("txn: producers of the partition", lambda: [re.sub(r"\d+", "N", line) for line in f.tool("kafka-transactions", "describe-producers", "--topic", f.name("paid-elsewhere"), "--partition", "0")[1]])


def zombie(f, producer):
    producer.begin_transaction()
    producer.produce(f.name("paid"), "zombie", partition=0)
    producer.commit_transaction(DEADLINE_S)


PARTS = (kills, unclean, few, in_flight, transactions)
