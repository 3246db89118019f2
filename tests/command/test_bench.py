#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`clattn bench`: what its figures say of each other, its refusals, the unfused baseline."""
import json
import os
import re
import shutil
import xml.etree.ElementTree

from support import FAILED, USAGE, Folder, Report, own_words, run, skip_without_device

SMALL = ["--q-len", 64, "--kv-len", 96, "--head-dim", 32, "--q-heads", 4, "--kv-heads", 2, "--repeat", 2]
DECODE = ["--q-len", 1, "--kv-len", 2048, "--head-dim", 64, "--q-heads", 4, "--kv-heads", 2, "--repeat", 2]
NAMES = ("device op dtype kv_dtype batch q_heads kv_heads q_len kv_len head_dim v_head_dim causal seconds_median "
         "seconds_min gflops peak_fraction peak_kind kernel fragment tile split_size tuning_level").split()
SIZES = ("--batch", "--q-heads", "--kv-heads", "--q-len", "--kv-len", "--head-dim", "--repeat")


CACHE = ["--batch", 2, "--kv-len", 70, "--head-dim", 64, "--kv-heads", 2, "--repeat", 2]
CACHE_NAMES = ("device op dtype kv_dtype batch kv_heads kv_len head_dim page_size seconds_median seconds_min "
               "gbytes_per_s peak_fraction peak_kind kernel").split()


def bench(report, what, *arguments, op="attention"):
    result = run("bench", op, "--json", *arguments)
    report.check(result.returncode == 0 and len(result.stdout.splitlines()) == 1, f"{what}: {result.stderr}")
    return json.loads(result.stdout) if result.returncode == 0 else dict.fromkeys(NAMES, 0)


def check_figures(report):
    row = bench(report, "prefill", *SMALL)
    report.check(all(name in row for name in NAMES), f"prefill has {sorted(row)}")
    report.check(row["peak_kind"] == "fma" and row["peak_fraction"] > 0, f"prefill: {row}")
    report.check(0 < row["seconds_min"] <= row["seconds_median"], f"prefill's times: {row}")
    flop = row["gflops"] * 1e9 * row["seconds_median"]
    report.check(abs(flop / (4 * 64 * 96 * 32 * 4) - 1) < 1e-3, f"prefill is {flop} FLOP")
    row = bench(report, "square causal", "--q-len", 64, "--head-dim", 32, "--causal", "--batch", 2, "--repeat", 2)
    flop = row["gflops"] * 1e9 * row["seconds_median"]
    report.check(row["causal"] is True and abs(flop / (2 * 64 * 64 * 32 * 8 * 2) - 1) < 1e-3, f"causal is {flop} FLOP")
    row = bench(report, "decode", *DECODE, "--dtype", "f16")
    report.check(row["peak_kind"] == "read" and row["dtype"] == "f16", f"decode: {row}")
    report.check(abs(moved(row) / (2 * 2 * 2048 * 64 * 2) - 1) < 1e-3, f"decode moves {moved(row)} bytes")


def check_windows(report):
    """Pairs that count, of 64 queries at the end of 96 keys."""
    positions = range(32, 96)
    for window, options, low, high in (((7, 3), [], 7, 3), ((7, 3), ["--causal"], 7, 0), ((-1, 0), [], 96, 0)):
        row = bench(report, f"window {window}", *SMALL, "--window", "%d,%d" % window, *options)
        pairs = sum(min(p + high, 95) - max(p - low, 0) + 1 for p in positions)
        flop = row["gflops"] * 1e9 * row["seconds_median"]
        report.check(row.get("window") == list(window), f"window {window}: {row}")
        report.check(abs(flop / (4 * 32 * 4 * pairs) - 1) < 1e-3, f"window {window} {options} is {flop} FLOP")
    result = run("bench", "attention", *SMALL, "--window", "7,3")
    report.check("window 7,3" in result.stdout, f"a window in the table: {result.stdout}{result.stderr}")
    report.refused(run("bench", "attention", "--window", "-2,3"), FAILED, ["--window", "-2,3", "-1"], "a window of -2")
    report.refused(run("bench", "attention", "--window", "3"), USAGE, ["--window", "two integers"], "half a window")


def check_list(report):
    """The suites' rows, without a device; what the CPU's has to have."""
    result = run("bench", "--suite", "cpu", "--list", "--json", env={"CLATTN_DEVICE": "no such device"})
    report.check(result.returncode == 0 and not result.stderr, f"--list: {result.stderr}")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    names = ("op", "dtype", "kv_dtype", "batch", "q_len", "kv_len", "head_dim", "causal", "page_size")
    has = {tuple(row.get(name) for name in names) for row in rows if "window" not in row}
    report.check(len(has) == len([row for row in rows if "window" not in row]), "--list: a row comes twice")
    wanted = [("attention", dtype, dtype, 1, n, n, dim, causal, None) for dtype in ("f32", "f16")
              for n in (1024, 2048, 4096) for dim in (64, 128) for causal in (False, True)]
    wanted += [("attention", "bf16", "bf16", 1, 2048, 2048, dim, False, None) for dim in (64, 128)]
    wanted += [("decode", "f16", kv_dtype, batch, 1, keys, 128, True, page_size) for batch in (1, 8)
               for keys in (2048, 16384)
               for kv_dtype, page_size in (("f16", None), ("f16", 16), ("q8_0", 16), ("q4_0", 16))]
    report.check(not set(wanted) - has, f"--list lacks {sorted(map(str, set(wanted) - has))}")
    report.check({row["dtype"] for row in rows if "window" in row} == {"f32", "f16"}, "--list lacks windows")
    report.check(any(1 < row.get("q_len", 0) < 16 for row in rows), "--list lacks rows of few queries")
    rows = [json.loads(line) for line in run("bench", "--suite", "gpu", "--list", "--json").stdout.splitlines()]
    has = {tuple(row.get(name) for name in names) for row in rows}
    wanted = [("attention", dtype, dtype, batch, n, n, dim, causal, None) for dtype in ("f16", "bf16")
              for batch, n, dim, causal in ((4, 2048, 128, True), (2, 4096, 128, True), (1, 8192, 128, True),
                                            (1, 8192, 128, False), (2, 4096, 64, True))]
    wanted += [("decode", "f16", kv_dtype, 64, 1, 4096, 128, True, page) for kv_dtype, page in
               (("f16", 16), ("f16", 1), ("q8_0", 16))]
    report.check(not set(wanted) - has, f"--list of gpu lacks {sorted(map(str, set(wanted) - has))}")
    for suite in ("cpu", "gpu"):
        table = run("bench", "--suite", suite, "--list").stdout.splitlines()
        count = len(run("bench", "--suite", suite, "--list", "--json").stdout.splitlines())
        report.check(len(table) == count + 1 > 10, f"--list of {suite}: {len(table)} lines for {count} rows")
    refuse = lambda words, *arguments, status=FAILED: report.refused(run("bench", *arguments), status, words,
                                                                     " ".join(map(str, arguments)))
    refuse(["--list", "attention", "--suite"], "attention", "--list")
    refuse(["--causal", "--suite"], "--suite", "cpu", "--list", "--causal")
    for option in (["--repeat", 2], ["--baseline", "clblast"], ["--plot", "out.svg"], ["--device", "cpu"]):
        refuse([option[0], "--list"], "--suite", "cpu", "--list", *option)


def check_turns(report):
    result = run("bench", "attention", "--json", "--turns", *SMALL[:-2], input="\n\n\n")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    report.check(result.returncode == 0 and len(lines) == 4, f"three turns: {result.stdout}{result.stderr}")
    seconds = sorted(line.get("seconds", 0) for line in lines[:3])
    report.check(all(line.get("wall_seconds", 0) >= line["seconds"] and line.get("copies") == 1 for line in lines[:3]),
                 f"three turns: {lines}")
    report.check([lines[-1].get(name) for name in ("repeat", "seconds_median", "seconds_min")] ==
                 [3, seconds[1], seconds[0]], f"three turns: {lines}")
    for arguments, words in ((["attention", "--json", "--repeat", 2], ["--repeat", "--turns"]),
                             (["--json", "--suite", "cpu"], ["--suite", "--turns"]),
                             (["decode", "--json", "--sweep", "all"], ["--turns", "--sweep"]),
                             (["attention"], ["--turns", "--json"])):
        report.refused(run("bench", *arguments, "--turns", input="\n"), FAILED, words, f"--turns of {arguments}")
    report.refused(run("bench", "attention", "--json", "--turns", *SMALL[:-2], input=""), FAILED,
                   ["--turns", "no line"], "no turns")


def moved(row):
    return row.get("gbytes_per_s", 0) * 1e9 * row["seconds_median"]


def check_decode(report):
    shape = ["--kv-len", 1024, "--head-dim", 64, "--q-heads", 4, "--kv-heads", 2, "--repeat", 2, "--batch", 2]
    tokens = 2 * 2 * 1024  # of all kv heads
    for what, options, page_size, kv_dtype, bytes_of_row in (
            ("decode in pages", ["--dtype", "f16"], 16, "f16", 2 * 128),
            ("decode without pages", ["--dtype", "bf16", "--page-size", 0], None, "bf16", 2 * 128),
            ("decode of q8_0", ["--page-size", 7, "--kv-dtype", "q8_0"], 7, "q8_0", 2 * 68),
            ("decode of two types", ["--page-size", 256, "--kv-dtype", "fp8,q4_0", "--causal"], 256, "fp8,q4_0",
             64 + 36)):
        row = bench(report, what, *shape, *options, op="decode")
        report.check(all(name in row for name in NAMES), f"{what} has {sorted(row)}")
        got = [row.get(name) for name in ("op", "page_size", "kv_dtype", "peak_kind", "q_len")]
        report.check(got == ["decode", page_size, kv_dtype, "read", 1], f"{what}: {got}")
        report.check(abs(moved(row) / (tokens * bytes_of_row) - 1) < 1e-3, f"{what} moves {moved(row)} bytes")
        rate = row.get("peak_fraction", 0) * row.get("peak_gbytes_per_s", 0)
        report.check(rate > 0 and abs(rate / row["gbytes_per_s"] - 1) < 1e-3, f"{what}: {row}")
    row = bench(report, "prefill in pages", *SMALL, "--page-size", 16)
    got = [row.get(name) for name in ("op", "page_size", "peak_kind", "kernel")]
    report.check(got == ["attention", 16, "fma", "prefill"], f"prefill in pages: {got}")


def check_cache_operations(report):
    tokens = 2 * 2 * 70
    for op, options, dtype, kv_dtype, bytes_of_row in (
            ("gather", ["--dtype", "f16"], "f16", "f16", 2 * 128),
            ("gather", ["--kv-dtype", "q8_0"], "f32", "q8_0", 256 + 68),
            ("gather", ["--dtype", "bf16", "--kv-dtype", "fp8"], "bf16", "fp8", 128 + 64),
            ("append", ["--page-size", 3], "f32", "f32", 4 * 256),
            ("append", ["--dtype", "f16", "--kv-dtype", "q8_0"], "f16", "q8_0", 2 * (128 + 68)),
            ("append", ["--dtype", "bf16", "--kv-dtype", "q4_0,fp8"], "bf16", "q4_0,fp8", 2 * 128 + 36 + 64)):
        what = f"{op} {options}"
        row = bench(report, what, *CACHE, *options, op=op)
        report.check(all(name in row for name in CACHE_NAMES), f"{what} has {sorted(row)}")
        got = [row.get(name) for name in ("op", "dtype", "kv_dtype", "page_size", "peak_kind", "kernel")]
        page_size = 3 if "--page-size" in options else 16
        report.check(got == [op, dtype, kv_dtype, page_size, "copy", op], f"{what}: {got}")
        report.check(abs(moved(row) / (tokens * bytes_of_row) - 1) < 1e-3, f"{what} moves {moved(row)} bytes")
    for op in ("gather", "append"):
        result = run("bench", op, *CACHE)
        report.check(result.returncode == 0 and len(result.stdout.splitlines()) == 4, f"{op}: {result.stdout}")
        report.check("copy" in result.stdout.splitlines()[-1], f"{op}: {result.stdout}{result.stderr}")


def check_cache_refusals(report):
    refuse = lambda words, *arguments, status=FAILED: report.refused(run("bench", *arguments), status, words,
                                                                     " ".join(map(str, arguments)))
    for op in ("gather", "append"):
        for option, value in (("--q-heads", [4]), ("--q-len", [4]), ("--causal", []), ("--window", ["1,1"]),
                              ("--baseline", ["clblast"])):
            refuse([option, op], op, option, *value)
        refuse(["--page-size", "0", "1 to 256"], op, "--page-size", 0)
    for op in ("attention", "decode", "gather", "append"):
        refuse(["--page-size", "257", "256"], op, "--page-size", 257)
        refuse(["--kv-dtype", "q5_0", "q8_0"], op, "--kv-dtype", "q5_0", status=USAGE)
    refuse(["--kv-dtype", "q8_0", "--page-size"], "attention", "--kv-dtype", "q8_0")
    refuse(["--kv-dtype", "q8_0", "--page-size"], "decode", "--kv-dtype", "q8_0", "--page-size", 0)
    refuse(["--kv-dtype", "q8_0,f32", "one type"], "gather", "--kv-dtype", "q8_0,f32")
    for op in ("decode", "gather", "append"):
        refuse(["q8_0", "40", "32"], op, "--kv-dtype", "q8_0", "--head-dim", 40)
    refuse(["--page-size", "--suite"], "--suite", "cpu", "--page-size", 16)
    refuse(["--baseline", "clblast"], "decode", "--baseline", "clblast")
    refuse(["attention|decode|gather|append"], "prefill", status=USAGE)


def check_text(report):
    result = run("bench", "attention", *DECODE, "--dtype", "f16")
    lines = result.stdout.splitlines()
    report.check(result.returncode == 0 and len(lines) == 4, f"a table: {result.stdout}{result.stderr}")
    report.check("peaks: fma" in result.stdout and "read" in lines[-1], f"a table: {result.stdout}")


def check_refusals(report):
    for option in SIZES:
        report.refused(run("bench", "attention", option, 0), FAILED, [option, "0", "1 to"], f"{option} 0")
        report.refused(run("bench", "attention", option, "x"), USAGE, [option, "x"], f"{option} x")
    report.refused(run("bench", "attention", "--head-dim", 577), FAILED, ["--head-dim", "577", "576"], "a wide head")
    report.refused(run("bench", "attention", "--q-heads", 6, "--kv-heads", 4), FAILED,
                   ["--q-heads", "6", "--kv-heads", "4", "multiple"], "heads that no group divides")
    report.refused(run("bench", "attention", "--q-len", 10000000, "--head-dim", 512), FAILED, ["Q", "10000000"],
                   "too much")
    report.refused(run("bench", "attention", "--dtype", "f64"), USAGE, ["--dtype", "f64", "f32|f16|bf16"], "a dtype")
    report.refused(run("bench", "--suite", "npu"), USAGE, ["--suite", "npu", "cpu|gpu"], "a suite")
    report.refused(run("bench", "--suite", "cpu", "--causal"), FAILED, ["--causal", "--suite"],
                   "a suite and a shape")
    report.refused(run("bench"), USAGE, ["attention", "--suite"], "neither an operation nor a suite")
    report.refused(run("bench", "attention", "--baseline", "blas"), USAGE, ["--baseline", "blas", "clblast"],
                   "a baseline")


def check_sweep_refusals(report):
    for arguments, words in ((["gather"], ["gather", "attention or decode"]),
                             (["attention", "--baseline", "clblast"], ["--baseline"]),
                             (["attention", "--plot", "out.svg"], ["--plot"]),
                             (["decode", "--repeat", 2], ["--repeat"]), (["--suite", "cpu"], ["--suite"])):
        report.refused(run("bench", *arguments, "--sweep", "suited"), FAILED, ["--sweep", *words],
                       f"--sweep of {arguments}")
    report.refused(run("bench", "decode", "--sweep", "some"), USAGE, ["--sweep", "some", "suited|all"], "--sweep some")


def check_baseline(report):
    refused = run("bench", "attention", "--baseline", "clblast", "--dtype", "f16", *SMALL)
    if "without CLBlast" in refused.stderr:
        report.refused(refused, FAILED, ["--baseline", "clblast"], "a baseline that was not built in")
        return
    report.refused(refused, FAILED, ["--baseline", "clblast", "f32", "f16"], "a baseline in f16")
    report.refused(run("bench", "attention", "--baseline", "clblast", "--window", "8,8", *SMALL), FAILED,
                   ["--baseline", "--window", "8,8"], "a baseline with a window")
    row = bench(report, "baseline", "--baseline", "clblast", "--causal", *SMALL)
    report.check(row.get("baseline_seconds", 0) > 0, f"baseline: {row}")
    report.check(row.get("baseline_max_difference", 1) < 1e-4, f"baseline: {row}")


def fake_gnuplot(folder, then):
    """What puts a gnuplot into PATH that keeps its script in folder / "script"."""
    (folder / "gnuplot").write_text(f"#!/bin/sh\ncd '{folder.path}'\ncat >script\n{then}\n")
    (folder / "gnuplot").chmod(0o755)
    return {"PATH": f"{folder.path}:{os.environ['PATH']}"}


def marks(path):
    """Names in an SVG's keys that have a point or a line, and how many points there are, those of the keys included."""
    root, space = xml.etree.ElementTree.parse(path).getroot(), "{http://www.w3.org/2000/svg}"
    plots = [group for group in root.iter(space + "g") if group.get("id", "").startswith("gnuplot_plot_")]
    return [text.text for plot in plots for text in plot.iter(space + "text")], sum(
        len(list(plot.iter(space + "use"))) for plot in plots)


def check_numbers(report, what, row, script):
    """The point and the roof that gnuplot got, against the row's JSON."""
    x, y = map(float, re.search(r"^(\S+) (\S+)\ne$", script, re.M).groups())
    roof = [tuple(map(float, line.split())) for line in re.search(r"<< END\n(.*?)\nEND", script, re.S)[1].split("\n")]
    rate = row.get("gflops") or row["gbytes_per_s"]
    report.check(abs(y / rate - 1) < 1e-5, f"{what}: {y} of {rate}")
    if row["peak_kind"] == "fma":
        elements = row["head_dim"] * (2 * row["q_len"] * row["q_heads"] + 2 * row["kv_len"] * row["kv_heads"])
        want, at_most, peak = rate * 1e9 * row["seconds_median"] / (4 * elements), roof[-1][1], row["peak_gflops"]
    elif row["peak_kind"] == "read":
        want, at_most, peak = rate / row["gbytes_per_s"], roof[0][1] / roof[0][0], row["peak_gbytes_per_s"]
    else:
        want, at_most, peak = 1, roof[0][1], row["peak_gbytes_per_s"]
    report.check(abs(x / want - 1) < 1e-5, f"{what}: the point is at {x}, not {want}")
    report.check(at_most > peak * (1 - 1e-5), f"{what}: a roof of {at_most} below a peak of {peak}")


def check_plots(report):
    """Of kernels that the checks above have compiled."""
    gnuplot = shutil.which("gnuplot")
    report.check(gnuplot, "gnuplot is not in PATH; Debian's package is gnuplot-nox")
    folder = Folder()
    path = folder / "out.svg"
    for op, options, name in (
            ("attention", SMALL,
             "1: attention f32, K and V f32, full: batch 1, heads 4/2, q 64, kv 96, dim 32"),
            ("decode", [*DECODE, "--causal", "--kv-dtype", "fp8,q4_0", "--page-size", 256],
             "1: decode f32, K and V fp8,q4_0, causal, page 256: batch 1, heads 4/2, q 1, kv 2048, dim 64"),
            ("decode", [*DECODE, "--window", "99,-1", "--kv-dtype", "fp8,q4_0", "--page-size", 256],
             "1: decode f32, K and V fp8,q4_0, window 99,-1, page 256: batch 1, heads 4/2, q 1, kv 2048, dim 64"),
            ("append", [*CACHE, "--dtype", "f16", "--kv-dtype", "q8_0"],
             "1: append f16, K and V q8_0, page 16: batch 2, heads 2, kv 70, dim 64")):
        env = fake_gnuplot(folder, f"exec '{gnuplot}' \"$@\" script")
        result = run("bench", op, "--json", "--plot", path, *options, env=env)
        report.check(result.returncode == 0 and not own_words(result.stderr), f"--plot of {op}: {result.stderr}")
        report.check(folder.left() == ["out.svg"], f"--plot of {op}: left {folder.left()}")
        if result.returncode == 0:
            names, points = marks(path)
            report.check(len(names) == 2 and names[0].startswith("roof: ") and names[1] == name and points == 2,
                         f"--plot of {op}: {points} points, {names}")
            check_numbers(report, f"--plot of {op}", json.loads(result.stdout), (folder / "script").read_text())


def check_plot_refusals(report):
    folder = Folder()
    refuse = lambda words, path, what, **how: report.refused(run("bench", "attention", "--plot", path, *SMALL, **how),
                                                             FAILED, words, what, folder)
    no_device = ["--device", "no such device"]
    refuse(["--plot", "none/out.svg"], folder / "none/out.svg", "a folder that is none")
    refuse(["--plot", "/proc/out.svg"], "/proc/out.svg", "a folder that takes no files")
    refuse(["--plot", str(folder.path)], folder.path, "a folder")
    refuse(["--plot", "''"], "", "an empty name")
    report.refused(run("bench", "attention", "--plot", folder / "none/out.svg", *no_device), FAILED, ["--plot"],
                   "an unwritable plot before all else")
    for arguments in (["attention"], ["--suite", "cpu"]):
        result = run("bench", *arguments, "--plot", folder / "out.svg", *no_device, env={"PATH": str(folder.path)})
        report.refused(result, FAILED, ["--plot", "gnuplot-nox"], f"no gnuplot, {arguments}", folder)
        report.check(not result.stdout, f"no gnuplot, {arguments}: it began")
    (folder / "out.svg").write_text("as it was")
    env = fake_gnuplot(folder, "grep -q plot script || exit 0\necho some words >&2\necho 'no ink' >&2\nexit 3")
    result = run("bench", "gather", "--plot", folder / "out.svg", *CACHE, env=env)
    report.refused(result, FAILED, ["--plot", "no ink"], "a gnuplot that fails")
    report.check(folder.left() == ["out.svg"] and (folder / "out.svg").read_text() == "as it was",
                 f"a gnuplot that fails: left {folder.left()}")
    report.refused(run("bench", "attention", "--plot"), USAGE, ["--plot", "F.svg"], "a plot without a name")


def main():
    skip_without_device()
    report = Report()
    check_figures(report)
    check_windows(report)
    check_list(report)
    check_turns(report)
    check_decode(report)
    check_cache_operations(report)
    check_cache_refusals(report)
    check_text(report)
    check_refusals(report)
    check_sweep_refusals(report)
    check_baseline(report)
    check_plots(report)
    check_plot_refusals(report)
    report.finish()


if __name__ == "__main__":
    main()
