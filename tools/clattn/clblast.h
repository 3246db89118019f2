/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_CLBLAST_H
#define CLATTN_TOOL_CLBLAST_H

/* Attention as it is done without a fused kernel, by CLBlast: S = scale * Q K^T, a softmax of S's rows, O = S V. f32,
 * contiguous [batch, heads, length, dim]. The query rows of all heads of a group stand below each other, so that a key
 * is read once a kv head. CLBlast takes its tuner's parameters for the device where it has them. */

#include "job.h"

typedef struct baseline {
    const session *on;
    cl_program program;
    cl_kernel softmax;
    size_t softmax_items; /* work-items a row */
    size_t sequences;     /* batch * kv_heads */
    size_t rows;          /* of a sequence: group * q_len */
    size_t keys, dim;
    float scale;
    clattn_buffer s, o;
} baseline;

/* Whether the command was built with CLBlast. */
bool baseline_available(void);

/* For the job that `loaded` holds. Exit status; on failure nothing is left open. */
int baseline_open(const loaded_job *loaded, const job *source, baseline *out);
void baseline_close(baseline *open);

/* Runs once on the inputs of `loaded`, and waits. *seconds as job_run's; may be NULL. Exit status. */
int baseline_run(const baseline *open, const loaded_job *loaded, double *seconds);

/* Compares the baseline's O with `o`, the job's. *largest: the largest difference. Fails over the contract's tolerance.
 */
int baseline_compare(const baseline *open, const job *source, double *largest);

#endif
