# SPDX-License-Identifier: BSD-2-Clause
"""A row: the peers opened, checked, and timed beside clattn; and all rows."""
import collections
import sys

import report
import turns


class Wrong(RuntimeError):
    """A peer computes something else than the reference."""


# found: {name: Times}; bench: clattn's own row; none: {name: why there is none}; errors: {name: (largest, rms) or None}
Measured = collections.namedtuple("Measured", "numbers found bench none errors")


def open_all(modules, numbers):
    """(runners, {name: why there is none})."""
    runners, none = [], {}
    for module in modules:
        for name, runner in module.open_peers(numbers):
            if isinstance(runner, str):
                none[name] = runner
            else:
                runners.append(runner)
    return runners, none


def check(runner, numbers):
    """Its error. A figure of something else than the row's work is worth nothing."""
    runner.run()
    errors = numbers.errors(runner)
    if errors and not errors[0] <= numbers.largest_error:
        raise Wrong(f"{numbers.shape.name}: {runner.name} is off by {errors[0]:.2g}")
    return errors


def measure(clattn, make_numbers, modules, seconds, most_rounds=turns.MOST_ROUNDS):
    """`make_numbers(copies)` gives the row's numbers. All that was opened is closed, clattn too."""
    runners = []
    try:
        numbers = make_numbers(clattn.copies)
        runners, none = open_all(modules, numbers)
        errors = {runner.name: check(runner, numbers) for runner in runners}
        found = turns.measure([clattn, *runners], seconds, most_rounds)
        return Measured(numbers, found, clattn.finish(), none, errors)
    finally:
        for runner in [clattn, *runners]:
            runner.close()


def measure_all(chosen, options, table, measure_row, crippled):
    """Prints each row when it is there. `crippled(row)`: a line for each peer that is too slow. Exit status."""
    rows, slow = [], []
    for shape in chosen:
        row = measure_row(shape)
        rows.append(row)
        slow += crippled(row)
        if options.json:
            report.print_json(row.as_json())
        else:
            table.print_row(row)
    if not options.json:
        table.print_errors(rows)
        report.print_absent(rows)
    for line in slow:
        print(f"{options.tool}: crippled: {line}", file=sys.stderr)
    return 1 if slow else 0
