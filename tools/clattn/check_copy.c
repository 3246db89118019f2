/* SPDX-License-Identifier: BSD-2-Clause */
#include "check_copy.h"

#include <string.h>

#include <clattn/cache_copy.h>

#include "command.h"

/* A page of blocks of 34 bytes, and one that has more than one segment of the kernel. */
enum { PAGES = 6, SMALL = 3 * 34, LARGE = 16384 + 34, PLANES = 2, MOVED = 2 };
enum { PAGE_BYTES = SMALL + LARGE };

static const size_t page_bytes[PLANES] = { SMALL, LARGE };

typedef struct subject {
    unsigned char planes[PLANES][PAGES * LARGE], got[PAGES * LARGE];
    clattn_buffer on_device[PLANES], staging;
    clattn_copy_plan *plan;
    clattn_pinned *host;
} subject;

static int load(const session *on, subject *s)
{
    const clattn_page_plane strides[PLANES] = { { SMALL, 0 }, { LARGE, 0 } };
    const clattn_copy_desc desc = CLATTN_COPY_DESC(.pages = PAGES, .num_planes = PLANES, .planes = strides);
    int status = EXIT_DONE;
    for (int n = 0; n < PLANES; n++)
        for (size_t i = 0; i < sizeof s->planes[n]; i++)
            s->planes[n][i] = (unsigned char)(1 + (i * 37 + (size_t)n) % 251);
    for (int n = 0; n < PLANES && status == EXIT_DONE; n++)
        status = session_make_buffer(on, "a plane", PAGES * page_bytes[n], s->planes[n], &s->on_device[n]);
    if (status == EXIT_DONE)
        status = session_make_buffer(on, "the staging buffer", MOVED * PAGE_BYTES, NULL, &s->staging);
    if (status == EXIT_DONE && (clattn_copy_plan_create(on->device, &desc, &s->plan) != CLATTN_OK ||
                                clattn_pinned_create(on->device, MOVED * PAGE_BYTES, &s->host) != CLATTN_OK))
        status = fail_library("copy cannot be planned");
    return status;
}

static void unload(subject *s)
{
    clattn_copy_plan_destroy(&s->plan);
    clattn_pinned_destroy(&s->host);
    session_free_buffer(&s->staging);
    for (int n = 0; n < PLANES; n++)
        session_free_buffer(&s->on_device[n]);
}

/* What a move does, on the host. */
static void expect(subject *s, int32_t src, int32_t dst)
{
    for (int n = 0; n < PLANES; n++)
        memcpy(s->planes[n] + (size_t)dst * page_bytes[n], s->planes[n] + (size_t)src * page_bytes[n], page_bytes[n]);
}

static int compare(const session *on, subject *s, bool *same)
{
    int status = EXIT_DONE;
    *same = true;
    for (int n = 0; n < PLANES && status == EXIT_DONE; n++) {
        status = session_read_buffer(on, "a plane", &s->on_device[n], PAGES * page_bytes[n], s->got);
        *same = *same && memcmp(s->got, s->planes[n], PAGES * page_bytes[n]) == 0;
    }
    return status;
}

static int run_copy(const session *on, subject *s)
{
    static const clattn_page_pair pairs[MOVED] = { { 4, 1 }, { 4, 3 } };
    const clattn_copy_args args = CLATTN_COPY_ARGS(.num_planes = PLANES, .planes = s->on_device);
    if (clattn_copy_run(s->plan, MOVED, pairs, &args, on->queue, 0, NULL, NULL) != CLATTN_OK)
        return fail_library("copy cannot run");
    for (int i = 0; i < MOVED; i++)
        expect(s, pairs[i].src, pairs[i].dst);
    return EXIT_DONE;
}

static int run_swap(const session *on, subject *s)
{
    static const int32_t from[MOVED] = { 5, 0 }, to[MOVED] = { 2, 4 };
    const clattn_swap_args args =
        CLATTN_SWAP_ARGS(.num_planes = PLANES, .planes = s->on_device, .staging = s->staging,
                         .host = clattn_pinned_data(s->host), .host_size = MOVED * PAGE_BYTES);
    if (clattn_swap_out_run(s->plan, MOVED, from, &args, on->queue, 0, NULL, NULL) != CLATTN_OK ||
        clattn_swap_in_run(s->plan, MOVED, to, &args, on->queue, 0, NULL, NULL) != CLATTN_OK)
        return fail_library("swap cannot run");
    for (int i = 0; i < MOVED; i++)
        expect(s, from[i], to[i]);
    return EXIT_DONE;
}

static int check(const session *on, int (*run)(const session *, subject *), bool *same)
{
    static subject s;
    int status = load(on, &s);
    if (status == EXIT_DONE)
        status = run(on, &s);
    if (status == EXIT_DONE)
        status = compare(on, &s, same);
    unload(&s);
    return status;
}

int check_copy(const session *on, bool *same)
{
    return check(on, run_copy, same);
}

int check_swap(const session *on, bool *same)
{
    return check(on, run_swap, same);
}
