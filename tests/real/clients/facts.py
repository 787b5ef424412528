"""What every client script shares: a fact is one line `name<TAB>value` on stdout.

A script is called with BOOTSTRAP PREFIX; its topics and groups start with the prefix, and values never show the prefix,
the address, ids or times, so that two clusters with the same behaviour print the same lines.
"""

import json
import os
import re
import sys
import time

# Long, for a busy machine: nothing waits for it in a good run.
DEADLINE_S = 120


class Facts:
    def __init__(self):
        self.bootstrap, self.prefix = sys.argv[1:3]
        self.port = self.bootstrap.rsplit(":", 1)[1]

    def name(self, name):
        """A topic's or a group's name on the cluster."""
        return self.prefix + name

    def normal(self, text):
        text = text.replace(self.prefix, "").replace(self.bootstrap, "HOST:PORT").replace(self.port, "PORT")
        text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", text)
        text = re.sub(r"-9223370\d{12}\b", "LONG AGO", re.sub(r"\b1[6-9]\d{11}\b", "TIME", text))
        return re.sub(r"[^\x20-\x7e]", lambda c: repr(c[0])[1:-1], text)

    def say(self, name, value):
        """Prints a fact; anything but text as JSON."""
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=repr)
        print(f"{name}\t{self.normal(text)}", flush=True)

    def ask(self, name, question):
        """Prints what `question()` returns, or its error: an error is an answer too."""
        begun = time.monotonic()
        try:
            value = question()
        except Exception as error:
            value = self.error(error)
        if os.environ.get("FACTS_SLOW") and time.monotonic() - begun > 1:
            print(f"{time.monotonic() - begun:.1f} s: {name}", file=sys.stderr)
        self.say(name, value)
        return value

    @staticmethod
    def error(error):
        """An error that is no answer of the cluster: the comparison takes it for a fault of the script."""
        return f"SCRIPT {type(error).__name__}: {error}"


def until(question, wanted=bool, deadline_s=DEADLINE_S):
    """Asks until the answer is as wanted; the last answer."""
    end = time.monotonic() + deadline_s
    while True:
        value = question()
        if wanted(value) or time.monotonic() > end:
            return value
        time.sleep(0.05)
