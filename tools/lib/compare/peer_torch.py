# SPDX-License-Identifier: BSD-2-Clause
"""PyTorch's scaled_dot_product_attention, one of its backends forced."""
import time

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

BACKENDS = {"torch flash": SDPBackend.FLASH_ATTENTION, "torch math": SDPBackend.MATH}


class TorchRunner:
    def __init__(self, name, numbers):
        shape = numbers.shape
        self.name, self.backend, self.turn = name, BACKENDS[name], 0
        self.q = numbers.q
        self.pairs = [(numbers.k, numbers.v)]
        self.pairs += [(numbers.k.clone(), numbers.v.clone()) for _ in range(numbers.copies - 1)]
        self.options = {"enable_gqa": True} if shape.q_heads != shape.kv_heads else {}
        # is_causal counts queries from the first key on; clattn's last query stands at the last key.
        if shape.causal and shape.square and not shape.window:
            self.options["is_causal"] = True
        elif shape.masks_something():
            self.options["attn_mask"] = shape.kept()

    def run(self):
        k, v = self.pairs[self.turn % len(self.pairs)]
        self.turn += 1
        with torch.inference_mode(), sdpa_kernel(self.backend):
            start = time.perf_counter()
            self.out = scaled_dot_product_attention(self.q, k, v, **self.options)
            return time.perf_counter() - start

    def output(self):
        return self.out.float().numpy()

    def close(self):
        self.pairs = self.out = None


def open_peers(numbers):
    """Yields (name, runner or why there is none)."""
    for name in BACKENDS:
        yield name, TorchRunner(name, numbers)


def version():
    return f"PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"


def prepare(threads):
    torch.set_num_threads(threads)
