/* SPDX-License-Identifier: BSD-2-Clause */
/* What a step's kernels read: block tables and lengths; and what a caller wants to know. */
#include <inttypes.h>

#include "kv/pages_internal.h"
#include "util/range.h"
#include "util/status.h"

static clattn_status check_batch(const clattn_pages *pages, const clattn_sequence *sequences, int32_t batch,
                                 const int32_t *out, const char *out_name)
{
    if (!pages)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "pages is NULL");
    const clattn_range range = { "batch", batch, 0, INT32_MAX };
    CLATTN_TRY(clattn_check_ranges(&range, 1));
    if (batch > 0 && (!sequences || !out))
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "%s is NULL", sequences ? out_name : "sequences");
    return CLATTN_OK;
}

static clattn_status check_columns(const clattn_pages *pages, const clattn_sequence *sequences, int32_t batch,
                                   int32_t columns)
{
    for (int32_t b = 0; b < batch; b++) {
        clattn_sequence_state *sequence;
        CLATTN_TRY(clattn_pages_find_resident(pages, sequences[b], &sequence));
        const int32_t num_pages = clattn_pages_of_tokens(pages, sequence->length);
        if (num_pages > columns)
            return clattn_fail(CLATTN_INVALID_ARGUMENT,
                               "columns is %" PRId32 "; it has to be at least %" PRId32
                               ", the pages of sequences[%" PRId32 "]",
                               columns, num_pages, b);
    }
    return CLATTN_OK;
}

clattn_status clattn_pages_block_table(const clattn_pages *pages, int32_t group, const clattn_sequence *sequences,
                                       int32_t batch, int32_t *table, int32_t columns, int64_t stride)
{
    CLATTN_TRY(check_batch(pages, sequences, batch, table, "table"));
    CLATTN_TRY(clattn_pages_check_group(pages, group));
    const clattn_range ranges[] = { { "columns", columns, 0, INT32_MAX }, { "stride", stride, columns, INT64_MAX } };
    CLATTN_TRY(clattn_check_ranges(ranges, 2));
    CLATTN_TRY(check_columns(pages, sequences, batch, columns));
    for (int32_t b = 0; b < batch; b++) {
        clattn_sequence_state *sequence;
        CLATTN_TRY(clattn_pages_find_resident(pages, sequences[b], &sequence));
        const int32_t *row = clattn_pages_row(pages, sequence, group);
        const int32_t num_pages = clattn_pages_of_tokens(pages, sequence->length);
        for (int32_t i = 0; i < columns; i++)
            table[b * stride + i] = i < num_pages ? row[i] : NONE;
    }
    return CLATTN_OK;
}

clattn_status clattn_pages_kv_lens(const clattn_pages *pages, const clattn_sequence *sequences, int32_t batch,
                                   int32_t *kv_lens)
{
    CLATTN_TRY(check_batch(pages, sequences, batch, kv_lens, "kv_lens"));
    clattn_sequence_state *sequence;
    for (int32_t b = 0; b < batch; b++)
        CLATTN_TRY(clattn_pages_find(pages, sequences[b], &sequence));
    for (int32_t b = 0; b < batch; b++) {
        CLATTN_TRY(clattn_pages_find(pages, sequences[b], &sequence));
        kv_lens[b] = sequence->length;
    }
    return CLATTN_OK;
}

clattn_status clattn_pages_sequence_info(const clattn_pages *pages, clattn_sequence handle, clattn_sequence_info *info)
{
    clattn_sequence_state *sequence;
    CLATTN_TRY(clattn_pages_find(pages, handle, &sequence));
    if (!info)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "info is NULL");
    *info = (clattn_sequence_info){ .length = sequence->length,
                                    .committed = sequence->committed,
                                    .num_pages = clattn_pages_of_tokens(pages, sequence->length),
                                    .swapped = sequence->swapped,
                                    .sharing = sequence->sharing };
    for (int32_t group = 0; group < pages->num_groups; group++)
        info->num_held[group] = clattn_pages_count_held(pages, sequence, group);
    return CLATTN_OK;
}

clattn_status clattn_pages_get_stats(const clattn_pages *pages, int32_t group, clattn_pages_stats *stats)
{
    if (!pages || !stats)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "%s is NULL", pages ? "stats" : "pages");
    CLATTN_TRY(clattn_pages_check_group(pages, group));
    const clattn_page_pool *device = &pages->device[group], *host = &pages->host[group];
    *stats = (clattn_pages_stats){ .num_pages = device->num_pages,
                                   .used = device->used,
                                   .shared = device->shared,
                                   .cached = device->idle.count,
                                   .waiting = device->waiting.count,
                                   .free = device->free.count,
                                   .num_host_pages = host->num_pages,
                                   .host_used = host->used,
                                   .host_waiting = host->waiting.count,
                                   .host_free = host->free.count,
                                   .max_sequences = pages->max_sequences,
                                   .sequences = pages->live_sequences,
                                   .evictions = pages->evictions,
                                   .lookups = pages->lookups,
                                   .hits = pages->hits,
                                   .tokens_looked = pages->tokens_looked,
                                   .tokens_found = pages->tokens_found };
    return CLATTN_OK;
}
