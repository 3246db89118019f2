# SPDX-License-Identifier: BSD-2-Clause
"""What is printed: a line a row as it is measured, or JSON."""
import json

PEER_COLUMNS = 14


class Row:
    """A measured shape. `errors`: {name: (largest, rms)} of what is printed of them."""

    FLOPS = ("GFLOP/s", 1.0)

    def __init__(self, shape, measured, errors, clblast=None):
        bench, found = measured.bench, measured.found
        self.shape, self.none, self.errors, self.clblast = shape, measured.none, errors, clblast
        self.by_bytes = bench["peak_kind"] in ("read", "copy")
        self.unit, scale = ("GB/s", 1.0) if self.by_bytes else self.FLOPS
        self.work = bench["gbytes_per_s" if self.by_bytes else "gflops"] * bench["seconds_median"] * scale
        self.peak = bench["peak_gbytes_per_s" if self.by_bytes else "peak_gflops"] * scale
        self.rates = {name: self.work / times.median for name, times in found.items()}
        self.ours = self.rates.pop("clattn")
        self.of_peak = self.work / found["clattn"].device_median / self.peak
        self.seconds = {name: times.median for name, times in found.items()}
        self.device_seconds = found["clattn"].device_median
        self.runs = {name: len(times.wall) for name, times in found.items()}
        self.device, self.tile, self.fragment = bench["device"], bench.get("tile"), bench.get("fragment")

    def best(self):
        """(name, rate) of the fastest peer."""
        return max(self.rates.items(), key=lambda item: item[1], default=(None, None))

    def ratio(self, peer):
        return self.ours / self.rates[peer] if peer in self.rates else None

    def as_json(self):
        name, _ = self.best()
        return {"row": self.shape.name, "device": self.device, "op": self.shape.op, "dtype": self.shape.dtype,
                "unit": self.unit, "clattn": self.ours, "peak": self.peak, "peak_fraction": self.of_peak,
                "peers": self.rates, "ratios": {peer: self.ratio(peer) for peer in self.rates}, "best_peer": name,
                "ratio_to_best": self.ratio(name), "ratio_to_clblast": self.clblast, "seconds": self.seconds,
                "device_seconds": self.device_seconds, "runs": self.runs, "fragment": self.fragment, "tile": self.tile,
                "none": self.none,
                "errors": {who: {"largest": largest, "rms": rms} for who, (largest, rms) in self.errors.items()}}


def format_ratio(ratio):
    return f"{ratio:.2f}" if ratio else ""


def format_errors(errors):
    return f"{errors[0]:11.2e}{errors[1]:9.1e}" if errors else f"{'':20}"


class Table:
    """`peers` have a column each; `ratios`: {title: function of a row}; `errors`: whose are printed, a column each."""

    def __init__(self, peers, ratios, errors, row_columns=62):
        self.peers, self.ratios, self.errors, self.row_columns = peers, ratios, errors, row_columns

    def start_of(self, row):
        return f"{row.shape.name:{self.row_columns}}{row.ours:8.1f} {row.unit:7} {row.of_peak * 100:5.1f} %"

    def print_titles(self):
        titles = "".join(f"{name:>{PEER_COLUMNS}}" for name in self.peers)
        ratios = "".join("  " + title for title in self.ratios)
        print(f"{'':{self.row_columns}}{'clattn':>8}         of peak{titles}{ratios}", flush=True)

    def print_row(self, row):
        cells = "".join(f"{row.rates[name]:{PEER_COLUMNS}.1f}" if name in row.rates else f"{'':{PEER_COLUMNS}}"
                        for name in self.peers)
        ratios = "".join(f"{format_ratio(ratio(row)):>{len(title) + 2}}" for title, ratio in self.ratios.items())
        print(f"{self.start_of(row)}{cells}{ratios}", flush=True)

    def print_errors(self, rows):
        """Against float64, of the same numbers."""
        rows = [row for row in rows if row.errors]
        if not rows:
            return
        titles = "".join(f"{name:>20}" for name in self.errors)
        print(f"\n{'error against float64: largest, root mean square':{self.row_columns}}{titles}")
        for row in rows:
            cells = "".join(format_errors(row.errors.get(name)) for name in self.errors)
            print(f"{row.shape.name:{self.row_columns}}{cells}")


def print_absent(rows):
    """Each peer's reasons, once."""
    reasons = {(name, why) for row in rows for name, why in row.none.items()}
    for name, why in sorted(reasons):
        print(f"left out somewhere: {name}: {why}")


def print_json(value):
    print(json.dumps(value), flush=True)
