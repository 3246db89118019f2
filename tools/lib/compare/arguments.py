# SPDX-License-Identifier: BSD-2-Clause
"""The arguments that both comparisons take. The scripts' heads are their help."""
import argparse
import os


def parser(tool, seconds, device):
    made = argparse.ArgumentParser(prog="tools/" + tool, add_help=False)
    made.set_defaults(tool=tool)
    made.add_argument("--only", action="append", default=[], metavar="TEXT")
    made.add_argument("--seconds", type=float, default=seconds)
    made.add_argument("--device", default=os.environ.get("CLATTN_DEVICE", device))
    made.add_argument("--list", action="store_true")
    made.add_argument("--json", action="store_true")
    made.add_argument("--clattn", required=True)
    return made


def parse(of):
    options = of.parse_args()
    if options.seconds <= 0:
        of.error("--seconds has to be over 0")
    return options
