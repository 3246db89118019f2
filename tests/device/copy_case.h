/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_DEVICE_COPY_CASE_H
#define TESTS_DEVICE_COPY_CASE_H

/* One copy or swap of pages: planes, ids and what they have to hold, on the host and on the device. */

#include "guarded.h"

#define COPY_MAX_PLANES 4
#define COPY_MAX_PAGES  300

typedef enum copy_kind { COPY_PAGES, COPY_SWAP_OUT, COPY_SWAP_IN } copy_kind;

typedef struct copy_case {
    const char *name;
    copy_kind kind;
    int32_t pages, moved;
    int32_t bytes[COPY_MAX_PLANES]; /* a page; 0 ends the list */
    int32_t gap;                    /* unused bytes after each page */
    int32_t offset;                 /* of every buffer, in bytes */
    bool pinned;                    /* host memory of clattn_pinned */
} copy_case;

typedef struct copy_state {
    const copy_case *c;
    int32_t num_planes;
    clattn_page_plane strides[COPY_MAX_PLANES];
    guarded planes[COPY_MAX_PLANES], staging;
    clattn_buffer views[COPY_MAX_PLANES];
    clattn_page_pair pairs[COPY_MAX_PAGES];
    int32_t ids[COPY_MAX_PAGES];
    unsigned char *host, *want_host; /* with a byte more, which stays; NULL of copies */
    size_t host_bytes;
    clattn_pinned *pinned;
    clattn_copy_plan *plan;
} copy_state;

/* Host side, buffers and a plan. Reports to `out`; copy_free() in either case. */
bool copy_make(const harness *h, copy_state *s, const copy_case *c, outcome *out);
void copy_free(copy_state *s);
clattn_status copy_enqueue(const copy_state *s, cl_command_queue queue, cl_uint num_wait, const cl_event *wait,
                           cl_event *event);
/* Compares every byte of every buffer and of host memory. */
void copy_verify(const harness *h, const copy_state *s, outcome *out);

#endif
