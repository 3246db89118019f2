# SPDX-License-Identifier: BSD-2-Clause
"""tools/compare-gpu, once packed: the rows of `clattn bench --suite gpu` beside PyTorch and FlashInfer."""
import sys

import arguments
import known
import measuring
import peer_clattn
import report
import shapes

MOST_ROUNDS = 40  # bench --turns takes 1000 calls
ERROR_COLUMNS = ("clattn", "low precision", "torch flash", "torch cudnn", "flashinfer fa2", "flashinfer fa3")


class Row(report.Row):
    FLOPS = ("TFLOP/s", 1e-3)

    def __init__(self, shape, measured, errors, copy):
        super().__init__(shape, measured, errors)
        self.of_copy = self.ours / copy if self.by_bytes else None

    def as_json(self):
        return {**super().as_json(), "copy_fraction": self.of_copy}


class Table(report.Table):
    """The peers differ from row to row: each stands with its name, its rate, and how many times that clattn has."""

    def __init__(self):
        super().__init__((), {}, ERROR_COLUMNS, row_columns=72)

    def print_titles(self):
        print(f"{'':{self.row_columns}}{'clattn':>8}         of peak  of copy  others: rate (ratio to it); device")

    def print_row(self, row):
        of_copy = f"{row.of_copy * 100:7.1f} %" if row.of_copy else " " * 9
        others = ", ".join(f"{name} {rate:.1f} ({row.ratio(name):.2f})" for name, rate in row.rates.items())
        print(f"{self.start_of(row)}{of_copy}  {others or 'none'}; {row.device}", flush=True)


class OtherType:
    """A module of peers: clattn with a cache of the type of Q, where the row's is another. The rates are of the row's
    bytes, so that their ratio is that of the times."""

    def __init__(self, command):
        self.command = command

    def open_peers(self, numbers):
        shape = numbers.shape
        if shape.kv_dtype != shape.dtype:
            name = f"clattn {shape.dtype} cache"
            yield name, peer_clattn.DeviceRunner(self.command, shape.of_one_type(), name)


def find_errors(command, measured):
    """FlashAttention's rule: at most twice the error of attention whose every step is in the row's type."""
    numbers, shape = measured.numbers, measured.numbers.shape
    if shape.op != "attention":
        return {}
    errors = {"clattn": numbers.errors_of(command.attend(numbers)), "low precision": numbers.errors_of_dtype(),
              **measured.errors}
    if shape.dtype != "f32" and not errors["clattn"][0] <= 2 * errors["low precision"][0]:
        raise measuring.Wrong(f"{shape.name}: clattn is off by {errors['clattn'][0]:.2g}, attention in {shape.dtype} "
                              f"by {errors['low precision'][0]:.2g}; twice that is the most")
    return errors


class Comparison:
    def __init__(self, options, libraries):
        self.options, self.libraries = options, libraries
        self.command = peer_clattn.Command(options.clattn, options.device, "gpu")
        self.modules = (libraries.torch, libraries.flashinfer, OtherType(self.command))
        self.table, self.copy = Table(), libraries.numbers.copy_bandwidth() * 1e-9

    def measure_row(self, shape):
        numbers = self.libraries.numbers
        clattn = peer_clattn.DeviceRunner(self.command, shape)
        measured = measuring.measure(clattn, lambda copies: numbers.Numbers(shape, copies), self.modules,
                                     self.options.seconds, MOST_ROUNDS)
        row = Row(shape, measured, find_errors(self.command, measured), self.copy)
        if row.device != numbers.device_name():
            raise measuring.Wrong(f"clattn runs on {row.device}, the others on {numbers.device_name()}; it has to be "
                                  "one device")
        return row

    def describe(self):
        """The first lines: device, peaks and versions."""
        peaks, name = self.command.peaks(), self.libraries.numbers.device_name()
        versions = [self.libraries.torch.version(), self.libraries.flashinfer.version()]
        is_known = name in known.GPUS
        if self.options.json:
            report.print_json({"row": "machine", "known": is_known, "versions": versions,
                               "torch_copy_gbytes_per_s": self.copy, **peaks})
            return
        print(f"{peaks['device']}\npeaks: fma {peaks['fma_gflops'] * 1e-3:.1f} TFLOP/s, read "
              f"{peaks['read_gbytes_per_s']:.0f} GB/s, copy {peaks['copy_gbytes_per_s']:.0f} GB/s; PyTorch's copy "
              f"{self.copy:.0f} GB/s\n{'; '.join(versions)}\nthe others' figures "
              f"{'are checked: they are known on this GPU' if is_known else 'are not known on this GPU'}")
        self.table.print_titles()

    def run(self, chosen):
        """Exit status."""
        self.describe()
        return measuring.measure_all(chosen, self.options, self.table, self.measure_row, known.crippled_gpu)


class Libraries:
    """What needs a GPU, or FlashInfer: loaded when there is something to measure."""

    def __init__(self, tool):
        try:
            import gpu_numbers
            import peer_flashinfer
            import peer_torch
        except ImportError as error:
            sys.exit(f"{tool}: {error}; PyTorch has to be there, and FlashInfer as `tools/{tool} pack` gathers it")
        self.numbers, self.flashinfer, self.torch = gpu_numbers, peer_flashinfer, peer_torch
        if not gpu_numbers.has_gpu():
            sys.exit(f"{tool}: PyTorch finds no GPU here; it has to have one of NVIDIA's")


def main():
    options = arguments.parse(arguments.parser("compare-gpu", seconds=1, device="gpu"))
    chosen = shapes.choose(shapes.read_list(options.clattn, "gpu"), options)
    if options.list:
        return 0
    libraries = Libraries(options.tool)
    try:
        return Comparison(options, libraries).run(chosen)
    except (measuring.Wrong, peer_clattn.Failed) as error:
        sys.exit(f"{options.tool}: {error}")


if __name__ == "__main__":
    sys.exit(main())
