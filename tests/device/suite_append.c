/* SPDX-License-Identifier: BSD-2-Clause */
/* Append: every byte of the caches against the host's, on queues, and refused. */
#include <stdio.h>
#include <string.h>

#include "append_case.h"
#include "operation.h"
#include "suites.h"

#define LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))

static const append_case cases[] = {
    { "page size 1", { { CLATTN_F32, CLATTN_F32, 5 }, { CLATTN_F32, CLATTN_F32, 5 } }, 1, 2, .tokens = 7 },
    { "page size 3, f16", { { CLATTN_F16, CLATTN_F16, 5 }, { CLATTN_F16, CLATTN_F16, 7 } }, 3, 2, .tokens = 17 },
    { "page size 16, bf16", { { CLATTN_BF16, CLATTN_BF16, 8 }, { CLATTN_BF16, CLATTN_BF16, 8 } }, 16, 3, .tokens = 40 },
    { "one element", { { CLATTN_F16, CLATTN_F16, 1 } }, 1, 1, .tokens = 1 },
    { "keys alone", { { CLATTN_F16, CLATTN_F16, 33 } }, 7, 2, .tokens = 20 },
    { "values alone", { { 0 }, { CLATTN_F16, CLATTN_F32, 33 } }, 7, 2, .tokens = 20 },
    { "types of their own", { { CLATTN_F16, CLATTN_Q8_0, 64 }, { CLATTN_F16, CLATTN_Q4_0, 32 } }, 7, 2, .tokens = 20 },
    { "copied and converted", { { CLATTN_F16, CLATTN_F16, 24 }, { CLATTN_F16, CLATTN_FP8, 24 } }, 5, 3, .tokens = 20 },
    { "both copied, of two types",
      { { CLATTN_F16, CLATTN_F16, 24 }, { CLATTN_F32, CLATTN_F32, 9 } },
      5,
      3,
      .tokens = 20 },
    { "heads before tokens",
      { { CLATTN_F16, CLATTN_F16, 16 }, { CLATTN_F16, CLATTN_F16, 8 } },
      16,
      3,
      .tokens = 40,
      .head_major = true },
    { "heads before tokens, q8_0",
      { { CLATTN_F16, CLATTN_Q8_0, 64 }, { CLATTN_F16, CLATTN_Q8_0, 32 } },
      16,
      3,
      .tokens = 40,
      .head_major = true },
    { "strides and offsets",
      { { CLATTN_F16, CLATTN_F16, 5 }, { CLATTN_F16, CLATTN_F16, 8 } },
      3,
      2,
      .tokens = 11,
      .pad = 3,
      .offset = 1 },
    { "strides and offsets, f32",
      { { CLATTN_F32, CLATTN_F32, 8 }, { CLATTN_F32, CLATTN_F32, 5 } },
      3,
      2,
      .tokens = 11,
      .pad = 2,
      .offset = 3 },
    { "strides and offsets, fp8",
      { { CLATTN_F32, CLATTN_FP8, 19 }, { CLATTN_F32, CLATTN_FP8, 16 } },
      3,
      2,
      .tokens = 11,
      .pad = 1,
      .offset = 3 },
    { "strides and offsets, q4_0",
      { { CLATTN_BF16, CLATTN_Q4_0, 32 }, { CLATTN_BF16, CLATTN_Q4_0, 96 } },
      3,
      2,
      .tokens = 11,
      .pad = 1,
      .offset = 5,
      .head_major = true },
    { "many tokens", { { CLATTN_F16, CLATTN_F16, 3 }, { CLATTN_F16, CLATTN_F16, 3 } }, 16, 9, .tokens = 300 },
    { "bad slots",
      { { CLATTN_F16, CLATTN_F16, 5 }, { CLATTN_F16, CLATTN_F16, 5 } },
      3,
      9,
      .tokens = 40,
      .bad_slots = true,
      .offset = 1 },
    { "bad slots, two launches",
      { { CLATTN_F16, CLATTN_FP8, 5 }, { CLATTN_F16, CLATTN_F16, 5 } },
      3,
      2,
      .tokens = 40,
      .bad_slots = true },
    { "bad slots, no record",
      { { CLATTN_F16, CLATTN_F16, 5 }, { CLATTN_F16, CLATTN_F16, 5 } },
      3,
      2,
      .tokens = 40,
      .bad_slots = true,
      .without_record = true },
    { "gguf's blocks, q8_0",
      { { CLATTN_F32, CLATTN_Q8_0, 32 }, { CLATTN_F32, CLATTN_Q8_0, 64 } },
      3,
      2,
      .tokens = 40,
      .values = APPEND_GGUF },
    { "gguf's blocks, q4_0",
      { { CLATTN_F32, CLATTN_Q4_0, 64 }, { CLATTN_F32, CLATTN_Q4_0, 32 } },
      3,
      2,
      .tokens = 40,
      .values = APPEND_GGUF },
};

static const append_case small[] = {
    { "small, copied",
      { { CLATTN_F16, CLATTN_F16, 5 }, { CLATTN_F16, CLATTN_F16, 8 } },
      3,
      2,
      .tokens = 8,
      .bad_slots = true },
    { "small, fp8", { { CLATTN_F16, CLATTN_FP8, 17 }, { CLATTN_F16, CLATTN_FP8, 3 } }, 3, 2, .tokens = 4, .offset = 1 },
    { "small, q8_0 and q4_0",
      { { CLATTN_F32, CLATTN_Q8_0, 32 }, { CLATTN_F32, CLATTN_Q4_0, 32 } },
      3,
      2,
      .tokens = 4,
      .offset = 1,
      .pad = 1 },
    { "small, bf16", { { CLATTN_F32, CLATTN_BF16, 17 }, { CLATTN_F32, CLATTN_F16, 17 } }, 2, 2, .tokens = 4 },
};

static cl_int enqueue(const append_state *a, cl_command_queue queue, cl_event *wait, cl_event *event, outcome *out)
{
    const clattn_append_args args = append_args_of(a);
    *event = NULL;
    if (!outcome_ok(out, clattn_append_run(a->plan, a->c->tokens, &args, queue, wait ? 1 : 0, wait, event),
                    "clattn_append_run"))
        return CL_INVALID_VALUE;
    if (!*event)
        outcome_fail(out, "the run returned no event");
    return *event ? clFlush(queue) : CL_INVALID_EVENT;
}

static void check_case(harness *h, const append_case *c)
{
    outcome out = { PASSED, "", 0, 0.0 };
    append_state a;
    cl_event event;
    if (append_make(h, &a, c, &out) && enqueue(&a, h->in_order, NULL, &event, &out) == CL_SUCCESS) {
        if (clWaitForEvents(1, &event) != CL_SUCCESS)
            outcome_fail(&out, "waiting for the run's event failed");
        clReleaseEvent(event);
        append_verify(h, &a, &out);
    }
    append_free(&a);
    harness_count(h, c->name, NULL, &out);
}

/* Every type of rows to every type of cache, hostile values, one block and a tail where there are no blocks. */
static void check_types(harness *h)
{
    for (int src = 0; src < CLATTN_FLOAT_DTYPE_COUNT; src++)
        for (int dtype = 0; dtype < CLATTN_DTYPE_COUNT; dtype++) {
            char name[64];
            snprintf(name, sizeof(name), "%s to %s", clattn_dtype_name((clattn_dtype)src),
                     clattn_dtype_name((clattn_dtype)dtype));
            const int32_t tail = clattn_dtype_block_len((clattn_dtype)dtype) > 1 ? 0 : 7;
            append_case c = { .name = name, .page_size = 7, .heads = 7, .tokens = 60, .values = APPEND_HOSTILE };
            for (int n = 0; n < 2; n++) {
                c.planes[n].src = (clattn_dtype)src;
                c.planes[n].dtype = (clattn_dtype)dtype;
                c.planes[n].dim = n == 0 ? 64 + tail : 32;
            }
            check_case(h, &c);
        }
}

static void check_page_sizes(harness *h)
{
    static const int32_t sizes[] = { 1, 3, 7, 16, 32, 64, 128, 256 };
    for (int n = 0; n < LENGTH(sizes); n++)
        for (int head_major = 0; head_major < 2; head_major++) {
            char name[64];
            snprintf(name, sizeof(name), "page size %d, %s", sizes[n], head_major ? "heads first" : "tokens first");
            const append_case c = { name,
                                    { { CLATTN_F16, CLATTN_F16, 8 }, { CLATTN_F16, CLATTN_Q8_0, 32 } },
                                    sizes[n],
                                    2,
                                    .tokens = 2 * sizes[n] < 290 ? 2 * sizes[n] + 5 : 290,
                                    .head_major = head_major };
            check_case(h, &c);
        }
}

/* A run behind an event of ours must not end before it; its plan goes while it waits. */
static void check_gate(harness *h, const append_case *c, cl_command_queue queue)
{
    outcome out = { PASSED, "", 0, 0.0 };
    append_state a;
    cl_int code;
    cl_event gate, event = NULL;
    if (!queue) {
        outcome_skip(&out, "the device has no out-of-order queues");
        harness_count(h, c->name, NULL, &out);
        return;
    }
    gate = clCreateUserEvent(h->context, &code);
    const bool enqueued = append_make(h, &a, c, &out) && enqueue(&a, queue, &gate, &event, &out) == CL_SUCCESS;
    clattn_append_plan_destroy(&a.plan);
    if (gate_open(gate, enqueued ? event : NULL, &out))
        append_verify(h, &a, &out);
    append_free(&a);
    harness_count(h, c->name, NULL, &out);
}

static const append_case gates[] = {
    { "the wait list is honoured",
      { { CLATTN_F16, CLATTN_F16, 5 }, { CLATTN_F16, CLATTN_F16, 5 } },
      3,
      2,
      .tokens = 40 },
    { "two launches: the wait list is honoured",
      { { CLATTN_F16, CLATTN_F16, 5 }, { CLATTN_F16, CLATTN_FP8, 5 } },
      3,
      2,
      .tokens = 40 },
    { "no token: the wait list is honoured", { { CLATTN_F16, CLATTN_F16, 5 } }, 3, 2, .tokens = 0 },
};

/* 4 pages of 2 tokens of 2 heads; 3 of K, fp8, and 32 of V, q8_0. */
static clattn_append_desc right_desc(void)
{
    return CLATTN_APPEND_DESC(.page_size = 2, .pages = 4, .kv_heads = 2, .max_tokens = 5,
                              .k = { .dtype = CLATTN_FP8, .head_dim = 3, .src = { 0, 6, 3 }, .cache = { 12, 6, 3 } },
                              .v = { .src_dtype = CLATTN_F16,
                                     .dtype = CLATTN_Q8_0,
                                     .head_dim = 32,
                                     .src = { 0, 64, 32 },
                                     .cache = { 4, 2, 1 } });
}

static void check_desc_errors(harness *h)
{
    static const desc_fault faults[] = {
#define FIELD(name, value)  DESC_FIELD(clattn_append_desc, name, value)
#define STRIDE(name, value) DESC_STRIDE(clattn_append_desc, name, value)
        FIELD(struct_size, 8),
        FIELD(page_size, 0),
        FIELD(page_size, 257),
        FIELD(pages, -1),
        FIELD(kv_heads, 0),
        FIELD(kv_heads, 65536),
        FIELD(max_tokens, -1),
        FIELD(k.head_dim, -1),
        FIELD(k.head_dim, 65536),
        FIELD(k.src_dtype, CLATTN_FP8),
        FIELD(k.src_dtype, -1),
        FIELD(k.dtype, CLATTN_DTYPE_COUNT),
        FIELD(k.dtype, -1),
        FIELD(v.src_dtype, CLATTN_Q8_0),
        FIELD(v.dtype, 77),
        FIELD(v.head_dim, 33),
        FIELD(v.head_dim, 16),
        STRIDE(k.src.batch, 1),
        STRIDE(k.src.token, -1),
        STRIDE(k.src.head, -1),
        STRIDE(k.cache.page, -1),
        STRIDE(k.cache.token, -1),
        STRIDE(k.cache.head, -1),
        STRIDE(v.src.batch, 640),
        STRIDE(v.cache.page, -1),
        { "pages that overlap", "k.cache", offsetof(clattn_append_desc, k.cache.page), true, 11 },
        { "tokens that overlap", "k.cache", offsetof(clattn_append_desc, k.cache.token), true, 5 },
        { "heads that overlap", "v.cache", offsetof(clattn_append_desc, v.cache.head), true, 0 },
        { "pages past 64 bits", "v.cache", offsetof(clattn_append_desc, v.cache.page), true, INT64_MAX / 2 },
#undef FIELD
#undef STRIDE
    };
    clattn_append_plan *plan = NULL;
    for (int n = 0; n < LENGTH(faults); n++) {
        clattn_append_desc desc = right_desc();
        desc_fault_apply(&faults[n], &desc);
        expect_invalid(h, faults[n].what, clattn_append_plan_create(h->device, &desc, &plan), faults[n].names);
    }
    clattn_append_desc desc = right_desc();
    expect_invalid(h, "no device", clattn_append_plan_create(NULL, &desc, &plan), "device");
    expect_invalid(h, "no desc", clattn_append_plan_create(h->device, NULL, &plan), "desc");
    expect_invalid(h, "no out", clattn_append_plan_create(h->device, &desc, NULL), "out");
    desc.k.head_dim = desc.v.head_dim = 0;
    expect_invalid(h, "no plane", clattn_append_plan_create(h->device, &desc, &plan), "head_dim");
    expect_true(h, "no plan of a failure", plan == NULL);
    clattn_append_plan_destroy(&plan);
    clattn_append_plan_destroy(NULL);
}

typedef struct run_errors {
    harness *h;
    const clattn_append_plan *plan;
    clattn_append_args args; /* right ones */
} run_errors;

static clattn_status run(const run_errors *e, const clattn_append_args *args, int32_t tokens)
{
    return clattn_append_run(e->plan, tokens, args, e->h->in_order, 0, NULL, NULL);
}

static clattn_status run_right_size(const void *user, const void *args)
{
    return run(user, args, 5);
}

static void check_call_errors(const run_errors *e)
{
    static const clattn_append_args none = { 0 };
    harness *h = e->h;
    cl_event event = NULL;
    expect_invalid(h, "tokens over their bound", run(e, &e->args, 6), "tokens");
    expect_invalid(h, "negative tokens", run(e, &e->args, -1), "tokens");
    expect_invalid(h, "args of another version", run(e, &none, 5), "struct_size");
    expect_invalid(h, "no args", run(e, NULL, 5), "args");
    expect_invalid(h, "no plan", clattn_append_run(NULL, 5, &e->args, h->in_order, 0, NULL, NULL), "plan");
    expect_invalid(h, "no queue", clattn_append_run(e->plan, 5, &e->args, NULL, 0, NULL, NULL), "queue");
    expect_invalid(h, "a count without events", clattn_append_run(e->plan, 5, &e->args, h->in_order, 1, NULL, &event),
                   "event_wait_list");
    expect_true(h, "no event of a failure", event == NULL);
}

static void check_run_errors(harness *h)
{
    static const buffer_row rows[] = {
        { "slot_mapping", offsetof(clattn_append_args, slot_mapping), 5 * 8, 8, false },
        { "k.src", offsetof(clattn_append_args, k.src), 30 * 4, 4, false },
        { "k.cache", offsetof(clattn_append_args, k.cache), 48, 1, false },
        { "k.scales", offsetof(clattn_append_args, k.scales), 8, 4, false },
        { "v.src", offsetof(clattn_append_args, v.src), 320 * 2, 2, false },
        { "v.cache", offsetof(clattn_append_args, v.cache), 16 * 34, 2, false },
        { "error_record", offsetof(clattn_append_args, error_record), 16, 4, true },
    };
    static char zeros[1024];
    const clattn_append_desc desc = right_desc();
    run_errors e = { .h = h, .args = CLATTN_APPEND_ARGS(.slot_mapping = { .handle = NULL }) };
    clattn_append_plan *plan = NULL;
    bool made = clattn_append_plan_create(h->device, &desc, &plan) == CLATTN_OK;
    e.plan = plan;
    for (int n = 0; n < LENGTH(rows); n++) {
        cl_int code;
        clattn_buffer *buffer = buffer_row_of(&rows[n], &e.args);
        buffer->handle = clCreateBuffer(h->context, CL_MEM_COPY_HOST_PTR, sizeof(zeros), zeros, &code);
        made = made && code == CL_SUCCESS;
    }
    expect_true(h, "a plan and buffers", made);
    if (made)
        check_call_errors(&e);
    for (int n = 0; made && n < LENGTH(rows); n++)
        check_run_buffer(h, &rows[n], &e.args, run_right_size, &e);
    clFinish(h->in_order);
    for (int n = 0; n < LENGTH(rows); n++) {
        clattn_buffer *buffer = buffer_row_of(&rows[n], &e.args);
        if (buffer->handle)
            clReleaseMemObject(buffer->handle);
    }
    clattn_append_plan_destroy(&plan);
}

void suite_append(harness *h)
{
    for (int n = 0; n < LENGTH(cases); n++)
        check_case(h, &cases[n]);
    check_types(h);
    check_page_sizes(h);
    check_desc_errors(h);
    check_run_errors(h);
}

void suite_append_small(harness *h)
{
    for (int n = 0; n < LENGTH(small); n++)
        check_case(h, &small[n]);
}

void suite_append_queues(harness *h)
{
    for (int n = 0; n < LENGTH(gates); n++) {
        check_gate(h, &gates[n], h->in_order);
        check_gate(h, &gates[n], h->out_of_order);
    }
}
