/* SPDX-License-Identifier: BSD-2-Clause */
/* Batch, lengths and offsets of `clattn run`. */
#include <stdlib.h>

#include "command.h"
#include "problem_parts.h"

/* cu_seqlens: from 0, not decreasing, not past the tokens. Writes each sequence's length to lens[]. */
static int read_cu_seqlens(operand *in, int32_t tokens, int32_t *lens)
{
    const int32_t *starts = in->data;
    int64_t count = in->array.header.shape[0];
    if (starts[0] != 0)
        return fail("%s is '%s', which starts with %d; it has to start with 0", in->option, in->path, starts[0]);
    for (int64_t i = 1; i < count; i++) {
        if (starts[i] < starts[i - 1])
            return fail("%s is '%s', which decreases from %d to %d at element %lld; it may not decrease", in->option,
                        in->path, starts[i - 1], starts[i], (long long)i);
        lens[i - 1] = starts[i] - starts[i - 1];
    }
    if (starts[count - 1] > tokens)
        return fail("%s is '%s', which ends with %d; it may not exceed the number of tokens, %d", in->option, in->path,
                    starts[count - 1], tokens);
    return EXIT_DONE;
}

/* Each of kv_lens has to be 0 to what the sequence has; lens[], unless NULL, gets the smaller of both. */
static int read_kv_lens(problem *out, int32_t *lens)
{
    operand *in = &out->operands[JOB_KV_LENS];
    if (!in->path)
        return EXIT_DONE;
    int status = operand_to_indices(in);
    if (status == EXIT_DONE)
        status = operand_require_count(in, out->batch, "batch");
    const int32_t *values = in->data;
    for (int32_t b = 0; status == EXIT_DONE && b < out->batch; b++) {
        int32_t room = lens ? lens[b] : out->k.length;
        if (values[b] < 0 || values[b] > room)
            return fail("%s is '%s', which gives sequence %d %d keys; it has to be 0 to %d", in->option, in->path, b,
                        values[b], room);
        if (lens)
            lens[b] = values[b];
    }
    return status;
}

static int32_t largest(const int32_t *values, int32_t count)
{
    int32_t most = 0;
    for (int32_t i = 0; i < count; i++)
        most = values[i] > most ? values[i] : most;
    return most;
}

/* The smallest length that is not 0; 0 when there is none. */
static int32_t smallest(const int32_t *values, int32_t count)
{
    int32_t least = 0;
    for (int32_t i = 0; i < count; i++)
        if (values[i] > 0 && (least == 0 || values[i] < least))
            least = values[i];
    return least;
}

/* Batch and lengths of packed queries. */
static int read_q_indices(problem *out)
{
    operand *q = &out->operands[JOB_CU_SEQLENS_Q];
    int status = operand_to_indices(q);
    if (status != EXIT_DONE)
        return status;
    int64_t count = q->array.header.shape[0];
    if (count < 1 || count - 1 > INT32_MAX)
        return fail("%s is '%s' of shape [%lld]; it has to be [batch + 1]", q->option, q->path, (long long)count);
    out->batch = (int32_t)(count - 1);
    out->q_lens = calloc((size_t)count, sizeof *out->q_lens);
    if (!out->q_lens)
        return fail("%s: no memory for %lld lengths", q->option, (long long)count);
    return read_cu_seqlens(q, out->q.length, out->q_lens);
}

static int read_kv_indices(problem *out)
{
    operand *k = &out->operands[JOB_CU_SEQLENS_KV];
    int status = operand_to_indices(k);
    if (status == EXIT_DONE)
        status = operand_require_count(k, (int64_t)out->batch + 1, "batch + 1");
    if (status != EXIT_DONE)
        return status;
    out->kv_lens = calloc((size_t)out->batch + 1, sizeof *out->kv_lens);
    if (!out->kv_lens)
        return fail("%s: no memory for %d lengths", k->option, out->batch);
    return read_cu_seqlens(k, out->k.length, out->kv_lens);
}

static int read_packed_queries(problem *out)
{
    clattn_attention_desc *desc = &out->job.desc;
    int status = read_q_indices(out);
    if (status != EXIT_DONE)
        return status;
    out->max_q_len = largest(out->q_lens, out->batch);
    desc->q_length_mode = CLATTN_LENGTH_RAGGED;
    desc->max_q_tokens = out->q.length;
    desc->min_q_len = smallest(out->q_lens, out->batch);
    out->job.lengths.q_lens = out->q_lens;
    return EXIT_DONE;
}

static int read_packed_keys(problem *out)
{
    clattn_attention_desc *desc = &out->job.desc;
    int status = read_kv_indices(out);
    if (status != EXIT_DONE)
        return status;
    out->max_kv_len = largest(out->kv_lens, out->batch);
    desc->kv_length_mode = CLATTN_LENGTH_RAGGED;
    desc->has_kv_lens = out->operands[JOB_KV_LENS].path != NULL;
    desc->max_kv_tokens = out->k.length;
    out->job.lengths.kv_lens = out->kv_lens;
    return read_kv_lens(out, out->kv_lens);
}

static void read_uniform_queries(problem *out)
{
    out->batch = out->q.batch;
    out->max_q_len = out->q.length;
    out->job.desc.min_q_len = out->q.length;
    out->job.lengths.q_len = out->q.length;
}

static int read_uniform_keys(problem *out)
{
    out->max_kv_len = out->k.length;
    out->job.lengths.kv_len = out->k.length;
    int status = read_kv_lens(out, NULL);
    if (out->operands[JOB_KV_LENS].path) {
        out->job.desc.kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE;
        out->job.lengths.kv_lens = out->operands[JOB_KV_LENS].data;
    }
    return status;
}

static int check_layout(const problem *in)
{
    const operand *q = &in->operands[JOB_CU_SEQLENS_Q], *k = &in->operands[JOB_CU_SEQLENS_KV];
    const operand *stray = q->path ? q : k;
    if (in->layout == LAYOUT_THD && !(q->path && (k->path || in->has_cache)))
        return fail("%s is missing; --layout thd needs it", q->path ? "--cu-seqlens-k" : "--cu-seqlens-q");
    if (in->layout != LAYOUT_THD && stray->path)
        return fail("%s is '%s' without --layout thd; it has to be left out, or the layout to be thd", stray->option,
                    stray->path);
    return EXIT_DONE;
}

static int read_keys(problem *out)
{
    if (!out->has_cache)
        return out->layout == LAYOUT_THD ? read_packed_keys(out) : read_uniform_keys(out);
    int status = problem_read_cache_lengths(out);
    if (status == EXIT_DONE)
        out->max_kv_len = largest(out->operands[JOB_KV_LENS].data, out->batch);
    return status;
}

int problem_read_lengths(const options *given, problem *out)
{
    (void)given;
    int status = check_layout(out);
    if (status == EXIT_DONE && out->layout == LAYOUT_THD)
        status = read_packed_queries(out);
    else if (status == EXIT_DONE)
        read_uniform_queries(out);
    if (status == EXIT_DONE)
        status = read_keys(out);
    out->job.lengths.batch = out->batch;
    out->job.desc.max_batch = out->batch;
    out->job.desc.max_q_len = out->max_q_len;
    out->job.desc.max_kv_len = out->max_kv_len;
    return status;
}

int problem_read_offsets(const options *given, problem *out)
{
    const option_value *value = &given->values[OPTION_run_q_offset];
    clattn_attention_desc *desc = &out->job.desc;
    if (!value->given)
        return EXIT_DONE;
    if (value->is_integer) {
        if (value->integer < INT32_MIN || value->integer > INT32_MAX)
            return fail("--q-offset is %s; it has to fit in 32 bits", value->text);
        desc->q_offset_mode = CLATTN_Q_OFFSET_CONSTANT;
        desc->q_offset = (int32_t)value->integer;
        return EXIT_DONE;
    }
    desc->q_offset_mode = CLATTN_Q_OFFSET_ARRAY;
    int status = operand_to_indices(&out->operands[JOB_Q_OFFSETS]);
    return status == EXIT_DONE ? operand_require_count(&out->operands[JOB_Q_OFFSETS], out->batch, "batch") : status;
}
