#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`clattn bench`: what its figures say of each other, its refusals, the unfused baseline."""
import json

from support import FAILED, USAGE, Report, run, skip_without_device

SMALL = ["--q-len", 64, "--kv-len", 96, "--head-dim", 32, "--q-heads", 4, "--kv-heads", 2, "--repeat", 2]
DECODE = ["--q-len", 1, "--kv-len", 2048, "--head-dim", 64, "--q-heads", 4, "--kv-heads", 2, "--repeat", 2]
NAMES = ("device op dtype kv_dtype batch q_heads kv_heads q_len kv_len head_dim v_head_dim causal seconds_median "
         "seconds_min gflops peak_fraction peak_kind kernel fragment tile split_size tuning_level").split()
SIZES = ("--batch", "--q-heads", "--kv-heads", "--q-len", "--kv-len", "--head-dim", "--repeat")


def bench(report, what, *arguments):
    result = run("bench", "attention", "--json", *arguments)
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
    moved = row.get("gbytes_per_s", 0) * 1e9 * row["seconds_median"]
    report.check(row["peak_kind"] == "read" and row["dtype"] == "f16", f"decode: {row}")
    report.check(abs(moved / (2 * 2 * 2048 * 64 * 2) - 1) < 1e-3, f"decode moves {moved} bytes")


def check_text(report):
    result = run("bench", "attention", *DECODE)
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


def check_baseline(report):
    refused = run("bench", "attention", "--baseline", "clblast", "--dtype", "f16", *SMALL)
    if "without CLBlast" in refused.stderr:
        report.refused(refused, FAILED, ["--baseline", "clblast"], "a baseline that was not built in")
        return
    report.refused(refused, FAILED, ["--baseline", "clblast", "f32", "f16"], "a baseline in f16")
    row = bench(report, "baseline", "--baseline", "clblast", "--causal", *SMALL)
    report.check(row.get("baseline_seconds", 0) > 0, f"baseline: {row}")
    report.check(row.get("baseline_max_difference", 1) < 1e-4, f"baseline: {row}")


def main():
    skip_without_device()
    report = Report()
    check_figures(report)
    check_text(report)
    check_refusals(report)
    check_baseline(report)
    report.finish()


if __name__ == "__main__":
    main()
