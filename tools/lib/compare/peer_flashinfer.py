# SPDX-License-Identifier: BSD-2-Clause
"""FlashInfer over pages: prefill, decode and append. On tensors PyTorch is compared."""
import flashinfer
import torch

from shapes import DTYPES

WORKSPACE = 256 << 20
# Wrappers' options. Tensor cores in decode are FlashInfer's prefill kernels, which take the heads of a group as rows;
# its FA3 kernel does not, and is left out there: with four heads a group it reached a third of the others.
PREFILL = {"flashinfer fa2": {"backend": "fa2"}, "flashinfer fa3": {"backend": "fa3"}}
DECODE = {"flashinfer": {"use_tensor_cores": False}, "flashinfer fa2": {"use_tensor_cores": True, "backend": "fa2"}}


class Pages:
    """The page table as FlashInfer has it."""

    def __init__(self, numbers):
        shape = numbers.shape
        pages = shape.kv_len // shape.page_size
        self.indices = numbers.table
        self.indptr = torch.arange(shape.batch + 1, dtype=torch.int32, device="cuda") * pages
        self.last_len = torch.full((shape.batch,), shape.page_size, dtype=torch.int32, device="cuda")


class Runner:
    def __init__(self, name, numbers):
        self.name, self.numbers, self.turn, self.pages = name, numbers, 0, Pages(numbers)
        self.clock = numbers.new_clock()

    def next_cache(self):
        cache = self.numbers.caches[self.turn % len(self.numbers.caches)]
        self.turn += 1
        return cache

    def run(self):
        with torch.inference_mode():
            return self.clock.time(self.call)

    def close(self):
        self.numbers = self.pages = None


class Attention(Runner):
    """A planned wrapper."""

    def __init__(self, name, numbers, wrapper):
        super().__init__(name, numbers)
        self.wrapper, self.q = wrapper, numbers.tokens(numbers.q).contiguous()
        self.out = torch.empty_like(self.q)

    def call(self):
        self.wrapper.run(self.q, self.next_cache(), out=self.out)

    def output(self):
        shape = self.numbers.shape
        first = self.out.view(shape.batch, shape.q_len, shape.q_heads, shape.head_dim)[:1]
        return first.transpose(1, 2).float().cpu().numpy()

    def close(self):
        super().close()
        self.wrapper = self.q = self.out = None


def workspace():
    return torch.zeros(WORKSPACE, dtype=torch.uint8, device="cuda")


def open_prefill(name, numbers):
    shape, dtype = numbers.shape, DTYPES[numbers.shape.dtype]
    runner = Attention(name, numbers,
                       flashinfer.BatchPrefillWithPagedKVCacheWrapper(workspace(), "NHD", **PREFILL[name]))
    pages, q_indptr = runner.pages, torch.arange(shape.batch + 1, dtype=torch.int32, device="cuda") * shape.q_len
    runner.wrapper.plan(q_indptr, pages.indptr, pages.indices, pages.last_len, shape.q_heads, shape.kv_heads,
                        shape.head_dim, shape.page_size, causal=shape.causal, q_data_type=dtype, kv_data_type=dtype)
    return runner


def open_decode(name, numbers):
    shape, dtype = numbers.shape, DTYPES[numbers.shape.dtype]
    runner = Attention(name, numbers,
                       flashinfer.BatchDecodeWithPagedKVCacheWrapper(workspace(), "NHD", **DECODE[name]))
    pages = runner.pages
    runner.wrapper.plan(pages.indptr, pages.indices, pages.last_len, shape.q_heads, shape.kv_heads, shape.head_dim,
                        shape.page_size, q_data_type=dtype, kv_data_type=dtype)
    return runner


class Append(Runner):
    def __init__(self, name, numbers):
        super().__init__(name, numbers)
        shape = numbers.shape
        self.sources = [tuple(numbers.tokens(tensor).contiguous() for tensor in (numbers.k, numbers.v))
                        for _ in range(numbers.copies)]
        self.sequence = torch.arange(shape.batch, dtype=torch.int32, device="cuda").repeat_interleave(shape.kv_len)
        self.position = torch.arange(shape.kv_len, dtype=torch.int32, device="cuda").repeat(shape.batch)
        for k, v in numbers.caches:
            k.zero_()
            v.zero_()

    def call(self):
        k, v = self.sources[self.turn % len(self.sources)]
        cache, pages = self.next_cache(), self.pages
        flashinfer.append_paged_kv_cache(k, v, self.sequence, self.position, cache, pages.indices, pages.indptr,
                                         pages.last_len)

    def output(self):
        numbers = self.numbers
        wanted = [numbers.paged(tensor) for tensor in (numbers.k, numbers.v)]
        return [pair for cache in numbers.caches[:self.turn] for pair in zip(cache, wanted)]

    def close(self):
        super().close()
        self.sources = None


def open_peers(numbers):
    """Yields (name, runner or why there is none)."""
    shape = numbers.shape
    if not shape.page_size or shape.op == "gather" or shape.kv_dtype != shape.dtype:
        return
    if shape.op == "append":
        yield "flashinfer", Append("flashinfer", numbers)
        return
    names, opens = (DECODE, open_decode) if shape.op == "decode" else (PREFILL, open_prefill)
    for name in names:
        if name.endswith("fa3") and torch.cuda.get_device_capability()[0] != 9:
            yield name, "fa3 is for GPUs of capability 9"
        else:
            yield name, opens(name, numbers)


def version():
    return f"FlashInfer {flashinfer.__version__}"
