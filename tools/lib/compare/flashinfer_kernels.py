# SPDX-License-Identifier: BSD-2-Clause
"""Compiles the kernels of FlashInfer that the GPU's rows use, without a GPU, into a folder: NAME/NAME.so each, as
FlashInfer looks for them. usage: flashinfer_kernels.py FOLDER"""
import pathlib
import shutil
import sys
import time

import torch
from flashinfer.jit.attention.modules import gen_batch_decode_module, gen_batch_prefill_module
from flashinfer.jit.page import gen_page_module

DECODE_DIMS = (128, 64)


def specs():
    types = (torch.float16, torch.float16, torch.float16, torch.int32)
    plain = (0, False, False)  # no position encoding, no window, no soft cap
    yield gen_page_module()
    for dim in DECODE_DIMS:
        yield gen_batch_decode_module(*types, dim, dim, *plain)
        yield gen_batch_prefill_module("fa2", *types, dim, dim, *plain, False)
    yield gen_batch_prefill_module("fa3", *types, 128, 128, *plain, False)


def main():
    folder = pathlib.Path(sys.argv[1])
    for spec in specs():
        to = folder / spec.name / f"{spec.name}.so"
        if to.exists():
            continue
        start = time.monotonic()
        spec.build(verbose=False)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(spec.jit_library_path, to)
        print(f"{spec.name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
