"""Apache Kafka's tools, run in one JVM (java/Tools.java): a tool's start costs more than what it does."""

import itertools
import json
import os
import re
import subprocess
import threading
from concurrent.futures import Future, TimeoutError
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "java" / "Tools.java"
# Short runs: no second compiler, one collector thread. One logger context for all runs.
FLAGS = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx512m", "-XX:-UsePerfData"]
SELECTOR = "-Dlog4j2.contextSelector=org.apache.logging.log4j.core.selector.BasicContextSelector"
# They call System.exit.
ALONE = ("kafka-verifiable-producer", "kafka-verifiable-consumer", "kafka-verifiable-share-consumer", "kafka-cluster")


class Tools:
    """The tools of a Kafka home, run in `folder`; `run` can be called by several threads."""

    def __init__(self, home, folder=None):
        self.home, self.folder = Path(home).resolve(), folder
        classes = self.compiled()
        self.env = {**os.environ, "JDK_JAVA_OPTIONS": " ".join(FLAGS), "KAFKA_LOG_LEVEL": "ERROR"}
        self.child = subprocess.Popen(["java", *FLAGS, SELECTOR, "-cp", f"{classes}:{self.classpath()}", "Tools"],
                                      env={**os.environ, "KAFKA_LOG_LEVEL": "ERROR"}, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ids, self.runs, self.lock = itertools.count(), {}, threading.Lock()
        threading.Thread(target=self.listen, daemon=True).start()

    def classpath(self):
        return ":".join(sorted(map(str, (self.home / "libs").glob("*.jar"))))

    def compiled(self):
        """The folder of the compiled program; compiled where the source is newer."""
        folder = self.home / "tools"
        made = folder / "Tools.class"
        if not made.exists() or made.stat().st_mtime < SOURCE.stat().st_mtime:
            # Another script may be at it.
            part = folder.with_name(f"tools.{os.getpid()}")
            subprocess.run(["javac", "--release", "17", "-d", part, "-cp", self.classpath(), SOURCE], check=True)
            folder.mkdir(exist_ok=True)
            # Its own class last: where it is, all are.
            for file in sorted(part.iterdir(), key=lambda file: file.name == made.name):
                file.replace(folder / file.name)
            part.rmdir()
        return folder

    def listen(self):
        for line in self.child.stdout:
            said = json.loads(line)
            self.runs.pop(said["id"])[0].set_result((said["code"], said["out"], said["err"]))
        for run, command in self.runs.values():
            run.set_exception(RuntimeError(f"the JVM of the tools has ended, and with it {command}"))

    def main(self, tool):
        """The class that a tool's script starts."""
        return re.search(r' (\S+) "\$@"$', (self.home / "bin" / f"{tool}.sh").read_text().rstrip())[1]

    def run(self, tool, words, text="", seconds=120):
        """(exit code, stdout, stderr) of one run; without an end in time, the code is None."""
        if tool in ALONE:
            return self.alone(tool, words, text, seconds)
        run = Future()
        question = {"main": self.main(tool), "words": list(map(str, words)), "text": text}
        with self.lock:
            id = next(self.ids)
            self.runs[id] = run, [tool, *words]
            self.child.stdin.write(json.dumps({"id": id, **question}) + "\n")
            self.child.stdin.flush()
        try:
            return run.result(seconds)
        except TimeoutError:
            return None, "", f"no end within {seconds} s"

    def start(self, tool, words, **rest):
        """A tool in a JVM of its own, which can be ended."""
        return subprocess.Popen([self.home / "bin" / f"{tool}.sh", *words], env=self.env, cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, **rest)

    def alone(self, tool, words, text, seconds):
        child = self.start(tool, words)
        try:
            out, err = child.communicate(text, seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            out, _ = child.communicate()
            return None, out, f"no end within {seconds} s"
        return child.returncode, out, err

    def close(self):
        self.child.stdin.close()
        self.child.wait()
