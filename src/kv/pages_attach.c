/* SPDX-License-Identifier: BSD-2-Clause */
/* Attachments: bytes behind ranges of tokens. */
#include <inttypes.h>
#include <string.h>

#include "kv/pages_internal.h"
#include "util/range.h"
#include "util/status.h"

void clattn_attachments_init(clattn_pages *pages)
{
    pages->unused_attachment = NONE;
    for (int32_t i = pages->max_attachments - 1; i >= 0; i--) {
        pages->attachments[i].previous = pages->unused_attachment;
        pages->unused_attachment = i;
    }
}

void clattn_attachment_release(clattn_pages *pages, int32_t attachment)
{
    while (attachment != NONE && --pages->attachments[attachment].refs == 0) {
        const int32_t previous = pages->attachments[attachment].previous;
        pages->attachments[attachment].previous = pages->unused_attachment;
        pages->unused_attachment = attachment;
        attachment = previous;
    }
}

bool clattn_attachment_touches(const clattn_pages *pages, int32_t attachment, int32_t first_token)
{
    return attachment != NONE && pages->attachments[attachment].end_token > first_token;
}

bool clattn_attachments_equal(const clattn_pages *pages, int32_t a, int32_t b, int32_t first_token)
{
    while (a != b && clattn_attachment_touches(pages, a, first_token) &&
           clattn_attachment_touches(pages, b, first_token)) {
        const clattn_attachment *x = &pages->attachments[a], *y = &pages->attachments[b];
        if (x->first_token != y->first_token || x->end_token != y->end_token || x->size != y->size ||
            memcmp(x->bytes, y->bytes, x->size) != 0)
            return false;
        a = x->previous;
        b = y->previous;
    }
    return a == b ||
           (!clattn_attachment_touches(pages, a, first_token) && !clattn_attachment_touches(pages, b, first_token));
}

void clattn_attachments_of_row(const clattn_pages *pages, const clattn_sequence_state *sequence, int32_t first_page,
                               int32_t end_page)
{
    int32_t attachment = sequence->attachment;
    for (int32_t page = end_page - 1; page >= first_page; page--) {
        const int64_t first_token = (int64_t)page * pages->page_size;
        while (attachment != NONE && pages->attachments[attachment].first_token >= first_token + pages->page_size)
            attachment = pages->attachments[attachment].previous;
        const bool touches = clattn_attachment_touches(pages, attachment, (int32_t)first_token);
        pages->row_attachments[page] = touches ? attachment : NONE;
    }
}

/* An unused record, if need be for findable pages that hold one; NONE: all are held by sequences. */
static int32_t take_attachment(clattn_pages *pages)
{
    for (int32_t group = 0; group < pages->num_groups; group++)
        while (pages->unused_attachment == NONE && clattn_page_evict(pages, group))
            continue;
    const int32_t attachment = pages->unused_attachment;
    if (attachment != NONE)
        pages->unused_attachment = pages->attachments[attachment].previous;
    return attachment;
}

static clattn_status check_attachment(const clattn_pages *pages, const clattn_sequence_state *sequence,
                                      int32_t first_token, int32_t num_tokens, const void *bytes, size_t size)
{
    int64_t lowest = sequence->length;
    if (sequence->attachment != NONE && pages->attachments[sequence->attachment].end_token > lowest)
        lowest = pages->attachments[sequence->attachment].end_token;
    const clattn_range ranges[] = {
        { "first_token", first_token, lowest, (int64_t)pages->max_tokens - 1 },
        { "num_tokens", num_tokens, 1, (int64_t)pages->max_tokens - first_token },
    };
    CLATTN_TRY(clattn_check_ranges(ranges, sizeof(ranges) / sizeof(ranges[0])));
    if (size < 1 || size > CLATTN_PAGES_MAX_ATTACHED)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "size is %zu; it has to be 1 to %d: attach a digest of what is longer", size,
                           CLATTN_PAGES_MAX_ATTACHED);
    if (!bytes)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "bytes is NULL");
    if (pages->share_prefixes && pages->max_attachments == 0)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "clattn_pages_params.max_attachments is 0; it has to be at least 1 to attach bytes");
    return CLATTN_OK;
}

clattn_status clattn_pages_attach(clattn_pages *pages, clattn_sequence handle, int32_t first_token, int32_t num_tokens,
                                  const void *bytes, size_t size)
{
    clattn_sequence_state *sequence;
    CLATTN_TRY(clattn_pages_find_resident(pages, handle, &sequence));
    CLATTN_TRY(check_attachment(pages, sequence, first_token, num_tokens, bytes, size));
    if (!sequence->sharing)
        return CLATTN_OK;
    const int32_t attachment = take_attachment(pages);
    if (attachment == NONE) {
        clattn_blocks_forget(pages, sequence);
        return CLATTN_OK;
    }
    clattn_attachment *entry = &pages->attachments[attachment];
    *entry = (clattn_attachment){ .refs = 1,
                                  .previous = sequence->attachment,
                                  .first_token = first_token,
                                  .end_token = first_token + num_tokens,
                                  .size = size };
    memcpy(entry->bytes, bytes, size);
    sequence->attachment = attachment;
    return CLATTN_OK;
}
