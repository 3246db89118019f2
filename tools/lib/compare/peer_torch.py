# SPDX-License-Identifier: BSD-2-Clause
"""PyTorch's scaled_dot_product_attention, one of its backends forced."""
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

BACKENDS = {"torch flash": SDPBackend.FLASH_ATTENTION, "torch cudnn": SDPBackend.CUDNN_ATTENTION,
            "torch efficient": SDPBackend.EFFICIENT_ATTENTION, "torch math": SDPBackend.MATH}


def backends_for(numbers):
    """Flash attention and cuDNN have no f32 on a GPU."""
    if numbers.device == "cpu":
        return ("torch flash", "torch math")
    return ("torch efficient",) if numbers.shape.dtype == "f32" else ("torch flash", "torch cudnn")


class TorchRunner:
    def __init__(self, name, numbers):
        shape = numbers.shape
        self.name, self.backend, self.turn, self.clock = name, BACKENDS[name], 0, numbers.new_clock()
        self.q = numbers.q
        self.pairs = [(numbers.k, numbers.v)]
        self.pairs += [(numbers.k.clone(), numbers.v.clone()) for _ in range(numbers.copies - 1)]
        self.options = {"enable_gqa": True} if shape.q_heads != shape.kv_heads else {}
        # is_causal counts queries from the first key on; clattn's last query stands at the last key.
        if shape.causal and shape.square and not shape.window:
            self.options["is_causal"] = True
        elif shape.masks_something():
            self.options["attn_mask"] = shape.kept().to(numbers.device)

    def attend(self):
        k, v = self.pairs[self.turn % len(self.pairs)]
        self.turn += 1
        self.out = scaled_dot_product_attention(self.q, k, v, **self.options)

    def run(self):
        with torch.inference_mode(), sdpa_kernel(self.backend):
            return self.clock.time(self.attend)

    def output(self):
        return self.out[:1].float().cpu().numpy()

    def close(self):
        self.pairs = self.out = None


class GatherRunner:
    """Pages copied in a row by index_select, which knows no pages: a page is a row of it."""

    name = "torch index_select"

    def __init__(self, numbers):
        self.numbers, self.turn, self.clock = numbers, 0, numbers.new_clock()
        self.caches = [k.flatten(1) for k, _ in numbers.caches]
        self.out = [torch.empty_like(cache) for cache in self.caches]

    def gather(self):
        i = self.turn % len(self.caches)
        self.turn += 1
        torch.index_select(self.caches[i], 0, self.numbers.table, out=self.out[i])

    def run(self):
        with torch.inference_mode():
            return self.clock.time(self.gather)

    def output(self):
        wanted = self.numbers.tokens(self.numbers.k)
        return [(out.view(wanted.shape), wanted) for out in self.out[:self.turn]]

    def close(self):
        self.numbers = self.caches = self.out = None


def open_peers(numbers):
    """Yields (name, runner or why there is none)."""
    shape = numbers.shape
    if shape.op == "gather":
        yield GatherRunner.name, GatherRunner(numbers)
    if not shape.attends or shape.page_size:
        return
    for name in backends_for(numbers):
        yield name, TorchRunner(name, numbers)


def version():
    if not torch.cuda.is_available():
        return f"PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"
    return f"PyTorch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"


def prepare(threads):
    torch.set_num_threads(threads)
