#!/usr/bin/env python3
"""Facts about the files of a cluster, as Kafka's own `kafka-dump-log` reads them. usage: segments.py BOOTSTRAP PREFIX (KAFKA_HOME is set)

Logs are made batch by batch from fixed bytes, so that each field of each line is a fact. In the end every file of the
cluster's folder is read, also those that other clients have left: nothing may be wrong with them.
"""

import os
import re
import sys
from pathlib import Path

from facts import Facts, until
from jvm import Tools
from raw_transactions import COMMIT, ABORT, Transactions
from wirecodec import batch, record

NOW = 1_700_000_000_000
# More than half of the smallest segment.
LARGE = b"x" * 400_000
NOISE = re.compile(r"^(\[?\d{4}-\d\d-\d\d[T ]|\d\d:\d\d:\d\d|SLF4J|WARNING|NOTE: Picked up)")
WRONG = re.compile(r"isvalid: false|onsecutive|ismatch|orrupt|not a valid|out of order|not found|Exception")
# What all names of one run of the suite start with.
RUN = 8
LOG_FLAGS = {"log": ["--deep-iteration"], "index": ["--index-sanity-check"], "timeindex": ["--verify-index-only"], "txnindex": [], "snapshot": []}


class Segments(Transactions):
    """The wire's short forms, the folder of the broker, and the tool that reads it."""

    def __init__(self, tools):
        super().__init__()
        self.tools = tools
        self.folder = Path(self("DescribeLogDirs", None)["dirs"][0]["dir"])

    def path(self, topic, index=0):
        return self.folder / f"{self.name(topic)}-{index}"

    def append(self, topic, data, index=0, id=None):
        said = self("Produce12", id and self.name(id), -1, 10_000, [[self.name(topic), [[index, data]]]])
        p = said["topics"][0]["partitions"][0]
        assert p["error"] == 0, p
        return p["base"]

    def dump(self, *files, flags=()):
        """[exit code, lines, lines of stderr]"""
        code, out, err = self.tools.run("kafka-dump-log", ["--files", ",".join(map(str, files)), *flags])
        keep = [[re.sub(r"\s+", " ", line.replace(str(self.folder), "")).strip() for line in text.splitlines() if not NOISE.match(line)] for text in (out, err)]
        return [code, *keep]

    def files(self, topic, index=0):
        return sorted(p.name for p in self.path(topic, index).iterdir() if p.suffix in (".log", ".index", ".timeindex", ".txnindex", ".snapshot"))

    def shown(self, line):
        """A line without what differs between two runs: producers by the order in which they come up, times of markers."""
        line = re.sub(r"(producerId: )(\d+)", lambda m: m[1] + str(self.who(int(m[2]))), line)
        if "producerId: P" in line:
            line = re.sub(r"crc: \d+", "crc: N", line)
        if "isControl: true" in line or "endTxnMarker" in line:
            line = re.sub(r"(CreateTime|crc): \d+", r"\1: N", line)
        line = re.sub(r"(?<=payload: )(.)\1{99,}", r"\1 and so on", line)
        return re.sub(r"(lastTimestamp|currentTxnFirstOffset): (\d{13})", r"\1: N", line)

    def tell(self, title, topic, index=0):
        """Every file of a partition's folder, but the indexes of the segment that is written to: when an entry goes to the file is up to the broker."""
        self.say(f"{title}: files", self.files(topic, index))
        active = max(name for name in self.files(topic, index) if name.endswith(".log")).removesuffix(".log")
        for name in self.files(topic, index):
            if name in (f"{active}.index", f"{active}.timeindex"):
                continue
            flags = [*LOG_FLAGS[name.rsplit(".", 1)[1]], *(["--print-data-log"] if name.endswith(".log") else [])]
            code, lines, errors = self.dump(self.path(topic, index) / name, flags=flags)
            lines = list(map(self.shown, lines))
            # Producers come in a hash map's order.
            self.say(f"{title}: {name}", [code, sorted(lines) if name.endswith(".snapshot") else lines, errors])
        checkpoint = self.path(topic, index) / "leader-epoch-checkpoint"
        self.say(f"{title}: leader epochs", checkpoint.read_text().splitlines() if checkpoint.exists() else None)


def codecs(f):
    f.topic("seg-codecs", retention_ms="-1")
    for codec in range(5):
        # zstd's stored block has at least 256 bytes.
        records = [(b"key %d" % n, (b"value %d " % n) * 20) for n in range(3)]
        f.append("seg-codecs", batch(records, codec=codec, time=NOW + codec))
    with_headers = [record(0, b"k", b"v", headers=[(b"a", b"1"), (b"b", None), (b"", b"")]), record(1, None, None, time_delta=5), record(2, b"", b"")]
    f.append("seg-codecs", batch(with_headers, time=NOW, max_time=NOW + 5))
    f.tell("codecs", "seg-codecs")


def rolled(f):
    f.topic("seg-rolled", retention_ms="-1", segment_bytes="1048576", index_interval_bytes="4096")
    for at in range(7):
        f.append("seg-rolled", batch([(b"k", LARGE), (b"l", b"small")], time=NOW + 10 * at))
    for at in range(4):
        f.append("seg-rolled", batch([(b"m", b"y" * 3000)], time=NOW + 100 + at))
    f.tell("rolled by size", "seg-rolled")
    f.topic("seg-aged", retention_ms="-1", segment_ms="1000")
    for at in range(4):
        f.append("seg-aged", batch([(b"k", b"v%d" % at)], time=NOW + 700 * at))
    f.tell("rolled by time", "seg-aged")
    f.topic("seg-stamped", retention_ms="-1", message_timestamp_type="LogAppendTime")
    f.append("seg-stamped", batch([(b"k", b"v")], time=NOW))
    code, lines, errors = f.dump(f.path("seg-stamped") / "00000000000000000000.log", flags=["--deep-iteration", "--print-data-log"])
    f.say("stamped by the log", [code, [re.sub(r"(LogAppendTime|crc): \d+", r"\1: N", line) for line in lines], errors])


def small_indexes(f):
    f.topic("seg-index", retention_ms="-1", index_interval_bytes="100", segment_index_bytes="64")
    for at in range(20):
        f.append("seg-index", batch([(b"k", b"v" * 50)], time=NOW + at % 7))
    f.tell("rolled by full indexes", "seg-index")


def producers(f):
    f.topic("seg-once", retention_ms="-1", segment_bytes="1048576")
    said, own = f.init(None)
    for sequence in range(4):
        f.append("seg-once", batch([(b"k", LARGE)], time=NOW + sequence, producer=(*own, sequence)))
    f.tell("idempotent", "seg-once")


def transactional(f):
    f.topic("seg-txn", retention_ms="-1", segment_bytes="1048576")
    one, two = f.start("seg-one"), f.start("seg-two")

    def send(id, own, sequence, value):
        return f.append("seg-txn", batch([(b"k", value)], time=NOW + sequence, attributes=16, producer=(*own, sequence)), id=id)
    send("seg-one", one, 0, b"kept")
    send("seg-two", two, 0, b"lost")
    _, one = f.end("seg-one", one, COMMIT)
    f.until_state("seg-one", "CompleteCommit")
    _, two = f.end("seg-two", two, ABORT)
    f.until_state("seg-two", "CompleteAbort")
    for sequence in range(3):
        send("seg-one", one, sequence, LARGE)
    _, one = f.end("seg-one", one, ABORT)
    f.until_state("seg-one", "CompleteAbort")
    f.settled("seg-txn")
    f.tell("transactional", "seg-txn")


def compacted(f):
    f.topic("seg-keys", cleanup_policy="compact", segment_ms="1000", min_cleanable_dirty_ratio="0.01", delete_retention_ms="100000000")
    for at in range(6):
        f.append("seg-keys", batch([(b"a", b"a%d" % at), (b"b%d" % (at % 2), b"b%d" % at), (b"c", None if at == 4 else b"c%d" % at)], codec=at % 2, time=NOW + 2000 * at))
    # The cleaner looks every fifteen seconds; the last segment is left alone, and those before it become one.
    until(lambda: len(list(f.path("seg-keys").glob("*.log"))), lambda count: count <= 2, 90)
    f.say("compacted: what waits to be removed", [p.name for p in sorted(f.path("seg-keys").glob("*.deleted"))])
    size = sum(p.stat().st_size for p in f.path("seg-keys").glob("*.log"))
    told = f("DescribeLogDirs", [[f.name("seg-keys"), [0]]])["dirs"][0]["topics"][0]["partitions"][0]["size"]
    f.say("compacted: that is not counted", told == size or [told, size])
    f.say("compacted: files", [name for name in f.files("seg-keys") if name.endswith(".log")])
    for name in f.files("seg-keys"):
        if name.endswith((".log", ".index")):
            code, lines, errors = f.dump(f.path("seg-keys") / name, flags=LOG_FLAGS[name.rsplit(".", 1)[1]] + (["--print-data-log"] if name.endswith(".log") else []))
            # What a codec makes of what is left is its own affair.
            lines = [re.sub(r"(deleteHorizonMs: OptionalLong\[)\d+", r"\1N", re.sub(r"(crc|size|position): \d+", r"\1: N", line)) for line in lines]
            f.say(f"compacted: {name}", [code, lines, errors])


def deleted(f):
    """What is left of a topic while its files wait to be removed."""
    f.topic("seg-gone", 2, retention_ms="-1")
    f.append("seg-gone", batch([(b"k", b"v")], time=NOW))
    f.append("seg-gone", batch([(b"k", b"v")], time=NOW), 1)
    f("DeleteTopics", [[f.name("seg-gone"), bytes(16)]], 10_000)
    left = until(lambda: sorted(f.folder.glob(f"{f.name('seg-gone')}-*-delete")), lambda left: len(left) == 2)
    f.say("deleted: folders", [re.sub(r"\.[0-9a-f]{32}-", ".ID-", p.name) for p in left])
    f.say("deleted: what is in them", [sorted(p.name for p in folder.iterdir()) for folder in left])
    f.say("deleted: nothing else of it", [p.name for p in f.folder.glob(f"{f.name('seg-gone')}-*") if p not in left])
    told = f("DescribeLogDirs", None)["dirs"][0]["topics"]
    f.say("deleted: it is not counted", [[t["name"], t["partitions"]] for t in told if "seg-gone" in t["name"]])


def decoded(f):
    """Groups' and transactions' own topics, read as what they are."""
    home = lambda key: coordinator_partition(f.name(key))
    own = f.start("seg-state")
    f.add("seg-state", own, 0, topic="seg-codecs")
    f.end("seg-state", own, COMMIT, 5)
    f.until_state("seg-state", "CompleteCommit")
    code, lines, errors = f.dump(f.folder / f"__transaction_state-{home('seg-state')}" / "00000000000000000000.log", flags=["--transaction-log-decoder"])
    kept = [re.sub(r'(roducerId|Ms)":-?\d+', r'\1":N', line.split(" payload: ")[1]) for line in lines if f.name("seg-state") + '"' in line]
    f.say("decoded transaction states", [code, kept, errors])
    f("Commit8", f.name("seg-group"), -1, "", None, [[f.name("seg-codecs"), [[0, 3, -1, "note"]]]])
    until(lambda: f("Commit8", f.name("seg-group"), -1, "", None, [[f.name("seg-codecs"), [[0, 4, -1, "note"]]]])["topics"][0]["partitions"][0]["error"] == 0)
    code, lines, errors = f.dump(f.folder / f"__consumer_offsets-{home('seg-group')}" / "00000000000000000000.log", flags=["--offsets-decoder"])
    kept = [re.sub(r'imestamp":\d+', 'imestamp":N', re.sub(r'"[\w-]{22}"', '"ID"', line[line.index("key: "):])) for line in lines if f.name("seg-group") + '"' in line]
    f.say("decoded offsets", [code, kept[-1:], errors])


def coordinator_partition(key):
    number = 0
    for letter in key:
        number = (number * 31 + ord(letter)) & 0xFFFFFFFF
    return abs(number - (1 << 32) if number >> 31 else number) % 50


def everything(f):
    """No closed segment of any partition has anything wrong, and no log."""
    logs = [p for p in sorted(f.folder.glob("*-*/*.log")) if p.parent.name.startswith((f.prefix[:RUN], "__c", "__t")) and "-delete" not in p.parent.name and p.stat().st_size]
    closed = [p for p in logs if any(other.parent == p.parent and other.name > p.name for other in logs)]
    f.say("there are closed segments", len(closed) > 10)
    for kind, of, flags in (("log", logs, ["--deep-iteration"]), ("index", closed, ["--index-sanity-check"]), ("index", closed, ["--verify-index-only"]),
                            ("timeindex", closed, ["--verify-index-only"]), ("timeindex", closed, []), ("txnindex", logs, []), ("snapshot", logs, [])):
        wrong = []
        for path in (log.with_suffix(f".{kind}") for log in of):
            if path.exists():
                code, lines, errors = f.dump(path, flags=flags)
                # It starts to count at 0, also in a later segment.
                bad = [line for line in [*lines, *errors] if WRONG.search(line) and "-1 is followed by" not in line and not line.startswith("Non-consecutive")]
                # Retention or the cleaner may have taken it just now.
                wrong += [[str(path.relative_to(f.folder)), code, *bad]] if (code or bad) and path.exists() else []
        f.say(f"every {kind} {' '.join(flags)}".strip(), wrong[:5])
    bad = []
    for path in sorted(f.folder.glob("*-*/leader-epoch-checkpoint")):
        lines = path.read_text().splitlines()
        entries = [tuple(map(int, line.split())) for line in lines[2:]]
        if lines[:1] != ["0"] or int(lines[1]) != len(entries) or entries != sorted(entries):
            bad.append([path.parent.name, lines])
    f.say("every leader-epoch-checkpoint", bad)


PARTS = (codecs, rolled, small_indexes, producers, transactional, decoded, deleted, compacted, everything)

if __name__ == "__main__":
    tools = Tools(os.environ["KAFKA_HOME"])
    facts = Segments(tools)
    for part in PARTS:
        if len(sys.argv) < 4 or part.__name__ in sys.argv[3:]:
            part(facts)
    tools.close()
