/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_DEVICE_OPERATION_H
#define TESTS_DEVICE_OPERATION_H

/* What the suites of operations that have a description, a plan and a run of their own (append, gather, copy, merge) do
 * alike. */

#include <stddef.h>

#include "expect.h"

/* One wrong field of a description that is right otherwise; `names` has to be in the message. */
typedef struct desc_fault {
    const char *what, *names;
    size_t at;
    bool wide; /* int64_t, else int32_t */
    int64_t value;
} desc_fault;

#define DESC_FIELD(type, name, value)                                                                                  \
    {                                                                                                                  \
#name, #name, offsetof(type, name), false, value                                                               \
    }
#define DESC_STRIDE(type, name, value)                                                                                 \
    {                                                                                                                  \
#name, #name, offsetof(type, name), true, value                                                                \
    }

void desc_fault_apply(const desc_fault *fault, void *desc);

/* A buffer of a run's arguments: where it stands in them, and what the description reaches. */
typedef struct buffer_row {
    const char *name;
    size_t at, bytes, alignment;
    bool optional; /* a run without it is right */
} buffer_row;

clattn_buffer *buffer_row_of(const buffer_row *row, void *args);

/* The buffer in `args` of just the right size, too small, past its end, misaligned, missing; `run` runs with `args` as
 * they are then. They are as before afterwards. */
typedef clattn_status (*run_with)(const void *user, const void *args);
void check_run_buffer(harness *h, const buffer_row *row, void *args, run_with run, const void *user);

/* Opens `gate`, a user event that `run` waits behind, and waits for `run`, which must not have ended before. `run` is
 * NULL where nothing was enqueued. Releases both; returns whether there is a result. */
bool gate_open(cl_event gate, cl_event run, outcome *out);

#endif
