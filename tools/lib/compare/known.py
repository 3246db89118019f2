# SPDX-License-Identifier: BSD-2-Clause
"""Figures of the peers on machines where they were measured with care. A peer that is more than a tenth under its own
there was crippled by something, and a comparison with it says nothing."""
import os
import pathlib
import re

TOLERANCE = 0.10

# (peer, dtype): {(length, head dim): (full, causal)}, GFLOP/s with all pairs counted, of 8 heads. None: not measured.
XEON = {
    ("torch flash", "f32"): {(1024, 64): (238, 319), (1024, 128): (269, 358), (2048, 64): (226, 358),
                             (2048, 128): (259, 409)},
    ("torch flash", "f16"): {(1024, 64): (236, 302), (1024, 128): (274, 347), (2048, 64): (233, 369),
                             (2048, 128): (266, 424)},
    ("ort mha", "f32"): {(1024, 64): (245, None), (1024, 128): (268, None), (2048, 64): (258, None)},
}
ZEN_5 = {
    ("ggml", "f32"): {(1024, 64): (113, 162), (1024, 128): (193, 279)},
    ("ggml", "f16"): {(1024, 64): (165, 220), (1024, 128): (196, 290)},
}


class Machine:
    """`fma`: the peak of two cores, GFLOP/s, that tells it from its relatives; lower by a fifth than it was, since
    what disturbs the peers disturbs the peak."""

    def __init__(self, name, vendor, fma, figures):
        self.name, self.vendor, self.fma, self.figures = name, vendor, fma, figures

    def is_this(self, cpu, fma):
        kind = cpu["vendor"] == self.vendor and cpu["avx512"] and cpu["cores"] == 2
        return kind and self.fma[0] <= fma <= self.fma[1]

    def expected(self, peer, shape):
        """GFLOP/s by clattn's count, in which square causal attention has half of the pairs; None: unknown."""
        known = self.figures.get((peer, shape.dtype), {}).get((shape.kv_len, shape.head_dim))
        if not known or not shape.square or shape.window or (shape.batch, shape.q_heads, shape.kv_heads) != (1, 8, 8):
            return None
        full, causal = known
        return causal and causal / 2 if shape.causal else full


MACHINES = (Machine("Intel Xeon, AVX-512, 2 cores", "GenuineIntel", (280, 385), XEON),
            Machine("AMD Zen 5, AVX-512, 2 cores", "AuthenticAMD", (320, 455), ZEN_5))


def this_cpu():
    text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    field = lambda name: (re.search(rf"^{name}\s*: (.*)$", text, re.M) or ("", "unknown"))[1]
    return {"model": field("model name"), "vendor": field("vendor_id"), "avx512": " avx512f " in field("flags") + " ",
            "cores": len(os.sched_getaffinity(0))}


def find_machine(fma):
    cpu = this_cpu()
    return next((machine for machine in MACHINES if machine.is_this(cpu, fma)), None)


def slow(row, expected, where):
    """A line for each peer that is too slow; `expected`: {peer: rate there, or None}."""
    return [f"{row.shape.name}: {peer} reaches {row.rates[peer]:.0f} {row.unit}; on {where} it has reached {rate:.0f}"
            for peer, rate in expected.items() if rate and row.rates.get(peer, rate) < (1 - TOLERANCE) * rate]


def crippled(machine, row):
    return slow(row, {peer: machine.expected(peer, row.shape) for peer in row.rates}, machine.name) if machine else []


# The same of GPUs: {row: {peer: rate, in the row's unit}}.
# PyTorch 2.11 with CUDA 13.0 and cuDNN 9.19, FlashInfer 0.6.3, driver 580.
H100 = {
    "attention f16 batch 4 heads 32/32 n 2048 dim 128 causal": {"torch flash": 281, "torch cudnn": 507},
    "attention f16 batch 2 heads 32/32 n 4096 dim 128 causal": {"torch flash": 308, "torch cudnn": 561},
    "attention f16 batch 1 heads 32/32 n 8192 dim 128 causal": {"torch flash": 316, "torch cudnn": 593},
    "attention f16 batch 1 heads 32/32 n 8192 dim 128 full": {"torch flash": 355, "torch cudnn": 664},
    "attention f16 batch 2 heads 32/32 n 4096 dim 64 causal": {"torch flash": 262, "torch cudnn": 411},
    "attention bf16 batch 4 heads 32/32 n 2048 dim 128 causal": {"torch flash": 284, "torch cudnn": 519},
    "attention bf16 batch 2 heads 32/32 n 4096 dim 128 causal": {"torch flash": 307, "torch cudnn": 576},
    "attention bf16 batch 1 heads 32/32 n 8192 dim 128 causal": {"torch flash": 320, "torch cudnn": 610},
    "attention bf16 batch 1 heads 32/32 n 8192 dim 128 full": {"torch flash": 360, "torch cudnn": 675},
    "attention bf16 batch 2 heads 32/32 n 4096 dim 64 causal": {"torch flash": 265, "torch cudnn": 414},
    "attention f32 batch 2 heads 32/32 n 4096 dim 64 full": {"torch efficient": 34.6},
    "attention f32 batch 2 heads 32/32 n 4096 dim 64 causal": {"torch efficient": 32.1},
    "attention f32 batch 2 heads 32/32 n 4096 dim 128 full": {"torch efficient": 46.3},
    "attention f32 batch 2 heads 32/32 n 4096 dim 128 causal": {"torch efficient": 44.9},
    "attention f16 batch 1 heads 32/8 n 8192 dim 128 causal page 16": {"flashinfer fa2": 329, "flashinfer fa3": 539},
    "attention f16 batch 4 heads 32/8 n 2048 dim 128 causal page 16": {"flashinfer fa2": 298, "flashinfer fa3": 447},
    "decode f16 batch 64 heads 32/8 q 1 kv 4096 dim 128 causal page 16": {"flashinfer": 2916, "flashinfer fa2": 2967},
    "decode f16 batch 64 heads 32/8 q 1 kv 4096 dim 128 causal page 1": {"flashinfer": 2882, "flashinfer fa2": 2932},
    "decode f16 batch 128 heads 32/8 q 1 kv 1024 dim 128 causal page 16": {"flashinfer": 2913, "flashinfer fa2": 2869},
    "decode f16 batch 64 heads 32/8 q 1 kv 4096 dim 64 causal page 16": {"flashinfer": 2634, "flashinfer fa2": 2710},
    "decode f16 batch 16 heads 32/32 q 1 kv 4096 dim 128 causal page 16": {"flashinfer": 3027, "flashinfer fa2": 2991},
    "decode f16 batch 1 heads 32/8 q 1 kv 32768 dim 128 causal page 16": {"flashinfer": 2421, "flashinfer fa2": 2443},
    "decode f16 batch 1 heads 32/8 q 1 kv 4096 dim 128 causal page 16": {"flashinfer": 1479, "flashinfer fa2": 1391},
    "decode f16 batch 64 heads 32/8 q 1 kv 4096 dim 128 causal": {"torch flash": 2641, "torch cudnn": 3050},
    "decode f16 batch 1 heads 32/8 q 1 kv 32768 dim 128 causal": {"torch flash": 2176, "torch cudnn": 2514},
    "gather f16 batch 16 heads 8 n 4096 dim 128 page 16": {"torch index_select": 2792},
    "gather f16 batch 16 heads 8 n 4096 dim 128 page 1": {"torch index_select": 2802},
    "append f16 batch 8 heads 8 n 2048 dim 128 page 16": {"flashinfer": 2620},
    "append f16 batch 8 heads 8 n 2048 dim 128 page 1": {"flashinfer": 2615},
}

# By device name.
GPUS = {"NVIDIA H100 80GB HBM3": H100}


def crippled_gpu(row):
    return slow(row, GPUS.get(row.device, {}).get(row.shape.name, {}), row.device)
