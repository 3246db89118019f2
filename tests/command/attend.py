# SPDX-License-Identifier: BSD-2-Clause
"""Inputs of `clattn run` on small files, and its result beside attention in plain Python."""
from support import attention, close, flatten, nest, npy_load, run

BATCH, Q_HEADS, KV_HEADS, Q_LEN, KV_LEN, DIM, V_DIM = 2, 4, 2, 5, 7, 8, 6


def to_layout(nested, layout):
    """[batch][heads][length][dim] lists in the file's order: (shape, flat)."""
    if layout == "bshd":
        nested = [[[head[i] for head in seq] for i in range(len(seq[0]))] for seq in nested]
    elif layout == "thd":
        nested = [[head[i] for head in seq] for seq in nested for i in range(len(seq[0]))]
    shape, at = [], nested
    while isinstance(at, list):
        shape.append(len(at))
        at = at[0]
    return shape, flatten(nested)


class Inputs:
    """Random Q, K and V; q_lens and kv_lens are the sequences' own (all alike unless the layout is thd)."""

    def __init__(self, folder, layout="bhsd", descr="<f4", q_lens=(Q_LEN,) * BATCH, kv_lens=(KV_LEN,) * BATCH, dims=DIM,
                 v_dims=V_DIM):
        self.layout, self.q_lens, self.kv_lens, self.folder = layout, q_lens, kv_lens, folder
        self.dims, self.v_dims = dims, v_dims
        self.q = self.make("q", descr, Q_HEADS, q_lens, dims)
        self.k = self.make("k", descr, KV_HEADS, kv_lens, dims)
        self.v = self.make("v", descr, KV_HEADS, kv_lens, v_dims)
        self.options = ["--q", folder / "q.npy", "--k", folder / "k.npy", "--v", folder / "v.npy", "--layout", layout]
        if layout == "thd":
            for name, lens in (("q", q_lens), ("k", kv_lens)):
                starts = [sum(lens[:i]) for i in range(len(lens) + 1)]
                self.options += [f"--cu-seqlens-{name}", folder.save(f"cu_{name}.npy", "<i8", (len(starts),), starts)]

    def make(self, name, descr, heads, lens, dim):
        nested = [nest(self.folder.tensor("unused.npy", (heads, n, dim))[1], (heads, n, dim)) for n in lens]
        shape, values = to_layout(nested, self.layout)
        self.folder.save(f"{name}.npy", descr, shape, values)
        return nested

    def want(self, keep=None, bias=None, kv_lens=None, **how):
        """(O, LSE) in the file's order, flat. keep(b, h, i, j, p) with p the query's position, bottom-right."""
        outs, lses = [], []
        for b, (q, k, v) in enumerate(zip(self.q, self.k, self.v)):
            n = (kv_lens or self.kv_lens)[b]
            k, v = [head[:n] for head in k], [head[:n] for head in v]
            offset = n - len(q[0])
            o, lse = attention(q, k, v, self.dims, self.v_dims, Q_HEADS, KV_HEADS,
                               keep and (lambda h, i, j: keep(b, h, i, j, i + offset)),
                               bias and (lambda h, i, j: bias(b, h, i, j, i + offset)), **how)
            outs.append(o)
            lses.append([[[x] for x in head] for head in lse])
        return to_layout(outs, self.layout), to_layout(lses, self.layout)[1]


def compare(report, folder, what, result, want, absolute=2e-5, relative=1e-3, descr="<f4"):
    (shape, values), lses = want
    if result.returncode != 0:
        report.check(False, f"{what}: {result.stderr.strip()}")
        return
    out, lse = npy_load(folder / "out.npy"), npy_load(folder / "lse.npy")
    report.check(out[0] == descr and lse[0] == "<f4", f"{what}: types {out[0]}, {lse[0]}")
    report.check(list(out[1]) == shape and list(lse[1]) == shape[:-1], f"{what}: shapes {out[1]}, {lse[1]}")
    report.check(len(out[2]) == len(values) and all(close(a, b, absolute, relative) for a, b in zip(out[2], values)),
                 f"{what}: wrong O")
    report.check(len(lse[2]) == len(lses) and all(close(a, b, absolute, relative) for a, b in zip(lse[2], lses)),
                 f"{what}: wrong LSE")


def attend(inputs, *options):
    return run("run", *inputs.options, "--out", inputs.folder / "out.npy", "--lse", inputs.folder / "lse.npy", *options)
