/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TUNE_SUBJECT_H
#define CLATTN_TUNE_SUBJECT_H

/* What is tuned: one class's problem on a device, with its numbers, and candidates that compute it. */

#include <clattn/tune.h>

#include "device/device.h"
#include "plan/tuning_class.h"

/* A row of subjects.def: a class, and the shape that stands for it. Common ones come first. */
typedef struct clattn_subject_row {
    clattn_tune_op op;
    clattn_algorithm algorithm;
    clattn_dtype q_dtype, k_dtype, v_dtype; /* append and gather: from q_dtype to k_dtype */
    int32_t head_dim;
    bool paged;
    int32_t batch, q_heads, kv_heads, q_len, kv_len; /* on a CPU; GPUs get more, see subject_rows.c */
} clattn_subject_row;

/* Row i; NULL past the last. */
const clattn_subject_row *clattn_subject_row_at(size_t i);

/* The class of a row on a device. */
clattn_tuning_class clattn_subject_class(const clattn_device *device, const clattn_subject_row *row);

typedef struct clattn_candidate {
    clattn_tile tile;
    int32_t split_size; /* 0: the default one; decode only */
} clattn_candidate;

typedef struct clattn_subject clattn_subject;

/* Makes the numbers from the seed and uploads them. `queue` has profiling. CLATTN_OUT_OF_MEMORY,
 * CLATTN_OPENCL_ERROR. */
clattn_status clattn_subject_open(clattn_device *device, cl_command_queue queue, const clattn_subject_row *row,
                                  uint64_t seed, clattn_subject **out);
/* The same of a tiny shape, of `batch` sequences: for checking candidates, not for timing them. */
clattn_status clattn_subject_open_small(clattn_device *device, cl_command_queue queue, const clattn_subject_row *row,
                                        int32_t batch, uint64_t seed, clattn_subject **out);
void clattn_subject_close(clattn_subject *subject);

/* "batch 1, q_heads 8, ...": belongs to the subject. */
const char *clattn_subject_shape(const clattn_subject *subject);
/* FLOP or bytes of one timed call, by the contract's rule. */
double clattn_subject_work(const clattn_subject *subject);
/* What the tile has to fit. */
clattn_tile_problem clattn_subject_tile_problem(const clattn_subject *subject);
/* What an untuned plan would take: tile and split size of the built-in default. */
clattn_status clattn_subject_default(const clattn_subject *subject, clattn_candidate *out);

/* A candidate, compiled. The plan is pinned to it: no record is looked at. */
typedef struct clattn_trial clattn_trial;

/* CLATTN_BUILD_FAILED, CLATTN_UNSUPPORTED (the built kernel's limits), CLATTN_OUT_OF_MEMORY, CLATTN_OPENCL_ERROR. */
clattn_status clattn_trial_open(clattn_subject *subject, const clattn_candidate *candidate, clattn_trial **out);
void clattn_trial_close(clattn_trial *trial);

/* Runs it on lengths with tails and on the timed shape, into buffers filled with NaN, and compares with the reference,
 * rows sampled. *right false: `why` says where it differs. */
clattn_status clattn_trial_check(clattn_trial *trial, bool *right, char *why, size_t why_size);

/* Enqueues the timed call once. `turn` counts up: memory-bound subjects rotate over copies that together exceed the
 * caches. Of combine's subjects it is combine alone: the decode before it ran when the trial was opened, and would hide
 * what combine's tile makes of the time. first and last get the events of its first and last command (the same event
 * twice where it is one command), to be released. */
clattn_status clattn_trial_enqueue(clattn_trial *trial, int turn, cl_event *first, cl_event *last);

#endif
