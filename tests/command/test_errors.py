#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the command refuses: status, one line that names the argument and the value, and no output left."""
import os
import pathlib
import re
import resource
import signal
import subprocess
import time

import support
from support import FAILED, USAGE, Folder, Report, run

BATCH, Q_HEADS, KV_HEADS, Q_LEN, KV_LEN, DIM = 2, 4, 2, 5, 7, 8


class Case:
    def __init__(self, report):
        self.report, self.folder = report, Folder()
        self.base = {
            "--q": self.folder.tensor("q.npy", (BATCH, Q_HEADS, Q_LEN, DIM))[0],
            "--k": self.folder.tensor("k.npy", (BATCH, KV_HEADS, KV_LEN, DIM))[0],
            "--v": self.folder.tensor("v.npy", (BATCH, KV_HEADS, KV_LEN, DIM))[0],
            "--out": str(self.folder / "out.npy"),
            "--lse": str(self.folder / "lse.npy"),
        }
        self.packed = {
            **self.base, "--layout": "thd",
            "--q": self.folder.tensor("qp.npy", (9, Q_HEADS, DIM))[0],
            "--k": self.folder.tensor("kp.npy", (11, KV_HEADS, DIM))[0],
            "--v": self.folder.tensor("vp.npy", (11, KV_HEADS, DIM))[0],
            "--cu-seqlens-q": self.folder.save("cu_q.npy", "<i4", (3,), (0, 4, 9)),
            "--cu-seqlens-k": self.folder.save("cu_k.npy", "<i4", (3,), (0, 4, 11)),
        }

    def refuse(self, what, change, words=(), status=FAILED, base=None, **how):
        options = {**(base or self.base), **change}
        arguments = [x for name, value in options.items() for x in ([name] if value is None else [name, value])]
        self.report.refused(run("run", *arguments, **how), status, words, what, self.folder)

    def raw(self, name, data):
        (self.folder / name).write_bytes(data)
        return str(self.folder / name)


def check_files(c):
    save, good = c.folder.save, support.npy_bytes("<f4", (2, 4, 5, 8), [0.0] * 320)
    header = lambda text: b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    bad = {
        "missing file": (str(c.folder / "absent.npy"), ["absent.npy", "No such file"]),
        "a line break": (str(c.folder / "ab\nsent.npy"), ["ab?sent.npy"]),
        "a folder": (str(c.folder.path), ["cannot be read"]),
        "no .npy": (c.raw("b.npy", b"PK\x03\x04" * 9), ["not a .npy file"]),
        "empty file": (c.raw("b1.npy", b""), ["not a .npy file"]),
        "truncated header": (c.raw("b2.npy", good[:40]), ["truncated"]),
        "truncated data": (c.raw("b3.npy", good[:-1]), ["truncated"]),
        "data too long": (c.raw("b4.npy", good + b"\0"), ["after its data"]),
        "format 9": (c.raw("b5.npy", good[:6] + b"\x09" + good[7:]), ["format 9.0"]),
        "Fortran order": (save("b6.npy", "<f4", (2, 4, 5, 8), [0.0] * 320, fortran=True), ["Fortran order"]),
        "objects": (save("b7.npy", "|O", (2, 4, 5, 8), b"\0" * 320), ["objects"]),
        "big-endian": (save("b8.npy", ">f4", (2, 4, 5, 8), b"\0" * 1280), ["big-endian"]),
        "complex": (save("b9.npy", "<c8", (2, 4, 5, 8), b"\0" * 2560), ["<c8"]),
        "integers": (save("b10.npy", "<i4", (2, 4, 5, 8), [0] * 320), ["int32", "float"]),
        "rank 3": (save("b11.npy", "<f4", (8, 5, 8), [0.0] * 320), ["rank 4", "[8, 5, 8]"]),
        "overflow": (save("b12.npy", "<f4", (2**40, 2**40, 1, 1), b""), ["overflows"]),
        "negative dimension": (c.raw("b13.npy", header(b"{'descr':'<f4','fortran_order':False,'shape':(-2,4,5,8)}")),
                               ["negative"]),
        "records": (c.raw("b14.npy", header(b"{'descr':[('a','<f4')],'fortran_order':False,'shape':(1,)}")),
                    ["records"]),
        "no shape": (c.raw("b15.npy", header(b"{'descr':'<f4','fortran_order':False}")), ["shape"]),
    }
    for what, (path, words) in bad.items():
        c.refuse(what, {"--q": path}, ["--q", *words])


def check_shapes(c):
    t = lambda name, *shape: c.folder.tensor(name, shape)[0]
    c.refuse("batch", {"--k": t("s1.npy", 3, 2, 7, 8)}, ["batch", "3", "2"])
    c.refuse("heads of V", {"--v": t("s2.npy", 2, 4, 7, 8)}, ["heads", "4", "2"])
    c.refuse("length of V", {"--v": t("s3.npy", 2, 2, 6, 8)}, ["length", "6", "7"])
    c.refuse("head_dim", {"--k": t("s4.npy", 2, 2, 7, 9)}, ["last dimension", "9", "8"])
    c.refuse("head ratio", {"--k": t("s5.npy", 2, 3, 7, 8), "--v": t("s6.npy", 2, 3, 7, 8)}, ["multiple", "3", "4"])
    c.refuse("no heads", {"--k": t("s7.npy", 2, 0, 7, 8), "--v": t("s8.npy", 2, 0, 7, 8)}, ["heads", "0"])
    c.refuse("head_dim 577", {"--q": t("s9.npy", 1, 1, 1, 577), "--k": t("s10.npy", 1, 1, 1, 577),
                              "--v": t("s11.npy", 1, 1, 1, 8)}, ["577", "576"])
    c.refuse("v_head_dim 0", {"--v": t("s12.npy", 2, 2, 7, 0)}, ["--v", "576"])
    c.refuse("mask shape", {"--mask": t("s13.npy", 5, 6)}, ["--mask", "[5, 6]", "[2, 4, 5, 7]"])
    c.refuse("mask rank 5", {"--mask": t("s14.npy", 1, 1, 1, 1, 7)}, ["--mask", "rank"])
    c.refuse("mask rank 0", {"--mask": t("s15.npy")}, ["--mask", "rank"])
    c.refuse("mask type", {"--mask": c.folder.save("s16.npy", "<i4", (7,), [0] * 7)}, ["--mask", "int32"])
    c.refuse("slopes", {"--alibi": t("s17.npy", 3)}, ["--alibi", "[3]", "q_heads"])
    c.refuse("type of slopes", {"--alibi": c.folder.save("s18.npy", "<f2", (4,), [0.0] * 4)}, ["--alibi", "float32"])
    c.refuse("sinks", {"--sinks": t("s19.npy", 2, 2)}, ["--sinks", "[2, 2]"])


def check_lengths(c):
    i = lambda name, *values, descr="<i4": c.folder.save(name, descr, (len(values),), values)
    c.refuse("negative length", {"--kv-lens": i("l1.npy", 3, -1)}, ["--kv-lens", "-1"])
    c.refuse("length past the end", {"--kv-lens": i("l2.npy", 8, 1)}, ["--kv-lens", "8", "7"])
    c.refuse("count of lengths", {"--kv-lens": i("l3.npy", 1)}, ["--kv-lens", "[1]"])
    c.refuse("type of lengths", {"--kv-lens": c.folder.tensor("l4.npy", (2,))[0]}, ["--kv-lens", "float32"])
    c.refuse("length over 2^31", {"--kv-lens": i("l5.npy", 2**33, 1, descr="<i8")}, ["--kv-lens", "8589934592"])
    c.refuse("offsets", {"--q-offset": i("l6.npy", 1, 2, 3)}, ["--q-offset", "[3]"])
    c.refuse("offset over 2^31", {"--q-offset": "4000000000"}, ["--q-offset", "4000000000"])
    c.refuse("offset file", {"--q-offset": "1x"}, ["--q-offset", "1x"])
    c.refuse("cu_seqlens without thd", {"--cu-seqlens-q": i("l7.npy", 0, 5)}, ["--cu-seqlens-q", "thd"])
    p = lambda what, option, words, *values: c.refuse(what, {option: i("l8.npy", *values)}, [option, *words],
                                                      base=c.packed)
    p("decreasing", "--cu-seqlens-q", ["decreases"], 0, 5, 4)
    p("past the tokens", "--cu-seqlens-q", ["10", "9"], 0, 5, 10)
    p("not from 0", "--cu-seqlens-k", ["start"], 1, 5, 11)
    p("another batch", "--cu-seqlens-k", ["[2]"], 0, 11)
    p("empty", "--cu-seqlens-q", ["[0]"])
    p("past a sequence", "--kv-lens", ["5", "4"], 5, 7)
    without = {k: v for k, v in c.packed.items() if k != "--cu-seqlens-k"}
    c.refuse("thd without cu_seqlens", {}, ["--cu-seqlens-k"], base=without)


def check_values(c):
    for option, value in (("--scale", "nan"), ("--scale", "inf"), ("--scale", "1e39"), ("--softcap", "-1"),
                          ("--softcap", "nan"), ("--window", "-2,1"), ("--window", "1,9999999999"), ("--repeat", "0"),
                          ("--split-size", "0")):
        c.refuse(f"{option} {value}", {option: value}, [option, value])
    for option, value in (("--scale", "x"), ("--scale", ""), ("--softcap", "1.5e"), ("--window", "3"),
                          ("--window", "3,"), ("--window", "1,2,3"), ("--repeat", "1.5"),
                          ("--repeat", "99999999999999999999"), ("--split-size", "64k"), ("--dtype", "f64"),
                          ("--layout", "sbhd"), ("--layout", "b")):
        c.refuse(f"{option} '{value}'", {option: value}, [option, value], USAGE)
    c.refuse("unknown option", {"--qq": "1"}, ["--qq", "--help"], USAGE)
    c.refuse("value of a flag", {"--causal=1": None}, ["--causal"], USAGE)
    for option in ("--q", "--k", "--v", "--out"):
        c.refuse(f"without {option}", {}, [option], USAGE, {k: v for k, v in c.base.items() if k != option})


def check_outputs(c):
    good = pathlib.Path(c.base["--q"]).read_bytes()
    link, hard = c.folder / "link.npy", c.folder / "hard.npy"
    link.symlink_to(c.base["--k"])
    os.link(c.base["--v"], hard)
    for path in (c.base["--q"], link, hard, f"{c.folder.path}/./q.npy"):
        c.refuse(f"output {path}", {"--out": str(path)}, ["--out", "input"])
        c.refuse(f"output {path}", {"--lse": str(path)}, ["--lse", "input"])
    c.report.check(pathlib.Path(c.base["--q"]).read_bytes() == good, "an input was changed")
    c.refuse("one file for both", {"--lse": f"{c.folder.path}/../{c.folder.path.name}/out.npy"}, ["--lse", "--out"])
    c.refuse("no folder", {"--out": str(c.folder / "none/out.npy")}, ["--out", "none/out.npy"])
    c.refuse("a folder", {"--lse": str(c.folder.path)}, ["--lse"])
    c.refuse("a device", {"--out": "/dev/null"}, ["--out", "/dev/null"])
    c.refuse("a folder that takes no files", {"--out": "/proc/out.npy"}, ["--out", "/proc/out.npy"])


def check_devices(c):
    c.refuse("unknown device", {"--device": "no such thing"}, ["--device", "no such thing", "0:0"])
    c.refuse("unknown index", {"--device": "99:0"}, ["--device", "99:0"])
    c.refuse("unknown CLATTN_DEVICE", {}, ["CLATTN_DEVICE", "nowhere"], env={"CLATTN_DEVICE": "nowhere"})
    empty = c.folder / "kernels"
    empty.mkdir()
    c.refuse("empty CLATTN_KERNEL_DIR", {}, [".cl"], env={"CLATTN_KERNEL_DIR": str(empty)})
    result = run("check", "--quick", env={"CLATTN_KERNEL_DIR": str(empty)})
    c.report.refused(result, FAILED, [".cl"], "check with an empty CLATTN_KERNEL_DIR")


def check_late_failures(c):
    """What fails after the computation leaves nothing: a full disk (here a limit on files), a full stdout."""
    arguments = [x for pair in c.base.items() for x in pair]
    with open("/dev/full", "w") as full:
        result = subprocess.run([support.COMMAND, "run", *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
    c.report.refused(result, FAILED, ["stdout"], "stdout to /dev/full", c.folder)

    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run([support.COMMAND, "run", *arguments], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    c.report.refused(result, FAILED, ["stdout", "Broken pipe"], "stdout to nobody", c.folder)

    def limit():  # with SIGXFSZ as it is by default
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    warm = run("run", *arguments)  # so that no cache file meets the limit
    c.report.check(warm.returncode == 0, f"a good run: {warm.stderr}")
    old = [(c.folder / name).read_bytes() for name in ("out.npy", "lse.npy")]
    result = subprocess.run([support.COMMAND, "run", *arguments], capture_output=True, text=True, preexec_fn=limit)
    c.report.check(result.returncode == FAILED and "cannot be written" in result.stderr, f"full disk: {result.stderr}")
    now = [(c.folder / name).read_bytes() for name in ("out.npy", "lse.npy")]
    c.report.check(old == now, "full disk: outputs changed")
    c.report.check(c.folder.left() == ["lse.npy", "out.npy"], f"full disk: left {c.folder.left()}")
    for name in ("out.npy", "lse.npy"):
        (c.folder / name).unlink()


def is_blocked(process, number):
    """Whether the process has come so far as to take signals in a thread of its own."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    mask = re.search(r"^SigBlk:\s*([0-9a-f]+)", status, re.M)
    return mask and int(mask[1], 16) >> (number - 1) & 1


def die_of_hangups():
    """As without nohup, whose wish the command heeds."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def check_interrupt(c):
    """A signal at any time: 130, and either no output or all of them."""
    arguments = [x for pair in c.base.items() for x in pair] + ["--repeat", "100000"]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process = subprocess.Popen([support.COMMAND, "run", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   preexec_fn=die_of_hangups)
        while process.poll() is None and not is_blocked(process, number):
            time.sleep(0.01)
        time.sleep(0.5)  # anywhere in its work
        process.send_signal(number)
        out, err = process.communicate(timeout=support.HANGS)
        c.report.check(process.returncode == 130, f"{number}: status {process.returncode}, {err}")
        c.report.check(not c.folder.left(), f"{number}: left {c.folder.left()}")


def main():
    c = Case(Report())
    for check in (check_files, check_shapes, check_lengths, check_values, check_outputs, check_devices,
                  check_late_failures, check_interrupt):
        check(c)
    c.report.finish()


main()
