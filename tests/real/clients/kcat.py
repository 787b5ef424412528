#!/usr/bin/env python3
"""Facts about a cluster as kcat sees it. usage: kcat.py BOOTSTRAP PREFIX"""

import json
import re
import subprocess

from facts import DEADLINE_S, Facts


class Kcat(Facts):
    def run(self, *words, text=""):
        """[exit code, stdout, stderr's first line]."""
        done = subprocess.run(["kcat", "-b", self.bootstrap, *words], input=text, capture_output=True, text=True, timeout=DEADLINE_S)
        said = [line for line in done.stderr.splitlines() if line.startswith("% ERROR") or "rror" in line][:1]
        return [done.returncode, done.stdout.splitlines(), [re.sub(r"^.*?\|(.*?)\| ", "", line) for line in said]]

    def produce(self, topic, text, *words):
        return self.run("-P", "-q", "-t", self.name(topic), *words, text=text)

    def read(self, topic, *words, form="%p %o %k %s\n"):
        return self.run("-C", "-q", "-e", "-t", self.name(topic), *(["-f", form] if form else []), "-X", "fetch.wait.max.ms=50", *words)


def main(f):
    f.ask("produce makes a topic", lambda: f.produce("lines", "a\nb\nc\n"))
    f.ask("read from the start", lambda: f.read("lines", "-o", "beginning"))
    f.ask("read the last one", lambda: f.read("lines", "-p", "0", "-o", "-1"))
    f.ask("read from 1", lambda: f.read("lines", "-p", "0", "-o", "1"))
    f.ask("read the first one only", lambda: f.read("lines", "-o", "beginning", "-c", "1"))
    f.ask("read from the end", lambda: f.read("lines", "-o", "end"))
    f.ask("produce keys", lambda: f.produce("keyed", "".join(f"d-{i:02}|v{i}\n" for i in range(10)), "-K", "|"))
    f.ask("read keys", lambda: f.read("keyed", "-o", "beginning"))
    for codec in ("gzip", "snappy", "lz4"):
        f.ask(f"produce {codec}", lambda: f.produce("squeezed", (codec * 30 + "\n") * 3, "-z", codec))
    f.ask("produce zstd", lambda: f.produce("squeezed", ("zstd" * 30 + "\n") * 3, "-X", "compression.codec=zstd"))
    f.ask("read all codecs", lambda: f.read("squeezed", "-o", "beginning"))
    f.ask("produce headers", lambda: f.produce("headers", "v\n", "-H", "a=1", "-H", "b=", "-H", "a=2"))
    f.ask("read headers", lambda: f.read("headers", "-o", "beginning", form="%h %S %K %s\n"))
    f.ask("produce empty lines as null", lambda: f.produce("nulls", "k|\nk|v\n", "-K", "|", "-Z"))
    f.ask("read nulls", lambda: f.read("nulls", "-o", "beginning", form="%S %s\n"))
    f.ask("read as JSON", lambda: [{k: v for k, v in json.loads(line).items() if k != "ts"} for line in f.read("nulls", "-o", "beginning", "-J", form=None)[1]])
    f.ask("produce a batch as an idempotent producer", lambda: f.produce("idempotent", "x\n" * 100, "-X", "enable.idempotence=true"))
    f.ask("read it", lambda: [len(f.read("idempotent", "-o", "beginning")[1]), f.read("idempotent", "-o", "-1")[1]])
    f.ask("offset at a time long ago", lambda: f.run("-Q", "-t", f"{f.name('lines')}:0:1"))
    f.ask("offset at a time to come", lambda: f.run("-Q", "-t", f"{f.name('lines')}:0:4000000000000"))
    f.ask("read by time", lambda: f.read("lines", "-p", "0", "-o", "s@1"))
    f.ask("read an unknown topic", lambda: f.read("ghost", "-o", "beginning")[0])
    f.ask("produce to a bad name", lambda: f.produce("a/b", "v\n")[0])
    f.ask("group reads", lambda: sorted(group(f, 3)))
    f.ask("group goes on", lambda: [f.produce("lines", "d\n"), group(f, 1)])

    def listed():
        found = json.loads(f.run("-L", "-J", "-t", f.name("lines"))[1][0])
        return [found["controllerid"], len(found["brokers"]), found["topics"]]
    f.ask("list a topic", listed)
    f.ask("list topics", lambda: sorted(t["topic"] for t in json.loads(f.run("-L", "-J")[1][0])["topics"] if t["topic"].startswith(f.prefix)))


def group(f, count):
    """Values that a member of the group reads before it leaves, offsets committed."""
    done = subprocess.run(["kcat", "-b", f.bootstrap, "-q", "-c", str(count), "-X", "auto.offset.reset=earliest", "-f", "%s\n",
                           "-G", f.name("readers"), f.name("lines")], capture_output=True, text=True, timeout=DEADLINE_S)
    return [done.returncode if done.returncode else "ok", *done.stdout.split()]


if __name__ == "__main__":
    main(Kcat())
