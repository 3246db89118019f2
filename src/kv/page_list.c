/* SPDX-License-Identifier: BSD-2-Clause */
#include "kv/page_list.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "util/status.h"

struct clattn_page_marks {
    pthread_mutex_t lock;
    int32_t pages;
    uint64_t *bits;
};

clattn_page_marks *clattn_page_marks_create(int32_t pages)
{
    clattn_page_marks *marks = calloc(1, sizeof(*marks));
    if (!marks)
        return NULL;
    marks->pages = pages;
    marks->bits = calloc((size_t)pages / 64 + 1, sizeof(*marks->bits));
    if (!marks->bits || pthread_mutex_init(&marks->lock, NULL) != 0) {
        free(marks->bits);
        free(marks);
        return NULL;
    }
    return marks;
}

void clattn_page_marks_destroy(clattn_page_marks *marks)
{
    if (!marks)
        return;
    pthread_mutex_destroy(&marks->lock);
    free(marks->bits);
    free(marks);
}

static bool has(const clattn_page_marks *marks, int32_t page)
{
    return (marks->bits[page / 64] >> page % 64 & 1) != 0;
}

static void set(clattn_page_marks *marks, int32_t page)
{
    marks->bits[page / 64] |= UINT64_C(1) << page % 64;
}

static void clear(clattn_page_marks *marks, int32_t page)
{
    marks->bits[page / 64] &= ~(UINT64_C(1) << page % 64);
}

static bool is_page(const clattn_page_marks *marks, int32_t id)
{
    return id >= 0 && id < marks->pages;
}

/* Marks the destinations; *marked is how many of them. */
static clattn_status mark_destinations(clattn_page_marks *marks, int32_t num_pairs, const clattn_page_pair *pairs,
                                       int32_t *marked)
{
    for (*marked = 0; *marked < num_pairs; ++*marked) {
        const clattn_page_pair pair = pairs[*marked];
        if (!is_page(marks, pair.src) || !is_page(marks, pair.dst))
            return clattn_fail(CLATTN_INVALID_ARGUMENT,
                               "pairs[%" PRId32 "] is {%" PRId32 ", %" PRId32 "}; both have to be pages, 0 to %" PRId32,
                               *marked, pair.src, pair.dst, marks->pages - 1);
        if (has(marks, pair.dst))
            return clattn_fail(CLATTN_INVALID_ARGUMENT,
                               "pairs[%" PRId32 "] is {%" PRId32 ", %" PRId32
                               "}, whose destination an earlier pair has too; destinations have to be distinct",
                               *marked, pair.src, pair.dst);
        set(marks, pair.dst);
    }
    return CLATTN_OK;
}

static clattn_status check_sources(const clattn_page_marks *marks, int32_t num_pairs, const clattn_page_pair *pairs)
{
    for (int32_t i = 0; i < num_pairs; i++)
        if (has(marks, pairs[i].src))
            return clattn_fail(CLATTN_INVALID_ARGUMENT,
                               "pairs[%" PRId32 "] is {%" PRId32 ", %" PRId32
                               "}, whose source is the destination of a pair; no source may be one",
                               i, pairs[i].src, pairs[i].dst);
    return CLATTN_OK;
}

clattn_status clattn_page_pairs_check(clattn_page_marks *marks, int32_t num_pairs, const clattn_page_pair *pairs)
{
    int32_t marked = 0;
    pthread_mutex_lock(&marks->lock);
    clattn_status status = mark_destinations(marks, num_pairs, pairs, &marked);
    if (status == CLATTN_OK)
        status = check_sources(marks, num_pairs, pairs);
    for (int32_t i = 0; i < marked; i++)
        clear(marks, pairs[i].dst);
    pthread_mutex_unlock(&marks->lock);
    return status;
}

static clattn_status mark_pages(clattn_page_marks *marks, int32_t num_pages, const int32_t *pages, bool distinct,
                                int32_t *marked)
{
    for (*marked = 0; *marked < num_pages; ++*marked) {
        const int32_t id = pages[*marked];
        if (!is_page(marks, id))
            return clattn_fail(CLATTN_INVALID_ARGUMENT,
                               "pages[%" PRId32 "] is %" PRId32 "; it has to be a page, 0 to %" PRId32, *marked, id,
                               marks->pages - 1);
        if (distinct && has(marks, id))
            return clattn_fail(CLATTN_INVALID_ARGUMENT,
                               "pages[%" PRId32 "] is %" PRId32 ", which stands there earlier too; pages that are "
                               "written have to be distinct",
                               *marked, id);
        set(marks, id);
    }
    return CLATTN_OK;
}

clattn_status clattn_page_ids_check(clattn_page_marks *marks, int32_t num_pages, const int32_t *pages, bool distinct)
{
    int32_t marked = 0;
    pthread_mutex_lock(&marks->lock);
    const clattn_status status = mark_pages(marks, num_pages, pages, distinct, &marked);
    for (int32_t i = 0; i < marked; i++)
        clear(marks, pages[i]);
    pthread_mutex_unlock(&marks->lock);
    return status;
}
