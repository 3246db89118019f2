#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`clattn tune`: records that the next process uses, refusals, folders and files that are no good, processes that are
killed or interrupted, two at once, and drivers that crash, hang, compute wrongly or have a bad clock (by the layer of
tests/support/tune_fault_layer.c). Most runs tune gather, whose classes take seconds."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time

from support import COMMAND, FAILED, HANGS, USAGE, Folder, Report, run, skip_without_device

INTERRUPTED = 130
GATHER = ["tune", "--op", "gather", "--json"]
# Seconds that no class needs, on any machine: what runs with them is interrupted when it has done what is tested.
PLENTY = 3600
# Budgets to try in turn until a class is done, since how many candidates a machine tries in ten seconds is its own
# affair. One class has the first two for itself.
BUDGETS = (10, 29, 900)
LATE = 30  # seconds past its budget that a run may take
NAMES = ("device op class dtype kv_dtype tile seconds_median gbytes_per_s baseline_seconds ratio points exhaustive "
         "tuning_level").split()


class Place:
    """A folder for the records of one test. All tests share compiled programs."""
    cache = Folder()

    def __init__(self):
        self.folder = Folder()
        self.started = 0
        self.records = self.folder / "records"
        self.env = {"CLATTN_TUNING_PATH": str(self.records), "XDG_DATA_HOME": str(self.folder / "data"),
                    "CLATTN_CACHE_DIR": str(self.cache / "programs")}

    def run(self, *arguments, **env):
        return run(*arguments, env=dict(self.env, **env))

    def run_until(self, done, *arguments, budgets=BUDGETS, **env):
        """With one budget after the other until `done` says that a result is enough; the last result."""
        for budget in budgets:
            result = self.run(*arguments, "--budget", budget, **env)
            if done(result):
                break
        return result

    def start(self, *arguments, **env):
        """What it prints goes to files, so that nothing waits for a reader."""
        self.started += 1
        paths = [self.folder / f"{name}.{self.started}" for name in ("stdout", "stderr")]
        with open(paths[0], "w") as out, open(paths[1], "w") as err:
            process = subprocess.Popen([COMMAND, *map(str, arguments), "--budget", str(PLENTY)], stdout=out, stderr=err,
                                       env=dict(os.environ, **dict(self.env, **env)))
        process.paths = paths
        return process

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


def has_class(result):
    return lines(result)[0]


def told(process):
    """What it has said on stderr so far."""
    return process.paths[1].read_text()


def classes_done(process):
    return told(process).count("times the default's speed")


def wait_until(process, holds):
    """Polls; False when the process ended, or hangs, before it held."""
    end = time.monotonic() + HANGS
    while not holds():
        if process.poll() is not None or time.monotonic() > end:
            return holds()
        time.sleep(0.1)
    return True


def interrupt(process):
    """Ctrl-C, and what comes of it."""
    process.send_signal(signal.SIGINT)
    return finish(process)


def finish(process):
    process.wait(timeout=HANGS)
    return subprocess.CompletedProcess(process.args, process.returncode, process.paths[0].read_text(), told(process))


def check_budget(report):
    """It ends the run. A busy machine may be late for it, but not every time."""
    budget, spent = 5, []
    while not spent or (spent[-1] > budget + LATE and len(spent) < 5):
        begin = time.monotonic()
        result = Place().run(*GATHER, "--budget", budget)
        spent.append(time.monotonic() - begin)
    _, summary = lines(result)
    report.check(result.returncode == 0 and spent[-1] <= budget + LATE, f"tune of {budget} s took {spent} s")
    report.check(summary.get("not_reached") and summary.get("budget") == budget, f"tune of {budget} s: {summary}")


def check_search(report, place, compiles_twice):
    """The first run of gather: what it prints is what the record has. Where taking a binary compiles once more, no
    program of a candidate is stored."""
    programs = place.folder / "programs"
    result = place.run_until(has_class, *GATHER, "--plot", place.folder / "out.svg", CLATTN_CACHE_DIR=str(programs))
    report.check(result.returncode == 0, f"tune: {result.stderr}")
    stored = [path.name for path in programs.glob("**/*.clprog")]
    report.check(not (compiles_twice and stored), f"tune stored {stored}")
    classes, summary = lines(result)
    report.check(classes and all(name in row for row in classes for name in NAMES), f"tune: {result.stdout}")
    report.check(all(row["op"] == "gather" and row["points"] >= 1 for row in classes), f"tune: {result.stdout}")
    # By the tuner's own figures: what is not faster makes way for the default, whose ratio is 1.
    report.check(all(row["ratio"] > 0.9999 for row in classes), f"tune chose what is slower: {result.stdout}")
    report.check(summary.get("op") == "summary" and summary.get("classes") == len(classes), f"summary: {summary}")
    files = place.files()
    report.check([summary.get("record")] == [str(file) for file in files], f"record: {summary}, {files}")
    entries = place.record()["entries"]
    report.check(len(entries) == len(classes), f"{len(entries)} entries of {len(classes)} classes")
    pairs = zip(sorted(row["seconds_median"] for row in classes), sorted(entry["seconds"] for entry in entries))
    report.check(all(abs(told / kept - 1) < 1e-4 for told, kept in pairs), f"figures: {entries}, {classes}")
    text = (place.folder / "out.svg").read_text() if (place.folder / "out.svg").is_file() else ""
    report.check("gather" in text and "</svg>" in text, f"--plot: {text[:200]}")
    verified, summary = lines(place.run(*GATHER, "--verify", "--budget", BUDGETS[1]))
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
    """Where attention was tuned."""
    folder = Folder()
    before, result = attend(folder, Place())
    report.check(before.get("tuning_level") == "default", f"before tuning: {before} {result.stderr}")
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
            result = place.run_until(lambda result: result.returncode == FAILED, *GATHER)
            report.check(result.returncode == FAILED and str(place.records) in result.stderr.splitlines()[-1],
                         f"{what}: {result.returncode} {result.stderr}")
            report.check(not place.files(), f"{what}: {place.files()}")
        finally:
            subprocess.run(["umount", str(place.records)], check=False)


def check_killed(report, place):
    """Two tuners at once, which are killed: the record has the classes of both. --resume does not measure them again,
    nor does Ctrl-C lose them."""
    processes = [place.start("tune", "--op", op, "--json") for op in ("gather", "append")]
    for process in processes:
        report.check(wait_until(process, lambda: classes_done(process) > 0), f"two at once: {told(process)}")
    for process in processes:
        process.kill()
        finish(process)
    entries = place.record()["entries"]
    gathers = [entry for entry in entries if entry["kernel"] == "gather"]
    report.check({entry["kernel"] for entry in entries} == {"gather", "append"} and
                 len(entries) >= sum(map(classes_done, processes)), f"killed: {place.files()}, {entries}")
    process = place.start(*GATHER, "--resume")
    report.check(wait_until(process, lambda: classes_done(process) > len(gathers)), f"--resume: {told(process)}")
    result = interrupt(process)
    classes, summary = lines(result)
    report.check(summary.get("classes", 0) > len(gathers), f"--resume: {classes} {summary}")
    report.check(result.returncode == INTERRUPTED and summary.get("interrupted") is True,
                 f"Ctrl-C: {result.returncode} {result.stdout}")
    kept = place.record()["entries"]
    report.check(len(kept) > len(entries) and all(entry in kept for entry in entries), f"--resume: {entries} {kept}")


def check_interrupted_twice(report, place):
    """Where an earlier run has left a record."""
    entries = place.record()["entries"]
    for journal in place.records.glob("*.journal"):
        journal.unlink()
    process = place.start(*GATHER)
    report.check(wait_until(process, lambda: any(place.records.glob("*.journal"))), "Ctrl-C twice: it did not begin")
    process.send_signal(signal.SIGINT)
    report.check(wait_until(process, lambda: "again: end at once" in told(process)), f"Ctrl-C twice: {told(process)}")
    result = interrupt(process)
    report.check(result.returncode == INTERRUPTED, f"Ctrl-C twice: {result.returncode} {result.stderr}")
    report.check(entries and place.record()["entries"] == entries, f"Ctrl-C twice: {place.files()}")
    left = [file.name for file in place.records.iterdir() if file.suffix not in (".json", ".lock", ".journal")]
    report.check(not left, f"Ctrl-C twice left {left}")


# What the layer does to candidates of each operation: of a tile the first fault whose word is in its name. The others,
# each default among them, are sound.
FAULTS = {
    "gather": {"crash": "tokens64", "hang": "tokens32", "wrong": "tokens8", "die": "tokens4", "zero": "tokens2"},
    "decode": {"wrong": "lanes16", "crash": "keys64", "hang": "keys128", "zero": "keys32"},
    "attention": {"fast": "vectors2", "crash": "vectors1", "wrong": "keys96", "hang": "keys48"},
}
OUTCOMES = {"crash": "crashed", "die": "crashed", "hang": "timed out", "wrong": "wrong"}
CLOCK_FAULTS = {"zero": "times of events are zero", "fast": "less than a twentieth"}
CONSTANTS = {"tokens": "GROUP_TOKENS", "lanes": "TILE_LANES", "vectors": "TILE_VECTORS", "keys": "TILE_KEYS"}


def layer_env(layer, op):
    parts = [(fault, *re.fullmatch(r"([a-z]+)(\d+)", word).groups()) for fault, word in FAULTS[op].items()]
    return {"OPENCL_LAYERS": layer,
            "TUNE_FAULTS": ";".join(f"{fault}={CONSTANTS[name]}={value}" for fault, name, value in parts)}


def fault_of(op, tile):
    """A tile's fault; None of a sound one."""
    return next((fault for fault, word in FAULTS[op].items() if word in tile.split("_")), None)


def tile_name(of):
    return "_".join(f"{name}{value}" for name, value in of["tile"].items())


def recorded_faults(place):
    return {(tile_name(fault), fault["fault"]) for fault in place.record()["faults"]}


def outcomes_of(op):
    return {OUTCOMES[fault] for fault in FAULTS[op] if fault in OUTCOMES}


def tried(place):
    """The journal's lines of the class that was tuned first, in order. One that is being written is left out."""
    texts = [text for file in place.records.glob("*.journal") for text in file.read_text().split("\n")[:-1]]
    rows = [row for row in map(json.loads, texts) if "tile" in row]
    return [row for row in rows if row["class"] == rows[0]["class"]]


def suffer(op, layer, timeout):
    """A tuner that is killed when it has met all faults of its operation; the place, with what it left."""
    place = Place()
    process = place.start("tune", "--op", op, "--json", "--timeout", timeout, **layer_env(layer, op))
    wait_until(process, lambda: {fault_of(op, row["tile"]) for row in tried(place)} >= set(FAULTS[op]) and
               {fault for _, fault in recorded_faults(place)} >= outcomes_of(op))
    process.kill()
    finish(process)
    return place


def has_time(op, place):
    """Whether only what hangs was out of time: a slow machine needs it for candidates that are sound."""
    outcomes = {fault_of(op, row["tile"]): row["outcome"] for row in tried(place)}
    return outcomes.keys() >= FAULTS[op].keys() and all((outcome == "timed out") == (fault == "hang")
                                                        for fault, outcome in outcomes.items())


def check_suffered(report, op, place):
    """The journal says what became of each candidate; the record, too, of those that failed, apart from one that the
    kill came upon."""
    met, expected = set(), set()
    for row in tried(place):
        fault = fault_of(op, row["tile"])
        met.add(fault)
        if fault in OUTCOMES:
            report.check(row["outcome"] == OUTCOMES[fault], f"{op}, {fault}: {row}")
            expected.add((row["tile"], OUTCOMES[fault]))
        else:
            report.check(row["outcome"] in ("faster", "not faster") and row["seconds"] > 1e-6, f"{op}, sound: {row}")
        if fault in CLOCK_FAULTS and row["incumbent_seconds"] > 0:  # else the worker found it slow, by the wall clock
            report.check(CLOCK_FAULTS[fault] in row["clock_fault"], f"{op}, {fault}: {row}")
    report.check(met >= set(FAULTS[op]), f"{op} met {met}")
    kept = recorded_faults(place)
    report.check(kept <= expected and {fault for _, fault in kept} == outcomes_of(op),
                 f"{op}: the record has {kept}, not {expected}")


def check_resumed(report, op, place):
    """--resume, without the faults: nothing that is in the journal is tried again. Ctrl-C closes the class with the
    best so far, which is none that failed."""
    before = tried(place)
    process = place.start("tune", "--op", op, "--resume")
    report.check(wait_until(process, lambda: len(tried(place)) > len(before) or classes_done(process)),
                 f"{op} does not go on: {told(process)}")
    result, rows = interrupt(process), tried(place)
    names = {(row["tile"], row["split_size"]) for row in rows}
    report.check(rows[:len(before)] == before and len(names) == len(rows), f"{op}: {rows}")
    report.check(result.returncode == INTERRUPTED and all(words in result.stdout for words in (
        "geometric mean", "recorded in", "not reached")), f"a table: {result.stdout}{result.stderr}")
    chosen = {tile_name(entry) for entry in place.record()["entries"]}
    failed = {row["tile"] for row in before if row["outcome"] in OUTCOMES.values()}
    report.check(chosen and not chosen & failed, f"{op}: {chosen} was chosen, {failed} failed")


def check_faults(report, layer, op):
    """Each bad candidate costs only itself; the place of a tuner that was killed after them."""
    for timeout in (8, 30, 150):
        place = suffer(op, layer, timeout)
        if has_time(op, place):
            break
    check_suffered(report, op, place)
    return place


def check_known_faults(report, place):
    """A run that does not go on with another's journal knows them from the record."""
    process = place.start(*GATHER)
    report.check(wait_until(process, lambda: classes_done(process) > 0), f"a run after faults: {told(process)}")
    classes, _ = lines(interrupt(process))
    skipped = {fault_of("gather", item["tile"]) for row in classes[:1] for item in row["failed"]
               if item["outcome"] == "skipped"}
    report.check(skipped == set(OUTCOMES), f"a run after faults: {classes}")


def main():
    devices = skip_without_device()
    report, layer = Report(), os.environ.get("CLATTN_TUNE_FAULT_LAYER", "")
    check_refusals(report)
    check_budget(report)
    check_search(report, Place(), all("BINARY_COMPILES" in device["quirks"] for device in devices))
    check_folders(report)
    killed = Place()
    check_killed(report, killed)
    check_interrupted_twice(report, killed)
    report.check(pathlib.Path(layer).is_file(), "CLATTN_TUNE_FAULT_LAYER has to be the layer's path")
    check_known_faults(report, check_faults(report, layer, "gather"))
    for op in ("decode", "attention"):
        suffered = check_faults(report, layer, op)
        check_resumed(report, op, suffered)
    check_use(report, suffered)
    report.finish()


if __name__ == "__main__":
    main()
