/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TESTS_PAGES_MODEL_H
#define CLATTN_TESTS_PAGES_MODEL_H

/* A page manager beside a simple model of what it stands for. The model has a memory: what an append stores for a token
 * is a number made of that token and of everything before it, as a key or a value would be. So a page that is shared
 * wrongly, overwritten or not copied shows as a wrong number in some sequence. It also knows which steps use a page,
 * and counts pages by itself. */

#include <stdbool.h>
#include <stdint.h>

/* Where the operations come from: a number below n (n >= 1), and whether there are more. */
typedef struct pages_choices {
    uint32_t (*below)(void *user, uint32_t n);
    bool (*more)(void *user);
    void *user;
} pages_choices;

typedef struct pages_model_totals {
    uint64_t operations, refused_for_pages, copies, tokens_found, swapped, evictions;
} pages_model_totals;

/* Makes a manager by bounds that the choices give, works until there are no more, and frees everything. NULL: all went
 * as the model says; else what did not, a string that lives until the next call in this thread. *totals are added to.
 */
const char *pages_model_run(const pages_choices *choices, pages_model_totals *totals);

#endif
