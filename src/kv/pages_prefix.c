/* SPDX-License-Identifier: BSD-2-Clause */
/* Blocks: what the tokens of a page are, and the hash table that finds committed ones again. */
#include <string.h>

#include "kv/pages_internal.h"
#include "util/hash.h"

/* What a block is looked up by. Its parent is a block that is listed, or NONE: two blocks are the same when their
 * parents are the same block and what they hold themselves is equal, byte for byte. */
typedef struct content {
    int32_t parent;
    int32_t attachment;
    int32_t first_token;
    uint64_t salt;
    const int32_t *tokens; /* [page_size] */
    uint64_t hash;
} content;

void clattn_blocks_init(clattn_pages *pages)
{
    pages->hash_mask = UINT64_MAX;
    pages->unused_block = NONE;
    for (int32_t i = pages->num_blocks - 1; i >= 0; i--) {
        pages->blocks[i].next = pages->unused_block;
        pages->unused_block = i;
    }
    for (uint32_t i = 0; i < pages->num_buckets; i++)
        pages->buckets[i] = NONE;
}

static size_t tokens_bytes(const clattn_pages *pages, int32_t tokens)
{
    return (size_t)tokens * sizeof(pages->block_tokens[0]);
}

static content content_of(const clattn_pages *pages, int32_t parent, int32_t page, uint64_t salt, const int32_t *tokens)
{
    content c = { .parent = parent,
                  .attachment = pages->row_attachments[page],
                  .first_token = page * pages->page_size,
                  .salt = salt,
                  .tokens = tokens };
    clattn_key key = { parent == NONE ? 0 : pages->blocks[parent].hash, salt };
    clattn_key_add(&key, tokens, tokens_bytes(pages, pages->page_size));
    int32_t attachment = c.attachment;
    while (clattn_attachment_touches(pages, attachment, c.first_token)) {
        const clattn_attachment *entry = &pages->attachments[attachment];
        const int32_t range[2] = { entry->first_token, entry->end_token };
        clattn_key_add(&key, range, sizeof(range));
        clattn_key_add(&key, entry->bytes, entry->size);
        attachment = entry->previous;
    }
    c.hash = key.low & pages->hash_mask;
    return c;
}

static int32_t *bucket_of(const clattn_pages *pages, uint64_t hash)
{
    return &pages->buckets[hash & (pages->num_buckets - 1)];
}

static int32_t find_block(const clattn_pages *pages, const content *c)
{
    int32_t block = *bucket_of(pages, c->hash);
    for (; block != NONE; block = pages->blocks[block].next) {
        const clattn_block *b = &pages->blocks[block];
        if (b->hash == c->hash && b->parent == c->parent && b->salt == c->salt &&
            memcmp(clattn_block_tokens(pages, block), c->tokens, tokens_bytes(pages, pages->page_size)) == 0 &&
            clattn_attachments_equal(pages, b->attachment, c->attachment, c->first_token))
            break;
    }
    return block;
}

static void list_block(clattn_pages *pages, int32_t block, const content *c)
{
    clattn_block *b = &pages->blocks[block];
    int32_t *bucket = bucket_of(pages, c->hash);
    b->listed = true;
    b->salt = c->salt;
    b->hash = c->hash;
    b->attachment = c->attachment;
    if (b->attachment != NONE)
        pages->attachments[b->attachment].refs++;
    b->next = *bucket;
    *bucket = block;
}

static void unlist_block(clattn_pages *pages, int32_t block)
{
    int32_t *link = bucket_of(pages, pages->blocks[block].hash);
    while (*link != block)
        link = &pages->blocks[*link].next;
    *link = pages->blocks[block].next;
    clattn_attachment_release(pages, pages->blocks[block].attachment);
}

void clattn_block_release(clattn_pages *pages, int32_t block)
{
    while (block != NONE && --pages->blocks[block].refs == 0) {
        const int32_t parent = pages->blocks[block].parent;
        if (pages->blocks[block].listed)
            unlist_block(pages, block);
        pages->blocks[block].next = pages->unused_block;
        pages->unused_block = block;
        block = parent;
    }
}

/* An unused block, refs 1, if need be for findable pages; NONE: all are known to sequences. */
static int32_t take_block(clattn_pages *pages, int32_t parent)
{
    for (int32_t group = 0; group < pages->num_groups; group++)
        while (pages->unused_block == NONE && clattn_page_evict(pages, group))
            continue;
    const int32_t block = pages->unused_block;
    if (block == NONE)
        return NONE;
    pages->unused_block = pages->blocks[block].next;
    pages->blocks[block] = (clattn_block){ .refs = 1, .parent = parent, .next = NONE, .attachment = NONE };
    for (int32_t group = 0; group < pages->num_groups; group++)
        *clattn_block_page(pages, block, group) = NONE;
    return block;
}

/* Makes the block of the page in which the next token falls, if it is not there, the sequence's own. */
static bool open_tail(clattn_pages *pages, clattn_sequence_state *sequence, int32_t fill)
{
    const int32_t tail = sequence->tail;
    if (fill > 0 && !pages->blocks[tail].listed && pages->blocks[tail].refs == 1)
        return true;
    const int32_t block = take_block(pages, fill == 0 ? tail : pages->blocks[tail].parent);
    if (block == NONE)
        return false;
    sequence->tail = block;
    if (fill == 0)
        return true; /* the sequence's reference to the old tail is the new one's now */
    if (pages->blocks[block].parent != NONE)
        pages->blocks[pages->blocks[block].parent].refs++;
    memcpy(clattn_block_tokens(pages, block), clattn_block_tokens(pages, tail), tokens_bytes(pages, fill));
    sequence->undo_tail = tail;
    return true;
}

void clattn_blocks_append(clattn_pages *pages, clattn_sequence_state *sequence, const int32_t *tokens, int32_t count)
{
    int32_t fill = sequence->length % pages->page_size;
    for (int32_t done = 0; done < count;) {
        if (!open_tail(pages, sequence, fill)) {
            clattn_blocks_forget(pages, sequence);
            return;
        }
        const int32_t room = pages->page_size - fill, rest = count - done;
        const int32_t now = room < rest ? room : rest;
        memcpy(clattn_block_tokens(pages, sequence->tail) + fill, tokens + done, tokens_bytes(pages, now));
        done += now;
        fill = 0;
    }
}

void clattn_blocks_forget(clattn_pages *pages, clattn_sequence_state *sequence)
{
    clattn_block_release(pages, sequence->undo_tail);
    clattn_block_release(pages, sequence->tail);
    clattn_attachment_release(pages, sequence->attachment);
    sequence->undo_tail = sequence->tail = sequence->attachment = NONE;
    sequence->sharing = false;
}

void clattn_blocks_drop_tail(clattn_pages *pages, clattn_sequence_state *sequence, int32_t count)
{
    for (; count > 0; count--) {
        const int32_t tail = sequence->tail;
        sequence->tail = pages->blocks[tail].parent;
        if (sequence->tail != NONE)
            pages->blocks[sequence->tail].refs++;
        clattn_block_release(pages, tail);
    }
}

void clattn_blocks_of_row(const clattn_pages *pages, const clattn_sequence_state *sequence, int32_t first_page)
{
    int32_t block = sequence->tail;
    for (int32_t page = clattn_pages_of_tokens(pages, sequence->length) - 1; page >= first_page; page--) {
        pages->row_blocks[page] = block;
        block = pages->blocks[block].parent;
    }
}

/* Puts `known` in the place of `block`, the sequence's own with the same content, whose one reference is the sequence's
 * or the next block's. */
static void replace_block(clattn_pages *pages, clattn_sequence_state *sequence, int32_t page, int32_t known)
{
    const int32_t block = pages->row_blocks[page];
    if (block == sequence->tail)
        sequence->tail = known;
    else
        pages->blocks[pages->row_blocks[page + 1]].parent = known;
    pages->blocks[known].refs++;
    pages->row_blocks[page] = known;
    clattn_block_release(pages, block);
}

void clattn_blocks_commit(clattn_pages *pages, clattn_sequence_state *sequence, int32_t first_page, int32_t end_page)
{
    clattn_blocks_of_row(pages, sequence, first_page);
    clattn_attachments_of_row(pages, sequence, first_page, end_page);
    for (int32_t page = first_page; page < end_page; page++) {
        const int32_t block = pages->row_blocks[page];
        const content c =
            content_of(pages, pages->blocks[block].parent, page, sequence->salt, clattn_block_tokens(pages, block));
        const int32_t known = find_block(pages, &c);
        if (known == NONE)
            list_block(pages, block, &c);
        else
            replace_block(pages, sequence, page, known);
        for (int32_t group = 0; group < pages->num_groups; group++) {
            const int32_t held = clattn_pages_row(pages, sequence, group)[page];
            if (held != NONE)
                clattn_page_list_block(pages, group, held, pages->row_blocks[page]);
        }
    }
}

int32_t clattn_blocks_find(clattn_pages *pages, const clattn_sequence_state *sequence, const int32_t *tokens,
                           int32_t most)
{
    clattn_attachments_of_row(pages, sequence, 0, most);
    int32_t parent = NONE, count = 0;
    for (; count < most; count++) {
        const content c = content_of(pages, parent, count, sequence->salt, tokens + (size_t)count * pages->page_size);
        parent = find_block(pages, &c);
        if (parent == NONE)
            break;
        pages->row_blocks[count] = parent;
    }
    return count;
}
