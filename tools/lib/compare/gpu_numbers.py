# SPDX-License-Identifier: BSD-2-Clause
"""A row's numbers on the GPU, in tensors and in pages, and how a call is timed there."""
import statistics

import torch

import measuring
import shapes
import turns

# Cycles for which the GPU waits before a run's calls, so that the host has enqueued all of them when the first begins.
HEAD_START = 4_000_000


class DeviceClock:
    """Seconds of the device a call, of some calls right behind each other: at first of one, then of as many as its time
    suggests."""

    def __init__(self):
        self.calls = 1
        self.start, self.end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def time(self, call):
        torch.cuda._sleep(HEAD_START)
        self.start.record()
        for _ in range(self.calls):
            call()
        self.end.record()
        self.end.synchronize()
        seconds = self.start.elapsed_time(self.end) * 1e-3 / self.calls
        self.calls = turns.calls_for(seconds)
        return seconds


class Numbers(shapes.Numbers):
    device, new_clock = "cuda", DeviceClock

    def __init__(self, shape, copies):
        super().__init__(shape, copies)
        if shape.page_size:
            self.lay_pages()

    def lay_pages(self):
        """`table`: a page of the pool for each page of a sequence, shuffled; `caches`: (K, V), [pages, page_size,
        kv_heads, dim], a pair a copy."""
        shape = self.shape
        count = shape.batch * shape.kv_len // shape.page_size
        self.table = torch.randperm(count, generator=self.source, device=self.device, dtype=torch.int32)
        pair = tuple(self.paged(tensor) for tensor in (self.k, self.v))
        self.caches = [pair] + [tuple(cache.clone() for cache in pair) for _ in range(self.copies - 1)]

    def tokens(self, tensor):
        """[batch * length, heads, dim]."""
        return tensor.transpose(1, 2).reshape(-1, tensor.shape[1], tensor.shape[3])

    def paged(self, tensor):
        shape = self.shape
        cache = torch.empty((len(self.table), shape.page_size, shape.kv_heads, shape.head_dim), dtype=tensor.dtype,
                            device=self.device)
        cache[self.table.long()] = self.tokens(tensor).view(cache.shape)
        return cache

    def errors(self, runner):
        """Of what moves bytes: none may differ."""
        if self.shape.attends:
            return super().errors(runner)
        output = runner.output()
        if output is not None and not all(torch.equal(got, wanted) for got, wanted in output):
            raise measuring.Wrong(f"{self.shape.name}: {runner.name} moves other bytes")
        return None

    def errors_of_dtype(self):
        """What attention has when each step is in the row's type, as FlashAttention's tests compute it."""
        return self.errors_of_rows(self.attend_rows(shapes.DTYPES[self.shape.dtype]))


def has_gpu():
    return torch.cuda.is_available()


def device_name():
    return torch.cuda.get_device_name()


def copy_bandwidth(runs=11):
    """Bytes a second, read plus written, of PyTorch's copy of 1 GiB; the median."""
    source = torch.randn(1 << 28, device="cuda", dtype=torch.float32)
    to, clock = torch.empty_like(source), DeviceClock()
    seconds = statistics.median(clock.time(lambda: to.copy_(source)) for _ in range(runs))
    return 2 * source.numel() * source.element_size() / seconds
