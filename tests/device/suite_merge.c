/* SPDX-License-Identifier: BSD-2-Clause */
/* Merge of partial results against the reference. */
#include "merge_case.h"
#include "suites.h"

#define LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))

static void check_case(harness *h, const merge_case *c)
{
    outcome out = { PASSED, "", 0, 0.0 };
    char line[CASE_LINE_SIZE];
    merge_state m;
    if (merge_make(h, &m, c, &out)) {
        const clattn_merge_args args = merge_args_of(&m);
        if (outcome_ok(&out, clattn_merge_states(m.plan, c->parts, c->tokens, &args, h->in_order, 0, NULL, NULL),
                       "clattn_merge_states"))
            merge_verify(h, &m, &out);
    }
    merge_free(&m);
    harness_count(h, merge_case_print(c, line), NULL, &out);
}

/* Ten rows or more, so that rows of every kind come. */
static const merge_case small_cases[] = {
    { CLATTN_F32, CLATTN_F32, 2, 4, 3, 18, .lse = true, .seed = 1 },
    { CLATTN_F32, CLATTN_F32, 3, 4, 3, 18, .lse = true, .sinks = true, .pad = 3, .offset = 1, .seed = 2 },
    { CLATTN_F32, CLATTN_F32, 1, 10, 1, 18, .head_major = true, .seed = 3 },
    { CLATTN_F32, CLATTN_F32, 0, 2, 5, 18, .lse = true, .sinks = true, .seed = 4 },
    { CLATTN_F32, CLATTN_F32, 0, 3, 2, 18, .lse = true, .pad = 1, .seed = 4 },
    { CLATTN_F16, CLATTN_F16, 5, 5, 2, 33, .lse = true, .pad = 1, .offset = 3, .head_major = true, .seed = 5 },
    { CLATTN_F16, CLATTN_F16, 2, 2, 5, 33, .sinks = true, .one_allocation = true, .seed = 6 },
    { CLATTN_BF16, CLATTN_BF16, 4, 5, 2, 33, .lse = true, .offset = 1, .one_allocation = true, .seed = 7 },
    { CLATTN_BF16, CLATTN_BF16, 3, 2, 6, 33, .lse = true, .sinks = true, .pad = 2, .seed = 8 },
};

void suite_merge(harness *h)
{
    for (int n = 0; n < LENGTH(small_cases); n++)
        check_case(h, &small_cases[n]);
    merge_check_errors(h);
}

static const int32_t part_counts[] = { 1, 2, 3, 5, 17, 32, 55, 97, 133 };
static const int32_t head_counts[] = { 1, 3, 8 };
static const int32_t dims[] = { 1, 7, 64, 80, 128, 576 };

/* All numbers of parts; the rest takes turns, so that each of their pairs comes. */
static void check_parts(harness *h, clattn_dtype part_dtype, clattn_dtype o_dtype, int32_t dim)
{
    for (int n = 0; n < LENGTH(part_counts); n++) {
        const uint64_t seed = (uint64_t)(dim + n + 3 * part_dtype + o_dtype);
        const int turn = n + (int)o_dtype;
        const merge_case c = { .part_dtype = part_dtype,
                               .o_dtype = o_dtype,
                               .parts = part_counts[n],
                               .tokens = n % 4 == 3 ? 41 : 12,
                               .heads = head_counts[turn % LENGTH(head_counts)],
                               .dim = dim,
                               .pad = turn % 2 ? 1 + n : 0,
                               .offset = turn % 4 >= 2 ? 1 + n : 0,
                               .head_major = turn % 5 >= 3,
                               .lse = n % 8 != 5,
                               .sinks = (n + dim) % 3 == 1,
                               .one_allocation = turn % 7 >= 4,
                               .seed = seed };
        check_case(h, &c);
    }
}

/* More rows than all groups have places for. */
static void check_many_rows(harness *h)
{
    const merge_case c = { CLATTN_F16, CLATTN_F16, 2, 33000, 3, 16, .lse = true, .seed = 9 };
    check_case(h, &c);
}

void suite_merge_lists(harness *h)
{
    for (clattn_dtype dtype = 0; dtype < CLATTN_FLOAT_DTYPE_COUNT; dtype++)
        for (int n = 0; n < LENGTH(dims); n++)
            check_parts(h, dtype, dtype, dims[n]);
    for (clattn_dtype part_dtype = 0; part_dtype < CLATTN_FLOAT_DTYPE_COUNT; part_dtype++)
        for (clattn_dtype o_dtype = 0; o_dtype < CLATTN_FLOAT_DTYPE_COUNT; o_dtype++)
            if (part_dtype != o_dtype)
                check_parts(h, part_dtype, o_dtype, 80);
    check_many_rows(h);
}
