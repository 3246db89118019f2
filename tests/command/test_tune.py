#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`clattn tune`: records that the next process uses, refusals, folders and files that are no good, processes that are
killed or interrupted, two at once, and drivers that crash, hang, compute wrongly or have a bad clock (by the layer of
tests/support/tune_fault_layer.c). Most runs tune gather, whose classes take seconds."""
import json
import os
import pathlib
import signal
import subprocess
import time

from support import COMMAND, FAILED, USAGE, Folder, Report, run, skip_without_device

INTERRUPTED = 130
GATHER = ["tune", "--op", "gather", "--json"]
NAMES = ("device op class dtype kv_dtype tile seconds_median gbytes_per_s baseline_seconds ratio points exhaustive "
         "tuning_level").split()


class Place:
    """A folder for the records of one test. All tests share compiled programs."""
    cache = Folder()

    def __init__(self):
        self.folder = Folder()
        self.records = self.folder / "records"
        self.env = {"CLATTN_TUNING_PATH": str(self.records), "XDG_DATA_HOME": str(self.folder / "data"),
                    "CLATTN_CACHE_DIR": str(self.cache / "programs")}

    def run(self, *arguments, **env):
        return run(*arguments, env=dict(self.env, **env))

    def start(self, *arguments):
        return subprocess.Popen([COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env=dict(os.environ, **self.env))

    def files(self):
        return sorted(self.records.glob("*.json")) if self.records.is_dir() else []

    def record(self):
        """The one record, parsed; an empty one where there is none."""
        files = self.files()
        return json.loads(files[0].read_text()) if len(files) == 1 else {"entries": [], "faults": []}


def lines(result):
    """(objects of classes, the summary)"""
    objects = [json.loads(line) for line in result.stdout.splitlines()]
    return (objects[:-1], objects[-1]) if objects else ([], {})


def check_search(report, place):
    """The first run of gather: what it prints is what the record has."""
    begin = time.monotonic()
    result = place.run(*GATHER, "--budget", 10, "--plot", place.folder / "out.svg")
    spent = time.monotonic() - begin
    report.check(result.returncode == 0 and spent < 30, f"tune of 10 s took {spent:.1f} s: {result.stderr}")
    classes, summary = lines(result)
    report.check(classes and all(name in row for row in classes for name in NAMES), f"tune: {result.stdout}")
    report.check(all(row["op"] == "gather" and row["points"] >= 1 for row in classes), f"tune: {result.stdout}")
    report.check(all(row["ratio"] > 0.98 for row in classes), f"tune chose what is slower: {result.stdout}")
    report.check(summary.get("op") == "summary" and summary.get("classes") == len(classes), f"summary: {summary}")
    files = place.files()
    report.check([summary.get("record")] == [str(file) for file in files], f"record: {summary}, {files}")
    entries = place.record()["entries"]
    report.check(len(entries) == len(classes), f"{len(entries)} entries of {len(classes)} classes")
    pairs = zip(sorted(row["seconds_median"] for row in classes), sorted(entry["seconds"] for entry in entries))
    report.check(all(abs(told / kept - 1) < 1e-4 for told, kept in pairs), f"figures: {entries}, {classes}")
    text = (place.folder / "out.svg").read_text() if (place.folder / "out.svg").is_file() else ""
    report.check("gather" in text and "</svg>" in text, f"--plot: {text[:200]}")
    verified, summary = lines(place.run(*GATHER, "--verify", "--budget", 20))
    report.check(len(verified) == len(classes) and all("pays" in row for row in verified) and
                 "no_longer_pay" in summary, f"--verify: {verified} {summary}")


def attend(folder, place):
    """A prefill of the class that is tuned first, and what it says."""
    for name in "qkv":
        if not (folder / name).exists():
            folder.tensor(name, (1, 2, 64, 64))
    result = place.run("run", "--q", folder / "q", "--k", folder / "k", "--v", folder / "v", "--out", folder / "out",
                       "--json")
    return (json.loads(result.stdout) if result.returncode == 0 else {}), result


def check_use(report, place):
    folder = Folder()
    before, result = attend(folder, place)
    report.check(before.get("tuning_level") == "default", f"before tuning: {before} {result.stderr}")
    result = place.run("tune", "--op", "attention", "--budget", 16)
    report.check(result.returncode == 0 and all(words in result.stdout for words in (
        "prefill f32", "geometric mean", "recorded in", "not reached")), f"a table: {result.stdout}{result.stderr}")
    after, result = attend(folder, place)
    report.check(after.get("tuning_level") == "exact", f"after tuning: {after} {result.stderr}")
    spoil_records(report, place, folder)


def expect_default(report, place, folder, what, words):
    level, result = attend(folder, place)
    told = [line for line in result.stderr.splitlines() if all(word in line for word in words)]
    report.check(level.get("tuning_level") == "default" and len(told) == 1,
                 f"{what}: {level.get('tuning_level')}, {result.stderr}")


def spoil_records(report, place, folder):
    """Bad files: a line that says which, and defaults."""
    path = place.files()[0]
    text = path.read_text()
    number = next((i for i, line in enumerate(text.splitlines(), 1) if '"prefill"' in line), 0)
    path.write_text(text.replace('"schema": 1', '"schema": 1000000', 1))
    expect_default(report, place, folder, "a later schema", [str(path), "schema", "1000000"])
    record = json.loads(text)
    entry = next(e for e in record["entries"] if e["kernel"] == "prefill" and e["class"]["head_dim"] == 64)
    tile = json.dumps(entry["tile"])
    path.write_text(text.replace(tile, tile.replace(f'"keys": {entry["tile"].get("keys")}', '"keys": 47')))
    expect_default(report, place, folder, "a value out of the space", [f"{path}:{number}", "47"])
    path.write_bytes(bytes((i * 2654435761 >> 13) & 255 for i in range(1 << 20)))
    expect_default(report, place, folder, "1 MB of garbage", [str(path)])
    path.write_text(text[:len(text) // 2])
    expect_default(report, place, folder, "half a record", [str(path)])
    path.write_text(text)
    level, _ = attend(folder, place)
    report.check(level.get("tuning_level") == "exact", f"the record as it was: {level}")


def check_refusals(report):
    place = Place()
    refuse = lambda status, words, *arguments: report.refused(place.run("tune", *arguments), status, words,
                                                              " ".join(map(str, arguments)))
    for option in ("--budget", "--timeout"):
        refuse(FAILED, [option, "0", "over 0"], option, 0)
        refuse(FAILED, [option, "-1", "over 0"], option, -1)
        refuse(FAILED, [option, "nan"], option, "nan")
        refuse(USAGE, [option, "soon", "number"], option, "soon")
    refuse(USAGE, ["--op", "attention|decode|gather|append", "prefill"], "--op", "prefill")
    refuse(FAILED, ["--seed", "-1"], "--seed", -1)
    for option in ("--resume", "--exhaustive", "--all-classes"):
        refuse(FAILED, [option, "--verify"], "--verify", option)
    refuse(FAILED, ["--budget", "--exhaustive"], "--exhaustive", "--budget", 10)
    refuse(FAILED, ["--plot", "--verify"], "--verify", "--plot", place.folder / "out.svg")
    refuse(FAILED, ["--plot", "none/out.svg"], "--plot", place.folder / "none/out.svg")
    refuse(FAILED, ["no such device"], "--device", "no such device")
    refuse(USAGE, ["gather"], "gather")
    result = place.run(*GATHER, "--plot", place.folder / "out.svg", PATH=str(place.folder / "empty"))
    report.refused(result, FAILED, ["--plot", "gnuplot-nox"], "no gnuplot", place.folder)
    report.check(not place.files(), "a refused run left a record")


def mount(folder, *options):
    """A small file system of its own; False where this user or system has none."""
    folder.mkdir()
    result = subprocess.run(["mount", "-t", "tmpfs", *options, "none", str(folder)], capture_output=True, check=False)
    return result.returncode == 0


def check_folders(report):
    place = Place()
    place.records.write_text("a file")
    result = place.run(*GATHER, "--budget", 5)
    report.check(result.returncode == FAILED and str(place.records) in result.stderr.splitlines()[-1] and
                 not result.stdout, f"a file in place of the folder: {result.returncode} {result.stderr}")
    for what, options, fill in (("a read-only folder", ["-o", "ro,size=64k"], False),
                                ("a full disk", ["-o", "size=16k"], True)):
        place = Place()
        if not mount(place.records, *options):
            print(f"SKIP: {what}: no tmpfs can be mounted here")
            continue
        try:
            if fill:
                (place.records / "filling").write_bytes(bytes(16384))
            result = place.run(*GATHER, "--budget", 5)
            report.check(result.returncode == FAILED and str(place.records) in result.stderr.splitlines()[-1],
                         f"{what}: {result.returncode} {result.stderr}")
            report.check(not place.files(), f"{what}: {place.files()}")
        finally:
            subprocess.run(["umount", str(place.records)], check=False)


def wait_for_class(process):
    """Reads stderr until a class is done."""
    for line in process.stderr:
        if "times the default's speed" in line:
            return True
    return False


def check_killed(report):
    place = Place()
    process = place.start(*GATHER, "--all-classes", "--budget", 30)
    report.check(wait_for_class(process), "no class was done before the kill")
    process.kill()
    process.communicate()
    entries = place.record()["entries"]
    report.check(len(entries) >= 1, f"killed: {place.files()}, {entries}")
    classes, summary = lines(place.run(*GATHER, "--all-classes", "--resume", "--budget", 29))
    report.check(summary.get("classes", 0) >= 1, f"--resume: {classes} {summary}")
    report.check(len(place.record()["entries"]) > len(entries), f"--resume: {place.record()['entries']}")


def check_interrupted(report):
    place = Place()
    process = place.start(*GATHER, "--all-classes", "--budget", 30)
    report.check(wait_for_class(process), "no class was done before the interruption")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    objects = [json.loads(line) for line in out.splitlines()]
    report.check(process.returncode == INTERRUPTED and objects and objects[-1].get("interrupted") is True,
                 f"Ctrl-C: {process.returncode} {out}")
    report.check(len(place.record()["entries"]) >= 1, f"Ctrl-C: {place.files()}")
    process = place.start(*GATHER, "--budget", 60)
    time.sleep(2)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    report.check(process.returncode == INTERRUPTED and time.monotonic() - begin < 10, "Ctrl-C twice")
    report.check(len(place.record()["entries"]) >= 1, f"Ctrl-C twice: {place.files()}")
    left = [file.name for file in place.records.iterdir() if file.suffix not in (".json", ".lock", ".journal")]
    report.check(not left, f"Ctrl-C twice left {left}")


def check_together(report):
    """Two tuners at once: the record has both's classes."""
    place = Place()
    processes = [place.start("tune", "--op", op, "--json", "--budget", 8) for op in ("gather", "append")]
    results = [process.communicate(timeout=100) for process in processes]
    report.check(all(process.returncode == 0 for process in processes), f"two at once: {results}")
    kernels = {entry["kernel"] for entry in place.record()["entries"]}
    report.check(kernels == {"gather", "append"}, f"two at once: {kernels}, {place.files()}")


def tokens(row, outcome):
    """Tokens of the tiles that failed so, by their names' last part."""
    return {item["tile"].rsplit("tokens", 1)[-1] for item in row["failed"] if item["outcome"] == outcome}


def check_faults(report, layer):
    """Each bad candidate costs only itself, and is not tried again."""
    place = Place()
    faults = {"OPENCL_LAYERS": layer,
              "TUNE_FAULTS": "crash=GROUP_TOKENS=64;hang=GROUP_TOKENS=32;wrong=GROUP_TOKENS=8;die=GROUP_TOKENS=4"}
    result = place.run(*GATHER, "--budget", 29, "--timeout", 6, **faults)
    classes, _ = lines(result)
    report.check(result.returncode == 0 and classes, f"faults: {result.returncode} {result.stdout}{result.stderr}")
    for row in classes[:1]:
        got = {outcome: tokens(row, outcome) for outcome in ("crashed", "timed out", "wrong")}
        report.check(got == {"crashed": {"64", "4"}, "timed out": {"32"}, "wrong": {"8"}}, f"faults: {got}")
        report.check(row["tile"].rsplit("tokens", 1)[-1] in {"1", "2", "16"}, f"faults: {row['tile']} was chosen")
    kept = {(fault["tile"]["tokens"], fault["fault"]) for fault in place.record()["faults"]}
    report.check({(64, "crashed"), (32, "timed out"), (8, "wrong"), (4, "crashed")} <= kept, f"faults: {kept}")
    classes, _ = lines(place.run(*GATHER, "--budget", 8, "--timeout", 6))
    for row in classes[:1]:
        report.check({"64", "32", "8", "4"} <= tokens(row, "skipped"), f"faults of an earlier run: {row['failed']}")
    report.check(classes, "a run after faults has no class")


def check_clocks(report, layer):
    for clock in ("zero", "fast"):
        place = Place()
        result = place.run(*GATHER, "--budget", 3, OPENCL_LAYERS=layer, TUNE_CLOCK=clock)
        classes, _ = lines(result)
        report.check(classes and all(row.get("clock") == "wall" and row["seconds_median"] > 1e-6 for row in classes),
                     f"a clock that is {clock}: {result.stdout}{result.stderr}")


def main():
    skip_without_device()
    report, layer = Report(), os.environ.get("CLATTN_TUNE_FAULT_LAYER", "")
    check_refusals(report)
    check_search(report, Place())
    check_use(report, Place())
    check_folders(report)
    check_killed(report)
    check_interrupted(report)
    check_together(report)
    report.check(pathlib.Path(layer).is_file(), "CLATTN_TUNE_FAULT_LAYER has to be the layer's path")
    check_faults(report, layer)
    check_clocks(report, layer)
    report.finish()


if __name__ == "__main__":
    main()
