# SPDX-License-Identifier: BSD-2-Clause
"""The test suite behind tools/test, once the packages are there."""
import argparse
import sys
import time

import parts
import runner


def parse(argv):
    parser = argparse.ArgumentParser(prog="tools/test", description="Builds the project and runs its tests.")
    parser.add_argument("--full", action="store_true", help="every case, with no limit of time; includes --all")
    parser.add_argument("--all", action="store_true", help="Intel's CPU runtime is required (CI=true does the same)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of what is drawn where not all is run")
    parser.add_argument("--list", action="store_true", help="name the parts and their budgets")
    parser.add_argument("parts", nargs="*", metavar="PART", help="only these parts")
    options = parser.parse_args(argv)
    known = [name for name, *_ in parts.TABLE]
    for name in options.parts:
        if name not in known:
            parser.error(f"no part is called '{name}'; there are: {', '.join(known)}")
    return options


def main(argv):
    options = parse(argv)
    if options.list:
        for name, budget, _, _ in parts.TABLE:
            print(f"{name:16} {budget:4} s")
        return 0
    started = time.monotonic()
    print(f"testing commit {parts.commit()}; --seed {options.seed}; logs are in "
          f"{runner.BUILD.relative_to(runner.ROOT)}/logs", flush=True)
    # Every part but lint works on what `build` makes.
    wanted = set(options.parts) and set(options.parts) | ({"build"} if set(options.parts) != {"lint"} else set())
    table = [row for row in parts.TABLE if not wanted or row[0] in wanted]
    total = runner.run_all(table, options)
    print(f"the whole took {time.monotonic() - started:.0f} s; {total.programs} programs built")
    print(total)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
