/* SPDX-License-Identifier: BSD-2-Clause */
/* A step of a sequence: append, then commit or abandon. */
#include <inttypes.h>

#include "kv/pages_internal.h"
#include "util/range.h"
#include "util/status.h"

clattn_status clattn_page_list_check(const clattn_page_list *list, const char *name, int32_t group, int32_t needed)
{
    if (needed == 0)
        return CLATTN_OK;
    if (!list)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "%s is NULL; it has to be a list for each group", name);
    if (list->count < 0 || list->capacity < list->count || !list->pairs)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "%s[%" PRId32 "] has pairs %p, count %" PRId32 " and capacity %" PRId32
                           "; it has to have room for %" PRId32 " pairs more",
                           name, group, (void *)list->pairs, list->count, list->capacity, needed);
    if (list->capacity - list->count < needed)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "%s[%" PRId32 "].capacity is %" PRId32 "; it has to be at least %" PRId64, name, group,
                           list->capacity, (int64_t)list->count + needed);
    return CLATTN_OK;
}

/* Whether the next token may not be written into the row's last page, which is partly full: because others hold it, or
 * because steps under way may read it for a sequence that has let go of it. */
static bool needs_copy(const clattn_pages *pages, const clattn_sequence_state *sequence, int32_t group)
{
    if (sequence->length % pages->page_size == 0)
        return false;
    const int32_t last = clattn_pages_row(pages, sequence, group)[sequence->length / pages->page_size];
    const clattn_page *page = &pages->device[group].pages[last];
    return page->refs > 1 || page->step > pages->retired;
}

static clattn_status check_append(const clattn_pages *pages, const clattn_sequence_state *sequence,
                                  const int32_t *tokens, int32_t count, const int64_t *slot_mapping,
                                  int64_t slot_stride)
{
    const clattn_range range = { "count", count, 0, pages->max_tokens - sequence->length };
    CLATTN_TRY(clattn_check_ranges(&range, 1));
    if (!tokens && count > 0 && pages->share_prefixes)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "tokens is NULL; with share_prefixes they have to be given");
    if (slot_mapping && pages->num_groups > 1 && slot_stride < count)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "slot_stride is %" PRId64 "; with several groups it has to be at least count, %" PRId32,
                           slot_stride, count);
    return CLATTN_OK;
}

static clattn_status check_room(const clattn_pages *pages, const clattn_sequence_state *sequence, int32_t count,
                                const clattn_page_list *copies)
{
    const int32_t more =
        clattn_pages_of_tokens(pages, sequence->length + count) - clattn_pages_of_tokens(pages, sequence->length);
    for (int32_t group = 0; group < pages->num_groups; group++) {
        const int32_t copied = needs_copy(pages, sequence, group);
        CLATTN_TRY(clattn_page_list_check(copies ? &copies[group] : NULL, "copies", group, copied));
        CLATTN_TRY(clattn_page_pool_check(&pages->device[group], "pages", group, more + copied));
    }
    return CLATTN_OK;
}

/* Makes the last page, if it is partly full, one that may be written. */
static void open_last_page(clattn_pages *pages, const clattn_sequence_state *sequence, int32_t group,
                           clattn_page_list *copies)
{
    if (sequence->length % pages->page_size == 0)
        return;
    clattn_page_pool *pool = &pages->device[group];
    int32_t *last = &clattn_pages_row(pages, sequence, group)[sequence->length / pages->page_size];
    if (needs_copy(pages, sequence, group)) {
        const int32_t own = clattn_page_take(pages, pool, group);
        clattn_page_list_add(&copies[group], *last, own);
        *clattn_pages_undo(pages, sequence, group) = *last;
        *last = own;
    } else if (pool->pages[*last].block != NONE) {
        clattn_page_unlist(pages, group, *last);
    }
}

static void write_slots(const clattn_pages *pages, const int32_t *row, int32_t first_token, int32_t count,
                        int64_t *slots)
{
    int32_t index = first_token / pages->page_size, place = first_token % pages->page_size;
    for (int32_t i = 0; i < count; i++) {
        slots[i] = (int64_t)row[index] * pages->page_size + place;
        if (++place == pages->page_size) {
            place = 0;
            index++;
        }
    }
}

clattn_status clattn_pages_append(clattn_pages *pages, clattn_sequence handle, const int32_t *tokens, int32_t count,
                                  int64_t *slot_mapping, int64_t slot_stride, clattn_page_list *copies)
{
    clattn_sequence_state *sequence;
    CLATTN_TRY(clattn_pages_find_resident(pages, handle, &sequence));
    CLATTN_TRY(check_append(pages, sequence, tokens, count, slot_mapping, slot_stride));
    if (count == 0)
        return CLATTN_OK;
    CLATTN_TRY(check_room(pages, sequence, count, copies));
    const int32_t first = clattn_pages_of_tokens(pages, sequence->length);
    const int32_t end = clattn_pages_of_tokens(pages, sequence->length + count);
    for (int32_t group = 0; group < pages->num_groups; group++) {
        int32_t *row = clattn_pages_row(pages, sequence, group);
        open_last_page(pages, sequence, group, copies);
        for (int32_t i = first; i < end; i++)
            row[i] = clattn_page_take(pages, &pages->device[group], group);
        if (slot_mapping)
            write_slots(pages, row, sequence->length, count, slot_mapping + group * slot_stride);
    }
    if (sequence->sharing)
        clattn_blocks_append(pages, sequence, tokens, count);
    sequence->length += count;
    return CLATTN_OK;
}

clattn_status clattn_pages_commit(clattn_pages *pages, clattn_sequence handle)
{
    clattn_sequence_state *sequence;
    CLATTN_TRY(clattn_pages_find_resident(pages, handle, &sequence));
    const int32_t first = sequence->committed / pages->page_size, end = sequence->length / pages->page_size;
    if (sequence->sharing && first < end)
        clattn_blocks_commit(pages, sequence, first, end);
    sequence->committed = sequence->length;
    clattn_block_release(pages, sequence->undo_tail);
    sequence->undo_tail = NONE;
    for (int32_t group = 0; group < pages->num_groups; group++) {
        int32_t *undo = clattn_pages_undo(pages, sequence, group);
        if (*undo != NONE)
            clattn_page_release(pages, &pages->device[group], group, *undo, pages->step);
        *undo = NONE;
    }
    return CLATTN_OK;
}

/* Takes the step's pages off a row. No step has used them, so they wait for none. */
static void abandon_row(clattn_pages *pages, const clattn_sequence_state *sequence, int32_t group)
{
    clattn_page_pool *pool = &pages->device[group];
    int32_t *row = clattn_pages_row(pages, sequence, group), *undo = clattn_pages_undo(pages, sequence, group);
    const int32_t left = clattn_pages_of_tokens(pages, sequence->committed);
    for (int32_t i = clattn_pages_of_tokens(pages, sequence->length) - 1; i >= left; i--)
        clattn_page_release(pages, pool, group, row[i], 0);
    if (*undo == NONE)
        return;
    clattn_page_release(pages, pool, group, row[left - 1], 0);
    row[left - 1] = *undo;
    *undo = NONE;
}

clattn_status clattn_pages_abandon(clattn_pages *pages, clattn_sequence handle)
{
    clattn_sequence_state *sequence;
    CLATTN_TRY(clattn_pages_find_resident(pages, handle, &sequence));
    for (int32_t group = 0; group < pages->num_groups; group++)
        abandon_row(pages, sequence, group);
    const int32_t more =
        clattn_pages_of_tokens(pages, sequence->length) - clattn_pages_of_tokens(pages, sequence->committed);
    if (sequence->sharing)
        clattn_blocks_drop_tail(pages, sequence, more);
    if (sequence->undo_tail != NONE) {
        clattn_block_release(pages, sequence->tail);
        sequence->tail = sequence->undo_tail;
        sequence->undo_tail = NONE;
    }
    sequence->length = sequence->committed;
    return CLATTN_OK;
}
