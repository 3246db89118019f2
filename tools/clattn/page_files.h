/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_PAGE_FILES_H
#define CLATTN_TOOL_PAGE_FILES_H

/* Paged caches in files, checked on the host: the cache itself, the block table, the lengths. */

#include "operand.h"

enum { MAX_PAGE_SIZE = 256 };

/* [pages, page_size, heads, dim] */
typedef struct cache_shape {
    int32_t pages, page_size, heads, dim;
} cache_shape;

/* The shape of a cache of f16, f32 or f64. Exit status, as for all below. */
int cache_read_shape(const operand *cache, cache_shape *out);

/* Makes the table and the lengths int32. *batch and *max_pages: the table's shape. */
int cache_read_table(operand *table, int32_t *batch, int32_t *max_pages);
int cache_read_lengths(operand *lens, const cache_shape *shape, int32_t batch, int32_t max_pages);

/* Every id that a token needs has to be -1 or a page; what the table holds further on does not matter. *tokens: those
 * that have a page. */
int cache_check_ids(const operand *table, const operand *lens, const cache_shape *shape, int32_t batch,
                    int32_t max_pages, int64_t *tokens);

#endif
