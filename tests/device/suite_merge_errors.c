/* SPDX-License-Identifier: BSD-2-Clause */
/* Every error of clattn/merge.h. */
#include <stdio.h>

#include "merge_case.h"
#include "operation.h"

#define LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define BYTES         4096

/* [2, 5, 2, 3] and [2, 5, 2] to [5, 2, 3] and [5, 2], f32. */
static clattn_merge_desc right_desc(void)
{
    return CLATTN_MERGE_DESC(.q_heads = 2, .v_head_dim = 3, .max_parts = 2, .max_tokens = 5, .o_parts = { 30, 6, 3 },
                             .lse_parts = { 10, 2, 1 }, .o = { 6, 3 }, .has_lse = 1, .lse = { 2, 1 }, .has_sinks = 1);
}

static void check_desc_errors(harness *h)
{
    static const desc_fault faults[] = {
#define FIELD(name, value) DESC_FIELD(clattn_merge_desc, name, value)
#define STRIDE(name)       DESC_STRIDE(clattn_merge_desc, name, -1)
        FIELD(struct_size, 8),
        FIELD(part_dtype, 3),
        FIELD(part_dtype, -1),
        FIELD(o_dtype, 3),
        FIELD(o_dtype, -1),
        FIELD(q_heads, 0),
        FIELD(q_heads, 65536),
        FIELD(v_head_dim, 0),
        FIELD(v_head_dim, 65536),
        FIELD(max_parts, -1),
        FIELD(max_tokens, -1),
        FIELD(max_parts, INT32_MAX),
        FIELD(max_tokens, INT32_MAX),
        STRIDE(o_parts.part),
        STRIDE(o_parts.token),
        STRIDE(o_parts.head),
        STRIDE(lse_parts.part),
        STRIDE(lse_parts.token),
        STRIDE(lse_parts.head),
        STRIDE(o.token),
        STRIDE(o.head),
        STRIDE(lse.token),
        STRIDE(lse.head),
#undef FIELD
#undef STRIDE
    };
    clattn_merge_plan *plan = NULL;
    for (int n = 0; n < LENGTH(faults); n++) {
        clattn_merge_desc desc = right_desc();
        desc_fault_apply(&faults[n], &desc);
        expect_invalid(h, faults[n].names, clattn_merge_plan_create(h->device, &desc, &plan), faults[n].names);
    }
    clattn_merge_desc desc = right_desc();
    expect_invalid(h, "no device", clattn_merge_plan_create(NULL, &desc, &plan), "device");
    expect_invalid(h, "no desc", clattn_merge_plan_create(h->device, NULL, &plan), "desc");
    expect_invalid(h, "no out", clattn_merge_plan_create(h->device, &desc, NULL), "out");
    expect_true(h, "no plan of a failure", plan == NULL);
    clattn_merge_plan_destroy(&plan);
    clattn_merge_plan_destroy(NULL);
    clattn_merge_desc_init(NULL);
    clattn_merge_args_init(NULL);
}

typedef struct run_errors {
    harness *h;
    const clattn_merge_plan *plan;
    clattn_merge_args args; /* right ones */
} run_errors;

static clattn_status run(const run_errors *e, const clattn_merge_args *args, int32_t parts, int32_t tokens)
{
    return clattn_merge_states(e->plan, parts, tokens, args, e->h->in_order, 0, NULL, NULL);
}

static clattn_status run_right_size(const void *user, const void *args)
{
    return run(user, args, 2, 5);
}

/* Without parts, the buffers of parts are not needed. */
static void check_buffer_errors(const run_errors *e)
{
    static const buffer_row buffers[] = {
        { "o_parts", offsetof(clattn_merge_args, o_parts), 60 * 4, 4, false },
        { "lse_parts", offsetof(clattn_merge_args, lse_parts), 20 * 4, 4, false },
        { "o", offsetof(clattn_merge_args, o), 30 * 4, 4, false },
        { "lse", offsetof(clattn_merge_args, lse), 10 * 4, 4, false },
        { "sinks", offsetof(clattn_merge_args, sinks), 2 * 4, 4, false },
    };
    for (int n = 0; n < LENGTH(buffers); n++) {
        clattn_merge_args args = e->args;
        char what[64];
        check_run_buffer(e->h, &buffers[n], &args, run_right_size, e);
        *buffer_row_of(&buffers[n], &args) = (clattn_buffer){ .handle = NULL };
        const bool is_input_of_parts = n < 2;
        snprintf(what, sizeof(what), "no %s, no part", buffers[n].name);
        expect(e->h, what, run(e, &args, 0, 5), is_input_of_parts ? CLATTN_OK : CLATTN_INVALID_ARGUMENT,
               buffers[n].name);
    }
}

/* Outputs in the cl_mem of another buffer: touching is right, one element more is not. */
static void check_overlaps(const run_errors *e)
{
    static const struct {
        const char *what, *names;
        size_t output, other; /* in the args */
        size_t at;            /* where the output starts; the other starts at 512 */
        bool is_right;
    } overlaps[] = {
#define ARG(name) offsetof(clattn_merge_args, name)
        { "o before o_parts", "", ARG(o), ARG(o_parts), 512 - 120, true },
        { "o into o_parts", "o_parts", ARG(o), ARG(o_parts), 512 - 116, false },
        { "o at the end of o_parts", "o_parts", ARG(o), ARG(o_parts), 512 + 236, false },
        { "o behind o_parts", "", ARG(o), ARG(o_parts), 512 + 240, true },
        { "o into lse_parts", "lse_parts", ARG(o), ARG(lse_parts), 512 - 116, false },
        { "o into sinks", "sinks", ARG(o), ARG(sinks), 512 + 4, false },
        { "o into lse", "lse", ARG(o), ARG(lse), 512 - 4, false },
        { "lse before o_parts", "", ARG(lse), ARG(o_parts), 512 - 40, true },
        { "lse into o_parts", "o_parts", ARG(lse), ARG(o_parts), 512 - 36, false },
        { "lse at the end of lse_parts", "lse_parts", ARG(lse), ARG(lse_parts), 512 + 76, false },
        { "lse behind lse_parts", "", ARG(lse), ARG(lse_parts), 512 + 80, true },
        { "lse into sinks", "sinks", ARG(lse), ARG(sinks), 512, false },
#undef ARG
    };
    for (int n = 0; n < LENGTH(overlaps); n++) {
        clattn_merge_args args = e->args;
        clattn_buffer *output = (clattn_buffer *)(void *)((char *)&args + overlaps[n].output);
        clattn_buffer *other = (clattn_buffer *)(void *)((char *)&args + overlaps[n].other);
        other->offset = 512;
        *output = (clattn_buffer){ .handle = other->handle, .offset = overlaps[n].at };
        expect(e->h, overlaps[n].what, run(e, &args, 2, 5), overlaps[n].is_right ? CLATTN_OK : CLATTN_INVALID_ARGUMENT,
               overlaps[n].names);
    }
    clattn_merge_args args = e->args;
    args.lse_parts.handle = args.o_parts.handle;
    args.sinks.handle = args.o_parts.handle;
    expect(e->h, "inputs may overlap", run(e, &args, 2, 5), CLATTN_OK, "");
}

/* Strides that are right by themselves and wrong for what a run reaches. */
static void check_reach(const run_errors *e)
{
    static const struct {
        const char *what, *names;
        size_t at;
        int64_t value;
    } strides[] = {
#define STRIDE(what, names, field, value) { what, names, offsetof(clattn_merge_desc, field), value }
        STRIDE("parts that overflow", "o_parts", o_parts.part, INT64_MAX),
        STRIDE("tokens that overflow", "o_parts", o_parts.token, INT64_MAX / 4),
        STRIDE("LSEs that overflow", "lse_parts", lse_parts.part, INT64_MAX),
        STRIDE("a result that overflows", "o", o.token, INT64_MAX / 2),
        STRIDE("an LSE that overflows", "lse", lse.token, INT64_MAX / 2),
        STRIDE("tokens that overlap", "o {", o.token, 5),
        STRIDE("heads that overlap", "o {", o.head, 2),
        STRIDE("tokens that share an LSE", "lse {", lse.token, 0),
        STRIDE("heads that share an LSE", "lse {", lse.head, 0),
#undef STRIDE
    };
    for (int n = 0; n < LENGTH(strides); n++) {
        clattn_merge_desc desc = right_desc();
        clattn_merge_plan *plan = NULL;
        *(int64_t *)(void *)((char *)&desc + strides[n].at) = strides[n].value;
        clattn_status status = clattn_merge_plan_create(e->h->device, &desc, &plan);
        if (status == CLATTN_OK)
            status = clattn_merge_states(plan, 2, 5, &e->args, e->h->in_order, 0, NULL, NULL);
        expect_invalid(e->h, strides[n].what, status, strides[n].names);
        clattn_merge_plan_destroy(&plan);
    }
}

/* Without has_lse and has_sinks their buffers and strides are not looked at. */
static void check_what_is_ignored(const run_errors *e)
{
    clattn_merge_desc desc = right_desc();
    clattn_merge_args args = e->args;
    clattn_merge_plan *plan = NULL;
    desc.has_lse = desc.has_sinks = 0;
    desc.lse = (clattn_row_strides){ 0, 0 };
    args.lse = args.o;
    args.sinks = args.o;
    clattn_status status = clattn_merge_plan_create(e->h->device, &desc, &plan);
    if (status == CLATTN_OK)
        status = clattn_merge_states(plan, 2, 5, &args, e->h->in_order, 0, NULL, NULL);
    expect(e->h, "LSE and sinks that are not asked for", status, CLATTN_OK, "");
    clattn_merge_plan_destroy(&plan);
}

/* What the calls get wrong beside their buffers. */
static void check_call_errors(const run_errors *e)
{
    static const clattn_merge_args none = { 0 };
    harness *h = e->h;
    cl_event event = NULL;
    expect_invalid(h, "parts over their bound", run(e, &e->args, 3, 5), "parts");
    expect_invalid(h, "negative parts", run(e, &e->args, -1, 5), "parts");
    expect_invalid(h, "tokens over their bound", run(e, &e->args, 2, 6), "tokens");
    expect_invalid(h, "negative tokens", run(e, &e->args, 2, -1), "tokens");
    expect_invalid(h, "args of another version", run(e, &none, 2, 5), "struct_size");
    expect_invalid(h, "no args", run(e, NULL, 2, 5), "args");
    expect_invalid(h, "no plan", clattn_merge_states(NULL, 2, 5, &e->args, h->in_order, 0, NULL, NULL), "plan");
    expect_invalid(h, "no queue", clattn_merge_states(e->plan, 2, 5, &e->args, NULL, 0, NULL, NULL), "queue");
    expect_invalid(h, "a count without events",
                   clattn_merge_states(e->plan, 2, 5, &e->args, h->in_order, 1, NULL, &event), "event_wait_list");
    expect_true(h, "no event of a failure", event == NULL);
}

void merge_check_errors(harness *h)
{
    static char zeros[BYTES];
    const clattn_merge_desc desc = right_desc();
    run_errors e = { .h = h, .args = CLATTN_MERGE_ARGS(.o = { .handle = NULL }) };
    clattn_buffer *buffers[] = { &e.args.o_parts, &e.args.lse_parts, &e.args.o, &e.args.lse, &e.args.sinks };
    clattn_merge_plan *plan = NULL;
    bool made = clattn_merge_plan_create(h->device, &desc, &plan) == CLATTN_OK;
    cl_mem memories[LENGTH(buffers)] = { NULL };
    e.plan = plan;
    for (int n = 0; n < LENGTH(buffers); n++) {
        cl_int code;
        memories[n] = clCreateBuffer(h->context, CL_MEM_COPY_HOST_PTR, sizeof(zeros), zeros, &code);
        buffers[n]->handle = memories[n];
        made = made && code == CL_SUCCESS;
    }
    check_desc_errors(h);
    expect_true(h, "a plan and buffers", made);
    if (made) {
        check_call_errors(&e);
        check_buffer_errors(&e);
        check_overlaps(&e);
        check_reach(&e);
        check_what_is_ignored(&e);
    }
    clFinish(h->in_order);
    for (int n = 0; n < LENGTH(buffers); n++)
        if (memories[n])
            clReleaseMemObject(memories[n]);
    clattn_merge_plan_destroy(&plan);
}
