/* SPDX-License-Identifier: BSD-2-Clause */
/* Sequences to host memory and back. */
#include <inttypes.h>

#include "kv/pages_internal.h"
#include "util/status.h"

/* Host pages are taken in the order of the row and given back in the reverse one, so that those of a sequence tend to
 * lie behind one another, and few transfers do. */
static void swap_out_row(clattn_pages *pages, const clattn_sequence_state *sequence, int32_t group,
                         clattn_page_list *list)
{
    int32_t *row = clattn_pages_row(pages, sequence, group);
    const int32_t num_pages = clattn_pages_of_tokens(pages, sequence->length), before = list->count;
    for (int32_t i = 0; i < num_pages; i++) {
        if (row[i] == NONE)
            continue;
        const int32_t host = clattn_page_take(pages, &pages->host[group], group);
        clattn_page_list_add(list, row[i], host);
        row[i] = host;
    }
    for (int32_t k = list->count - 1; k >= before; k--)
        clattn_page_release(pages, &pages->device[group], group, list->pairs[k].src, pages->step);
}

clattn_status clattn_pages_swap_out(clattn_pages *pages, clattn_sequence handle, clattn_page_list *lists)
{
    clattn_sequence_state *sequence;
    CLATTN_TRY(clattn_pages_find_resident(pages, handle, &sequence));
    CLATTN_TRY(clattn_pages_check_committed(sequence, "it is swapped out"));
    for (int32_t group = 0; group < pages->num_groups; group++) {
        const int32_t held = clattn_pages_count_held(pages, sequence, group);
        CLATTN_TRY(clattn_page_list_check(lists ? &lists[group] : NULL, "lists", group, held));
        CLATTN_TRY(clattn_page_pool_check(&pages->host[group], "host pages", group, held));
    }
    for (int32_t group = 0; group < pages->num_groups; group++)
        swap_out_row(pages, sequence, group, &lists[group]);
    sequence->swapped = true;
    return CLATTN_OK;
}

/* The page on the device that has the content of a swapped row's page, or NONE. Reads row_blocks. */
static int32_t findable_page(const clattn_pages *pages, const clattn_sequence_state *sequence, int32_t group,
                             int32_t index)
{
    return sequence->sharing ? *clattn_block_page(pages, pages->row_blocks[index], group) : NONE;
}

static clattn_status check_swap_in(const clattn_pages *pages, const clattn_sequence_state *sequence, int32_t group,
                                   const clattn_page_list *list)
{
    const clattn_page_pool *pool = &pages->device[group];
    const int32_t *row = clattn_pages_row(pages, sequence, group);
    int32_t copied = 0, idle = 0;
    for (int32_t i = clattn_pages_of_tokens(pages, sequence->length) - 1; i >= 0; i--) {
        if (row[i] == NONE)
            continue;
        const int32_t page = findable_page(pages, sequence, group, i);
        copied += page == NONE;
        idle += page != NONE && pool->pages[page].state == CLATTN_PAGE_IDLE;
    }
    CLATTN_TRY(clattn_page_list_check(list, "lists", group, copied));
    /* Idle pages that the sequence takes as they are cannot be given up for it too. */
    return copied == 0 ? CLATTN_OK : clattn_page_pool_check(pool, "pages", group, copied + idle);
}

/* The content of a row's host page is needed on the device: takes a page for it. */
static int32_t bring_in(clattn_pages *pages, const clattn_sequence_state *sequence, int32_t group, int32_t index,
                        clattn_page_list *list)
{
    const int32_t page = clattn_page_take(pages, &pages->device[group], group);
    clattn_page_list_add(list, clattn_pages_row(pages, sequence, group)[index], page);
    if (sequence->sharing && pages->blocks[pages->row_blocks[index]].listed)
        clattn_page_list_block(pages, group, page, pages->row_blocks[index]);
    return page;
}

static void swap_in_row(clattn_pages *pages, const clattn_sequence_state *sequence, int32_t group,
                        clattn_page_list *list)
{
    int32_t *row = clattn_pages_row(pages, sequence, group);
    const int32_t num_pages = clattn_pages_of_tokens(pages, sequence->length), before = list ? list->count : 0;
    for (int32_t i = 0; i < num_pages; i++) {
        const int32_t page = row[i] == NONE ? NONE : findable_page(pages, sequence, group, i);
        if (page != NONE)
            clattn_page_hold(&pages->device[group], page);
    }
    for (int32_t i = 0; i < num_pages; i++) {
        if (row[i] == NONE)
            continue;
        const int32_t page = findable_page(pages, sequence, group, i);
        if (page != NONE)
            clattn_page_release(pages, &pages->host[group], group, row[i], pages->step);
        row[i] = page != NONE ? page : bring_in(pages, sequence, group, i, list);
    }
    for (int32_t k = list ? list->count - 1 : -1; k >= before; k--)
        clattn_page_release(pages, &pages->host[group], group, list->pairs[k].src, pages->step);
}

clattn_status clattn_pages_swap_in(clattn_pages *pages, clattn_sequence handle, clattn_page_list *lists)
{
    clattn_sequence_state *sequence;
    CLATTN_TRY(clattn_pages_find(pages, handle, &sequence));
    if (!sequence->swapped)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "sequence %#" PRIx64 " is not swapped; it has to be", handle);
    if (sequence->sharing)
        clattn_blocks_of_row(pages, sequence, 0);
    for (int32_t group = 0; group < pages->num_groups; group++)
        CLATTN_TRY(check_swap_in(pages, sequence, group, lists ? &lists[group] : NULL));
    for (int32_t group = 0; group < pages->num_groups; group++)
        swap_in_row(pages, sequence, group, lists ? &lists[group] : NULL);
    sequence->swapped = false;
    return CLATTN_OK;
}
