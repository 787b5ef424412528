#!/usr/bin/env python3
"""The reference solution of every exercise that has a job in SQL, on Apache Flink and on the lab's engine: equal rows.

usage: exercises.py [--bootstrap HOST:PORT] [--gateway URL] [--streamlings BINARY] [EXERCISE ...]
The records are those that the exercise's setup and solution produce, all in the topic before the job starts; which rows
come out is then the same in every run. Prints `equal` or `DIFFERENT` for each; exit code 0: all equal.
"""

import argparse
import json
import re
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from kafka.partitioner.default import murmur2

import run as suite

EXERCISES = suite.HERE.parents[2] / "exercises"
BLOCK = re.compile(r"^```(\S+)([^\n]*)\n(.*?)^```$", re.M | re.S)


def partition_of(key, count):
    return (murmur2(key.encode()) & 0x7FFFFFFF) % count


def case(folder, out):
    """Writes job.sql and records.jsonl of an exercise as run.py wants them; False where it has no job in SQL."""
    text = (folder / "exercise.md").read_text()
    blocks = BLOCK.findall(text)
    sql = next((body for kind, rest, body in blocks if kind == "solution" and rest.strip().endswith(".sql")), None)
    if sql is None:
        return False
    topics, lines, rows = {}, [], 0
    for kind, rest, body in blocks:
        if kind == "toml" and rest.strip() == "setup":
            setup = tomllib.loads(body)
            topics |= {t["name"]: t.get("partitions", 1) for t in setup.get("topic", [])}
            for produced in setup.get("produce", []):
                for line in (folder / produced["file"]).read_text().splitlines():
                    value = json.loads(line)
                    lines.append((produced["topic"], value[produced["key"]], value))
        elif kind == "solution" and not rest.strip():
            topic = None
            for line in body.splitlines():
                topic = (re.search(r"--topic (\S+)", line) or [0, topic])[1]
                if line.startswith("| "):
                    key, value = line[2:].split(":", 1)
                    lines.append((topic, key, json.loads(value)))
        elif kind == "toml" and rest.strip() == "check":
            check = tomllib.loads(body)
            rows = check.get("count", rows) if "rows" in check else rows
    source, sink = re.findall(r"'topic'\s*=\s*'([^']+)'", sql)
    count = topics[source]
    sql = sql.replace(f"'topic' = '{source}'", "'topic' = 'in'").replace(f"'topic' = '{sink}'", "'topic' = 'out'")
    out.mkdir()
    (out / "job.sql").write_text(f"-- rows: {rows}\n-- partitions: {count}\n{sql}")
    (out / "records.jsonl").write_text("".join(
        json.dumps({"partition": partition_of(key, count), "key": key, "value": value}) + "\n" for topic, key, value in lines if topic == source))
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--gateway", default="http://127.0.0.1:8083")
    parser.add_argument("--streamlings", default=str(suite.HERE.parents[2] / "target/debug/streamlings"))
    parser.add_argument("exercises", nargs="*")
    args = parser.parse_args()
    stamp, played, good = f"exercise-{int(time.time())}", 0, True
    with tempfile.TemporaryDirectory() as work:
        lab = suite.Lab(args.bootstrap, f"{stamp}-lab-", args.streamlings, f"{work}/home")
        try:
            flink = suite.Flink(args.bootstrap, f"{stamp}-flink-", args.gateway)
            for folder in sorted(f.parent for f in EXERCISES.glob("*/exercise.md")):
                out = Path(work) / folder.name
                if args.exercises and folder.name.split("-")[0] not in args.exercises or not case(folder, out):
                    continue
                played += 1
                try:
                    good &= suite.run_case(out, flink, lab)
                except RuntimeError as error:
                    good = False
                    print(f"DIFFERENT  {folder.name}: {error}", flush=True)
        finally:
            lab.down()
    if not played:
        print("DIFFERENT  no exercise has a job in SQL")
    sys.exit(0 if good and played else 1)


if __name__ == "__main__":
    main()
