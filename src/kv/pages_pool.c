/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages of a pool: who holds them, and in which order they are handed out again. */
#include <inttypes.h>

#include "kv/pages_internal.h"
#include "util/status.h"

static void chain_push(clattn_page_pool *pool, clattn_page_chain *chain, int32_t page)
{
    clattn_page *entry = &pool->pages[page];
    entry->previous = chain->last;
    entry->next = NONE;
    if (chain->last == NONE)
        chain->first = page;
    else
        pool->pages[chain->last].next = page;
    chain->last = page;
    chain->count++;
}

static void chain_remove(clattn_page_pool *pool, clattn_page_chain *chain, int32_t page)
{
    const clattn_page *entry = &pool->pages[page];
    if (entry->previous == NONE)
        chain->first = entry->next;
    else
        pool->pages[entry->previous].next = entry->next;
    if (entry->next == NONE)
        chain->last = entry->previous;
    else
        pool->pages[entry->next].previous = entry->previous;
    chain->count--;
}

static clattn_page_chain *chain_of(clattn_page_pool *pool, clattn_page_state state)
{
    return state == CLATTN_PAGE_FREE ? &pool->free : state == CLATTN_PAGE_IDLE ? &pool->idle : &pool->waiting;
}

static void enter_state(clattn_page_pool *pool, int32_t page, clattn_page_state state)
{
    clattn_page *entry = &pool->pages[page];
    if (entry->state != CLATTN_PAGE_USED)
        chain_remove(pool, chain_of(pool, entry->state), page);
    entry->state = state;
    if (state != CLATTN_PAGE_USED)
        chain_push(pool, chain_of(pool, state), page);
}

void clattn_page_pool_init(clattn_page_pool *pool)
{
    pool->free = pool->idle = pool->waiting = (clattn_page_chain){ NONE, NONE, 0 };
    for (int32_t page = pool->num_pages - 1; page >= 0; page--) {
        pool->pages[page] = (clattn_page){ .block = NONE };
        chain_push(pool, &pool->free, page);
    }
}

clattn_status clattn_page_pool_check(const clattn_page_pool *pool, const char *kind, int32_t group, int32_t needed)
{
    const int32_t room = pool->free.count + pool->idle.count; /* that can be handed out now */
    if (needed <= room)
        return CLATTN_OK;
    return clattn_fail(CLATTN_OUT_OF_PAGES,
                       "group %" PRId32 " has %" PRId32 " %s to hand out, and %" PRId32
                       " more that wait for a step to retire; %" PRId32 " are needed",
                       group, room, kind, pool->waiting.count, needed);
}

bool clattn_page_evict(clattn_pages *pages, int32_t group)
{
    clattn_page_pool *pool = &pages->device[group];
    if (pool->idle.count == 0)
        return false;
    clattn_page_unlist(pages, group, pool->idle.first);
    pages->evictions++;
    return true;
}

int32_t clattn_page_take(clattn_pages *pages, clattn_page_pool *pool, int32_t group)
{
    if (pool->free.count == 0)
        clattn_page_evict(pages, group);
    /* The one let go of last: its memory is the likeliest to be in a cache. */
    const int32_t page = pool->free.last;
    enter_state(pool, page, CLATTN_PAGE_USED);
    pool->pages[page].refs = 1;
    pool->used++;
    return page;
}

void clattn_page_hold(clattn_page_pool *pool, int32_t page)
{
    clattn_page *entry = &pool->pages[page];
    if (entry->refs == 0) {
        enter_state(pool, page, CLATTN_PAGE_USED);
        pool->used++;
    } else if (entry->refs == 1) {
        pool->shared++;
    }
    entry->refs++;
}

void clattn_page_release(clattn_pages *pages, clattn_page_pool *pool, int32_t group, int32_t page, uint64_t step)
{
    clattn_page *entry = &pool->pages[page];
    if (entry->step < step)
        entry->step = step;
    entry->refs--;
    if (entry->refs == 1)
        pool->shared--;
    if (entry->refs > 0)
        return;
    pool->used--;
    /* Its twins are held by others, and whoever looks for the content finds those. */
    if (entry->block != NONE && entry->twin_next != page)
        clattn_page_unlist(pages, group, page);
    if (entry->step > pages->retired)
        enter_state(pool, page, CLATTN_PAGE_WAITING);
    else
        enter_state(pool, page, entry->block == NONE ? CLATTN_PAGE_FREE : CLATTN_PAGE_IDLE);
}

void clattn_page_pool_retire(clattn_page_pool *pool, uint64_t step)
{
    while (pool->waiting.count > 0 && pool->pages[pool->waiting.first].step <= step) {
        const int32_t page = pool->waiting.first;
        enter_state(pool, page, pool->pages[page].block == NONE ? CLATTN_PAGE_FREE : CLATTN_PAGE_IDLE);
    }
}

void clattn_page_list_block(clattn_pages *pages, int32_t group, int32_t page, int32_t block)
{
    clattn_page_pool *pool = &pages->device[group];
    int32_t *known = clattn_block_page(pages, block, group);
    /* A twin that nobody holds is of no use beside one that is held. */
    if (*known != NONE && pool->pages[*known].refs == 0)
        clattn_page_unlist(pages, group, *known);
    clattn_page *entry = &pool->pages[page];
    entry->block = block;
    entry->twin_previous = entry->twin_next = page;
    if (*known == NONE) {
        *known = page;
    } else {
        clattn_page *twin = &pool->pages[*known];
        entry->twin_previous = *known;
        entry->twin_next = twin->twin_next;
        pool->pages[twin->twin_next].twin_previous = page;
        twin->twin_next = page;
    }
    pages->blocks[block].refs++;
}

void clattn_page_unlist(clattn_pages *pages, int32_t group, int32_t page)
{
    clattn_page_pool *pool = &pages->device[group];
    clattn_page *entry = &pool->pages[page];
    const int32_t block = entry->block;
    int32_t *known = clattn_block_page(pages, block, group);
    if (*known == page)
        *known = entry->twin_next == page ? NONE : entry->twin_next;
    pool->pages[entry->twin_previous].twin_next = entry->twin_next;
    pool->pages[entry->twin_next].twin_previous = entry->twin_previous;
    entry->block = NONE;
    if (entry->state == CLATTN_PAGE_IDLE)
        enter_state(pool, page, CLATTN_PAGE_FREE);
    clattn_block_release(pages, block);
}
