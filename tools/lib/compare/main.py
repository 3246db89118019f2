# SPDX-License-Identifier: BSD-2-Clause
"""Arguments and threads of tools/compare-cpu, which installs what the rest needs."""
import os
import sys

import arguments


def parse():
    parser = arguments.parser("compare-cpu", seconds=8, device="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-clblast", action="store_true")
    parser.add_argument("--ggml", required=True)
    options = arguments.parse(parser)
    if options.threads < 1:
        parser.error("--threads has to be 1 or more")
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
