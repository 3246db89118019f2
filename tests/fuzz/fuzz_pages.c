/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes as bounds and operations of a page manager, against the model of the unit tests: whatever the order, no memory
 * outside is touched, the manager stays consistent, and every sequence reads what it wrote. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "pages_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct bytes {
    const uint8_t *next, *end;
} bytes;

static uint32_t byte_below(void *user, uint32_t n)
{
    bytes *left = user;
    return left->next < left->end ? *left->next++ % n : 0;
}

static bool more_bytes(void *user)
{
    const bytes *left = user;
    return left->next < left->end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes left = { data, data + size };
    const pages_choices choices = { byte_below, more_bytes, &left };
    pages_model_totals totals = { 0 };
    const char *wrong = pages_model_run(&choices, &totals);
    if (wrong) {
        fprintf(stderr, "operation %llu: %s\n", (unsigned long long)totals.operations, wrong);
        abort();
    }
    return 0;
}
