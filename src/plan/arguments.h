/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_PLAN_ARGUMENTS_H
#define CLATTN_PLAN_ARGUMENTS_H

/* The kernels' arguments: which buffers each step takes, in its kernel's order, and the numbers. */

#include "plan/plan.h"

#define CLATTN_HOST
#include "attention_args.clh"

/* Every buffer of clattn_attention_args, as an index. */
typedef enum clattn_argument {
    CLATTN_ARG_Q,
    CLATTN_ARG_K,
    CLATTN_ARG_V,
    CLATTN_ARG_O,
    CLATTN_ARG_LSE,
    CLATTN_ARG_CU_SEQLENS_Q,
    CLATTN_ARG_CU_SEQLENS_KV,
    CLATTN_ARG_KV_LENS,
    CLATTN_ARG_Q_OFFSETS,
    CLATTN_ARG_BLOCK_TABLE, /* or page_indices */
    CLATTN_ARG_PAGE_INDPTR,
    CLATTN_ARG_LAST_PAGE_LEN,
    CLATTN_ARG_ERROR_RECORD,
    CLATTN_ARG_K_SCALES,
    CLATTN_ARG_V_SCALES,
    CLATTN_ARG_MASK,
    CLATTN_ARG_MASK_OFFSETS,
    CLATTN_ARG_MASK_ROW_STRIDES,
    CLATTN_ARG_ALIBI_SLOPES,
    CLATTN_ARG_SINKS,
    CLATTN_ARG_WORKSPACE,
    CLATTN_ARG_COUNT
} clattn_argument;

/* The buffers by index; offsets[] is in elements of each buffer's type. */
typedef struct clattn_bindings {
    cl_mem memory[CLATTN_ARG_COUNT];
    int64_t offsets[CLATTN_ARG_COUNT];
    bool has_error_record;
} clattn_bindings;

attention_args clattn_attention_args_of(const clattn_launches *launches, const clattn_bindings *bindings);

/* Sets a step's kernel arguments and enqueues it. The kernel's lock is taken here. */
clattn_status clattn_step_enqueue(const clattn_plan *plan, clattn_step_kind kind, const attention_args *args,
                                  const clattn_bindings *bindings, const size_t global[3], cl_command_queue queue,
                                  cl_uint num_wait, const cl_event *wait_list, cl_event *event);

#endif
