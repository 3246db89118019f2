/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_KV_PAGES_INTERNAL_H
#define CLATTN_KV_PAGES_INTERNAL_H

/* The page manager from inside (include/clattn/pages.h says what it does). Three things are counted:
 *
 *   page        a place on the device, or on the host, by the sequences that hold it   pages_pool.c
 *   block       what the tokens of one page are, by who needs to know it               pages_prefix.c
 *   attachment  bytes behind a range of tokens                                         pages_attach.c
 *
 * A sequence (pages_sequence.c, pages_append.c, pages_swap.c) has a row of pages in every group, and, where prefixes
 * are shared, the block of its last page; each block knows the one before it. Once committed, a full block is listed in
 * a hash table, at most once for the same content, and knows a page in each group that holds its keys and values.
 * Everything is an index into arrays that were allocated at creation; lists run through the entries themselves. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <clattn/pages.h>

#define NONE (-1)

typedef struct clattn_page_chain {
    int32_t first, last, count;
} clattn_page_chain;

typedef enum clattn_page_state {
    CLATTN_PAGE_FREE = 0, /* to be handed out */
    CLATTN_PAGE_USED,     /* refs >= 1; in no chain */
    CLATTN_PAGE_WAITING,  /* refs 0, until its step retires */
    CLATTN_PAGE_IDLE      /* refs 0, findable; to be handed out when none is free */
} clattn_page_state;

typedef struct clattn_page {
    clattn_page_state state;
    int32_t refs;           /* sequences that have it in their row or in their undo record */
    int32_t previous, next; /* in the chain of its state */
    int32_t block;          /* the block that it is findable by, or NONE */
    int32_t twin_previous;  /* ring of the pages findable by that block: sequences computed it side by side. All but */
    int32_t twin_next;      /* one that is alone have refs >= 1 */
    uint64_t step;          /* current when a sequence last let go of it */
} clattn_page;

/* Pages of one group, on the device or on the host. Waiting and idle pages are in the order in which they were let go
 * of. */
typedef struct clattn_page_pool {
    clattn_page *pages;
    int32_t num_pages;
    int32_t used;   /* refs >= 1 */
    int32_t shared; /* refs >= 2 */
    clattn_page_chain free, idle, waiting;
} clattn_page_pool;

typedef struct clattn_block {
    int32_t refs;       /* sequences whose last block it is, blocks behind it, pages findable by it; 0: unused */
    int32_t parent;     /* the block before it, or NONE */
    int32_t next;       /* in its bucket of the hash table, or of unused blocks */
    int32_t attachment; /* listed: the last attachment that touches its tokens, or NONE */
    bool listed;        /* in the hash table: full, committed, never written again */
    uint64_t salt;
    uint64_t hash; /* of the parent's hash, the salt, the tokens and the attachments */
} clattn_block;

/* Attachments are a tree: each knows the one before it, and forks share what they have in common. */
typedef struct clattn_attachment {
    int32_t refs;     /* sequences whose last one it is, attachments behind it, blocks; 0: unused */
    int32_t previous; /* with a lower range, or NONE; next of the unused ones */
    int32_t first_token, end_token;
    size_t size;
    unsigned char bytes[CLATTN_PAGES_MAX_ATTACHED];
} clattn_attachment;

typedef struct clattn_sequence_state {
    uint32_t generation; /* upper half of the handle; odd while the sequence is alive */
    int32_t next_unused;
    int32_t length, committed;
    bool swapped;       /* its rows hold host pages */
    bool sharing;       /* its blocks are known; never without share_prefixes */
    int32_t tail;       /* sharing: the block of the last page, NONE when there is no page */
    int32_t undo_tail;  /* the block that an uncommitted append exchanged for a copy, or NONE */
    int32_t attachment; /* the last one, or NONE */
    uint64_t salt;
} clattn_sequence_state;

struct clattn_pages {
    int32_t page_size, num_groups, max_sequences, max_tokens, max_row; /* max_row: pages of max_tokens */
    bool share_prefixes;
    clattn_pages_group groups[CLATTN_PAGES_MAX_GROUPS];
    clattn_page_pool device[CLATTN_PAGES_MAX_GROUPS], host[CLATTN_PAGES_MAX_GROUPS];
    uint64_t step, retired;

    clattn_sequence_state *sequences;
    int32_t *rows;      /* [max_sequences, num_groups, max_row]: pages, NONE in holes */
    int32_t *undo_page; /* [max_sequences, num_groups]: the page that an uncommitted append exchanged, or NONE */
    int32_t unused_sequence, live_sequences;

    clattn_block *blocks;
    int32_t *block_tokens; /* [num_blocks, page_size] */
    int32_t *block_page;   /* [num_blocks, num_groups]: a page findable by it, or NONE; unlisted: NONE */
    int32_t *buckets;      /* [num_buckets]: first block, or NONE */
    int32_t num_blocks, unused_block;
    uint32_t num_buckets; /* a power of two */
    uint64_t hash_mask;   /* all ones; tests narrow it, so that different blocks collide */

    clattn_attachment *attachments;
    int32_t max_attachments, unused_attachment;

    int32_t *row_blocks;      /* [max_row], scratch: a sequence's blocks in order */
    int32_t *row_attachments; /* [max_row], scratch: the last attachment that touches each page */

    uint64_t evictions, lookups, hits, tokens_looked, tokens_found;
};

/* ---- pages_pool.c ---- */
void clattn_page_pool_init(clattn_page_pool *pool);
/* CLATTN_OUT_OF_PAGES unless the pool has room for `needed`. */
clattn_status clattn_page_pool_check(const clattn_page_pool *pool, const char *kind, int32_t group, int32_t needed);
/* Hands out a page, refs 1. There has to be room. Gives up the oldest findable page if none is free. */
int32_t clattn_page_take(clattn_pages *pages, clattn_page_pool *pool, int32_t group);
void clattn_page_hold(clattn_page_pool *pool, int32_t page);
/* Lets go of one reference; at zero the page waits for `step`. */
void clattn_page_release(clattn_pages *pages, clattn_page_pool *pool, int32_t group, int32_t page, uint64_t step);
void clattn_page_pool_retire(clattn_page_pool *pool, uint64_t step);
/* Gives up the findable page that was let go of longest ago; false: there is none. */
bool clattn_page_evict(clattn_pages *pages, int32_t group);
/* Makes a committed page findable by its listed block, and the reverse. */
void clattn_page_list_block(clattn_pages *pages, int32_t group, int32_t page, int32_t block);
void clattn_page_unlist(clattn_pages *pages, int32_t group, int32_t page);

/* ---- pages_prefix.c ---- */
void clattn_blocks_init(clattn_pages *pages);
static inline int32_t *clattn_block_tokens(const clattn_pages *pages, int32_t block)
{
    return pages->block_tokens + (size_t)block * pages->page_size;
}
static inline int32_t *clattn_block_page(const clattn_pages *pages, int32_t block, int32_t group)
{
    return pages->block_page + (size_t)block * pages->num_groups + group;
}
void clattn_block_release(clattn_pages *pages, int32_t block);
/* Puts tokens behind the sequence's length into blocks. Where no block is left, the sequence stops sharing. */
void clattn_blocks_append(clattn_pages *pages, clattn_sequence_state *sequence, const int32_t *tokens, int32_t count);
/* Lists the blocks of pages [first_page, end_page) of a row, full and committed now, and their pages. */
void clattn_blocks_commit(clattn_pages *pages, clattn_sequence_state *sequence, int32_t first_page, int32_t end_page);
/* Takes the last `count` blocks off the sequence. */
void clattn_blocks_drop_tail(clattn_pages *pages, clattn_sequence_state *sequence, int32_t count);
/* Forgets which tokens the sequence has: it shares nothing from now on. */
void clattn_blocks_forget(clattn_pages *pages, clattn_sequence_state *sequence);
/* Writes the blocks of pages [first_page, last page] to row_blocks. */
void clattn_blocks_of_row(const clattn_pages *pages, const clattn_sequence_state *sequence, int32_t first_page);
/* Writes the listed blocks that a prompt starts with to row_blocks, at most `most`; returns how many. */
int32_t clattn_blocks_find(clattn_pages *pages, const clattn_sequence_state *sequence, const int32_t *tokens,
                           int32_t most);

/* ---- pages_attach.c ---- */
void clattn_attachments_init(clattn_pages *pages);
void clattn_attachment_release(clattn_pages *pages, int32_t attachment);
/* Writes to row_attachments, for pages [first_page, end_page), the last attachment that touches each, or NONE. */
void clattn_attachments_of_row(const clattn_pages *pages, const clattn_sequence_state *sequence, int32_t first_page,
                               int32_t end_page);
bool clattn_attachment_touches(const clattn_pages *pages, int32_t attachment, int32_t first_token);
/* Whether the attachments that touch tokens from first_token on, from these last ones back, are the same. */
bool clattn_attachments_equal(const clattn_pages *pages, int32_t a, int32_t b, int32_t first_token);

/* ---- pages_sequence.c ---- */
static inline int32_t clattn_pages_of_tokens(const clattn_pages *pages, int32_t tokens)
{
    return (int32_t)(((int64_t)tokens + pages->page_size - 1) / pages->page_size);
}
static inline int32_t *clattn_pages_row(const clattn_pages *pages, const clattn_sequence_state *sequence, int32_t group)
{
    const size_t index = (size_t)(sequence - pages->sequences);
    return pages->rows + (index * (size_t)pages->num_groups + (size_t)group) * (size_t)pages->max_row;
}
static inline int32_t *clattn_pages_undo(const clattn_pages *pages, const clattn_sequence_state *sequence,
                                         int32_t group)
{
    return pages->undo_page + (size_t)(sequence - pages->sequences) * (size_t)pages->num_groups + group;
}
void clattn_sequences_init(clattn_pages *pages);
/* The state behind a handle; CLATTN_INVALID_ARGUMENT when there is none. */
clattn_status clattn_pages_find(const clattn_pages *pages, clattn_sequence sequence, clattn_sequence_state **out);
/* The same, and CLATTN_INVALID_ARGUMENT when it is swapped. */
clattn_status clattn_pages_find_resident(const clattn_pages *pages, clattn_sequence sequence,
                                         clattn_sequence_state **out);
/* CLATTN_INVALID_ARGUMENT when the sequence has uncommitted tokens. */
clattn_status clattn_pages_check_committed(const clattn_sequence_state *sequence, const char *operation);
/* Pages of its row that are no holes. */
int32_t clattn_pages_count_held(const clattn_pages *pages, const clattn_sequence_state *sequence, int32_t group);
clattn_status clattn_pages_check_group(const clattn_pages *pages, int32_t group);
/* CLATTN_INVALID_ARGUMENT unless list `group` has room for `needed` more pairs. */
clattn_status clattn_page_list_check(const clattn_page_list *list, const char *name, int32_t group, int32_t needed);
static inline void clattn_page_list_add(clattn_page_list *list, int32_t from, int32_t to)
{
    list->pairs[list->count++] = (clattn_page_pair){ .src = from, .dst = to };
}

#endif
