/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_DEVICE_SUITES_H
#define TESTS_DEVICE_SUITES_H

#include "covering.h"
#include "harness.h"

#define SUITE(name, by_default, what) void suite_##name(harness *h);
#include "suites.def"
#undef SUITE

/* `line` on top of `base`, normalized; a line that cannot be parsed is a failed case. */
void run_line(harness *h, const test_case *base, const char *line);

void run_lines(harness *h, const char *base_line, const char *const *lines, int count);

/* Every combination of `strength` values; at most `most` cases of the array, evenly; 0: all. */
void run_covering(harness *h, const covering_factor *factors, int count, int strength, const test_case *base, int most);

/* Which of `count` things a run has: `keep` of them, drawn by the harness's seed; with --full all. */
void draw(harness *h, int count, int keep, bool *chosen);

/* The values that a run has: `kept_count` from first_kept on, and `more` of the others, drawn. */
covering_factor draw_values(harness *h, const covering_factor *of, int first_kept, int kept_count, int more);

/* Sequence b of `line` has to have the bits of `alone`'s only sequence. */
void check_same(harness *h, const char *alone, const char *line, int32_t b);

/* `runs` runs of one plan on the same buffers give the same bits. */
void check_repeats(harness *h, const char *line, int runs);

/* One sequence of `lengths` alone, then among neighbours, with other bounds, without a schedule. `rest` is what both
 * share. */
void check_invariance(harness *h, const char *lengths, const char *rest);

/* A case from a line that is known to be right. */
test_case case_from(const char *line);

#endif
