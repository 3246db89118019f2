# SPDX-License-Identifier: BSD-2-Clause
"""ggml's flash attention on the CPU, by ctypes. Q is f32, as ggml wants it; K and V are f32 or f16, as the row says."""
import ctypes
import pathlib
import time

import numpy

TYPES = {"f32": 0, "f16": 1}  # enum ggml_type
STATE = {"library": None, "backend": None, "why": "it was not built", "version": ""}
POINTER, SIZE, INT, LONG = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int64


class InitParams(ctypes.Structure):
    _fields_ = [("mem_size", SIZE), ("mem_buffer", POINTER), ("no_alloc", ctypes.c_bool)]


FUNCTIONS = {
    "ggml_init": (POINTER, InitParams),
    "ggml_free": (None, POINTER),
    "ggml_new_tensor_4d": (POINTER, POINTER, INT, LONG, LONG, LONG, LONG),
    "ggml_flash_attn_ext": (POINTER, POINTER, POINTER, POINTER, POINTER, POINTER, *[ctypes.c_float] * 3),
    "ggml_new_graph": (POINTER, POINTER),
    "ggml_build_forward_expand": (None, POINTER, POINTER),
    "ggml_tensor_overhead": (SIZE,),
    "ggml_graph_overhead": (SIZE,),
    "ggml_version": (ctypes.c_char_p,),
    "ggml_backend_alloc_ctx_tensors": (POINTER, POINTER, POINTER),
    "ggml_backend_buffer_free": (None, POINTER),
    "ggml_backend_tensor_set": (None, POINTER, POINTER, SIZE, SIZE),
    "ggml_backend_tensor_get": (None, POINTER, POINTER, SIZE, SIZE),
    "ggml_backend_graph_compute": (INT, POINTER, POINTER),
    "ggml_backend_cpu_init": (POINTER,),
    "ggml_backend_cpu_set_n_threads": (None, POINTER, INT),
}
TENSORS_A_COPY = 8


class Library:
    """The functions of libggml-base and libggml-cpu under their own names."""

    def __init__(self, folder):
        parts = [ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
                 for name in ("libggml-base.so", "libggml-cpu.so")]
        for name, (result, *arguments) in FUNCTIONS.items():
            function = next(getattr(part, name) for part in parts if hasattr(part, name))
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)


class Copy:
    """A graph of its own K and V."""

    def __init__(self, lib, backend, numbers, mask):
        shape = numbers.shape
        size = TENSORS_A_COPY * lib.ggml_tensor_overhead() + lib.ggml_graph_overhead()
        self.lib, self.context = lib, lib.ggml_init(InitParams(size, None, True))
        make = lambda kind, heads, length: lib.ggml_new_tensor_4d(self.context, kind, shape.head_dim, length, heads,
                                                                  shape.batch)
        kind = TYPES[shape.dtype]
        q = make(TYPES["f32"], shape.q_heads, shape.q_len)
        k, v = (make(kind, shape.kv_heads, shape.kv_len) for _ in range(2))
        m = None
        if mask is not None:
            m = lib.ggml_new_tensor_4d(self.context, TYPES["f16"], shape.kv_len, shape.q_len, 1, 1)
        self.out = lib.ggml_flash_attn_ext(self.context, q, k, v, m, shape.head_dim ** -0.5, 0.0, 0.0)
        self.graph = lib.ggml_new_graph(self.context)
        lib.ggml_build_forward_expand(self.graph, self.out)
        self.buffer = lib.ggml_backend_alloc_ctx_tensors(self.context, backend)
        self.set(q, numbers.q.float().numpy())
        self.set(k, numbers.k.numpy())
        self.set(v, numbers.v.numpy())
        if mask is not None:
            self.set(m, mask)

    def set(self, tensor, array):
        array = numpy.ascontiguousarray(array)
        self.lib.ggml_backend_tensor_set(tensor, array.ctypes.data, 0, array.nbytes)

    def get(self, array):
        self.lib.ggml_backend_tensor_get(self.out, array.ctypes.data, 0, array.nbytes)

    def close(self):
        self.lib.ggml_backend_buffer_free(self.buffer)
        self.lib.ggml_free(self.context)


class Runner:
    def __init__(self, numbers):
        shape = numbers.shape
        self.name, self.shape, self.turn = "ggml", shape, 0
        self.lib, self.backend = STATE["library"], STATE["backend"]
        mask = None
        if shape.masks_something():
            mask = numpy.where(shape.kept().numpy(), 0, -numpy.inf).astype(numpy.float16)
        self.copies = [Copy(self.lib, self.backend, numbers, mask) for _ in range(numbers.copies)]

    def run(self):
        copy = self.copies[self.turn % len(self.copies)]
        self.turn += 1
        start = time.perf_counter()
        status = self.lib.ggml_backend_graph_compute(self.backend, copy.graph)
        seconds = time.perf_counter() - start
        if status != 0:
            raise RuntimeError(f"ggml_backend_graph_compute gave {status}")
        return seconds

    def output(self):
        """ggml's is [batch, length, heads, dim]."""
        shape = self.shape
        out = numpy.empty((shape.batch, shape.q_len, shape.q_heads, shape.head_dim), dtype=numpy.float32)
        self.copies[(self.turn - 1) % len(self.copies)].get(out)
        return out.transpose(0, 2, 1, 3)

    def close(self):
        for copy in self.copies:
            copy.close()
        self.copies = []


def open_peers(numbers):
    """Yields (name, runner or why there is none)."""
    if not STATE["library"]:
        yield "ggml", STATE["why"]
    elif numbers.shape.dtype not in TYPES:
        yield "ggml", f"K and V of {numbers.shape.dtype} are not compared"
    else:
        yield "ggml", Runner(numbers)


def version():
    return f"ggml {STATE['version']}" if STATE["library"] else f"ggml: none, since {STATE['why']}"


def prepare(threads, folder):
    folder = pathlib.Path(folder)
    if not (folder / "libggml-cpu.so").exists():
        missing = folder / "missing"
        STATE["why"] = missing.read_text().strip() if missing.exists() else "it was not built"
        return
    library = Library(folder)
    STATE.update(library=library, backend=library.ggml_backend_cpu_init(), version=library.ggml_version().decode())
    library.ggml_backend_cpu_set_n_threads(STATE["backend"], threads)
