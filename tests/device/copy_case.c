/* SPDX-License-Identifier: BSD-2-Clause */
#include "copy_case.h"

#include <stdlib.h>
#include <string.h>

#include "ref/ref.h"

#define AFTER 0x77 /* the byte after host memory */

static size_t page_bytes(const copy_state *s)
{
    size_t bytes = 0;
    for (int32_t n = 0; n < s->num_planes; n++)
        bytes += (size_t)s->strides[n].page_bytes;
    return bytes;
}

static size_t stride_of(const copy_state *s, int32_t plane)
{
    const clattn_page_plane *p = &s->strides[plane];
    return (size_t)(p->page_stride ? p->page_stride : p->page_bytes);
}

/* Distinct ids: the first `moved` are destinations, sources come after them and may be alike. */
static bool choose_pages(copy_state *s, ref_random *random)
{
    const copy_case *c = s->c;
    int32_t *order = malloc((size_t)c->pages * sizeof(*order) + 1);
    for (int32_t i = 0; order && i < c->pages; i++) {
        const int64_t other = ref_random_range(random, 0, i);
        order[i] = order[other];
        order[other] = i;
    }
    for (int32_t i = 0; order && i < c->moved; i++) {
        s->ids[i] = order[i];
        if (c->kind == COPY_PAGES)
            s->pairs[i] = (clattn_page_pair){ order[ref_random_range(random, c->moved, c->pages - 1)], order[i] };
    }
    if (order && c->kind == COPY_SWAP_OUT && c->moved > 1)
        s->ids[c->moved - 1] = s->ids[0]; /* read twice */
    free(order);
    return order != NULL;
}

static bool allocate(copy_state *s)
{
    static const char *const names[COPY_MAX_PLANES] = { "planes[0]", "planes[1]", "planes[2]", "planes[3]" };
    const copy_case *c = s->c;
    for (int32_t n = 0; n < COPY_MAX_PLANES && c->bytes[n] > 0; n++, s->num_planes++) {
        s->strides[n] = (clattn_page_plane){ c->bytes[n], c->gap ? c->bytes[n] + c->gap : 0 };
        if (!guarded_make(&s->planes[n], names[n], (size_t)c->pages * (size_t)(c->bytes[n] + c->gap),
                          (size_t)c->offset))
            return false;
    }
    s->host_bytes = c->kind == COPY_PAGES ? 0 : (size_t)c->moved * page_bytes(s);
    s->want_host = malloc(s->host_bytes + 1);
    return guarded_make(&s->staging, "staging", s->host_bytes, (size_t)c->offset) && s->want_host;
}

static bool allocate_host(const harness *h, copy_state *s)
{
    if (!s->c->pinned)
        s->host = malloc(s->host_bytes + 1);
    else if (clattn_pinned_create(h->device, s->host_bytes + 1, &s->pinned) == CLATTN_OK)
        s->host = clattn_pinned_data(s->pinned);
    return s->host != NULL;
}

/* What the move does, byte by byte. */
static void expect_moves(copy_state *s)
{
    const copy_case *c = s->c;
    for (int32_t i = 0; i < c->moved; i++) {
        size_t at = (size_t)i * page_bytes(s);
        for (int32_t n = 0; n < s->num_planes; n++) {
            const size_t bytes = (size_t)s->strides[n].page_bytes, stride = stride_of(s, n);
            guarded *plane = &s->planes[n];
            if (c->kind == COPY_PAGES)
                memcpy(plane->want + (size_t)s->pairs[i].dst * stride, plane->host + (size_t)s->pairs[i].src * stride,
                       bytes);
            else if (c->kind == COPY_SWAP_OUT)
                memcpy(s->want_host + at, plane->host + (size_t)s->ids[i] * stride, bytes);
            else
                memcpy(plane->want + (size_t)s->ids[i] * stride, s->want_host + at, bytes);
            at += bytes;
        }
    }
    memcpy(s->staging.want, s->want_host, s->host_bytes);
}

static void fill(copy_state *s, ref_random *random)
{
    for (int32_t n = 0; n < s->num_planes; n++) {
        for (size_t i = 0; i < s->planes[n].bytes; i++)
            s->planes[n].host[i] = (unsigned char)ref_random_bits(random);
        memcpy(s->planes[n].want, s->planes[n].host, s->planes[n].bytes);
    }
    for (size_t i = 0; i < s->host_bytes; i++)
        s->host[i] = (unsigned char)ref_random_bits(random);
    s->host[s->host_bytes] = AFTER;
    memcpy(s->want_host, s->host, s->host_bytes + 1);
    expect_moves(s);
}

static bool make_plan(const harness *h, copy_state *s, outcome *out)
{
    const clattn_copy_desc desc =
        CLATTN_COPY_DESC(.pages = s->c->pages, .num_planes = s->num_planes, .planes = s->strides);
    if (!outcome_ok(out, clattn_copy_plan_create(h->device, &desc, &s->plan), "clattn_copy_plan_create"))
        return false;
    if (clattn_copy_page_bytes(s->plan) != page_bytes(s))
        outcome_fail(out, "clattn_copy_page_bytes is %zu, not %zu", clattn_copy_page_bytes(s->plan), page_bytes(s));
    return true;
}

bool copy_make(const harness *h, copy_state *s, const copy_case *c, outcome *out)
{
    ref_random random = { 5 };
    *s = (copy_state){ .c = c };
    if (!allocate(s) || !allocate_host(h, s) || !choose_pages(s, &random)) {
        outcome_fail(out, "no memory");
        return false;
    }
    fill(s, &random);
    for (int32_t n = 0; n < s->num_planes; n++) {
        if (!guarded_upload(h, &s->planes[n], out))
            return false;
        s->views[n] = guarded_view(&s->planes[n]);
    }
    return guarded_upload(h, &s->staging, out) && make_plan(h, s, out);
}

void copy_free(copy_state *s)
{
    clattn_copy_plan_destroy(&s->plan);
    for (int32_t n = 0; n < s->num_planes; n++)
        guarded_free(&s->planes[n]);
    guarded_free(&s->staging);
    if (s->pinned)
        clattn_pinned_destroy(&s->pinned);
    else
        free(s->host);
    free(s->want_host);
}

clattn_status copy_enqueue(const copy_state *s, cl_command_queue queue, cl_uint num_wait, const cl_event *wait,
                           cl_event *event)
{
    const clattn_copy_args copy = CLATTN_COPY_ARGS(.num_planes = s->num_planes, .planes = s->views);
    const clattn_swap_args swap =
        CLATTN_SWAP_ARGS(.num_planes = s->num_planes, .planes = s->views, .staging = guarded_view(&s->staging),
                         .host = s->host, .host_size = s->host_bytes);
    switch (s->c->kind) {
    case COPY_PAGES:
        return clattn_copy_run(s->plan, s->c->moved, s->pairs, &copy, queue, num_wait, wait, event);
    case COPY_SWAP_OUT:
        return clattn_swap_out_run(s->plan, s->c->moved, s->ids, &swap, queue, num_wait, wait, event);
    default:
        return clattn_swap_in_run(s->plan, s->c->moved, s->ids, &swap, queue, num_wait, wait, event);
    }
}

void copy_verify(const harness *h, const copy_state *s, outcome *out)
{
    for (int32_t n = 0; n < s->num_planes; n++)
        guarded_verify(h, &s->planes[n], NULL, NULL, out);
    guarded_verify(h, &s->staging, NULL, NULL, out);
    size_t at = 0;
    while (at <= s->host_bytes && s->host[at] == s->want_host[at])
        at++;
    if (at <= s->host_bytes)
        outcome_fail(out, "host memory differs at byte %zu of %zu: 0x%02x, not 0x%02x", at, s->host_bytes, s->host[at],
                     s->want_host[at]);
    out->compared += (int64_t)s->c->moved * (int64_t)page_bytes(s);
}
