#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What tools/compare-cpu concludes from times, without the libraries that it compares: turns, ratios, known figures."""
import sys
import types

from support import SOURCE, Report

sys.path.insert(0, str(SOURCE / "tools/lib/compare"))
import known
import report as compare_report
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


def make_row(found, peak_kind="fma"):
    bench = {"peak_kind": peak_kind, "gflops": 50.0, "gbytes_per_s": 5.0, "seconds_median": 2.0, "peak_gflops": 200.0,
             "peak_gbytes_per_s": 10.0, "tile": "t"}
    return compare_report.Row(make_shape(), found, bench, {}, {}, None)


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
    slow = lambda shape, **rates: known.crippled(xeon, shape, {"torch flash": 1e9, **rates})
    report.check(not slow(make_shape()), "a fast peer passes")
    for shape, least in ((make_shape(), 238), (make_shape(causal=True), 319 / 2), (make_shape(dtype="f16"), 236)):
        below, above = ({"torch flash": rate * least} for rate in (0.89, 0.91))
        report.check(len(slow(shape, **below)) == 1 and not slow(shape, **above), f"a tenth under {least}")
    for shape in (make_shape(kv_len=512), make_shape(window=[1, 1]), make_shape(kv_heads=2), make_shape(dtype="bf16")):
        report.check(not slow(shape, **{"torch flash": 1.0}), f"{shape} is not known")
    report.check(not known.crippled(None, make_shape(), {"torch flash": 1.0}), "nothing is known elsewhere")
    cpu = known.this_cpu()
    report.check(cpu["cores"] >= 1 and set(cpu) == {"model", "vendor", "avx512", "cores"}, f"this CPU: {cpu}")


def main():
    report = Report()
    check_turns(report)
    check_row(report)
    check_known(report)
    report.finish()


if __name__ == "__main__":
    main()
