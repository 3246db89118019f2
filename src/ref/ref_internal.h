/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_REF_REF_INTERNAL_H
#define CLATTN_REF_REF_INTERNAL_H

#include "ref/ref.h"

/* v_head_dim with its default resolved. */
int32_t ref_v_head_dim(const clattn_attention_desc *desc);

/* The first `count` elements of the row that starts at `start`, in elements or blocks, as doubles. */
void ref_load_row(const void *data, clattn_dtype dtype, int64_t start, int32_t count, double *out);

/* Marks the rows of one head that are compared; chosen[q_len]. Returns how many. */
int32_t ref_sample_rows(const ref_sampling *sampling, int32_t b, int32_t q_head, int32_t q_len, bool *chosen);

#endif
