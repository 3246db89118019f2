/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_DEVICE_MERGE_CASE_H
#define TESTS_DEVICE_MERGE_CASE_H

/* One merge: its parts on the host, and the same on the device. Rows take turns in what their parts hold: see
 * merge_case.c. */

#include "harness.h"

typedef struct merge_case {
    clattn_dtype part_dtype, o_dtype;
    int32_t parts, tokens, heads, dim;
    int32_t pad;         /* unused elements after each row, token and part, in every tensor */
    int32_t offset;      /* of every buffer, in elements of its type */
    bool head_major;     /* tensors [parts, heads, tokens, dim] */
    bool lse, sinks;     /* has_lse, has_sinks */
    bool one_allocation; /* all buffers in one cl_mem */
    uint64_t seed;
} merge_case;

/* "parts=3,dim=64,..." for a failure. */
const char *merge_case_print(const merge_case *c, char line[CASE_LINE_SIZE]);

enum { MERGE_O_PARTS, MERGE_LSE_PARTS, MERGE_O, MERGE_LSE, MERGE_SINKS, MERGE_BUFFERS };

typedef struct merge_state {
    const merge_case *c;
    clattn_merge_desc desc;
    struct {
        unsigned char *host; /* what it holds before */
        size_t size;         /* of its view with guards around, in bytes */
        size_t start;        /* of its first element in the view */
        size_t base;         /* of the view in its cl_mem */
        cl_mem memory;
    } buffers[MERGE_BUFFERS];
    clattn_merge_plan *plan;
} merge_state;

/* Host side, buffers with guards around everything, and a plan. Reports to `out`; merge_free() in either case. */
bool merge_make(const harness *h, merge_state *m, const merge_case *c, outcome *out);
void merge_free(merge_state *m);

clattn_merge_args merge_args_of(const merge_state *m);

/* All bytes of a buffer as they are on the device now; free() them. NULL: it cannot be read, and `out` has it. */
unsigned char *merge_read(const harness *h, const merge_state *m, int buffer, outcome *out);

/* Compares every row with the reference, and every byte around rows with what it was. */
void merge_verify(const harness *h, const merge_state *m, outcome *out);

/* Every error of the interface; counts its cases itself. */
void merge_check_errors(harness *h);

#endif
