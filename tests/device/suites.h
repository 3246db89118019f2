/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_DEVICE_SUITES_H
#define TESTS_DEVICE_SUITES_H

#include "harness.h"

#define SUITE(name, by_default, what) void suite_##name(harness *h);
#include "suites.def"
#undef SUITE

/* `line` on top of `base`, normalized; a line that cannot be parsed is a failed case. */
void run_line(harness *h, const test_case *base, const char *line);

/* A case from a line that is known to be right. */
test_case case_from(const char *line);

#endif
