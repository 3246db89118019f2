# SPDX-License-Identifier: BSD-2-Clause
"""What a cache of each type makes of numbers, in plain Python: lists in, the values that attention reads out."""
import math
import struct


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def f16(x):
    return struct.unpack("<e", struct.pack("<e", x))[0]


def bf16(x):
    bits = struct.unpack("<I", struct.pack("<f", x))[0]
    bits += 0x7fff + (bits >> 16 & 1)
    return struct.unpack("<f", struct.pack("<I", bits & 0xffff0000))[0]


def fp8_code(code):
    """E4M3FN: 4 bits of exponent, 3 of mantissa."""
    exponent, mantissa = code >> 3, code & 7
    return mantissa / 8 * 2.0**-6 if exponent == 0 else (1 + mantissa / 8) * 2.0**(exponent - 7)


FP8 = [fp8_code(code) for code in range(127)]


def fp8(x):
    """Without a scale; of two codes that are as near, the even one."""
    code = min(range(127), key=lambda c: (abs(FP8[c] - abs(x)), c % 2))
    return math.copysign(FP8[code], x)


def blocks(row, one):
    return [y for i in range(0, len(row), 32) for y in one(row[i:i + 32])]


def q8_0(block):
    d = f32(max(abs(x) for x in block) / 127)
    inverse = f32(1 / d) if d else 0.0
    return [f16(d) * math.copysign(math.floor(abs(f32(x * inverse)) + 0.5), x) for x in block]


def q4_0(block):
    d = f32(max(block, key=abs) / -8)
    inverse = f32(1 / d) if d else 0.0
    return [f16(d) * (min(15, math.floor(f32(f32(x * inverse) + 8.5))) - 8) for x in block]


def convert(row, dtype, scale):
    """A row of head_dim numbers."""
    if dtype == "fp8":
        return [f32(fp8(f32(x / scale)) * scale) for x in row]
    if dtype in ("q8_0", "q4_0"):
        return blocks(row, {"q8_0": q8_0, "q4_0": q4_0}[dtype])
    return [{"f32": f32, "f16": f16, "bf16": bf16}[dtype](x) for x in row]


def scales(nested, dtype):
    """nested: [batch][kv_heads][length][dim]; a scale a head, 1 where there is none."""
    if dtype != "fp8":
        return [1.0] * len(nested[0])
    amax = [max((abs(x) for seq in nested for row in seq[h] for x in row), default=0.0) for h in range(len(nested[0]))]
    return [f32(f32(x) / 448) if x else 1.0 for x in amax]


def convert_all(nested, dtype):
    s = scales(nested, dtype)
    return [[[convert(row, dtype, s[h]) for row in head] for h, head in enumerate(seq)] for seq in nested]
