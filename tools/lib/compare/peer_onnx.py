# SPDX-License-Identifier: BSD-2-Clause
"""ONNX Runtime's three attention operators: com.microsoft's MultiHeadAttention and GroupQueryAttention, and Attention
of opset 23. Each takes the rows that it has a form for. Inputs and outputs are bound beforehand, so that a run copies
and allocates nothing."""
import time

import numpy
import onnxruntime
from onnx import TensorProto, helper

TYPES = {"f32": TensorProto.FLOAT, "f16": TensorProto.FLOAT16}
OPSETS = [helper.make_opsetid("", 23), helper.make_opsetid("com.microsoft", 1)]
IR_VERSION = 11
SETTINGS = {"threads": 2}


def session_of(node, inputs, outputs, initializers=()):
    """inputs and outputs: {name: (type, shape)}."""
    describe = lambda table: [helper.make_tensor_value_info(name, *what) for name, what in table.items()]
    graph = helper.make_graph([node], "attention", describe(inputs), describe(outputs), list(initializers))
    model = helper.make_model(graph, opset_imports=OPSETS, ir_version=IR_VERSION)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = SETTINGS["threads"]
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Its threads go on spinning after a run, and would slow the next peer's.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def packed(tensor):
    """[batch, heads, length, dim] as [batch, length, heads * dim]."""
    batch, heads, length, dim = tensor.shape
    return numpy.ascontiguousarray(tensor.transpose(0, 2, 1, 3)).reshape(batch, length, heads * dim)


class Runner:
    """`feeds`: inputs by name, once for each copy of K and V; `out`: an array for the result; `in_place`: results by
    name that are written over an input of another name."""

    def __init__(self, name, shape, session, feeds, out, in_place=None):
        self.name, self.shape, self.session, self.out, self.turn = name, shape, session, out, 0
        self.keep, self.bindings = [], []
        self.result = onnxruntime.OrtValue.ortvalue_from_numpy(out)
        for feed in feeds:
            values = {key: onnxruntime.OrtValue.ortvalue_from_numpy(value) for key, value in feed.items()}
            binding = session.io_binding()
            for key, value in values.items():
                binding.bind_ortvalue_input(key, value)
            binding.bind_ortvalue_output("out", self.result)
            for target, source in (in_place or {}).items():
                binding.bind_ortvalue_output(target, values[source])
            self.keep.append(values)
            self.bindings.append(binding)

    def run(self):
        binding = self.bindings[self.turn % len(self.bindings)]
        self.turn += 1
        start = time.perf_counter()
        self.session.run_with_iobinding(binding)
        return time.perf_counter() - start

    def output(self):
        out, shape = self.result.numpy().astype(numpy.float32), self.shape
        if out.ndim == 4:
            return out
        return out.reshape(shape.batch, shape.q_len, shape.q_heads, shape.head_dim).transpose(0, 2, 1, 3)

    def close(self):
        self.bindings = self.keep = self.session = None


def arrays(numbers):
    return [tensor.numpy() for tensor in (numbers.q, numbers.k, numbers.v)]


def every_copy(numbers, feed):
    """The feed, and as many copies of it as K and V have."""
    return [feed] + [{name: value.copy() for name, value in feed.items()} for _ in range(numbers.copies - 1)]


def sizes(feed, kind, others=None):
    return {name: ((others or {}).get(name, kind), value.shape) for name, value in feed.items()}


def open_multi_head(numbers):
    shape = numbers.shape
    plain = shape.q_heads == shape.kv_heads and not shape.window and (shape.square or shape.q_len == 1)
    if shape.dtype != "f32" or not plain:
        return "f32 without groups or windows only"
    q, k, v = map(packed, arrays(numbers))
    causal = shape.causal and shape.q_len > 1
    node = helper.make_node("MultiHeadAttention", ["q", "k", "v"], ["out"], domain="com.microsoft",
                            num_heads=shape.q_heads, unidirectional=int(causal))
    feed, out = {"q": q, "k": k, "v": v}, numpy.zeros_like(q)
    session = session_of(node, sizes(feed, TYPES["f32"]), {"out": (TYPES["f32"], out.shape)})
    return Runner("ort mha", shape, session, every_copy(numbers, feed), out)


def open_attention(numbers):
    shape, kind = numbers.shape, TYPES[numbers.shape.dtype]
    q, k, v = arrays(numbers)
    feed, out = {"q": q, "k": k, "v": v}, numpy.zeros_like(q)
    plain_causal = shape.causal and shape.square and not shape.window
    node = helper.make_node("Attention", ["q", "k", "v"], ["out"], is_causal=int(plain_causal))
    if shape.masks_something() and not plain_causal:
        feed["mask"] = shape.kept().numpy()
        node.input.append("mask")
    session = session_of(node, sizes(feed, kind, {"mask": TensorProto.BOOL}), {"out": (kind, out.shape)})
    return Runner("ort attention", shape, session, every_copy(numbers, feed), out)


def open_group_query(numbers):
    """The cache holds all keys, and the step's own come once more, beside it, as a step of decoding gives them."""
    shape, kind = numbers.shape, TYPES[numbers.shape.dtype]
    if shape.window or not (shape.causal or shape.q_len == 1):
        return "causal order without windows only"
    q, k, v = arrays(numbers)
    new = lambda cache: packed(cache[:, :, shape.kv_len - shape.q_len:])
    feed = {"q": packed(q), "k": new(k), "v": new(v), "past_k": k.copy(), "past_v": v.copy(),  # it writes to the cache
            "seqlens_k": numpy.full(shape.batch, shape.kv_len - 1, dtype=numpy.int32),
            "total": numpy.array(shape.kv_len, dtype=numpy.int32)}
    caches = {"present_k": "past_k", "present_v": "past_v"}
    node = helper.make_node("GroupQueryAttention", list(feed), ["out", *caches], domain="com.microsoft",
                            num_heads=shape.q_heads, kv_num_heads=shape.kv_heads)
    out = numpy.zeros_like(feed["q"])
    integers = {"seqlens_k": TensorProto.INT32, "total": TensorProto.INT32}
    results = {"out": (kind, out.shape), **{name: (kind, k.shape) for name in caches}}
    session = session_of(node, sizes(feed, kind, integers), results)
    return Runner("ort gqa", shape, session, every_copy(numbers, feed), out, caches)


OPERATORS = {"ort mha": open_multi_head, "ort attention": open_attention, "ort gqa": open_group_query}


def open_peers(numbers):
    """Yields (name, runner or why there is none)."""
    for name, opens in OPERATORS.items():
        if numbers.shape.dtype not in TYPES:
            yield name, f"no {numbers.shape.dtype} on a CPU"
            continue
        try:
            yield name, opens(numbers)
        except Exception as error:  # its own classes have no common base but this
            yield name, str(error).splitlines()[0]


def version():
    return f"ONNX Runtime {onnxruntime.__version__}"


def prepare(threads):
    SETTINGS["threads"] = threads
