/* SPDX-License-Identifier: BSD-2-Clause */
/* Sequences: handles, and what happens to their rows of pages outside of a step. */
#include <inttypes.h>

#include "kv/pages_internal.h"
#include "util/range.h"
#include "util/status.h"

/* ---- Handles: the generation, odd while the sequence is alive, and the place ---- */

void clattn_sequences_init(clattn_pages *pages)
{
    pages->unused_sequence = NONE;
    for (int32_t i = pages->max_sequences - 1; i >= 0; i--) {
        pages->sequences[i].next_unused = pages->unused_sequence;
        pages->unused_sequence = i;
    }
}

clattn_status clattn_pages_find(const clattn_pages *pages, clattn_sequence handle, clattn_sequence_state **out)
{
    if (!pages)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "pages is NULL");
    const uint32_t place = (uint32_t)handle, generation = (uint32_t)(handle >> 32);
    if (place >= (uint32_t)pages->max_sequences || generation % 2 == 0 ||
        pages->sequences[place].generation != generation)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "sequence %#" PRIx64 " is not alive; it has to come from clattn_pages_sequence_create or "
                           "clattn_pages_fork and not to be freed",
                           handle);
    *out = &pages->sequences[place];
    return CLATTN_OK;
}

clattn_status clattn_pages_find_resident(const clattn_pages *pages, clattn_sequence handle, clattn_sequence_state **out)
{
    CLATTN_TRY(clattn_pages_find(pages, handle, out));
    if ((*out)->swapped)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "sequence %#" PRIx64 " is swapped; it has to be swapped in first",
                           handle);
    return CLATTN_OK;
}

clattn_status clattn_pages_check_committed(const clattn_sequence_state *sequence, const char *operation)
{
    if (sequence->committed == sequence->length)
        return CLATTN_OK;
    return clattn_fail(CLATTN_INVALID_ARGUMENT,
                       "the sequence has %" PRId32 " uncommitted tokens; it has to be committed or abandoned before %s",
                       sequence->length - sequence->committed, operation);
}

clattn_status clattn_pages_check_group(const clattn_pages *pages, int32_t group)
{
    const clattn_range range = { "group", group, 0, pages->num_groups - 1 };
    return clattn_check_ranges(&range, 1);
}

int32_t clattn_pages_count_held(const clattn_pages *pages, const clattn_sequence_state *sequence, int32_t group)
{
    const int32_t *row = clattn_pages_row(pages, sequence, group);
    const int32_t num_pages = clattn_pages_of_tokens(pages, sequence->length);
    int32_t held = 0;
    for (int32_t i = 0; i < num_pages; i++)
        held += row[i] != NONE;
    return held;
}

static clattn_status take_sequence(clattn_pages *pages, clattn_sequence_state **out)
{
    if (pages->unused_sequence == NONE)
        return clattn_fail(CLATTN_OUT_OF_PAGES, "max_sequences, %" PRId32 ", are alive; one has to be freed first",
                           pages->max_sequences);
    clattn_sequence_state *sequence = &pages->sequences[pages->unused_sequence];
    pages->unused_sequence = sequence->next_unused;
    pages->live_sequences++;
    *sequence = (clattn_sequence_state){ .generation = sequence->generation + 1,
                                         .sharing = pages->share_prefixes,
                                         .next_unused = NONE,
                                         .tail = NONE,
                                         .undo_tail = NONE,
                                         .attachment = NONE };
    for (int32_t group = 0; group < pages->num_groups; group++)
        *clattn_pages_undo(pages, sequence, group) = NONE;
    *out = sequence;
    return CLATTN_OK;
}

static clattn_sequence handle_of(const clattn_pages *pages, const clattn_sequence_state *sequence)
{
    return (clattn_sequence)sequence->generation << 32 | (clattn_sequence)(sequence - pages->sequences);
}

static clattn_status check_pointers(const clattn_pages *pages, const void *out)
{
    if (!pages || !out)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "%s is NULL", pages ? "out" : "pages");
    return CLATTN_OK;
}

/* ---- Life ---- */

clattn_status clattn_pages_sequence_create(clattn_pages *pages, uint64_t salt, clattn_sequence *out)
{
    clattn_sequence_state *sequence;
    CLATTN_TRY(check_pointers(pages, out));
    CLATTN_TRY(take_sequence(pages, &sequence));
    sequence->salt = salt;
    *out = handle_of(pages, sequence);
    return CLATTN_OK;
}

clattn_status clattn_pages_fork(clattn_pages *pages, clattn_sequence handle, clattn_sequence *out)
{
    clattn_sequence_state *sequence, *child;
    CLATTN_TRY(check_pointers(pages, out));
    CLATTN_TRY(clattn_pages_find_resident(pages, handle, &sequence));
    CLATTN_TRY(clattn_pages_check_committed(sequence, "a fork"));
    CLATTN_TRY(take_sequence(pages, &child));
    const uint32_t generation = child->generation;
    *child = *sequence;
    child->generation = generation;
    if (child->tail != NONE)
        pages->blocks[child->tail].refs++;
    if (child->attachment != NONE)
        pages->attachments[child->attachment].refs++;
    const int32_t num_pages = clattn_pages_of_tokens(pages, sequence->length);
    for (int32_t group = 0; group < pages->num_groups; group++) {
        const int32_t *row = clattn_pages_row(pages, sequence, group);
        int32_t *copy = clattn_pages_row(pages, child, group);
        for (int32_t i = 0; i < num_pages; i++) {
            copy[i] = row[i];
            if (row[i] != NONE)
                clattn_page_hold(&pages->device[group], row[i]);
        }
    }
    *out = handle_of(pages, child);
    return CLATTN_OK;
}

/* Lets go of pages [first, end) of a row, the last first: of a prefix, the end is given up before the start. */
static void release_row(clattn_pages *pages, const clattn_sequence_state *sequence, int32_t group, int32_t first,
                        int32_t end)
{
    clattn_page_pool *pool = sequence->swapped ? &pages->host[group] : &pages->device[group];
    int32_t *row = clattn_pages_row(pages, sequence, group);
    for (int32_t i = end - 1; i >= first; i--) {
        if (row[i] != NONE)
            clattn_page_release(pages, pool, group, row[i], pages->step);
        row[i] = NONE;
    }
}

clattn_status clattn_pages_free(clattn_pages *pages, clattn_sequence handle)
{
    clattn_sequence_state *sequence;
    CLATTN_TRY(clattn_pages_find(pages, handle, &sequence));
    const int32_t num_pages = clattn_pages_of_tokens(pages, sequence->length);
    for (int32_t group = 0; group < pages->num_groups; group++) {
        release_row(pages, sequence, group, 0, num_pages);
        const int32_t undo = *clattn_pages_undo(pages, sequence, group);
        if (undo != NONE)
            clattn_page_release(pages, &pages->device[group], group, undo, pages->step);
    }
    clattn_blocks_forget(pages, sequence);
    sequence->generation++;
    sequence->next_unused = pages->unused_sequence;
    pages->unused_sequence = (int32_t)(sequence - pages->sequences);
    pages->live_sequences--;
    return CLATTN_OK;
}

/* ---- A prompt's start ---- */

/* How many pages before the end of `count` pages a group attends. */
static int32_t window_pages(const clattn_pages *pages, int32_t group, int32_t count)
{
    const int32_t window = pages->groups[group].window;
    if (window == 0)
        return count;
    const int32_t needed = clattn_pages_of_tokens(pages, window);
    return needed < count ? needed : count;
}

static int32_t sink_pages(const clattn_pages *pages, int32_t group, int32_t count)
{
    const int32_t needed = clattn_pages_of_tokens(pages, pages->groups[group].sink);
    return needed < count ? needed : count;
}

/* Of the first `count` blocks in row_blocks, the most for which every group still has the pages that it attends. */
static int32_t usable_blocks(const clattn_pages *pages, int32_t count)
{
    int32_t start[CLATTN_PAGES_MAX_GROUPS] = { 0 }, run[CLATTN_PAGES_MAX_GROUPS] = { 0 }, most = 0;
    for (int32_t i = 0; i < count; i++) {
        bool usable = true;
        for (int32_t group = 0; group < pages->num_groups; group++) {
            const bool there = *clattn_block_page(pages, pages->row_blocks[i], group) != NONE;
            run[group] = there ? run[group] + 1 : 0;
            if (run[group] == i + 1)
                start[group] = i + 1;
            usable = usable && run[group] >= window_pages(pages, group, i + 1) &&
                     start[group] >= sink_pages(pages, group, i + 1);
        }
        if (usable)
            most = i + 1;
    }
    return most;
}

static void take_prefix(clattn_pages *pages, clattn_sequence_state *sequence, int32_t count)
{
    for (int32_t group = 0; group < pages->num_groups; group++) {
        int32_t *row = clattn_pages_row(pages, sequence, group);
        const int32_t sink = sink_pages(pages, group, count), window = count - window_pages(pages, group, count);
        for (int32_t i = 0; i < count; i++) {
            const bool attended = i < sink || i >= window;
            row[i] = attended ? *clattn_block_page(pages, pages->row_blocks[i], group) : NONE;
            if (attended)
                clattn_page_hold(&pages->device[group], row[i]);
        }
    }
    sequence->length = sequence->committed = count * pages->page_size;
    sequence->tail = pages->row_blocks[count - 1];
    pages->blocks[sequence->tail].refs++;
}

clattn_status clattn_pages_match(clattn_pages *pages, clattn_sequence handle, const int32_t *tokens, int32_t count,
                                 int32_t *found)
{
    clattn_sequence_state *sequence;
    CLATTN_TRY(clattn_pages_find_resident(pages, handle, &sequence));
    const clattn_range range = { "count", count, 0, pages->max_tokens };
    CLATTN_TRY(clattn_check_ranges(&range, 1));
    if (!found || (!tokens && count > 0 && pages->share_prefixes))
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "%s is NULL", found ? "tokens" : "found");
    if (sequence->length > 0)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "the sequence has %" PRId32 " tokens; it has to have none when its prompt is looked up",
                           sequence->length);
    int32_t blocks = 0;
    if (sequence->sharing && count > 0)
        blocks = usable_blocks(pages, clattn_blocks_find(pages, sequence, tokens, (count - 1) / pages->page_size));
    if (blocks > 0)
        take_prefix(pages, sequence, blocks);
    *found = sequence->length;
    pages->lookups++;
    pages->hits += blocks > 0;
    pages->tokens_looked += (uint64_t)count;
    pages->tokens_found += (uint64_t)*found;
    return CLATTN_OK;
}

/* ---- Shortening ---- */

static clattn_status check_truncate(const clattn_pages *pages, const clattn_sequence_state *sequence, int32_t length)
{
    const clattn_range range = { "length", length, 0, sequence->length };
    CLATTN_TRY(clattn_check_ranges(&range, 1));
    CLATTN_TRY(clattn_pages_check_committed(sequence, "a truncation"));
    if (length % pages->page_size == 0)
        return CLATTN_OK;
    const int32_t last = length / pages->page_size;
    for (int32_t group = 0; group < pages->num_groups; group++)
        if (clattn_pages_row(pages, sequence, group)[last] == NONE)
            return clattn_fail(CLATTN_INVALID_ARGUMENT,
                               "length is %" PRId32 ", in a page that group %" PRId32
                               " has dropped; it has to be a multiple of page_size or behind that page",
                               length, group);
    return CLATTN_OK;
}

static void detach_from(clattn_pages *pages, clattn_sequence_state *sequence, int32_t first_token)
{
    while (sequence->attachment != NONE && pages->attachments[sequence->attachment].first_token >= first_token) {
        const int32_t last = sequence->attachment;
        sequence->attachment = pages->attachments[last].previous;
        if (sequence->attachment != NONE)
            pages->attachments[sequence->attachment].refs++;
        clattn_attachment_release(pages, last);
    }
}

clattn_status clattn_pages_truncate(clattn_pages *pages, clattn_sequence handle, int32_t length)
{
    clattn_sequence_state *sequence;
    CLATTN_TRY(clattn_pages_find_resident(pages, handle, &sequence));
    CLATTN_TRY(check_truncate(pages, sequence, length));
    const int32_t end = clattn_pages_of_tokens(pages, sequence->length), left = clattn_pages_of_tokens(pages, length);
    for (int32_t group = 0; group < pages->num_groups; group++)
        release_row(pages, sequence, group, left, end);
    if (sequence->sharing)
        clattn_blocks_drop_tail(pages, sequence, end - left);
    detach_from(pages, sequence, length);
    sequence->length = sequence->committed = length;
    if (length == 0)
        sequence->sharing = pages->share_prefixes;
    return CLATTN_OK;
}

clattn_status clattn_pages_drop(clattn_pages *pages, clattn_sequence handle, int32_t group, int32_t first_token,
                                int32_t end_token)
{
    clattn_sequence_state *sequence;
    CLATTN_TRY(clattn_pages_find_resident(pages, handle, &sequence));
    CLATTN_TRY(clattn_pages_check_group(pages, group));
    const clattn_range range = { "first_token", first_token, 0, INT32_MAX };
    CLATTN_TRY(clattn_check_ranges(&range, 1));
    const int32_t end = end_token < sequence->committed ? end_token : sequence->committed;
    if (end > first_token)
        release_row(pages, sequence, group, clattn_pages_of_tokens(pages, first_token), end / pages->page_size);
    return CLATTN_OK;
}
