/* SPDX-License-Identifier: BSD-2-Clause */
/* The values of a case, all from its seed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"

uint64_t problem_hash(const problem *p, uint64_t salt, int64_t place)
{
    ref_random random = { (uint64_t)p->c.seed * UINT64_C(0x9e3779b1) + salt * UINT64_C(0x85ebca77) + (uint64_t)place };
    (void)ref_random_bits(&random);
    return ref_random_bits(&random);
}

int64_t problem_identity(const problem *p, int32_t b)
{
    return (int64_t)p->q_lens[b] * 100000 + p->kv_lens[b];
}

/* A place in the mask, by the coordinates that have a stride. */
typedef struct place {
    int32_t b, head, i, j;
} place;

static int64_t place_number(const problem *p, place at)
{
    const clattn_attention_desc *desc = &p->desc;
    int64_t sequence = desc->mask_batch_stride || desc->has_mask_offsets ? problem_identity(p, at.b) : 0;
    int64_t head = desc->mask_head_stride ? at.head : 0;
    int64_t row = desc->mask_q_stride || desc->has_mask_row_strides ? at.i : 0;
    return ((sequence * 1000 + head) * 10000 + row) * 10000 + (desc->mask_kv_stride ? at.j : 0);
}

/* Tiles of every class: where i and j fall, the mask keeps nothing, everything or some. */
static bool mask_keeps(const problem *p, place at)
{
    const clattn_attention_desc *desc = &p->desc;
    bool by_row = desc->mask_q_stride != 0 || desc->has_mask_row_strides;
    if (p->c.empty && by_row && at.i % 3 == 1)
        return false;
    if (desc->mask_kv_stride != 0) {
        uint64_t block = problem_hash(p, 1, (int64_t)(at.j / 48) * 1000 + (by_row ? at.i / 32 : 0)) % 4;
        if (block < 2 && at.j >= 48)
            return block == 1;
    }
    return problem_hash(p, 2, place_number(p, at)) % 10 < 7;
}

static void store_mask(problem *p, place at, int64_t element)
{
    void *data = problem_host(p, MEM_MASK);
    bool keep = mask_keeps(p, at);
    uint64_t dice = problem_hash(p, 3, place_number(p, at));
    ref_random random = { dice };
    double value = ref_random_normal(&random);
    double masked = dice % 3 == 0 ? -1e30 : dice % 3 == 1 ? -3e38 : (double)-INFINITY;
    switch (p->desc.mask_kind) {
    case CLATTN_MASK_BOOL:
        ((uint8_t *)data)[element] = keep ? (uint8_t)(1 + dice % 255) : 0;
        break;
    case CLATTN_MASK_ADD_F32:
        ref_store(data, CLATTN_F32, element, keep ? value : masked);
        break;
    case CLATTN_MASK_ADD_F16:
        ref_store(data, CLATTN_F16, element, keep ? value : (double)-INFINITY);
        break;
    case CLATTN_MASK_BITS:
        ((uint8_t *)data)[element / 8] &= (uint8_t) ~(1u << element % 8);
        ((uint8_t *)data)[element / 8] |= (uint8_t)((keep ? 1u : 0u) << element % 8);
        break;
    case CLATTN_MASK_NONE:
        break;
    }
}

/* Strides of the form, over the bounds; returns the number of elements. */
static int64_t mask_form(problem *p)
{
    clattn_attention_desc *desc = &p->desc;
    int64_t rows = desc->max_q_len, row = desc->max_kv_len + p->c.gap, plane = rows * row;
    int form = p->c.mform;
    desc->mask_kv_stride = 1;
    desc->mask_q_stride = form == MFORM_K ? 0 : row;
    if (form == MFORM_Q) {
        desc->mask_kv_stride = 0;
        desc->mask_q_stride = 1;
    }
    if (form == MFORM_TRANSPOSED) {
        row = rows;
        plane = rows * desc->max_kv_len;
        desc->mask_q_stride = 1;
        desc->mask_kv_stride = row;
    }
    bool heads = form == MFORM_BHQK || form == MFORM_HQK || form == MFORM_TRANSPOSED;
    bool batch = form == MFORM_BHQK || form == MFORM_BQK || form == MFORM_TRANSPOSED;
    desc->mask_head_stride = heads ? plane : 0;
    desc->mask_batch_stride = batch ? plane * (heads ? p->c.hq : 1) : 0;
    int64_t planes = (batch ? desc->max_batch : 1) * (int64_t)(heads ? p->c.hq : 1);
    return planes * plane + row + rows;
}

/* A mask a sequence, [heads, q_len, kv_len] of its own, behind each other within a head. */
static bool mask_sequences(problem *p, int64_t *elements)
{
    clattn_attention_desc *desc = &p->desc;
    int64_t offsets[CASE_MAX_BATCH], rows[CASE_MAX_BATCH], total = 0;
    for (int32_t b = 0; b < p->c.batch; b++) {
        offsets[b] = total + 2;
        rows[b] = p->kv_lens[b] + p->c.gap;
        total += 2 + rows[b] * p->q_lens[b];
    }
    desc->has_mask_offsets = desc->has_mask_row_strides = 1;
    desc->mask_kv_stride = 1;
    desc->mask_head_stride = total;
    *elements = total * p->c.hq + 2;
    size_t size = (size_t)p->c.batch * sizeof(int64_t);
    if (!problem_add_memory(p, MEM_MASK_OFFSETS, p->c.batch, sizeof(int64_t)) ||
        !problem_add_memory(p, MEM_MASK_ROWS, p->c.batch, sizeof(int64_t)))
        return false;
    memcpy(problem_host(p, MEM_MASK_OFFSETS), offsets, size);
    memcpy(problem_host(p, MEM_MASK_ROWS), rows, size);
    return true;
}

static bool make_mask(problem *p)
{
    static const size_t sizes[] = { 0, sizeof(uint8_t), sizeof(float), sizeof(uint16_t), sizeof(uint8_t) };
    clattn_attention_desc *desc = &p->desc;
    int64_t elements;
    desc->mask_kind = (clattn_mask_kind)p->c.mask;
    if (desc->mask_kind == CLATTN_MASK_NONE)
        return true;
    if (p->c.mform != MFORM_SEQUENCES)
        elements = mask_form(p);
    else if (!mask_sequences(p, &elements))
        return false;
    if (desc->mask_kind == CLATTN_MASK_BITS)
        elements = (elements + 7) / 8;
    if (!problem_add_memory(p, MEM_MASK, elements, sizes[p->c.mask]))
        return false;
    const int64_t *offsets = problem_host(p, MEM_MASK_OFFSETS), *rows = problem_host(p, MEM_MASK_ROWS);
    for (int32_t b = 0; b < p->c.batch; b++)
        for (int32_t head = 0; head < p->c.hq; head++)
            for (int32_t i = 0; i < p->q_lens[b]; i++)
                for (int32_t j = 0; j < p->kv_lens[b]; j++)
                    store_mask(p, (place){ b, head, i, j },
                               (offsets ? offsets[b] : b * desc->mask_batch_stride) + head * desc->mask_head_stride +
                                   i * (rows ? rows[b] : desc->mask_q_stride) + j * desc->mask_kv_stride);
    return true;
}

/* Bytes of fp8 are up to 448; of either sign, because nothing forbids it. */
static bool make_scales(problem *p, memory_id id, clattn_dtype dtype)
{
    if (dtype != CLATTN_FP8)
        return true;
    if (!problem_add_memory(p, id, p->c.hk, sizeof(float)))
        return false;
    for (int32_t head = 0; head < p->c.hk; head++)
        ((float *)problem_host(p, id))[head] = (head % 3 == 2 ? -1.0f : 1.0f) / (float)(97 + 31 * head);
    return true;
}

bool problem_make_modifiers(problem *p)
{
    const test_case *c = &p->c;
    if (!make_mask(p))
        return false;
    if (c->omode == CLATTN_Q_OFFSET_ARRAY) {
        if (!problem_add_memory(p, MEM_Q_OFFSETS, c->batch, sizeof(int32_t)))
            return false;
        for (int32_t b = 0; b < c->batch; b++)
            ((int32_t *)problem_host(p, MEM_Q_OFFSETS))[b] =
                c->offset + (int32_t)(problem_hash(p, 4, problem_identity(p, b)) % 7) - 3;
    }
    if (!make_scales(p, MEM_K_SCALES, p->desc.k_dtype) || !make_scales(p, MEM_V_SCALES, p->desc.v_dtype))
        return false;
    if ((c->alibi && !problem_add_memory(p, MEM_SLOPES, c->hq, sizeof(float))) ||
        (c->sinks && !problem_add_memory(p, MEM_SINKS, c->hq, sizeof(float))))
        return false;
    /* With an Inf in V no weight may vanish in float that does not in double: 0 * Inf is NaN. */
    double steepest = c->values == VALUES_INF ? 0.05 : 0.5;
    for (int32_t head = 0; head < c->hq; head++) {
        ref_random random = { problem_hash(p, 5, head) };
        if (c->alibi)
            ((float *)problem_host(p, MEM_SLOPES))[head] = (float)(steepest * ref_random_uniform(&random));
        if (c->sinks)
            ((float *)problem_host(p, MEM_SINKS))[head] = (float)(2.0 * ref_random_normal(&random));
    }
    return true;
}
