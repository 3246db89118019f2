# SPDX-License-Identifier: BSD-2-Clause
"""The comparison itself: each row opened, checked, measured and printed."""
import sys

import known
import peer_clattn
import peer_ggml
import peer_onnx
import peer_torch
import report
import shapes
import turns

LARGEST_ERROR = {"f32": 1e-3, "f16": 1e-2, "bf16": 4e-2}


class Wrong(RuntimeError):
    """A peer computes something else than the reference."""


def open_all(numbers):
    """(runners, {name: why there is none})."""
    runners, none = [], {}
    for module in (peer_torch, peer_onnx, peer_ggml):
        for name, runner in module.open_peers(numbers):
            if isinstance(runner, str):
                none[name] = runner
            else:
                runners.append(runner)
    return runners, none


def check(runner, numbers, reference):
    """Its (largest, rms) error. A figure of something else than attention is worth nothing."""
    runner.run()
    errors = numbers.errors(runner.output(), reference)
    if not errors[0] <= LARGEST_ERROR[numbers.shape.dtype]:
        raise Wrong(f"{numbers.shape.name}: {runner.name} is off by {errors[0]:.2g}")
    return errors


def find_errors(command, numbers, reference, of_peers):
    shape = numbers.shape
    if shape.dtype != "f32" or not shape.square or shape.window:
        return {}
    return {"clattn": numbers.errors(command.attend(numbers), reference), "torch": of_peers["torch flash"]}


def compare_clblast(command, shape, options):
    """How many times as long the unfused way takes; None where it has no form for the row."""
    if options.no_clblast or shape.dtype != "f32" or not shape.square or shape.window:
        return None
    row = command.measure(*shape.arguments(), "--baseline", "clblast", "--repeat", "3")
    return row["baseline_seconds"] / row["seconds_median"]


def measure_row(command, shape, options):
    clattn = peer_clattn.Runner(command, shape)
    runners = []
    try:
        numbers = shapes.Numbers(shape, clattn.copies)
        reference = numbers.reference()
        runners, none = open_all(numbers)
        of_peers = {runner.name: check(runner, numbers, reference) for runner in runners}
        found = turns.measure([clattn, *runners], options.seconds)
        bench = clattn.finish()
    finally:
        for runner in [clattn, *runners]:
            runner.close()
    errors = find_errors(command, numbers, reference, of_peers)
    return report.Row(shape, found, bench, none, errors, compare_clblast(command, shape, options))


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
    report.print_titles()
    return machine


def measure_all(command, chosen, options):
    """Exit status."""
    machine, rows, slow = describe(command, options), [], []
    for shape in chosen:
        row = measure_row(command, shape, options)
        rows.append(row)
        if options.json:
            report.print_json(row.as_json())
        else:
            report.print_row(row)
        slow += [] if row.by_bytes else known.crippled(machine, shape, row.rates)
    if not options.json:
        report.print_errors(rows)
        report.print_absent(rows)
    for line in slow:
        print(f"compare-cpu: crippled: {line}", file=sys.stderr)
    return 1 if slow else 0


def run(options):
    """Exit status."""
    chosen = [shape for shape in shapes.read_list(options.clattn) if all(text in shape.name for text in options.only)]
    if not chosen:
        sys.exit(f"compare-cpu: --only is {' '.join(options.only)}, which no row's name has in it; --list prints them")
    if options.list:
        print(*(shape.name for shape in chosen), sep="\n")
        return 0
    peer_torch.prepare(options.threads)
    peer_onnx.prepare(options.threads)
    peer_ggml.prepare(options.threads, options.ggml)
    try:
        return measure_all(peer_clattn.Command(options.clattn, options.device), chosen, options)
    except (Wrong, peer_clattn.Failed) as error:
        sys.exit(f"compare-cpu: {error}")
