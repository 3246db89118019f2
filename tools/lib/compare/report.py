# SPDX-License-Identifier: BSD-2-Clause
"""What is printed: a line a row as it is measured, or JSON."""
import json

PEERS = ("torch flash", "torch math", "ort mha", "ort attention", "ort gqa", "ggml")
ROW_COLUMNS, PEER_COLUMNS = 62, 14


class Row:
    """A measured shape. `found`: {name: Times}; `bench`: clattn's own row; `errors`: {name: (largest, rms)} of f32."""

    def __init__(self, shape, found, bench, none, errors, clblast):
        self.shape, self.none, self.errors, self.clblast = shape, none, errors, clblast
        self.by_bytes = bench["peak_kind"] == "read"
        self.work = bench["gbytes_per_s" if self.by_bytes else "gflops"] * bench["seconds_median"]
        self.peak = bench["peak_gbytes_per_s" if self.by_bytes else "peak_gflops"]
        self.rates = {name: self.work / times.median for name, times in found.items()}
        self.ours = self.rates.pop("clattn")
        self.of_peak = self.work / found["clattn"].device_median / self.peak
        self.seconds = {name: times.median for name, times in found.items()}
        self.device_seconds = found["clattn"].device_median
        self.runs = {name: len(times.wall) for name, times in found.items()}
        self.tile = bench["tile"]

    @property
    def unit(self):
        return "GB/s" if self.by_bytes else "GFLOP/s"

    def best(self):
        """(name, rate) of the fastest peer."""
        return max(self.rates.items(), key=lambda item: item[1], default=(None, None))

    def ratio(self, peer):
        return self.ours / self.rates[peer] if peer in self.rates else None

    def as_json(self):
        name, _ = self.best()
        return {"row": self.shape.name, "op": self.shape.op, "dtype": self.shape.dtype, "unit": self.unit,
                "clattn": self.ours, "peak": self.peak, "peak_fraction": self.of_peak, "peers": self.rates,
                "best_peer": name, "ratio_to_best": self.ratio(name), "ratio_to_torch": self.ratio("torch flash"),
                "ratio_to_clblast": self.clblast, "seconds": self.seconds, "device_seconds": self.device_seconds,
                "runs": self.runs, "tile": self.tile, "none": self.none,
                "errors": {who: {"largest": largest, "rms": rms} for who, (largest, rms) in self.errors.items()}}


def format_ratio(ratio):
    return f"{ratio:.2f}" if ratio else ""


def print_titles():
    titles = "".join(f"{name:>{PEER_COLUMNS}}" for name in PEERS)
    print(f"{'':{ROW_COLUMNS}}{'clattn':>8}         of peak{titles}  to best  to torch  to CLBlast", flush=True)


def print_row(row):
    cells = "".join(f"{row.rates[name]:{PEER_COLUMNS}.1f}" if name in row.rates else f"{'':{PEER_COLUMNS}}"
                    for name in PEERS)
    print(f"{row.shape.name:{ROW_COLUMNS}}{row.ours:8.1f} {row.unit:7} {row.of_peak * 100:5.1f} %{cells}"
          f"{format_ratio(row.ratio(row.best()[0])):>9}{format_ratio(row.ratio('torch flash')):>10}"
          f"{format_ratio(row.clblast):>12}", flush=True)


def print_errors(rows):
    """f32 against float64, of the same numbers."""
    rows = [row for row in rows if row.errors]
    if not rows:
        return
    print(f"\n{'error against float64: largest, root mean square':{ROW_COLUMNS}}{'clattn':>20}{'PyTorch':>20}")
    for row in rows:
        cells = "".join(f"{largest:11.2e}{rms:9.1e}" for largest, rms in (row.errors["clattn"], row.errors["torch"]))
        print(f"{row.shape.name:{ROW_COLUMNS}}{cells}")


def print_absent(rows):
    """Each peer's reasons, once."""
    reasons = {(name, why) for row in rows for name, why in row.none.items()}
    for name, why in sorted(reasons):
        print(f"left out somewhere: {name}: {why}")


def print_json(value):
    print(json.dumps(value), flush=True)
