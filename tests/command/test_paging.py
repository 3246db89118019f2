#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`clattn run --page-size`: the bits of the dense run, quantised caches against plain Python, what JSON says of pages,
and what is refused."""
import itertools
import json
import math
import struct

from attend import BATCH, DIM, KV_HEADS, KV_LEN, Q_LEN, Inputs, attend, compare, to_layout
from quantize import convert_all
from support import FAILED, USAGE, Folder, Report, npy_load, run, skip_without_device

PAGE_SIZES = (1, 3, 7, 16, 256)


def bits(report, inputs, what, *options):
    """The bytes of O and LSE; None of a run that failed."""
    result = attend(inputs, *options)
    report.check(result.returncode == 0, f"{what}: {result.stderr.strip()}")
    return [(inputs.folder / name).read_bytes() for name in ("out.npy", "lse.npy")] if result.returncode == 0 else None


def same_bits(report, inputs, what, options, *paged):
    """The dense run and the paged ones, one for each list of options in `paged`."""
    want = bits(report, inputs, what, *options)
    for more in paged:
        report.check(bits(report, inputs, what, *options, *more) == want, f"{what}, {more}: not the dense run's bits")


def check_layouts(report, folder):
    for layout, dtype in itertools.product(("bhsd", "bshd", "thd"), ("f32", "f16", "bf16")):
        lens = dict(q_lens=(5, 2, 1), kv_lens=(19, 0, 33)) if layout == "thd" else {}
        inputs = Inputs(folder, layout, **lens)
        sizes = PAGE_SIZES if dtype == "f32" else (3, 16)
        same_bits(report, inputs, f"{layout} {dtype}", ("--dtype", dtype), *[("--page-size", p) for p in sizes])


def check_orders(report, folder):
    inputs = Inputs(folder, q_lens=(1, 1), kv_lens=(300, 300))
    for split in (64, 128, 512):
        same_bits(report, inputs, f"decode, splits of {split}", ("--split-size", split, "--causal"),
                  ("--page-size", 7), ("--page-size", 7, "--seed", 5), ("--page-size", 7, "--seed", -1),
                  ("--page-size", 7, "--page-order", "sequential"), ("--page-size", 256),
                  ("--page-size", 7, "--page-order", "shuffled", "--kv-dtype", "auto,f32"))


def check_modifiers(report, folder):
    inputs = Inputs(folder)
    files = {
        "lens": folder.save("lens.npy", "<i8", (2,), (7, 3)),
        "offsets": folder.save("offsets.npy", "<i4", (2,), (-2, 1)),
        "alibi": folder.save("alibi.npy", "<f4", (4,), (0.5, 0.25, 0.125, 0.0625)),
        "sinks": folder.save("sinks.npy", "<f4", (4,), (1.0, -2.0, 0.5, 3.0)),
        "mask": folder.save("mask.npy", "|b1", (BATCH, 1, Q_LEN, KV_LEN),
                            [folder.random.random() < 0.6 for _ in range(BATCH * Q_LEN * KV_LEN)]),
    }
    cases = (["--causal"], ["--window", "2,1"], ["--causal", "--q-offset", "-2"], ["--q-offset", files["offsets"]],
             ["--kv-lens", files["lens"], "--causal"], ["--scale", "0.3"], ["--softcap", "0.8"],
             ["--alibi", files["alibi"]], ["--sinks", files["sinks"]], ["--mask", files["mask"]])
    for options in cases:
        same_bits(report, inputs, " ".join(map(str, options)), options, ("--page-size", 3))
    packed = Inputs(folder, "thd", q_lens=(5, 2, 1), kv_lens=(7, 3, 4))
    lens = folder.save("lens.npy", "<i4", (3,), (6, 0, 4))
    same_bits(report, packed, "thd --kv-lens", ("--kv-lens", lens, "--causal"), ("--page-size", 3))


def check_empty(report, folder):
    for batch, q_len, kv_len in ((0, 5, 7), (2, 0, 7), (2, 5, 0), (0, 0, 0)):
        for name, heads, length in (("q", 4, q_len), ("k", 2, kv_len), ("v", 2, kv_len)):
            folder.tensor(f"{name}.npy", (batch, heads, length, DIM))
        result = run("run", "--q", folder / "q.npy", "--k", folder / "k.npy", "--v", folder / "v.npy", "--out",
                     folder / "out.npy", "--page-size", 4)
        what = f"batch {batch}, q_len {q_len}, kv_len {kv_len}"
        report.check(result.returncode == 0, f"{what}: {result.stderr.strip()}")
        out = npy_load(folder / "out.npy") if result.returncode == 0 else ("", (), [1])
        report.check(out[1] == (batch, 4, q_len, DIM) and not any(out[2]), f"{what}: {out[1]}")


def check_spare_tokens(report, folder):
    """NaN past a sequence's length reaches neither a result nor fp8's scales."""
    lens = folder.save("lens.npy", "<i4", (BATCH,), (7, 3))
    for dtype in ("auto", "fp8"):
        inputs = Inputs(folder)
        want = bits(report, inputs, f"{dtype}, sound", "--kv-lens", lens, "--page-size", 4, "--kv-dtype", dtype)
        for name, nested in (("k", inputs.k), ("v", inputs.v)):
            for head in nested[1]:
                head[3] = [math.nan] * len(head[3])
                head[4:] = [[1e30] * len(row) for row in head[4:]]
            folder.save(f"{name}.npy", "<f4", *to_layout(nested, "bhsd"))
        got = bits(report, inputs, f"{dtype}, NaN", "--kv-lens", lens, "--page-size", 4, "--kv-dtype", dtype)
        report.check(got == want, f"{dtype}: NaN past a length changes the result")


def check_types(report, folder):
    kinds = ("f32", "f16", "bf16", "fp8", "q8_0", "q4_0")
    pairs = [(a, a) for a in kinds] + [("q8_0", "f16"), ("f16", "q4_0"), ("fp8", "q8_0")]
    for k_type, v_type in pairs:
        kv_dtype = k_type if k_type == v_type else f"{k_type},{v_type}"
        for layout in ("bhsd", "thd"):
            lens = dict(q_lens=(2, 5), kv_lens=(9, 4)) if layout == "thd" else dict(kv_lens=(9, 9))
            inputs = Inputs(folder, layout, dims=32, v_dims=64, **lens)
            result = attend(inputs, "--page-size", 3, "--kv-dtype", kv_dtype, "--causal", "--json")
            got = json.loads(result.stdout) if result.returncode == 0 else {}
            report.check(got.get("kv_dtype") == kv_dtype and got.get("dtype") == "f32", f"{kv_dtype}: JSON {got}")
            inputs.k, inputs.v = convert_all(inputs.k, k_type), convert_all(inputs.v, v_type)
            want = inputs.want(lambda b, h, i, j, p: j <= p)
            compare(report, folder, f"{layout} --kv-dtype {kv_dtype}", result, want)
    inputs = Inputs(folder, dims=32, v_dims=32)
    for values in (inputs.k, inputs.v):
        for seq in values:
            seq[1] = [[0.0] * 32 for _ in seq[1]]
    for name, nested in (("k", inputs.k), ("v", inputs.v)):
        folder.save(f"{name}.npy", "<f4", *to_layout(nested, "bhsd"))
    result = attend(inputs, "--page-size", 5, "--kv-dtype", "fp8")
    inputs.k, inputs.v = convert_all(inputs.k, "fp8"), convert_all(inputs.v, "fp8")
    compare(report, folder, "fp8 with a head of zeros", result, inputs.want())


def check_dequantised(report, folder):
    """A quantised cache gives what the dense run gives on what the cache holds."""
    for kv_dtype in ("q8_0", "q4_0", "fp8", "bf16"):
        inputs = Inputs(folder, dims=32, v_dims=32, q_lens=(3, 3), kv_lens=(40, 40))
        paged = bits(report, inputs, kv_dtype, "--page-size", 7, "--kv-dtype", kv_dtype)
        for name, nested in (("k", inputs.k), ("v", inputs.v)):
            folder.save(f"{name}.npy", "<f4", *to_layout(convert_all(nested, kv_dtype), "bhsd"))
        dense = bits(report, inputs, f"{kv_dtype}, dense", "--dtype", "f32")
        values = [struct.unpack(f"<{len(x[0]) // 4 - 32}f", x[0][128:]) for x in (paged, dense) if x]
        far = max((abs(a - b) for a, b in zip(*values)), default=1) if len(values) == 2 else 1
        report.check(far <= 2e-5, f"{kv_dtype}: {far} from the dense run on the dequantised cache")


def check_report(report, folder):
    inputs = Inputs(folder)
    result = attend(inputs, "--page-size", 4, "--json", "--explain", "--seed", 9, "--split-size", 64)
    got = json.loads(result.stdout) if result.returncode == 0 else {}
    want = {"op": "attention", "page_size": 4, "page_order": "shuffled", "seed": 9, "kv_dtype": "f32", "pages": 4,
            "max_pages": 2, "split_size": 64, "kv_len": KV_LEN, "batch": BATCH, "kv_heads": KV_HEADS}
    report.check({name: got.get(name) for name in want} == want, f"--json: {got}")
    ran = [kernel["kernel"] for kernel in got.get("kernels", []) if kernel["runs"]]
    report.check(ran and ran[0] == "append" and set(ran) <= {"append", "prefill", "decode", "combine"},
                 f"--explain lists {ran}")
    report.check(isinstance(got.get("workspace_size"), int), "--explain: no workspace_size")
    text = attend(inputs, "--page-size", 4, "--explain").stdout
    report.check("pages of 4 tokens" in text and "runs append" in text and "gather" not in text, f"--explain: {text}")
    dense = json.loads(attend(inputs, "--json", "--explain").stdout)
    report.check("page_size" not in dense and "pages" not in dense, f"a dense run speaks of pages: {dense}")
    for name in ("out.npy", "lse.npy"):
        (folder / name).unlink(missing_ok=True)


def check_refusals(report, folder):
    inputs = Inputs(folder)
    refuse = lambda status, words, *options: report.refused(attend(inputs, *options), status, words,
                                                            " ".join(map(str, options)), folder)
    for size in (0, -1, 257, 2**40):
        refuse(FAILED, ["--page-size", str(size), "1 to 256"], "--page-size", size)
    refuse(USAGE, ["--page-size", "16k"], "--page-size", "16k")
    refuse(USAGE, ["--page-order", "random", "shuffled|sequential"], "--page-size", 4, "--page-order", "random")
    for types in ("f64", "q8_0,", ",q8_0", "q8_0,q5_0", "q8_0,q8_0,q8_0", "", "f16 "):
        refuse(USAGE, ["--kv-dtype", f"'{types}'", "q8_0"], "--page-size", 4, "--kv-dtype", types)
    for option, value in (("--page-order", "sequential"), ("--seed", "3"), ("--kv-dtype", "q8_0")):
        refuse(FAILED, [option, value, "--page-size"], option, value)
    for kv_dtype in ("q8_0", "q4_0", "q8_0,f32", "f32,q4_0"):
        word = kv_dtype.replace("f32", "").strip(",")
        refuse(FAILED, [word, "32", "6" if kv_dtype.startswith("f32") else str(DIM)], "--page-size", 4, "--kv-dtype",
               kv_dtype)
    empty = folder / "kernels"
    empty.mkdir()
    result = run("run", *inputs.options, "--out", folder / "out.npy", "--page-size", 4,
                 env={"CLATTN_KERNEL_DIR": str(empty)})
    report.refused(result, FAILED, [".cl"], "an empty CLATTN_KERNEL_DIR", folder)


def main():
    report, folder = Report(), Folder()
    skip_without_device()
    for check in (check_layouts, check_orders, check_modifiers, check_empty, check_spare_tokens, check_types,
                  check_dequantised, check_report, check_refusals):
        check(report, folder)
        for name in ("out.npy", "lse.npy"):
            (folder / name).unlink(missing_ok=True)
    report.finish()


if __name__ == "__main__":
    main()
