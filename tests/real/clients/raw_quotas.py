#!/usr/bin/env python3
"""Facts about clients that quotas hold back, as the bytes on the wire tell them. usage: raw_quotas.py BOOTSTRAP PREFIX

Quotas of users are for every client of the cluster, so this runs alone. Times are told by the half second: what is measured
over ten seconds is a little less after each moment.
"""

import time

from confluent_kafka import Consumer, Producer, TopicPartition

from facts import DEADLINE_S, Facts, until
from wirecodec import MESSAGES, Connection, batch

MESSAGES |= {
    "Create5": (19, 5, True, "topics [name:s partitions:i32 replicas:i16 assignments [index:i32 brokers [i32]] configs [name:s value:ns]] timeout:i32 dry:bool",
                "throttle:i32 topics [name:s error:i16 message:ns partitions:i32 replicas:i16 configs [name:s value:ns read_only:bool source:i8 sensitive:bool]]"),
    "CreatePartitions2": (37, 2, True, "topics [name:s count:i32 assignments [brokers [i32]]] timeout:i32 dry:bool", "throttle:i32 results [name:s error:i16 message:ns]"),
}
# Records that nothing makes smaller, with the request around them.
ROOM = 200


def about(ms):
    """To the half second."""
    return round(ms / 500) / 2


class Quotas(Facts):
    def __init__(self):
        super().__init__()
        self.admin = Connection(self.bootstrap, "admin")
        self.marks = 0

    def __call__(self, message, *values):
        return self.admin.ask(message, *values)

    def client(self, name):
        return Connection(self.bootstrap, self.name(name))

    def topic(self, name, partitions=1):
        full = self.name(name)
        self("CreateTopics", [[full, partitions, 1, [], []]], 10_000, False)
        probe = lambda: self("ListOffsets", -1, 0, [[full, [[0, -1, -1]]]])["topics"][0]["partitions"][0]["error"]
        until(probe, lambda error: error == 0)
        return full

    def set(self, entity, **values):
        """Quotas of an entity, None to take one away. They are in force when all brokers know what was changed after them."""
        changes = [[key, value or 0.0, value is None] for key, value in values.items()]
        said = self("AlterClientQuotas", [[entity, changes]], False)["entries"][0]
        assert said["error"] == 0, said
        self.marks += 1
        mark = str(45_000 + self.marks)
        group = self.name("settled")
        self("IncrementalAlterConfigs", [[32, group, [["consumer.session.timeout.ms", 0, mark]]]], False)
        shown = lambda: self("DescribeConfigs", [[32, group, ["consumer.session.timeout.ms"]]], False, False)["results"][0]["configs"][0]["value"]
        until(shown, lambda value: value == mark)
        time.sleep(0.2)

    def of(self, client):
        """The entity that is just this client."""
        return [["client-id", self.name(client)]]

    def produce(self, c, topic, size, acks=-1):
        """The throttle time of a request of this size."""
        c.send("Produce", [None, acks, 10_000, [[topic, [[0, batch([(None, b"x" * (size - ROOM))], time=int(time.time() * 1000))]]]]])
        if acks == 0:
            return None
        said = c.receive("Produce")
        assert said["topics"][0]["partitions"][0]["error"] == 0, said
        return said["throttle"]

    def fetch(self, c, topic, offset, size=10_000_000):
        return c.ask("Fetch", -1, 0, 1, 50_000_000, 0, 0, -1, [[topic, [[0, -1, offset, -1, size]]]], [], "")

    @staticmethod
    def took(question):
        begun = time.monotonic()
        question()
        return (time.monotonic() - begun) * 1000


def producing(f):
    t, c, other = f.topic("produced"), f.client("p"), f.client("p")
    f.ask("producer without a quota", lambda: f.produce(f.client("none"), t, 900_000))
    f.set(f.of("p"), producer_byte_rate=20_000.0)
    f.ask("producer within its quota", lambda: [f.produce(c, t, 95_000), f.produce(c, t, 95_000)])
    f.ask("producer over it", lambda: about(f.produce(c, t, 30_000)))
    f.ask("another connection of the client is answered", lambda: f.took(lambda: other.ask("ApiVersions0")) < 400)
    f.ask("this one has to wait", lambda: about(f.took(lambda: c.ask("ApiVersions0"))))
    # Away from the second at which one more window counts.
    time.sleep(0.3)
    f.ask("producer in batches that are too large", lambda: about(f.produce(c, t, 40_000)))
    c.close()
    f.ask("the other connection counts the same", lambda: about(f.produce(other, t, 10_000)))
    other.close()
    stranger = f.client("stranger")
    f.ask("another client has none", lambda: f.produce(stranger, t, 900_000))
    silent = f.client("silent")
    f.set(f.of("silent"), producer_byte_rate=10_000.0)
    f.produce(silent, t, 120_000, acks=0)
    f.ask("who wants no answer waits as well", lambda: about(f.took(lambda: silent.ask("ApiVersions0"))))
    f.set(f.of("silent"), producer_byte_rate=None)
    f.ask("without the quota, at once", lambda: f.produce(silent, t, 900_000))


def fetching(f):
    t, c = f.topic("fetched"), f.client("c")
    writer = f.client("writer")
    for _ in range(4):
        f.produce(writer, t, 90_000)
    f.set(f.of("c"), consumer_byte_rate=20_000.0)
    shown = lambda said: [said["error"], said["session"], [[p["index"], p["error"], p["high"], len(p["records"])] for x in said["topics"] for p in x["partitions"]], about(said["throttle"])]
    f.ask("reader within its quota", lambda: [shown(f.fetch(c, t, at, 90_000)) for at in (0, 1)])
    f.ask("reader over it", lambda: shown(f.fetch(c, t, 2, 30_000)))
    f.ask("the reader has to wait", lambda: about(f.took(lambda: c.ask("ApiVersions0"))))
    c.close()
    c = f.client("large")
    f.set(f.of("large"), consumer_byte_rate=10_000.0)
    # Ten seconds' worth and its frame are a little more than ten seconds' worth.
    f.ask("reader of much at once", lambda: f.fetch(c, t, 0)["throttle"] < 100)
    f.ask("what it gets then", lambda: shown(f.fetch(c, t, 0)))
    c.close()


def mutations(f):
    c = f.client("m")
    f.set(f.of("m"), controller_mutation_rate=2.0)
    create = lambda name, partitions, message="CreateTopics", dry=False: (lambda said: [said["topics"][0]["error"], said["topics"][0]["message"], about(said["throttle"])])(
        c.ask(message, [[f.name(name), partitions, 1, [], []]], 10_000, dry))
    def again():
        # Each answer with a throttle time leaves the connection alone for so long.
        nonlocal c
        c.close()
        c = f.client("m")
    f.ask("topics within the quota", lambda: create("m1", 20))
    f.ask("topics up to it and beyond", lambda: create("m2", 5))
    f.ask("topics over it", lambda: create("m3", 1))
    f.ask("the connection has to wait", lambda: about(f.took(lambda: c.ask("ApiVersions0"))))
    f.ask("a topic when it is over", lambda: (time.sleep(0.3), create("m4", 5))[1])
    again()
    f.ask("topics over it, dry", lambda: create("m5", 1, dry=True))
    again()
    f.ask("a bad topic over it", lambda: create("a b", 1)[:2])
    again()
    f.ask("partitions over it", lambda: (lambda said: [said["results"][0]["error"], said["results"][0]["message"], about(said["throttle"])])(
        c.ask("CreatePartitions", [[f.name("m4"), 6, None]], 10_000, False)))
    again()
    f.ask("deletion over it", lambda: (lambda said: [said["topics"][0]["error"], said["topics"][0]["message"], about(said["throttle"])])(
        c.ask("DeleteTopics", [[f.name("m4"), bytes(16)]], 10_000)))
    again()
    f.ask("topics over it, older", lambda: create("m6", 2, "Create5"))
    again()
    f.ask("partitions over it, older", lambda: (lambda said: [said["results"][0]["error"], said["results"][0]["message"], about(said["throttle"])])(
        c.ask("CreatePartitions2", [[f.name("m6"), 3, None]], 10_000, False)))
    again()
    f.ask("deletion over it, older", lambda: (lambda said: [said["topics"][0]["error"], about(said["throttle"])])(c.ask("DeleteTopics4", [f.name("m6")], 10_000)))
    again()
    f.set(f.of("m"), controller_mutation_rate=None)
    f.ask("topics without it", lambda: create("m7", 30))
    c.close()


def precedence(f):
    """From the entity that counts last to the one that counts first: each has twice as much, so each answer tells which one it was."""
    t = f.topic("ranked")
    levels = [[["client-id", None]], [["client-id", "me"]], [["user", None]], [["user", None], ["client-id", None]], [["user", None], ["client-id", "me"]],
              [["user", "ANONYMOUS"]], [["user", "ANONYMOUS"], ["client-id", None]], [["user", "ANONYMOUS"], ["client-id", "me"]]]
    made = []
    for at, level in enumerate(levels):
        me = f"ranked-{at}"
        # The names of those before are not this client's.
        entity = [[kind, f.name(me) if name == "me" else name] for kind, name in level]
        f.set(entity, producer_byte_rate=1_000.0 * 2 ** at)
        made.append(entity)
        c = f.client(me)
        said = f.produce(c, t, 900_000)
        c.close()
        # Where the user's earlier batch counts, so does how long ago it was: up to a second.
        unit = 3_000 if level == [["user", "ANONYMOUS"]] else 1_000
        f.say(f"precedence: {' and '.join(f'{kind} {name}' for kind, name in level)}", round(said / unit) if at < 6 else about(said))
    nobody = Connection(f.bootstrap, "")
    f.ask("precedence: a client without a name", lambda: round(f.produce(nobody, t, 900_000) / 5000))
    nobody.close()
    for entity in made:
        f.set(entity, producer_byte_rate=None)
    nobody = Connection(f.bootstrap, "")
    f.set([["client-id", None]], producer_byte_rate=1_000.0)
    f.ask("precedence: it is none of all clients", lambda: f.produce(nobody, t, 900_000))
    f.set([["client-id", None]], producer_byte_rate=None)


def librdkafka(f):
    """A real client under a quota: it gets about its rate, and is told why."""
    t = f.topic("real")
    f.set(f.of("real"), producer_byte_rate=500_000.0, consumer_byte_rate=500_000.0)
    common = {"bootstrap.servers": f.bootstrap, "client.id": f.name("real"), "log_level": 0}
    told = []
    producer = Producer({**common, "throttle_cb": lambda event: told.append(event.throttle_time), "batch.size": 20_000, "linger.ms": 5,
                         "max.in.flight.requests.per.connection": 1})
    # At that rate they take 14 seconds, but what is measured is a little behind.
    total = 7_000_000
    begun = time.monotonic()
    for _ in range(total // 5_000):
        producer.produce(t, b"x" * 5_000)
        producer.poll(0)
    left = producer.flush(DEADLINE_S)
    took = time.monotonic() - begun
    f.say("librdkafka: a producer's rate", [left, 10.0 < took < 16.0 or took, bool(told) and max(told) > 0])
    told.clear()
    consumer = Consumer({**common, "group.id": f.name("real"), "throttle_cb": lambda event: told.append(event.throttle_time), "fetch.message.max.bytes": 200_000,
                         "queued.max.messages.kbytes": 400, "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(t, 0, 0)])
    got, begun = 0, time.monotonic()
    while got < total and time.monotonic() - begun < 30:
        message = consumer.poll(0.2)
        got += len(message.value()) if message and not message.error() else 0
    took = time.monotonic() - begun
    consumer.close()
    f.say("librdkafka: a consumer's rate", [got, 10.0 < took < 16.0 or took, bool(told) and max(told) > 0])


PARTS = (producing, fetching, mutations, precedence, librdkafka)

if __name__ == "__main__":
    facts = Quotas()
    for part in PARTS:
        try:
            part(facts)
        except Exception as error:  # a part that can't go on is a fact as well, and the other parts are asked
            facts.say(f"{part.__name__} ended", Facts.error(error))
