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
    } else if (traits & CASE_MASK_BITS) {
        desc->mask_kind = CLATTN_MASK_BITS;
        desc->mask_kv_stride = 1;
        desc->mask_q_stride = CHECK_MAX_KV_LEN + 1; /* rows start at any bit */
        desc->mask_head_stride = MASK_ROWS * desc->mask_q_stride;
    }
}

static void describe_lengths(unsigned traits, clattn_attention_desc *desc)
{
    const bool paged = desc->kv_mode != CLATTN_KV_CONTIGUOUS, list = desc->kv_mode == CLATTN_KV_PAGE_LIST;
    if (traits & CASE_RAGGED)
        desc->q_length_mode = CLATTN_LENGTH_RAGGED;
    if ((traits & CASE_RAGGED) && !paged) {
        desc->kv_length_mode = CLATTN_LENGTH_RAGGED;
        desc->has_kv_lens = (traits & CASE_KV_LENS) != 0;
    } else if (list || (traits & (CASE_KV_LENS | CASE_RAGGED))) {
        desc->kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE;
    }
}

void check_describe(const check_case *row, const check_form *form, const check_dims *dims, clattn_dtype dtype,
                    clattn_attention_desc *desc)
{
    unsigned traits = row->traits;
    clattn_attention_desc_init(desc);
    desc->q_dtype = desc->o_dtype = dtype;
    desc->q_heads = dims->q_heads;
    desc->kv_heads = dims->kv_heads;
    desc->head_dim = dims->head_dim;
    desc->v_head_dim = dims->v_head_dim;
    desc->max_batch = CHECK_BATCH;
    desc->max_q_len = CHECK_MAX_Q_LEN;
    desc->max_kv_len = CHECK_MAX_KV_LEN;
    check_form_describe(form, CHECK_BATCH, desc);
    desc->q = make_strides(traits, CHECK_MAX_Q_LEN, dims->q_heads, desc->head_dim);
    if (form->kv_mode == CLATTN_KV_CONTIGUOUS) {
        desc->k = make_strides(traits, CHECK_MAX_KV_LEN, dims->kv_heads, desc->head_dim);
        desc->v = make_strides(traits, CHECK_MAX_KV_LEN, dims->kv_heads, desc->v_head_dim);
    }
    desc->o = make_strides(traits, CHECK_MAX_Q_LEN, dims->q_heads, desc->v_head_dim);
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
    describe_lengths(traits, desc);
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
    const clattn_attention_desc *desc = &out->job.desc;
    const bool ragged = row->traits & CASE_RAGGED, lens = row->traits & CASE_KV_LENS;
    const bool packed = desc->kv_length_mode == CLATTN_LENGTH_RAGGED;
    const bool read = desc->has_kv_lens ||
                      (desc->kv_length_mode == CLATTN_LENGTH_PER_SEQUENCE && desc->kv_mode != CLATTN_KV_PAGE_LIST);
    out->job.lengths = (clattn_lengths){ .batch = CHECK_BATCH, .q_len = q_len, .kv_len = kv_len };
    out->q_lens = calloc(CHECK_BATCH, sizeof(int32_t));
    out->kv_lens = calloc(CHECK_BATCH, sizeof(int32_t));
    int32_t *cu_q = ragged ? allocate(out, JOB_CU_SEQLENS_Q, (CHECK_BATCH + 1) * sizeof(int32_t)) : NULL;
    int32_t *cu_kv = packed ? allocate(out, JOB_CU_SEQLENS_KV, (CHECK_BATCH + 1) * sizeof(int32_t)) : NULL;
    int32_t *kv_lens = read ? allocate(out, JOB_KV_LENS, CHECK_BATCH * sizeof(int32_t)) : NULL;
    if (!out->q_lens || !out->kv_lens || (ragged && !cu_q) || (packed && !cu_kv) || (read && !kv_lens))
        return false;
    for (int32_t b = 0; b < CHECK_BATCH; b++) {
        /* ragged: the middle sequence is the short one in queries, the last one in keys */
        out->q_lens[b] = ragged && b == 1 ? (q_len + 1) / 2 : q_len;
        int32_t room = ragged ? shortened(kv_len, b) : kv_len;
        out->kv_lens[b] = !lens ? room : ragged ? (room > 5 ? room - 5 : room) : shortened(kv_len, b);
        if (ragged)
            cu_q[b + 1] = cu_q[b] + out->q_lens[b];
        if (packed)
            cu_kv[b + 1] = cu_kv[b] + room;
        if (read)
            kv_lens[b] = out->kv_lens[b];
    }
    out->job.lengths.q_lens = ragged ? out->q_lens : NULL;
    out->job.lengths.kv_lens = ragged || lens ? out->kv_lens : NULL;
    return true;
}

/* Q of NaN, with numbers in the tokens of each sequence. */
static bool fill_q(check_data *out, ref_random *random)
{
    const clattn_attention_desc *desc = &out->job.desc;
    const int32_t *starts = out->owned[JOB_CU_SEQLENS_Q];
    const size_t size = clattn_dtype_size(desc->q_dtype);
    const size_t bytes = (size_t)CHECK_BATCH * CHECK_MAX_Q_LEN * (size_t)desc->q_heads * (size_t)desc->head_dim * size;
    unsigned char *data = allocate(out, JOB_Q, bytes);
    if (!data)
        return false;
    memset(data, 0xff, bytes);
    for (int32_t b = 0; b < CHECK_BATCH; b++)
        for (int32_t i = 0; i < out->q_lens[b]; i++)
            for (int32_t h = 0; h < desc->q_heads; h++) {
                const int64_t start =
                    b * desc->q.batch + ((starts ? starts[b] : 0) + i) * desc->q.token + h * desc->q.head;
                check_form_fill_row(data + (size_t)start * size, desc->q_dtype, desc->head_dim, 1.5, random);
            }
    return true;
}

/* K or V of NaN, with numbers in the keys of each sequence that are not in holes. */
static bool fill_kv(check_data *out, bool of_v, ref_random *random)
{
    const clattn_attention_desc *desc = &out->job.desc;
    const int32_t *starts = out->owned[JOB_CU_SEQLENS_KV];
    const clattn_dtype dtype = of_v ? desc->v_dtype : desc->k_dtype;
    const int32_t dim = of_v ? desc->v_head_dim : desc->head_dim;
    const bool paged = desc->kv_mode != CLATTN_KV_CONTIGUOUS;
    const int64_t blocks =
        paged ? check_form_blocks(desc, of_v) : (int64_t)CHECK_BATCH * CHECK_MAX_KV_LEN * desc->kv_heads * dim;
    const size_t size = clattn_dtype_size(dtype);
    unsigned char *data = allocate(out, of_v ? JOB_V : JOB_K, (size_t)blocks * size);
    if (!data)
        return false;
    memset(data, 0xff, (size_t)blocks * size);
    for (int32_t b = 0; b < CHECK_BATCH; b++)
        for (int32_t j = 0; j < out->kv_lens[b]; j++)
            for (int32_t h = 0; h < desc->kv_heads; h++) {
                const int64_t start = check_form_row(&out->job, of_v, starts, b, j, h);
                if (start >= 0)
                    check_form_fill_row(data + (size_t)start * size, dtype, dim, 1.0, random);
            }
    return true;
}

/* fp8's, so that its 448 becomes 2 or so; of either sign. */
static bool fill_scales(check_data *out, job_input which, clattn_dtype dtype)
{
    const int32_t heads = out->job.desc.kv_heads;
    float *scales = dtype == CLATTN_FP8 ? allocate(out, which, (size_t)heads * sizeof *scales) : NULL;
    for (int32_t h = 0; scales && h < heads; h++)
        scales[h] = (h % 2 ? -1.0f : 1.0f) / (float)(150 + 50 * h + (which == JOB_V_SCALES ? 30 : 0));
    return dtype != CLATTN_FP8 || scales;
}

static void give(check_data *out, job_input which, const void *data, size_t size)
{
    out->job.inputs[which].data = data;
    out->job.inputs[which].size = size;
}

static bool fill_pages(check_data *out, ref_random *random)
{
    const clattn_attention_desc *desc = &out->job.desc;
    if (!fill_scales(out, JOB_K_SCALES, desc->k_dtype) || !fill_scales(out, JOB_V_SCALES, desc->v_dtype))
        return false;
    if (desc->kv_mode == CLATTN_KV_CONTIGUOUS)
        return true;
    if (!check_pages_make(desc, out->kv_lens, CHECK_BATCH, random, &out->pages))
        return false;
    out->record = CLATTN_ERROR_RECORD_CLEAR;
    give(out, JOB_BLOCK_TABLE, out->pages.table, out->pages.table_size);
    give(out, JOB_ERROR_RECORD, &out->record, sizeof out->record);
    if (desc->kv_mode == CLATTN_KV_PAGE_LIST) {
        give(out, JOB_PAGE_INDPTR, out->pages.indptr, (CHECK_BATCH + 1) * sizeof(int32_t));
        give(out, JOB_LAST_PAGE_LEN, out->pages.last_page_len, CHECK_BATCH * sizeof(int32_t));
    }
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
static void poison_v(const check_case *row, check_data *out)
{
    const clattn_attention_desc *desc = &out->job.desc;
    unsigned char *data = out->owned[JOB_V];
    for (int32_t b = 0; (row->traits & CASE_NAN_V) && b < CHECK_BATCH; b++)
        for (int32_t h = 0; h < desc->kv_heads && out->kv_lens[b] > 1; h++) {
            const int64_t start =
                check_form_row(&out->job, true, out->owned[JOB_CU_SEQLENS_KV], b, out->kv_lens[b] - 2, h);
            if (start >= 0)
                check_form_spoil_row(data + (size_t)start * clattn_dtype_size(desc->v_dtype), desc->v_dtype);
        }
}

static bool fill_mask(const clattn_attention_desc *desc, check_data *out, ref_random *random)
{
    if (desc->mask_kind == CLATTN_MASK_NONE)
        return true;
    int64_t slices = desc->mask_batch_stride ? CHECK_BATCH : 1;
    int64_t elements =
        desc->mask_batch_stride ? slices * desc->mask_batch_stride : desc->q_heads * desc->mask_head_stride;
    size_t size = desc->mask_kind == CLATTN_MASK_BOOL ? 1 : desc->mask_kind == CLATTN_MASK_ADD_F16 ? 2 : 4;
    if (desc->mask_kind == CLATTN_MASK_BITS) {
        elements = elements / 8 + 1;
        size = 1;
    }
    void *mask = allocate(out, JOB_MASK, (size_t)elements * size);
    if (!mask)
        return false;
    for (int64_t i = 0; i < elements; i++) {
        if (desc->mask_kind == CLATTN_MASK_BOOL)
            ((uint8_t *)mask)[i] = (uint8_t)(ref_random_bits(random) & 3); /* 2 and 3 are true too */
        else if (desc->mask_kind == CLATTN_MASK_BITS)
            ((uint8_t *)mask)[i] = (uint8_t)ref_random_bits(random);
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
    const bool filled = fill_lengths(row, q_len, kv_len, out) && fill_pages(out, &random) && fill_q(out, &random) &&
                        fill_kv(out, false, &random) && fill_kv(out, true, &random) &&
                        fill_head_vectors(desc, out, &random) && fill_offsets(desc, out) &&
                        fill_mask(desc, out, &random) && fill_outputs(desc, out);
    if (filled)
        poison_v(row, out);
    return filled ? EXIT_DONE : fail("no memory for the case '%s'", row->name);
}

void check_free(check_data *used)
{
    for (int i = 0; i < JOB_INPUT_COUNT; i++)
        free(used->owned[i]);
    check_pages_free(&used->pages);
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
