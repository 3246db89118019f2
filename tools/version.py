#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Prints MAJOR.MINOR.PATCH from include/clattn/version.h, the version's only place."""
import pathlib
import re

header = pathlib.Path(__file__).resolve().parent.parent / "include/clattn/version.h"
print(".".join(re.findall(r"CLATTN_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header.read_text())))
