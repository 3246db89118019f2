/* SPDX-License-Identifier: BSD-2-Clause */
#include "guarded.h"

#include <stdlib.h>
#include <string.h>

#define BAND   64
#define POISON 0xff /* NaN in every type of floats */

static size_t whole(const guarded *g)
{
    return g->offset + g->bytes + BAND;
}

bool guarded_make(guarded *g, const char *name, size_t bytes, size_t shift)
{
    *g = (guarded){ .name = name, .offset = BAND + shift, .bytes = bytes };
    g->base = malloc(2 * whole(g));
    if (!g->base)
        return false;
    memset(g->base, POISON, 2 * whole(g));
    g->host = g->base + g->offset;
    g->want = g->base + whole(g) + g->offset;
    return true;
}

void guarded_put(guarded *g, size_t at, const void *data, size_t bytes)
{
    memcpy(g->host + at, data, bytes);
    memcpy(g->want + at, data, bytes);
}

bool guarded_upload(const harness *h, guarded *g, outcome *out)
{
    cl_int code;
    g->memory = clCreateBuffer(h->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, whole(g), g->base, &code);
    if (code != CL_SUCCESS)
        outcome_fail(out, "clCreateBuffer failed with %d", code);
    return code == CL_SUCCESS;
}

void guarded_free(guarded *g)
{
    if (g->memory)
        clReleaseMemObject(g->memory);
    free(g->base);
    *g = (guarded){ .name = g->name };
}

clattn_buffer guarded_view(const guarded *g)
{
    return (clattn_buffer){ .handle = g->memory, .offset = g->offset, .size = g->bytes };
}

static void compare(const guarded *g, const unsigned char *got, const unsigned char *want, outcome *out)
{
    size_t at = 0;
    while (at < whole(g) && got[at] == want[at])
        at++;
    if (at < whole(g))
        outcome_fail(out, "%s differs at byte %zd of its view: 0x%02x, not 0x%02x", g->name,
                     (ptrdiff_t)(at - g->offset), got[at], want[at]);
}

void guarded_verify(const harness *h, const guarded *g, guarded_canonical canonical, const void *user, outcome *out)
{
    unsigned char *got = malloc(2 * whole(g));
    if (!got || clEnqueueReadBuffer(h->in_order, g->memory, CL_TRUE, 0, whole(g), got, 0, NULL, NULL) != CL_SUCCESS) {
        outcome_fail(out, "%s cannot be read", g->name);
        free(got);
        return;
    }
    unsigned char *want = got + whole(g);
    memcpy(want, g->base + whole(g), whole(g));
    if (canonical) {
        canonical(user, got + g->offset);
        canonical(user, want + g->offset);
    }
    compare(g, got, want, out);
    free(got);
}
