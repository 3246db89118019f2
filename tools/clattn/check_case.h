/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_CHECK_CASE_H
#define CLATTN_TOOL_CHECK_CASE_H

/* The problems of `clattn check`, made from rows and seeds. */

#include "check_form.h"
#include "job.h"

enum {
    CASE_CAUSAL = 1 << 0,
    CASE_WINDOW = 1 << 1,
    CASE_SOFTCAP = 1 << 2,
    CASE_ALIBI = 1 << 3,
    CASE_SINKS = 1 << 4,
    CASE_OFFSET = 1 << 5,  /* one for all */
    CASE_OFFSETS = 1 << 6, /* one a sequence */
    CASE_KV_LENS = 1 << 7,
    CASE_RAGGED = 1 << 8,
    CASE_MASK_BOOL = 1 << 9, /* of its own for each batch, head, query and key */
    CASE_MASK_F32 = 1 << 10, /* broadcast over heads */
    CASE_MASK_F16 = 1 << 11, /* broadcast over batch and queries */
    CASE_NAN_V = 1 << 13,    /* one key's V is NaN in one dim: only rows that attend it may be, and only there */
    CASE_BSHD = 1 << 12,
    CASE_MASK_BITS = 1 << 14, /* of its own for each query head, query and key */
};

enum { ON_F32 = 1 << CLATTN_F32, ON_F16 = 1 << CLATTN_F16, ON_BF16 = 1 << CLATTN_BF16 };

typedef struct check_case {
    const char *name;
    unsigned quick_dtypes, traits;
} check_case;

extern const check_case check_cases[];
extern const int check_case_count;

/* Dimensions that a case runs in. */
typedef struct check_dims {
    int32_t q_heads, kv_heads, head_dim, v_head_dim;
} check_dims;

/* A problem: a row in one form, in dims and a type. */
typedef struct check_problem {
    const check_case *row;
    const check_form *form;
    const check_dims *dims;
    clattn_attention_desc desc;
} check_problem;

/* The numbers of one step, all owned. */
typedef struct check_data {
    job job;
    void *owned[JOB_INPUT_COUNT];
    int32_t *q_lens, *kv_lens; /* of sequences */
    check_pages pages;
    clattn_error_record record; /* as it is before a run */
} check_data;

/* What a plan of the case is made from: lengths are bounds. */
void check_describe(const check_case *row, const check_form *form, const check_dims *dims, clattn_dtype dtype,
                    clattn_attention_desc *desc);

/* Fills a step with `q_len` queries and `kv_len` keys at most; every row of K and V that no query may attend is NaN,
 * and O and LSE hold CHECK_UNTOUCHED bytes. Exit status; check_free() in either case. */
int check_fill(const check_case *row, const clattn_attention_desc *desc, int32_t q_len, int32_t kv_len,
               check_data *out);
void check_free(check_data *used);

/* Whether O and LSE were written in their rows only. Destroys both. */
bool check_untouched(const check_data *fetched);

enum { CHECK_BATCH = 3, CHECK_MAX_Q_LEN = 80, CHECK_MAX_KV_LEN = 2048, CHECK_UNTOUCHED = 0xa5 };

#endif
