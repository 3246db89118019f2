/* SPDX-License-Identifier: BSD-2-Clause */
#include "check_append.h"

#include <string.h>

#include <clattn/cache_append.h>

#include "command.h"
#include "ref/ref.h"

/* Sizes that no power of two divides. */
enum { PAGES = 5, PAGE_SIZE = 3, SLOTS = PAGES * PAGE_SIZE, HEADS = 3, TOKENS = 9, MAX_DIM = 64 };
enum { SKIPPED = -1, WRONG_SLOT = SLOTS, WRONG_TOKEN = 5 };

static const int64_t slots[TOKENS] = { 7, 0, 14, SKIPPED, 3, WRONG_SLOT, 8, 1, 11 };
static const float scales[HEADS] = { 0.37f, 1.0f, 0.0051f };

/* In bytes: dimension sizes times the largest element. */
enum { SRC_BYTES = TOKENS * HEADS * MAX_DIM * 4, CACHE_BYTES = SLOTS * HEADS * MAX_DIM * 4 };

/* Keys or values: on the host, and on the device. */
typedef struct plane {
    clattn_dtype src_dtype, dtype;
    int32_t dim;
    int64_t row; /* of a head in the cache, in elements or blocks */
    unsigned char src[SRC_BYTES], cache[CACHE_BYTES], want[CACHE_BYTES];
    clattn_append_buffers on_device;
} plane;

static void append_row(plane *p, int token, int head)
{
    const int64_t from = (int64_t)(token * HEADS + head) * p->dim;
    double values[MAX_DIM];
    for (int i = 0; i < p->dim; i++) {
        values[i] = ref_load(p->src, p->src_dtype, from + i);
        if (p->dtype == CLATTN_FP8)
            values[i] = (double)(float)(values[i] / (double)scales[head]);
    }
    if (slots[token] >= 0 && slots[token] < SLOTS)
        ref_store_row(p->want, p->dtype, (slots[token] * HEADS + head) * p->row, p->dim, values);
}

static void fill(plane *p, clattn_dtype src_dtype, clattn_dtype dtype, uint64_t seed)
{
    ref_random random = { seed };
    const int32_t block_len = clattn_dtype_block_len(dtype);
    p->src_dtype = src_dtype;
    p->dtype = dtype;
    p->dim = block_len > 1 ? MAX_DIM : 23;
    p->row = p->dim / block_len;
    for (int64_t i = 0; i < (int64_t)TOKENS * HEADS * p->dim; i++)
        ref_store(p->src, src_dtype, i, 4.0 * ref_random_normal(&random));
    memset(p->cache, 0x5a, sizeof p->cache);
    memset(p->want, 0x5a, sizeof p->want);
    for (int token = 0; token < TOKENS; token++)
        for (int head = 0; head < HEADS; head++)
            append_row(p, token, head);
}

static int load(const session *on, plane *p)
{
    int status = session_make_buffer(on, "new rows", sizeof p->src, p->src, &p->on_device.src);
    if (status == EXIT_DONE)
        status = session_make_buffer(on, "a cache", sizeof p->cache, p->cache, &p->on_device.cache);
    if (status == EXIT_DONE)
        status = session_make_buffer(on, "scales", sizeof scales, scales, &p->on_device.scales);
    return status;
}

static void unload(plane *p)
{
    session_free_buffer(&p->on_device.src);
    session_free_buffer(&p->on_device.cache);
    session_free_buffer(&p->on_device.scales);
}

static clattn_append_plane describe(const plane *p)
{
    return (clattn_append_plane){ .src_dtype = p->src_dtype,
                                  .dtype = p->dtype,
                                  .head_dim = p->dim,
                                  .src = { .token = HEADS * p->dim, .head = p->dim },
                                  .cache = { PAGE_SIZE * HEADS * p->row, HEADS * p->row, p->row } };
}

static int run(const session *on, const plane *k, const plane *v, clattn_buffer slot_mapping, clattn_buffer record)
{
    const clattn_append_desc desc = CLATTN_APPEND_DESC(.page_size = PAGE_SIZE, .pages = PAGES, .kv_heads = HEADS,
                                                       .max_tokens = TOKENS, .k = describe(k), .v = describe(v));
    const clattn_append_args args =
        CLATTN_APPEND_ARGS(.slot_mapping = slot_mapping, .k = k->on_device, .v = v->on_device, .error_record = record);
    clattn_append_plan *plan = NULL;
    clattn_status status = clattn_append_plan_create(on->device, &desc, &plan);
    if (status == CLATTN_OK)
        status = clattn_append_run(plan, TOKENS, &args, on->queue, 0, NULL, NULL);
    clattn_append_plan_destroy(&plan);
    return status == CLATTN_OK ? EXIT_DONE : fail_library("append cannot run");
}

static int fetch(const session *on, plane *p)
{
    return session_read_buffer(on, "a cache", &p->on_device.cache, sizeof p->cache, p->cache);
}

int check_append(const session *on, clattn_dtype src, clattn_dtype keys, clattn_dtype values, bool *same)
{
    static plane k, v;
    clattn_error_record record = CLATTN_ERROR_RECORD_CLEAR;
    clattn_buffer slot_mapping = { 0 }, error_record = { 0 };
    fill(&k, src, keys, 1);
    fill(&v, src, values, 2);
    int status = session_make_buffer(on, "the slots", sizeof slots, slots, &slot_mapping);
    if (status == EXIT_DONE)
        status = session_make_buffer(on, "the error record", sizeof record, &record, &error_record);
    if (status == EXIT_DONE)
        status = load(on, &k);
    if (status == EXIT_DONE)
        status = load(on, &v);
    if (status == EXIT_DONE)
        status = run(on, &k, &v, slot_mapping, error_record);
    if (status == EXIT_DONE)
        status = fetch(on, &k);
    if (status == EXIT_DONE)
        status = fetch(on, &v);
    if (status == EXIT_DONE)
        status = session_read_buffer(on, "the error record", &error_record, sizeof record, &record);
    session_free_buffer(&slot_mapping);
    session_free_buffer(&error_record);
    unload(&k);
    unload(&v);
    *same = memcmp(k.cache, k.want, sizeof k.want) == 0 && memcmp(v.cache, v.want, sizeof v.want) == 0 &&
            record.kinds == CLATTN_ERROR_SLOT && record.sequence == WRONG_TOKEN;
    return status;
}
