/* SPDX-License-Identifier: BSD-2-Clause */
/* Gather: every byte against the host's answer, on queues, and refused. */
#include <stdio.h>
#include <stdlib.h>

#include "gather_case.h"
#include "operation.h"
#include "suites.h"

#define LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define WIDE          70000

static const gather_case cases[] = {
    { "page size 1", CLATTN_F32, CLATTN_F32, 1, 2, 5, 3, .lens = { 7, 0, 3 }, .out_len = 7 },
    { "page size 3, f16", CLATTN_F16, CLATTN_F16, 3, 2, 5, 4, .lens = { 9, 1, 10, 0 }, .out_len = 10 },
    { "page size 16, bf16", CLATTN_BF16, CLATTN_BF16, 16, 3, 8, 4, .lens = { 15, 16, 17, 1 }, .out_len = 17 },
    { "page size 256", CLATTN_F16, CLATTN_F16, 256, 1, 3, 2, .lens = { 257, 40 }, .out_len = 257 },
    { "one element", CLATTN_F16, CLATTN_F16, 1, 1, 1, 1, .lens = { 1 }, .out_len = 1 },
    { "lengths 0", CLATTN_F32, CLATTN_F32, 16, 2, 4, 2, .lens = { 0, 0 }, .out_len = 5 },
    { "heads before tokens", CLATTN_F16, CLATTN_F16, 3, 3, 7, 3, .lens = { 8, 9, 2 }, .out_len = 9,
      .head_major = true },
    { "heads before tokens, f32", CLATTN_F32, CLATTN_F32, 16, 2, 33, 2, .lens = { 18, 16 }, .out_len = 18,
      .head_major = true },
    { "strides and offsets", CLATTN_F16, CLATTN_F16, 3, 2, 5, 3, .lens = { 7, 0, 4 }, .out_len = 8, .pad = 3,
      .offset = 1 },
    { "strides and offsets, f32", CLATTN_F32, CLATTN_F32, 16, 2, 5, 3, .lens = { 17, 33, 1 }, .out_len = 33, .pad = 2,
      .offset = 3 },
    { "strides, heads before tokens", CLATTN_F16, CLATTN_F16, 16, 2, 5, 2, .lens = { 17, 5 }, .out_len = 19,
      .head_major = true, .pad = 1 },
    { "one long head", CLATTN_F16, CLATTN_F16, 16, 1, 576, 2, .lens = { 3, 2 }, .out_len = 3 },
    { "holes", CLATTN_F16, CLATTN_F16, 3, 2, 5, 3, .lens = { 12, 7, 4 }, .out_len = 12, .holes = true },
    { "holes in pages of 1", CLATTN_F32, CLATTN_F32, 1, 2, 5, 2, .lens = { 9, 2 }, .out_len = 9, .holes = true },
    { "bad ids", CLATTN_F16, CLATTN_F16, 3, 2, 5, 4, .lens = { 6, 7, 8, 9 }, .out_len = 9, .bad_from = 2, .offset = 1 },
    { "bad ids, many heads", CLATTN_F32, CLATTN_F32, 1, 9, 2, 4, .lens = { 6, 2, 1, 4 }, .out_len = 9, .bad_from = 1,
      .pad = 1 },
    { "bad ids and holes", CLATTN_F16, CLATTN_F16, 1, 2, 5, 4, .lens = { 5, 5, 0, 5 }, .out_len = 5, .bad_from = 2,
      .holes = true },
    { "bad ids, no record", CLATTN_F16, CLATTN_F16, 3, 2, 5, 4, .lens = { 6, 7, 8, 9 }, .out_len = 9, .bad_from = 1,
      .without_record = true },
    { "lengths past the table", CLATTN_F16, CLATTN_F16, 3, 2, 5, 3, .lens = { 100, INT32_MAX, 2 }, .out_len = 9,
      .max_pages = 2 },
    { "lengths past the result", CLATTN_F32, CLATTN_F32, 3, 2, 5, 3, .lens = { 12, 5, 2 }, .out_len = 4 },
    { "negative lengths", CLATTN_F16, CLATTN_F16, 3, 2, 5, 3, .lens = { -1, 4, INT32_MIN }, .out_len = 4 },
    { "q8_0, bit for bit", CLATTN_Q8_0, CLATTN_Q8_0, 3, 2, 32, 2, .lens = { 4, 2 }, .out_len = 5, .pad = 1 },
    { "q8_0 to f16", CLATTN_Q8_0, CLATTN_F16, 3, 2, 32, 2, .lens = { 4, 2 }, .out_len = 5, .offset = 1 },
    { "q4_0 to f32", CLATTN_Q4_0, CLATTN_F32, 3, 2, 32, 2, .lens = { 4, 2 }, .out_len = 5, .holes = true },
    { "fp8 to bf16", CLATTN_FP8, CLATTN_BF16, 3, 2, 19, 2, .lens = { 4, 2 }, .out_len = 5, .offset = 3 },
    { "longer than all", CLATTN_F16, CLATTN_F16, 16, 2, 4, 2, .lens = { 3, 20 }, .out_len = 50 },
};

static cl_int enqueue(const gather_state *g, cl_command_queue queue, cl_event *wait, cl_event *event, outcome *out)
{
    const clattn_gather_args args = gather_args_of(g);
    *event = NULL;
    if (!outcome_ok(out,
                    clattn_gather_run(g->plan, g->c->batch, g->c->out_len, &args, queue, wait ? 1 : 0, wait, event),
                    "clattn_gather_run"))
        return CL_INVALID_VALUE;
    if (!*event)
        outcome_fail(out, "the run returned no event");
    return *event ? clFlush(queue) : CL_INVALID_EVENT;
}

static void check_case(harness *h, const gather_case *c)
{
    outcome out = { PASSED, "", 0, 0.0 };
    gather_state g;
    cl_event event;
    if (gather_make(h, &g, c, &out) && enqueue(&g, h->in_order, NULL, &event, &out) == CL_SUCCESS) {
        if (clWaitForEvents(1, &event) != CL_SUCCESS)
            outcome_fail(&out, "waiting for the run's event failed");
        clReleaseEvent(event);
        gather_verify(h, &g, &out);
    }
    gather_free(&g);
    harness_count(h, c->name, NULL, &out);
}

/* The record is added to, and only by what is wrong: an earlier report of a lower sequence stays. */
static void check_record_adds(harness *h)
{
    outcome out = { PASSED, "", 0, 0.0 };
    static const gather_case c = { "",           CLATTN_F16,   CLATTN_F16, 3, 2, 5, 4, .lens = { 6, 7, 8, 9 },
                                   .out_len = 9, .bad_from = 2 };
    static const clattn_error_record before = { 8, 1, { 0, 0 } };
    clattn_error_record after = { 0 };
    gather_state g;
    cl_event event;
    const bool made = gather_make(h, &g, &c, &out);
    if (made &&
        clEnqueueWriteBuffer(h->in_order, g.buffers[GATHER_RECORD].memory, CL_TRUE, g.buffers[GATHER_RECORD].offset,
                             sizeof(before), &before, 0, NULL, NULL) == CL_SUCCESS &&
        enqueue(&g, h->in_order, NULL, &event, &out) == CL_SUCCESS) {
        clEnqueueReadBuffer(h->in_order, g.buffers[GATHER_RECORD].memory, CL_TRUE, g.buffers[GATHER_RECORD].offset,
                            sizeof(after), &after, 1, &event, NULL);
        clReleaseEvent(event);
        if (after.kinds != (8 | CLATTN_ERROR_PAGE_ID) || after.sequence != 1)
            outcome_fail(&out, "the record is %u, %u", after.kinds, after.sequence);
    }
    gather_free(&g);
    harness_count(h, "the record is only added to", NULL, &out);
}

/* A run behind an event of ours must not end before it; its plan goes while it waits. */
static void check_gate(harness *h, const gather_case *c, cl_command_queue queue)
{
    outcome out = { PASSED, "", 0, 0.0 };
    gather_state g;
    cl_int code;
    cl_event gate, event = NULL;
    if (!queue) {
        outcome_skip(&out, "the device has no out-of-order queues");
        harness_count(h, c->name, NULL, &out);
        return;
    }
    gate = clCreateUserEvent(h->context, &code);
    const bool enqueued = gather_make(h, &g, c, &out) && enqueue(&g, queue, &gate, &event, &out) == CL_SUCCESS;
    clattn_gather_plan_destroy(&g.plan);
    if (gate_open(gate, enqueued ? event : NULL, &out))
        gather_verify(h, &g, &out);
    gather_free(&g);
    harness_count(h, c->name, NULL, &out);
}

static const gather_case gates[] = {
    { "the wait list is honoured", CLATTN_F16, CLATTN_F16, 3, 2, 5, 2, .lens = { 4, 9 }, .out_len = 9 },
    { "no sequence: the wait list is honoured", CLATTN_F16, CLATTN_F16, 3, 2, 5, 0, .lens = { 0 }, .out_len = 9 },
    { "no token: the wait list is honoured", CLATTN_F16, CLATTN_F16, 3, 2, 5, 2, .lens = { 4, 9 }, .out_len = 0 },
};

/* [4 pages, 2, 2 heads, 3] to [2, 5, 2, 3]. */
static clattn_gather_desc right_desc(void)
{
    return CLATTN_GATHER_DESC(.page_size = 2, .pages = 4, .kv_heads = 2, .head_dim = 3, .max_batch = 2, .max_pages = 3,
                              .cache = { 12, 6, 3 }, .out = { 30, 6, 3 });
}

static void check_desc_errors(harness *h)
{
    static const desc_fault faults[] = {
#define FIELD(name, value) DESC_FIELD(clattn_gather_desc, name, value)
#define STRIDE(name)       DESC_STRIDE(clattn_gather_desc, name, -1)
        FIELD(struct_size, 8),
        FIELD(dtype, 6),
        FIELD(dtype, -1),
        FIELD(out_dtype, 6),
        FIELD(out_dtype, CLATTN_FP8),
        FIELD(page_size, 0),
        FIELD(page_size, 257),
        FIELD(page_size, -1),
        FIELD(pages, -1),
        FIELD(kv_heads, 0),
        FIELD(kv_heads, 65536),
        FIELD(head_dim, 0),
        FIELD(head_dim, 65536),
        FIELD(max_batch, -1),
        FIELD(max_pages, -1),
        STRIDE(cache.page),
        STRIDE(cache.token),
        STRIDE(cache.head),
        STRIDE(out.batch),
        STRIDE(out.token),
        STRIDE(out.head),
        STRIDE(block_table_stride),
#undef FIELD
#undef STRIDE
    };
    clattn_gather_plan *plan = NULL;
    for (int n = 0; n < LENGTH(faults); n++) {
        clattn_gather_desc desc = right_desc();
        desc_fault_apply(&faults[n], &desc);
        expect_invalid(h, faults[n].names, clattn_gather_plan_create(h->device, &desc, &plan), faults[n].names);
    }
    clattn_gather_desc desc = right_desc();
    desc.dtype = CLATTN_Q4_0;
    expect_invalid(h, "a row that is no block", clattn_gather_plan_create(h->device, &desc, &plan), "head_dim");
    desc = right_desc();
    desc.block_table_stride = 2;
    expect_invalid(h, "short rows", clattn_gather_plan_create(h->device, &desc, &plan), "block_table_stride");
    expect_invalid(h, "no device", clattn_gather_plan_create(NULL, &desc, &plan), "device");
    expect_invalid(h, "no desc", clattn_gather_plan_create(h->device, NULL, &plan), "desc");
    desc = right_desc();
    expect_invalid(h, "no out", clattn_gather_plan_create(h->device, &desc, NULL), "out");
    expect_true(h, "no plan of a failure", plan == NULL);
    clattn_gather_plan_destroy(&plan);
    clattn_gather_plan_destroy(NULL);
}

typedef struct run_errors {
    harness *h;
    const clattn_gather_plan *plan;
    clattn_gather_args args; /* right ones */
} run_errors;

static clattn_status run(const run_errors *e, const clattn_gather_args *args, int32_t batch, int32_t out_len)
{
    return clattn_gather_run(e->plan, batch, out_len, args, e->h->in_order, 0, NULL, NULL);
}

static clattn_status run_right_size(const void *user, const void *args)
{
    return run(user, args, 2, 5);
}

static const buffer_row buffer_rows[] = {
    { "cache", offsetof(clattn_gather_args, cache), 4 * 12 * 4, 4, false },
    { "block_table", offsetof(clattn_gather_args, block_table), 6 * 4, 4, false },
    { "kv_lens", offsetof(clattn_gather_args, kv_lens), 2 * 4, 4, false },
    { "out", offsetof(clattn_gather_args, out), 60 * 4, 4, false },
    { "error_record", offsetof(clattn_gather_args, error_record), 16, 4, true },
};

/* Strides that are right by themselves and wrong for what a run reaches. */
static void check_reach(const run_errors *e)
{
    static const struct {
        const char *what, *names;
        clattn_gather_desc change; /* what is not 0 */
    } strides[] = {
        { "pages that overflow", "cache", { .cache = { INT64_MAX / 2, 6, 3 }, .out = { 30, 6, 3 } } },
        { "a result that overflows", "out", { .cache = { 12, 6, 3 }, .out = { INT64_MAX, 6, 3 } } },
        { "sequences that overlap", "out", { .cache = { 12, 6, 3 }, .out = { 5, 6, 3 } } },
        { "heads that overlap", "out", { .cache = { 12, 6, 3 }, .out = { 30, 6, 2 } } },
        { "rows that overflow",
          "block_table",
          { .cache = { 12, 6, 3 }, .out = { 30, 6, 3 }, .block_table_stride = INT64_MAX } },
    };
    for (int n = 0; n < LENGTH(strides); n++) {
        clattn_gather_desc desc = right_desc();
        clattn_gather_plan *plan = NULL;
        desc.cache = strides[n].change.cache;
        desc.out = strides[n].change.out;
        desc.block_table_stride = strides[n].change.block_table_stride;
        clattn_status status = clattn_gather_plan_create(e->h->device, &desc, &plan);
        if (status == CLATTN_OK)
            status = clattn_gather_run(plan, 2, 5, &e->args, e->h->in_order, 0, NULL, NULL);
        expect_invalid(e->h, strides[n].what, status, strides[n].names);
        clattn_gather_plan_destroy(&plan);
    }
}

/* What the calls get wrong beside their buffers. */
static void check_call_errors(const run_errors *e)
{
    static const clattn_gather_args none = { 0 };
    harness *h = e->h;
    cl_event event = NULL;
    expect_invalid(h, "batch over its bound", run(e, &e->args, 3, 5), "batch");
    expect_invalid(h, "negative batch", run(e, &e->args, -1, 5), "batch");
    expect_invalid(h, "negative out_len", run(e, &e->args, 2, -1), "out_len");
    expect_invalid(h, "large out_len", run(e, &e->args, 2, INT32_MAX), "out_len");
    expect_invalid(h, "args of another version", run(e, &none, 2, 5), "struct_size");
    expect_invalid(h, "no args", run(e, NULL, 2, 5), "args");
    expect_invalid(h, "no plan", clattn_gather_run(NULL, 2, 5, &e->args, h->in_order, 0, NULL, NULL), "plan");
    expect_invalid(h, "no queue", clattn_gather_run(e->plan, 2, 5, &e->args, NULL, 0, NULL, NULL), "queue");
    expect_invalid(h, "a count without events",
                   clattn_gather_run(e->plan, 2, 5, &e->args, h->in_order, 1, NULL, &event), "event_wait_list");
    expect_true(h, "no event of a failure", event == NULL);
}

static void check_run_errors(harness *h)
{
    static char zeros[1024];
    const clattn_gather_desc desc = right_desc();
    run_errors e = { .h = h, .args = CLATTN_GATHER_ARGS(.cache = { .handle = NULL }) };
    clattn_buffer *buffers[] = { &e.args.cache, &e.args.block_table, &e.args.kv_lens, &e.args.out,
                                 &e.args.error_record };
    clattn_gather_plan *plan = NULL;
    bool made = clattn_gather_plan_create(h->device, &desc, &plan) == CLATTN_OK;
    e.plan = plan;
    for (int n = 0; n < LENGTH(buffers); n++) {
        cl_int code;
        buffers[n]->handle = clCreateBuffer(h->context, CL_MEM_COPY_HOST_PTR, sizeof(zeros), zeros, &code);
        made = made && code == CL_SUCCESS;
    }
    expect_true(h, "a plan and buffers", made);
    if (made) {
        check_call_errors(&e);
        for (int n = 0; n < LENGTH(buffer_rows); n++)
            check_run_buffer(h, &buffer_rows[n], &e.args, run_right_size, &e);
        check_reach(&e);
    }
    clFinish(h->in_order);
    for (int n = 0; n < LENGTH(buffers); n++)
        if (buffers[n]->handle)
            clReleaseMemObject(buffers[n]->handle);
    clattn_gather_plan_destroy(&plan);
}

/* Every type of cache to every type of result that it goes to: two blocks, or a whole vector and a tail. */
static void check_types(harness *h)
{
    for (int from = 0; from < CLATTN_DTYPE_COUNT; from++)
        for (int to = 0; to < CLATTN_DTYPE_COUNT; to++) {
            if (from != to && to >= CLATTN_FLOAT_DTYPE_COUNT)
                continue;
            char name[64];
            snprintf(name, sizeof(name), "%s to %s", clattn_dtype_name((clattn_dtype)from),
                     clattn_dtype_name((clattn_dtype)to));
            const bool blocks = clattn_dtype_block_len((clattn_dtype)from) > 1;
            const gather_case c = {
                name, (clattn_dtype)from,   (clattn_dtype)to, 3,        3,           blocks ? 64 : 35,
                3,    .lens = { 10, 0, 7 }, .out_len = 11,    .pad = 1, .offset = 1, .holes = true
            };
            check_case(h, &c);
        }
}

static void check_page_sizes(harness *h)
{
    static const int32_t sizes[] = { 1, 3, 7, 16, 32, 64, 128, 256 };
    for (int n = 0; n < LENGTH(sizes); n++)
        for (int form = 0; form < 4; form++) {
            char name[64];
            snprintf(name, sizeof(name), "page size %d, %s, %s", sizes[n], form % 2 ? "heads first" : "tokens first",
                     form / 2 ? "q8_0 to f16" : "f16");
            const gather_case c = { name,
                                    form / 2 ? CLATTN_Q8_0 : CLATTN_F16,
                                    CLATTN_F16,
                                    sizes[n],
                                    2,
                                    32,
                                    3,
                                    .lens = { sizes[n] + 1, sizes[n], 2 * sizes[n] - 1 },
                                    .out_len = 2 * sizes[n] + 1,
                                    .head_major = form % 2 != 0 };
            check_case(h, &c);
        }
}

void suite_gather_types(harness *h)
{
    check_types(h);
    check_page_sizes(h);
}

void suite_gather(harness *h)
{
    for (int n = 0; n < LENGTH(cases); n++)
        check_case(h, &cases[n]);
    check_record_adds(h);
    check_desc_errors(h);
    check_run_errors(h);
}

void suite_gather_queues(harness *h)
{
    for (int n = 0; n < LENGTH(gates); n++) {
        check_gate(h, &gates[n], h->in_order);
        check_gate(h, &gates[n], h->out_of_order);
    }
}

/* Token b of each sequence b, of one page and one element: pages[b % 4]. */
static void check_wide(const harness *h, int32_t *table, int32_t *lens, uint32_t *got, outcome *out)
{
    static uint32_t pages[4] = { 11, 22, 33, 44 };
    const clattn_gather_desc desc =
        CLATTN_GATHER_DESC(.page_size = 1, .pages = 4, .kv_heads = 1, .head_dim = 1, .max_batch = WIDE, .max_pages = 1,
                           .cache = { 1, 1, 1 }, .out = { 1, 1, 1 });
    const struct {
        void *data;
        size_t size;
    } contents[] = { { pages, sizeof(pages) }, { table, 4 * WIDE }, { lens, 4 * WIDE }, { got, 4 * WIDE } };
    cl_mem memories[4] = { NULL };
    cl_int code = CL_SUCCESS;
    clattn_gather_plan *plan = NULL;
    for (int n = 0; n < 4 && code == CL_SUCCESS; n++)
        memories[n] = clCreateBuffer(h->context, CL_MEM_COPY_HOST_PTR, contents[n].size, contents[n].data, &code);
    const clattn_gather_args args =
        CLATTN_GATHER_ARGS(.cache = { .handle = memories[0] }, .block_table = { .handle = memories[1] },
                           .kv_lens = { .handle = memories[2] }, .out = { .handle = memories[3] });
    if (code != CL_SUCCESS)
        outcome_fail(out, "clCreateBuffer failed with %d", code);
    else if (outcome_ok(out, clattn_gather_plan_create(h->device, &desc, &plan), "clattn_gather_plan_create") &&
             outcome_ok(out, clattn_gather_run(plan, WIDE, 1, &args, h->in_order, 0, NULL, NULL), "run") &&
             clEnqueueReadBuffer(h->in_order, memories[3], CL_TRUE, 0, contents[3].size, got, 0, NULL, NULL) !=
                 CL_SUCCESS)
        outcome_fail(out, "the result cannot be read");
    for (int32_t b = 0; b < WIDE; b++)
        if (got[b] != pages[b % 4])
            outcome_fail(out, "sequence %d holds %u, not %u", b, got[b], pages[b % 4]);
    clattn_gather_plan_destroy(&plan);
    for (int n = 0; n < 4; n++)
        if (memories[n])
            clReleaseMemObject(memories[n]);
}

void suite_gather_wide(harness *h)
{
    outcome out = { PASSED, "", WIDE, 0.0 };
    int32_t *table = calloc(WIDE, sizeof(*table)), *lens = calloc(WIDE, sizeof(*lens));
    uint32_t *got = calloc(WIDE, sizeof(*got));
    for (int32_t b = 0; table && lens && b < WIDE; b++) {
        table[b] = b % 4;
        lens[b] = 1;
    }
    if (table && lens && got)
        check_wide(h, table, lens, got, &out);
    else
        outcome_fail(&out, "no memory");
    free(table);
    free(lens);
    free(got);
    harness_count(h, "more sequences than 16 bits count", NULL, &out);
}
