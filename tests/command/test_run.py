#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`clattn run` on small files against attention in plain Python: layouts, types, lengths, offsets, masks."""
import json
import math

from attend import BATCH, DIM, KV_LEN, Q_HEADS, Q_LEN, V_DIM, Inputs, attend, compare
from support import Folder, Report, close, count, npy_load, run, skip_without_device



def check_layouts_and_types(report, folder):
    tolerances = {"f32": (2e-5, 1e-3), "f16": (2e-3, 4e-3), "bf16": (1.6e-2, 1.6e-2)}
    for layout in ("bhsd", "bshd"):
        for descr in ("<f4", "<f2", "<f8"):
            inputs = Inputs(folder, layout, descr)
            auto = "f16" if descr == "<f2" else "f32"
            for dtype in ("auto", "f32", "f16", "bf16"):
                kind = auto if dtype == "auto" else dtype
                compare(report, folder, f"{layout} {descr} --dtype {dtype}", attend(inputs, "--dtype", dtype),
                        inputs.want(), *tolerances[kind], "<f2" if kind == "f16" else "<f4")


def check_ragged(report, folder):
    inputs = Inputs(folder, "thd", q_lens=(5, 2, 1), kv_lens=(7, 3, 4))
    causal = lambda b, h, i, j, p: j <= p
    compare(report, folder, "thd", attend(inputs), inputs.want())
    compare(report, folder, "thd causal", attend(inputs, "--causal"), inputs.want(causal))
    lens = folder.save("lens.npy", "<i4", (3,), (6, 0, 4))
    compare(report, folder, "thd kv-lens", attend(inputs, "--kv-lens", lens), inputs.want(kv_lens=(6, 0, 4)))
    # a mask of a ragged batch is padded to the longest sequence
    mask = [folder.random.random() < 0.6 for _ in range(3 * 5 * 7)]
    path = folder.save("mask.npy", "|b1", (3, 1, 5, 7), mask)
    compare(report, folder, "thd mask", attend(inputs, "--mask", path),
            inputs.want(lambda b, h, i, j, p: mask[(b * 5 + i) * 7 + j]))


def check_modifiers(report, folder):
    inputs = Inputs(folder)
    slopes, sinks = [0.5, 0.25, 0.125, 0.0625], [1.0, -2.0, 0.5, 3.0]
    alibi, sink = folder.save("alibi.npy", "<f4", (4,), slopes), folder.save("sinks.npy", "<f4", (4,), sinks)
    offsets = folder.save("offsets.npy", "<i8", (2,), (-2, 1))
    lens = folder.save("lens.npy", "<i8", (2,), (7, 3))
    cases = {
        "causal": (["--causal"], dict(keep=lambda b, h, i, j, p: j <= p)),
        "window": (["--window", "2,1"], dict(keep=lambda b, h, i, j, p: p - 2 <= j <= p + 1)),
        "one-sided window": (["--window", "-1,0"], dict(keep=lambda b, h, i, j, p: j <= p)),
        "offset": (["--causal", "--q-offset", "-2"], dict(keep=lambda b, h, i, j, p: j <= i - 2)),
        "offsets": (["--causal", "--q-offset", offsets], dict(keep=lambda b, h, i, j, p: j <= i + (-2, 1)[b])),
        "kv-lens": (["--kv-lens", lens, "--causal"], dict(keep=lambda b, h, i, j, p: j <= p, kv_lens=(7, 3))),
        "scale": (["--scale", "0.3"], dict(scale=0.3)),
        "scale below every float": (["--scale", "-1e-60"], dict(scale=-1e-60)),
        "default scale": (["--scale", "0"], {}),
        "soft cap below every float": (["--softcap", "1e-60"], dict(softcap=1e-60)),
        "soft cap": (["--softcap", "0.8", "--causal"], dict(softcap=0.8, keep=lambda b, h, i, j, p: j <= p)),
        "alibi": (["--alibi", alibi], dict(bias=lambda b, h, i, j, p: -slopes[h] * abs(p - j))),
        "sinks": (["--sinks", sink, "--q-offset", "-2", "--causal"],
                  dict(sinks=sinks, keep=lambda b, h, i, j, p: j <= i - 2)),
    }
    for name, (options, how) in cases.items():
        compare(report, folder, name, attend(inputs, *options), inputs.want(**how))


def check_masks(report, folder):
    inputs = Inputs(folder)
    full = (BATCH, Q_HEADS, Q_LEN, KV_LEN)
    for shape in (full, (1, Q_HEADS, 1, KV_LEN), (Q_LEN, 1), (KV_LEN,), (1,), (BATCH, 1, 1, KV_LEN)):
        padded = (1,) * (4 - len(shape)) + shape
        strides = [0 if n == 1 else count(padded[d + 1:]) for d, n in enumerate(padded)]
        for descr in ("|b1", "<f4", "<f2"):
            draws = [folder.random.choice((True, True, False) if descr == "|b1" else (0.5, -1.0, -math.inf, 0.0))
                     for _ in range(count(shape))]
            path = folder.save("mask.npy", descr, shape, draws)
            value = lambda b, h, i, j: draws[sum(x * y for x, y in zip((b, h, i, j), strides))]
            masked = False if descr == "|b1" else -math.inf
            keep = lambda b, h, i, j, p: value(b, h, i, j) != masked
            bias = None if descr == "|b1" else lambda b, h, i, j, p: value(b, h, i, j)
            compare(report, folder, f"mask {descr} {shape}", attend(inputs, "--mask", path), inputs.want(keep, bias))
    sentinel = folder.save("mask.npy", "<f4", (KV_LEN,), [-1e30] * 3 + [-2.0] * 4)
    compare(report, folder, "mask of -1e30", attend(inputs, "--mask", sentinel),
            inputs.want(lambda b, h, i, j, p: j >= 3, lambda b, h, i, j, p: -2.0))


def check_empty(report, folder):
    for batch, q_len, kv_len in ((0, 5, 7), (2, 0, 7), (2, 5, 0), (0, 0, 0)):
        for name, heads, length, dim in (("q", 4, q_len, DIM), ("k", 2, kv_len, DIM), ("v", 2, kv_len, V_DIM)):
            folder.tensor(f"{name}.npy", (batch, heads, length, dim))
        result = run("run", "--q", folder / "q.npy", "--k", folder / "k.npy", "--v", folder / "v.npy", "--out",
                     folder / "out.npy", "--lse", folder / "lse.npy", "--json")
        what = f"batch {batch}, q_len {q_len}, kv_len {kv_len}"
        report.check(result.returncode == 0, f"{what}: {result.stderr.strip()}")
        if result.returncode == 0:
            out, lse = npy_load(folder / "out.npy"), npy_load(folder / "lse.npy")
            report.check(out[1] == (batch, 4, q_len, V_DIM) and not any(out[2]), f"{what}: O is {out[1]}")
            report.check(lse[1] == (batch, 4, q_len) and all(x == -math.inf for x in lse[2]), f"{what}: LSE {lse[1]}")


def check_json(report, folder):
    inputs = Inputs(folder)
    names = {"device": str, "op": str, "dtype": str, "kv_dtype": str, "batch": int, "q_heads": int, "kv_heads": int,
             "q_len": int, "kv_len": int, "head_dim": int, "v_head_dim": int, "causal": bool, "seconds_median": float,
             "seconds_min": float, "gflops": float, "kernel": str, "fragment": str, "tile": str, "split_size": int,
             "tuning_level": str}
    result = attend(inputs, "--json", "--repeat", "3", "--window", "1,0")
    lines = result.stdout.splitlines()
    report.check(len(lines) == 1, f"--json prints {len(lines)} lines: {result.stderr}")
    if not lines:
        return
    got = json.loads(lines[0])
    for name, kind in names.items():
        report.check(isinstance(got.get(name), kind), f"--json: {name} is {got.get(name)!r}")
    report.check(got["seconds_min"] <= got["seconds_median"], "--json: the median is under the minimum")
    pairs = BATCH * Q_HEADS * sum(p >= 0 and min(p, KV_LEN - 1) - max(p - 1, 0) + 1 for p in range(2, 2 + Q_LEN))
    work = got["gflops"] * got["seconds_median"] * 1e9
    report.check(close(work, pairs * 2 * (DIM + V_DIM), 1e-3, 1e-6), f"--json: work {work}, {pairs} pairs")


def main():
    report, folder = Report(), Folder()
    skip_without_device()
    check_layouts_and_types(report, folder)
    check_ragged(report, folder)
    check_modifiers(report, folder)
    check_masks(report, folder)
    check_empty(report, folder)
    check_json(report, folder)
    report.finish()


main()
