/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_PLAN_CANDIDATES_H
#define CLATTN_PLAN_CANDIDATES_H

/* The tiles that a plan's kernel may take, best first. */

#include "plan/plan.h"

#define CLATTN_PLAN_MAX_CANDIDATES 16

typedef struct clattn_plan_candidate {
    clattn_tile tile;
    clattn_tuning_level level;
    int32_t split_size; /* measured with it; 0: none */
    char source[CLATTN_CANDIDATE_SOURCE_SIZE];
} clattn_plan_candidate;

typedef struct clattn_plan_candidates {
    int count;
    clattn_plan_candidate rows[CLATTN_PLAN_MAX_CANDIDATES];
} clattn_plan_candidates;

/* The tile that the caller's params name, and no other; else what a record has, then the built-in defaults. The plan
 * has its problem and its fragment. CLATTN_INVALID_ARGUMENT: a name that is no point of the search space. */
clattn_status clattn_plan_candidates_of(const clattn_plan *plan, clattn_step_kind kind,
                                        const clattn_plan_params *params, clattn_plan_candidates *out);

#endif
