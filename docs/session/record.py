#!/usr/bin/env python3
"""Plays the first steps of the guided course in a real terminal and draws what it showed: docs/session.svg.

Needs a `streamlings` on the PATH and pyte (`pip install pyte`):  docs/session/record.py > docs/session.svg
It uses a home of its own, which it removes, and says that there is no Docker.
"""
import html
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time

import pyte

COLUMNS, ROWS = 80, 30
PROMPT = r"(streamlings|\d\.\d)> $"
KEYED = "--reader-property parse.key=true --reader-property key.separator=:"

# What is waited for at the cursor's line, what is typed then, and how long a reader may look at the answer.
PLAY = [
    (r"\$ $", "streamlings\r", 4.0),
    (PROMPT, "\r", 5.0),
    (PROMPT, "kafka-topics --create --topic rides --partitions 1\r", 3.0),
    (PROMPT, "check\r", 4.0),
    (PROMPT, "kafka-topics --alter --topic rides --partitions 3\r", 5.0),
    (PROMPT, "\r", 5.0),
    (PROMPT, f"kafka-console-producer --topic rides {KEYED}\r", 1.0),
    (r"^> ?$", 'd-17:{"ride":"r-001","driver":"d-17","minutes":12}\r', 1.0),
    (r"^> ?$", "\x04", 3.0),
    (PROMPT, f"kafka-console-producer --topic rides {KEYED} < nine_rides.txt\r", 5.0),
    (PROMPT, "\r", 4.0),
    (PROMPT, "kafka-console-consumer --topic rides --group billing --from-beginning\r", 8.0),
    (r"", "\x03", 6.0),
    (PROMPT, "answer d-33\r", 6.0),
    (PROMPT, "quit\r", 4.0),
]


class Recorder:
    """A shell in a pseudo-terminal, and every picture that its screen showed."""

    def __init__(self, home):
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.stream = pyte.ByteStream(self.screen)
        self.frames, self.start = [], time.monotonic()
        environment = {
            "PATH": os.environ["PATH"], "HOME": home, "TERM": "xterm-256color", "PS1": "$ ", "LANG": "C.UTF-8",
            "DOCKER_HOST": "unix:///no-docker.sock", "LINES": str(ROWS), "COLUMNS": str(COLUMNS),
        }
        pid, self.terminal = pty.fork()
        if pid == 0:
            subprocess.run(["stty", "rows", str(ROWS), "cols", str(COLUMNS)], check=True)
            os.execve("/bin/bash", ["bash", "--norc", "--noprofile"], environment)

    def watch(self, seconds, until=None):
        """Follows the screen for so long, or until the cursor's line matches."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.terminal], [], [], min(left, 0.05))[0]:
                self.stream.feed(os.read(self.terminal, 65536))
                continue
            self.keep()
            if until is not None and re.search(until, self.screen.display[self.screen.cursor.y].rstrip() + " " * (self.screen.cursor.x > 0)):
                return True
        self.keep()
        return until is None

    def keep(self):
        rows = [tuple((c.data, c.fg, c.bold) for c in (self.screen.buffer[y][x] for x in range(COLUMNS))) for y in range(ROWS)]
        cursor = (self.screen.cursor.x, self.screen.cursor.y)
        if not self.frames or self.frames[-1][1:] != (rows, cursor):
            self.frames.append((time.monotonic() - self.start, rows, cursor))

    def type(self, text):
        """At about the pace of a hand; the terminal gets three characters at a time."""
        for index in range(0, len(text), 3):
            os.write(self.terminal, text[index:index + 3].encode())
            self.watch(0.12)


COLOURS = {"default": "#d0d7de", "green": "#57ab5a", "red": "#f47067", "yellow": "#c69026", "brown": "#c69026", "cyan": "#39c5cf",
           "blue": "#539bf5", "magenta": "#b083f0", "black": "#768390", "brightblack": "#768390", "white": "#ffffff"}
WIDTH_PX, HEIGHT_PX = 8.4, 18


def line(row):
    """A row as SVG text: runs of one look."""
    runs, at = [], 0
    while at < COLUMNS:
        end = at
        while end < COLUMNS and row[end][1:] == row[at][1:]:
            end += 1
        text = "".join(cell[0] for cell in row[at:end])
        if text.strip():
            lead = len(text) - len(text.lstrip())
            text = text.strip()
            look = COLOURS.get(row[at][1], "#" + row[at][1] if re.fullmatch("[0-9a-f]{6}", row[at][1]) else COLOURS["default"])
            weight = ' font-weight="bold"' if row[at][2] else ""
            fill = f' fill="{look}"' if look != COLOURS["default"] else ""
            runs.append(f'<tspan x="{(at + lead) * WIDTH_PX:g}" textLength="{len(text) * WIDTH_PX:g}"{fill}{weight}>{html.escape(text)}</tspan>')
        at = end
    return "".join(runs)


def draw(frames, seconds):
    height, width = ROWS * HEIGHT_PX, COLUMNS * WIDTH_PX
    known, body, steps = {}, [], []
    for number, (at, rows, (x, y)) in enumerate(frames):
        uses = []
        for index, row in enumerate(rows):
            text = line(row)
            if text:
                name = known.setdefault(text, f"l{len(known)}")
                uses.append(f'<use href="#{name}" y="{index * HEIGHT_PX + 14}"/>')
        uses.append(f'<rect x="{x * WIDTH_PX:g}" y="{y * HEIGHT_PX}" width="{WIDTH_PX}" height="{HEIGHT_PX}" opacity=".5"/>')
        body.append(f'<g transform="translate(0 {number * height})">{"".join(uses)}</g>')
        steps.append(f"{at / seconds * 100:.3f}%{{transform:translateY(-{number * height}px)}}")
    defs = "\n".join(f'<text id="{name}">{text}</text>' for text, name in known.items())
    body = "\n".join(body)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width + 24:g} {height + 24}" width="{width + 24:g}">
<title>A recorded session: the first three steps of exercise 1.1</title>
<style>
text{{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre}}
#film{{animation:film {seconds:.1f}s steps(1,end) infinite}}
@keyframes film{{{"".join(steps)}}}
</style>
<defs>{defs}</defs>
<rect width="100%" height="100%" rx="8" fill="#1c2128"/>
<svg x="12" y="12" width="{width:g}" height="{height}" fill="{COLOURS["default"]}"><g id="film">
{body}
</g></svg>
</svg>
"""


def main():
    home = "/tmp/ann"
    shutil.rmtree(home, ignore_errors=True)
    os.makedirs(home)
    try:
        recorder = Recorder(home)
        for wanted, keys, seconds in PLAY:
            if not recorder.watch(15, wanted):
                sys.exit(f"waited for {wanted!r}, and saw:\n" + "\n".join(recorder.screen.display))
            recorder.type(keys)
            recorder.watch(seconds)
        first = recorder.frames[0][0]
        frames = [(at - first, rows, cursor) for at, rows, cursor in recorder.frames]
        print(draw(frames, time.monotonic() - recorder.start - first), end="")
    finally:
        subprocess.run(["streamlings", "down", "--delete", "--yes"], env={**os.environ, "HOME": home}, stdout=subprocess.DEVNULL, check=False)
        shutil.rmtree(home, ignore_errors=True)


main()
