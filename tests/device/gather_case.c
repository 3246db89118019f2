/* SPDX-License-Identifier: BSD-2-Clause */
#include "gather_case.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref/ref.h"

#define SPARE     5 /* pages that no sequence has */
#define BAD_TABLE 0x7fffffff

static int32_t max_pages_of(const gather_case *c)
{
    int32_t most = 0;
    for (int32_t b = 0; b < c->batch; b++)
        most = c->lens[b] > most ? c->lens[b] : most;
    return c->max_pages ? c->max_pages : (most + c->page_size - 1) / c->page_size + 1;
}

static void describe(gather_state *g)
{
    const gather_case *c = g->c;
    const int64_t row = c->dim / clattn_dtype_block_len(c->dtype) + c->pad,
                  out_row = c->dim / clattn_dtype_block_len(c->out_dtype) + c->pad;
    const int64_t heads = c->heads * row + c->pad, tokens = c->page_size * row + c->pad;
    const int64_t out_token = c->heads * out_row + c->pad;
    g->desc = CLATTN_GATHER_DESC(.dtype = c->dtype, .out_dtype = c->out_dtype, .page_size = c->page_size,
                                 .kv_heads = c->heads, .head_dim = c->dim, .max_batch = c->batch,
                                 .max_pages = max_pages_of(c),
                                 .out = { c->out_len * out_token + c->pad, out_token, out_row });
    g->desc.pages = c->batch * g->desc.max_pages + SPARE;
    g->desc.block_table_stride = c->pad ? g->desc.max_pages + c->pad : 0;
    g->desc.cache = c->head_major ? (clattn_page_strides){ c->heads * tokens + c->pad, row, tokens }
                                  : (clattn_page_strides){ c->page_size * heads + c->pad, heads, row };
}

static bool allocate(gather_state *g)
{
    static const char *const names[] = {
        "the cache", "the block table", "kv_lens", "scales", "out", "the error record"
    };
    const clattn_gather_desc *d = &g->desc;
    const size_t stride = (size_t)(d->block_table_stride ? d->block_table_stride : d->max_pages);
    const struct {
        size_t bytes, alignment;
    } sizes[GATHER_BUFFERS] = {
        [GATHER_CACHE] = { (size_t)(d->pages * d->cache.page) * clattn_dtype_size(d->dtype),
                           clattn_dtype_alignment(d->dtype) },
        [GATHER_TABLE] = { (size_t)g->c->batch * stride * sizeof(int32_t), sizeof(int32_t) },
        [GATHER_LENS] = { (size_t)g->c->batch * sizeof(int32_t), sizeof(int32_t) },
        [GATHER_SCALES] = { (size_t)d->kv_heads * sizeof(float), sizeof(float) },
        [GATHER_OUT] = { (size_t)(g->c->batch * d->out.batch) * clattn_dtype_size(d->out_dtype),
                         clattn_dtype_alignment(d->out_dtype) },
        [GATHER_RECORD] = { sizeof(clattn_error_record), sizeof(uint32_t) },
    };
    for (int i = 0; i < GATHER_BUFFERS; i++)
        if (!guarded_make(&g->buffers[i], names[i], sizes[i].bytes, (size_t)g->c->offset * sizes[i].alignment))
            return false;
    return true;
}

static int32_t *integers(const gather_state *g, int buffer)
{
    return (int32_t *)(void *)g->buffers[buffer].host;
}

static int32_t length_of(const gather_state *g, int32_t b)
{
    const int64_t room = (int64_t)g->desc.max_pages * g->desc.page_size;
    int64_t length = g->c->lens[b] < room ? g->c->lens[b] : room;
    length = length < g->c->out_len ? length : g->c->out_len;
    return length > 0 ? (int32_t)length : 0;
}

/* Shuffled pages; then holes, and ids that are none. Entries that no token needs hold such ids always. */
static bool fill_table(gather_state *g, ref_random *random, uint32_t *first_bad)
{
    static const int32_t bad[] = { -2, BAD_TABLE, 0, INT32_MIN };
    const clattn_gather_desc *d = &g->desc;
    const int64_t stride = d->block_table_stride ? d->block_table_stride : d->max_pages;
    int32_t *order = malloc((size_t)d->pages * sizeof(*order)), next = 0;
    if (!order)
        return false;
    for (int32_t i = 0; i < d->pages; i++) {
        const int64_t other = ref_random_range(random, 0, i);
        order[i] = order[other];
        order[other] = i;
    }
    for (int64_t i = 0; i < g->c->batch * stride; i++)
        integers(g, GATHER_TABLE)[i] = BAD_TABLE;
    for (int32_t b = 0; b < g->c->batch; b++) {
        int32_t *row = integers(g, GATHER_TABLE) + b * stride;
        const int32_t pages = (length_of(g, b) + d->page_size - 1) / d->page_size;
        for (int32_t i = 0; i < pages; i++)
            row[i] = g->c->holes && i % 3 == 1 ? -1 : order[next++];
        if (g->c->bad_from == 0 || b < g->c->bad_from || pages == 0)
            continue;
        row[pages - 1] = b % 4 == 2 ? d->pages : bad[b % 4];
        *first_bad = (uint32_t)b < *first_bad ? (uint32_t)b : *first_bad;
    }
    free(order);
    return true;
}

/* Any bits, NaNs and infinities among them. */
static void random_row(const gather_case *c, ref_random *random, unsigned char *row)
{
    const size_t size = clattn_dtype_size(c->dtype), bytes = (size_t)(c->dim / clattn_dtype_block_len(c->dtype)) * size;
    for (size_t i = 0; i < bytes; i++)
        row[i] = (unsigned char)ref_random_bits(random);
}

/* The row at the place that a token lives, and what becomes of it at the token's place in the answer. */
static void fill_row(gather_state *g, ref_random *random, int64_t from, int64_t to, int32_t head)
{
    const clattn_gather_desc *d = &g->desc;
    const size_t size = clattn_dtype_size(d->dtype);
    unsigned char *cache = g->buffers[GATHER_CACHE].host + (size_t)from * size;
    unsigned char *out = g->buffers[GATHER_OUT].want + (size_t)to * clattn_dtype_size(d->out_dtype);
    float scale;
    memcpy(&scale, g->buffers[GATHER_SCALES].host + (size_t)head * sizeof(scale), sizeof(scale));
    random_row(g->c, random, cache);
    if (d->dtype == d->out_dtype) {
        memcpy(out, cache, (size_t)(d->head_dim / clattn_dtype_block_len(d->dtype)) * size);
        return;
    }
    for (int32_t i = 0; i < d->head_dim; i++) {
        const float value = (float)ref_load(cache, d->dtype, i);
        ref_store(out, d->out_dtype, i, (double)(d->dtype == CLATTN_FP8 ? value * scale : value));
    }
}

static void fill_values(gather_state *g, ref_random *random)
{
    const clattn_gather_desc *d = &g->desc;
    const int64_t stride = d->block_table_stride ? d->block_table_stride : d->max_pages;
    const size_t out_row =
        (size_t)(d->head_dim / clattn_dtype_block_len(d->out_dtype)) * clattn_dtype_size(d->out_dtype);
    for (int32_t b = 0; b < g->c->batch; b++)
        for (int32_t t = 0; t < g->c->out_len; t++) {
            const int32_t id =
                t < length_of(g, b) ? integers(g, GATHER_TABLE)[b * stride + t / d->page_size] : BAD_TABLE;
            for (int32_t head = 0; head < d->kv_heads; head++) {
                const int64_t to = b * d->out.batch + t * d->out.token + head * d->out.head;
                if (id >= 0 && id < d->pages)
                    fill_row(g, random, id * d->cache.page + t % d->page_size * d->cache.token + head * d->cache.head,
                             to, head);
                else
                    memset(g->buffers[GATHER_OUT].want + (size_t)to * clattn_dtype_size(d->out_dtype), 0, out_row);
            }
        }
}

static bool fill(gather_state *g)
{
    ref_random random = { 7 };
    clattn_error_record record = CLATTN_ERROR_RECORD_CLEAR;
    uint32_t first_bad = UINT32_MAX;
    memcpy(g->buffers[GATHER_LENS].host, g->c->lens, (size_t)g->c->batch * sizeof(int32_t));
    memcpy(g->buffers[GATHER_RECORD].host, &record, sizeof(record));
    for (int32_t head = 0; head < g->c->heads; head++) {
        const float scale = (float)(0.01 + ref_random_uniform(&random));
        memcpy(g->buffers[GATHER_SCALES].host + (size_t)head * sizeof(scale), &scale, sizeof(scale));
    }
    if (!fill_table(g, &random, &first_bad))
        return false;
    fill_values(g, &random);
    if (first_bad != UINT32_MAX && !g->c->without_record)
        record = (clattn_error_record){ .kinds = CLATTN_ERROR_PAGE_ID, .sequence = first_bad };
    memcpy(g->buffers[GATHER_RECORD].want, &record, sizeof(record));
    for (int i = 0; i < GATHER_BUFFERS; i++)
        if (i != GATHER_OUT && i != GATHER_RECORD)
            memcpy(g->buffers[i].want, g->buffers[i].host, g->buffers[i].bytes);
    return true;
}

bool gather_make(const harness *h, gather_state *g, const gather_case *c, outcome *out)
{
    *g = (gather_state){ .c = c };
    describe(g);
    if (!allocate(g) || !fill(g)) {
        outcome_fail(out, "no memory");
        return false;
    }
    for (int i = 0; i < GATHER_BUFFERS; i++)
        if (!guarded_upload(h, &g->buffers[i], out))
            return false;
    return outcome_ok(out, clattn_gather_plan_create(h->device, &g->desc, &g->plan), "clattn_gather_plan_create");
}

void gather_free(gather_state *g)
{
    clattn_gather_plan_destroy(&g->plan);
    for (int i = 0; i < GATHER_BUFFERS; i++)
        guarded_free(&g->buffers[i]);
}

clattn_gather_args gather_args_of(const gather_state *g)
{
    const guarded *b = g->buffers;
    clattn_gather_args args =
        CLATTN_GATHER_ARGS(.cache = guarded_view(&b[GATHER_CACHE]), .block_table = guarded_view(&b[GATHER_TABLE]),
                           .kv_lens = guarded_view(&b[GATHER_LENS]), .out = guarded_view(&b[GATHER_OUT]));
    if (g->c->dtype == CLATTN_FP8 && g->c->out_dtype != CLATTN_FP8)
        args.scales = guarded_view(&b[GATHER_SCALES]);
    if (!g->c->without_record)
        args.error_record = guarded_view(&b[GATHER_RECORD]);
    return args;
}

/* One bit pattern for all NaNs of a result that is converted. */
static void canonical_nans(const void *user, unsigned char *at)
{
    const gather_state *g = user;
    const size_t size = clattn_dtype_size(g->desc.out_dtype);
    for (size_t i = 0; i < g->buffers[GATHER_OUT].bytes / size; i++)
        if (isnan(ref_load(at + i * size, g->desc.out_dtype, 0)))
            memset(at + i * size, 0x5a, size);
}

void gather_verify(const harness *h, const gather_state *g, outcome *out)
{
    const bool converts = g->desc.dtype != g->desc.out_dtype;
    for (int i = 0; i < GATHER_BUFFERS; i++)
        guarded_verify(h, &g->buffers[i], converts && i == GATHER_OUT ? canonical_nans : NULL, g, out);
    out->compared += (int64_t)g->c->batch * g->c->out_len * g->c->heads * g->c->dim;
}
