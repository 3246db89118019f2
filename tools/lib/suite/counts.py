# SPDX-License-Identifier: BSD-2-Clause
"""How many cases a test program ran, from what it printed."""
import dataclasses
import re

SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.M)
TAP = re.compile(r"^(ok|not ok) \d+(.*)$", re.M)
PROGRAMS = re.compile(r"\b(\d+) programs? built\b")


@dataclasses.dataclass
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    programs: int = 0

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.programs += other.programs

    @property
    def ran(self):
        return self.passed + self.failed

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def read(output, status):
    """The counts of a program that printed `output` and ended with `status`. A program that ends badly without a failed
    case, or says nothing of cases, is a failed case itself: nothing passes by silence."""
    counts = Counts(programs=sum(int(n) for n in PROGRAMS.findall(output)))
    summary = SUMMARY.findall(output)
    if summary:
        counts.passed, counts.failed, counts.skipped = map(int, summary[-1])
    else:
        for verdict, rest in TAP.findall(output):
            if "# SKIP" in rest.upper():
                counts.skipped += 1
            elif verdict == "ok":
                counts.passed += 1
            else:
                counts.failed += 1
    if status == 77 and counts.ran == 0:
        counts.skipped = max(counts.skipped, 1)
    elif (status != 0 and counts.failed == 0) or counts.ran + counts.skipped == 0:
        counts.failed += 1
    return counts
