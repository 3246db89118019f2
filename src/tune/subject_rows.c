/* SPDX-License-Identifier: BSD-2-Clause */
/* The rows of subjects.def: their classes and their shapes. */
#include <string.h>

#include "plan/fragment.h"
#include "tune/subject_internal.h"

/* A GPU's shapes: so many times the batch, the queries and the keys. A prefill of 8 heads then has 512 groups of 128
 * rows, a decode 64 sequences' heads of 8192 keys: many short ones would do without splits, which a lone one needs, and
 * the class has one split size for both. */
typedef struct gpu_scale {
    int32_t batch, q_len, kv_len;
} gpu_scale;

static const gpu_scale gpu_scales[CLATTN_ALGORITHM_COUNT] = {
    [CLATTN_ALGORITHM_PREFILL] = { 8, 2, 2 }, [CLATTN_ALGORITHM_DECODE] = { 1, 1, 4 },
    [CLATTN_ALGORITHM_COMBINE] = { 4, 1, 1 }, [CLATTN_ALGORITHM_APPEND] = { 8, 1, 1 },
    [CLATTN_ALGORITHM_GATHER] = { 8, 1, 1 },
};

#define PAGE_SIZE          16
#define COMBINE_SPLIT_SIZE 256
/* Of the device's memory that a subject may have. */
#define MEMORY_SHARE 4

#define CLATTN_SUBJECT(op, algorithm, q, kv, ...)                                                                      \
    { CLATTN_TUNE_##op, CLATTN_ALGORITHM_##algorithm, CLATTN_##q, CLATTN_##kv, CLATTN_##kv, __VA_ARGS__ },
static const clattn_subject_row rows[] = {
#include "tune/subjects.def"
};
#undef CLATTN_SUBJECT

const clattn_subject_row *clattn_subject_row_at(size_t i)
{
    return i < sizeof(rows) / sizeof(rows[0]) ? &rows[i] : NULL;
}

/* More than one tile of queries, several splits of keys, and a tail in each. One query a kv head fits decode tiles of
 * any size; groups of decode may have 8 kv heads of a cache in blocks. */
static void shrink(const clattn_subject_row *row, int32_t batch, clattn_subject_sizes *shape)
{
    const int32_t group = row->paged ? row->q_heads / row->kv_heads : 1;
    shape->small = true;
    shape->batch = batch;
    shape->kv_heads = row->paged && clattn_dtype_block_len(row->k_dtype) > 1 ? 8 : 2;
    shape->q_heads = shape->kv_heads * group;
    shape->q_len = row->q_len > 1 ? 150 : 1;
    shape->kv_len = row->algorithm == CLATTN_ALGORITHM_DECODE ? 600 : 400;
    shape->split_size = shape->split_size > 0 ? 64 : 0;
}

/* Whether the device has room for K, V, Q and O; for what append and gather move. */
static bool has_room(const clattn_device_info *info, const clattn_subject_row *row, const clattn_subject_sizes *shape)
{
    const double kv = (double)shape->batch * shape->kv_len * shape->kv_heads *
                      (double)clattn_row_bytes(row->k_dtype, shape->head_dim);
    const double q =
        (double)shape->batch * shape->q_len * shape->q_heads * (double)clattn_row_bytes(row->q_dtype, shape->head_dim);
    const double larger = kv > q ? kv : q;
    return 2 * (kv + q) < (double)(info->global_mem_size / MEMORY_SHARE) &&
           2 * larger < (double)info->max_mem_alloc_size;
}

static void scale_up(const clattn_device *device, const clattn_subject_row *row, clattn_subject_sizes *shape)
{
    const gpu_scale *scale = &gpu_scales[row->algorithm];
    const clattn_device_info *info = clattn_device_probed(device);
    if ((clattn_device_type(device) & CL_DEVICE_TYPE_CPU) != 0)
        return;
    shape->batch *= scale->batch;
    shape->q_len *= scale->q_len;
    shape->kv_len *= scale->kv_len;
    while (shape->batch > 1 && !has_room(info, row, shape))
        shape->batch /= 2;
}

static clattn_subject_sizes sizes_of_row(const clattn_subject_row *row)
{
    return (clattn_subject_sizes){ .batch = row->batch,
                                   .q_heads = row->q_heads,
                                   .kv_heads = row->kv_heads,
                                   .q_len = row->q_len,
                                   .kv_len = row->kv_len,
                                   .head_dim = row->head_dim,
                                   .page_size = row->paged ? PAGE_SIZE : 0,
                                   .split_size = row->algorithm == CLATTN_ALGORITHM_COMBINE ? COMBINE_SPLIT_SIZE : 0 };
}

clattn_subject_sizes clattn_subject_sizes_of(const clattn_device *device, const clattn_subject_row *row,
                                             int32_t small_batch)
{
    clattn_subject_sizes shape = sizes_of_row(row);
    if (small_batch > 0)
        shrink(row, small_batch, &shape);
    else
        scale_up(device, row, &shape);
    return shape;
}

int32_t clattn_subject_wanted_copies(const clattn_subject *subject, double bytes)
{
    const clattn_device_info *info = clattn_device_probed(subject->device);
    const double wanted = 4.0 * (double)info->global_mem_cache_size / bytes + 1.0;
    const double whole = (double)info->global_mem_size / MEMORY_SHARE / bytes;
    const double each = (double)info->max_mem_alloc_size / (bytes / 2) - 1.0;
    double copies = wanted < whole ? wanted : whole;
    copies = copies < each ? copies : each;
    if (subject->shape.small)
        return 2;
    return copies > 1.0 ? (int32_t)copies : 1;
}

static clattn_strides tensor(int32_t heads, int32_t length, int64_t row)
{
    return (clattn_strides){ .batch = heads * length * row, .token = row, .head = length * row };
}

clattn_attention_desc clattn_subject_describe(const clattn_subject_row *row, const clattn_subject_sizes *shape)
{
    const int32_t dim = shape->head_dim, heads = shape->kv_heads;
    const int64_t blocks = dim / clattn_dtype_block_len(row->k_dtype);
    const clattn_strides q = tensor(shape->q_heads, shape->q_len, dim), kv = tensor(heads, shape->kv_len, blocks);
    clattn_attention_desc desc =
        CLATTN_ATTENTION_DESC(.q_dtype = row->q_dtype, .k_dtype = row->k_dtype, .v_dtype = row->v_dtype,
                              .o_dtype = row->q_dtype, .q_heads = shape->q_heads, .kv_heads = heads, .head_dim = dim,
                              .v_head_dim = dim, .max_batch = shape->batch, .max_q_len = shape->q_len,
                              .max_kv_len = shape->kv_len, .q = q, .o = q, .k = kv, .v = kv);
    desc.min_q_len = shape->q_len > CLATTN_TAIL_ROWS ? shape->q_len - CLATTN_TAIL_ROWS : shape->q_len;
    if (shape->page_size == 0)
        return desc;
    desc.kv_mode = CLATTN_KV_BLOCK_TABLE;
    desc.kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE;
    desc.page_size = shape->page_size;
    desc.max_pages = (shape->kv_len + shape->page_size - 1) / shape->page_size;
    desc.pages = shape->batch * desc.max_pages;
    desc.k_cache = (clattn_page_strides){ shape->page_size * heads * blocks, heads * blocks, blocks };
    desc.v_cache = desc.k_cache;
    return desc;
}

static bool is_attention(const clattn_subject_row *row)
{
    return row->algorithm != CLATTN_ALGORITHM_APPEND && row->algorithm != CLATTN_ALGORITHM_GATHER;
}

/* False: the row's kernel is in no attention plan. */
static bool make_problem(const clattn_subject_row *row, const clattn_subject_sizes *shape, clattn_problem *out)
{
    if (!is_attention(row))
        return false;
    const clattn_attention_desc desc = clattn_subject_describe(row, shape);
    return clattn_problem_init(out, &desc) == CLATTN_OK;
}

clattn_fragment_id clattn_subject_fragment(const clattn_device *device, const clattn_subject_row *row,
                                           const clattn_subject_sizes *shape)
{
    clattn_problem problem;
    if (make_problem(row, shape, &problem))
        return clattn_fragment_for(device, &problem);
    return clattn_fragment_named(clattn_preferred_fragment(device));
}

/* A row's description is right: a test opens each. */
clattn_tuning_class clattn_subject_class(const clattn_device *device, const clattn_subject_row *row)
{
    const clattn_subject_sizes shape = clattn_subject_sizes_of(device, row, 0);
    clattn_problem problem;
    if (make_problem(row, &shape, &problem))
        return clattn_class_of_problem(&problem, row->algorithm, clattn_fragment_for(device, &problem));
    return clattn_class_of_types(row->algorithm, row->q_dtype, row->k_dtype);
}

clattn_tile_problem clattn_subject_problem_with(const clattn_subject_row *row, clattn_fragment_id fragment)
{
    const clattn_subject_sizes shape = sizes_of_row(row);
    clattn_problem problem;
    if (make_problem(row, &shape, &problem))
        return clattn_problem_of_tile(&problem, fragment);
    return (clattn_tile_problem){ 0 }; /* groups of append and gather suit any */
}
