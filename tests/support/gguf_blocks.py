#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""gguf_blocks.py: prints tests/support/gguf_blocks.def, blocks of floats and what PyPI gguf's quantize makes of them.

    python3 -m venv V && V/bin/pip install gguf==0.19.0
    V/bin/python tests/support/gguf_blocks.py > tests/support/gguf_blocks.def

Random, zero, tiny and huge blocks, halves of every rounding, equal magnitudes of both signs, infinities and NaNs.
"""
import numpy as np
from gguf import GGMLQuantizationType as kind
from gguf.quants import quantize

HEAD = """/* SPDX-License-Identifier: BSD-2-Clause */
/* Made by tests/support/gguf_blocks.py with gguf 0.19.0: bits of 32 floats, the bytes of their q8_0 and q4_0 blocks.
 * GGUF_BLOCK(what, floats, q8_0, q4_0) */"""


EXPONENTS = (-149, -140, -130, -126, -120, -60, -40, -25, -20, -14, -8, 0, 0, 0, 0, 8, 15, 16, 22, 24, 40, 100, 126)


def halves(random):
    """Elements that lie half way between two quants, where the block's scale is a power of two."""
    x = (random.integers(-126, 127, 32) + 0.5).astype(np.float32)
    x[random.integers(0, 32)] = 127
    return x


def blocks(random):
    """(what, 32 floats)"""
    yield "zero", np.zeros(32, np.float32)
    yield "minus zero", -np.zeros(32, np.float32)
    yield "minus zero first", np.array([-0.0] + [0.0] * 31, np.float32)
    for exponent in EXPONENTS:
        yield f"random 2^{exponent}", np.ldexp(random.standard_normal(32), exponent).astype(np.float32)
    for exponent in (0, 3, -4):
        yield f"q8_0 halves 2^{exponent}", np.ldexp(halves(random), exponent)
        x = (random.integers(-16, 16, 32) / 2).astype(np.float32)
        yield f"q4_0 halves 2^{exponent}", np.ldexp(np.append(x[1:], -8).astype(np.float32), exponent)
        x = np.nextafter(np.append(x[1:], -8), 9, dtype=np.float32)
        yield f"q4_0 near halves 2^{exponent}", np.ldexp(x, exponent)
    for sign in (1, -1):
        x = random.standard_normal(32).astype(np.float32)
        x[[5, 20]] = sign * 9, -sign * 9
        yield f"equal magnitudes, {'plus' if sign > 0 else 'minus'} first", x
        x[[5, 20]] = 0
        x[[30, 17]] = sign * 9, -sign * 9
        yield f"equal magnitudes in the high half, {'minus' if sign > 0 else 'plus'} first", x.copy()
    yield "largest floats", np.full(32, np.finfo(np.float32).max)
    yield "one element", np.array([0.0] * 31 + [-3.0], np.float32)
    for value in (np.inf, -np.inf, np.nan):
        x = random.standard_normal(32).astype(np.float32)
        x[7] = value
        yield f"a {value}", x


def text_of(numbers, width):
    return "{ " + ", ".join(f"0x{int(n):0{width}x}" for n in numbers) + " }"


def main():
    random = np.random.default_rng(4)
    print(HEAD)
    with np.errstate(all="ignore"):
        for what, x in blocks(random):
            x = x.astype(np.float32).reshape(1, 32)
            print(f'GGUF_BLOCK("{what}", {text_of(x.view(np.uint32)[0], 8)}, {text_of(quantize(x, kind.Q8_0)[0], 2)}, '
                  f"{text_of(quantize(x, kind.Q4_0)[0], 2)})")


if __name__ == "__main__":
    main()
