#!/usr/bin/env python3
"""Runs every case on Apache Flink and on the lab's engine, over the same records, and compares the rows they write.

usage: run.py [--bootstrap HOST:PORT] [--gateway URL] [--streamlings BINARY] [CASE ...]
needs: a Kafka, a Flink with its SQL Gateway and the Kafka connector, python3 with confluent-kafka

A case is a folder: job.sql, which both run unchanged but for the cluster's address and a prefix of the topics' names,
and records.jsonl, one record a line: {"partition": 0, "value": {…} or "text" or null, "key": "…", "time": ms}.
refused.sql holds queries that both must refuse. Exit code 0: all equal.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from gateway import Gateway, reason

HERE = Path(__file__).resolve().parent
# Long, for a busy machine: nothing waits for it in a good run.
DEADLINE_S = 180
# Between two questions whether the job has failed.
LOOK_S = 3
# A row too many would come right after the last one.
SETTLE_S = 1.5


def topics_of(sql):
    return sorted(set(re.findall(r"'topic'\s*=\s*'([^']+)'", sql)))


class Side:
    """One engine: its topics, how it runs a file, and what came out."""

    def __init__(self, bootstrap, prefix):
        self.bootstrap, self.prefix = bootstrap, prefix
        self.admin = AdminClient({"bootstrap.servers": bootstrap})

    def make_topics(self, sql, records):
        partitions = max([record.get("partition", 0) for record in records], default=0) + 1
        count = max(partitions, int((re.search(r"-- partitions: (\d+)", sql) or [0, 1])[1]))
        new = [NewTopic(self.prefix + t, 1 if t == "out" else count, 1) for t in topics_of(sql)]
        for future in self.admin.create_topics(new).values():
            future.result()

    def drop_topics(self, sql):
        for future in self.admin.delete_topics([self.prefix + t for t in topics_of(sql)]).values():
            try:
                future.result()
            except Exception as error:
                print(f"  (a topic was left behind: {error})", file=sys.stderr)
        # The next case makes topics of the same names.
        gone, end = {self.prefix + t for t in topics_of(sql)}, time.time() + DEADLINE_S
        while gone & set(self.admin.list_topics(timeout=10).topics) and time.time() < end:
            time.sleep(0.1)

    def produce(self, records):
        producer = Producer({"bootstrap.servers": self.bootstrap})
        for record in records:
            value = record["value"]
            value = value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            producer.produce(self.prefix + "in", value, record.get("key"), record.get("partition", 0),
                             timestamp=record.get("time", 1_772_388_000_000))
        producer.flush(30)

    def rows(self, wanted):
        """The rows of the topic `out`: `wanted` of them, and those that come right after."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.prefix + "check",
                             "enable.auto.commit": False, "auto.offset.reset": "earliest"})
        consumer.assign([TopicPartition(self.prefix + "out", 0, 0)])
        rows, end, look = [], time.time() + DEADLINE_S, time.time() + LOOK_S
        while time.time() < end:
            message = consumer.poll(0.2)
            if time.time() > look:
                look = time.time() + LOOK_S
                # Nothing more comes of a job that has failed.
                end = min(end, time.time() + SETTLE_S) if self.has_failed() else end
            if message is not None and not message.error():
                key = message.key().decode() if message.key() is not None else None
                rows.append((key, message.value().decode() if message.value() is not None else None))
                if len(rows) == wanted:
                    end = min(end, time.time() + SETTLE_S)
            elif wanted == 0:
                end = min(end, time.time() + SETTLE_S)
        consumer.close()
        return sorted(rows, key=repr)

    def has_failed(self):
        return False


def statements(sql):
    text = re.sub(r"--[^\n]*", "", sql)
    # A ; inside a text is never the last of its line.
    return [part.strip() for part in re.split(r";[ \t]*(?:\n|$)", text) if part.strip()]


class Flink(Side):
    def __init__(self, bootstrap, prefix, gateway, rest="http://127.0.0.1:8081"):
        super().__init__(bootstrap, prefix)
        self.gateway_url, self.rest_url, self.jobs = gateway, rest, []

    def run(self, sql, _path):
        gateway, jobs = Gateway(self.gateway_url), []
        text = sql.replace("localhost:9092", self.bootstrap).replace("'topic' = '", f"'topic' = '{self.prefix}")
        for statement in statements(text):
            _, _, job = gateway.run(statement)
            if job:
                jobs.append(job)
        self.jobs = jobs
        return lambda: [stop(gateway, job) for job in jobs]

    def ask(self, path):
        with urllib.request.urlopen(self.rest_url + path, timeout=30) as answer:
            return json.load(answer)

    def has_failed(self):
        return any(self.ask(f"/jobs/{job}")["state"] == "FAILED" for job in self.jobs)

    def told(self):
        """What Flink says of the jobs of this run: each one's state, how far each task came, and why it failed."""
        said = []
        for job in self.jobs:
            about = self.ask(f"/jobs/{job}")
            said.append(f"job {job} is {about['state']}")
            for task in about["vertices"]:
                watermarks = self.ask(f"/jobs/{job}/vertices/{task['id']}/watermarks")
                said.append(f"  {task['name'][:60]} is {task['status']}: read {task['metrics']['read-records']}, wrote "
                            f"{task['metrics']['write-records']}, watermark {[mark.get('value') for mark in watermarks]}")
            said += [reason([entry["stacktrace"]]) for entry in self.ask(f"/jobs/{job}/exceptions")["exceptionHistory"]["entries"]]
        return said


def stop(gateway, job):
    try:
        gateway.run(f"STOP JOB '{job}'")
    except RuntimeError:
        pass  # It has finished by itself.


class Lab(Side):
    def __init__(self, bootstrap, prefix, binary, home):
        super().__init__(bootstrap, prefix)
        self.binary, self.env = binary, {**os.environ, "STREAMLINGS_HOME": home, "TZ": "UTC"}
        self.call("up", "--backend", "external", "--bootstrap", bootstrap, "--prefix", prefix)

    def call(self, *words, good=(0,)):
        done = subprocess.run([self.binary, *words], env=self.env, capture_output=True, text=True, timeout=120)
        if done.returncode == 3:
            log = Path(self.env["STREAMLINGS_HOME"]) / "lab/log"
            print(f"  the lab's log ends: {log.read_text()[-2000:]}", file=sys.stderr)
        if done.returncode not in good:
            raise RuntimeError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def run(self, _sql, path):
        # Exit code 1: the job has failed by the time that it is told. What it wrote until then is compared.
        started = re.findall(r"^Job (\d+)", self.call("sql", str(path), good=(0, 1)), re.M)
        return lambda: [self.call("job", "stop", number) for number in started]

    def down(self):
        self.call("down")


def run_case(folder, flink, lab):
    sql = (folder / "job.sql").read_text()
    records = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines() if line.strip()]
    wanted = int(re.search(r"-- rows: (\d+)", sql)[1])
    rows, told = {}, []
    for name, side in (("lab", lab), ("flink", flink)):
        side.make_topics(sql, records)
        end = lambda: None
        try:
            side.produce(records)
            end = side.run(sql, folder / "job.sql")
            rows[name] = side.rows(wanted)
            if name == "flink" and len(rows[name]) < wanted:
                told = side.told()
        finally:
            end()
            side.drop_topics(sql)
    if rows["lab"] == rows["flink"] and len(rows["lab"]) == wanted:
        print(f"equal      {folder.name}: {wanted} rows", flush=True)
        return True
    print(f"DIFFERENT  {folder.name}: flink {len(rows['flink'])} rows, lab {len(rows['lab'])}, wanted {wanted}")
    for line in told:
        print(f"  flink: {line}", flush=True)
    only = {name: [row for row in rows[name] if row not in rows[other]]
            for name, other in (("flink", "lab"), ("lab", "flink"))}
    if len(only["flink"]) == len(only["lab"]):
        for ours, theirs in zip(only["lab"], only["flink"]):
            show_difference(ours, theirs)
    else:
        for name, kept in only.items():
            for row in kept:
                print(f"  only {name}: {row[0]} {row[1]}", flush=True)
    return False


def show_difference(ours, theirs):
    """Two rows field by field, in the bytes that were written."""
    def fields(text):
        return dict(re.findall(r'"(\w+)":("(?:[^"\\]|\\.)*"|[^,}]+)', text or ""))
    mine, other = fields(ours[1]), fields(theirs[1])
    differing = [f"{name}: flink {other.get(name)} lab {mine.get(name)}"
                 for name in {**mine, **other} if mine.get(name) != other.get(name)]
    print("  " + ("; ".join(differing) or f"flink {theirs} lab {ours}"), flush=True)


def run_refused(flink, lab):
    """Each query of refused.sql, after the tables at its top, must be refused by both."""
    head, *queries = (HERE / "refused.sql").read_text().split("-- refused:")
    good = True
    for query in queries:
        title, text = query.split("\n", 1)
        verdicts = {}
        for name, side in (("lab", lab), ("flink", flink)):
            with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
                file.write(head + text)
                file.flush()
                try:
                    if name == "lab":
                        side.call("sql", file.name)
                    else:
                        gateway = Gateway(side.gateway_url)
                        for statement in statements(head + text):
                            gateway.run(("EXPLAIN " if statement.startswith(("SELECT", "INSERT")) else "") + statement)
                    verdicts[name] = None
                except RuntimeError as error:
                    verdicts[name] = str(error).splitlines()[0]
        if None in verdicts.values():
            good = False
            print(f"DIFFERENT  refused: {title.strip()}: {verdicts}", flush=True)
        else:
            print(f"equal      refused: {title.strip()}", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--gateway", default="http://127.0.0.1:8083")
    parser.add_argument("--streamlings", default=str(HERE.parents[2] / "target/debug/streamlings"))
    parser.add_argument("cases", nargs="*")
    args = parser.parse_args()
    stamp = f"stream-{int(time.time())}"
    folders = sorted(folder for folder in (HERE / "cases").iterdir() if not args.cases or folder.name in args.cases)
    good = True
    with tempfile.TemporaryDirectory() as home:
        lab = Lab(args.bootstrap, f"{stamp}-lab-", args.streamlings, home)
        try:
            flink = Flink(args.bootstrap, f"{stamp}-flink-", args.gateway)
            for folder in folders:
                try:
                    good &= run_case(folder, flink, lab)
                except RuntimeError as error:
                    good = False
                    print(f"DIFFERENT  {folder.name}: {error}", flush=True)
            if not args.cases or "refused" in args.cases:
                good &= run_refused(flink, lab)
        finally:
            lab.down()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
