# SPDX-License-Identifier: BSD-2-Clause
"""The rows of `clattn bench --suite`, and their numbers."""
import copy
import json
import subprocess
import sys

import numpy
import torch

import turns

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
LARGEST_ERROR = {"f32": 1e-3, "f16": 1e-2, "bf16": 4e-2}
MOST_SAMPLES = 256


class Shape:
    def __init__(self, row):
        self.op, self.dtype, self.kv_dtype = row["op"], row["dtype"], row["kv_dtype"]
        self.batch, self.kv_heads, self.kv_len, self.head_dim = (row[name] for name in ("batch", "kv_heads", "kv_len",
                                                                                        "head_dim"))
        self.q_heads, self.q_len = row.get("q_heads", self.kv_heads), row.get("q_len", self.kv_len)
        self.causal, self.window, self.page_size = row.get("causal", False), row.get("window"), row.get("page_size", 0)

    @property
    def attends(self):
        return self.op in ("attention", "decode")

    @property
    def square(self):
        return self.q_len == self.kv_len

    @property
    def name(self):
        """What --only compares."""
        pages = f" page {self.page_size}" if self.page_size else ""
        types = self.dtype if self.kv_dtype == self.dtype else f"{self.dtype}/{self.kv_dtype}"
        if not self.attends:
            heads = self.kv_heads
            return f"{self.op} {types} batch {self.batch} heads {heads} n {self.kv_len} dim {self.head_dim}{pages}"
        mask = f"window {self.window[0]},{self.window[1]}" if self.window else "causal" if self.causal else "full"
        heads = f"{self.q_heads}/{self.kv_heads}"
        lengths = f"n {self.kv_len}" if self.square else f"q {self.q_len} kv {self.kv_len}"
        return f"{self.op} {types} batch {self.batch} heads {heads} {lengths} dim {self.head_dim} {mask}{pages}"

    def masks_something(self):
        return bool(self.window) or self.causal and self.q_len > 1

    def arguments(self):
        """Of clattn bench."""
        words = [self.op, "--dtype", self.dtype, "--page-size", self.page_size, "--batch", self.batch, "--kv-heads",
                 self.kv_heads, "--kv-len", self.kv_len, "--head-dim", self.head_dim]
        words += ["--q-heads", self.q_heads, "--q-len", self.q_len] if self.attends else []
        words += ["--kv-dtype", self.kv_dtype] if self.kv_dtype != self.dtype else []
        words += ["--causal"] if self.causal else []
        words += ["--window", "%d,%d" % tuple(self.window)] if self.window else []
        return [str(word) for word in words]

    def of_one_type(self):
        """The same with K and V of the type of Q."""
        other = copy.copy(self)
        other.kv_dtype = self.dtype
        return other

    def kept(self, rows=None):
        """[rows, kv_len] of bool: the keys that a query attends. The last query stands at the last key."""
        rows = torch.arange(self.q_len) if rows is None else rows
        position, key = (rows + self.kv_len - self.q_len)[:, None], torch.arange(self.kv_len)[None, :]
        keep = torch.ones(len(rows), self.kv_len, dtype=torch.bool)
        if self.causal:
            keep &= key <= position
        if self.window:
            left, right = self.window
            keep &= (key >= position - left) if left >= 0 else True
            keep &= (key <= position + right) if right >= 0 else True
        return keep


def read_list(clattn, suite):
    done = subprocess.run([clattn, "bench", "--suite", suite, "--list", "--json"], stdout=subprocess.PIPE, text=True,
                          check=True)
    return [Shape(json.loads(line)) for line in done.stdout.splitlines()]


def choose(rows, options):
    """Those whose names have all of --only in them; with --list it prints them."""
    chosen = [shape for shape in rows if all(text in shape.name for text in options.only)]
    if not chosen:
        words = " ".join(options.only)
        sys.exit(f"{options.tool}: --only is {words}, which no row's name has in it; --list prints the names")
    if options.list:
        print(*(shape.name for shape in chosen), sep="\n")
    return chosen


class Numbers:
    """Q, K and V, N(0, 1), [batch, heads, length, dim], contiguous. `copies` of K and V, which runs take in turn."""

    device, new_clock = "cpu", turns.WallClock

    def __init__(self, shape, copies, seed=1):
        self.source = torch.Generator(self.device).manual_seed(seed)
        self.shape, self.copies, self.reference = shape, copies, None
        self.largest_error = LARGEST_ERROR[shape.dtype]
        self.q = self.draw(shape.q_heads, shape.q_len)
        self.k = self.draw(shape.kv_heads, shape.kv_len)
        self.v = self.draw(shape.kv_heads, shape.kv_len)

    def draw(self, heads, length):
        size = (self.shape.batch, heads, length, self.shape.head_dim)
        numbers = torch.randn(size, generator=self.source, dtype=torch.float32, device=self.device)
        return numbers.to(DTYPES[self.shape.dtype])

    def samples(self):
        """Query rows that are compared with float64: spread evenly, the first and the last always."""
        count = min(self.shape.q_len, MOST_SAMPLES)
        return torch.linspace(0, self.shape.q_len - 1, count, dtype=torch.float64).round().long()

    def attend_rows(self, dtype):
        """The first sequence's sampled rows, [q_heads, samples, dim], of operands as stored, in steps of `dtype`."""
        shape, rows = self.shape, self.samples()
        hidden, group = (~shape.kept(rows)).to(self.device), shape.q_heads // shape.kv_heads
        out = []
        for head in range(shape.q_heads):
            q, k, v = self.q[0, head][rows], self.k[0, head // group], self.v[0, head // group]
            logits = q.to(dtype) @ (k.to(dtype) / shape.head_dim ** 0.5).T
            out.append(logits.masked_fill(hidden, -torch.inf).softmax(-1) @ v.to(dtype))
        return torch.stack(out).double().cpu().numpy()

    def errors_of_rows(self, rows):
        """(largest, root mean square) of what attend_rows gave, against float64."""
        if self.reference is None:
            self.reference = self.attend_rows(torch.float64)
        difference = rows - self.reference
        return float(abs(difference).max()), float((difference ** 2).mean() ** 0.5)

    def errors_of(self, output):
        """The same of an output [batch, heads, length, dim]."""
        return self.errors_of_rows(numpy.asarray(output[0], dtype=numpy.float64)[:, self.samples().numpy()])

    def errors(self, runner):
        """The same of what a runner's last run gave; None of one that checks itself."""
        output = runner.output()
        return None if output is None else self.errors_of(output)
