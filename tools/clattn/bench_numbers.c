/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "command.h"

/* Random elements that are made; then they repeat. A prime, so that no two heads are equal. */
enum { DISTINCT = 1000003, MOST_COPIES = 4096 };

size_t bench_row_bytes(clattn_dtype dtype, int32_t head_dim)
{
    return (size_t)(head_dim / clattn_dtype_block_len(dtype)) * clattn_dtype_size(dtype);
}

void *bench_make_numbers(clattn_dtype dtype, size_t bytes, ref_random *random)
{
    const size_t element = clattn_dtype_size(dtype), period = DISTINCT * element;
    char *data = malloc(bytes);
    for (size_t i = 0; data && i < DISTINCT && i < bytes / element; i++)
        ref_store(data, dtype, (int64_t)i, ref_random_normal(random));
    for (size_t at = period; data && at < bytes; at += period)
        memcpy(data + at, data, bytes - at < period ? bytes - at : period);
    return data;
}

int bench_wanted_copies(const session *on, double bytes)
{
    double copies = 4.0 * (double)on->info.global_mem_cache_size / bytes;
    return copies + 1.0 < MOST_COPIES ? (int)copies + 1 : MOST_COPIES;
}

int bench_size_tensor(const session *on, const char *what, const bench_shape *shape, int32_t heads, int32_t length,
                      size_t *out)
{
    double bytes = (double)shape->batch * heads * length * shape->head_dim * (double)clattn_dtype_size(shape->dtype);
    if (bytes > (double)on->info.max_mem_alloc_size)
        return fail("%s of batch %d, %d heads, length %d and dimension %d has %.0f bytes; a buffer of %s holds %llu",
                    what, shape->batch, heads, length, shape->head_dim, bytes, on->info.device_name,
                    (unsigned long long)on->info.max_mem_alloc_size);
    *out = (size_t)bytes;
    return EXIT_DONE;
}
