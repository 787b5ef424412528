#!/usr/bin/env python3
"""Facts about a cluster as Apache Kafka's own tools see it. usage: java_tools.py BOOTSTRAP PREFIX (KAFKA_HOME is set)

The tools are slow to start, so several run at once: what doesn't depend on each other is a part of its own.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from facts import Facts, until

TOOL_S = 120
# Parts; each runs a tool after the other.
AT_ONCE = 3
LOGGED = re.compile(r"^(\[?\d{4}-\d\d-\d\d[T ]|\d\d:\d\d:\d\d|SLF4J|WARNING|NOTE: Picked up|The consumer rebalance protocol)")
TRACE = re.compile(r"^\s+at |^\s*\.\.\. \d+ (more|common)|^Caused by|^\s*Suppressed:|^\s*$")
EXCEPTION = re.compile(r"^(Exception in thread .*? )?(java|org|kafka)(\.\w+)+\$?\w*(Exception|Error)\b")


class Java(Facts):
    def __init__(self):
        super().__init__()
        self.home = os.environ["KAFKA_HOME"]
        # Short runs: no second compiler, one collector thread.
        self.env = {**os.environ, "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto", "KAFKA_LOG_LEVEL": "ERROR"}
        self.facts = []

    def say(self, name, value):
        self.facts.append((name, value))

    def start(self, tool, *words, **rest):
        return subprocess.Popen([f"{self.home}/bin/{tool}.sh", "--bootstrap-server", self.bootstrap, *words], env=self.env,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **rest)

    def run(self, tool, *words, text="", ordered=False):
        """[exit code, lines of stdout, the first line of stderr that says something]. Hash maps' order isn't a fact."""
        child = self.start(tool, *words)
        try:
            out, err = child.communicate(text, TOOL_S)
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            err = f"no end within {TOOL_S} s"
        said = [line for line in err.splitlines() if not LOGGED.match(line) and not TRACE.match(line)][:1]
        lines = [self.tidy(line) for line in out.splitlines() if line.strip() and not LOGGED.match(line) and not TRACE.match(line)
                 and not EXCEPTION.match(line)]
        return [child.returncode, lines if ordered else sorted(lines), [self.tidy(line) for line in said]]

    def tidy(self, text):
        text = re.sub(r"TopicId: \S{22}", "TopicId: ID", text)
        text = re.sub(r"(CreateTime|LogAppendTime):\d{13}", r"\1:TIME", text)
        return re.sub(r"\s+", " ", text).strip()

    def tell(self, name, tool, *words, **rest):
        # Words that start with @ are names on the cluster.
        words = [re.sub(r"@(?=\w)", self.prefix, word) for word in words]
        try:
            value = self.run(tool, *words, **rest)
        except Exception as error:
            value = self.error(error)
        self.say(name, value)
        return value


def topics(f):
    tell = f.tell
    tell("topics create", "kafka-topics", "--create", "--topic", "@rides", "--partitions", "3", "--config", "retention.ms=-1")
    tell("topics create again", "kafka-topics", "--create", "--topic", "@rides")
    tell("topics create again if not exists", "kafka-topics", "--create", "--topic", "@rides", "--if-not-exists")
    tell("topics create bad name", "kafka-topics", "--create", "--topic", "@a/b")
    tell("topics create too many replicas", "kafka-topics", "--create", "--topic", "@many", "--replication-factor", "2")
    tell("topics create by assignment", "kafka-topics", "--create", "--topic", "@assigned", "--replica-assignment", "1,1")
    tell("topics describe", "kafka-topics", "--describe", "--topic", "@rides")
    tell("topics describe unknown", "kafka-topics", "--describe", "--topic", "@ghost")
    tell("topics alter", "kafka-topics", "--alter", "--topic", "@rides", "--partitions", "4")
    tell("topics alter fewer", "kafka-topics", "--alter", "--topic", "@rides", "--partitions", "1")
    tell("topics list", "kafka-topics", "--list", "--topic", "@.*")
    tell("topics delete", "kafka-topics", "--delete", "--topic", "@assigned")
    tell("topics delete unknown", "kafka-topics", "--delete", "--topic", "@ghost")


def configs(f):
    tell = f.tell
    tell("configs topic", "kafka-topics", "--create", "--topic", "@configured")
    there = ["--entity-type", "topics", "--entity-name", "@configured"]
    tell("configs set", "kafka-configs", "--alter", *there, "--add-config", "retention.ms=5000,cleanup.policy=[compact,delete]")
    tell("configs describe", "kafka-configs", "--describe", *there)
    tell("configs describe all", "kafka-configs", "--describe", *there, "--all")
    tell("configs delete", "kafka-configs", "--alter", *there, "--delete-config", "retention.ms")
    tell("configs delete what isn't set", "kafka-configs", "--alter", *there, "--delete-config", "flush.ms")
    tell("configs set bad value", "kafka-configs", "--alter", *there, "--add-config", "retention.ms=soon")
    tell("configs set unknown name", "kafka-configs", "--alter", *there, "--add-config", "retention.mss=1")
    tell("configs of an unknown topic", "kafka-configs", "--describe", "--entity-type", "topics", "--entity-name", "@ghost")
    tell("configs of the broker", "kafka-configs", "--describe", "--entity-type", "brokers", "--entity-name", "1")


def records(f):
    tell = f.tell
    tell("records topic", "kafka-topics", "--create", "--topic", "@rec", "--partitions", "2", "--config", "retention.ms=-1")
    tell("console-producer", "kafka-console-producer", "--topic", "@rec", "--reader-property", "parse.key=true", "--reader-property", "key.separator=:",
         text="".join(f"d-{i:02}:v{i}\n" for i in range(12)))
    read = ["kafka-console-consumer", "--topic", "@rec", "--timeout-ms", "40000"]
    shown = ["--formatter-property", "print.key=true", "--formatter-property", "print.partition=true", "--formatter-property", "print.offset=true",
             "--formatter-property", "print.timestamp=true", "--formatter-property", "print.headers=true"]
    tell("console-consumer", *read, "--from-beginning", "--max-messages", "12", *shown)
    tell("console-consumer from an offset", *read, "--partition", "0", "--offset", "2", "--max-messages", "2", *shown, ordered=True)
    tell("console-consumer of an unknown topic", "kafka-console-consumer", "--topic", "@ghost-read", "--timeout-ms", "2500", "--consumer-property", "allow.auto.create.topics=false")
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        tell(f"console-producer {codec}", "kafka-console-producer", "--topic", "@codecs", "--compression-codec", codec, text=f"{codec * 9}\n" * 3)
    tell("console-consumer of all codecs", "kafka-console-consumer", "--topic", "@codecs", "--from-beginning", "--max-messages", "12", "--timeout-ms", "40000")
    offsets = ["kafka-get-offsets", "--topic", "@rec"]
    tell("get-offsets", *offsets)
    tell("get-offsets earliest", *offsets, "--time", "earliest")
    tell("get-offsets of one partition", *offsets, "--partitions", "1", "--time", "-1")
    tell("get-offsets by time", *offsets, "--time", "1000")
    tell("get-offsets unknown", "kafka-get-offsets", "--topic", "@ghost")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"partitions": [{"topic": f.name("rec"), "partition": 0, "offset": 3}], "version": 1}, file)
        file.flush()
        tell("delete-records", "kafka-delete-records", "--offset-json-file", file.name)
    tell("get-offsets after delete-records", *offsets, "--time", "earliest")
    dump(f)


def dump(f):
    """The files of a log, as Kafka's own reader sees them."""
    out = f.run("kafka-log-dirs", "--describe", "--topic-list", f"{f.name('rec')},{f.name('codecs')}")
    line = next((line for line in out[1] if line.startswith("{")), None)
    if not line:
        f.say("log-dirs", out)
        return
    (broker,) = json.loads(line)["brokers"]
    folders = [d for d in broker["logDirs"] if d["partitions"]]
    f.say("log-dirs", [broker["broker"], [d["error"] for d in folders],
                       sorted([p["partition"], p["offsetLag"], p["isFuture"], p["size"] > 0] for d in folders for p in d["partitions"])])
    for topic in ("rec-0", "codecs-0"):
        folder = f"{folders[0]['logDir']}/{f.prefix}{topic}"
        name = "00000000000000000000"
        for kind, flags in (("log", ["--print-data-log"]), ("index", ["--index-sanity-check"]), ("timeindex", [])):
            done = subprocess.run([f"{f.home}/bin/kafka-dump-log.sh", "--files", f"{folder}/{name}.{kind}", *flags], env=f.env, capture_output=True,
                                  text=True, timeout=TOOL_S)
            # A compressed batch's size depends on its times.
            varying = "crc|producerId|CreateTime|timestamp" + ("|size|position" if topic == "codecs-0" else "")
            lines = [re.sub(rf"({varying}): -?\d+", lambda m: m[0] if "-1" in m[0] else m[1] + ": N", f.tidy(line)).replace(folder, "")
                     for line in done.stdout.splitlines() if not LOGGED.match(line)]
            f.say(f"dump-log {topic} {kind}", [done.returncode, lines, [f.tidy(line).replace(folder, "") for line in done.stderr.splitlines() if EXCEPTION.match(line)][:1]])


def groups(f):
    tell = f.tell
    tell("groups topic", "kafka-topics", "--create", "--topic", "@g", "--partitions", "2", "--config", "retention.ms=-1")
    f.run("kafka-console-producer", "--topic", f.name("g"), "--reader-property", "parse.key=true", "--reader-property", "key.separator=:",
          text="".join(f"d-{i:02}:v{i}\n" for i in range(10)))
    base, group = "kafka-consumer-groups", ["--group", "@readers"]
    tell("groups unknown", base, "--describe", "--group", "@ghost")
    member = f.start("kafka-console-consumer", "--topic", f.name("g"), "--group", f.name("readers"), "--from-beginning",
                     "--consumer-property", "auto.commit.interval.ms=100", "--consumer-property", "client.id=reader")
    try:
        for _ in range(10):
            member.stdout.readline()
        settled = until(lambda: f.run(base, "--describe", "--group", f.name("readers")),
                        lambda said: sum(re.search(r" \d+ \d+ 0 ", line) is not None for line in said[1]) == 2)
        f.say("groups describe", settled)
        tell("groups describe members", base, "--describe", *group, "--members", "--verbose")
        tell("groups describe state", base, "--describe", *group, "--state")
        tell("groups reset while it lives", base, "--reset-offsets", *group, "--topic", "@g", "--to-earliest", "--execute")
        tell("groups delete while it lives", base, "--delete", *group)
        tell("groups delete offsets while it lives", base, "--delete-offsets", *group, "--topic", "@g")
    finally:
        member.terminate()
        member.communicate()
    f.say("groups describe empty state", until(lambda: f.run(base, "--describe", "--group", f.name("readers"), "--state"), lambda said: " Empty 0" in str(said[1])))
    tell("groups describe empty", base, "--describe", *group)
    listed = f.run(base, "--list", "--state")
    f.say("groups list", [line for line in listed[1] if line.startswith(f.name("readers"))])
    tell("groups reset, a dry run", base, "--reset-offsets", *group, "--topic", "@g", "--to-earliest", "--dry-run")
    tell("groups reset to an offset", base, "--reset-offsets", *group, "--topic", "@g:0", "--to-offset", "2", "--execute")
    tell("groups reset by a shift", base, "--reset-offsets", *group, "--all-topics", "--shift-by", "-1", "--execute")
    tell("groups reset beyond the end", base, "--reset-offsets", *group, "--topic", "@g", "--to-offset", "999", "--execute")
    tell("groups reset to a time", base, "--reset-offsets", *group, "--topic", "@g", "--to-datetime", "2020-01-01T00:00:00.000", "--execute")
    tell("groups reset an unknown topic", base, "--reset-offsets", *group, "--topic", "@ghost", "--to-earliest", "--execute")
    tell("groups delete offsets", base, "--delete-offsets", *group, "--topic", "@g:1")
    tell("groups after all that", base, "--describe", *group)
    tell("groups delete", base, "--delete", *group)
    tell("groups delete unknown", base, "--delete", *group)


def verifiable(f):
    tell = f.tell
    tell("api-versions", "kafka-broker-api-versions")
    f.facts[-1] = ("api-versions", f.facts[-1][1][0])
    f.run("kafka-topics", "--create", "--topic", f.name("v"), "--partitions", "1")
    said = f.run("kafka-verifiable-producer", "--topic", f.name("v"), "--max-messages", "200", "--acks", "-1")
    events = [json.loads(line) for line in said[1] if line.startswith("{")]
    f.say("verifiable-producer", [said[0], sum(e["name"] == "producer_send_success" for e in events),
                                  [[e["sent"], e["acked"]] for e in events if e["name"] == "tool_data"], said[2]])
    said = f.run("kafka-verifiable-consumer", "--topic", f.name("v"), "--group-id", f.name("verified"), "--max-messages", "200",
                 "--reset-policy", "earliest", ordered=True)
    events = [json.loads(line) for line in said[1] if line.startswith("{")]
    f.say("verifiable-consumer", [said[0], sum(e["count"] for e in events if e["name"] == "records_consumed"),
                                  [e["offsets"][-1]["offset"] for e in events if e["name"] == "offsets_committed" and e["offsets"]][-1:],
                                  [e.get("success") for e in events if e["name"] == "offsets_committed"][-1:], said[2]])


def part(name):
    facts = Java()
    begun = time.monotonic()
    name(facts)
    return facts, time.monotonic() - begun


if __name__ == "__main__":
    wanted = [p for p in (groups, records, topics, configs, verifiable) if len(sys.argv) < 4 or p.__name__ in sys.argv[3:]]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for facts, took in pool.map(part, wanted):
            for fact in facts.facts:
                Facts.say(facts, *fact)
            if os.environ.get("FACTS_SLOW"):
                print(f"{took:.0f} s", file=sys.stderr)
