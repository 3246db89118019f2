#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The command around its subcommands: usage, help, version, devices, the program cache, the corpus of .npy files."""
import json
import re

from support import FAILED, SOURCE, USAGE, Folder, Report, option_rows, run, skip_without_device

COMMANDS = re.findall(r"^COMMAND\((\w+), ", (SOURCE / "tools/clattn/commands.def").read_text(), re.M)


def check_usage(report):
    report.refused(run(), USAGE, ["--help"], "no command")
    report.refused(run("dance"), USAGE, ["dance"], "unknown command")
    report.refused(run("--verbose"), USAGE, ["--verbose"], "unknown option before a command")
    report.refused(run("devices", "more"), USAGE, ["more"], "an operand that is none")
    report.refused(run("cache"), USAGE, ["list|check|clear"], "no operand")
    report.refused(run("cache", "burn"), USAGE, ["burn", "list|check|clear"], "unknown operand")
    report.refused(run("cache", "list", "clear"), USAGE, ["clear"], "two operands")
    report.refused(run("check", "--device"), USAGE, ["--device"], "an option without its value")
    report.refused(run("check", "--device", "--quick"), USAGE, ["--device"], "an option for a value")
    report.refused(run("check", "--quick", "--quick"), USAGE, ["--quick", "twice"], "an option twice")


def check_help(report):
    version = re.findall(r"CLATTN_VERSION_\w+ (\d+)", (SOURCE / "include/clattn/version.h").read_text())
    report.check(run("--version").stdout == f"clattn {'.'.join(version)}\n", "--version")
    general = run("--help")
    report.check(general.returncode == 0 and not general.stderr, "--help")
    for command in COMMANDS:
        report.check(command in general.stdout, f"--help has no {command}")
        text = run(command, "--nonsense", "--help")
        report.check(text.returncode == 0 and not text.stderr, f"{command} --help")
        for name, _, _, argument in option_rows(command):
            report.check(f"  {name} {argument}".rstrip() in text.stdout, f"{command} --help has no {name} {argument}")


def check_devices(report):
    devices = skip_without_device()
    names = run("devices").stdout
    for device in devices:
        report.check(device["device"] in names and device["index"] in names, f"devices has no {device['index']}")
    usable = [d for d in devices if "unusable" not in d]
    by_name = run("devices", "--json", "--device", usable[0]["device"].upper())
    report.check(by_name.returncode == 0, f"a name in capitals: {by_name.stderr}")
    for kind in ("cpu", "gpu"):
        result = run("devices", "--json", "--device", kind)
        if any(d.get("type") == kind for d in usable):
            report.check(json.loads(result.stdout)["type"] == kind, f"--device {kind}")
        elif not any("unusable" in d for d in devices):
            report.refused(result, FAILED, ["--device", kind], f"--device {kind}")
    if len(devices) > 1:
        result = run("devices", "--json", "--device", "")
        report.check(result.returncode == 0 and "matches" in result.stderr, "several matches are not said")
    for device in usable:
        report.check(isinstance(device["architecture"], str), f"{device['index']} has no architecture")
        report.check(device["type"] == "gpu" or device["architecture"] != "", f"{device['index']} is an unknown CPU")
    chosen = run("devices", "--device", "0:0", "--json", env={"CLATTN_DEVICE": "no such device"})
    report.check(chosen.returncode == 0, "--device does not override CLATTN_DEVICE")


def check_records(report, folder):
    """A record that cannot be used costs a line; the levels themselves are tests/unit/test_records.c's."""
    (folder / "records").mkdir()
    (folder / "records" / "bad.json").write_text('{"schema": 99}')
    env = {"CLATTN_TUNING_PATH": f"{folder / 'missing'}:{folder / 'records'}"}
    result = run("devices", "--json", "--device", "0:0", env=env)
    report.check(result.returncode == 0, f"devices with a bad record: {result.stderr}")
    report.check(json.loads(result.stdout)["tuning_level"] == "default", "a bad record has a level")
    report.check("bad.json" in result.stderr and "schema is 99" in result.stderr, f"no line says so: {result.stderr}")


def check_cache(report, folder):
    cache = {"CLATTN_CACHE_DIR": str(folder / "programs")}
    totals = lambda *what: json.loads(run("cache", *what, "--json", env=cache).stdout.splitlines()[-1])
    report.check(totals("list")["entries"] == 0, "a missing folder has entries")
    for name, heads in (("q", 4), ("k", 2), ("v", 2)):
        folder.tensor(f"{name}.npy", (1, heads, 5, 8))
    ran = run("run", "--q", folder / "q.npy", "--k", folder / "k.npy", "--v", folder / "v.npy", "--out",
              folder / "out.npy", env=cache)
    report.check(ran.returncode == 0, f"run: {ran.stderr}")
    listed = totals("list")
    report.check(listed["entries"] > 0 and listed["bytes"] > 0, f"after a run the cache has {listed}")
    report.check(run("cache", "check", env=cache).returncode == 0, "cache check on sound entries")
    entries = [json.loads(x) for x in run("cache", "list", "--json", env=cache).stdout.splitlines()[:-1]]
    if not entries:
        return
    with open(entries[0]["path"], "r+b") as file:
        file.truncate(entries[0]["size"] // 2)
    report.check(run("cache", "check", env=cache).returncode == FAILED, "cache check on a truncated entry")
    report.check(totals("clear")["entries"] == len(entries), "cache clear")
    report.check(totals("list")["entries"] == 0, "the cache has entries after clear")


def check_corpus(report, folder):
    files = sorted((SOURCE / "tests/fuzz/corpus/npy").glob("*.npy"))
    report.check(len(files) > 30, f"the corpus has {len(files)} files")
    for path in files:
        result = run("run", "--q", path, "--k", path, "--v", path, "--out", folder / "out.npy")
        sound = path.name.startswith("good-")  # those fail later: for their rank or their type
        words = ["--q", path.name] + (["rank"] if sound and "int" not in path.name and "bool" not in path.name else [])
        report.refused(result, FAILED, words, path.name, folder)
        report.check(sound or "rank 4" not in result.stderr, f"{path.name} was read: {result.stderr}")


def main():
    report, folder = Report(), Folder()
    check_usage(report)
    check_help(report)
    check_corpus(report, folder)
    check_devices(report)
    check_records(report, folder)
    check_cache(report, folder)
    report.finish()


main()
