# SPDX-License-Identifier: BSD-2-Clause
"""clattn itself: a process of `clattn bench --turns` a row, which runs whenever it is told to."""
import json
import pathlib
import statistics
import subprocess
import tempfile

import numpy

import turns


class Failed(RuntimeError):
    """The command failed; its own words say why."""


class Command:
    def __init__(self, path, device, suite):
        self.path, self.device, self.suite = path, ["--device", device], suite

    def call(self, *arguments):
        done = subprocess.run([self.path, *arguments, *self.device], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"clattn {' '.join(arguments)}")
        return done.stdout

    def peaks(self):
        """What a suite prints before its rows, which are not awaited."""
        words = [self.path, "bench", "--suite", self.suite, "--json", *self.device]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            line = process.stdout.readline()
            process.kill()
        if not line:
            raise Failed(f"clattn bench --suite {self.suite}")
        return json.loads(line)

    def measure(self, *arguments):
        """The last row that bench prints."""
        return json.loads(self.call("bench", *arguments, "--json").splitlines()[-1])

    def attend(self, numbers):
        """O of `clattn run`, of the same numbers as the peers have: of the first sequence."""
        shape = numbers.shape
        words = ["--dtype", shape.dtype, *(["--causal"] if shape.causal else [])]
        words += ["--page-size", str(shape.page_size)] if shape.page_size else []
        with tempfile.TemporaryDirectory(prefix="clattn-compare-") as folder:
            path = lambda name: str(pathlib.Path(folder, name + ".npy"))
            for name, tensor in (("q", numbers.q), ("k", numbers.k), ("v", numbers.v)):
                numpy.save(path(name), tensor[:1].float().cpu().numpy())
            self.call("run", "--q", path("q"), "--k", path("k"), "--v", path("v"), "--out", path("o"), *words)
            return numpy.load(path("o"))


class Runner:
    """Its own clock: `calls` in a run."""

    def __init__(self, command, shape, name="clattn"):
        self.name, self.calls, self.clock = name, 1, self
        words = [command.path, "bench", *shape.arguments(), "--json", "--turns", *command.device]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.run()  # returns when all is compiled, checked and warm

    def take_turns(self):
        try:
            self.process.stdin.write("\n" * self.calls)
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        lines = [self.process.stdout.readline() for _ in range(self.calls)]
        if not lines[-1]:
            raise Failed("clattn bench --turns ended early")
        return [json.loads(line) for line in lines]

    def run(self):
        found = self.take_turns()
        self.copies = found[0]["copies"]
        self.device_seconds = statistics.median(turn["seconds"] for turn in found)
        return statistics.median(turn["wall_seconds"] for turn in found)

    def finish(self):
        """The row, as bench prints it."""
        output, _ = self.process.communicate()
        if self.process.returncode != 0:
            raise Failed("clattn bench --turns failed")
        return json.loads(output.splitlines()[-1])

    def output(self):
        """None: bench compares its own answer with the reference, and fails where that is wrong."""

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class DeviceRunner(Runner):
    """Its seconds are the device's, and a run is as many calls as they suggest."""

    def run(self):
        super().run()
        self.calls = turns.calls_for(self.device_seconds)
        return self.device_seconds
