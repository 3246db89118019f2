# SPDX-License-Identifier: BSD-2-Clause
"""Arguments and threads of tools/compare-cpu, which installs what the rest needs."""
import argparse
import os
import sys


def parse():
    parser = argparse.ArgumentParser(prog="tools/compare-cpu", add_help=False)  # the script's head is the help
    parser.add_argument("--only", action="append", default=[], metavar="TEXT",
                        help="only rows whose name has this in it; several times: all of them in it")
    parser.add_argument("--seconds", type=float, default=8, help="how long a row's turns take; default 8")
    parser.add_argument("--threads", type=int, default=2, help="of each; default 2")
    parser.add_argument("--device", default=os.environ.get("CLATTN_DEVICE", "cpu"),
                        help="as in clattn run; default cpu")
    parser.add_argument("--no-clblast", action="store_true", help="leave out CLBlast, which takes minutes")
    parser.add_argument("--list", action="store_true", help="print the rows' names and measure nothing")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    parser.add_argument("--clattn", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--ggml", required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.seconds <= 0 or options.threads < 1:
        parser.error("--seconds has to be over 0 and --threads 1 or more")
    return options


def limit_threads(threads):
    """For this process and its children, before any library counts the cores."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < threads:
        sys.exit(f"compare-cpu: --threads is {threads}; it has to be 1 to {len(allowed)} here")
    os.sched_setaffinity(0, allowed[:threads])
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "POCL_MAX_PTHREAD_COUNT", "POCL_CPU_MAX_CU_COUNT")
    os.environ.update(dict.fromkeys(names, str(threads)))


def main():
    options = parse()
    limit_threads(options.threads)
    import comparison  # loads the libraries, which count the cores
    sys.exit(comparison.run(options))


if __name__ == "__main__":
    main()
