#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes tests/fuzz/corpus/npy: one file for each error that npy_parse() knows, and good ones (good-*)."""
import pathlib
import struct

FOLDER = pathlib.Path(__file__).resolve().parent / "corpus" / "npy"
D, F, S = b"'descr': '<f4'", b"'fortran_order': False", b"'shape': (2, 3)"


def file(dictionary, data=bytes(24), version=1, pad=b"\n"):
    text = dictionary + pad
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + data


def fields(*parts):
    return b"{" + b", ".join(parts) + b", }"


GOOD = file(fields(D, F, S))
FILES = {
    "good-v1": GOOD,
    "good-v2": file(fields(D, F, S), version=2),
    "good-v3": file(fields(D, F, S), version=3),
    "good-scalar": file(fields(D, F, b"'shape': ()"), bytes(4)),
    "good-empty": file(fields(D, F, b"'shape': (0, 5)"), b""),
    "good-bool": file(fields(b"'descr': '|b1'", F, b"'shape': (3,)"), bytes(3)),
    "good-int": file(fields(b"'descr': '<i8'", F, b"'shape': (1,)"), bytes(8)),
    "good-half": file(fields(b"'descr': '<f2'", F, S), bytes(12)),
    "good-other-quotes": file(b'{"shape":(2,3),"descr":"<f4","fortran_order":False}'),
    "bad-magic": b"\x93NUMPX" + GOOD[6:],
    "bad-empty-file": b"",
    "bad-short-version": GOOD[:7],
    "bad-version": GOOD[:6] + b"\x04" + GOOD[7:],
    "bad-short-length": GOOD[:9],
    "bad-short-length-v2": file(fields(D, F, S), version=2)[:11],
    "bad-short-header": GOOD[:30],
    "bad-header-length": GOOD[:8] + b"\xff\xff" + GOOD[10:],
    "bad-no-dictionary": file(b"[1, 2]"),
    "bad-dictionary": file(b"{'descr' '<f4'}"),
    "bad-no-comma": file(b"{" + D + b" " + F + b" " + S + b"}"),
    "bad-open-dictionary": file(b"{" + D + b", "),
    "bad-open-string": file(b"{'descr"),
    "bad-long-key": file(b"{'" + b"k" * 40 + b"': 1}"),
    "bad-unknown-key": file(fields(D, F, S, b"'more': 1")),
    "bad-key-twice": file(fields(D, D, F, S)),
    "bad-no-descr": file(fields(F, S)),
    "bad-no-order": file(fields(D, S)),
    "bad-no-shape": file(fields(D, F)),
    "bad-descr": file(fields(b"'descr': 4", F, S)),
    "bad-records": file(fields(b"'descr': [('a', '<f4')]", F, S)),
    "bad-objects": file(fields(b"'descr': '|O'", F, S)),
    "bad-big-endian": file(fields(b"'descr': '>f4'", F, S)),
    "bad-type": file(fields(b"'descr': '<c8'", F, S)),
    "bad-order": file(fields(D, b"'fortran_order': 0", S)),
    "bad-fortran": file(fields(D, b"'fortran_order': True", S)),
    "bad-shape": file(fields(D, F, b"'shape': 6")),
    "bad-open-shape": file(b"{" + D + b", " + F + b", 'shape': (2, 3"),
    "bad-dimension": file(fields(D, F, b"'shape': (x,)")),
    "bad-negative": file(fields(D, F, b"'shape': (2, -3)")),
    "bad-huge-dimension": file(fields(D, F, b"'shape': (99999999999999999999,)")),
    "bad-rank": file(fields(D, F, b"'shape': (1, 1, 1, 1, 1, 1, 1, 1, 6)")),
    "bad-overflow": file(fields(D, F, b"'shape': (4294967296, 4294967296, 0)"), b""),
    "bad-after-dictionary": file(fields(D, F, S), pad=b" 7\n"),
    "bad-truncated": GOOD[:-1],
    "bad-longer": GOOD + b"\0",
}


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, data in FILES.items():
        (FOLDER / f"{name}.npy").write_bytes(data)


main()
