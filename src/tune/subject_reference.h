/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TUNE_SUBJECT_REFERENCE_H
#define CLATTN_TUNE_SUBJECT_REFERENCE_H

/* Rows of attention in float64, computed once a subject and compared with every candidate's. */

#include "ref/ref.h"

#define CLATTN_REFERENCE_CASES 3
#define CLATTN_REFERENCE_ROWS  24

typedef struct clattn_reference_row {
    int32_t b, q_head, i;
    double max_abs_logit;
    double *want; /* [v_head_dim] */
} clattn_reference_row;

typedef struct clattn_reference {
    ref_random random; /* draws the rows */
    struct {
        int count; /* 0: not made yet */
        clattn_reference_row rows[CLATTN_REFERENCE_ROWS];
    } cases[CLATTN_REFERENCE_CASES];
} clattn_reference;

/* Whether O, which held CLATTN_UNWRITTEN bytes before, is right: its sampled rows within the contract's tolerance, all
 * elements of the batch finite, and the rows past q_len untouched. O is [batch, head, query, dim]. */
clattn_status clattn_reference_judge(clattn_reference *reference, int which, const clattn_attention_desc *desc,
                                     const ref_inputs *inputs, const void *o, bool *right, char *why, size_t why_size);

void clattn_reference_free(clattn_reference *reference);

#endif
