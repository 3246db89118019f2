/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_DEVICE_APPEND_CASE_H
#define TESTS_DEVICE_APPEND_CASE_H

/* One append: new rows, slots, caches before and after, on the host and on the device. */

#include "guarded.h"

#define APPEND_MAX_TOKENS 300

typedef enum append_values {
    APPEND_NORMAL,
    APPEND_HOSTILE, /* NaN, infinities, halves, largest and smallest numbers among them */
    APPEND_GGUF     /* the blocks of gguf_blocks.def, in order */
} append_values;

typedef struct append_case {
    const char *name;
    struct {
        clattn_dtype src, dtype;
        int32_t dim; /* 0: absent */
    } planes[2];
    int32_t page_size, heads, tokens;
    bool head_major;
    int32_t pad;    /* unused elements (blocks) after each row, token and page */
    int32_t offset; /* of every buffer, in units of its alignment */
    bool bad_slots; /* negative ones, and such that are past the cache */
    bool without_record;
    append_values values;
} append_case;

typedef struct append_state {
    const append_case *c;
    clattn_append_desc desc;
    guarded slots, record, src[2], cache[2], scales[2];
    clattn_append_plan *plan;
} append_state;

/* Host side, buffers and a plan. Reports to `out`; append_free() in either case. */
bool append_make(const harness *h, append_state *a, const append_case *c, outcome *out);
void append_free(append_state *a);
clattn_append_args append_args_of(const append_state *a);
/* Compares every byte of every buffer; NaNs that a conversion makes may have any payload. */
void append_verify(const harness *h, const append_state *a, outcome *out);

#endif
