#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What tools/compare-cpu and compare-gpu conclude from times, without the libraries that they compare: rows, turns,
ratios, known figures."""
import contextlib
import io
import subprocess
import sys
import types
import unittest.mock

from support import COMMAND, SOURCE, Report

sys.path.insert(0, str(SOURCE / "tools/lib/compare"))
for absent in ("numpy", "torch"):
    sys.modules[absent] = unittest.mock.MagicMock()
import gpu
import known
import measuring
import report as compare_report
import shapes
import turns

XEON = {"vendor": "GenuineIntel", "avx512": True, "cores": 2}


class Runner:
    """Takes the same seconds always, without waiting."""

    def __init__(self, name, seconds, log):
        self.name, self.seconds, self.log = name, seconds, log

    def run(self):
        self.log.append(self.name)
        return self.seconds


def make_shape(**fields):
    shape = dict(name="a row", dtype="f32", batch=1, q_heads=8, kv_heads=8, kv_len=1024, head_dim=64, square=True,
                 causal=False, window=None, op="attention")
    return types.SimpleNamespace(**{**shape, **fields})


def make_measured(found, peak_kind="fma", **fields):
    bench = {"peak_kind": peak_kind, "gflops": 50.0, "gbytes_per_s": 5.0, "seconds_median": 2.0, "peak_gflops": 200.0,
             "peak_gbytes_per_s": 10.0, "tile": "t", "device": "a GPU"}
    return measuring.Measured(**{"numbers": None, "found": found, "bench": bench, "none": {}, "errors": {}, **fields})


def make_row(found, peak_kind="fma"):
    return compare_report.Row(make_shape(), make_measured(found, peak_kind), {})


def check_turns(report):
    log = []
    runners = [Runner(name, seconds, log) for name, seconds in (("clattn", 1e-3), ("near", 2e-3), ("far", 7e-3))]
    found = turns.measure(runners, 0.09)
    counts = {name: len(times.wall) for name, times in found.items()}
    report.check(counts["clattn"] == counts["near"] >= turns.LEAST_ROUNDS and counts["far"] == 1, f"turns: {counts}")
    rounds = log[9:]
    report.check(all(rounds[i] == rounds[i + 1] for i in range(0, len(rounds), 2)), f"turns are of two runs: {rounds}")
    report.check(rounds[0] == "clattn" and rounds[4] == "near", f"the order rotates: {rounds[:8]}")
    found = turns.measure([Runner("clattn", 1.0, log), Runner("near", 0.1, log)], 0.01)
    report.check(len(found["clattn"].wall) == turns.LEAST_ROUNDS, "clattn has every round, however slow it is")


def check_row(report):
    found = turns.measure([Runner("clattn", 0.5, []), Runner("torch flash", 1.0, []), Runner("ggml", 2.0, [])], 0.01)
    row = make_row(found)
    report.check((row.ours, row.rates) == (200.0, {"torch flash": 100.0, "ggml": 50.0}), f"rates: {row.rates}")
    report.check(row.best() == ("torch flash", 100.0) and row.ratio("ggml") == 4.0, f"ratios: {row.as_json()}")
    report.check(row.of_peak == 1.0 and row.unit == "GFLOP/s", f"of peak: {row.as_json()}")
    row = make_row(found, "read")
    report.check((row.ours, row.of_peak, row.unit) == (20.0, 2.0, "GB/s"), f"a row of memory: {row.as_json()}")


def check_known(report):
    find = lambda cpu, fma: next((m for m in known.MACHINES if m.is_this(cpu, fma)), None)
    xeon = find(XEON, 350)
    report.check(xeon and xeon.figures is known.XEON, "the Xeon is found")
    for cpu, fma in (({**XEON, "avx512": False}, 350), ({**XEON, "cores": 4}, 350), (XEON, 200)):
        report.check(find(cpu, fma) is None, f"{cpu} with {fma} GFLOP/s is no known machine")
    row = lambda shape, rates: types.SimpleNamespace(shape=shape, rates=rates, unit="GFLOP/s", device="a GPU")
    slow = lambda shape, **rates: known.crippled(xeon, row(shape, {"torch flash": 1e9, **rates}))
    report.check(not slow(make_shape()), "a fast peer passes")
    for shape, least in ((make_shape(), 238), (make_shape(causal=True), 319 / 2), (make_shape(dtype="f16"), 236)):
        below, above = ({"torch flash": rate * least} for rate in (0.89, 0.91))
        report.check(len(slow(shape, **below)) == 1 and not slow(shape, **above), f"a tenth under {least}")
    for shape in (make_shape(kv_len=512), make_shape(window=[1, 1]), make_shape(kv_heads=2), make_shape(dtype="bf16")):
        report.check(not slow(shape, **{"torch flash": 1.0}), f"{shape} is not known")
    report.check(not known.crippled(None, row(make_shape(), {"torch flash": 1.0})), "nothing is known elsewhere")
    with unittest.mock.patch.dict(known.GPUS, {"a GPU": {"a row": {"near": 100.0, "absent": 1.0}}}):
        found = [len(known.crippled_gpu(row(make_shape(), {"near": rate, "other": 1.0}))) for rate in (89.0, 91.0)]
    report.check(found == [1, 0] and not known.crippled_gpu(row(make_shape(), {"near": 1.0})), f"a known GPU: {found}")
    cpu = known.this_cpu()
    report.check(cpu["cores"] >= 1 and set(cpu) == {"model", "vendor", "avx512", "cores"}, f"this CPU: {cpu}")


def check_calls(report):
    found = [turns.calls_for(seconds) for seconds in (1.0, 0.009, 0.0019, 1e-5)]
    report.check(found == [1, 2, 10, 10], f"calls of a run: {found}")


def check_gpu_row(report):
    times = lambda: turns.measure([Runner("clattn", 0.5, []), Runner("near", 1.0, [])], 0.01)
    row = gpu.Row(make_shape(), make_measured(times()), {}, 40.0)
    got = (row.ours, row.unit, row.rates, row.of_copy)
    report.check(got == (0.2, "TFLOP/s", {"near": 0.1}, None), f"a row of FLOP: {got}")
    row = gpu.Row(make_shape(), make_measured(times(), "copy"), {}, 40.0)
    report.check((row.ours, row.unit, row.of_copy) == (20.0, "GB/s", 0.5), f"{row.as_json()}")
    object_ = row.as_json()
    report.check((object_["device"], object_["ratios"], object_["copy_fraction"]) == ("a GPU", {"near": 2.0}, 0.5),
                 f"JSON of a row: {object_}")
    with contextlib.redirect_stdout(io.StringIO()) as text:
        gpu.Table().print_row(row)
    report.check("near 10.0 (2.00); a GPU" in text.getvalue(), f"a row of the GPU's table: {text.getvalue()}")


def rule(dtype, ours, plain):
    """Whether clattn's error passes beside plain attention's of that type."""
    numbers = types.SimpleNamespace(shape=make_shape(dtype=dtype), errors_of=lambda out: (ours, 0.0),
                                    errors_of_dtype=lambda: (plain, 0.0))
    command = types.SimpleNamespace(attend=lambda numbers: None)
    try:
        return sorted(gpu.find_errors(command, make_measured({}, numbers=numbers, errors={"near": (1.0, 0.0)})))
    except measuring.Wrong:
        return None


def check_rule(report):
    names = ["clattn", "low precision", "near"]
    report.check(rule("f16", 2e-3, 1e-3) == names and rule("bf16", 3e-3, 1e-3) is None, "twice plain attention's error")
    report.check(rule("f32", 3e-3, 1e-3) == names and rule("f16", float("nan"), 1e-3) is None, "f32, and NaN")


def check_shapes(report):
    for suite in ("cpu", "gpu"):
        rows = shapes.read_list(COMMAND, suite)
        names = {row.name for row in rows}
        report.check(len(names) == len(rows) > 20, f"names of {suite}'s rows: {len(names)} of {len(rows)}")
    unknown = {name for figures in known.GPUS.values() for name in figures} - names
    report.check(not unknown, f"figures are known of rows that are none: {unknown}")
    row = next(row for row in rows if row.kv_dtype == "q8_0" and row.op == "decode" and row.batch == 64)
    name = "decode f16/q8_0 batch 64 heads 32/8 q 1 kv 4096 dim 128 causal page 16"
    words = " ".join(row.arguments())
    report.check(row.name == name and "--kv-dtype q8_0" in words and "--page-size 16" in words, f"{row.name}: {words}")
    words = " ".join(row.of_one_type().arguments())
    report.check("--kv-dtype" not in words and row.kv_dtype == "q8_0", f"the same in one type: {words}")
    row = next(row for row in rows if row.op == "append" and row.page_size == 1)
    words = " ".join(row.arguments())
    report.check(not row.attends and "--q-len" not in words and "--causal" not in words, f"{row.name}: {words}")


def check_refusals(report):
    """Before anything is built or downloaded."""
    script = SOURCE / "tools/compare-gpu"
    for words, said in ((["pack", "3.12"], "--python"), (["kernels", "--python", "3.12"], "--arch")):
        done = subprocess.run([script, *words], capture_output=True, text=True, check=False)
        report.check(done.returncode == 1 and said in done.stderr, f"compare-gpu {words}: {done.stderr}")
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=False)
    report.check(done.returncode == 0 and "compare-gpu pack" in done.stdout, f"--help: {done.stdout}{done.stderr}")


def main():
    report = Report()
    check_turns(report)
    check_calls(report)
    check_row(report)
    check_gpu_row(report)
    check_known(report)
    check_rule(report)
    check_shapes(report)
    check_refusals(report)
    report.finish()


if __name__ == "__main__":
    main()
