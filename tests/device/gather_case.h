/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_DEVICE_GATHER_CASE_H
#define TESTS_DEVICE_GATHER_CASE_H

/* One gather: its cache, tables and answer on the host, and the same on the device. */

#include "guarded.h"

#define GATHER_MAX_BATCH 4

typedef struct gather_case {
    const char *name;
    clattn_dtype dtype, out_dtype;
    int32_t page_size, heads, dim;
    int32_t batch;
    int32_t lens[GATHER_MAX_BATCH]; /* in kv_lens; may be outside what the table holds */
    int32_t out_len;
    int32_t max_pages;   /* 0: as many as the longest length needs, and one more */
    bool head_major;     /* pages [heads, page_size, dim] */
    int32_t pad;         /* unused elements after each row, token and page, in the cache and in the result */
    int32_t offset;      /* of every buffer, in elements of its type */
    bool holes;          /* every third entry is -1 */
    int32_t bad_from;    /* from this sequence on each has an id outside [0, pages); 0: none, so never the first */
    bool without_record; /* no error record is given */
} gather_case;

enum { GATHER_CACHE, GATHER_TABLE, GATHER_LENS, GATHER_SCALES, GATHER_OUT, GATHER_RECORD, GATHER_BUFFERS };

typedef struct gather_state {
    const gather_case *c;
    clattn_gather_desc desc;
    guarded buffers[GATHER_BUFFERS];
    clattn_gather_plan *plan;
} gather_state;

/* Host side, buffers with guards around everything, and a plan. Reports to `out`; gather_free() in either case. */
bool gather_make(const harness *h, gather_state *g, const gather_case *c, outcome *out);
void gather_free(gather_state *g);

clattn_gather_args gather_args_of(const gather_state *g);

/* Compares every byte of every buffer with what it has to be. */
void gather_verify(const harness *h, const gather_state *g, outcome *out);

#endif
