/* SPDX-License-Identifier: BSD-2-Clause */
/* A pool past 2^31 bytes, just under 4 GiB where the device gives that much: its first and last pages and those around
 * 2^31 and 2^32 - 2^31 are written by append, read back, attended and gathered. Other pages are never touched, so that
 * a CPU commits no memory to them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"
#include "suites.h"

#define DIM        64
#define PAGE_SIZE  16
#define PAGE_BYTES (DIM * PAGE_SIZE)
#define TOUCHED    4
#define TOKENS     (TOUCHED * PAGE_SIZE)
#define HEADS      2
#define QUERIES    40
#define HALF       ((size_t)1 << 31)

typedef struct pool {
    harness *h;
    outcome out;
    int32_t pages, table[TOUCHED];
    cl_mem cache, rows, slots, scales, tables, lens, q, o, gathered;
    uint8_t bytes[TOUCHED * PAGE_BYTES]; /* of the touched pages, in the table's order */
    float q_rows[QUERIES * HEADS * DIM];
} pool;

static cl_mem buffer(pool *p, size_t size, const void *from)
{
    cl_int code = CL_SUCCESS;
    cl_mem made = clCreateBuffer(p->h->context, CL_MEM_READ_WRITE, size, NULL, &code);
    if (made && from)
        code = clEnqueueWriteBuffer(p->h->in_order, made, CL_TRUE, 0, size, from, 0, NULL, NULL);
    if (!made || code != CL_SUCCESS)
        outcome_fail(&p->out, "a buffer of %zu bytes cannot be made: %d", size, code);
    return made;
}

/* Pages just under 4 GiB, or as many as one allocation may have; 0: not past 2^31. */
static int32_t pages_of_device(const harness *h)
{
    cl_ulong most = 0;
    const cl_ulong wanted = ((cl_ulong)1 << 32) - PAGE_BYTES;
    if (clGetDeviceInfo(h->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(most), &most, NULL) != CL_SUCCESS ||
        most < HALF + 2 * (cl_ulong)PAGE_BYTES)
        return 0;
    return (int32_t)((most < wanted ? most : wanted) / PAGE_BYTES);
}

/* Keys as append gets them: numbers that fp8 has, with scale 1. */
static void make_inputs(pool *p)
{
    static const float one = 1.0f;
    static float rows[TOKENS * DIM];
    const int32_t length = TOKENS;
    int64_t slots[TOKENS];
    ref_random random = { 9 };
    for (int n = 0; n < TOKENS * DIM; n++) {
        p->bytes[n] = (uint8_t)(ref_random_bits(&random) & 0xbf); /* up to 1.875, either sign */
        rows[n] = ref_f32_from_fp8(p->bytes[n]);
    }
    for (int n = 0; n < QUERIES * HEADS * DIM; n++)
        p->q_rows[n] = (float)ref_random_normal(&random);
    for (int n = 0; n < TOKENS; n++)
        slots[n] = (int64_t)p->table[n / PAGE_SIZE] * PAGE_SIZE + n % PAGE_SIZE;
    p->rows = buffer(p, sizeof(rows), rows);
    p->slots = buffer(p, sizeof(slots), slots);
    p->scales = buffer(p, sizeof(one), &one);
    p->tables = buffer(p, sizeof(p->table), p->table);
    p->lens = buffer(p, sizeof(length), &length);
    p->q = buffer(p, sizeof(p->q_rows), p->q_rows);
    p->o = buffer(p, sizeof(p->q_rows), NULL);
    p->gathered = buffer(p, sizeof(p->bytes), NULL);
}

static clattn_buffer whole(cl_mem made)
{
    return (clattn_buffer){ .handle = made };
}

static void append(pool *p)
{
    const clattn_append_desc desc =
        CLATTN_APPEND_DESC(.page_size = PAGE_SIZE, .pages = p->pages, .kv_heads = 1, .max_tokens = TOKENS,
                           .k = { CLATTN_F32, CLATTN_FP8, DIM, { 0, DIM, DIM }, { PAGE_BYTES, DIM, DIM } });
    const clattn_append_args args =
        CLATTN_APPEND_ARGS(.slot_mapping = whole(p->slots),
                           .k = { .src = whole(p->rows), .cache = whole(p->cache), .scales = whole(p->scales) });
    clattn_append_plan *plan = NULL;
    uint8_t page[PAGE_BYTES];
    if (!outcome_ok(&p->out, clattn_append_plan_create(p->h->device, &desc, &plan), "append_plan_create") ||
        !outcome_ok(&p->out, clattn_append_run(plan, TOKENS, &args, p->h->in_order, 0, NULL, NULL), "append_run")) {
        clattn_append_plan_destroy(&plan);
        return;
    }
    for (int n = 0; n < TOUCHED; n++) {
        const size_t at = (size_t)p->table[n] * PAGE_BYTES;
        if (clEnqueueReadBuffer(p->h->in_order, p->cache, CL_TRUE, at, sizeof(page), page, 0, NULL, NULL) != CL_SUCCESS)
            outcome_fail(&p->out, "reading page %" PRId32 " failed", p->table[n]);
        else if (memcmp(page, p->bytes + (size_t)n * PAGE_BYTES, sizeof(page)) != 0)
            outcome_fail(&p->out, "page %" PRId32 " does not hold what was appended", p->table[n]);
    }
    clattn_append_plan_destroy(&plan);
}

static void gather(pool *p)
{
    const clattn_gather_desc desc =
        CLATTN_GATHER_DESC(.dtype = CLATTN_FP8, .out_dtype = CLATTN_FP8, .page_size = PAGE_SIZE, .pages = p->pages,
                           .kv_heads = 1, .head_dim = DIM, .max_batch = 1, .max_pages = TOUCHED,
                           .cache = { PAGE_BYTES, DIM, DIM }, .out = { TOKENS * DIM, DIM, DIM });
    const clattn_gather_args args =
        CLATTN_GATHER_ARGS(.cache = whole(p->cache), .block_table = whole(p->tables), .kv_lens = whole(p->lens),
                           .scales = whole(p->scales), .out = whole(p->gathered));
    clattn_gather_plan *plan = NULL;
    uint8_t got[sizeof(p->bytes)] = { 0 };
    if (outcome_ok(&p->out, clattn_gather_plan_create(p->h->device, &desc, &plan), "gather_plan_create") &&
        outcome_ok(&p->out, clattn_gather_run(plan, 1, TOKENS, &args, p->h->in_order, 0, NULL, NULL), "gather_run") &&
        (clEnqueueReadBuffer(p->h->in_order, p->gathered, CL_TRUE, 0, sizeof(got), got, 0, NULL, NULL) != CL_SUCCESS ||
         memcmp(got, p->bytes, sizeof(got)) != 0))
        outcome_fail(&p->out, "other bytes were gathered than appended");
    clattn_gather_plan_destroy(&plan);
}

static clattn_attention_desc attention_desc(const pool *p, int32_t queries)
{
    const clattn_page_strides cache = { PAGE_BYTES, DIM, DIM };
    const clattn_strides rows = { 0, HEADS * DIM, DIM };
    return CLATTN_ATTENTION_DESC(.k_dtype = CLATTN_FP8, .v_dtype = CLATTN_FP8, .q_heads = HEADS, .kv_heads = 1,
                                 .head_dim = DIM, .max_batch = 1, .max_q_len = queries, .max_kv_len = TOKENS,
                                 .kv_mode = CLATTN_KV_BLOCK_TABLE, .page_size = PAGE_SIZE, .pages = p->pages,
                                 .k_cache = cache, .v_cache = cache, .q = rows, .o = rows);
}

/* V is K. The reference has the touched pages alone, behind each other. */
static void attend(pool *p, int32_t queries)
{
    static const int32_t in_order[TOUCHED] = { 0, 1, 2, 3 };
    static const float one = 1.0f;
    static float got[QUERIES * HEADS * DIM];
    clattn_attention_desc desc = attention_desc(p, queries);
    const clattn_attention_args args =
        CLATTN_ATTENTION_ARGS(.q = whole(p->q), .k = whole(p->cache), .v = whole(p->cache), .o = whole(p->o),
                              .block_table = whole(p->tables), .k_scales = whole(p->scales),
                              .v_scales = whole(p->scales));
    const ref_inputs in = { .q = p->q_rows,
                            .k = p->bytes,
                            .v = p->bytes,
                            .k_scales = &one,
                            .v_scales = &one,
                            .block_table = in_order,
                            .batch = 1,
                            .q_len = queries,
                            .kv_len = TOKENS };
    clattn_plan *plan = NULL;
    ref_comparison found;
    if (outcome_ok(&p->out, clattn_plan_create(p->h->device, &desc, NULL, &plan), "plan_create") &&
        outcome_ok(&p->out, clattn_attention_run(plan, NULL, &args, p->h->in_order, 0, NULL, NULL), "attention_run")) {
        desc.pages = TOUCHED;
        if (clEnqueueReadBuffer(p->h->in_order, p->o, CL_TRUE, 0, sizeof(got), got, 0, NULL, NULL) != CL_SUCCESS ||
            !ref_compare(&desc, &in, got, NULL, NULL, &found, NULL))
            outcome_fail(&p->out, "the output cannot be compared");
        else if (!ref_passed(&found))
            outcome_fail(&p->out, "%" PRId64 " of %" PRId64 " elements are wrong", found.failed, found.compared);
        else
            p->out.compared += found.compared;
    }
    clattn_plan_destroy(&plan);
}

static void count(pool *p, const char *what)
{
    harness_count(p->h, what, NULL, &p->out);
    p->out = (outcome){ PASSED, "", 0, 0.0 };
}

static void run_pool(pool *p)
{
    const int32_t half = (int32_t)(HALF / PAGE_BYTES);
    p->table[0] = p->pages - 1;
    p->table[1] = 0;
    p->table[2] = half;
    p->table[3] = half - 1;
    p->cache = buffer(p, (size_t)p->pages * PAGE_BYTES, NULL);
    make_inputs(p);
    printf("# %" PRId32 " pages of %d bytes\n", p->pages, PAGE_BYTES);
    count(p, "a pool past 2^31 bytes");
    append(p);
    count(p, "append past 2^31 bytes");
    gather(p);
    count(p, "gather past 2^31 bytes");
    attend(p, 1);
    count(p, "decode past 2^31 bytes");
    attend(p, QUERIES);
    count(p, "prefill past 2^31 bytes");
}

void suite_paged_large(harness *h)
{
    static pool p;
    p = (pool){ .h = h, .out = { PASSED, "", 0, 0.0 }, .pages = pages_of_device(h) };
    if (p.pages == 0) {
        outcome_skip(&p.out, "the device allocates no more than 2^31 bytes at once");
        count(&p, "a pool past 2^31 bytes");
        return;
    }
    run_pool(&p);
    cl_mem *all[] = { &p.cache, &p.rows, &p.slots, &p.scales, &p.tables, &p.lens, &p.q, &p.o, &p.gathered };
    for (size_t n = 0; n < sizeof(all) / sizeof(all[0]); n++)
        if (*all[n])
            clReleaseMemObject(*all[n]);
}
