/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_DEVICE_COVERING_H
#define TESTS_DEVICE_COVERING_H

/* Covering arrays: few cases in which every combination of `strength` factors' values occurs. */

#include "case.h"

#define COVERING_MAX_VALUES 10

/* Values are lines for case_parse, up to the first NULL. */
typedef struct covering_factor {
    const char *values[COVERING_MAX_VALUES];
} covering_factor;

typedef struct covering_array {
    test_case *cases;
    int count;
    long covered;  /* combinations */
    long excluded; /* combinations that case_normalize does not leave alone */
} covering_array;

/* Builds the array greedily, from a seed; each case starts from `base` and is normalized, and a combination counts only
 * when it survived that. strength is 2 or 3. Returns false when there is no memory. */
bool covering_build(const covering_factor *factors, int num_factors, int strength, const test_case *base, uint64_t seed,
                    covering_array *out);

#endif
