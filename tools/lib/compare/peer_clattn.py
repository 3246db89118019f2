# SPDX-License-Identifier: BSD-2-Clause
"""clattn itself: a process of `clattn bench --turns` a row, which runs once whenever it is told to."""
import json
import pathlib
import subprocess
import tempfile

import numpy


class Failed(RuntimeError):
    """The command failed; its own words say why."""


class Command:
    def __init__(self, path, device):
        self.path, self.device = path, ["--device", device]

    def call(self, *arguments):
        done = subprocess.run([self.path, *arguments, *self.device], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"clattn {' '.join(arguments)}")
        return done.stdout

    def peaks(self):
        """What a suite prints before its rows, which are not awaited."""
        words = [self.path, "bench", "--suite", "cpu", "--json", *self.device]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            line = process.stdout.readline()
            process.kill()
        if not line:
            raise Failed("clattn bench --suite cpu")
        return json.loads(line)

    def measure(self, *arguments):
        """The last row that bench prints."""
        return json.loads(self.call("bench", *arguments, "--json").splitlines()[-1])

    def attend(self, numbers):
        """O of `clattn run`, of the same numbers as the peers have."""
        shape = numbers.shape
        with tempfile.TemporaryDirectory(prefix="clattn-compare-") as folder:
            path = lambda name: str(pathlib.Path(folder, name + ".npy"))
            for name, tensor in (("q", numbers.q), ("k", numbers.k), ("v", numbers.v)):
                numpy.save(path(name), tensor.numpy())
            self.call("run", "--q", path("q"), "--k", path("k"), "--v", path("v"), "--out", path("o"),
                      *(["--causal"] if shape.causal else []))
            return numpy.load(path("o"))


class Runner:
    name = "clattn"

    def __init__(self, command, shape):
        words = [command.path, "bench", *shape.arguments(), "--json", "--turns", *command.device]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.run()  # returns when all is compiled, checked and warm

    def run(self):
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self.process.stdout.readline()
        if not line:
            raise Failed("clattn bench --turns ended early")
        turn = json.loads(line)
        self.copies = turn["copies"]
        self.device_seconds = turn["seconds"]
        return turn["wall_seconds"]

    def finish(self):
        """The row, as bench prints it."""
        output, _ = self.process.communicate()
        if self.process.returncode != 0:
            raise Failed("clattn bench --turns failed")
        return json.loads(output.splitlines()[-1])

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
