#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every option of `clattn run`: another value changes the output or the JSON. Every row of options.def needs an entry
here, of the options that it takes to show a difference: (base, changed)."""
import json

from support import Folder, Report, option_rows, run, skip_without_device

BATCH, HEADS, KV_HEADS, LENGTH, DIM = 2, 4, 2, 6, 8


def make_files(folder):
    files = {}
    for name, heads in (("q", HEADS), ("k", KV_HEADS), ("v", KV_HEADS)):
        files[name], _ = folder.tensor(f"{name}.npy", (BATCH, heads, LENGTH, DIM))
        files[name + "2"], _ = folder.tensor(f"{name}2.npy", (BATCH, heads, LENGTH, DIM))
        # as packed: 12 tokens, in two sequences or in another two
        files[name + "p"], _ = folder.tensor(f"{name}p.npy", (BATCH * LENGTH, heads, DIM))
        files[name + "s"], _ = folder.tensor(f"{name}s.npy", (BATCH, LENGTH, LENGTH, DIM))
    files["q1"], _ = folder.tensor("q1.npy", (BATCH, HEADS, 1, DIM))
    files["cu"] = folder.save("cu.npy", "<i4", (3,), (0, 6, 12))
    files["cu2"] = folder.save("cu2.npy", "<i8", (3,), (0, 4, 12))
    files["lens"] = folder.save("lens.npy", "<i4", (2,), (6, 3))
    files["cache"], _ = folder.tensor("cache.npy", (4, 3, KV_HEADS, DIM))
    files["cache2"], _ = folder.tensor("cache2.npy", (4, 3, KV_HEADS, DIM))
    files["table"] = folder.save("table.npy", "<i4", (2, 2), (0, 1, 2, 3))
    files["table2"] = folder.save("table2.npy", "<i8", (2, 2), (0, 1, 3, 2))
    files["mask"] = folder.save("mask.npy", "|b1", (LENGTH,), [j % 2 == 0 for j in range(LENGTH)])
    files["alibi"], _ = folder.tensor("alibi.npy", (HEADS,))
    files["sinks"], _ = folder.tensor("sinks.npy", (HEADS,))
    return files


def entries(f):
    plain = {"--q": f["q"], "--k": f["k"], "--v": f["v"]}
    square = {"--q": f["qs"], "--k": f["ks"], "--v": f["vs"]}
    packed = {"--q": f["qp"], "--k": f["kp"], "--v": f["vp"], "--layout": "thd", "--cu-seqlens-q": f["cu"],
              "--cu-seqlens-k": f["cu"]}
    cached = {"--q": f["q"], "--k-cache": f["cache"], "--v-cache": f["cache"], "--block-table": f["table"],
              "--kv-lens": f["lens"]}
    one_query = {**plain, "--q": f["q1"]}
    return {
        "--q": (plain, {"--q": f["q2"]}),
        "--k": (plain, {"--k": f["k2"]}),
        "--v": (plain, {"--v": f["v2"]}),
        "--out": None,  # compared below: it is what every entry reads
        "--lse": None,
        "--layout": (square, {"--layout": "bshd"}),
        "--cu-seqlens-q": (packed, {"--cu-seqlens-q": f["cu2"]}),
        "--cu-seqlens-k": (packed, {"--cu-seqlens-k": f["cu2"]}),
        "--dtype": (plain, {"--dtype": "bf16"}),
        "--causal": (plain, {"--causal": None}),
        "--window": (plain, {"--window": "2,1"}),
        "--q-offset": ({**plain, "--causal": None}, {"--q-offset": "-2"}),
        "--kv-lens": (plain, {"--kv-lens": f["lens"]}),
        "--page-size": ({**plain, "--json": None}, {"--page-size": "4"}),
        "--page-order": ({**plain, "--page-size": "4", "--json": None}, {"--page-order": "sequential"}),
        "--seed": ({**plain, "--page-size": "4", "--json": None}, {"--seed": "7"}),
        "--kv-dtype": ({**plain, "--page-size": "4"}, {"--kv-dtype": "fp8"}),
        "--k-cache": (cached, {"--k-cache": f["cache2"]}),
        "--v-cache": (cached, {"--v-cache": f["cache2"]}),
        "--block-table": (cached, {"--block-table": f["table2"]}),
        "--scale": (plain, {"--scale": "0.7"}),
        "--softcap": (plain, {"--softcap": "0.5"}),
        "--mask": (plain, {"--mask": f["mask"]}),
        "--alibi": (plain, {"--alibi": f["alibi"]}),
        "--sinks": (plain, {"--sinks": f["sinks"]}),
        "--split-size": ({**one_query, "--json": None}, {"--split-size": "1024"}),
        "--repeat": ({**plain, "--json": None}, {"--repeat": "3"}),
        "--explain": ({**plain, "--json": None}, {"--explain": None}),
        "--device": None,
        "--json": (plain, {"--json": None}),
    }


def result_of(folder, options):
    arguments = [x for name, value in options.items() for x in ([name] if value is None else [name, value])]
    result = run("run", *arguments, "--out", folder / "out.npy")
    printed = result.stdout
    if "--json" in options and result.returncode == 0:
        printed = {k: v for k, v in json.loads(printed).items() if k not in ("seconds_median", "seconds_min", "gflops")}
    data = (folder / "out.npy").read_bytes() if result.returncode == 0 else None
    (folder / "out.npy").unlink(missing_ok=True)
    return result, data, printed


def check_entry(report, folder, name, base, change):
    before, data, printed = result_of(folder, base)
    after, changed_data, changed_printed = result_of(folder, {**base, **change})
    report.check(before.returncode == 0 and after.returncode == 0, f"{name}: {before.stderr}{after.stderr}")
    report.check(data != changed_data or printed != changed_printed, f"{name}: {change} changes nothing")


def check_special(report, folder, files, devices):
    plain = ["run", "--q", files["q"], "--k", files["k"], "--v", files["v"]]
    for out in ("out1.npy", "out2.npy"):
        result = run(*plain, "--out", folder / out, "--lse", folder / ("lse" + out))
        report.check(result.returncode == 0, f"--out, --lse: {result.stderr}")
        report.check((folder / out).exists() and (folder / ("lse" + out)).exists(), f"--out, --lse: {out} is missing")
    for device in devices:
        if "unusable" in device:
            continue
        result = run("devices", "--json", "--device", device["index"])
        report.check(json.loads(result.stdout)["index"] == device["index"], f"--device {device['index']} takes another")
    result = run(*plain, "--out", folder / "out.npy", "--json", "--device", devices[0]["index"])
    report.check(json.loads(result.stdout)["device"] == devices[0]["device"], "--device is not in run's JSON")


def main():
    report, folder, devices = Report(), Folder(), skip_without_device()
    files = make_files(folder)
    table = entries(files)
    names = [row[0] for row in option_rows("run")]
    report.check(len(names) > 20, f"options.def has {len(names)} rows for run")
    for name in names:
        report.check(name in table, f"{name} has no entry in this test")
        if table.get(name):
            check_entry(report, folder, name, *table[name])
    check_special(report, folder, files, devices)
    report.finish()


main()
