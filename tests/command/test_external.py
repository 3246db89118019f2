#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`clattn run --k-cache`: caches of files against the dense run and plain Python, holes, and what is refused."""
import itertools
import json
import math

from attend import BATCH, DIM, KV_HEADS, Q_HEADS, V_DIM, Inputs, attend, compare
from support import FAILED, USAGE, Folder, Report, count, npy_load, run, skip_without_device

OUTPUTS = ("out.npy", "lse.npy")


class Cache:
    """K and V of `inputs` in shuffled pages whose spare places are NaN."""

    def __init__(self, inputs, page_size, descr="<f4", indices="<i4", holes=(), spare=2):
        self.folder, self.lens, self.inputs = inputs.folder, inputs.kv_lens, inputs
        self.columns = max(-(-n // page_size) for n in self.lens) + 1
        self.pages = sum(-(-n // page_size) for n in self.lens) + spare
        order = list(range(self.pages))
        self.folder.random.shuffle(order)
        self.table = []
        for b, n in enumerate(self.lens):
            ids = [-1 if (b, i) in holes else order.pop() for i in range(-(-n // page_size))]
            self.table.append(ids + [self.pages + 99] * (self.columns - len(ids)))  # entries that nothing needs
        self.options = ["--q", self.folder / "q.npy", "--layout", inputs.layout]
        if inputs.layout == "thd":
            self.options += inputs.options[inputs.options.index("--cu-seqlens-q"):][:2]
        for name, nested in (("k", inputs.k), ("v", inputs.v)):
            self.options += [f"--{name}-cache", self.write(name, nested, page_size, descr)]
        self.options += ["--block-table", self.folder.save("table.npy", indices, (len(self.lens), self.columns),
                                                           sum(self.table, [])),
                         "--kv-lens", self.folder.save("kv_lens.npy", indices, (len(self.lens),), self.lens)]

    def write(self, name, nested, page_size, descr):
        dim = len(next(row for seq in nested for head in seq for row in head))
        values = [math.nan] * (self.pages * page_size * KV_HEADS * dim)
        for b, seq in enumerate(nested):
            for h, head in enumerate(seq):
                for t, row in enumerate(head):
                    page = self.table[b][t // page_size]
                    at = ((page * page_size + t % page_size) * KV_HEADS + h) * dim
                    values[at:at + dim] = row if page >= 0 else values[at:at + dim]
        self.shape = (self.pages, page_size, KV_HEADS, dim)
        return self.folder.save(f"{name}_cache.npy", descr, self.shape, values)

    def attend(self, *options, change=None):
        changed = list(self.options)
        for option, value in (change or {}).items():
            changed[changed.index(option) + 1] = value
        return run("run", *changed, "--out", self.folder / "out.npy", "--lse", self.folder / "lse.npy", *options)


def results(folder):
    return [(folder / name).read_bytes() for name in OUTPUTS if (folder / name).exists()]


def same_bits(report, cache, what, *options, dense=()):
    first = attend(cache.inputs, *options, *dense)
    want = results(cache.folder)
    second = cache.attend(*options)
    report.check(first.returncode == 0 and second.returncode == 0, f"{what}: {first.stderr}{second.stderr}")
    report.check(len(want) == 2 and results(cache.folder) == want, f"{what}: not the dense run's bits")


def check_results(report, folder):
    for layout, page_size, descr in itertools.product(("bhsd", "bshd", "thd"), (1, 7, 16), ("<f4", "<f2")):
        lens = dict(q_lens=(5, 2, 1), kv_lens=(19, 0, 33)) if layout == "thd" else dict(kv_lens=(19, 19))
        inputs = Inputs(folder, layout, descr, **lens)
        cache = Cache(inputs, page_size, descr, "<i8" if page_size == 7 else "<i4")
        for options in ((), ("--causal", "--window", "5,-1")):
            same_bits(report, cache, f"{layout}, pages of {page_size}, {descr} {options}", *options)
    for dtype in ("f32", "f16", "bf16"):  # the cache is converted as K and V are
        inputs = Inputs(folder, kv_lens=(19, 19))
        same_bits(report, Cache(inputs, 7, "<f8"), f"f64 in {dtype}", "--dtype", dtype)
    same_bits(report, Cache(Inputs(folder, q_lens=(1, 1), kv_lens=(300, 300)), 16), "splits", "--split-size", 64)


def check_lengths(report, folder):
    """Sequences of lengths of their own, in layouts whose dense K and V have one length."""
    inputs = Inputs(folder, "bshd")
    inputs.kv_lens = (7, 3)
    cut = lambda nested: [[head[:n] for head in seq] for seq, n in zip(nested, inputs.kv_lens)]
    inputs.k, inputs.v = cut(inputs.k), cut(inputs.v)
    cache = Cache(inputs, 4)
    compare(report, folder, "kv_lens 7 and 3", cache.attend("--causal"), inputs.want(lambda b, h, i, j, p: j <= p))
    mask = [folder.random.random() < 0.6 for _ in range(BATCH * 5 * 7)]
    path = folder.save("mask.npy", "|b1", (BATCH, 1, 5, 7), mask)
    compare(report, folder, "a mask [batch, 1, q_len, max(kv_lens)]", cache.attend("--mask", path),
            inputs.want(lambda b, h, i, j, p: mask[(b * 5 + i) * 7 + j]))


def check_holes(report, folder):
    inputs = Inputs(folder, kv_lens=(19, 19))
    cache = Cache(inputs, 4, holes={(0, 0), (0, 3), (1, 4)})
    hole = lambda b, j: (b, j // 4) in {(0, 0), (0, 3), (1, 4)}
    compare(report, folder, "holes", cache.attend(), inputs.want(lambda b, h, i, j, p: not hole(b, j)))
    got = json.loads(cache.attend("--json", "--causal").stdout)
    pairs = Q_HEADS * sum(j <= i + 14 and not hole(b, j) for b in range(2) for i in range(5) for j in range(19))
    work = got["gflops"] * got["seconds_median"] * 1e9
    report.check(abs(work / (pairs * 2 * (DIM + V_DIM)) - 1) < 1e-6, f"holes: work {work} of {pairs} pairs")
    everywhere = Cache(inputs, 4, holes={(b, i) for b in range(2) for i in range(5)})
    result = everywhere.attend()
    out, lse = npy_load(folder / "out.npy")[2], npy_load(folder / "lse.npy")[2]
    report.check(result.returncode == 0 and not any(out) and all(x == -math.inf for x in lse), "holes alone")


def check_report(report, folder):
    cache = Cache(Inputs(folder, "thd", q_lens=(5, 2), kv_lens=(19, 4)), 4)
    result = cache.attend("--json", "--explain")
    got = json.loads(result.stdout) if result.returncode == 0 else {}
    want = {"page_size": 4, "pages": cache.pages, "max_pages": cache.columns, "kv_len": 19, "kv_dtype": "f32",
            "batch": 2, "q_tokens": 7}
    report.check({name: got.get(name) for name in want} == want, f"--json: {got}{result.stderr}")
    report.check("seed" not in got and "page_order" not in got, f"--json speaks of an order that it has not: {got}")
    ran = {kernel["kernel"] for kernel in got.get("kernels", []) if kernel["runs"]}
    report.check(ran and ran <= {"prefill", "decode", "combine"}, f"--explain lists {ran}")


def check_refusals(report, folder):
    cache = Cache(Inputs(folder, kv_lens=(7, 7)), 3)
    pages, save = cache.pages, folder.save
    table = lambda name, *values, descr="<i4": save(name, descr, (2, len(values) // 2), values)
    lens = lambda name, *values, descr="<i4": save(name, descr, (len(values),), values)
    tensor = lambda name, *shape, descr="<f4": save(name, descr, shape, [0] * count(shape))
    for what, change, words in (
            ("rank of the cache", {"--k-cache": tensor("c1.npy", 9, 3, 5)}, ["[9, 3, 5]", "rank 4"]),
            ("type of the cache", {"--v-cache": tensor("c2.npy", 9, 3, 2, 5, descr="<i4")}, ["int32", "float16"]),
            ("page size 257", {"--k-cache": tensor("c3.npy", 1, 257, 1, 1)}, ["page_size", "257", "256"]),
            ("pages of V", {"--v-cache": tensor("c4.npy", pages + 1, 3, 2, 6)}, ["pages", str(pages), str(pages + 1)]),
            ("page size of V", {"--v-cache": tensor("c5.npy", pages, 4, 2, 6)}, ["page_size", "3", "4"]),
            ("heads of V", {"--v-cache": tensor("c6.npy", pages, 3, 1, 6)}, ["heads", "1", "2", "--k-cache"]),
            ("dim of K", {"--k-cache": tensor("c7.npy", pages, 3, 2, 9)}, ["last dimension", "9", "8"]),
            ("head ratio",
             {"--k-cache": tensor("c8.npy", pages, 3, 3, 8), "--v-cache": tensor("c9.npy", pages, 3, 3, 8)},
             ["multiple", "3", "4"]),
            ("no cache", {"--k-cache": str(folder / "absent.npy")}, ["absent.npy"]),
            ("rank of the table", {"--block-table": lens("t1.npy", 0, 1)}, ["[2]", "rank 2"]),
            ("type of the table", {"--block-table": tensor("t2.npy", 2, 4)}, ["float32", "int32"]),
            ("rows of the table", {"--block-table": save("t3.npy", "<i4", (3, 3), [0] * 9)}, ["[3, 3]", "batch", "2"]),
            ("id past 32 bits", {"--block-table": table("t4.npy", 0, 1, 2, 3, 2**40, 1, descr="<i8")}, [str(2**40)]),
            ("id of no page", {"--block-table": table("t5.npy", 0, 1, 2, 3, pages, 0)},
             ["block_table[1][1]", str(pages), f"[0, {pages})", "-1"]),
            ("id -2", {"--block-table": table("t6.npy", 0, 1, -2, 3, 0, 0)}, ["block_table[0][2]", "-2"]),
            ("type of the lengths", {"--kv-lens": tensor("l1.npy", 2)}, ["float32", "int32"]),
            ("count of lengths", {"--kv-lens": lens("l2.npy", 1, 2, 3)}, ["[3]", "batch"]),
            ("negative length", {"--kv-lens": lens("l3.npy", 1, -1)}, ["sequence 1", "-1"]),
            ("length past the table", {"--kv-lens": lens("l4.npy", 1, 13)}, ["sequence 1", "13", "12"])):
        report.refused(cache.attend(change=change), FAILED, [next(iter(change)), *words], what, folder)
    dense = folder.tensor("dense.npy", (2, 2, 7, 8))[0]
    for option, value in (("--k", dense), ("--v", dense), ("--cu-seqlens-k", lens("l5.npy", 0, 7, 14)),
                          ("--page-size", "4"), ("--page-order", "sequential"), ("--seed", "1"), ("--kv-dtype", "f16")):
        report.refused(cache.attend(option, value), FAILED, [option, value, "--k-cache"], f"{option} beside a cache",
                       folder)
    report.refused(cache.attend("--cu-seqlens-q", lens("l6.npy", 0, 5)), FAILED, ["--cu-seqlens-q", "thd"],
                   "cu_seqlens_q without thd", folder)
    report.refused(cache.attend("--layout", "thd"), USAGE, ["--layout", "twice"], "two layouts", folder)
    for name in ("--v-cache", "--block-table", "--kv-lens"):
        at = cache.options.index(name)
        result = run("run", *cache.options[:at], *cache.options[at + 2:], "--out", folder / "out.npy")
        report.refused(result, FAILED, [name, "missing", "--k-cache"], f"without {name}", folder)
    at = cache.options.index("--k-cache")
    result = run("run", *cache.options[:at], *cache.options[at + 2:], "--out", folder / "out.npy")
    report.refused(result, USAGE, ["--k", "--k-cache"], "without --k-cache", folder)
    for name in ("--v-cache", "--block-table"):
        value = cache.options[cache.options.index(name) + 1]
        report.refused(attend(cache.inputs, name, value), FAILED, [name, "--k-cache"], f"{name} beside --k", folder)
    for name in ("--k-cache", "--v-cache", "--block-table", "--kv-lens"):
        path = cache.options[cache.options.index(name) + 1]
        result = run("run", *cache.options, "--out", path)
        report.refused(result, FAILED, ["--out", "input"], f"{name}'s file as output", folder)


def main():
    report, folder = Report(), Folder()
    skip_without_device()
    for check in (check_results, check_lengths, check_holes, check_report, check_refusals):
        check(report, folder)
        for name in OUTPUTS:
            (folder / name).unlink(missing_ok=True)
    report.finish()


if __name__ == "__main__":
    main()
