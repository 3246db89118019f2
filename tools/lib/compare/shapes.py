# SPDX-License-Identifier: BSD-2-Clause
"""The rows: those of `clattn bench --suite cpu` that attend K and V in tensors, and their numbers."""
import json
import subprocess

import numpy
import torch

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
MOST_SAMPLES = 256


class Shape:
    def __init__(self, row):
        self.op, self.dtype = row["op"], row["dtype"]
        self.batch, self.q_heads, self.kv_heads = row["batch"], row["q_heads"], row["kv_heads"]
        self.q_len, self.kv_len, self.head_dim = row["q_len"], row["kv_len"], row["head_dim"]
        self.causal, self.window = row["causal"], row.get("window")

    @property
    def square(self):
        return self.q_len == self.kv_len

    @property
    def name(self):
        """What --only compares."""
        mask = f"window {self.window[0]},{self.window[1]}" if self.window else "causal" if self.causal else "full"
        heads = f"{self.q_heads}/{self.kv_heads}"
        lengths = f"n {self.kv_len}" if self.square else f"q {self.q_len} kv {self.kv_len}"
        return f"{self.op} {self.dtype} batch {self.batch} heads {heads} {lengths} dim {self.head_dim} {mask}"

    def masks_something(self):
        return bool(self.window) or self.causal and self.q_len > 1

    def arguments(self):
        """Of clattn bench."""
        words = [self.op, "--dtype", self.dtype, "--page-size", 0, "--batch", self.batch, "--q-heads", self.q_heads,
                 "--kv-heads", self.kv_heads, "--q-len", self.q_len, "--kv-len", self.kv_len, "--head-dim",
                 self.head_dim]
        words += ["--causal"] if self.causal else []
        words += ["--window", "%d,%d" % tuple(self.window)] if self.window else []
        return [str(word) for word in words]

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


def read_list(clattn):
    done = subprocess.run([clattn, "bench", "--suite", "cpu", "--list", "--json"], stdout=subprocess.PIPE, text=True,
                          check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return [Shape(row) for row in rows if row["op"] in ("attention", "decode") and "page_size" not in row]


class Numbers:
    """Q, K and V in -1 to 1, [batch, heads, length, dim], contiguous. `copies` of K and V, which runs take in turn."""

    def __init__(self, shape, copies, seed=1):
        source = torch.Generator().manual_seed(seed)
        self.shape, self.copies = shape, copies
        self.q = self.draw(source, shape.q_heads, shape.q_len)
        self.k = self.draw(source, shape.kv_heads, shape.kv_len)
        self.v = self.draw(source, shape.kv_heads, shape.kv_len)

    def draw(self, source, heads, length):
        shape = self.shape
        numbers = torch.rand((shape.batch, heads, length, shape.head_dim), generator=source, dtype=torch.float32)
        return (numbers * 2 - 1).to(DTYPES[shape.dtype])

    def samples(self):
        """Query rows that are compared with float64: spread evenly, the first and the last always."""
        count = min(self.shape.q_len, MOST_SAMPLES)
        return torch.linspace(0, self.shape.q_len - 1, count, dtype=torch.float64).round().long()

    def reference(self):
        """The first sequence's sampled rows in float64, [q_heads, samples, dim], of the operands as stored."""
        shape, rows = self.shape, self.samples()
        hidden, group = ~shape.kept(rows), shape.q_heads // shape.kv_heads
        out = []
        for head in range(shape.q_heads):
            q, k, v = self.q[0, head][rows], self.k[0, head // group], self.v[0, head // group]
            logits = q.double() @ k.double().T / shape.head_dim ** 0.5
            out.append(logits.masked_fill(hidden, -torch.inf).softmax(-1) @ v.double())
        return torch.stack(out).numpy()

    def errors(self, output, reference):
        """(largest, root mean square) of an output [batch, heads, length, dim] against the reference."""
        difference = numpy.asarray(output[0], dtype=numpy.float64)[:, self.samples().numpy()] - reference
        return float(abs(difference).max()), float((difference ** 2).mean() ** 0.5)
