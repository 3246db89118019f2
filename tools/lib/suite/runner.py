# SPDX-License-Identifier: BSD-2-Clause
"""Runs the parts of the test suite, two at a time, and keeps their output apart."""
import concurrent.futures
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time

import counts

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = ROOT / "build" / "test-run"  # logs and state, apart from the builds
VENDORS = pathlib.Path("/etc/OpenCL/vendors")
POCL_CACHE = BUILD / "pocl-cache"  # of the run at hand
LEAST_LIMIT = 900  # seconds until a program is killed: only one that hangs takes so long, even on a slow machine
TAIL = 60  # lines of a failing program that are shown; the log has all
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TERM", "TMPDIR", "USER", "CI", "SSL_CERT_FILE", "http_proxy",
             "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "CC", "CXX")


class Failure(Exception):
    """A part cannot go on; its message is the failed case."""


class Part:
    """One part while it runs: its environment, its counts and what it has to say."""

    def __init__(self, name, budget, options):
        self.name, self.budget, self.options = name, budget, options
        self.total, self.lines, self.output = counts.Counts(), [], ""  # output: of the last program
        self.state = BUILD / "state" / name
        self.log_path = BUILD / "logs" / (name + ".log")
        shutil.rmtree(self.state, ignore_errors=True)
        self.state.mkdir(parents=True)
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self.log = open(self.log_path, "w", encoding="utf-8")
        self.started = time.monotonic()

    def environment(self, **more):
        """Nothing of the caller's own caches, devices or settings reaches a test, and nothing of a test outlives it but
        what PoCL compiled, which the parts of one run share: compiling is what most of their time goes into."""
        env = {key: os.environ[key] for key in PASSED_ON if key in os.environ}
        for key, folder in (("CLATTN_CACHE_DIR", "clattn"), ("XDG_CACHE_HOME", "xdg-cache"),
                            ("CLATTN_TUNING_PATH", "tuning"), ("XDG_DATA_HOME", "xdg-data"),
                            ("XDG_CONFIG_HOME", "xdg-config")):
            (self.state / folder).mkdir(exist_ok=True)
            env[key] = str(self.state / folder)
        env["POCL_CACHE_DIR"] = str(POCL_CACHE)
        env.update({key: str(value) for key, value in more.items()})
        return env

    def say(self, line):
        self.lines.append(line)

    def case(self, good, what):
        """Counts one case that the part checks itself."""
        if good:
            self.total.passed += 1
        else:
            self.total.failed += 1
            self.say("FAILED: " + what)
        return good

    def skip(self, what):
        self.total.skipped += 1
        self.say("skipped: " + what)

    def call(self, argv, env=None, limit=None, cwd=ROOT):
        """Runs a program; returns (status, output). After the limit (seconds) it is killed, with its children."""
        argv = [str(word) for word in argv]
        env = env or self.environment()
        if self.options.full:
            limit = None
        elif limit is None:
            limit = max(LEAST_LIMIT, 8 * self.budget)
        process = subprocess.Popen(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
        try:
            output, _ = process.communicate(timeout=limit)
            status = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            output += f"\nkilled after {limit:.0f} s\n"
            status = -signal.SIGKILL
        self.log.write(f"$ {' '.join(argv)}\n{output}\n[exit {status}]\n\n")
        self.log.flush()
        self.output = output
        return status, output

    def count(self, label, argv, env=None, limit=None):
        """Runs a test program and adds its cases; shows its failures and the reasons of what it skipped."""
        started = time.monotonic()
        status, output = self.call(argv, env, limit)
        found = counts.read(output, status)
        self.total.add(found)
        self.say(f"{label}: {found} ({time.monotonic() - started:.1f} s)")
        if found.failed:
            self.show(output, status)
        elif found.skipped:
            self.lines += [line for line in output.splitlines()
                           if "skip" in line.lower() and not counts.SUMMARY.match(line)][:TAIL]
        return found

    def show(self, output, status):
        lines = output.splitlines()
        telling = [line for line in lines if "FAIL" in line or line.startswith(("not ok", "  again:", "run again"))]
        if len(lines) > TAIL:
            self.lines += telling[:TAIL]
            lines = [f"... the last lines of {self.log_path}:"] + lines[-TAIL:]
        self.lines += ["  | " + line for line in lines] + [f"  | exit status {status}"]

    def finish(self):
        self.log.close()
        seconds = time.monotonic() - self.started
        over = f", over its budget of {self.budget} s" if seconds > self.budget and not self.options.full else ""
        head = f"== {self.name}: {self.total}; {seconds:.0f} s{over}; {self.total.programs} programs built"
        return "\n".join([head] + ["   " + line for line in self.lines])


def run_part(name, budget, function, options, print_lock):
    part = Part(name, budget, options)
    try:
        function(part)
        if part.total.ran + part.total.skipped == 0:
            raise Failure("the part ran no case")
    except Failure as failure:
        part.case(False, str(failure))
    except Exception as error:  # a broken part is a failed case, and the others go on
        part.case(False, f"{type(error).__name__}: {error}")
    text = part.finish()
    with print_lock:
        print(text, flush=True)
    return part.total


def run_all(table, options):
    """`table` holds (name, budget, alone, function). What has to run alone goes first, in order; then two at a time."""
    total, lock = counts.Counts(), threading.Lock()
    shutil.rmtree(POCL_CACHE, ignore_errors=True)
    POCL_CACHE.mkdir(parents=True)
    for name, budget, alone, function in table:
        if alone:
            total.add(run_part(name, budget, function, options, lock))
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        waiting = [pool.submit(run_part, name, budget, function, options, lock)
                   for name, budget, alone, function in table if not alone]
        for done in waiting:
            total.add(done.result())
    return total
