/* SPDX-License-Identifier: BSD-2-Clause */
/* The page manager itself: bounds, memory, steps. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kv/pages_internal.h"
#include "util/range.h"
#include "util/status.h"

#define MOST_PAGES  (1 << 30)
#define MOST_TOKENS (1 << 30)
#define MOST_OTHERS (1 << 24)

void clattn_pages_params_init(clattn_pages_params *params)
{
    if (params)
        *params = (clattn_pages_params){ .struct_size = sizeof(*params) };
}

static clattn_status check_group(const clattn_pages_group *group, int32_t index)
{
    const struct {
        const char *name;
        int32_t value, low, high;
    } fields[] = {
        { "num_pages", group->num_pages, 1, MOST_PAGES }, { "num_host_pages", group->num_host_pages, 0, MOST_PAGES },
        { "window", group->window, 0, MOST_TOKENS },      { "sink", group->sink, 0, MOST_TOKENS },
        { "reserved[0]", group->reserved[0], 0, 0 },      { "reserved[1]", group->reserved[1], 0, 0 },
        { "reserved[2]", group->reserved[2], 0, 0 },      { "reserved[3]", group->reserved[3], 0, 0 },
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (fields[i].value < fields[i].low || fields[i].value > fields[i].high)
            return clattn_fail(CLATTN_INVALID_ARGUMENT,
                               "groups[%" PRId32 "].%s is %" PRId32 "; it has to be %" PRId32 " to %" PRId32, index,
                               fields[i].name, fields[i].value, fields[i].low, fields[i].high);
    return CLATTN_OK;
}

static clattn_status check_params(const clattn_pages_params *params)
{
    CLATTN_TRY(clattn_check_struct_size("params", params->struct_size, sizeof(*params), "CLATTN_PAGES_PARAMS"));
    const clattn_range ranges[] = {
        { "page_size", params->page_size, 0, CLATTN_MAX_PAGE_SIZE },
        { "num_groups", params->num_groups, 1, CLATTN_PAGES_MAX_GROUPS },
        { "max_sequences", params->max_sequences, 0, MOST_OTHERS },
        { "max_tokens", params->max_tokens, 0, MOST_TOKENS },
        { "max_attachments", params->max_attachments, 0, MOST_OTHERS },
    };
    CLATTN_TRY(clattn_check_ranges(ranges, sizeof(ranges) / sizeof(ranges[0])));
    if (!params->groups)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "groups is NULL; it has to be an array of num_groups");
    for (int32_t i = 0; i < params->num_groups; i++)
        CLATTN_TRY(check_group(&params->groups[i], i));
    return CLATTN_OK;
}

static void take_bounds(clattn_pages *pages, const clattn_pages_params *params)
{
    pages->page_size = params->page_size ? params->page_size : 16;
    pages->num_groups = params->num_groups;
    pages->max_sequences = params->max_sequences ? params->max_sequences : 256;
    pages->share_prefixes = params->share_prefixes != 0;
    pages->max_attachments = pages->share_prefixes ? params->max_attachments : 0;
    int64_t largest = 0, blocks = pages->max_sequences;
    for (int32_t i = 0; i < params->num_groups; i++) {
        pages->groups[i] = params->groups[i];
        pages->device[i].num_pages = params->groups[i].num_pages;
        pages->host[i].num_pages = params->groups[i].num_host_pages;
        largest = params->groups[i].num_pages > largest ? params->groups[i].num_pages : largest;
        blocks += params->groups[i].num_pages;
    }
    const int64_t tokens = largest * pages->page_size;
    pages->max_tokens =
        params->max_tokens ? params->max_tokens : (int32_t)(tokens < MOST_TOKENS ? tokens : MOST_TOKENS);
    pages->max_row = clattn_pages_of_tokens(pages, pages->max_tokens);
    if (!pages->share_prefixes)
        return;
    /* A block a page, and one a sequence for a last page that was truncated. Sequences that drop pages and keep their
     * blocks can need more; then some stop sharing. */
    pages->num_blocks = (int32_t)(blocks < INT32_MAX ? blocks : INT32_MAX);
    pages->num_buckets = 1;
    while (pages->num_buckets < (uint32_t)pages->num_blocks)
        pages->num_buckets *= 2;
}

/* An array of count times `each` elements, zeroed. 0 elements: a pointer that is not used. */
static clattn_status allocate(void *out, size_t count, size_t each, size_t element)
{
    size_t elements, bytes;
    if (__builtin_mul_overflow(count, each, &elements) || __builtin_mul_overflow(elements, element, &bytes) ||
        bytes > PTRDIFF_MAX)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "max_sequences, num_groups, max_tokens and num_pages need a table over the address space; "
                           "they have to be smaller");
    void *memory = calloc(bytes > 0 ? elements : 1, element);
    if (!memory)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for %zu bytes of the page manager's tables", bytes);
    memcpy(out, &memory, sizeof(memory));
    return CLATTN_OK;
}

static clattn_status allocate_tables(clattn_pages *pages)
{
    const size_t sequences = (size_t)pages->max_sequences, groups = (size_t)pages->num_groups;
    const size_t row = (size_t)pages->max_row, blocks = (size_t)pages->num_blocks;
    for (size_t i = 0; i < groups; i++) {
        clattn_page_pool *device = &pages->device[i], *host = &pages->host[i];
        CLATTN_TRY(allocate(&device->pages, (size_t)device->num_pages, 1, sizeof(device->pages[0])));
        CLATTN_TRY(allocate(&host->pages, (size_t)host->num_pages, 1, sizeof(host->pages[0])));
    }
    CLATTN_TRY(allocate(&pages->sequences, sequences, 1, sizeof(pages->sequences[0])));
    CLATTN_TRY(allocate(&pages->rows, sequences * groups, row, sizeof(pages->rows[0])));
    CLATTN_TRY(allocate(&pages->undo_page, sequences, groups, sizeof(pages->undo_page[0])));
    if (!pages->share_prefixes)
        return CLATTN_OK;
    CLATTN_TRY(allocate(&pages->blocks, blocks, 1, sizeof(pages->blocks[0])));
    CLATTN_TRY(allocate(&pages->block_tokens, blocks, (size_t)pages->page_size, sizeof(pages->block_tokens[0])));
    CLATTN_TRY(allocate(&pages->block_page, blocks, groups, sizeof(pages->block_page[0])));
    CLATTN_TRY(allocate(&pages->buckets, pages->num_buckets, 1, sizeof(pages->buckets[0])));
    CLATTN_TRY(allocate(&pages->attachments, (size_t)pages->max_attachments, 1, sizeof(pages->attachments[0])));
    CLATTN_TRY(allocate(&pages->row_blocks, row, 1, sizeof(pages->row_blocks[0])));
    CLATTN_TRY(allocate(&pages->row_attachments, row, 1, sizeof(pages->row_attachments[0])));
    return CLATTN_OK;
}

clattn_status clattn_pages_create(const clattn_pages_params *params, clattn_pages **out)
{
    if (!params || !out)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "%s is NULL", params ? "out" : "params");
    CLATTN_TRY(check_params(params));
    clattn_pages *pages;
    CLATTN_TRY(allocate(&pages, 1, 1, sizeof(*pages)));
    take_bounds(pages, params);
    const clattn_status status = allocate_tables(pages);
    if (status != CLATTN_OK) {
        clattn_pages_destroy(&pages);
        return status;
    }
    for (int32_t i = 0; i < pages->num_groups; i++) {
        clattn_page_pool_init(&pages->device[i]);
        clattn_page_pool_init(&pages->host[i]);
    }
    clattn_sequences_init(pages);
    clattn_blocks_init(pages);
    clattn_attachments_init(pages);
    *out = pages;
    return CLATTN_OK;
}

void clattn_pages_destroy(clattn_pages **out)
{
    if (!out || !*out)
        return;
    clattn_pages *pages = *out;
    for (int32_t i = 0; i < pages->num_groups; i++) {
        free(pages->device[i].pages);
        free(pages->host[i].pages);
    }
    free(pages->sequences);
    free(pages->rows);
    free(pages->undo_page);
    free(pages->blocks);
    free(pages->block_tokens);
    free(pages->block_page);
    free(pages->buckets);
    free(pages->attachments);
    free(pages->row_blocks);
    free(pages->row_attachments);
    free(pages);
    *out = NULL;
}

clattn_status clattn_pages_begin_step(clattn_pages *pages, uint64_t step)
{
    if (!pages)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "pages is NULL");
    if (step < pages->step)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "step is %" PRIu64 "; it has to be at least the current one, %" PRIu64, step, pages->step);
    pages->step = step;
    return CLATTN_OK;
}

clattn_status clattn_pages_retire(clattn_pages *pages, uint64_t step)
{
    if (!pages)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "pages is NULL");
    if (step > pages->step)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "step is %" PRIu64 "; it has to be at most the current one, %" PRIu64, step, pages->step);
    if (step <= pages->retired)
        return CLATTN_OK;
    pages->retired = step;
    for (int32_t i = 0; i < pages->num_groups; i++) {
        clattn_page_pool_retire(&pages->device[i], step);
        clattn_page_pool_retire(&pages->host[i], step);
    }
    return CLATTN_OK;
}
