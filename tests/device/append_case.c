/* SPDX-License-Identifier: BSD-2-Clause */
#include "append_case.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref/ref.h"

#define SPARE 3 /* pages that stay as they are */

typedef struct gguf_block {
    const char *what;
    uint32_t floats[32];
    uint8_t q8_0[34], q4_0[18];
} gguf_block;

static const gguf_block gguf_blocks[] = {
#define GGUF_BLOCK(...) { __VA_ARGS__ },
#include "../support/gguf_blocks.def"
#undef GGUF_BLOCK
};

enum { NUM_BLOCKS = sizeof(gguf_blocks) / sizeof(gguf_blocks[0]) };

static clattn_append_plane plane_of(const append_case *c, int n)
{
    const int32_t dim = c->planes[n].dim, blocks = dim / clattn_dtype_block_len(c->planes[n].dtype);
    const int64_t src_row = dim + c->pad, row = blocks + c->pad;
    const int64_t heads = c->heads * row + c->pad, tokens = c->page_size * row + c->pad;
    clattn_append_plane plane = { .src_dtype = c->planes[n].src,
                                  .dtype = c->planes[n].dtype,
                                  .head_dim = dim,
                                  .src = { 0, c->heads * src_row + c->pad, src_row } };
    plane.cache = c->head_major ? (clattn_page_strides){ c->heads * tokens + c->pad, row, tokens }
                                : (clattn_page_strides){ c->page_size * heads + c->pad, heads, row };
    return dim ? plane : (clattn_append_plane){ .head_dim = 0 };
}

static const clattn_append_plane *plane_at(const append_state *a, int n)
{
    return n == 0 ? &a->desc.k : &a->desc.v;
}

static void describe(append_state *a)
{
    const append_case *c = a->c;
    a->desc = CLATTN_APPEND_DESC(.page_size = c->page_size, .kv_heads = c->heads, .max_tokens = c->tokens,
                                 .pages = (c->tokens + c->page_size - 1) / c->page_size + SPARE, .k = plane_of(c, 0),
                                 .v = plane_of(c, 1));
}

static bool allocate_plane(append_state *a, int n)
{
    static const char *const names[2][3] = { { "k.src", "k.cache", "k.scales" }, { "v.src", "v.cache", "v.scales" } };
    const clattn_append_plane *p = plane_at(a, n);
    const size_t shift = (size_t)a->c->offset;
    const size_t src = (size_t)(a->c->tokens * p->src.token) * clattn_dtype_size(p->src_dtype);
    const size_t cache = (size_t)(a->desc.pages * p->cache.page) * clattn_dtype_size(p->dtype);
    return guarded_make(&a->src[n], names[n][0], src, shift * clattn_dtype_alignment(p->src_dtype)) &&
           guarded_make(&a->cache[n], names[n][1], cache, shift * clattn_dtype_alignment(p->dtype)) &&
           guarded_make(&a->scales[n], names[n][2], (size_t)a->c->heads * sizeof(float), shift * sizeof(float));
}

/* Distinct slots, shuffled. */
static bool fill_slots(append_state *a, ref_random *random)
{
    const int64_t slots = (int64_t)a->desc.pages * a->c->page_size;
    const int64_t bad[] = { -1, slots, INT64_MIN, INT64_MAX, -7, slots + 1, (int64_t)1 << 40 };
    const clattn_error_record clear = CLATTN_ERROR_RECORD_CLEAR;
    clattn_error_record after = clear;
    int64_t *order = malloc((size_t)slots * sizeof(*order));
    for (int64_t i = 0; order && i < slots; i++) {
        const int64_t other = ref_random_range(random, 0, i);
        order[i] = order[other];
        order[other] = i;
    }
    for (int32_t t = 0; order && t < a->c->tokens; t++) {
        const bool is_bad = a->c->bad_slots && t % 3 == 2;
        const int64_t slot = is_bad ? bad[t / 3 % 7] : order[t];
        guarded_put(&a->slots, (size_t)t * sizeof(slot), &slot, sizeof(slot));
        if (slot >= slots && after.kinds == 0)
            after = (clattn_error_record){ .kinds = CLATTN_ERROR_SLOT, .sequence = (uint32_t)t };
    }
    memcpy(a->record.host, &clear, sizeof(clear));
    memcpy(a->record.want, a->c->without_record ? &clear : &after, sizeof(after));
    free(order);
    return order != NULL;
}

static double hostile(ref_random *random)
{
    static const double values[] = {
        (double)NAN, (double)INFINITY, (double)-INFINITY, 3.3e38, -3.3e38, 65504.0, 65520.0, 448.0, 464.0, 465.0, 1e-3,
        0x1p-9,      0x1p-10,          0x1.8p-9,          -0.0,   0.0,     0x1p-24, 0x1p-25, 6e-8,  1e30,  0.5,   2.5,
        0x1p-126
    };
    const int64_t n = ref_random_range(random, 0, 60);
    return n < (int64_t)(sizeof(values) / sizeof(values[0])) ? values[n] : 100.0 * ref_random_normal(random);
}

/* Element `index`, counted over all rows of a plane. */
static double value_of(const append_case *c, ref_random *random, int64_t index)
{
    float value;
    switch (c->values) {
    case APPEND_HOSTILE:
        return index / 32 % 2 == 0 ? hostile(random) : 3.0 * ref_random_normal(random);
    case APPEND_GGUF:
        memcpy(&value, &gguf_blocks[index / 32 % NUM_BLOCKS].floats[index % 32], sizeof(value));
        return (double)value;
    default:
        return 3.0 * ref_random_normal(random);
    }
}

static void fill_row(append_state *a, int n, int32_t t, int32_t head, ref_random *random)
{
    const clattn_append_plane *p = plane_at(a, n);
    const int64_t slots = (int64_t)a->desc.pages * a->c->page_size;
    const int64_t from = t * p->src.token + head * p->src.head;
    double row[1024];
    int64_t slot;
    float scale;
    memcpy(&slot, a->slots.host + (size_t)t * sizeof(slot), sizeof(slot));
    memcpy(&scale, a->scales[n].host + (size_t)head * sizeof(scale), sizeof(scale));
    for (int32_t i = 0; i < p->head_dim; i++) {
        ref_store(a->src[n].host, p->src_dtype, from + i,
                  value_of(a->c, random, ((int64_t)t * a->c->heads + head) * p->head_dim + i));
        row[i] = ref_load(a->src[n].host, p->src_dtype, from + i);
        if (p->dtype == CLATTN_FP8)
            row[i] = (double)(float)(row[i] / (double)scale);
    }
    if (slot < 0 || slot >= slots)
        return;
    const int64_t to =
        slot / a->c->page_size * p->cache.page + slot % a->c->page_size * p->cache.token + head * p->cache.head;
    if (p->src_dtype == p->dtype)
        memcpy(a->cache[n].want + (size_t)to * clattn_dtype_size(p->dtype),
               a->src[n].host + (size_t)from * clattn_dtype_size(p->dtype),
               (size_t)p->head_dim * clattn_dtype_size(p->dtype));
    else
        ref_store_row(a->cache[n].want, p->dtype, to, p->head_dim, row);
}

static void fill_plane(append_state *a, int n, ref_random *random)
{
    static const float hostile_scales[] = { 0x1.000002p0f, 0x1.fffffep0f, -3.0f, 1e-30f, 0.0f, 3e38f, 0x1p-140f };
    for (int32_t head = 0; head < a->c->heads; head++) {
        float scale = (float)(0.01 + 0.5 * ref_random_uniform(random));
        if (a->c->values == APPEND_HOSTILE)
            scale = hostile_scales[head % 7];
        guarded_put(&a->scales[n], (size_t)head * sizeof(scale), &scale, sizeof(scale));
    }
    for (int32_t t = 0; t < a->c->tokens; t++)
        for (int32_t head = 0; head < a->c->heads; head++)
            fill_row(a, n, t, head, random);
    memcpy(a->src[n].want, a->src[n].host, a->src[n].bytes);
}

static bool make_host(append_state *a)
{
    ref_random random = { 11 };
    const size_t shift = (size_t)a->c->offset;
    if (!guarded_make(&a->slots, "slot_mapping", (size_t)a->c->tokens * sizeof(int64_t), shift * sizeof(int64_t)) ||
        !guarded_make(&a->record, "the error record", sizeof(clattn_error_record), shift * sizeof(uint32_t)) ||
        !fill_slots(a, &random))
        return false;
    for (int n = 0; n < 2; n++) {
        if (!a->c->planes[n].dim)
            continue;
        if (!allocate_plane(a, n))
            return false;
        fill_plane(a, n, &random);
    }
    return true;
}

bool append_make(const harness *h, append_state *a, const append_case *c, outcome *out)
{
    *a = (append_state){ .c = c };
    describe(a);
    if (!make_host(a)) {
        outcome_fail(out, "no memory");
        return false;
    }
    guarded *all[] = { &a->slots,     &a->record, &a->src[0],   &a->cache[0],
                       &a->scales[0], &a->src[1], &a->cache[1], &a->scales[1] };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i]->base && !guarded_upload(h, all[i], out))
            return false;
    return outcome_ok(out, clattn_append_plan_create(h->device, &a->desc, &a->plan), "clattn_append_plan_create");
}

void append_free(append_state *a)
{
    clattn_append_plan_destroy(&a->plan);
    guarded_free(&a->slots);
    guarded_free(&a->record);
    for (int n = 0; n < 2; n++) {
        guarded_free(&a->src[n]);
        guarded_free(&a->cache[n]);
        guarded_free(&a->scales[n]);
    }
}

static clattn_append_buffers buffers_of(const append_state *a, int n)
{
    clattn_append_buffers buffers = { .src = { .handle = NULL } };
    if (!a->c->planes[n].dim)
        return buffers;
    buffers.src = guarded_view(&a->src[n]);
    buffers.cache = guarded_view(&a->cache[n]);
    if (a->c->planes[n].dtype == CLATTN_FP8)
        buffers.scales = guarded_view(&a->scales[n]);
    return buffers;
}

clattn_append_args append_args_of(const append_state *a)
{
    clattn_append_args args =
        CLATTN_APPEND_ARGS(.slot_mapping = guarded_view(&a->slots), .k = buffers_of(a, 0), .v = buffers_of(a, 1));
    if (!a->c->without_record)
        args.error_record = guarded_view(&a->record);
    return args;
}

typedef struct cache_view {
    clattn_dtype dtype;
    size_t blocks;
} cache_view;

/* One bit pattern for all NaNs of a cache whose rows are converted, the factors of blocks among them. */
static void canonical_nans(const void *user, unsigned char *at)
{
    static const unsigned char nan[4] = { 0x5a, 0x5a, 0x5a, 0x5a };
    const cache_view *cache = user;
    const size_t size = clattn_dtype_size(cache->dtype);
    const clattn_dtype head = clattn_dtype_block_len(cache->dtype) > 1 ? CLATTN_F16 : cache->dtype;
    const size_t bytes = clattn_dtype_size(head);
    for (size_t i = 0; i < cache->blocks; i++)
        if (isnan(ref_load(at + i * size, head, 0)))
            memcpy(at + i * size, nan, bytes);
}

void append_verify(const harness *h, const append_state *a, outcome *out)
{
    guarded_verify(h, &a->slots, NULL, NULL, out);
    guarded_verify(h, &a->record, NULL, NULL, out);
    for (int n = 0; n < 2; n++) {
        if (!a->c->planes[n].dim)
            continue;
        const clattn_append_plane *p = plane_at(a, n);
        const cache_view blocks = { p->dtype, a->cache[n].bytes / clattn_dtype_size(p->dtype) };
        guarded_verify(h, &a->src[n], NULL, NULL, out);
        guarded_verify(h, &a->scales[n], NULL, NULL, out);
        guarded_verify(h, &a->cache[n], p->src_dtype == p->dtype ? NULL : canonical_nans, &blocks, out);
        out->compared += (int64_t)a->c->tokens * a->c->heads * p->head_dim;
    }
}
