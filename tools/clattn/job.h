/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_JOB_H
#define CLATTN_TOOL_JOB_H

/* One attention problem with its numbers on the host, and the same loaded onto a device: what run, check and bench
 * share. */

#include <stdbool.h>

#include <clattn/attention.h>
#include <clattn/cache_append.h>

#include "ref/ref.h"
#include "session.h"

enum { MAX_HEAD_DIM = 576 }; /* of attention */

typedef enum job_input {
    JOB_Q,
    JOB_K,
    JOB_V,
    JOB_CU_SEQLENS_Q,
    JOB_CU_SEQLENS_KV,
    JOB_KV_LENS,
    JOB_Q_OFFSETS,
    JOB_BLOCK_TABLE, /* or page_indices */
    JOB_K_SCALES,
    JOB_V_SCALES,
    JOB_PAGE_INDPTR,
    JOB_LAST_PAGE_LEN,
    JOB_ERROR_RECORD,
    JOB_MASK,
    JOB_ALIBI,
    JOB_SINKS,
    JOB_INPUT_COUNT
} job_input;

/* K and V that stand in a job's inputs as tensors, while its description wants pages: how the library's append puts
 * them there. */
typedef struct job_append {
    clattn_append_desc desc;
    int32_t runs;         /* appends, of desc.max_tokens tokens each */
    int64_t k_run, v_run; /* elements from one append's K and V to the next's */
    const int64_t *slots; /* [runs, max_tokens] */
} job_append;

/* Points at memory that its maker owns. */
typedef struct job {
    clattn_attention_desc desc;
    const job_append *append; /* NULL: K and V are as `desc` has them */
    clattn_lengths lengths;
    struct {
        const void *data; /* NULL: not part of the problem */
        size_t size;      /* bytes */
    } inputs[JOB_INPUT_COUNT];
    void *o; /* what O's buffer holds before, and, once fetched, after */
    size_t o_size;
    float *lse; /* the same for LSE; NULL: none */
    size_t lse_size;
} job;

typedef struct loaded_job {
    const session *on;
    clattn_plan *plan;
    clattn_plan_info info;
    clattn_schedule schedule;
    uint32_t kernels; /* bit i: info.kernels[i] runs */
    clattn_attention_args args;
} loaded_job;

/* Plans, schedules and uploads. `params` may be NULL. Exit status; on failure nothing is left loaded. */
int job_load(const session *on, const job *source, const clattn_plan_params *params, loaded_job *out);

/* Plans only, and uploads nothing: for callers that need to know the plan to make the numbers. Then job_load_step. The
 * errors are the library's, and nothing is printed; on failure nothing is left loaded. */
clattn_status job_load_plan(const session *on, const clattn_attention_desc *desc, const clattn_plan_params *params,
                            loaded_job *out);
/* Schedules and uploads; what an earlier step uploaded goes. On failure only the plan is left. */
int job_load_step(loaded_job *loaded, const job *source);

/* Runs once and waits. *seconds, unless NULL: device time from the start to the last kernel's end. Exit status. */
int job_run(const loaded_job *loaded, double *seconds);

/* One call of the library. Where it is several commands, only the last one's event is known; a marker before them then
 * stamps the start. */
typedef struct timed_call {
    const char *name, *refusal; /* "gather", "gather cannot run" */
    bool single;                /* one command */
    clattn_status (*enqueue)(const void *subject, cl_command_queue queue, cl_event *done);
    const void *subject;
} timed_call;

/* Runs it once on an idle queue and waits. *seconds, unless NULL: device time from its start to its end. Exit status.
 */
int job_time_call(const session *on, const timed_call *call, double *seconds);

/* Seconds of a clock that never goes back. */
double job_clock(void);

/* From `of_start` of one event to the end of another by the device's clock; `wall` when that tells nothing credible:
 * some drivers stamp a command when it is enqueued. */
double job_device_seconds(cl_event start, cl_profiling_info of_start, cl_event end, double wall);

/* Reads O and LSE into target->o and target->lse. Exit status. */
int job_fetch(const loaded_job *loaded, const job *target);

void job_unload(loaded_job *loaded);

/* What the reference reads; K and V are the inputs, in pages or not. */
ref_inputs job_reference(const job *source);

/* FLOP by the rule that docs/performance.md gives: 2 * (head_dim + v_head_dim) for each pair of query and key that is
 * not masked, square causal as half of full. */
double job_flops(const job *source);

/* The kernels that run, joined by "+": their names, fragments or tiles, each once. "none" when nothing runs. */
typedef enum job_names { JOB_KERNEL_NAMES, JOB_FRAGMENT_NAMES, JOB_TILE_NAMES } job_names;
const char *job_join_names(const loaded_job *loaded, job_names which, char *text, size_t size);

/* The weakest tuning level of the kernels that run. */
const char *job_tuning_level(const loaded_job *loaded);

/* Keys a split of the run; 0 when no decode kernel runs. */
int32_t job_split_size(const loaded_job *loaded);

/* Sorts. The middle one, or the mean of the middle two. count >= 1. */
double job_median(double *seconds, int count);

#endif
