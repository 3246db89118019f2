/* SPDX-License-Identifier: BSD-2-Clause */
#include "pages_check.h"

#include <stdlib.h>
#include <string.h>

#define TRY(expression)                                                                                                \
    do {                                                                                                               \
        const char *wrong_ = (expression);                                                                             \
        if (wrong_)                                                                                                    \
            return wrong_;                                                                                             \
    } while (0)

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return #condition;                                                                                         \
    } while (0)

static bool alive(const clattn_sequence_state *sequence)
{
    return sequence->generation % 2 == 1;
}

static int32_t *counts_of(int32_t count)
{
    int32_t *counts = calloc(count > 0 ? (size_t)count : 1, sizeof(*counts));
    if (!counts)
        abort();
    return counts;
}

/* ---- Pages ---- */

static const char *check_chain(const clattn_page_pool *pool, const clattn_page_chain *chain, clattn_page_state state,
                               uint64_t retired)
{
    int32_t count = 0, previous = NONE;
    for (int32_t page = chain->first; page != NONE; page = pool->pages[page].next) {
        const clattn_page *entry = &pool->pages[page];
        REQUIRE(count++ < pool->num_pages);
        REQUIRE(entry->state == state);
        REQUIRE(entry->refs == 0);
        REQUIRE(entry->previous == previous);
        REQUIRE((entry->step > retired) == (state == CLATTN_PAGE_WAITING));
        REQUIRE(state != CLATTN_PAGE_FREE || entry->block == NONE);
        REQUIRE(state != CLATTN_PAGE_IDLE || entry->block != NONE);
        REQUIRE(state == CLATTN_PAGE_FREE || previous == NONE || entry->step >= pool->pages[previous].step);
        previous = page;
    }
    REQUIRE(chain->last == previous);
    REQUIRE(chain->count == count);
    return NULL;
}

static const char *check_refs(const clattn_page_pool *pool, const int32_t *refs)
{
    int32_t used = 0, shared = 0;
    for (int32_t page = 0; page < pool->num_pages; page++) {
        REQUIRE(pool->pages[page].refs == refs[page]);
        REQUIRE((refs[page] > 0) == (pool->pages[page].state == CLATTN_PAGE_USED));
        used += refs[page] >= 1;
        shared += refs[page] >= 2;
    }
    REQUIRE(pool->used == used);
    REQUIRE(pool->shared == shared);
    REQUIRE(pool->num_pages == used + pool->free.count + pool->idle.count + pool->waiting.count);
    return NULL;
}

static const char *count_refs(const clattn_pages *pages, int32_t group, bool host, int32_t *refs)
{
    const clattn_page_pool *pool = host ? &pages->host[group] : &pages->device[group];
    for (int32_t i = 0; i < pages->max_sequences; i++) {
        const clattn_sequence_state *sequence = &pages->sequences[i];
        if (!alive(sequence) || sequence->swapped != host)
            continue;
        const int32_t *row = clattn_pages_row(pages, sequence, group);
        for (int32_t page = clattn_pages_of_tokens(pages, sequence->length) - 1; page >= 0; page--) {
            REQUIRE(row[page] >= NONE && row[page] < pool->num_pages);
            if (row[page] != NONE)
                refs[row[page]]++;
        }
        const int32_t undo = *clattn_pages_undo(pages, sequence, group);
        REQUIRE(undo == NONE || (!host && sequence->committed < sequence->length));
        if (undo != NONE)
            refs[undo]++;
    }
    return NULL;
}

static const char *check_pool(const clattn_pages *pages, int32_t group, bool host)
{
    const clattn_page_pool *pool = host ? &pages->host[group] : &pages->device[group];
    TRY(check_chain(pool, &pool->free, CLATTN_PAGE_FREE, pages->retired));
    TRY(check_chain(pool, &pool->idle, CLATTN_PAGE_IDLE, pages->retired));
    TRY(check_chain(pool, &pool->waiting, CLATTN_PAGE_WAITING, pages->retired));
    int32_t *refs = counts_of(pool->num_pages);
    const char *wrong = count_refs(pages, group, host, refs);
    if (!wrong)
        wrong = check_refs(pool, refs);
    free(refs);
    return wrong;
}

/* The ring of pages that a block is known by: at least one, and only one if nobody holds it. */
static const char *check_ring(const clattn_pages *pages, int32_t block, int32_t group, int32_t *refs)
{
    const clattn_page *entries = pages->device[group].pages;
    const int32_t first = *clattn_block_page(pages, block, group);
    if (first == NONE)
        return NULL;
    REQUIRE(pages->blocks[block].listed);
    int32_t page = first, ring = 0;
    do {
        REQUIRE(entries[page].block == block);
        REQUIRE(entries[entries[page].twin_next].twin_previous == page);
        REQUIRE(entries[page].refs > 0 || entries[page].twin_next == page);
        REQUIRE(++ring <= pages->device[group].num_pages);
        page = entries[page].twin_next;
    } while (page != first);
    *refs += ring;
    return NULL;
}

/* ---- Blocks ---- */

static const char *check_bucket_entry(const clattn_pages *pages, int32_t block)
{
    const clattn_block *b = &pages->blocks[block];
    int32_t found = 0;
    for (int32_t i = pages->buckets[b->hash & (pages->num_buckets - 1)]; i != NONE; i = pages->blocks[i].next) {
        const clattn_block *other = &pages->blocks[i];
        found += i == block;
        REQUIRE(i == block || other->parent != b->parent || other->salt != b->salt || b->attachment != NONE ||
                other->attachment != NONE ||
                memcmp(clattn_block_tokens(pages, i), clattn_block_tokens(pages, block),
                       (size_t)pages->page_size * sizeof(int32_t)) != 0);
    }
    REQUIRE(found == 1);
    return NULL;
}

static const char *check_row_blocks(const clattn_pages *pages, const clattn_sequence_state *sequence)
{
    if (!sequence->sharing) {
        REQUIRE(sequence->tail == NONE && sequence->undo_tail == NONE && sequence->attachment == NONE);
        return NULL;
    }
    int32_t block = sequence->tail;
    for (int32_t page = clattn_pages_of_tokens(pages, sequence->length) - 1; page >= 0; page--) {
        REQUIRE(block != NONE);
        REQUIRE(pages->blocks[block].listed || page >= sequence->committed / pages->page_size);
        for (int32_t group = 0; group < pages->num_groups; group++) {
            const int32_t held = clattn_pages_row(pages, sequence, group)[page];
            REQUIRE(sequence->swapped || held == NONE || page >= sequence->committed / pages->page_size ||
                    pages->device[group].pages[held].block == block);
        }
        block = pages->blocks[block].parent;
    }
    REQUIRE(block == NONE);
    return NULL;
}

static const char *count_block_refs(const clattn_pages *pages, int32_t *refs)
{
    for (int32_t i = 0; i < pages->max_sequences; i++) {
        const clattn_sequence_state *sequence = &pages->sequences[i];
        if (!alive(sequence))
            continue;
        TRY(check_row_blocks(pages, sequence));
        if (sequence->tail != NONE)
            refs[sequence->tail]++;
        if (sequence->undo_tail != NONE)
            refs[sequence->undo_tail]++;
    }
    for (int32_t i = 0; i < pages->num_blocks; i++) {
        const clattn_block *block = &pages->blocks[i];
        if (block->refs == 0)
            continue;
        if (block->parent != NONE)
            refs[block->parent]++;
        for (int32_t group = 0; group < pages->num_groups; group++)
            TRY(check_ring(pages, i, group, &refs[i]));
        if (block->listed)
            TRY(check_bucket_entry(pages, i));
    }
    return NULL;
}

static const char *check_blocks(const clattn_pages *pages)
{
    int32_t unused = 0;
    for (int32_t i = pages->unused_block; i != NONE; i = pages->blocks[i].next) {
        REQUIRE(unused++ < pages->num_blocks);
        REQUIRE(pages->blocks[i].refs == 0);
    }
    int32_t *refs = counts_of(pages->num_blocks);
    const char *wrong = count_block_refs(pages, refs);
    for (int32_t i = 0; i < pages->num_blocks && !wrong; i++) {
        unused += refs[i] > 0;
        if (refs[i] != pages->blocks[i].refs)
            wrong = "a block's refs are not those that others have to it";
    }
    free(refs);
    if (wrong)
        return wrong;
    REQUIRE(unused == pages->num_blocks);
    return NULL;
}

/* ---- Attachments ---- */

static void add_ref(int32_t *refs, int32_t attachment)
{
    if (attachment != NONE)
        refs[attachment]++;
}

static const char *check_attachments(const clattn_pages *pages)
{
    int32_t *refs = counts_of(pages->max_attachments), known = 0;
    const char *wrong = NULL;
    for (int32_t i = 0; i < pages->max_sequences; i++)
        if (alive(&pages->sequences[i]))
            add_ref(refs, pages->sequences[i].attachment);
    for (int32_t i = 0; i < pages->num_blocks; i++)
        if (pages->blocks[i].refs > 0)
            add_ref(refs, pages->blocks[i].attachment);
    for (int32_t i = 0; i < pages->max_attachments; i++)
        if (pages->attachments[i].refs > 0)
            add_ref(refs, pages->attachments[i].previous);
    for (int32_t i = 0; i < pages->max_attachments; i++) {
        known += refs[i] > 0;
        if (refs[i] != pages->attachments[i].refs)
            wrong = "an attachment's refs are not those that others have to it";
    }
    free(refs);
    for (int32_t i = pages->unused_attachment; i != NONE && !wrong; i = pages->attachments[i].previous)
        known++;
    return wrong ? wrong : known == pages->max_attachments ? NULL : "an attachment is lost";
}

const char *pages_check(const clattn_pages *pages)
{
    int32_t live = 0, unused = 0;
    for (int32_t i = 0; i < pages->max_sequences; i++) {
        live += alive(&pages->sequences[i]);
        REQUIRE(!alive(&pages->sequences[i]) || pages->sequences[i].committed <= pages->sequences[i].length);
    }
    for (int32_t i = pages->unused_sequence; i != NONE; i = pages->sequences[i].next_unused)
        REQUIRE(unused++ < pages->max_sequences);
    REQUIRE(live == pages->live_sequences);
    REQUIRE(live + unused == pages->max_sequences);
    for (int32_t group = 0; group < pages->num_groups; group++) {
        TRY(check_pool(pages, group, false));
        TRY(check_pool(pages, group, true));
    }
    TRY(check_blocks(pages));
    return check_attachments(pages);
}
