/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables of a paged case. Entries that no token falls in hold an id that would be reported. */
#include <stdlib.h>
#include <string.h>

#include "problem.h"

#define SPARE_PAGES 3
#define UNREAD_ID   0x7fffffff

static int32_t pages_of(const problem *p, int32_t b)
{
    return (p->kv_lens[b] + p->c.page - 1) / p->c.page;
}

/* Ids 0 .. count - 1 in an order from the seed. NULL: no memory. */
static int32_t *shuffled(const problem *p, int32_t count)
{
    int32_t *ids = malloc((size_t)(count + 1) * sizeof(*ids));
    ref_random random = { problem_hash(p, 20, p->c.shuffle) };
    for (int32_t n = 0; ids && n < count; n++) {
        int32_t other = (int32_t)ref_random_range(&random, 0, n);
        ids[n] = ids[other];
        ids[other] = n;
    }
    return ids;
}

/* The id that goes into an entry: the page, -1, or one outside the pool; the same for a sequence in any batch. */
static int32_t entry_of(const problem *p, int32_t b, int32_t head, int32_t entry, int32_t page)
{
    uint64_t dice = problem_hash(p, 21, (problem_identity(p, b) * 100 + head) * 1000 + entry) % 12;
    if (p->c.holes != HOLES_NONE && (dice < 3 || (entry == 0 && dice < 6)))
        return -1;
    if (p->c.holes == HOLES_BAD && dice == 11)
        return dice % 2 ? p->desc.pages : -7;
    return page;
}

static bool make_table(problem *p, const int32_t *ids)
{
    clattn_attention_desc *desc = &p->desc;
    const int32_t heads = p->c.kvform == KVFORM_HEADS ? p->c.hk : 1;
    const int64_t row = desc->max_pages + 2, rows = (int64_t)desc->max_batch * heads;
    desc->block_table_head_stride = heads > 1 ? row : 0;
    desc->block_table_stride = row * heads;
    if (!problem_add_memory(p, MEM_TABLE, row * rows, sizeof(int32_t)))
        return false;
    int32_t *table = problem_host(p, MEM_TABLE);
    for (int64_t n = 0; n < row * rows; n++)
        table[n] = UNREAD_ID;
    for (int32_t b = 0; b < p->c.batch; b++)
        for (int32_t head = 0; head < heads; head++)
            for (int32_t entry = 0; entry < pages_of(p, b); entry++)
                table[(b * heads + head) * row + entry] = entry_of(p, b, head, entry, *ids++);
    return true;
}

static bool make_list(problem *p, const int32_t *ids, int32_t count)
{
    p->desc.max_page_indices = count + 2;
    if (!problem_add_memory(p, MEM_TABLE, count + 2, sizeof(int32_t)) ||
        !problem_add_memory(p, MEM_INDPTR, p->c.batch + 1, sizeof(int32_t)) ||
        !problem_add_memory(p, MEM_LAST_LEN, p->c.batch, sizeof(int32_t)))
        return false;
    int32_t *list = problem_host(p, MEM_TABLE), *indptr = problem_host(p, MEM_INDPTR);
    int32_t *last = problem_host(p, MEM_LAST_LEN), used = 0;
    indptr[0] = 0;
    for (int32_t b = 0; b < p->c.batch; b++) {
        for (int32_t entry = 0; entry < pages_of(p, b); entry++, used++)
            list[used] = entry_of(p, b, 0, entry, ids[used]);
        indptr[b + 1] = used;
        last[b] = p->kv_lens[b] > 0 ? (p->kv_lens[b] - 1) % p->c.page + 1 : 1;
    }
    list[used] = list[used + 1] = UNREAD_ID;
    return true;
}

static bool make_record(problem *p)
{
    const clattn_error_record clear = CLATTN_ERROR_RECORD_CLEAR;
    if (!problem_add_memory(p, MEM_RECORD, sizeof(clear) / 4, 4))
        return false;
    memcpy(problem_host(p, MEM_RECORD), &clear, sizeof(clear));
    return true;
}

bool problem_make_pages(problem *p)
{
    clattn_attention_desc *desc = &p->desc;
    const int32_t heads = p->c.kvform == KVFORM_HEADS ? p->c.hk : 1;
    int32_t count = 0;
    for (int32_t b = 0; b < p->c.batch; b++)
        count += pages_of(p, b) * heads;
    desc->kv_mode = p->c.kvform == KVFORM_LIST ? CLATTN_KV_PAGE_LIST : CLATTN_KV_BLOCK_TABLE;
    desc->page_size = p->c.page;
    desc->pages = count + SPARE_PAGES;
    desc->max_pages = p->c.kvform == KVFORM_LIST ? 0 : (desc->max_kv_len + p->c.page - 1) / p->c.page;
    int32_t *ids = shuffled(p, desc->pages);
    bool made = ids && make_record(p) && (p->c.kvform == KVFORM_LIST ? make_list(p, ids, count) : make_table(p, ids));
    free(ids);
    return made;
}

static bool any_query_reaches(const problem *p, int32_t b, int32_t j)
{
    clattn_attention_desc desc = p->desc;
    desc.kv_mode = CLATTN_KV_CONTIGUOUS;
    desc.kv_length_mode = CLATTN_LENGTH_UNIFORM;
    desc.mask_kind = CLATTN_MASK_NONE;
    ref_inputs in = p->in;
    in.kv_len = p->kv_lens[b];
    for (int32_t i = 0; i < p->q_lens[b]; i++)
        if (ref_attends(&desc, &in, b, 0, i, j))
            return true;
    return false;
}

void problem_bad_sequences(const problem *p, uint32_t *certain, uint32_t *possible)
{
    *certain = *possible = UINT32_MAX;
    for (int32_t b = p->c.batch - 1; p->c.holes == HOLES_BAD && b >= 0; b--) {
        for (int32_t j = 0; j < p->kv_lens[b]; j++) {
            for (int32_t head = 0; head < p->c.hk; head++) {
                int32_t entry = j / p->c.page;
                int32_t shared = p->c.kvform == KVFORM_HEADS ? head : 0;
                int32_t id = entry_of(p, b, shared, entry, 0);
                if (id == 0 || id == -1)
                    continue;
                *possible = (uint32_t)b;
                if (any_query_reaches(p, b, j))
                    *certain = (uint32_t)b;
            }
        }
    }
}
