/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_PROBLEM_H
#define CLATTN_TOOL_PROBLEM_H

/* What `clattn run` computes: the job that its options and files describe. */

#include "job.h"
#include "operand.h"
#include "options.h"
#include "outputs.h"
#include "page_files.h"
#include "page_layout.h"

typedef enum problem_layout { LAYOUT_BHSD, LAYOUT_BSHD, LAYOUT_THD } problem_layout;

/* Dimensions of Q, K or V. In thd, length counts tokens and batch is 1. */
typedef struct problem_shape {
    int32_t batch, heads, length, dim;
} problem_shape;

typedef struct problem {
    job job;
    problem_layout layout;
    clattn_dtype dtype;
    problem_shape q, k, v;
    int32_t batch;
    int32_t max_q_len, max_kv_len; /* of one sequence */
    operand operands[JOB_INPUT_COUNT];
    int32_t *q_lens, *kv_lens; /* owned, of ragged batches */
    bool has_cache;            /* K and V are caches of files, of this shape; k and v have no length */
    cache_shape cache;
    page_layout pages; /* page_size 0: K and V are not put into pages */
    job_append append;
    int64_t *slots;             /* owned, of `append` */
    float *k_scales, *v_scales; /* owned */
    int out_rank;
    int64_t out_shape[4]; /* LSE's is this less the last */
} problem;

/* Reads and checks everything that can be without a device. Exit status; problem_free() in either case. */
int problem_load(const options *given, problem *out);
void problem_free(problem *used);

/* Lists the files of `given` as inputs of `out`. */
void problem_add_inputs(const problem *used, outputs *out);

#endif
