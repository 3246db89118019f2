/* SPDX-License-Identifier: BSD-2-Clause */
#include "check_case.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

const check_case check_cases[] = {
#define CHECK_CASE(name, quick_dtypes, traits) { name, quick_dtypes, traits },
#include "check_cases.def"
#undef CHECK_CASE
};
const int check_case_count = (int)(sizeof check_cases / sizeof *check_cases);

enum { MASK_ROWS = CHECK_MAX_Q_LEN };

static clattn_strides make_strides(unsigned traits, int64_t length, int64_t heads, int64_t dim)
{
    if (traits & CASE_RAGGED)
        return (clattn_strides){ .batch = 0, .token = heads * dim, .head = dim };
    if (traits & CASE_BSHD)
        return (clattn_strides){ .batch = length * heads * dim, .token = heads * dim, .head = dim };
    return (clattn_strides){ .batch = heads * length * dim, .token = dim, .head = length * dim };
}

static void describe_mask(unsigned traits, clattn_attention_desc *desc)
{
    if (traits & CASE_MASK_BOOL) {
        desc->mask_kind = CLATTN_MASK_BOOL;
        desc->mask_kv_stride = 1;
        desc->mask_q_stride = CHECK_MAX_KV_LEN;
        desc->mask_head_stride = (int64_t)MASK_ROWS * CHECK_MAX_KV_LEN;
        desc->mask_batch_stride = desc->q_heads * desc->mask_head_stride;
    } else if (traits & CASE_MASK_F32) {
        desc->mask_kind = CLATTN_MASK_ADD_F32;
        desc->mask_kv_stride = 1;
        desc->mask_q_stride = CHECK_MAX_KV_LEN;
        desc->mask_batch_stride = (int64_t)MASK_ROWS * CHECK_MAX_KV_LEN;
    } else if (traits & CASE_MASK_F16) {
        desc->mask_kind = CLATTN_MASK_ADD_F16;
        desc->mask_kv_stride = 1;
        desc->mask_head_stride = CHECK_MAX_KV_LEN;
    }
}

void check_describe(const check_case *row, const check_dims *dims, clattn_dtype dtype, clattn_attention_desc *desc)
{
    unsigned traits = row->traits;
    clattn_attention_desc_init(desc);
    desc->q_dtype = desc->k_dtype = desc->v_dtype = desc->o_dtype = dtype;
    desc->q_heads = dims->q_heads;
    desc->kv_heads = dims->kv_heads;
    desc->head_dim = dims->head_dim;
    desc->v_head_dim = dims->v_head_dim;
    desc->max_batch = CHECK_BATCH;
    desc->max_q_len = CHECK_MAX_Q_LEN;
    desc->max_kv_len = CHECK_MAX_KV_LEN;
    desc->q = make_strides(traits, CHECK_MAX_Q_LEN, dims->q_heads, dims->head_dim);
    desc->k = make_strides(traits, CHECK_MAX_KV_LEN, dims->kv_heads, dims->head_dim);
    desc->v = make_strides(traits, CHECK_MAX_KV_LEN, dims->kv_heads, dims->v_head_dim);
    desc->o = make_strides(traits, CHECK_MAX_Q_LEN, dims->q_heads, dims->v_head_dim);
    desc->has_lse = 1;
    desc->lse = make_strides(traits, CHECK_MAX_Q_LEN, dims->q_heads, 1);
    desc->causal = (traits & CASE_CAUSAL) != 0;
    desc->softcap = traits & CASE_SOFTCAP ? 1.5f : 0.0f;
    desc->has_alibi = (traits & CASE_ALIBI) != 0;
    desc->has_sinks = (traits & CASE_SINKS) != 0;
    if (traits & CASE_WINDOW) {
        desc->window_mode = CLATTN_WINDOW_LR;
        desc->window_left = 150;
        desc->window_right = traits & CASE_CAUSAL ? -1 : 3;
    }
    desc->q_offset_mode = traits & CASE_OFFSET    ? CLATTN_Q_OFFSET_CONSTANT
                          : traits & CASE_OFFSETS ? CLATTN_Q_OFFSET_ARRAY
                                                  : CLATTN_Q_OFFSET_BOTTOM_RIGHT;
    desc->q_offset = traits & CASE_OFFSET ? 7 : 0;
    if (traits & CASE_RAGGED) {
        desc->q_length_mode = desc->kv_length_mode = CLATTN_LENGTH_RAGGED;
        desc->has_kv_lens = (traits & CASE_KV_LENS) != 0;
    } else if (traits & CASE_KV_LENS) {
        desc->kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE;
    }
    describe_mask(traits, desc);
}

/* Memory for input `which`; NULL without. */
static void *allocate(check_data *out, job_input which, size_t size)
{
    void *memory = calloc(size ? size : 1, 1);
    free(out->owned[which]);
    out->owned[which] = memory;
    out->job.inputs[which].data = memory;
    out->job.inputs[which].size = size;
    return memory;
}

/* Sequence b has nearly all, half and none of a bound: whole and partial tiles and splits, and no key at all. */
static int32_t shortened(int32_t length, int32_t b)
{
    return b == 0 ? length : b == 1 ? length / 2 + 3 : 0;
}

static bool fill_lengths(const check_case *row, int32_t q_len, int32_t kv_len, check_data *out)
{
    bool ragged = row->traits & CASE_RAGGED, lens = row->traits & CASE_KV_LENS;
    out->job.lengths = (clattn_lengths){ .batch = CHECK_BATCH, .q_len = q_len, .kv_len = kv_len };
    out->q_lens = calloc(CHECK_BATCH, sizeof(int32_t));
    out->kv_lens = calloc(CHECK_BATCH, sizeof(int32_t));
    int32_t *cu_q = ragged ? allocate(out, JOB_CU_SEQLENS_Q, (CHECK_BATCH + 1) * sizeof(int32_t)) : NULL;
    int32_t *cu_kv = ragged ? allocate(out, JOB_CU_SEQLENS_KV, (CHECK_BATCH + 1) * sizeof(int32_t)) : NULL;
    int32_t *kv_lens = lens ? allocate(out, JOB_KV_LENS, CHECK_BATCH * sizeof(int32_t)) : NULL;
    if (!out->q_lens || !out->kv_lens || (ragged && (!cu_q || !cu_kv)) || (lens && !kv_lens))
        return false;
    for (int32_t b = 0; b < CHECK_BATCH; b++) {
        /* ragged: the middle sequence is the short one in queries, the last one in keys */
        out->q_lens[b] = ragged && b == 1 ? (q_len + 1) / 2 : q_len;
        int32_t room = ragged ? shortened(kv_len, b) : kv_len;
        out->kv_lens[b] = !lens ? room : ragged ? (room > 5 ? room - 5 : room) : shortened(kv_len, b);
        if (ragged) {
            cu_q[b + 1] = cu_q[b] + out->q_lens[b];
            cu_kv[b + 1] = cu_kv[b] + room;
        }
        if (lens)
            kv_lens[b] = out->kv_lens[b];
    }
    out->job.lengths.q_lens = ragged ? out->q_lens : NULL;
    out->job.lengths.kv_lens = ragged || lens ? out->kv_lens : NULL;
    return true;
}

/* A tensor [batch, token, head, dim] of NaN, with numbers in the first lens[b] tokens of each sequence. */
static bool fill_tensor(check_data *out, job_input which, const clattn_strides *strides, const int32_t *starts,
                        const int32_t *lens, const int32_t shape[3], double spread, ref_random *random)
{
    int32_t bound = shape[0], heads = shape[1], dim = shape[2];
    clattn_dtype dtype = out->job.desc.q_dtype;
    size_t size = (size_t)CHECK_BATCH * (size_t)bound * (size_t)heads * (size_t)dim * clattn_dtype_size(dtype);
    void *data = allocate(out, which, size);
    if (!data)
        return false;
    memset(data, 0xff, size);
    for (int32_t b = 0; b < CHECK_BATCH; b++)
        for (int32_t i = 0; i < lens[b]; i++)
            for (int32_t h = 0; h < heads; h++)
                for (int32_t d = 0; d < dim; d++)
                    ref_store(data, dtype,
                              b * strides->batch + ((starts ? starts[b] : 0) + i) * strides->token + h * strides->head +
                                  d,
                              spread * (4.0 * ref_random_uniform(random) - 2.0));
    return true;
}

static bool fill_head_vectors(const clattn_attention_desc *desc, check_data *out, ref_random *random)
{
    size_t size = (size_t)desc->q_heads * sizeof(float);
    float *slopes = desc->has_alibi ? allocate(out, JOB_ALIBI, size) : NULL;
    float *sinks = desc->has_sinks ? allocate(out, JOB_SINKS, size) : NULL;
    if ((desc->has_alibi && !slopes) || (desc->has_sinks && !sinks))
        return false;
    for (int32_t h = 0; h < desc->q_heads; h++) {
        if (slopes)
            slopes[h] = (float)(0.002 + 0.03 * ref_random_uniform(random));
        if (sinks)
            sinks[h] = (float)(4.0 + 2.0 * ref_random_uniform(random));
    }
    return true;
}

static bool fill_offsets(const clattn_attention_desc *desc, check_data *out)
{
    if (desc->q_offset_mode != CLATTN_Q_OFFSET_ARRAY)
        return true;
    int32_t *offsets = allocate(out, JOB_Q_OFFSETS, CHECK_BATCH * sizeof(int32_t));
    if (!offsets)
        return false;
    for (int32_t b = 0; b < CHECK_BATCH; b++)
        offsets[b] = b == 0 ? out->kv_lens[b] / 3 : -1; /* the first query of the others attends no key */
    return true;
}

/* -1e30 masks too; binary16 makes it -inf. */
static double mask_value(ref_random *random)
{
    double draw = ref_random_uniform(random);
    return draw < 0.1 ? -(double)INFINITY : draw < 0.2 ? -1e30 : 3.0 * draw;
}

/* See CASE_NAN_V. */
static void poison_v(const check_case *row, const clattn_attention_desc *desc, check_data *out)
{
    const int32_t *starts = out->owned[JOB_CU_SEQLENS_KV];
    if (!(row->traits & CASE_NAN_V))
        return;
    for (int32_t b = 0; b < CHECK_BATCH; b++)
        for (int32_t h = 0; h < desc->kv_heads && out->kv_lens[b] > 0; h++)
            ref_store(out->owned[JOB_V], desc->v_dtype,
                      b * desc->v.batch + ((starts ? starts[b] : 0) + out->kv_lens[b] - 2) * desc->v.token +
                          h * desc->v.head,
                      (double)NAN);
}

static bool fill_mask(const clattn_attention_desc *desc, check_data *out, ref_random *random)
{
    if (desc->mask_kind == CLATTN_MASK_NONE)
        return true;
    int64_t slices = desc->mask_batch_stride ? CHECK_BATCH : 1;
    int64_t elements =
        desc->mask_batch_stride ? slices * desc->mask_batch_stride : desc->q_heads * desc->mask_head_stride;
    size_t size = desc->mask_kind == CLATTN_MASK_BOOL ? 1 : desc->mask_kind == CLATTN_MASK_ADD_F16 ? 2 : 4;
    void *mask = allocate(out, JOB_MASK, (size_t)elements * size);
    if (!mask)
        return false;
    for (int64_t i = 0; i < elements; i++) {
        if (desc->mask_kind == CLATTN_MASK_BOOL)
            ((uint8_t *)mask)[i] = (uint8_t)(ref_random_bits(random) & 3); /* 2 and 3 are true too */
        else
            ref_store(mask, desc->mask_kind == CLATTN_MASK_ADD_F16 ? CLATTN_F16 : CLATTN_F32, i, mask_value(random));
    }
    return true;
}

static bool fill_outputs(const clattn_attention_desc *desc, check_data *out)
{
    size_t rows = (size_t)CHECK_BATCH * CHECK_MAX_Q_LEN * (size_t)desc->q_heads;
    job *work = &out->job;
    work->o_size = rows * (size_t)desc->v_head_dim * clattn_dtype_size(desc->o_dtype);
    work->lse_size = rows * sizeof(float);
    work->o = malloc(work->o_size);
    work->lse = malloc(work->lse_size);
    if (!work->o || !work->lse)
        return false;
    memset(work->o, CHECK_UNTOUCHED, work->o_size);
    memset(work->lse, CHECK_UNTOUCHED, work->lse_size);
    return true;
}

int check_fill(const check_case *row, const clattn_attention_desc *desc, int32_t q_len, int32_t kv_len, check_data *out)
{
    ref_random random = { (uint64_t)(row - check_cases) * 1000 + (uint64_t)q_len };
    *out = (check_data){ .job = { .desc = *desc } };
    const int32_t q[3] = { CHECK_MAX_Q_LEN, desc->q_heads, desc->head_dim };
    const int32_t k[3] = { CHECK_MAX_KV_LEN, desc->kv_heads, desc->head_dim };
    const int32_t v[3] = { CHECK_MAX_KV_LEN, desc->kv_heads, desc->v_head_dim };
    bool filled = fill_lengths(row, q_len, kv_len, out);
    const int32_t *starts_q = out->owned[JOB_CU_SEQLENS_Q], *starts_kv = out->owned[JOB_CU_SEQLENS_KV];
    filled = filled && fill_tensor(out, JOB_Q, &desc->q, starts_q, out->q_lens, q, 1.5, &random) &&
             fill_tensor(out, JOB_K, &desc->k, starts_kv, out->kv_lens, k, 1.0, &random) &&
             fill_tensor(out, JOB_V, &desc->v, starts_kv, out->kv_lens, v, 1.0, &random) &&
             fill_head_vectors(desc, out, &random) && fill_offsets(desc, out) && fill_mask(desc, out, &random) &&
             fill_outputs(desc, out);
    if (filled)
        poison_v(row, desc, out);
    return filled ? EXIT_DONE : fail("no memory for the case '%s'", row->name);
}

void check_free(check_data *used)
{
    for (int i = 0; i < JOB_INPUT_COUNT; i++)
        free(used->owned[i]);
    free(used->q_lens);
    free(used->kv_lens);
    free(used->job.o);
    free(used->job.lse);
    *used = (check_data){ .q_lens = NULL };
}

static bool all_untouched(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        if (at[i] != CHECK_UNTOUCHED)
            return false;
    return true;
}

bool check_untouched(const check_data *fetched)
{
    const clattn_attention_desc *desc = &fetched->job.desc;
    const ref_inputs in = job_reference(&fetched->job);
    size_t element = clattn_dtype_size(desc->o_dtype);
    for (int32_t b = 0; b < CHECK_BATCH; b++)
        for (int32_t i = 0; i < ref_q_len(desc, &in, b); i++)
            for (int32_t h = 0; h < desc->q_heads; h++) {
                memset((char *)fetched->job.o + (size_t)ref_o_index(desc, &in, b, i, h) * element, CHECK_UNTOUCHED,
                       (size_t)desc->v_head_dim * element);
                memset(fetched->job.lse + ref_lse_index(desc, &in, b, i, h), CHECK_UNTOUCHED, sizeof(float));
            }
    return all_untouched(fetched->job.o, fetched->job.o_size) && all_untouched(fetched->job.lse, fetched->job.lse_size);
}
