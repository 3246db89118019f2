/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_DEVICE_SPOIL_H
#define TESTS_DEVICE_SPOIL_H

/* Runs and descriptions that are right but for one thing, which the message has to name. */

#include <stddef.h>

#include "expect.h"

/* A wrong description: `spoil` changes one that is right. */
typedef struct desc_error {
    const char *names;
    void (*spoil)(clattn_attention_desc *desc);
} desc_error;

#define SPOIL(function, ...)                                                                                           \
    static void function(clattn_attention_desc *d)                                                                     \
    {                                                                                                                  \
        __VA_ARGS__;                                                                                                   \
    }

/* Plan and support both refuse each of them. */
void check_descriptions(harness *h, const clattn_attention_desc *right, const desc_error *errors, int count);

typedef struct args_field {
    const char *name;
    size_t offset;
    size_t size;      /* of its element or block */
    size_t alignment; /* of it, 1 for bytes */
} args_field;

#define ARGS_FIELD_OF(name, size, alignment)                                                                           \
    {                                                                                                                  \
#name, offsetof(clattn_attention_args, name), size, alignment                                                  \
    }
#define ARGS_FIELD(name, size) ARGS_FIELD_OF(name, size, size)

/* The buffer missing, of an unknown kind, misaligned, too large and too small. */
void check_buffer(harness *h, const problem *p, const clattn_plan *plan, const args_field *field);

/* A run without a schedule on the in-order queue. */
clattn_status run_once(harness *h, const clattn_plan *plan, const clattn_attention_args *args);

#endif
