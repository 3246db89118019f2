#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`clattn gather` on small files against plain Python, and what it refuses."""
import itertools
import json

from support import FAILED, USAGE, Folder, Report, count, npy_load, option_rows, run, skip_without_device

HEADS, DIM, NAN = 2, 5, float("nan")


class Pages:
    """A cache in shuffled pages whose spare places are NaN, its table, and what gather has to give."""

    def __init__(self, folder, page_size, lens, descr="<f4", indices="<i4", holes=(), spare=3):
        self.folder, self.lens = folder, lens
        self.columns = max(-(-n // page_size) for n in lens) + 1
        self.pages, row = len(lens) * self.columns + spare, HEADS * DIM
        order = list(range(self.pages))
        folder.random.shuffle(order)
        cache = [NAN] * (self.pages * page_size * row)
        table, self.want = [], []
        for b, length in enumerate(lens):
            ids = [-1 if (b, i) in holes else order.pop() for i in range(-(-length // page_size))]
            table += ids + [self.pages + 99] * (self.columns - len(ids))  # entries that nothing needs
            for t in range(max(lens)):
                page = ids[t // page_size] if t < length else -1
                values = [folder.random.randint(-999, 999) / 8 if page >= 0 else 0.0 for _ in range(row)]
                self.want += values
                if page >= 0:
                    at = (page * page_size + t % page_size) * row
                    cache[at:at + row] = values
        self.table, self.shape = table, (len(lens), max(lens), HEADS, DIM)
        self.options = {
            "--cache": folder.save("cache.npy", descr, (self.pages, page_size, HEADS, DIM), cache),
            "--block-table": folder.save("table.npy", indices, (len(lens), self.columns), table),
            "--kv-lens": folder.save("kv.npy", indices, (len(lens),), lens),
            "--out": str(folder / "out.npy"),
        }

    def gather(self, change=None, **how):
        options = {**self.options, **(change or {})}
        words = [x for name, value in options.items() for x in ([name] if value is None else [name, value])]
        return run("gather", *words, **how)

    def compare(self, report, what, descr="<f4"):
        result = self.gather()
        got = npy_load(self.folder / "out.npy") if result.returncode == 0 else None
        report.check(got == (descr, self.shape, self.want), f"{what}: {result.stderr or 'the result differs'}")
        (self.folder / "out.npy").unlink(missing_ok=True)


def check_results(report, folder):
    for page_size, indices in itertools.product((1, 3, 16, 256), ("<i4", "<i8")):
        lens = (page_size, 2 * page_size + 1, 0, 1, page_size - 1)
        Pages(folder, page_size, lens, "<f2", indices).compare(report, f"pages of {page_size}, {indices}", "<f2")
    Pages(folder, 16, (17, 5), "<f4").compare(report, "f32")
    Pages(folder, 16, (17, 5), "<f8").compare(report, "f64")
    Pages(folder, 3, (9, 7), holes={(0, 1), (1, 2)}).compare(report, "holes")
    Pages(folder, 3, (0, 0)).compare(report, "no tokens")


def check_json(report, folder):
    subject = Pages(folder, 4, (6, 9), "<f2")
    result = subject.gather({"--json": None, "--repeat": "3"})
    lines = result.stdout.splitlines()
    report.check(len(lines) == 1, f"--json prints {len(lines)} lines: {result.stderr}")
    got = json.loads(lines[0]) if lines else {}
    want = {"op": "gather", "dtype": "f16", "batch": 2, "kv_heads": HEADS, "kv_len": 9, "head_dim": DIM,
            "page_size": 4, "repeat": 3}
    report.check({name: got.get(name) for name in want} == want, f"--json: {got}")
    times = [got.get(name) for name in ("seconds_min", "seconds_median", "gbytes_per_s")]
    report.check(all(isinstance(x, float) and x > 0 for x in times) and times[0] <= times[1], f"--json: {times}")
    moved = times[1] * times[2] * 1e9
    report.check(abs(moved - 2 * HEADS * DIM * (15 + 18)) < 1, f"--json: {moved} bytes")
    report.check(isinstance(got.get("device"), str), "--json: no device")
    plain = subject.gather()
    report.check(plain.returncode == 0 and "gather" in plain.stdout, f"without --json: {plain.stdout}{plain.stderr}")
    (folder / "out.npy").unlink(missing_ok=True)


def check_refusals(report, folder):
    subject = Pages(folder, 3, (7, 4))
    table = lambda name, *values, descr="<i4": folder.save(name, descr, (2, len(values) // 2), values)
    lens = lambda name, *values, descr="<i4": folder.save(name, descr, (len(values),), values)
    cache = lambda name, *shape, descr="<f4": folder.save(name, descr, shape, [0] * count(shape))
    pages = subject.pages
    for what, change, words in (
            ("rank of the cache", {"--cache": cache("c1.npy", 9, 3, 5)}, ["[9, 3, 5]", "rank 4"]),
            ("type of the cache", {"--cache": cache("c2.npy", 9, 3, 2, 5, descr="<i4")}, ["int32", "float16"]),
            ("page size 257", {"--cache": cache("c3.npy", 1, 257, 1, 1)}, ["page_size", "257", "256"]),
            ("page size 0", {"--cache": cache("c4.npy", 1, 0, 1, 1)}, ["page_size", "256"]),
            ("no heads", {"--cache": cache("c5.npy", 1, 3, 0, 1)}, ["heads"]),
            ("no dims", {"--cache": cache("c6.npy", 1, 3, 1, 0)}, ["dim"]),
            ("no cache", {"--cache": str(folder / "absent.npy")}, ["absent.npy"]),
            ("rank of the table", {"--block-table": lens("t1.npy", 0, 1)}, ["[2]", "rank 2"]),
            ("type of the table", {"--block-table": cache("t2.npy", 2, 4)}, ["float32", "int32"]),
            ("id past 32 bits", {"--block-table": table("t3.npy", 2**40, 1, 2, 3, 4, 5, descr="<i8")}, [str(2**40)]),
            ("id of no page", {"--block-table": table("t4.npy", 0, 1, 2, 3, pages, 0)},
             ["sequence 1", f"page {pages}", "block_table[1][1]", f"[0, {pages})"]),
            ("id -2", {"--block-table": table("t5.npy", 0, 1, -2, 3, pages, 0)}, ["sequence 0", "-2", "column 2"]),
            ("rank of the lengths", {"--kv-lens": table("l1.npy", 1, 2)}, ["[2, 1]", "rank 1"]),
            ("type of the lengths", {"--kv-lens": cache("l2.npy", 2)}, ["float32", "int32"]),
            ("count of lengths", {"--kv-lens": lens("l3.npy", 1, 2, 3)}, ["[3]", "batch"]),
            ("negative length", {"--kv-lens": lens("l4.npy", 1, -1)}, ["sequence 1", "-1"]),
            ("length past the table", {"--kv-lens": lens("l5.npy", 1, 13)}, ["sequence 1", "13", "12"]),
            ("length past 32 bits", {"--kv-lens": lens("l6.npy", 2**33, 1, descr="<i8")}, [str(2**33)]),
            ("an input as output", {"--out": str(folder / "kv.npy")}, ["--out", "input"]),
            ("no folder", {"--out": str(folder / "none/out.npy")}, ["--out", "none/out.npy"]),
            ("repeat 0", {"--repeat": "0"}, ["--repeat", "0"]),
            ("unknown device", {"--device": "no such thing"}, ["--device", "no such thing"])):
        option = next(iter(change))
        report.refused(subject.gather(change), FAILED, [option, *words], what, folder)
    for name, _, need, _ in option_rows("gather"):
        if need == "REQUIRED":
            options = {k: v for k, v in subject.options.items() if k != name}
            result = run("gather", *[x for pair in options.items() for x in pair])
            report.refused(result, USAGE, [name], f"without {name}", folder)


def check_kernel_folder(report, folder):
    """Gather computes in device kernels only: without their sources it fails, even where there is nothing to copy."""
    empty = folder / "kernels"
    empty.mkdir()
    for lens in ((7, 4), (0, 0)):
        result = Pages(folder, 3, lens).gather(env={"CLATTN_KERNEL_DIR": str(empty)})
        report.refused(result, FAILED, [".cl"], f"empty CLATTN_KERNEL_DIR, lengths {lens}", folder)


def main():
    report, folder = Report(), Folder()
    skip_without_device()
    check_results(report, folder)
    check_json(report, folder)
    check_refusals(report, folder)
    check_kernel_folder(report, folder)
    report.finish()


main()
