/* SPDX-License-Identifier: BSD-2-Clause */
#include "tune/subject_reference.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tune/subject_internal.h"
#include "util/status.h"

/* Elements of K that the rows of a case may take to compute: a few dozen milliseconds. */
#define MOST_ELEMENTS (1 << 21)
#define LEAST_ROWS    4

static const char *const case_names[CLATTN_REFERENCE_CASES] = { "with tails", "with one key in the last tile",
                                                                "of the timed shape" };

/* The first and the last query, then those beside edges of tiles, then any. */
static int32_t choose_query(ref_random *random, int index, int32_t q_len)
{
    static const int32_t edges[] = { 0, INT32_MAX, 16, 15, 63, 64, 8, 7, 31, 32, 127, 128, 48, 47, 95, 96 };
    const int32_t last = q_len - 1;
    if (index < (int)(sizeof(edges) / sizeof(edges[0])) && (edges[index] < last || edges[index] == INT32_MAX))
        return edges[index] < last ? edges[index] : last;
    return (int32_t)ref_random_range(random, 0, last);
}

static bool make_row(clattn_reference_row *row, const clattn_attention_desc *desc, const ref_inputs *inputs)
{
    ref_row found;
    row->want = malloc((size_t)desc->v_head_dim * sizeof(double));
    if (!row->want || !ref_attention_row(desc, inputs, row->b, row->q_head, row->i, row->want, &found))
        return false;
    row->max_abs_logit = found.max_abs_logit;
    return true;
}

static bool make_rows(clattn_reference *reference, int which, const clattn_attention_desc *desc,
                      const ref_inputs *inputs)
{
    const int32_t kv_len = ref_kv_len(desc, inputs, 0);
    int rows = MOST_ELEMENTS / (kv_len * desc->head_dim);
    rows = rows < LEAST_ROWS ? LEAST_ROWS : rows;
    rows = rows > CLATTN_REFERENCE_ROWS ? CLATTN_REFERENCE_ROWS : rows;
    for (int n = reference->cases[which].count; n < rows; n++) {
        clattn_reference_row *row = &reference->cases[which].rows[n];
        row->b = n == 1 ? inputs->batch - 1 : (int32_t)ref_random_range(&reference->random, 0, inputs->batch - 1);
        row->q_head = n == 1 ? desc->q_heads - 1 : (int32_t)ref_random_range(&reference->random, 0, desc->q_heads - 1);
        row->i = choose_query(&reference->random, n, inputs->q_len);
        if (!make_row(row, desc, inputs)) {
            free(row->want);
            row->want = NULL;
            return false;
        }
        reference->cases[which].count++;
    }
    return true;
}

void clattn_reference_free(clattn_reference *reference)
{
    for (int which = 0; which < CLATTN_REFERENCE_CASES; which++)
        for (int n = 0; n < reference->cases[which].count; n++)
            free(reference->cases[which].rows[n].want);
    *reference = (clattn_reference){ .random = reference->random };
}

static bool row_is_right(const clattn_reference_row *row, const clattn_attention_desc *desc, const ref_inputs *inputs,
                         const void *o, const char *name, char *why, size_t why_size)
{
    const ref_tolerance tolerance = ref_tolerance_of(desc->o_dtype);
    const int64_t start = ref_o_index(desc, inputs, row->b, row->i, row->q_head);
    for (int32_t d = 0; d < desc->v_head_dim; d++) {
        const double got = ref_load(o, desc->o_dtype, start + d), want = row->want[d];
        if (ref_error_ratio(&tolerance, row->max_abs_logit, got, want) <= 1.0)
            continue;
        snprintf(why, why_size,
                 "a call %s: element %" PRId32 " of query %" PRId32 ", head %" PRId32 ", sequence %" PRId32
                 " is %.9g and has to be %.9g",
                 name, d, row->i, row->q_head, row->b, got, want);
        return false;
    }
    return true;
}

/* The index of the first NaN or infinity; `count` where there is none. */
static int64_t first_not_finite(const char *from, clattn_dtype dtype, int64_t count)
{
    static const uint16_t exponents[] = { [CLATTN_F16] = 0x7c00, [CLATTN_BF16] = 0x7f80 };
    const uint32_t exponent = dtype == CLATTN_F32 ? UINT32_C(0x7f800000) : exponents[dtype];
    int64_t n = 0;
    if (dtype == CLATTN_F32)
        while (n < count && (((const uint32_t *)(const void *)from)[n] & exponent) != exponent)
            n++;
    else
        while (n < count && (((const uint16_t *)(const void *)from)[n] & exponent) != exponent)
            n++;
    return n;
}

static bool is_unwritten(const char *from, size_t size)
{
    size_t n = 0;
    while (n < size && (uint8_t)from[n] == CLATTN_UNWRITTEN)
        n++;
    return n == size;
}

/* A head's queries lie behind one another. */
static bool head_is_whole(const clattn_attention_desc *desc, const ref_inputs *inputs, int32_t b, int32_t q_head,
                          const char *o, const char *name, char *why, size_t why_size)
{
    const size_t size = clattn_dtype_size(desc->o_dtype);
    const int64_t written = (int64_t)inputs->q_len * desc->v_head_dim;
    const int64_t all = (int64_t)desc->max_q_len * desc->v_head_dim;
    const char *at = o + (size_t)ref_o_index(desc, inputs, b, 0, q_head) * size;
    const int64_t wrong = first_not_finite(at, desc->o_dtype, written);
    if (wrong < written) {
        snprintf(why, why_size,
                 "a call %s: element %" PRId64 " of query %" PRId64 ", head %" PRId32 ", sequence %" PRId32
                 " is not finite, or was not written",
                 name, wrong % desc->v_head_dim, wrong / desc->v_head_dim, q_head, b);
        return false;
    }
    if (is_unwritten(at + (size_t)written * size, (size_t)(all - written) * size))
        return true;
    snprintf(why, why_size,
             "a call %s: queries past %" PRId32 " of head %" PRId32 ", sequence %" PRId32 " were written", name,
             inputs->q_len - 1, q_head, b);
    return false;
}

clattn_status clattn_reference_judge(clattn_reference *reference, int which, const clattn_attention_desc *desc,
                                     const ref_inputs *inputs, const void *o, bool *right, char *why, size_t why_size)
{
    const char *name = case_names[which];
    if (!make_rows(reference, which, desc, inputs))
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for rows of the reference");
    *right = true;
    for (int n = 0; *right && n < reference->cases[which].count; n++)
        *right = row_is_right(&reference->cases[which].rows[n], desc, inputs, o, name, why, why_size);
    for (int32_t b = 0; *right && b < inputs->batch; b++)
        for (int32_t q_head = 0; *right && q_head < desc->q_heads; q_head++)
            *right = head_is_whole(desc, inputs, b, q_head, o, name, why, why_size);
    return CLATTN_OK;
}
