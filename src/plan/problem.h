/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_PLAN_PROBLEM_H
#define CLATTN_PLAN_PROBLEM_H

/* A description that was checked and whose defaults are filled in. Pure host code. */

#include <stdbool.h>

#include <clattn/attention.h>

#include "kernel/tile.h"

typedef enum clattn_mask_class {
    CLATTN_MASK_CLASS_NONE = 0,       /* only kv_len */
    CLATTN_MASK_CLASS_POSITIONAL = 1, /* causal order, windows */
    CLATTN_MASK_CLASS_GENERAL = 2     /* and mask tensor, soft cap, ALiBi */
} clattn_mask_class;

typedef struct clattn_problem {
    clattn_attention_desc desc; /* v_head_dim, scale, max_*_tokens set; window_left, window_right with causal in them */
    int32_t group;              /* query heads a kv head */
    clattn_mask_class mask_class;
    bool paged;
} clattn_problem;

/* Whether there is any memory for keys: a cache of no pages has none. */
bool clattn_problem_has_keys(const clattn_problem *problem);

/* Whether a row of K or V has a tail; see clattn_has_tail. */
static inline bool clattn_problem_has_tail(const clattn_problem *of)
{
    return clattn_has_tail(of->desc.head_dim) || clattn_has_tail(of->desc.v_head_dim);
}

/* What a tile of that fragment is compiled for. */
clattn_tile_problem clattn_problem_of_tile(const clattn_problem *problem, clattn_fragment_id fragment);

/* CLATTN_INVALID_ARGUMENT with the field, its value and its range. */
clattn_status clattn_problem_init(clattn_problem *problem, const clattn_attention_desc *desc);

#endif
