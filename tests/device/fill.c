/* SPDX-License-Identifier: BSD-2-Clause */
/* The values of a case, all from its seed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"

/* A number that only depends on the seed and the place, so that elements reached twice by stride 0 get the same. */
static uint64_t hash(const problem *p, uint64_t salt, int64_t place)
{
    ref_random random = { (uint64_t)p->c.seed * UINT64_C(0x9e3779b1) + salt * UINT64_C(0x85ebca77) + (uint64_t)place };
    (void)ref_random_bits(&random);
    return ref_random_bits(&random);
}

/* Sequences of the same lengths hold the same data, wherever they stand in whatever batch. */
static int64_t identity(const problem *p, int32_t b)
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
    int64_t sequence = desc->mask_batch_stride || desc->has_mask_offsets ? identity(p, at.b) : 0;
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
        uint64_t block = hash(p, 1, (int64_t)(at.j / 48) * 1000 + (by_row ? at.i / 32 : 0)) % 4;
        if (block < 2 && at.j >= 48)
            return block == 1;
    }
    return hash(p, 2, place_number(p, at)) % 10 < 7;
}

static void store_mask(problem *p, place at, int64_t element)
{
    void *data = problem_host(p, MEM_MASK);
    bool keep = mask_keeps(p, at);
    uint64_t dice = hash(p, 3, place_number(p, at));
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
    static const size_t sizes[] = { 0, sizeof(uint8_t), sizeof(float), sizeof(uint16_t) };
    clattn_attention_desc *desc = &p->desc;
    int64_t elements;
    desc->mask_kind = (clattn_mask_kind)p->c.mask;
    if (desc->mask_kind == CLATTN_MASK_NONE)
        return true;
    if (p->c.mform != MFORM_SEQUENCES)
        elements = mask_form(p);
    else if (!mask_sequences(p, &elements))
        return false;
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

bool problem_make_modifiers(problem *p)
{
    const test_case *c = &p->c;
    if (!make_mask(p))
        return false;
    if (c->omode == CLATTN_Q_OFFSET_ARRAY) {
        if (!problem_add_memory(p, MEM_Q_OFFSETS, c->batch, sizeof(int32_t)))
            return false;
        for (int32_t b = 0; b < c->batch; b++)
            ((int32_t *)problem_host(p, MEM_Q_OFFSETS))[b] = c->offset + (int32_t)(hash(p, 4, identity(p, b)) % 7) - 3;
    }
    if ((c->alibi && !problem_add_memory(p, MEM_SLOPES, c->hq, sizeof(float))) ||
        (c->sinks && !problem_add_memory(p, MEM_SINKS, c->hq, sizeof(float))))
        return false;
    /* With an Inf in V no weight may vanish in float that does not in double: 0 * Inf is NaN. */
    double steepest = c->values == VALUES_INF ? 0.05 : 0.5;
    for (int32_t head = 0; head < c->hq; head++) {
        ref_random random = { hash(p, 5, head) };
        if (c->alibi)
            ((float *)problem_host(p, MEM_SLOPES))[head] = (float)(steepest * ref_random_uniform(&random));
        if (c->sinks)
            ((float *)problem_host(p, MEM_SINKS))[head] = (float)(2.0 * ref_random_normal(&random));
    }
    return true;
}

/* What Q and K are multiplied with so that logits come near the largest that the tolerances of O's type allow. */
static double magnitude(const problem *p)
{
    if (p->c.values != VALUES_HUGE)
        return 1.0;
    double target = p->c.ot == CLATTN_F16 ? 300.0 : 3000.0;
    double scale = p->c.scale != 0.0f ? fabs((double)p->c.scale) : 1.0 / sqrt(p->c.d);
    return sqrt(target / (scale * sqrt(p->c.d)));
}

static void fill_rows(problem *p, memory_id id)
{
    const test_case *c = &p->c;
    const clattn_attention_desc *desc = &p->desc;
    bool query = id == MEM_Q;
    const clattn_strides *strides = query ? &desc->q : id == MEM_K ? &desc->k : &desc->v;
    clattn_dtype dtype = query ? desc->q_dtype : id == MEM_K ? desc->k_dtype : desc->v_dtype;
    bool packed = query ? c->qmode != 0 : c->kvmode >= KVMODE_RAGGED;
    double factor = id == MEM_V ? 1.0 : magnitude(p);
    int64_t first = 0;
    for (int32_t b = 0; b < c->batch; b++) {
        ref_random random = { hash(p, 7 + (uint64_t)id, identity(p, b)) };
        for (int32_t i = 0; i < (query ? p->q_lens[b] : p->kv_lens[b]); i++) {
            for (int32_t head = 0; head < (query ? c->hq : c->hk); head++) {
                int64_t at = (packed ? 0 : b * strides->batch) + (first + i) * strides->token + head * strides->head;
                for (int32_t d = 0; d < (id == MEM_V ? c->dv : c->d); d++) {
                    double value = factor * ref_random_normal(&random);
                    if (query && d == 0 && c->values == VALUES_INF)
                        value = fabs(value) + 0.1; /* so that +Inf in a key makes the logit +inf */
                    ref_store(problem_host(p, id), dtype, at + d, value);
                }
            }
        }
        if (packed)
            first += query ? p->q_lens[b] : p->kv_room[b];
    }
}

static bool key_is_attended(const problem *p, int32_t b, int32_t kv_head, int32_t j)
{
    int32_t group = p->c.hq / p->c.hk;
    for (int32_t head = kv_head * group; head < (kv_head + 1) * group; head++)
        for (int32_t i = 0; i < p->q_lens[b]; i++)
            if (ref_attends(&p->desc, &p->in, b, head, i, j))
                return true;
    return false;
}

static void poison_key(problem *p, int64_t k_at, int64_t v_at, bool attended, uint64_t dice)
{
    const test_case *c = &p->c;
    void *k = problem_host(p, MEM_K), *v = problem_host(p, MEM_V);
    int32_t d = (int32_t)(dice / 64 % (uint64_t)c->d), dv = (int32_t)(dice / 64 % (uint64_t)c->dv);
    if (!attended) {
        for (int32_t n = 0; n < c->d; n++)
            ref_store(k, p->desc.k_dtype, k_at + n, (double)NAN);
        for (int32_t n = 0; n < c->dv; n++)
            ref_store(v, p->desc.v_dtype, v_at + n, (double)(dice % 2 ? NAN : INFINITY));
        return;
    }
    if (c->values == VALUES_POISON || dice % 8 > 1)
        return;
    bool infinite = c->values == VALUES_INF;
    if (dice % 8 == 0)
        ref_store(k, p->desc.k_dtype, k_at + (infinite ? 0 : d), (double)(infinite ? INFINITY : NAN));
    else if (c->layout != LAYOUT_MLA) /* there V's Inf would be K's, in a dimension of either sign */
        ref_store(v, p->desc.v_dtype, v_at + dv, (double)(infinite ? INFINITY : NAN));
}

static void poison_keys(problem *p)
{
    const test_case *c = &p->c;
    const clattn_attention_desc *desc = &p->desc;
    bool packed = c->kvmode >= KVMODE_RAGGED;
    int64_t first = 0;
    for (int32_t b = 0; b < c->batch; b++) {
        for (int32_t j = 0; j < p->kv_lens[b]; j++) {
            for (int32_t head = 0; head < c->hk; head++) {
                int64_t token = first + j, sequence = packed ? 0 : b;
                poison_key(p, sequence * desc->k.batch + token * desc->k.token + head * desc->k.head,
                           sequence * desc->v.batch + token * desc->v.token + head * desc->v.head,
                           key_is_attended(p, b, head, j), hash(p, 6, (identity(p, b) * 100 + head) * 100000 + j));
            }
        }
        if (packed)
            first += p->kv_room[b];
    }
}

bool problem_fill_tensors(problem *p)
{
    fill_rows(p, MEM_Q);
    fill_rows(p, MEM_K);
    if (p->c.layout != LAYOUT_MLA)
        fill_rows(p, MEM_V);
    if (p->c.values >= VALUES_POISON)
        poison_keys(p);
    return true;
}
