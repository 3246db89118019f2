/* SPDX-License-Identifier: BSD-2-Clause */
/* Merge on queues, many times, and of what attention wrote. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "merge_case.h"
#include "operation.h"
#include "suites.h"

#define LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define RUNS          250

/* A run behind an event of ours must not end before it; its plan goes while it waits. */
static void check_gate(harness *h, const merge_case *c, cl_command_queue queue, const char *name)
{
    outcome out = { PASSED, "", 0, 0.0 };
    merge_state m;
    cl_int code;
    cl_event gate, event = NULL;
    if (!queue) {
        outcome_skip(&out, "the device has no out-of-order queues");
        harness_count(h, name, NULL, &out);
        return;
    }
    gate = clCreateUserEvent(h->context, &code);
    if (merge_make(h, &m, c, &out)) {
        const clattn_merge_args args = merge_args_of(&m);
        outcome_ok(&out, clattn_merge_states(m.plan, c->parts, c->tokens, &args, queue, 1, &gate, &event),
                   "clattn_merge_states");
        clFlush(queue);
    }
    clattn_merge_plan_destroy(&m.plan);
    if (!event)
        outcome_fail(&out, "the run returned no event");
    if (gate_open(gate, event, &out))
        merge_verify(h, &m, &out);
    merge_free(&m);
    harness_count(h, name, NULL, &out);
}

static bool same_bits(const harness *h, const merge_state *m, unsigned char *const *first, outcome *out)
{
    bool same = true;
    for (int i = 0; i < MERGE_BUFFERS; i++) {
        unsigned char *got = merge_read(h, m, i, out);
        same = same && got && memcmp(got, first[i], m->buffers[i].size) == 0;
        free(got);
    }
    return same;
}

static void check_bits(harness *h)
{
    const merge_case c = { CLATTN_F16, CLATTN_F32, 17, 21, 3, 80, .lse = true, .sinks = true, .seed = 3 };
    outcome out = { PASSED, "", 0, 0.0 };
    unsigned char *first[MERGE_BUFFERS] = { NULL };
    merge_state m;
    bool ok = merge_make(h, &m, &c, &out);
    const clattn_merge_args args = merge_args_of(&m);
    for (int run = 0; ok && run < RUNS; run++) {
        ok = outcome_ok(&out, clattn_merge_states(m.plan, c.parts, c.tokens, &args, h->in_order, 0, NULL, NULL),
                        "clattn_merge_states");
        for (int i = 0; ok && run == 0 && i < MERGE_BUFFERS; i++)
            ok = (first[i] = merge_read(h, &m, i, &out)) != NULL;
        if (ok && !same_bits(h, &m, first, &out)) {
            outcome_fail(&out, "run %d gave other bits", run);
            ok = false;
        }
    }
    if (ok)
        merge_verify(h, &m, &out);
    for (int i = 0; i < MERGE_BUFFERS; i++)
        free(first[i]);
    merge_free(&m);
    harness_count(h, "the same bits in 250 runs", NULL, &out);
}

/* Attention over all keys, and over parts of them that are merged. */
enum { QUERIES = 5, HEADS = 6, KV_HEADS = 2, DIM = 40, KEYS = 300, HALF = 143, PARTS = 3 };
enum { O_ELEMENTS = QUERIES * HEADS * DIM, LSE_ELEMENTS = QUERIES * HEADS, KV_ELEMENTS = KEYS * KV_HEADS * DIM };

enum { Q, K, V, SINKS, O_PARTS, LSE_PARTS, O_ALL, LSE_ALL, O, LSE, WORKSPACE, BUFFERS };
static const size_t sizes[BUFFERS] = {
    [Q] = O_ELEMENTS * sizeof(float),
    [K] = KV_ELEMENTS * sizeof(float),
    [V] = KV_ELEMENTS * sizeof(float),
    [SINKS] = HEADS * sizeof(float),
    [O_PARTS] = PARTS * O_ELEMENTS * sizeof(float),
    [LSE_PARTS] = PARTS * LSE_ELEMENTS * sizeof(float),
    [O_ALL] = O_ELEMENTS * sizeof(float),
    [LSE_ALL] = LSE_ELEMENTS * sizeof(float),
    [O] = O_ELEMENTS * sizeof(float),
    [LSE] = LSE_ELEMENTS * sizeof(float),
    [WORKSPACE] = 1 << 20,
};

static clattn_attention_desc attention_desc(bool sinks)
{
    const clattn_strides rows = { .token = HEADS * DIM, .head = DIM }, kv = { .token = KV_HEADS * DIM, .head = DIM };
    return CLATTN_ATTENTION_DESC(.q_heads = HEADS, .kv_heads = KV_HEADS, .head_dim = DIM, .max_batch = 1,
                                 .max_q_len = QUERIES, .max_kv_len = KEYS, .q = rows, .k = kv, .v = kv, .o = rows,
                                 .has_lse = 1, .lse = { .token = HEADS, .head = 1 }, .has_sinks = sinks);
}

/* Keys first to end, into part `part` of o and lse. */
static bool attend(const harness *h, bool sinks, int32_t first, int32_t end, const cl_mem *memories, int o, int lse,
                   size_t part, outcome *out)
{
    const clattn_attention_desc desc = attention_desc(sinks);
    const clattn_lengths lengths = { .batch = 1, .q_len = QUERIES, .kv_len = end - first };
    const size_t skipped = (size_t)first * KV_HEADS * DIM * sizeof(float);
    const clattn_attention_args args =
        CLATTN_ATTENTION_ARGS(.q = { .handle = memories[Q] }, .k = { .handle = memories[K], .offset = skipped },
                              .v = { .handle = memories[V], .offset = skipped }, .sinks = { .handle = memories[SINKS] },
                              .o = { .handle = memories[o], .offset = part * O_ELEMENTS * sizeof(float) },
                              .lse = { .handle = memories[lse], .offset = part * LSE_ELEMENTS * sizeof(float) },
                              .workspace = { .handle = memories[WORKSPACE] });
    clattn_plan *plan = NULL;
    clattn_schedule schedule;
    const bool ok =
        outcome_ok(out, clattn_plan_create(h->device, &desc, NULL, &plan), "clattn_plan_create") &&
        outcome_ok(out, clattn_schedule_make(plan, &lengths, &schedule), "clattn_schedule_make") &&
        outcome_ok(out, clattn_attention_run(plan, &schedule, &args, h->in_order, 0, NULL, NULL), "attention_run");
    clattn_plan_destroy(&plan);
    return ok;
}

static bool merge(const harness *h, bool sinks, const cl_mem *memories, outcome *out)
{
    const clattn_merge_desc desc =
        CLATTN_MERGE_DESC(.q_heads = HEADS, .v_head_dim = DIM, .max_parts = PARTS, .max_tokens = QUERIES,
                          .o_parts = { O_ELEMENTS, HEADS * DIM, DIM }, .lse_parts = { LSE_ELEMENTS, HEADS, 1 },
                          .o = { HEADS * DIM, DIM }, .has_lse = 1, .lse = { HEADS, 1 }, .has_sinks = sinks);
    const clattn_merge_args args =
        CLATTN_MERGE_ARGS(.o_parts = { .handle = memories[O_PARTS] }, .lse_parts = { .handle = memories[LSE_PARTS] },
                          .o = { .handle = memories[O] }, .lse = { .handle = memories[LSE] },
                          .sinks = { .handle = memories[SINKS] });
    clattn_merge_plan *plan = NULL;
    const bool ok =
        outcome_ok(out, clattn_merge_plan_create(h->device, &desc, &plan), "clattn_merge_plan_create") &&
        outcome_ok(out, clattn_merge_states(plan, PARTS, QUERIES, &args, h->in_order, 0, NULL, NULL), "merge_states");
    clattn_merge_plan_destroy(&plan);
    return ok;
}

/* Within a tenth of what attention itself may be off. */
static void compare(const harness *h, const cl_mem *memories, int got, int want, outcome *out)
{
    ref_tolerance tolerance = ref_tolerance_of(CLATTN_F32);
    tolerance.absolute /= 10;
    tolerance.relative /= 10;
    const size_t count = sizes[got] / sizeof(float);
    float *numbers = malloc(2 * sizes[got]);
    if (!numbers ||
        clEnqueueReadBuffer(h->in_order, memories[got], CL_TRUE, 0, sizes[got], numbers, 0, NULL, NULL) != CL_SUCCESS ||
        clEnqueueReadBuffer(h->in_order, memories[want], CL_TRUE, 0, sizes[got], numbers + count, 0, NULL, NULL) !=
            CL_SUCCESS)
        outcome_fail(out, "a result cannot be read");
    for (size_t n = 0; n < count && out->verdict == PASSED; n++) {
        const double value = (double)numbers[n], right = (double)numbers[count + n];
        const double ratio = ref_error_ratio(&tolerance, 0.0, value, right);
        out->max_ratio = fmax(out->max_ratio, ratio);
        out->compared++;
        if (ratio > 1.0)
            outcome_fail(out, "%s at element %zu is %.9g, not %.9g", got == O ? "O" : "LSE", n, value, right);
    }
    free(numbers);
}

static void check_attention(harness *h, bool sinks)
{
    outcome out = { PASSED, "", 0, 0.0 };
    ref_random random = { 21 };
    cl_mem memories[BUFFERS] = { NULL };
    float *numbers = malloc(sizes[WORKSPACE]);
    for (int i = 0; i < BUFFERS && out.verdict == PASSED; i++) {
        cl_int code = CL_OUT_OF_HOST_MEMORY;
        for (size_t n = 0; numbers && n < sizes[i] / sizeof(float); n++)
            numbers[n] = i <= SINKS ? (float)ref_random_normal(&random) : NAN;
        if (numbers)
            memories[i] = clCreateBuffer(h->context, CL_MEM_COPY_HOST_PTR, sizes[i], numbers, &code);
        if (code != CL_SUCCESS)
            outcome_fail(&out, "clCreateBuffer failed with %d", code);
    }
    free(numbers);
    if (out.verdict == PASSED && attend(h, sinks, 0, KEYS, memories, O_ALL, LSE_ALL, 0, &out) &&
        attend(h, false, 0, HALF, memories, O_PARTS, LSE_PARTS, 0, &out) &&
        attend(h, false, 0, 0, memories, O_PARTS, LSE_PARTS, 1, &out) &&
        attend(h, false, HALF, KEYS, memories, O_PARTS, LSE_PARTS, 2, &out) && merge(h, sinks, memories, &out)) {
        compare(h, memories, O, O_ALL, &out);
        compare(h, memories, LSE, LSE_ALL, &out);
    }
    for (int i = 0; i < BUFFERS; i++)
        if (memories[i])
            clReleaseMemObject(memories[i]);
    harness_count(h, sinks ? "attention over parts of the keys, a sink" : "attention over parts of the keys", NULL,
                  &out);
}

void suite_merge_queues(harness *h)
{
    static const struct {
        const char *name;
        merge_case c;
    } gates[] = {
        { "the wait list is honoured", { CLATTN_F16, CLATTN_F16, 3, 6, 2, 20, .lse = true, .seed = 1 } },
        { "no part: the wait list is honoured", { CLATTN_F16, CLATTN_F16, 0, 6, 2, 20, .lse = true, .seed = 1 } },
        { "no token: the wait list is honoured", { CLATTN_F16, CLATTN_F16, 3, 0, 2, 20, .lse = true, .seed = 1 } },
    };
    for (int n = 0; n < LENGTH(gates); n++) {
        check_gate(h, &gates[n].c, h->in_order, gates[n].name);
        check_gate(h, &gates[n].c, h->out_of_order, gates[n].name);
    }
    check_bits(h);
    check_attention(h, false);
    check_attention(h, true);
}
