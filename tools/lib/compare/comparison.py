# SPDX-License-Identifier: BSD-2-Clause
"""The comparison itself: each row opened, checked, measured and printed."""
import sys

import known
import measuring
import peer_clattn
import peer_ggml
import peer_onnx
import peer_torch
import report
import shapes

PEERS = (peer_torch, peer_onnx, peer_ggml)
COLUMNS = ("torch flash", "torch math", "ort mha", "ort attention", "ort gqa", "ggml")
RATIOS = {"to best": lambda row: row.ratio(row.best()[0]), "to torch": lambda row: row.ratio("torch flash"),
          "to CLBlast": lambda row: row.clblast}
TABLE = report.Table(COLUMNS, RATIOS, errors=("clattn", "PyTorch"))


def find_errors(command, measured):
    """Of f32 alone: clattn's and PyTorch's."""
    numbers, shape = measured.numbers, measured.numbers.shape
    if shape.dtype != "f32" or not shape.square or shape.window:
        return {}
    return {"clattn": numbers.errors_of(command.attend(numbers)), "PyTorch": measured.errors["torch flash"]}


def compare_clblast(command, shape, options):
    """How many times as long the unfused way takes; None where it has no form for the row."""
    if options.no_clblast or shape.dtype != "f32" or not shape.square or shape.window:
        return None
    row = command.measure(*shape.arguments(), "--baseline", "clblast", "--repeat", "3")
    return row["baseline_seconds"] / row["seconds_median"]


def measure_row(command, shape, options):
    clattn = peer_clattn.Runner(command, shape)
    measured = measuring.measure(clattn, lambda copies: shapes.Numbers(shape, copies), PEERS, options.seconds)
    return report.Row(shape, measured, find_errors(command, measured), compare_clblast(command, shape, options))


def describe(command, options):
    """The first line: machine, peaks and versions. Returns the machine, where its figures are known."""
    peaks = command.peaks()
    machine, cpu = known.find_machine(peaks["fma_gflops"]), known.this_cpu()
    versions = [peer_torch.version(), peer_onnx.version(), peer_ggml.version()]
    if options.json:
        report.print_json({"row": "machine", "cpu": cpu, "known": machine and machine.name, "versions": versions,
                           "threads": options.threads, **peaks})
        return machine
    print(f"{cpu['model']}, {options.threads} threads each; {peaks['device']}\n"
          f"peaks: fma {peaks['fma_gflops']:.1f} GFLOP/s, read {peaks['read_gbytes_per_s']:.1f} GB/s ({peaks['how']})\n"
          f"{'; '.join(versions)}")
    print(f"the peers' figures are checked: this is the machine '{machine.name}'" if machine else
          "the peers' figures cannot be checked: they are not known on this machine")
    TABLE.print_titles()
    return machine


def run(options):
    """Exit status."""
    rows = [shape for shape in shapes.read_list(options.clattn, "cpu") if shape.attends and not shape.page_size]
    chosen = shapes.choose(rows, options)
    if options.list:
        return 0
    peer_torch.prepare(options.threads)
    peer_onnx.prepare(options.threads)
    peer_ggml.prepare(options.threads, options.ggml)
    try:
        command = peer_clattn.Command(options.clattn, options.device, "cpu")
        machine = describe(command, options)
        return measuring.measure_all(chosen, options, TABLE, lambda shape: measure_row(command, shape, options),
                                     lambda row: known.crippled(machine, row))
    except (measuring.Wrong, peer_clattn.Failed) as error:
        sys.exit(f"compare-cpu: {error}")
