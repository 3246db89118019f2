# SPDX-License-Identifier: BSD-2-Clause
"""Compares what `clattn run` wrote with the float64 answer, and prints error, time, rate and kernel for tools/demo.

usage: demo_report.py RUN.json O.npy EXPECTED_O.npy LSE.npy EXPECTED_LSE.npy
"""
import array
import ast
import json
import math
import struct
import sys

# The contract's tolerance of f16 against float64 on the operands as stored.
ABSOLUTE, RELATIVE = 2e-3, 4e-3


def read_npy(path):
    """(shape, values as floats) of a little-endian f16 or f32 file."""
    with open(path, "rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise SystemExit(f"demo: {path} is not a .npy file")
        major = file.read(2)[0]
        size = struct.unpack("<H", file.read(2))[0] if major == 1 else struct.unpack("<I", file.read(4))[0]
        header = ast.literal_eval(file.read(size).decode("latin1"))
        content = file.read()
    if header["descr"] == "<f2":
        return header["shape"], struct.unpack(f"<{len(content) // 2}e", content)
    if header["descr"] != "<f4" or header["fortran_order"]:
        raise SystemExit(f"demo: {path} holds {header['descr']}, expected <f2 or <f4 in C order")
    values = array.array("f")
    values.frombytes(content)
    if sys.byteorder != "little":
        values.byteswap()
    return header["shape"], values


def compare(name, path, expected_path):
    """Prints the error and returns whether every element is within tolerance; no element is out of it by NaN."""
    shape, got = read_npy(path)
    expected_shape, expected = read_npy(expected_path)
    if shape != expected_shape or not expected:
        print(f"{name}: shape {shape}, expected {expected_shape}")
        return False
    errors = [abs(y - x) for x, y in zip(got, expected)]
    outside = sum(not error <= ABSOLUTE + RELATIVE * abs(y) for error, y in zip(errors, expected))
    rms = math.sqrt(sum(error * error for error in errors) / len(errors))
    print(f"{name:4}{list(shape)}: largest error {max(errors):.2e}, rms {rms:.2e}, "
          f"{outside} of {len(errors)} outside {ABSOLUTE} + {RELATIVE} |y|")
    return outside == 0


def report(path):
    with open(path, encoding="utf-8") as file:
        result = json.loads(file.readline())
    print(f"device  {result['device']}")
    print(f"kernel  {result['kernel']}, {result['fragment']}, {result['tile']}")
    print(f"time    {result['seconds_median'] * 1e3:.2f} ms (median), {result['gflops']:.1f} GFLOP/s")


def main(run_json, *paths):
    report(run_json)
    good = [compare("O", paths[0], paths[1]), compare("LSE", paths[2], paths[3])]
    print("within tolerance" if all(good) else "OUT OF TOLERANCE")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
