/* SPDX-License-Identifier: BSD-2-Clause */
/* Data of Q, K and V, dense or in pages, all from the seed. */
#include <math.h>
#include <string.h>

#include "problem.h"

/* What Q and K are multiplied with so that logits come near the largest that the tolerances of O's type allow. The
 * layout mla keeps V in K, so that V is as large, and tensor cores round P to the type of V. */
static double magnitude(const problem *p)
{
    if (p->c.values != VALUES_HUGE)
        return 1.0;
    double target = p->c.ot == CLATTN_F16 ? 300.0 : 3000.0;
    if (p->c.frag >= FRAG_NV_WGMMA && p->c.layout == LAYOUT_MLA)
        target = 30.0;
    double scale = p->c.scale != 0.0f ? fabs((double)p->c.scale) : 1.0 / sqrt(p->c.d);
    return sqrt(target / (scale * sqrt(p->c.d)));
}

static clattn_dtype dtype_of(const problem *p, memory_id id)
{
    return id == MEM_Q ? p->desc.q_dtype : id == MEM_K ? p->desc.k_dtype : p->desc.v_dtype;
}

static int32_t dim_of(const problem *p, memory_id id)
{
    return id == MEM_V ? p->c.dv : p->c.d;
}

/* Where a row starts, in elements or blocks; -1: the key is in a hole. `first` is the sequence's first packed token. */
static int64_t row_start(const problem *p, memory_id id, int64_t first, int32_t b, int32_t i, int32_t head)
{
    const clattn_attention_desc *desc = &p->desc;
    const clattn_strides *strides = id == MEM_Q ? &desc->q : id == MEM_K ? &desc->k : &desc->v;
    bool packed = id == MEM_Q ? p->c.qmode != 0 : p->c.kvmode >= KVMODE_RAGGED;
    if (id == MEM_Q || p->c.kvform == KVFORM_DENSE)
        return (packed ? 0 : b * strides->batch) + (first + i) * strides->token + head * strides->head;
    const clattn_page_strides *pages = id == MEM_K ? &desc->k_cache : &desc->v_cache;
    int32_t page = ref_key_page(desc, &p->in, b, head, i);
    return page < 0 ? -1 : page * pages->page + i % desc->page_size * pages->token + head * pages->head;
}

/* Random bits of a type with scales: blocks of any sign, bytes of any exponent, no NaN. */
static void fill_quantised(unsigned char *row, clattn_dtype dtype, int32_t dim, double factor, ref_random *random)
{
    int32_t block_len = clattn_dtype_block_len(dtype);
    size_t size = clattn_dtype_size(dtype);
    for (int32_t block = 0; block < dim / block_len; block++) {
        unsigned char *at = row + (size_t)block * size;
        for (size_t n = 0; n < size; n++) {
            at[n] = (unsigned char)ref_random_bits(random);
            if (dtype == CLATTN_FP8 && (at[n] & 0x7f) == 0x7f)
                at[n] ^= 1;
        }
        double largest = dtype == CLATTN_Q8_0 ? 127.0 : 8.0;
        if (dtype != CLATTN_FP8)
            ref_store(at, CLATTN_F16, 0, 2.0 * factor * ref_random_normal(random) / largest);
    }
}

static void fill_row(problem *p, memory_id id, int64_t start, double factor, ref_random *random)
{
    clattn_dtype dtype = dtype_of(p, id);
    unsigned char *row = problem_host(p, id);
    row += start * (int64_t)clattn_dtype_size(dtype);
    if (dtype >= CLATTN_FLOAT_DTYPE_COUNT) {
        fill_quantised(row, dtype, dim_of(p, id), factor, random);
        return;
    }
    for (int32_t d = 0; d < dim_of(p, id); d++) {
        double value = factor * ref_random_normal(random);
        if (id == MEM_Q && d == 0 && p->c.values == VALUES_INF)
            value = fabs(value) + 0.1; /* so that +Inf in a key makes the logit +inf */
        ref_store(row, dtype, d, value);
    }
}

static void fill_rows(problem *p, memory_id id)
{
    const test_case *c = &p->c;
    bool query = id == MEM_Q;
    double factor = id == MEM_V ? 1.0 : magnitude(p);
    int64_t first = 0;
    for (int32_t b = 0; b < c->batch; b++) {
        ref_random random = { problem_hash(p, 7 + (uint64_t)id, problem_identity(p, b)) };
        for (int32_t i = 0; i < (query ? p->q_lens[b] : p->kv_lens[b]); i++) {
            for (int32_t head = 0; head < (query ? c->hq : c->hk); head++) {
                int64_t start = row_start(p, id, first, b, i, head);
                if (start >= 0)
                    fill_row(p, id, start, factor, &random);
            }
        }
        if (query ? c->qmode != 0 : c->kvmode >= KVMODE_RAGGED)
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

/* Makes element d of a row NaN or Inf; with a block type, which has no Inf, its block NaN. */
static void spoil(problem *p, memory_id id, int64_t start, int32_t d, double value)
{
    clattn_dtype dtype = dtype_of(p, id);
    unsigned char *row = problem_host(p, id);
    row += start * (int64_t)clattn_dtype_size(dtype);
    if (dtype < CLATTN_FLOAT_DTYPE_COUNT)
        ref_store(row, dtype, d, value);
    else if (dtype == CLATTN_FP8)
        row[d] = 0x7f;
    else
        ref_store(row + (size_t)(d / clattn_dtype_block_len(dtype)) * clattn_dtype_size(dtype), CLATTN_F16, 0,
                  (double)NAN);
}

static void poison_key(problem *p, int64_t k_start, int64_t v_start, bool attended, uint64_t dice)
{
    const test_case *c = &p->c;
    int32_t d = (int32_t)(dice / 64 % (uint64_t)c->d), dv = (int32_t)(dice / 64 % (uint64_t)c->dv);
    if (!attended) {
        for (int32_t n = 0; n < c->d; n++)
            spoil(p, MEM_K, k_start, n, (double)NAN);
        for (int32_t n = 0; n < c->dv; n++)
            spoil(p, MEM_V, v_start, n, (double)(dice % 2 ? NAN : INFINITY));
        return;
    }
    if (c->values == VALUES_POISON || dice % 8 > 1)
        return;
    bool infinite = c->values == VALUES_INF;
    if (dice % 8 == 0)
        spoil(p, MEM_K, k_start, infinite ? 0 : d, (double)(infinite ? INFINITY : NAN));
    else if (c->layout != LAYOUT_MLA) /* there V's Inf would be K's, in a dimension of either sign */
        spoil(p, MEM_V, v_start, dv, (double)(infinite ? INFINITY : NAN));
}

static void poison_keys(problem *p)
{
    const test_case *c = &p->c;
    int64_t first = 0;
    for (int32_t b = 0; b < c->batch; b++) {
        for (int32_t j = 0; j < p->kv_lens[b]; j++) {
            for (int32_t head = 0; head < c->hk; head++) {
                int64_t k = row_start(p, MEM_K, first, b, j, head), v = row_start(p, MEM_V, first, b, j, head);
                if (k >= 0)
                    poison_key(p, k, v, key_is_attended(p, b, head, j),
                               problem_hash(p, 6, (problem_identity(p, b) * 100 + head) * 100000 + j));
            }
        }
        if (c->kvmode >= KVMODE_RAGGED)
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
