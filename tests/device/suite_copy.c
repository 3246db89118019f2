/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies and swaps of pages: every byte against the host's, on queues, and refused. */
#include <stdio.h>
#include <string.h>

#include "copy_case.h"
#include "operation.h"
#include "suites.h"

#define LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* Each is run as a copy, as a swap out and as a swap in. */
static const copy_case cases[] = {
    { "one byte", .pages = 3, .moved = 1, .bytes = { 1 } },
    { "a block of q8_0", .pages = 9, .moved = 4, .bytes = { 34 } },
    { "blocks of both, one by one", .pages = 9, .moved = 4, .bytes = { 34, 18 }, .offset = 2 },
    { "pages of 16 bytes", .pages = 9, .moved = 3, .bytes = { 16, 32, 48 } },
    { "units of 4", .pages = 9, .moved = 3, .bytes = { 20, 260 }, .offset = 4 },
    { "units of 4 by the offset", .pages = 9, .moved = 3, .bytes = { 256 }, .offset = 8 },
    { "units of 1 by the gap", .pages = 9, .moved = 3, .bytes = { 256, 96 }, .gap = 3 },
    { "gaps of 16", .pages = 9, .moved = 3, .bytes = { 256, 96 }, .gap = 16 },
    { "odd everywhere", .pages = 9, .moved = 4, .bytes = { 77, 3, 1030 }, .gap = 5, .offset = 1 },
    { "no gap, pinned", .pages = 9, .moved = 3, .bytes = { 544, 288 }, .pinned = true },
};

static const copy_case large[] = {
    { "more pairs than a launch has", .pages = 300, .moved = 130, .bytes = { 34, 18 } },
    { "just a launch", .pages = 200, .moved = 64, .bytes = { 64 } },
    { "one more than a launch", .pages = 200, .moved = 65, .bytes = { 64 } },
    { "more than a segment", .pages = 5, .moved = 2, .bytes = { 40000, 16384, 16400 } },
    { "more than a segment, odd", .pages = 5, .moved = 2, .bytes = { 40001, 16385 }, .offset = 1 },
    { "planes", .pages = 40, .moved = 20, .bytes = { 4096, 4096, 1088, 64 }, .pinned = true },
};

static const char *const kinds[] = { "copy", "swap out", "swap in" };

static copy_case of_kind(const copy_case *c, int kind, char name[96])
{
    copy_case changed = *c;
    snprintf(name, 96, "%s: %s", kinds[kind], c->name);
    changed.name = name;
    changed.kind = (copy_kind)kind;
    return changed;
}

static bool enqueue(const copy_state *s, cl_command_queue queue, const cl_event *wait, cl_event *event, outcome *out)
{
    *event = NULL;
    if (!outcome_ok(out, copy_enqueue(s, queue, wait ? 1 : 0, wait, event), "the run"))
        return false;
    if (!*event)
        outcome_fail(out, "the run returned no event");
    return *event && clFlush(queue) == CL_SUCCESS;
}

static void check_case(harness *h, const copy_case *c)
{
    outcome out = { PASSED, "", 0, 0.0 };
    copy_state s;
    cl_event event;
    if (copy_make(h, &s, c, &out) && enqueue(&s, h->in_order, NULL, &event, &out)) {
        if (clWaitForEvents(1, &event) != CL_SUCCESS)
            outcome_fail(&out, "waiting for the run's event failed");
        clReleaseEvent(event);
        copy_verify(h, &s, &out);
    }
    copy_free(&s);
    harness_count(h, c->name, NULL, &out);
}

/* A run behind an event of ours must not end before it; its plan goes while it waits. */
static void check_gate(harness *h, const copy_case *c, cl_command_queue queue)
{
    outcome out = { PASSED, "", 0, 0.0 };
    copy_state s;
    cl_int code;
    cl_event gate = clCreateUserEvent(h->context, &code), event = NULL;
    const bool enqueued = copy_make(h, &s, c, &out) && enqueue(&s, queue, &gate, &event, &out);
    clattn_copy_plan_destroy(&s.plan);
    memset(s.ids, 0x7f, sizeof(s.ids)); /* read during the call alone */
    memset(s.pairs, 0x7f, sizeof(s.pairs));
    if (gate_open(gate, enqueued ? event : NULL, &out))
        copy_verify(h, &s, &out);
    copy_free(&s);
    harness_count(h, c->name, NULL, &out);
}

/* Out, the planes overwritten, in to other pages: the values come back. */
static void check_round_trip(harness *h)
{
    outcome out = { PASSED, "", 0, 0.0 };
    static const copy_case c = { "swap out and in", COPY_SWAP_OUT, 20, 7, .bytes = { 34, 128 }, .offset = 2 };
    copy_state s;
    cl_event event = NULL;
    if (copy_make(h, &s, &c, &out) && enqueue(&s, h->in_order, NULL, &event, &out)) {
        clReleaseEvent(event);
        clFinish(h->in_order);
        const clattn_swap_args args =
            CLATTN_SWAP_ARGS(.num_planes = s.num_planes, .planes = s.views, .staging = guarded_view(&s.staging),
                             .host = s.host, .host_size = s.host_bytes);
        int32_t to[7];
        for (int32_t i = 0; i < 7; i++) {
            to[i] = (s.ids[1] + 1 + i) % 20;
            size_t at = (size_t)i * (34 + 128);
            memcpy(s.planes[0].want + (size_t)to[i] * 34, s.want_host + at, 34);
            memcpy(s.planes[1].want + (size_t)to[i] * 128, s.want_host + at + 34, 128);
        }
        outcome_ok(&out, clattn_swap_in_run(s.plan, 7, to, &args, h->in_order, 0, NULL, NULL), "swap in");
        clFinish(h->in_order);
        copy_verify(h, &s, &out);
    }
    copy_free(&s);
    harness_count(h, c.name, NULL, &out);
}

static const clattn_page_plane right_planes[] = { { 6, 8 }, { 4, 0 } };

static clattn_copy_desc right_desc(void)
{
    return CLATTN_COPY_DESC(.pages = 70, .num_planes = 2, .planes = right_planes);
}

static void check_desc_errors(harness *h)
{
    static const struct {
        const char *what, *names;
        clattn_page_plane plane;
    } planes[] = {
        { "an empty page", "planes[1].page_bytes", { 0, 0 } },
        { "a negative page", "planes[1].page_bytes", { -1, 0 } },
        { "a page too large", "planes[1].page_bytes", { INT64_C(1) << 31, 0 } },
        { "a negative stride", "planes[1].page_stride", { 4, -4 } },
        { "pages that overlap", "planes[1].page_stride", { 4, 3 } },
    };
    clattn_copy_plan *plan = NULL;
    for (int n = 0; n < LENGTH(planes); n++) {
        clattn_page_plane both[] = { { 6, 8 }, planes[n].plane };
        clattn_copy_desc desc = right_desc();
        desc.planes = both;
        expect_invalid(h, planes[n].what, clattn_copy_plan_create(h->device, &desc, &plan), planes[n].names);
    }
    clattn_copy_desc desc = right_desc();
    expect_invalid(h, "no device", clattn_copy_plan_create(NULL, &desc, &plan), "device");
    expect_invalid(h, "no desc", clattn_copy_plan_create(h->device, NULL, &plan), "desc");
    expect_invalid(h, "no out", clattn_copy_plan_create(h->device, &desc, NULL), "out");
    desc.planes = NULL;
    expect_invalid(h, "no planes", clattn_copy_plan_create(h->device, &desc, &plan), "planes");
    desc = right_desc();
    desc.num_planes = 0;
    expect_invalid(h, "zero planes", clattn_copy_plan_create(h->device, &desc, &plan), "num_planes");
    desc = right_desc();
    desc.pages = -1;
    expect_invalid(h, "negative pages", clattn_copy_plan_create(h->device, &desc, &plan), "pages");
    desc.struct_size = 3;
    expect_invalid(h, "a desc of another version", clattn_copy_plan_create(h->device, &desc, &plan), "struct_size");
    expect_true(h, "no plan of a failure", plan == NULL);
    clattn_copy_plan_destroy(&plan);
    clattn_copy_plan_destroy(NULL);
    expect_true(h, "no plan has no bytes", clattn_copy_page_bytes(NULL) == 0);
}

typedef struct run_errors {
    harness *h;
    const clattn_copy_plan *plan;
    clattn_buffer planes[2];
    unsigned char host[64];
    clattn_copy_args copy; /* right ones */
    clattn_swap_args swap;
} run_errors;

static clattn_status copy_pairs(const run_errors *e, const clattn_copy_args *args, int32_t count,
                                const clattn_page_pair *pairs)
{
    return clattn_copy_run(e->plan, count, pairs, args, e->h->in_order, 0, NULL, NULL);
}

static void check_pair_errors(const run_errors *e)
{
    static const struct {
        const char *what, *names;
        clattn_page_pair pairs[3];
    } lists[] = {
        { "a source over the pages", "pairs[1]", { { 0, 1 }, { 70, 2 }, { 0, 3 } } },
        { "a negative source", "pairs[0]", { { -1, 1 }, { 0, 2 }, { 0, 3 } } },
        { "a destination over the pages", "pairs[2]", { { 0, 1 }, { 0, 2 }, { 0, 70 } } },
        { "a negative destination", "pairs[2]", { { 0, 1 }, { 0, 2 }, { 0, -1 } } },
        { "a destination twice", "pairs[2]", { { 0, 69 }, { 0, 5 }, { 1, 69 } } },
        { "a source that comes to be a destination", "pairs[0]", { { 5, 1 }, { 0, 2 }, { 0, 5 } } },
        { "a source that was a destination", "pairs[2]", { { 0, 68 }, { 0, 2 }, { 68, 5 } } },
        { "a page onto itself", "pairs[1]", { { 0, 1 }, { 3, 3 }, { 0, 5 } } },
    };
    static const clattn_page_pair right[] = { { 0, 69 }, { 0, 68 }, { 3, 5 } };
    harness *h = e->h;
    for (int n = 0; n < LENGTH(lists); n++) {
        expect_invalid(h, lists[n].what, copy_pairs(e, &e->copy, 3, lists[n].pairs), lists[n].names);
        expect(h, "nothing of it is left", copy_pairs(e, &e->copy, 3, right), CLATTN_OK, "");
    }
    expect_invalid(h, "negative num_pairs", copy_pairs(e, &e->copy, -1, right), "num_pairs");
    expect_invalid(h, "no pairs", copy_pairs(e, &e->copy, 1, NULL), "pairs");
    expect(h, "none of no pairs", copy_pairs(e, &e->copy, 0, NULL), CLATTN_OK, "");
}

static void check_copy_errors(const run_errors *e)
{
    static const clattn_page_pair right[] = { { 0, 69 } };
    static const clattn_copy_args none = { 0 };
    harness *h = e->h;
    cl_event event = NULL;
    expect_invalid(h, "args of another version", copy_pairs(e, &none, 1, right), "struct_size");
    expect_invalid(h, "no args", copy_pairs(e, NULL, 1, right), "args");
    expect_invalid(h, "no plan", clattn_copy_run(NULL, 1, right, &e->copy, h->in_order, 0, NULL, NULL), "plan");
    expect_invalid(h, "no queue", clattn_copy_run(e->plan, 1, right, &e->copy, NULL, 0, NULL, NULL), "queue");
    expect_invalid(h, "a count without events",
                   clattn_copy_run(e->plan, 1, right, &e->copy, h->in_order, 1, NULL, &event), "event_wait_list");
    expect_true(h, "no event of a failure", event == NULL);
    clattn_copy_args args = e->copy;
    args.num_planes = 1;
    expect_invalid(h, "fewer planes", copy_pairs(e, &args, 1, right), "num_planes");
    args = e->copy;
    args.planes = NULL;
    expect_invalid(h, "no planes", copy_pairs(e, &args, 1, right), "planes");
    clattn_buffer planes[2] = { e->planes[0], e->planes[1] };
    args.planes = planes;
    planes[1].size = 70 * 4 - 1;
    expect_invalid(h, "a plane too small", copy_pairs(e, &args, 1, right), "planes[1]");
    planes[1].size = 70 * 4;
    planes[0].size = 69 * 8 + 6;
    expect(h, "planes of just the right size", copy_pairs(e, &args, 1, right), CLATTN_OK, "");
    planes[0].handle = NULL;
    expect_invalid(h, "a plane missing", copy_pairs(e, &args, 1, right), "planes[0]");
}

static clattn_status swap_pages(const run_errors *e, bool out, const clattn_swap_args *args, int32_t count,
                                const int32_t *pages)
{
    return out ? clattn_swap_out_run(e->plan, count, pages, args, e->h->in_order, 0, NULL, NULL)
               : clattn_swap_in_run(e->plan, count, pages, args, e->h->in_order, 0, NULL, NULL);
}

static void check_swap_errors(const run_errors *e, bool out)
{
    static const int32_t right[] = { 69, 0, 7 }, over[] = { 1, 70 }, negative[] = { -1 }, twice[] = { 3, 5, 3 };
    static const clattn_swap_args none = { 0 };
    harness *h = e->h;
    clattn_swap_args args = e->swap;
    expect(h, "right pages", swap_pages(e, out, &args, 3, right), CLATTN_OK, "");
    expect(h, "no pages", swap_pages(e, out, &args, 0, NULL), CLATTN_OK, "");
    expect_invalid(h, "a page over the pages", swap_pages(e, out, &args, 2, over), "pages[1]");
    expect_invalid(h, "a negative page", swap_pages(e, out, &args, 1, negative), "pages[0]");
    expect(h, "a page twice", swap_pages(e, out, &args, 3, twice), out ? CLATTN_OK : CLATTN_INVALID_ARGUMENT,
           "pages[2]");
    expect_invalid(h, "negative num_pages", swap_pages(e, out, &args, -1, right), "num_pages");
    expect_invalid(h, "no list", swap_pages(e, out, &args, 1, NULL), "pages");
    expect_invalid(h, "args of another version", swap_pages(e, out, &none, 1, right), "struct_size");
    expect_invalid(h, "no args", swap_pages(e, out, NULL, 1, right), "args");
    args.host = NULL;
    expect_invalid(h, "no host memory", swap_pages(e, out, &args, 1, right), "host");
    args = e->swap;
    args.host_size = 29;
    expect_invalid(h, "too little host memory", swap_pages(e, out, &args, 3, right), "host_size");
    args = e->swap;
    args.staging.size = 30;
    expect(h, "staging of just the right size", swap_pages(e, out, &args, 3, right), CLATTN_OK, "");
    args.staging.size = 29;
    expect_invalid(h, "staging too small", swap_pages(e, out, &args, 3, right), "staging");
    args.staging.handle = NULL;
    expect_invalid(h, "no staging", swap_pages(e, out, &args, 3, right), "staging");
    args = e->swap;
    args.num_planes = 3;
    expect_invalid(h, "more planes", swap_pages(e, out, &args, 3, right), "num_planes");
    args.planes = NULL;
    args.num_planes = 2;
    expect_invalid(h, "no planes", swap_pages(e, out, &args, 3, right), "planes");
    clFinish(h->in_order);
}

static void check_pinned_errors(harness *h)
{
    clattn_pinned *pinned = NULL;
    expect_invalid(h, "pinned: no device", clattn_pinned_create(NULL, 5, &pinned), "device");
    expect_invalid(h, "pinned: no out", clattn_pinned_create(h->device, 5, NULL), "out");
    expect_invalid(h, "pinned: no bytes", clattn_pinned_create(h->device, 0, &pinned), "size");
    expect_true(h, "pinned: nothing of a failure", pinned == NULL && clattn_pinned_data(NULL) == NULL);
    clattn_pinned_destroy(&pinned);
    clattn_pinned_destroy(NULL);
}

static void check_run_errors(harness *h)
{
    static char zeros[1024];
    const clattn_copy_desc desc = right_desc();
    clattn_copy_plan *plan = NULL;
    bool made = clattn_copy_plan_create(h->device, &desc, &plan) == CLATTN_OK;
    cl_mem memories[3] = { NULL };
    for (int n = 0; n < 3; n++) {
        cl_int code;
        memories[n] = clCreateBuffer(h->context, CL_MEM_COPY_HOST_PTR, sizeof(zeros), zeros, &code);
        made = made && code == CL_SUCCESS;
    }
    run_errors e = { .h = h, .plan = plan, .planes = { { .handle = memories[0] }, { .handle = memories[1] } } };
    e.copy = CLATTN_COPY_ARGS(.num_planes = 2, .planes = e.planes);
    e.swap = CLATTN_SWAP_ARGS(.num_planes = 2, .planes = e.planes, .staging = { .handle = memories[2] }, .host = e.host,
                              .host_size = sizeof(e.host));
    expect_true(h, "a plan and buffers", made);
    if (made) {
        check_pair_errors(&e);
        check_copy_errors(&e);
        check_swap_errors(&e, true);
        check_swap_errors(&e, false);
    }
    clFinish(h->in_order);
    for (int n = 0; n < 3; n++)
        if (memories[n])
            clReleaseMemObject(memories[n]);
    clattn_copy_plan_destroy(&plan);
}

void suite_copy(harness *h)
{
    char name[96];
    for (int n = 0; n < LENGTH(cases); n++)
        for (int kind = 0; kind < LENGTH(kinds); kind++) {
            const copy_case c = of_kind(&cases[n], kind, name);
            if (kind != COPY_PAGES || !c.pinned)
                check_case(h, &c);
        }
    check_round_trip(h);
    check_desc_errors(h);
    check_run_errors(h);
    check_pinned_errors(h);
}

void suite_copy_queues(harness *h)
{
    static const copy_case none = { "no page", .pages = 5, .moved = 0, .bytes = { 34 } };
    char name[96];
    for (int kind = 0; kind < LENGTH(kinds); kind++) {
        for (int n = 0; n <= LENGTH(large); n++) {
            const copy_case c = of_kind(n < LENGTH(large) ? &large[n] : &none, kind, name);
            if (c.kind == COPY_PAGES && c.pinned)
                continue;
            check_gate(h, &c, h->in_order);
            if (h->out_of_order)
                check_gate(h, &c, h->out_of_order);
        }
    }
}
