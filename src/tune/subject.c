/* SPDX-License-Identifier: BSD-2-Clause */
#include "tune/subject.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tune/subject_internal.h"
#include "util/status.h"

static const clattn_subject_kind *kind_of(const clattn_subject_row *row)
{
    switch (row->algorithm) {
    case CLATTN_ALGORITHM_APPEND:
        return &clattn_append_kind;
    case CLATTN_ALGORITHM_GATHER:
        return &clattn_gather_kind;
    default:
        return &clattn_attention_kind;
    }
}

static void describe(clattn_subject *subject)
{
    const clattn_subject_sizes *s = &subject->shape;
    char *text = subject->text;
    size_t size = sizeof(subject->text);
    int used = 0;
    if (subject->kind == &clattn_attention_kind)
        used = snprintf(text, size,
                        "batch %" PRId32 ", q_heads %" PRId32 ", kv_heads %" PRId32 ", q_len %" PRId32
                        ", kv_len %" PRId32 ", head_dim %" PRId32,
                        s->batch, s->q_heads, s->kv_heads, s->q_len, s->kv_len, s->head_dim);
    else
        used = snprintf(text, size, "batch %" PRId32 ", kv_heads %" PRId32 ", kv_len %" PRId32 ", head_dim %" PRId32,
                        s->batch, s->kv_heads, s->kv_len, s->head_dim);
    if (s->page_size > 0)
        used += snprintf(text + used, size - (size_t)used, ", page_size %" PRId32, s->page_size);
    if (s->split_size > 0)
        snprintf(text + used, size - (size_t)used, ", split_size %" PRId32, s->split_size);
}

static clattn_status retain(clattn_subject *subject, clattn_device *device, cl_command_queue queue)
{
    const cl_int code = clRetainCommandQueue(queue);
    if (code != CL_SUCCESS)
        return clattn_fail_cl("clRetainCommandQueue", code);
    subject->queue = queue;
    subject->device = clattn_device_retain(device);
    return CLATTN_OK;
}

static clattn_status open_shape(clattn_device *device, cl_command_queue queue, const clattn_subject_row *row,
                                int32_t small_batch, uint64_t seed, clattn_subject **out)
{
    clattn_subject *subject = calloc(1, sizeof(*subject));
    if (!subject)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for a subject");
    clattn_status status = retain(subject, device, queue);
    if (status == CLATTN_OK) {
        subject->row = *row;
        subject->shape = clattn_subject_sizes_of(device, row, small_batch);
        subject->kind = kind_of(row);
        subject->fragment = clattn_subject_fragment(device, row, &subject->shape);
        describe(subject);
        status = subject->kind->open(subject, seed);
    }
    if (status != CLATTN_OK) {
        clattn_subject_close(subject);
        return status;
    }
    *out = subject;
    return CLATTN_OK;
}

clattn_status clattn_subject_open(clattn_device *device, cl_command_queue queue, const clattn_subject_row *row,
                                  uint64_t seed, clattn_subject **out)
{
    return open_shape(device, queue, row, 0, seed, out);
}

clattn_status clattn_subject_open_small(clattn_device *device, cl_command_queue queue, const clattn_subject_row *row,
                                        int32_t batch, uint64_t seed, clattn_subject **out)
{
    return open_shape(device, queue, row, batch, seed, out);
}

void clattn_subject_close(clattn_subject *subject)
{
    if (subject->own)
        subject->kind->close(subject);
    if (subject->queue) {
        clReleaseCommandQueue(subject->queue);
        clattn_device_release(subject->device);
    }
    free(subject->got);
    free(subject);
}

const char *clattn_subject_shape(const clattn_subject *subject)
{
    return subject->text;
}

double clattn_subject_work(const clattn_subject *subject)
{
    return subject->work;
}

static clattn_fragment_id fragment_of(const clattn_subject *subject)
{
    return clattn_fragment_of(subject->fragment, subject->row.algorithm);
}

clattn_tile_problem clattn_subject_tile_problem(const clattn_subject *subject)
{
    return clattn_subject_problem_with(&subject->row, fragment_of(subject));
}

clattn_status clattn_subject_default(const clattn_subject *subject, clattn_candidate *out)
{
    const clattn_algorithm algorithm = subject->row.algorithm;
    const clattn_tile_problem problem = clattn_subject_tile_problem(subject);
    const clattn_tile *tile =
        clattn_tile_default(algorithm, fragment_of(subject), &problem, clattn_device_probed(subject->device));
    if (!tile)
        return clattn_fail(CLATTN_UNSUPPORTED, "no built-in tile of %s runs on this device",
                           clattn_algorithm_name(algorithm));
    *out = (clattn_candidate){ .tile = *tile };
    if (algorithm == CLATTN_ALGORITHM_DECODE)
        out->split_size = clattn_tile_whole_keys(tile, clattn_fragment_row(tile->fragment)->split_size);
    return CLATTN_OK;
}

clattn_status clattn_trial_open(clattn_subject *subject, const clattn_candidate *candidate, clattn_trial **out)
{
    clattn_trial *trial = calloc(1, sizeof(*trial));
    if (!trial)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for a trial");
    trial->subject = subject;
    trial->candidate = *candidate;
    const clattn_status status = subject->kind->build(trial);
    if (status != CLATTN_OK) {
        clattn_trial_close(trial);
        return status;
    }
    *out = trial;
    return CLATTN_OK;
}

void clattn_trial_close(clattn_trial *trial)
{
    if (trial->plan)
        clattn_plan_free(trial->plan);
    if (trial->append)
        clattn_append_plan_free(trial->append);
    if (trial->gather)
        clattn_gather_plan_free(trial->gather);
    clattn_subject_release(&trial->workspace);
    free(trial);
}

clattn_status clattn_trial_check(clattn_trial *trial, bool *right, char *why, size_t why_size)
{
    const clattn_subject_kind *kind = trial->subject->kind;
    *right = true;
    for (int which = 0; *right && which < kind->cases; which++) {
        CLATTN_TRY(kind->run_case(trial, which));
        CLATTN_TRY(kind->judge(trial->subject, which, right, why, why_size));
    }
    return CLATTN_OK;
}

clattn_status clattn_trial_enqueue(clattn_trial *trial, int turn, cl_event *first, cl_event *last)
{
    return trial->subject->kind->enqueue(trial, turn, first, last);
}
