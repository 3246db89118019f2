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


# The same of GPUs, by device name: {row: {peer: rate, in the row's unit}}.
GPUS = {}


def crippled_gpu(row):
    return slow(row, GPUS.get(row.device, {}).get(row.shape.name, {}), row.device)
