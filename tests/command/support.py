# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the command share: .npy files, runs of the binary, attention in plain Python."""
import json
import math
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile

COMMAND = os.environ.get("CLATTN_COMMAND", "clattn")
SOURCE = pathlib.Path(__file__).resolve().parents[2]
FORMATS = {"<f4": "f", "<f8": "d", "<f2": "e", "<i4": "i", "<i8": "q", "|b1": "?"}
FAILED, USAGE = 1, 2
HANGS = 1200  # seconds that nothing takes, on any machine


def npy_bytes(descr, shape, values, fortran=False, version=1):
    header = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {tuple(shape)}, }}\n".encode()
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    data = struct.pack(f"<{len(values)}{FORMATS[descr]}", *values) if descr in FORMATS else bytes(values)
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + data


def npy_load(path):
    """(descr, shape, flat list)"""
    raw = pathlib.Path(path).read_bytes()
    length = struct.unpack("<H", raw[8:10])[0]
    header = eval(raw[10:10 + length], {})  # our own output, in a test
    data = raw[10 + length:]
    kind = FORMATS[header["descr"]]
    return header["descr"], header["shape"], list(struct.unpack(f"<{len(data) // struct.calcsize(kind)}{kind}", data))


def own_words(stderr):
    """Without what PoCL's compiler says of kernels whose loops it left alone."""
    return re.sub(r"^\d+ warnings? generated\.\n", "", stderr, flags=re.M)


def count(shape):
    return math.prod(shape)


class Folder:
    """A folder of one test, with deterministic numbers."""

    def __init__(self, seed=1):
        self.owner = tempfile.TemporaryDirectory(prefix="clattn-test-")
        self.path = pathlib.Path(self.owner.name)
        self.random = random.Random(seed)

    def __truediv__(self, name):
        return self.path / name

    def save(self, name, descr, shape, values, **how):
        (self.path / name).write_bytes(npy_bytes(descr, shape, values, **how))
        return str(self.path / name)

    def tensor(self, name, shape, descr="<f4", spread=2.0):
        """Saves random numbers that every type holds exactly; returns (path, values)."""
        values = [self.random.randint(-32, 32) / 32 * spread for _ in range(count(shape))]
        return self.save(name, descr, shape, values), values

    def left(self):
        """Names in the folder that no test of inputs made: outputs and temporary files."""
        return sorted(p.name for p in self.path.iterdir() if p.name.startswith((".", "out", "lse")))


def run(*arguments, env=None, **kwargs):
    variables = dict(os.environ, **(env or {}))
    return subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=HANGS,
                          env=variables, **kwargs)


def option_rows(command):
    """(name, kind, need, argument) of options.def's rows of a subcommand."""
    text = (SOURCE / "tools/clattn/options.def").read_text()
    rows = re.findall(r'^OPTION\((\w+), \w+, "([^"]+)", (\w+), (\w+), "([^"]*)",', text, re.M)
    return [row[1:] for row in rows if row[0] == command]


def attention(q, k, v, dims, v_dims, q_heads, kv_heads, keep=None, bias=None, scale=None, softcap=0.0, sinks=None):
    """One sequence, [heads][len][dim] nested lists. keep and bias: functions of (head, i, j). Returns (O, LSE)."""
    scale = scale or 1.0 / math.sqrt(dims)
    out, lses = [], []
    for h in range(q_heads):
        g = h // (q_heads // kv_heads)
        rows, row_lses = [], []
        for i, query in enumerate(q[h]):
            logits = []
            for j, key in enumerate(k[g]):
                if keep and not keep(h, i, j):
                    continue
                x = scale * sum(a * b for a, b in zip(query, key))
                x = softcap * math.tanh(x / softcap) if softcap else x
                logits.append((x + (bias(h, i, j) if bias else 0.0), j))
            everything = [x for x, _ in logits] + ([sinks[h]] if sinks else [])
            if not everything:
                rows.append([0.0] * v_dims)
                row_lses.append(-math.inf)
                continue
            top = max(everything)
            total = sum(math.exp(x - top) for x in everything)
            rows.append([sum(math.exp(x - top) * v[g][j][d] for x, j in logits) / total for d in range(v_dims)])
            row_lses.append(top + math.log(total))
        out.append(rows)
        lses.append(row_lses)
    return out, lses


def nest(values, shape):
    if len(shape) == 1:
        return values
    step = count(shape[1:])
    return [nest(values[i * step:(i + 1) * step], shape[1:]) for i in range(shape[0])]


def close(got, want, absolute=2e-5, relative=1e-3):
    return (got == want) or abs(got - want) <= absolute + relative * abs(want)


def flatten(nested):
    return [x for part in nested for x in flatten(part)] if isinstance(nested, list) else [nested]


class Report:
    """Counts cases; the process fails when one did, or there was none."""

    def __init__(self):
        self.passed, self.failed = 0, 0

    def check(self, condition, what):
        if condition:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAIL {what}")

    def refused(self, result, status, words, what, folder=None):
        """A failure as the contract has it: the status, one line on stderr with `words` in it, no output. One case."""
        lines, wrong = own_words(result.stderr).splitlines(), []
        if result.returncode != status:
            wrong.append(f"status {result.returncode}, not {status}: {result.stderr}")
        if len(lines) != 1:
            wrong.append(f"{len(lines)} lines on stderr: {result.stderr}")
        wrong += [f"'{word}' is not in: {result.stderr.strip()}" for word in words if word not in result.stderr]
        if folder and folder.left():
            wrong.append(f"left {folder.left()}")
        self.check(not wrong, f"{what}: {'; '.join(wrong)}")

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed, 0 skipped")
        sys.exit(1 if self.failed or not self.passed else 0)


def skip_without_device():
    result = run("devices", "--json")
    if result.returncode != 0:
        print(f"SKIP: {result.stderr.strip()}")
        sys.exit(77)
    return [json.loads(line) for line in result.stdout.splitlines()]
