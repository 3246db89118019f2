#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A second process with a warm cache of ours, and an empty one of PoCL's, makes PoCL compile nothing.

PoCL starts the linker once for each kernel that it compiles, and unpacks the machine code of a binary without it. The
preloaded library of count_spawns.c counts linkers; the first, cold, process shows that it can count them. PoCL's cache
then has one program a kernel, that of a whole build, which would serve a process whose cache of ours is empty.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "examples" / "data"
SHAPES = (["--causal"], ["--causal", "--dtype", "f32"], ["--softcap", "20", "--window", "100,0"])


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, good, what):
        print(("passed: " if good else "FAILED: ") + what)
        self.passed += bool(good)
        self.failed += not good


def empty(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def run(args, words):
    """Runs clattn with an empty cache of PoCL's; returns (seconds, linkers started, .so files, exit status, output,
    programs in PoCL's cache)."""
    pocl, spawns = args.work / "warm-pocl", args.work / "spawns"
    empty(pocl)
    spawns.unlink(missing_ok=True)
    env = {**os.environ, "CLATTN_CACHE_DIR": str(args.work / "warm-clattn"), "POCL_CACHE_DIR": str(pocl),
           "LD_PRELOAD": str(args.shim), "COUNT_SPAWNS": str(spawns), "CLATTN_LOG": "info"}
    argv = [str(args.clattn), "run", *words, "--out", str(args.work / "warm-out.npy")]
    for name in "qkv":
        argv += ["--" + name, str(DATA / f"layer16_{name}.npy")]
    started = time.monotonic()
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    linked = spawns.read_text().count("\n") if spawns.exists() else 0
    return seconds, linked, len(list(pocl.rglob("*.so"))), done.returncode, done.stdout + done.stderr, \
        len(list(pocl.rglob("program.bc")))


def first_result(output):
    """What clattn says of its own time to the first result, if it does."""
    found = re.search(r"first result[^0-9]*([0-9.]+) ?(ms|s)", output)
    return found[0] if found else None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clattn", required=True, type=pathlib.Path)
    parser.add_argument("--shim", required=True, type=pathlib.Path, help="count_spawns.c, built")
    parser.add_argument("--work", required=True, type=pathlib.Path)
    args = parser.parse_args()
    checks = Checks()
    for words in SHAPES:
        name = " ".join(words)
        empty(args.work / "warm-clattn")
        cold = run(args, words)
        cold_bytes = (args.work / "warm-out.npy").read_bytes() if cold[3] == 0 else b""
        checks.check(cold[3] == 0 and cold[1] > 0, f"{name}: cold, PoCL linked {cold[1]} kernels, exit {cold[3]}")
        built = cold[4].count("kernel from source")
        checks.check(built > 0 and cold[5] == built, f"{name}: cold, PoCL keeps {cold[5]} programs of {built} kernels")
        warm = run(args, words)
        warm_bytes = (args.work / "warm-out.npy").read_bytes() if warm[3] == 0 else None
        checks.check(warm[3] == 0 and warm[1] == 0, f"{name}: warm, PoCL linked {warm[1]} kernels, exit {warm[3]}, "
                     f"{warm[2]} .so unpacked")
        checks.check(warm_bytes == cold_bytes, f"{name}: the warm result has the cold one's bits")
        print(f"first result, process start to end, {name}: cold {cold[0] * 1000:.0f} ms, warm {warm[0] * 1000:.0f} ms"
              + (f" ({first_result(warm[4])})" if first_result(warm[4]) else ""))
        if checks.failed:
            print(cold[4], warm[4], sep="\n")
    print(f"{checks.passed} passed, {checks.failed} failed, 0 skipped")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
