/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_KV_PAGE_LIST_H
#define CLATTN_KV_PAGE_LIST_H

/* Checks of lists of pages, in time that grows with the list and not with the pool: a bit a page, which is set and
 * taken back for each entry. Pure host code. */

#include <stdbool.h>

#include <clattn/cache_copy.h>

/* The bits of one plan, all 0 between calls. Thread-safe: a lock. */
typedef struct clattn_page_marks clattn_page_marks;

/* NULL: no memory. */
clattn_page_marks *clattn_page_marks_create(int32_t pages);
void clattn_page_marks_destroy(clattn_page_marks *marks);

/* CLATTN_INVALID_ARGUMENT, with the pair's index: an id outside [0, pages), a destination twice, a source that is a
 * destination. */
clattn_status clattn_page_pairs_check(clattn_page_marks *marks, int32_t num_pairs, const clattn_page_pair *pairs);

/* CLATTN_INVALID_ARGUMENT, with the page's index: an id outside [0, pages), or, where they have to be distinct, an id
 * twice. */
clattn_status clattn_page_ids_check(clattn_page_marks *marks, int32_t num_pages, const int32_t *pages, bool distinct);

#endif
