/* SPDX-License-Identifier: BSD-2-Clause */
#include "page_files.h"

#include "command.h"

enum { MAX_LENGTH = 1 << 30 };

int cache_read_shape(const operand *cache, cache_shape *out)
{
    static const struct {
        const char *name;
        int64_t low, high;
    } bounds[4] = {
        { "pages", 0, MAX_LENGTH }, { "page_size", 1, MAX_PAGE_SIZE }, { "heads", 1, 65535 }, { "dim", 1, 65535 }
    };
    const npy_header *header = &cache->array.header;
    char text[NPY_SHAPE_TEXT];
    int status = operand_require_float(cache);
    if (status != EXIT_DONE)
        return status;
    if (header->rank != 4)
        return fail("%s is '%s' of shape %s; it has to be of rank 4, [pages, page_size, heads, dim]", cache->option,
                    cache->path, operand_shape(cache, text));
    for (int i = 0; i < 4; i++)
        if (header->shape[i] < bounds[i].low || header->shape[i] > bounds[i].high)
            return fail("%s is '%s' of shape %s; its %s has to be %lld to %lld", cache->option, cache->path,
                        operand_shape(cache, text), bounds[i].name, (long long)bounds[i].low,
                        (long long)bounds[i].high);
    const int64_t *n = header->shape;
    *out = (cache_shape){ (int32_t)n[0], (int32_t)n[1], (int32_t)n[2], (int32_t)n[3] };
    return EXIT_DONE;
}

int cache_read_table(operand *table, int32_t *batch, int32_t *max_pages)
{
    char text[NPY_SHAPE_TEXT];
    int status = operand_to_index_table(table);
    if (status != EXIT_DONE)
        return status;
    const int64_t *n = table->array.header.shape;
    if (n[0] > MAX_LENGTH || n[1] > MAX_LENGTH)
        return fail("%s is '%s' of shape %s; both have to be 0 to %d", table->option, table->path,
                    operand_shape(table, text), MAX_LENGTH);
    *batch = (int32_t)n[0];
    *max_pages = (int32_t)n[1];
    return EXIT_DONE;
}

int cache_read_lengths(operand *lens, const cache_shape *shape, int32_t batch, int32_t max_pages)
{
    int64_t room = (int64_t)max_pages * shape->page_size;
    room = room < MAX_LENGTH ? room : MAX_LENGTH;
    int status = operand_to_indices(lens);
    if (status == EXIT_DONE)
        status = operand_require_count(lens, batch, "batch");
    const int32_t *values = lens->data;
    for (int32_t b = 0; status == EXIT_DONE && b < batch; b++)
        if (values[b] < 0 || values[b] > room)
            return fail("%s is '%s', which gives sequence %d %d tokens; it has to be 0 to %lld (max_pages * page_size)",
                        lens->option, lens->path, b, values[b], (long long)room);
    return status;
}

int cache_check_ids(const operand *table, const operand *lens, const cache_shape *shape, int32_t batch,
                    int32_t max_pages, int64_t *tokens)
{
    *tokens = 0;
    for (int32_t b = 0; b < batch; b++) {
        const int32_t *row = (const int32_t *)table->data + (size_t)b * (size_t)max_pages;
        const int32_t length = ((const int32_t *)lens->data)[b];
        for (int32_t i = 0; (int64_t)i * shape->page_size < length; i++) {
            const int32_t left = length - i * shape->page_size;
            if (row[i] < -1 || row[i] >= shape->pages)
                return fail("%s is '%s', which gives sequence %d page %d at column %d (block_table[%d][%d]); it has to "
                            "be -1 for a hole, or in [0, %d)",
                            table->option, table->path, b, row[i], i, b, i, shape->pages);
            if (row[i] >= 0)
                *tokens += left < shape->page_size ? left : shape->page_size;
        }
    }
    return EXIT_DONE;
}
