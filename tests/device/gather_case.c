/* SPDX-License-Identifier: BSD-2-Clause */
#include "gather_case.h"

#include <stdlib.h>
#include <string.h>

#include "ref/ref.h"

/* Bytes before and after what a buffer's view holds. 0x7e7e7e7e and 0xffff are NaNs in no cache and in every one. */
#define GUARD     64
#define POISON    0xff
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
    const int64_t row = c->dim + c->pad, heads = c->heads * row + c->pad, tokens = c->page_size * row + c->pad;
    g->desc = CLATTN_GATHER_DESC(.dtype = c->dtype, .page_size = c->page_size, .kv_heads = c->heads, .head_dim = c->dim,
                                 .max_batch = c->batch, .max_pages = max_pages_of(c),
                                 .out = { c->out_len * heads + c->pad, heads, row });
    g->desc.pages = c->batch * g->desc.max_pages + SPARE;
    g->desc.block_table_stride = c->pad ? g->desc.max_pages + c->pad : 0;
    g->desc.cache = c->head_major ? (clattn_page_strides){ c->heads * tokens + c->pad, row, tokens }
                                  : (clattn_page_strides){ c->page_size * heads + c->pad, heads, row };
}

static bool allocate(gather_state *g)
{
    const clattn_gather_desc *d = &g->desc;
    const size_t element = clattn_dtype_size(d->dtype);
    const size_t stride = (size_t)(d->block_table_stride ? d->block_table_stride : d->max_pages);
    const size_t sizes[GATHER_BUFFERS] = {
        [GATHER_CACHE] = (size_t)(d->pages * d->cache.page) * element,
        [GATHER_TABLE] = (size_t)g->c->batch * stride * sizeof(int32_t),
        [GATHER_LENS] = (size_t)g->c->batch * sizeof(int32_t),
        [GATHER_OUT] = (size_t)(g->c->batch * d->out.batch) * element,
        [GATHER_RECORD] = sizeof(clattn_error_record),
    };
    for (int i = 0; i < GATHER_BUFFERS; i++) {
        const size_t of_type = i == GATHER_CACHE || i == GATHER_OUT ? element : sizeof(int32_t);
        g->buffers[i].offset = GUARD + (size_t)g->c->offset * of_type;
        g->buffers[i].size = g->buffers[i].offset + sizes[i] + GUARD;
        g->buffers[i].host = malloc(g->buffers[i].size);
        if (!g->buffers[i].host)
            return false;
        memset(g->buffers[i].host, POISON, g->buffers[i].size);
    }
    g->buffers[GATHER_OUT].want = malloc(g->buffers[GATHER_OUT].size);
    g->buffers[GATHER_RECORD].want = malloc(g->buffers[GATHER_RECORD].size);
    return g->buffers[GATHER_OUT].want && g->buffers[GATHER_RECORD].want;
}

static int32_t *integers(const gather_state *g, int buffer)
{
    return (int32_t *)(void *)(g->buffers[buffer].host + g->buffers[buffer].offset);
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

static void put(unsigned char *at, size_t element, int64_t index, uint32_t bits)
{
    const uint16_t half = (uint16_t)bits;
    memcpy(at + (size_t)index * element, element == 2 ? (const void *)&half : &bits, element);
}

/* Random bits at each place that a token lives, and at the same token's place in the answer. */
static void fill_values(gather_state *g, ref_random *random)
{
    const clattn_gather_desc *d = &g->desc;
    const size_t element = clattn_dtype_size(d->dtype);
    const int64_t stride = d->block_table_stride ? d->block_table_stride : d->max_pages;
    unsigned char *cache = g->buffers[GATHER_CACHE].host + g->buffers[GATHER_CACHE].offset;
    unsigned char *out = g->buffers[GATHER_OUT].want + g->buffers[GATHER_OUT].offset;
    for (int32_t b = 0; b < g->c->batch; b++) {
        for (int32_t t = 0; t < g->c->out_len; t++) {
            const int32_t id =
                t < length_of(g, b) ? integers(g, GATHER_TABLE)[b * stride + t / d->page_size] : BAD_TABLE;
            for (int32_t n = 0; n < d->kv_heads * d->head_dim; n++) {
                const int32_t head = n / d->head_dim, at = n % d->head_dim;
                const uint32_t bits = id >= 0 && id < d->pages ? (uint32_t)ref_random_bits(random) : 0;
                put(out, element, b * d->out.batch + t * d->out.token + head * d->out.head + at, bits);
                if (id >= 0 && id < d->pages)
                    put(cache, element,
                        id * d->cache.page + t % d->page_size * d->cache.token + head * d->cache.head + at, bits);
            }
        }
    }
}

static bool fill(gather_state *g)
{
    ref_random random = { 7 };
    clattn_error_record record = CLATTN_ERROR_RECORD_CLEAR;
    memcpy(g->buffers[GATHER_LENS].host + g->buffers[GATHER_LENS].offset, g->c->lens,
           (size_t)g->c->batch * sizeof(int32_t));
    memcpy(g->buffers[GATHER_RECORD].host + g->buffers[GATHER_RECORD].offset, &record, sizeof(record));
    for (int i = 0; i < GATHER_BUFFERS; i++)
        if (g->buffers[i].want)
            memcpy(g->buffers[i].want, g->buffers[i].host, g->buffers[i].size);
    uint32_t first_bad = UINT32_MAX;
    if (!fill_table(g, &random, &first_bad))
        return false;
    fill_values(g, &random);
    if (first_bad != UINT32_MAX && !g->c->without_record)
        record = (clattn_error_record){ .kinds = CLATTN_ERROR_PAGE_ID, .sequence = first_bad };
    memcpy(g->buffers[GATHER_RECORD].want + g->buffers[GATHER_RECORD].offset, &record, sizeof(record));
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
    for (int i = 0; i < GATHER_BUFFERS; i++) {
        cl_int code;
        g->buffers[i].memory = clCreateBuffer(h->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, g->buffers[i].size,
                                              g->buffers[i].host, &code);
        if (code != CL_SUCCESS) {
            outcome_fail(out, "clCreateBuffer failed with %d", code);
            return false;
        }
    }
    return outcome_ok(out, clattn_gather_plan_create(h->device, &g->desc, &g->plan), "clattn_gather_plan_create");
}

void gather_free(gather_state *g)
{
    clattn_gather_plan_destroy(&g->plan);
    for (int i = 0; i < GATHER_BUFFERS; i++) {
        if (g->buffers[i].memory)
            clReleaseMemObject(g->buffers[i].memory);
        free(g->buffers[i].host);
        free(g->buffers[i].want);
    }
}

static clattn_buffer buffer_of(const gather_state *g, int buffer)
{
    return (clattn_buffer){ .handle = g->buffers[buffer].memory,
                            .offset = g->buffers[buffer].offset,
                            .size = g->buffers[buffer].size - g->buffers[buffer].offset - GUARD };
}

clattn_gather_args gather_args_of(const gather_state *g)
{
    clattn_gather_args args =
        CLATTN_GATHER_ARGS(.cache = buffer_of(g, GATHER_CACHE), .block_table = buffer_of(g, GATHER_TABLE),
                           .kv_lens = buffer_of(g, GATHER_LENS), .out = buffer_of(g, GATHER_OUT));
    if (!g->c->without_record)
        args.error_record = buffer_of(g, GATHER_RECORD);
    return args;
}

void gather_verify(const harness *h, const gather_state *g, outcome *out)
{
    static const char *const names[] = { "the cache", "the block table", "kv_lens", "out", "the error record" };
    for (int i = 0; i < GATHER_BUFFERS; i++) {
        const size_t size = g->buffers[i].size;
        const unsigned char *want = g->buffers[i].want ? g->buffers[i].want : g->buffers[i].host;
        unsigned char *got = malloc(size);
        if (!got || clEnqueueReadBuffer(h->in_order, g->buffers[i].memory, CL_TRUE, 0, size, got, 0, NULL, NULL) !=
                        CL_SUCCESS) {
            outcome_fail(out, "%s cannot be read", names[i]);
            free(got);
            return;
        }
        size_t at = 0;
        while (at < size && got[at] == want[at])
            at++;
        if (at < size)
            outcome_fail(out, "%s differs at byte %zd of its view: 0x%02x, not 0x%02x", names[i],
                         (ptrdiff_t)(at - g->buffers[i].offset), got[at], want[at]);
        free(got);
    }
    out->compared += (int64_t)g->c->batch * g->c->out_len * g->c->heads * g->c->dim;
}
