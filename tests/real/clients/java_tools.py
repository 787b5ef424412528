#!/usr/bin/env python3
"""Facts about a cluster as Apache Kafka's own tools see it. usage: java_tools.py BOOTSTRAP PREFIX (KAFKA_HOME is set)

The tools are slow to start, so several run at once: what doesn't depend on each other is a part of its own.
"""

import json
import os
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import java_admin
from facts import Facts, until
from jvm import Tools

# Parts; each runs a tool after the other.
AT_ONCE = 4
LOGGED = re.compile(r"^(\[?\d{4}-\d\d-\d\d[T ]|\d\d:\d\d:\d\d|SLF4J|WARNING|NOTE: Picked up|The consumer rebalance protocol)")
TRACE = re.compile(r"^\s+at |^\s*\.\.\. \d+ (more|common)|^Caused by|^\s*Suppressed:|^\s*$")
EXCEPTION = re.compile(r"^(Exception in thread .*? )?(java|org|kafka)(\.\w+)+\$?\w*(Exception|Error)\b")


class Java(Facts):
    def __init__(self, tools):
        super().__init__()
        self.tools, self.facts = tools, []
        self.folder = Path(tempfile.mkdtemp())

    def say(self, name, value):
        self.facts.append((name, value))

    def start(self, tool, *words, **rest):
        return self.tools.start(tool, ["--bootstrap-server", self.bootstrap, *words], **rest)

    def run(self, tool, *words, text="", ordered=False):
        """[exit code, lines of stdout, the first line of stderr that says something]. Hash maps' order isn't a fact."""
        code, out, err = self.tools.run(tool, self.command(tool, words), text)
        said = [line for line in err.splitlines() if not LOGGED.match(line) and not TRACE.match(line)]
        said = said[:2 if said and said[0].startswith("Error while executing") else 1]
        lines = [self.tidy(line) for line in out.splitlines() if line.strip() and not LOGGED.match(line) and not TRACE.match(line)
                 and not EXCEPTION.match(line)]
        return [code, lines if ordered else sorted(lines), [self.tidy(line) for line in said]]

    def command(self, tool, words):
        """The words with the flag that says where the cluster is; kafka-cluster has it after its subcommand."""
        at = 1 if tool == "kafka-cluster" else 0
        return [*words[:at], "--bootstrap-server", self.bootstrap, *words[at:]]

    def dump(self, path, *flags):
        """`kafka-dump-log` of files: its exit code, the lines of stdout, and its first error."""
        code, out, err = self.tools.run("kafka-dump-log", ["--files", path, *flags])
        errors = [self.tidy(line) for line in err.splitlines() if EXCEPTION.match(line)][:1]
        return code, [self.tidy(line) for line in out.splitlines() if not LOGGED.match(line)], errors

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def tidy(self, text):
        text = re.sub(r"TopicId: \S{22}", "TopicId: ID", text.replace(f"{self.folder}/", "DIR/"))
        text = re.sub(r"(CreateTime|LogAppendTime):\d{13}", r"\1:TIME", text)
        text = re.sub(r'"(logDir|log_dirs)":(\[?)"/[^"]*"', r'"\1":\2"DIR"', text)
        # A hash set's order isn't a fact.
        text = re.sub(r"(?<=Valid states are: ).*|(?<=the following scenarios: \[).*(?=\])|(?<=options: )\[.*", lambda m: ", ".join(sorted(m[0].split(", "))), text)
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
    java_admin.broker_entities(f)


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
            code, lines, errors = f.dump(f"{folder}/{name}.{kind}", *flags)
            # A compressed batch's size depends on its times.
            varying = "crc|producerId|CreateTime|timestamp" + ("|size|position" if topic == "codecs-0" else "")
            lines = [re.sub(rf"({varying}): -?\d+", lambda m: m[0] if "-1" in m[0] else m[1] + ": N", line).replace(folder, "") for line in lines]
            f.say(f"dump-log {topic} {kind}", [code, lines, [line.replace(folder, "") for line in errors]])


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


def consumer_groups(f):
    """The consumer protocol (KIP-848): the coordinator makes the assignment."""
    tell = f.tell
    tell("consumer groups topic", "kafka-topics", "--create", "--topic", "@cg", "--partitions", "2", "--config", "retention.ms=-1")
    f.run("kafka-console-producer", "--topic", f.name("cg"), "--reader-property", "parse.key=true", "--reader-property", "key.separator=:",
          text="".join(f"d-{i:02}:v{i}\n" for i in range(10)))
    base, group = "kafka-consumer-groups", ["--group", "@served"]

    def start(name, *more):
        return f.start("kafka-console-consumer", "--topic", f.name("cg"), "--group", f.name("served"), "--from-beginning", "--consumer-property", "auto.commit.interval.ms=100",
                       "--consumer-property", "group.protocol=consumer", "--consumer-property", f"client.id={name}", *more)

    def described(*words):
        said = f.run(base, "--describe", "--group", f.name("served"), *words)
        # Members make their ids themselves.
        return [said[0], sorted(re.sub(r"(?<!\S)[\w-]{22}(?!\S)", "ID", line) for line in said[1]), said[2]]
    members = [start("reader")]
    try:
        for _ in range(10):
            members[0].stdout.readline()
        f.say("consumer groups describe", until(described, lambda said: sum(re.search(r" \d+ \d+ 0 ", line) is not None for line in said[1]) == 2))
        f.say("consumer groups describe members", described("--members", "--verbose"))
        f.say("consumer groups describe state", described("--state", "--verbose"))
        members.append(start("second", "--consumer-property", "group.instance.id=static", "--consumer-property", "group.remote.assignor=range"))
        f.say("consumer groups, two members' state", until(lambda: described("--state"), lambda said: "Stable 2" in str(said[1])))
        f.say("consumer groups, two members", described("--members", "--verbose"))
        tell("consumer groups reset while it lives", base, "--reset-offsets", *group, "--topic", "@cg", "--to-earliest", "--execute")
        tell("consumer groups delete while it lives", base, "--delete", *group)
        tell("consumer groups delete offsets while it lives", base, "--delete-offsets", *group, "--topic", "@cg")
        for flag in (["--type", "consumer"], ["--type", "classic"], ["--state", "Stable", "--type", "Consumer"], ["--state", "Empty"], ["--type", "wrong"], ["--state", "wrong"]):
            said = f.run(base, "--list", *flag)
            f.say(f"consumer groups list {' '.join(flag)}", [said[0], [line for line in said[1] if line.startswith(f.name("served"))], said[2]])
    finally:
        for member in members:
            member.terminate()
            member.communicate()
    f.say("consumer groups empty state", until(lambda: described("--state"), lambda said: "Empty 0" in str(said[1])))
    f.say("consumer groups empty", described())
    tell("consumer groups reset", base, "--reset-offsets", *group, "--topic", "@cg", "--to-offset", "2", "--execute")
    tell("consumer groups delete offsets", base, "--delete-offsets", *group, "--topic", "@cg:1")
    f.say("consumer groups after all that", described())
    offsets_log(f, "served")
    tell("consumer groups delete", base, "--delete", *group)
    offsets_log(f, "served", "deleted")


def share_groups(f):
    """Share groups (KIP-932): members share the records of a partition."""
    tell = f.tell
    base, group, both = "kafka-share-groups", ["--group", "@shared"], ["--topic", "@sg"]
    tell("share groups topic", "kafka-topics", "--create", *both, "--partitions", "2", "--config", "retention.ms=-1")
    tell("share groups config", "kafka-configs", "--alter", "--group", "@shared", "--add-config", "share.auto.offset.reset=earliest")
    f.run("kafka-console-producer", "--topic", f.name("sg"), "--reader-property", "parse.key=true", "--reader-property", "key.separator=:",
          text="".join(f"d-{i:02}:v{i}\n" for i in range(10)))
    for words in (["--describe"], ["--describe", "--members"], ["--describe", "--state"], ["--delete"], ["--delete-offsets", *both], ["--reset-offsets", *both, "--to-earliest", "--execute"]):
        tell(f"share groups unknown {words[0]} {words[-1] if words[0] == '--describe' else ''}".strip(), base, *words, "--group", "@ghost")

    def described(*words):
        said = f.run(base, "--describe", "--group", f.name("shared"), *words)
        # Members make their ids themselves, and by them it is decided who has which partition.
        lines = [re.sub(r"( (?:reader|second) 1 \d+ \S+):[01]$", r"\1:N", re.sub(r"(?<!\S)[\w-]{22}(?!\S)", "ID", line)) for line in said[1]]
        return [said[0], sorted(lines), said[2]]

    def start(name):
        return f.start("kafka-console-share-consumer", "--topic", f.name("sg"), "--group", f.name("shared"), "--command-property", f"client.id={name}")

    def read(name, *words, **rest):
        tell(name, "kafka-console-share-consumer", *both, *group, *words, **rest)
    members = [start("reader")]
    try:
        # What is read is acknowledged with the next poll.
        f.say("share groups read", sorted(members[0].stdout.readline().strip() for _ in range(10)))
        f.say("share groups describe", until(described, lambda said: sum(re.search(r" (\d+) 0$", line) is not None for line in said[1]) == 2))
        f.say("share groups describe verbose", described("--verbose"))
        f.say("share groups describe members", described("--members"))
        members.append(start("second"))
        f.say("share groups two members' state", until(lambda: described("--state"), lambda said: "Stable 2" in str(said[1])))
        f.say("share groups two members' state verbose", [re.sub(r" \d+ \d+ 2$", " N N 2", line) for line in described("--state", "--verbose")[1]])
        f.say("share groups two members", until(lambda: described("--members", "--verbose"), lambda said: str(said[1]).count(":N") == 2))
        for words in (["--reset-offsets", *both, "--to-earliest", "--execute"], ["--delete"], ["--delete-offsets", *both]):
            tell(f"share groups {words[0][2:]} while it lives", base, *words, *group)
        for flag in ([], ["--state"], ["--state", "Stable"], ["--state", "Empty"], ["--state", "wrong"]):
            said = f.run(base, "--list", *flag)
            f.say(f"share groups list {' '.join(flag)}".strip(), [said[0], [line for line in said[1] if line.startswith(f.name("shared"))], said[2]])
        for flag in (["--share"], ["--group-type", "share"], ["--consumer"], ["--protocol", "share"]):
            said = f.run("kafka-groups", "--list", *flag)
            f.say(f"groups list {' '.join(flag)}", [said[0], [line for line in said[1] if line.startswith(f.name("shared"))], said[2]])
        tell("share groups by the tool of consumer groups", "kafka-consumer-groups", "--describe", *group)
    finally:
        for member in members:
            member.terminate()
            member.communicate()
    f.say("share groups empty state", until(lambda: described("--state"), lambda said: "Empty 0" in str(said[1])))
    f.say("share groups empty", described())
    f.say("share groups empty members", described("--members"))
    read("share groups rest", "--timeout-ms", "3000")
    f.run("kafka-console-producer", "--topic", f.name("sg"), "--reader-property", "parse.key=true", "--reader-property", "key.separator=:", text="d-01:a\nd-01:b\nd-01:c\n")
    read("share groups rejects", "--max-messages", "3", "--timeout-ms", "40000", "--reject")
    f.say("share groups after the rejects", until(described, lambda said: sum(re.search(r" (\d+) 0$", line) is not None for line in said[1]) == 2))
    for to in (["--to-latest"], ["--to-earliest"], ["--to-datetime", "2020-01-01T00:00:00.000"], ["--to-datetime", "nonsense"], ["--to-offset", "1"]):
        tell(f"share groups reset {' '.join(to)}, a dry run", base, "--reset-offsets", *group, *both, *to, "--dry-run")
    tell("share groups reset an unknown topic", base, "--reset-offsets", *group, "--topic", "@ghost", "--to-earliest", "--execute")
    tell("share groups reset all", base, "--reset-offsets", *group, "--all-topics", "--to-earliest", "--execute")
    f.say("share groups after a reset", described())
    tell("share groups reset one partition", base, "--reset-offsets", *group, "--topic", "@sg:1", "--to-latest", "--execute")
    read("share groups read again", "--max-messages", "3", "--timeout-ms", "40000", "--formatter-property", "print.partition=true", "--formatter-property", "print.offset=true",
         "--formatter-property", "print.delivery=true")
    until(lambda: described("--state"), lambda said: "Empty 0" in str(said[1]))
    tell("share groups delete offsets of an unknown topic", base, "--delete-offsets", *group, "--topic", "@ghost")
    tell("share groups delete offsets", base, "--delete-offsets", *group, *both)
    f.say("share groups after all that", described())
    tell("share groups delete", base, "--delete", *group)
    tell("share groups delete again", base, "--delete", *group)
    said = f.run("kafka-verifiable-share-consumer", "--topic", f.name("sg"), "--group-id", f.name("verified-share"), "--max-messages", "13", "--offset-reset-strategy", "earliest",
                 "--acknowledgement-mode", "sync", ordered=True)
    events = [json.loads(line) for line in said[1] if line.startswith("{")]
    f.say("verifiable-share-consumer", [said[0], {name: sum(e["count"] for e in events if e["name"] == name) for name in ("records_consumed", "offsets_acknowledged")},
                                        sorted({e["name"] for e in events}), said[2]])


def offsets_log(f, group, when="then"):
    """What the offsets topic says of a group in the end, as Kafka's own readers understand it."""
    number = 0
    for letter in f.name(group):
        number = (number * 31 + ord(letter)) & 0xFFFFFFFF
    number = abs(number - (1 << 32) if number >> 31 else number) % 50
    out = f.run("kafka-log-dirs", "--describe", "--topic-list", "__consumer_offsets")
    (broker,) = json.loads(next(line for line in out[1] if line.startswith("{")))["brokers"]
    folder = next(d["logDir"] for d in broker["logDirs"] if d["partitions"])
    last = {}
    for line in f.dump(f"{folder}/__consumer_offsets-{number}/00000000000000000000.log", "--offsets-decoder")[1]:
        found = re.search(r"key: (\{.*?\}\}?) payload: (.*)$", line)
        if found and f.name(group) in found[1]:
            key = re.sub(r'"[\w-]{22}"', '"ID"', found[1])
            # For which epochs an assignment was made depends on who beat its heart between two that left.
            value = re.sub(r'("metadataHash"|"assignmentEpoch"|"\w*[tT]imestamp"):-?\d+', r"\1:N", re.sub(r'"[\w-]{22}"', '"ID"', found[2]))
            last[key] = re.sub(r'"(topicId|memberId)":"[^"]*"', r'"\1":"ID"', value)
    f.say(f"offsets log of {group}, {when}", sorted(map(list, last.items())))


def verifiable(f):
    tell = f.tell
    said = f.run("kafka-broker-api-versions")
    f.say("api-versions", said[0])
    for found in filter(None, (re.match(r"(\w+\(\d+\)): (.*?),?$", line) for line in said[1])):
        f.say(f"api {found[1]}", found[2])
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


def transactions(f):
    """Java's transactional producer, `kafka-transactions`, and what the logs hold of it."""
    f.run("kafka-topics", "--create", "--topic", f.name("txn"), "--partitions", "1", "--config", "retention.ms=-1")
    perf = ["kafka-producer-perf-test", "--topic", "@txn", "--num-records", "400", "--record-size", "10", "--throughput", "400",
            "--transactional-id", "@perf", "--transaction-duration-ms", "100"]
    said = f.run(*[re.sub(r"@(?=\w)", f.prefix, word) for word in perf])
    f.say("txn perf-test", [said[0], "400 records sent" in said[1][0]])
    f.run(*[re.sub(r"@(?=\w)", f.prefix, word) for word in perf])
    read = ["kafka-console-consumer", "--topic", "@txn", "--from-beginning", "--max-messages", "800", "--timeout-ms", "40000", "--isolation-level"]
    for level in ("read_committed", "read_uncommitted"):
        said = f.run(*[re.sub(r"@(?=\w)", f.prefix, word) for word in [*read, level]])
        f.say(f"txn console-consumer {level}", [said[0], len(said[1])])

    def tell_txn(name, *words):
        """Without ids, epochs and times: how many transactions there were depends on the machine's pace."""
        said = f.run("kafka-transactions", *[re.sub(r"@(?=\w)", f.prefix, word) for word in words])
        # Others have transactions on this cluster as well.
        rows = [re.sub(r"(?<=\s)\d+(?=\s|$)", "N", line) for line in said[1] if words[0] != "list" or f.prefix in line or not re.match(r"^\S+ \d", line)]
        rows = [re.sub(r"^\d+ N ", "N N ", row) for row in rows]
        f.say(name, [said[0], rows, said[2]])
    tell_txn("txn list", "list")
    tell_txn("txn list by pattern", "list", "--transactional-id-pattern", "@pe.*")
    tell_txn("txn list by age", "list", "--duration-filter", "3600000")
    tell_txn("txn describe", "describe", "--transactional-id", "@perf")
    tell_txn("txn describe unknown", "describe", "--transactional-id", "@ghost")
    tell_txn("txn producers", "describe-producers", "--topic", "@txn", "--partition", "0")
    tell_txn("txn hanging", "find-hanging", "--topic", "@txn", "--partition", "0")
    hanging(f, tell_txn)


def hanging(f, tell_txn):
    """A transaction that is left open is aborted by hand, and the files show it."""
    from raw_transactions import Connection, batch
    wire = Connection(f.bootstrap)
    own = until(lambda: wire.ask("Init5", f.name("open"), 60_000, -1, -1), lambda said: said["error"] == 0)
    own = (own["pid"], own["epoch"])

    def send(sequence, *values):
        data = batch([(b"k", v) for v in values], time=1_700_000_000_000, attributes=16, producer=(*own, sequence))
        p = until(lambda: wire.ask("Produce12", f.name("open"), -1, 10_000, [[f.name("open"), [[0, data]]]]), lambda said: said["topics"][0]["partitions"][0]["error"] == 0)
        return p["topics"][0]["partitions"][0]["base"]
    f.run("kafka-topics", "--create", "--topic", f.name("open"), "--partitions", "1", "--config", "retention.ms=-1", "--config", "segment.bytes=1048576")
    f.say("txn open", [send(0, b"a", b"b"), send(2, b"c")])
    tell_txn("txn producers while open", "describe-producers", "--topic", "@open", "--partition", "0")
    tell_txn("txn describe while open", "describe", "--transactional-id", "@open")
    tell_txn("txn abort by hand", "abort", "--topic", "@open", "--partition", "0", "--start-offset", "0")
    tell_txn("txn abort by hand again", "abort", "--topic", "@open", "--partition", "0", "--start-offset", "0")
    java_admin.hanging_more(f, tell_txn)
    said = wire.ask("End5", f.name("open"), *own, True)
    own = (said["pid"], said["epoch"])
    f.say("txn end of what was aborted", said["error"])
    until(lambda: wire.ask("Describe0", [f.name("open")])["states"][0]["state"], lambda state: state == "CompleteCommit")
    send(0, b"d")
    wire.ask("End5", f.name("open"), *own, False)
    until(lambda: wire.ask("Describe0", [f.name("open")])["states"][0]["state"], lambda state: state == "CompleteAbort")
    wire.close()
    dump_transactions(f)


def dump_transactions(f):
    out = f.run("kafka-log-dirs", "--describe", "--topic-list", f"{f.name('open')},__transaction_state")
    line = next(line for line in out[1] if line.startswith("{"))
    (broker,) = json.loads(line)["brokers"]
    folders = broker["logDirs"][0]
    # Java's string hash, as the coordinator's partition is found.
    home = sum(ord(c) * 31 ** i for i, c in enumerate(reversed(f.name("open")))) & 0xFFFFFFFF
    home = min(home, 2**32 - home) % 50

    def dumped(name, file, *flags):
        code, lines, _ = f.dump(f"{folders['logDir']}/{file}", *flags)
        lines = [re.sub(r'(crc|producerId|CreateTime|Id"|Ms"): ?-?\d+', lambda m: m[0] if "-1" in m[0] else m[1] + ": N", line).replace(folders["logDir"], "")
                 for line in lines]
        f.say(name, [code, lines])
    dumped("txn dump-log", f"{f.name('open')}-0/00000000000000000000.log", "--print-data-log")
    dumped("txn dump-log index", f"{f.name('open')}-0/00000000000000000000.txnindex")
    state = "\n".join(f.dump(f"{folders['logDir']}/__transaction_state-{home}/00000000000000000000.log", "--transaction-log-decoder")[1])
    own = re.findall(r'"transactionalId":"' + f.name("open") + r'".*?payload: (.*)', state)
    f.say("txn dump-log of the state", [re.sub(r'(roducerId|Ms)":-?\d+', r'\1":N', line) for line in own])


PARTS = (consumer_groups, share_groups, groups, transactions, verifiable, records, java_admin.subcommands, java_admin.cluster, java_admin.entities, java_admin.quotas, java_admin.offsets,
         java_admin.reassignments, topics, configs)

if __name__ == "__main__":
    tools = Tools(os.environ["KAFKA_HOME"])

    def part(tell):
        facts = Java(tools)
        begun = time.monotonic()
        tell(facts)
        return facts, time.monotonic() - begun
    wanted = [p for p in PARTS if len(sys.argv) < 4 or p.__name__ in sys.argv[3:]]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for tell, (facts, took) in zip(wanted, pool.map(part, wanted)):
            for fact in facts.facts:
                Facts.say(facts, *fact)
            if os.environ.get("FACTS_SLOW"):
                print(f"{took:.0f} s: {tell.__name__}", file=sys.stderr)
    tools.close()
